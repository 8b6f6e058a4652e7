"""Answers that came from something in front of the app, and so say nothing about its health; and what to do about each.

They are never proof that a release is unwell. A check that meets one asks again until its time ends.
"""

from dataclasses import dataclass

from steps.support.gateways.site import Answer

TOO_MANY = 429
STARTING = {502, 503, 504}  # what the platform answers for some seconds while functions start or the alias moves
REDIRECTS = range(300, 400)

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
