"""Looking at the outside world before anything begins: a few tries, and a refusal where there is no answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from steps.support.engine.step import Refused
from steps.support.gateways.answers import NotSent, Rejected, Unknown
from steps.support.retry import insist

Result = TypeVar("Result")

TRIES, PATIENCE = 3, 10.0  # seconds for each


async def looked(look: Callable[[], Awaitable[Result]]) -> Result:
    """Give what a look sees. Raises Refused with what the other side said last."""
    try:
        return await insist(look, patience=PATIENCE, tries=TRIES)
    except (NotSent, Rejected, Unknown) as error:
        raise Refused(error.operation, error.subject, error.cause, error.remedy) from None
