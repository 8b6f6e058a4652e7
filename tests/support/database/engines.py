"""Two engines with one interface: the real libSQL server, and Python's SQLite."""

import shutil
import sqlite3
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from steps.support.proof.rehearsal import sqld

Row = tuple[Any, ...]


LOOPBACK = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # created once: a default client would load all certificates


class Refusal(Exception):  # noqa: N818 - what a guard does is refuse
    """A statement failed; its transaction was rolled back."""


class Engine(Protocol):
    """A database that takes plain SQL. Every error is a Refusal with the engine's own message."""

    foreign_keys: bool  # default of every new connection

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement on a connection of its own, with the engine's defaults."""

    async def transaction(self, statements: Sequence[str], *, foreign_keys: bool = False) -> None:
        """Run all statements as one transaction with foreign keys set before it, or none of them."""


class Sqlite:
    """SQLite: foreign keys are off unless switched on."""

    foreign_keys = False

    def __init__(self, path: Path) -> None:
        self.path = path

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement."""
        connection = self._connect(foreign_keys=False)
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise Refusal(str(error)) from None
        finally:
            connection.close()

    async def transaction(self, statements: Sequence[str], *, foreign_keys: bool = False) -> None:
        """Run all statements, or none."""
        connection = self._connect(foreign_keys=foreign_keys)
        try:
            for sql in ("BEGIN IMMEDIATE", *statements, "COMMIT"):
                connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise Refusal(str(error)) from None
        finally:
            connection.close()

    def _connect(self, *, foreign_keys: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")
        return connection


class Libsql:
    """The real server over Hrana: foreign keys are on unless switched off."""

    foreign_keys = True

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement."""
        result = await self._ask({"type": "execute", "stmt": {"sql": sql}})
        return [tuple(_value(cell) for cell in row) for row in result["rows"]]

    async def transaction(self, statements: Sequence[str], *, foreign_keys: bool = False) -> None:
        """Run all statements as one conditioned batch: each only if the one before succeeded."""
        run = (f"PRAGMA foreign_keys = {int(foreign_keys)}", "BEGIN IMMEDIATE", *statements, "COMMIT")
        steps: list[dict[str, Any]] = [
            {"stmt": {"sql": sql}, "condition": {"type": "ok", "step": index - 1} if index else None}
            for index, sql in enumerate(run)
        ]
        failed = {"type": "not", "cond": {"type": "ok", "step": len(run) - 1}}
        steps.append({"stmt": {"sql": "ROLLBACK"}, "condition": failed})
        result = await self._ask({"type": "batch", "batch": {"steps": steps}})
        if result["step_results"][len(run) - 1] is None:
            raise Refusal(next(error["message"] for error in result["step_errors"] if error))

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = await self._client.post("/v3/pipeline", json={"requests": [request, {"type": "close"}]})
        first = answer.json()["results"][0]
        if first["type"] == "error":
            raise Refusal(first["error"]["message"])
        result: dict[str, Any] = first["response"]["result"]
        return result


def _value(cell: dict[str, Any]) -> Any:
    return int(cell["value"]) if cell["type"] == "integer" else cell.get("value")


@asynccontextmanager
async def libsql(binary: Path, folder: Path) -> AsyncIterator[Libsql]:
    """Run the server on a folder while the block runs."""
    async with (
        sqld.serve(binary, folder) as url,
        httpx.AsyncClient(base_url=url, timeout=30, verify=LOOPBACK) as client,
    ):
        yield Libsql(client)


@asynccontextmanager
async def copied(kind: str, binary: Path, original: Path, folder: Path) -> AsyncIterator[Engine]:
    """Open a copy of a database that is not in use, on the engine of that kind."""
    if kind == "sqlite":
        yield Sqlite(Path(shutil.copy(original, folder)))
        return
    shutil.copytree(original, folder / "sqld")
    async with libsql(binary, folder / "sqld") as engine:
        yield engine
