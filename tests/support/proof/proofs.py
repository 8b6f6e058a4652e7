"""A change, proved with a small production on a real server or a SQLite file, and what came of it."""

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.turso import Turso
from steps.support.operations.prove import refuse_unparsable
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import sqld
from steps.support.proof.result import Proof
from steps.support.sql.findings import FILES
from steps.support.sql.script import split
from tests.support.proof.copies import made
from tests.support.servers.front import Change, dumped, without_file_pages

Files = Mapping[str, str]

ENOUGH = Limits(most_seconds=120, most_bytes=10**10)
NOTHING = "-- There is nothing to do.\n"
ASKED = "SELECT id FROM systems;\n"  # what each version of the code queries, unless a change says otherwise
ANY = "SELECT count(*) FROM sqlite_schema;\n"  # a query that any database answers
OF_ANY = {"contract/old.sql": ANY, "contract/new.sql": ANY, "writes.sql": NOTHING}  # for databases of another shape
USUAL = {
    "contract/old.sql": ASKED,
    "contract/new.sql": ASKED,
    "writes.sql": "INSERT INTO users (clerk_user_id) VALUES ('user_new');\n",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """The outcome of an attempted proof: the proof or the refusal, and whether production is unchanged.

    `run` is the folder of the proof, with everything it left there.
    """

    proof: Proof | None
    said: str
    untouched: bool
    run: Path


async def tried(binary: Path, folder: Path, before: str, files: Files | Path) -> Tried:
    """Prove a change, given as files or as their folder, on a server that holds what `before` creates."""
    async with sqld.serve(binary, folder / "sqld") as url, aclosing(connect(url, None)) as database:
        await _fill(database, before)
        return await _tried(binary, folder, database, files, partial(dumped, url))


async def tried_in_process(folder: Path, before: str, files: Files | Path) -> Tried:
    """Prove a change as `tried` does, on a SQLite file, for findings that no engine takes part in."""
    path = made(folder) / "some.db"
    sqlite3.connect(path).close()

    async def content() -> bytes:
        return path.read_bytes()

    async with aclosing(connect(f"file:{path}", None)) as database:
        await _fill(database, before)
        return await _tried(None, folder, database, files, content)


async def tried_with_answers(binary: Path, folder: Path, before: str, files: Files, arriving: Change) -> Tried:
    """Prove a change on a server that gives no pages of its file, and whose answers arrive differently."""
    async with sqld.serve(binary, folder / "sqld") as url:
        async with aclosing(connect(url, None)) as database:
            await _fill(database, before)
        async with without_file_pages(url, arriving) as seen, aclosing(connect(seen, None)) as database:
            return await _tried(binary, folder, database, files, partial(dumped, url))


def lacking(text: str, words: Collection[str]) -> list[str]:
    """Return those words that a text does not contain."""
    return [each for each in words if each not in text]


async def _fill(database: Database, sql: str) -> None:
    await database.transaction(split(sql, "before.sql"))


async def _tried(
    binary: Path | None, folder: Path, database: Database, files: Files | Path, dump: Callable[[], Awaitable[bytes]]
) -> Tried:
    """Do what a run does before it touches production: read the folder, parse every statement, prove the change."""
    was, run = await dump(), folder / "run"
    try:
        change = read_change(files if isinstance(files, Path) else written(folder / "sql", files))
        await refuse_unparsable(Turso(database), change)
        proof, said = await prove(Turso(database), change, ProofConfig(run, binary, ENOUGH)), ""
    except Problem as problem:
        proof, said = None, str(problem)
    return Tried(proof, said, await dump() == was, run)


def written(folder: Path, files: Files) -> Path:
    """Write a folder of SQL files; files not given have the usual contents, or hold only a comment."""
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(name, USUAL.get(name, NOTHING)), encoding="utf-8")
    return folder
