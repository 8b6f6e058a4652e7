"""Runs begun by an earlier version, settled by this one: what they left is recreated, with their own words."""

import json
import shutil
import socket
from typing import Any

import pytest

from tests.support.journals import stored
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

ALIVE, GIVEN_BACK = 4_000_000_000, 0  # when a lease ends


async def _left_by(production: VirtualProduction, version: str, run: str) -> str:
    """Put production into the state that an earlier version's run left it in; return the run's name."""
    told = (await production.release()).events
    folder = production.folder / "runs" / str(told[0]["run"])
    then, marker = _retold(stored.journal(version, run), stored.marker(version, run), _pushed(told))
    then[0]["target_id"], name = told[0]["target_id"], str(then[0]["run"])
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in then))
    folder.rename(folder.with_name(name))
    columns = ", ".join(f"{column} = {_literal(value)}" for column, value in marker.items() if column != "at")
    await production.sql(f"UPDATE _orchestrate_migrations SET {columns}")
    ends = ALIVE if run == "killed" else GIVEN_BACK
    lock = f"run = {_literal(name)}, host = {_literal(socket.gethostname())}, expires_at = {ends}"
    await production.sql(f"UPDATE _orchestrate_lock SET {lock}")
    return name


def _pushed(events: list[Any]) -> dict[str, Any]:
    return next(dict(event["saw"]["git_push"]) for event in events if "git_push" in event.get("saw", {}))


def _retold(journal: list[Any], marker: dict[str, Any], now: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return a journal and a marker row in which this repository's commits replace the original ones."""
    text, then = json.dumps([journal, marker]), _pushed(journal)
    for key in ("sha", "before", "before_tree"):
        text = text.replace(then[key], now[key])
    journal, marker = json.loads(text)
    return journal, marker


def _literal(value: str | float | None) -> str:
    text = str(value).replace("'", "''")
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{text}'"


@pytest.mark.parametrize("version", stored.VERSIONS)
@pytest.mark.parametrize("run", ["killed", "arrived"])
async def test_run_of_an_earlier_version_is_rolled_back(production: VirtualProduction, version: str, run: str) -> None:
    """A run that was killed, or arrived, is rolled back from the journal that its version wrote."""
    before = await production.state()
    name = await _left_by(production, version, run)
    ending = await production.release("--rollback")
    assert (ending.code, ending.report["verdict"], ending.report["of"]) == (0, "rolled_back", name), ending.report
    assert set(ending.steps("undo").values()) == {"done"}
    assert await production.state() == before
    assert await production.sql("SELECT state FROM _orchestrate_migrations") == [("rolled_back",)]


@pytest.mark.parametrize("version", stored.VERSIONS)
async def test_run_of_an_earlier_version_is_rolled_back_without_its_journal(
    production: VirtualProduction, version: str
) -> None:
    """If the journal is lost, the marker row that the version wrote is enough."""
    before = await production.state()
    name = await _left_by(production, version, "killed")
    shutil.rmtree(production.folder / "runs" / name)
    await production.sql("UPDATE _orchestrate_lock SET expires_at = 1")
    ending = await production.release("--rollback", name)
    assert (ending.code, ending.report["verdict"]) == (0, "rolled_back"), ending.report
    assert await production.state() == before


@pytest.mark.parametrize("version", stored.VERSIONS)
async def test_run_of_an_earlier_version_is_accepted(production: VirtualProduction, version: str) -> None:
    """While it is in doubt, neither a release nor an unlock is allowed; accepting the run settles it."""
    name = await _left_by(production, version, "killed")
    await production.sql("UPDATE _orchestrate_lock SET expires_at = 1")
    release, unlock = await production.release(), await production.release("--unlock", name)
    assert (release.code, unlock.code) == (3, 3)
    assert f"--rollback {name}" in release.report["next_action"]
    accepted = await production.release("--accept", name)
    assert (accepted.code, accepted.report["verdict"]) == (0, "accepted"), accepted.report
    assert "it was cut off" not in str((await production.release("--dry-run")).report["cause"])
