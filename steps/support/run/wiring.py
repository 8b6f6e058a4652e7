"""Open the gateways of production: the real git, Vercel, Turso and site."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from urllib.parse import urlsplit

from steps.support.config.settings import HealthSettings, Settings
from steps.support.gateways.database.connect import connect, expiry_of
from steps.support.gateways.deployer import Deployer
from steps.support.gateways.git import Git
from steps.support.gateways.http import LIVENESS, client_for
from steps.support.gateways.site import Request, Site
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.proof.config import LockLimits, ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.rehearsal import sqld
from steps.support.run.release import Demands, Gateways, HealthCheck, Source


@asynccontextmanager
async def production(settings: Settings) -> AsyncIterator[Gateways]:
    """Open the four gateways to the production environment in the settings, and close them after the block."""
    secrets, vercel = settings.secrets, settings.vercel
    assert settings.repository  # noqa: S101 - for_production has checked it
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
        yield Gateways(
            Git(settings.repository, settings.remote, settings.branch),
            Vercel(api, vercel.project, vercel.team, urlsplit(settings.site).hostname or ""),
            Turso(database, expiry_of(token.get_secret_value()) if token else None),
            Site(site, bypass.get_secret_value() if bypass else None),
            Deployer(vercel.deploy, settings.repository, secrets.vercel_token.get_secret_value()),
        )


def demands(settings: Settings) -> Demands:
    """Return what a release requires of the platform."""
    staged = 'budget.starts is "live"' if settings.budget.starts == "live" else ""
    budget = settings.budget
    lasts = budget.total + budget.reserve + (budget.build if staged else 0)
    appears = settings.limits.deployment_appears
    return Demands(settings.vercel.required_env, settings.vercel.pause_crons, staged, appears, lasts)


def source(settings: Settings) -> Source:
    """Return how the commit to be released gets to the platform."""
    if settings.release == "push":
        return Source.PUSH
    return Source.COMMAND if settings.vercel.deploy else Source.BRANCH


def proof_settings(settings: Settings) -> ProofConfig:
    """Return the settings for proving a change: the folder, the server, and the limits of copies and locks."""
    limits = Limits(settings.rehearsal.most_seconds, settings.rehearsal.most_bytes)
    allowed = LockLimits(settings.limits.lock, settings.limits.lock_bytes, settings.turso.sole_writer)
    return ProofConfig(settings.runs, sqld.find(settings.rehearsal.sqld), limits, allowed)


def health_checks(settings: Settings, environment: dict[str, str]) -> tuple[HealthCheck, ...]:
    """Return the health checks, with each `$NAME` in a header replaced by its value from the environment."""
    return tuple(_check(health, environment) for health in settings.health)


def _check(health: HealthSettings, environment: dict[str, str]) -> HealthCheck:
    def filled(headers: dict[str, str]) -> dict[str, str]:
        return {key: re.sub(r"\$(\w+)", lambda match: environment[match[1]], value) for key, value in headers.items()}

    request, before = Request(health.path, health.method, filled(health.headers)), None
    if earlier := health.before:
        earlier_request = Request(earlier.path, health.method, filled(earlier.headers))
        before = HealthCheck(health.name, earlier_request, earlier.expect, health.writes)
    return HealthCheck(health.name, request, health.expect, health.writes, before)
