"""The stage of production: the real git, Vercel, Turso and site, opened before the clock and closed after it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from urllib.parse import urlsplit

from steps.support.gateways.git import Git
from steps.support.gateways.http import LIVENESS, client_for
from steps.support.gateways.site import Site
from steps.support.gateways.transport import connect
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.settings import Settings
from steps.support.stage import Stage


@asynccontextmanager
async def production(settings: Settings) -> AsyncIterator[Stage]:
    """Open the four gateways on what the settings name."""
    secrets, vercel = settings.secrets, settings.vercel
    assert settings.repository  # noqa: S101 - for_production has seen to it
    assert secrets.vercel_token  # noqa: S101 - likewise
    token, bypass = secrets.turso_auth_token, secrets.vercel_automation_bypass_secret
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {secrets.vercel_token.get_secret_value()}"}
        api = client_for(vercel.api, timeout=LIVENESS, headers=headers)
        site = client_for(settings.site, timeout=LIVENESS)
        await stack.enter_async_context(api)
        await stack.enter_async_context(site)
        database = await stack.enter_async_context(
            aclosing(connect(settings.turso.url, token.get_secret_value() if token else None))
        )
        yield Stage(
            Git(settings.repository, settings.remote, settings.branch),
            Vercel(api, vercel.project, vercel.team, urlsplit(settings.site).hostname or ""),
            Turso(database),
            Site(site, bypass.get_secret_value() if bypass else None),
        )
