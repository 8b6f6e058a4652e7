"""A real server that holds a copy of a database in memory: what a proof needs, which is made on the real engine."""

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from steps.support.core import event_loop
from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.rehearsal import sqld

Result = TypeVar("Result")
Ask = Callable[[Turso], Coroutine[Any, Any, Result]]


def on_server(content: bytes, binary: Path, ask: Ask[Result]) -> Result:
    """Ask a server that holds this content; a clock that jumps stands still meanwhile."""
    with TemporaryDirectory(prefix="server-") as folder, ThreadPoolExecutor(1) as thread:  # it has a loop of its own
        return thread.submit(event_loop.run, _asked(content, binary, Path(folder), ask)).result()


async def _asked(content: bytes, binary: Path, folder: Path, ask: Ask[Result]) -> Result:
    place = folder / sqld.PLACE
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    async with sqld.serve(binary, folder) as url, aclosing(connect(url, None)) as database:
        return await ask(Turso(database))
