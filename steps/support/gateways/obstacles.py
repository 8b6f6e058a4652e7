"""Answers that came from something in front of the app, or lead away from it; and what to do about each.

An obstacle is never proof that a release is unwell: a check that meets one asks again until its time ends.
"""

from dataclasses import dataclass

from steps.support.gateways.site import Answer

TOO_MANY = 429
STARTING = {502, 503, 504}  # what the platform answers for some seconds while functions start or the alias moves
REDIRECTS = range(300, 400)

PLATFORM = ("vercel.com", "www.vercel.com")  # where Deployment Protection sends a visitor to log in
_LOGIN = ("login", "log-in", "signin", "sign-in", "auth", "sso", "account")  # in the address of a login

_THROUGH = "let the checks through: a rule that bypasses it for a header, which the checks send"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What answered instead of the app. `cause`: what it is, and `remedy`: what to do if it stays.

    `is_before_app`: True if the request certainly did not reach the app, so that even one that writes may be repeated.
    """

    cause: str
    remedy: str
    is_before_app: bool = False


def obstacle(answer: Answer) -> Obstacle | None:
    """Return what answered instead of the app; None if the app itself may have answered."""
    if answer.is_challenge:
        cause = "the firewall challenges visitors (Security Checkpoint): browsers pass, programs do not"
        return Obstacle(cause, f"In the project's Firewall, {_THROUGH}.", is_before_app=True)
    if answer.status == TOO_MANY:
        pause = f", and asks to wait {answer.retry_after:.0f} s" if answer.retry_after else ""
        remedy = f"In the rate limit, {_THROUGH}; or set probe_rate lower."
        return Obstacle(f"too many requests{pause}", remedy, is_before_app=True)
    if answer.status in STARTING and answer.body is None:
        cause = "no function of the app answered: it starts, or the switch of production is not everywhere yet"
        return Obstacle(cause, "If it stays, read the deployment's logs: the function may crash as it starts.")
    return None


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a redirect leads to, as `cause`; and `remedy`: what to do about it, empty if that depends on the check."""

    cause: str
    remedy: str


def redirect(answer: Answer) -> Redirect | None:
    """Return what a redirect leads to, as far as its address tells; None if the answer is no redirect."""
    if answer.status not in REDIRECTS:
        return None
    to = answer.leads_to
    what = f"it redirects to {to}" if to else "it redirects"
    if to in PLATFORM:
        remedy = "Let the public address through in the project's Deployment Protection; "
        remedy += "VERCEL_AUTOMATION_BYPASS_SECRET opens deployments."
        return Redirect(f"{what}: Deployment Protection wants a login at Vercel", remedy)
    if _is_sibling(to, answer.host):
        return Redirect(
            f"{what}: the site has another address", f"Set `site` to the address that serves it: https://{to}."
        )
    if any(word in to.lower() for word in _LOGIN):
        return Redirect(f"{what}: a login", "")
    return Redirect(f"{what}: a login, a deployment protection, or another address of the site", "")


def _is_sibling(host: str, asked: str) -> bool:
    """Return True if one of two hosts is the other one with a label in front, such as www."""
    return bool(host and asked) and host != asked and (host.endswith(f".{asked}") or asked.endswith(f".{host}"))
