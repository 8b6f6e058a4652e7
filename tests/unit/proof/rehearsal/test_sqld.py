"""The server of a rehearsal holds a copy of production: it answers nobody without its key, and it is certainly ours."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import httpx
import psutil
import pytest
from aiohttp import web

from steps.support.core.errors import Problem, Rejected
from steps.support.gateways.database.connect import connect
from steps.support.proof.rehearsal import sqld
from steps.support.proof.rehearsal.server import Engine, place_database
from steps.support.sql.statement import Statement
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

SELECT = Statement("SELECT 1")


async def test_rehearsal_answers_nobody_without_its_key(sqld_binary: Path, tmp_path: Path) -> None:
    """The rehearsal reads its own database; a stranger on this machine, who knows the address, reads nothing."""
    (empty := tmp_path / "empty.db").touch()
    await place_database(empty, tmp_path / "server")
    async with Engine(sqld_binary, foreign_keys=True).opened(tmp_path / "server") as running:
        assert (await running.database.query(SELECT)).scalar == 1
        url = running.database.address
        for token in (None, sqld.new_key()):
            async with aclosing(connect(url, token)) as stranger:
                with pytest.raises(Rejected):
                    await stranger.query(SELECT)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/dump")).status_code == 401


async def test_key_is_not_in_the_process_list(sqld_binary: Path, tmp_path: Path) -> None:
    """The key reaches the server in its environment: the command line, which every user can read, has none of it."""
    key = sqld.new_key()
    async with sqld.serve(sqld_binary, tmp_path / "server", key=key):
        words = [word for each in psutil.process_iter(["cmdline"]) for word in each.info["cmdline"] or ()]
    assert any("--http-listen-addr" in word for word in words)
    assert not any(key in word for word in words)


async def test_stranger_on_the_port_is_not_taken_for_the_server(
    sqld_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another process got the port first and answers as if it were well, the rehearsal does not start on it."""

    async def well(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/health", well)
    async with serve(app) as url:
        monkeypatch.setattr(sqld, "free_port", lambda: int(url.rpartition(":")[2]))
        async with asyncio.timeout(20):
            with pytest.raises(Problem, match="the server ended with exit code"):
                async with sqld.serve(sqld_binary, tmp_path / "server"):
                    pytest.fail("it is not ours")
