"""A small production on loopback: a database, a git remote, the platform, the site, and a checkout.

The checkout has a real history: the live code is pushed, and one more commit waits to be released.
"""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp.web import Application

from steps.support.change.folder import text_of
from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.proof.rehearsal import sqld
from steps.support.sql.findings import NEW_CODE, OLD_CODE, SAMPLE
from steps.support.sql.script import split
from steps.support.standin import git_remote
from steps.support.standin.faults import Faults
from steps.support.standin.git_remote import ENVIRONMENT
from steps.support.standin.proxy import Proxy
from steps.support.standin.servers import serve
from steps.support.standin.site import CONTRACT, Site
from steps.support.standin.vercel import api
from steps.support.standin.vercel.hosts import routed
from steps.support.standin.vercel.platform import Platform

LIVE = "The code that is live"
IDENTITY = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.invalid", "-c", "commit.gpgsign=false")


TOKEN = "standin-token"  # noqa: S105 - it opens nothing but the stand-ins
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class LocalProduction:
    """The addresses of a local production, and what is needed to inspect and break it.

    `database`: the connection that the site uses, which bypasses the proxy. `database_url`: the address that a run
    uses. `proxy`: the proxy in front of the database, or None if that is a SQLite file. `database_key`: what the server
    wants of everybody, because a copy of production is in it; empty if it is not.
    """

    checkout: Path
    remote: Path
    platform: Platform
    proxy: Proxy | None
    database: Database
    database_url: str
    api_url: str
    site: Site
    site_url: str
    database_key: str = field(default="", repr=False)


@asynccontextmanager
async def local_production(  # noqa: PLR0913 - the parts of the local production
    folder: Path, sql: Path, binary: Path | None, faults: Faults, *, staged: bool = False, copy: Path | None = None
) -> AsyncIterator[LocalProduction]:
    """Build a local production in `folder`.

    Its database is the real server if `binary` is given, otherwise a SQLite file. It contains what is in `copy`, a
    SQLite file that is moved, or what sample.sql creates.
    """
    async with AsyncExitStack() as stack:
        key = sqld.new_key() if binary and copy else ""
        direct, url, proxy = await _database(stack, folder, binary, faults, copy, key=key)
        database = await stack.enter_async_context(aclosing(connect(direct, key or None)))
        if copy is None:
            await database.transaction(split(text_of(sql, SAMPLE), SAMPLE))
        platform = Platform(HOST, faults, TOKEN, auto_assign=not staged)
        remote = await _history(stack, folder, sql, faults, platform)
        site = Site(
            platform.live_sha,
            lambda sha: remote.show(sha, CONTRACT),
            database,
            faults,
            auth_token=TOKEN,
            cron_secret=TOKEN,
        )
        api_url = await _served(stack, api.application(platform))
        site_url = await _served(stack, site.application(routed(platform)))
        yield LocalProduction(
            folder / "app", folder / "remote.git", platform, proxy, database, url, api_url, site, site_url, key
        )


async def _database(  # noqa: PLR0913 - the parts of the database
    stack: AsyncExitStack, folder: Path, binary: Path | None, faults: Faults, copy: Path | None, *, key: str
) -> tuple[str, str, Proxy | None]:
    """Return the database's own address, the address that a run uses, and the proxy between them (None for a file)."""
    place = folder / "database" / sqld.PLACE if binary else folder / "database.db"
    if copy:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(copy, place)
    if binary is None:
        place.touch()
        return (file := f"file:{place}"), file, None
    direct = await stack.enter_async_context(sqld.serve(binary, folder / "database", key=key))
    proxy = Proxy(direct, faults)
    return direct, await _served(stack, proxy.application()), proxy


async def _history(
    stack: AsyncExitStack, folder: Path, sql: Path, faults: Faults, platform: Platform
) -> git_remote.GitRemote:
    """Create the commits of the app. The older one is live, and the newer one waits to be released."""
    bare = await git_remote.create(folder / "remote.git")
    old, new = (text_of(sql, name) for name in (OLD_CODE, NEW_CODE))
    platform.deployed(await create_app(folder / "app", bare, old, new), "main", LIVE)
    remote = git_remote.GitRemote(bare, faults, platform.pushed)
    await add_remote(folder / "app", f"{await _served(stack, await remote.application())}/remote.git")
    return remote


async def _served(stack: AsyncExitStack, server: Application) -> str:
    return await stack.enter_async_context(serve(server))


async def create_app(checkout: Path, remote: Path, old: str, new: str) -> str:
    """Create a checkout with the contract `old` on the remote, and the contract `new` one commit ahead.

    Return the commit that the remote has.
    """
    await _git("init", "--quiet", "--initial-branch=main", str(checkout))
    live = await _commit(checkout, old, LIVE)
    await _git("-C", str(checkout), "push", "--quiet", str(remote), "HEAD:refs/heads/main")
    await _commit(checkout, new, "The code that is to be released")
    return live


async def add_remote(checkout: Path, url: str) -> None:
    """Add the remote to the checkout as origin."""
    await _git("-C", str(checkout), "remote", "add", "origin", url)


async def _commit(checkout: Path, contract: str, subject: str) -> str:
    (checkout / CONTRACT).write_text(contract, encoding="utf-8")
    await _git("-C", str(checkout), "add", CONTRACT)
    await _git("-C", str(checkout), *IDENTITY, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", subject)
    return (await _git("-C", str(checkout), "rev-parse", "HEAD")).strip()


async def _git(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=ENVIRONMENT
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Problem(
            code="stand-ins",
            operation="running",
            subject=f"git {' '.join(arguments)}",
            cause=err.decode(errors="replace").strip(),
            remedy="Check git.",
        )
    return out.decode(errors="replace")
