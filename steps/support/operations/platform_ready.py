"""Refuse a release that the platform's settings would let go wrong, before anything is begun."""

import time

from steps.support.core.errors import Code, Refused
from steps.support.gateways.git import Git
from steps.support.gateways.vercel import Project, Vercel

ALL_AT_ONCE = "Finish or abort it on the platform: a rollback would not reach the users it serves."


async def refuse_rolling_release(vercel: Vercel) -> None:
    """Raise Refused if a promotion would move visitors step by step, or if a rolling release is in progress."""
    if await vercel.rolling_release():
        raise _refused("the platform", "a rolling release is in progress", ALL_AT_ONCE)
    if (await vercel.project()).is_gradual:
        cause = "rolling releases are configured: a promotion would move only some visitors at first"
        raise _refused("the platform", cause, "Disable them in the project's settings during this release.")


async def refuse_other_branch(vercel: Vercel, git: Git, live: str) -> None:
    """Raise Refused if the Git integration would build our branch as a preview.

    A project whose live deployment came from the CLI does not depend on that branch.
    """
    project: Project = await vercel.project()
    if project.branch in ("", git.branch) or (await vercel.deployment(live)).by_cli:
        return
    cause = f"its production branch is {project.branch}: what is on {git.branch} becomes a preview, and never goes live"
    remedy = f"Set `branch` to {project.branch}, or change the production branch in the project's settings."
    raise _refused(f"project {project.name}", cause, remedy)


async def refuse_missing_variables(vercel: Vercel, required: tuple[str, ...]) -> None:
    """Raise Refused if production does not have all of these variables, as its own or shared by the team."""
    missing = set(required) - (await vercel.production_variables() if required else set())
    if missing and (missing := missing - await vercel.shared_variables()):
        cause = f"production has no {', '.join(sorted(missing))}"
        remedy = "Set them on the platform, for production."
        raise _refused("the environment variables", cause, remedy)


async def refuse_expiring_token(vercel: Vercel, lasts: float) -> None:
    """Raise Refused if the token expires within so many seconds."""
    refuse_expiring("the Vercel token", await vercel.token_expiry(), lasts, "vercel-access", "VERCEL_TOKEN")


def refuse_expiring(token: str, expires: float | None, lasts: float, code: Code, variable: str) -> None:
    """Raise Refused if a token expires within so many seconds. `expires`: in seconds since 1970, None for never."""
    if expires is None or (left := expires - time.time()) > lasts:
        return
    when = f"expires in {left:.0f} s" if left > 0 else "has expired"
    raise Refused(
        code=code,
        operation="reading",
        subject=token,
        cause=f"it {when}, and a release with its rollback may take {lasts:.0f} s",
        remedy=f"Set {variable} to one that lasts longer.",
    )


def _refused(subject: str, cause: str, remedy: str) -> Refused:
    return Refused(code="platform-not-ready", operation="reading", subject=subject, cause=cause, remedy=remedy)
