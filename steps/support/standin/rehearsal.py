"""The gateways of a rehearsal: the usual four, but connected to a small production on this machine."""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from steps.support.config.settings import Settings
from steps.support.core.errors import Problem, Refused
from steps.support.core.events import Warned
from steps.support.gateways.database.connect import connect
from steps.support.gateways.git import Git
from steps.support.gateways.http import LIVENESS, client_for
from steps.support.gateways.site import Site
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.proof.copy.copy import from_file
from steps.support.proof.rehearsal import sqld
from steps.support.run.journal import Journal
from steps.support.run.release import Gateways
from steps.support.run.wiring import proof_settings
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.world import HOST, TOKEN, LocalProduction, local_production

SECRETS: dict[str, str] = defaultdict(lambda: TOKEN)  # what every `$NAME` in a header stands for in a rehearsal
SET_UP = 30.0  # seconds
KINDS: tuple[Kind, ...] = get_args(Kind)


def fault(words: str | None, steps: tuple[str, ...]) -> Faults:
    """Parse STEP[:KIND] into faults. If `words` is empty or None, the faults break nothing.

    Raise Problem, which lists the valid choices, if the step or the kind is unknown.
    """
    if not words:
        return Faults()
    step, _, given = words.partition(":")
    kind = next((each for each in KINDS if each == (given or "fail")), None)
    if step not in steps or kind is None:
        remedy = f"STEP is one of {', '.join(steps)}; KIND one of {', '.join(KINDS)}, kill."
        raise Problem(
            code="usage", operation="reading", subject=f"--fail {words}", cause="there is no such fault", remedy=remedy
        )
    return Faults(step, kind)


@asynccontextmanager
async def rehearsal(
    settings: Settings, faults: Faults, journal: Journal, *, staged: bool, copy: Path | None
) -> AsyncIterator[Gateways]:
    """Open the gateways to a local production that is made for this run and removed afterwards.

    `copy`: the file from which its database is copied, or None for the sample.
    """
    journal.listen(lambda event, _run: faults(event))
    binary = sqld.find(settings.rehearsal.sqld)
    if binary is None and faults.step in ("turso_migration", "verification_query"):
        raise Refused(
            code="stand-ins",
            operation="breaking",
            subject=faults.step,
            cause="only the real server can be broken",
            remedy=f"Fetch it: {sqld.FETCH}",
        )
    if binary is None:
        journal.note(Warned(text=f"sqld is not installed, so this runs on SQLite; fetch it with: {sqld.FETCH}"))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = HOST  # everything is on this machine
    with TemporaryDirectory(prefix="orchestrate-") as folder:
        async with AsyncExitStack() as stack:
            own = await _copied(copy, Path(folder), settings) if copy else None
            async with asyncio.timeout(SET_UP):
                making = local_production(Path(folder), settings.sql, binary, faults, staged=staged, copy=own)
                made = await stack.enter_async_context(making)
            yield await _gateways(made, stack)


async def _copied(copy: Path, folder: Path, settings: Settings) -> Path:
    """Copy the operator's own file, or load it if it is a dump. Raise Problem if it is neither."""
    (place := folder / "copy").mkdir()
    return (await from_file(copy, place, proof_settings(settings).limits)).path


async def _gateways(made: LocalProduction, stack: AsyncExitStack) -> Gateways:
    api = client_for(made.api_url, timeout=LIVENESS, headers={"Authorization": f"Bearer {TOKEN}"})
    visitor = client_for(made.site_url, timeout=LIVENESS)
    database = await stack.enter_async_context(aclosing(connect(made.database_url, made.database_key or None)))
    await stack.enter_async_context(api)
    await stack.enter_async_context(visitor)
    return Gateways(
        Git(made.checkout, "origin", "main"),
        Vercel(api, made.platform.name, None, HOST),
        Turso(database),
        Site(visitor, made.platform.bypass or None),
    )
