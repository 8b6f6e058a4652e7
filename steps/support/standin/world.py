"""A small production on loopback: database, git remote, platform, site, and a checkout with a commit to release."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp.web import Application

from steps.support.gateways.database.connect import connect
from steps.support.gateways.database.protocol import Database
from steps.support.proof import sqld
from steps.support.sql.script import split
from steps.support.standin import app, git_remote
from steps.support.standin.faults import Faults
from steps.support.standin.proxy import Proxy
from steps.support.standin.servers import serve
from steps.support.standin.site import CONTRACT, Site
from steps.support.standin.vercel import api
from steps.support.standin.vercel.hosts import routed
from steps.support.standin.vercel.platform import Platform

TOKEN = "standin-token"  # noqa: S105 - it opens nothing but the stand-ins
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class LocalProduction:
    """The addresses of a local production, and the handles to inspect and break it.

    The site uses `database`; a run uses `database_url`, which bypasses the proxy (None on a SQLite file).
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


@asynccontextmanager
async def local_production(  # noqa: PLR0913 - the parts of the local production
    folder: Path, sql: Path, binary: Path | None, faults: Faults, *, staged: bool = False, copy: Path | None = None
) -> AsyncIterator[LocalProduction]:
    """Build it in `folder`, on the real database server if `binary` is given, otherwise on a SQLite file.

    Its database is `copy`, a SQLite file that this consumes, or otherwise what sample.sql creates.
    """
    async with AsyncExitStack() as stack:
        direct, url, proxy = await _database(stack, folder, binary, faults, copy)
        database = await stack.enter_async_context(aclosing(connect(direct, None)))
        if copy is None:
            await database.transaction(split((sql / "sample.sql").read_text(encoding="utf-8"), "sample.sql"))
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
            folder / "app", folder / "remote.git", platform, proxy, database, url, api_url, site, site_url
        )


async def _database(
    stack: AsyncExitStack, folder: Path, binary: Path | None, faults: Faults, copy: Path | None
) -> tuple[str, str, Proxy | None]:
    """Return the database's own address, the address that a run uses, and the proxy between the two."""
    place = folder / "database" / sqld.PLACE if binary else folder / "database.db"
    if copy:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(copy, place)
    if binary is None:
        place.touch()
        return (file := f"file:{place}"), file, None
    direct = await stack.enter_async_context(sqld.serve(binary, folder / "database"))
    proxy = Proxy(direct, faults)
    return direct, await _served(stack, proxy.application()), proxy


async def _history(
    stack: AsyncExitStack, folder: Path, sql: Path, faults: Faults, platform: Platform
) -> git_remote.GitRemote:
    """Create the app's commits: the older one is live, the newer one waits to be released."""
    bare = await git_remote.create(folder / "remote.git")
    old, new = ((sql / "contract" / name).read_text(encoding="utf-8") for name in ("old.sql", "new.sql"))
    platform.deployed(await app.create(folder / "app", bare, old, new), "main", app.LIVE)
    remote = git_remote.GitRemote(bare, faults, platform.pushed)
    await app.point(folder / "app", f"{await _served(stack, await remote.application())}/remote.git")
    return remote


async def _served(stack: AsyncExitStack, server: Application) -> str:
    return await stack.enter_async_context(serve(server))
