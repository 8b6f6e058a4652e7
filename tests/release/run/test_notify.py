"""Notifications of whole runs: they report the run and never change it, even if they fail."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE

import pytest

from steps.support.console import notify
from steps.support.standin.drill.forked import TOOL
from tests.support.production.base import FAILING
from tests.support.production.process import Production
from tests.support.servers.receiver import hanging, receiving

pytestmark = [pytest.mark.anyio, pytest.mark.on("process")]

TOKEN = "T0kenInAnAddress"  # noqa: S105 - it opens nothing


async def test_notifications_arrive_and_do_not_change_the_run(production: Production) -> None:
    """Start and end arrive; refusing, hanging or invalid services cost one warning; no file or line has a token."""
    with receiving() as (server, messages), receiving(500) as (refusing, _), hanging() as silent:
        urls = f"json://{server}/{TOKEN} json://{refusing}, json://user:{TOKEN}@{silent} {TOKEN}"
        production.settings["NOTIFY_URLS"] = urls
        ending = await production.release(health=FAILING)
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert [each["title"] for each in messages] == ["STARTED: vendor-sites", "ROLLED BACK: vendor-sites"]
    assert ending.report["cause"] in messages[1]["message"]
    third = f"({notify.REFUSED}|{notify.SILENT})"
    warned = f"warning: notifying, address 2 of 4: {notify.REFUSED}; 3 of 4: {third}; 4 of 4: {notify.UNKNOWN}\n"
    assert re.fullmatch(warned, ending.said)
    texts = [path.read_bytes() for path in (production.folder / "runs").rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in text for text in (*texts, ending.said.encode(), str(ending.events).encode()))


async def test_dry_run_sends_no_notification(production: Production) -> None:
    """A dry run of production changes nothing, and sends nothing."""
    with receiving() as (server, messages):
        production.settings["NOTIFY_URLS"] = f"json://{server}"
        ending = await production.release("--dry-run")
    assert (ending.code, messages) == (0, [])


async def test_apprise_is_not_imported_without_configuration(production: Production) -> None:
    """Without a configured address, a whole run imports no module of apprise."""
    words = ("-X", "importtime", str(TOOL), "--prod", "--yes", "--config", str(production.configure()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=PIPE, stderr=PIPE, env=production.environment, cwd=production.folder
    )
    _, imported = await process.communicate()
    assert process.returncode == 0
    assert b"steps.support.console.notify" in imported
    assert b"apprise" not in imported
