"""What must be true of an answer, as JMESPath, with the one question about times that JMESPath itself cannot ask."""

from datetime import datetime
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

TOLERANCE = 2.0  # seconds; the app keeps whole seconds, and the database's clock is not the app's


class _Times(functions.Functions):
    """Adds is_fresh(time, before, committed_at)."""

    @functions.signature({"types": []}, {"types": []}, {"types": []})
    def _func_is_fresh(self, time: Any, before: Any, committed: Any) -> bool:
        return fresh(time, before, committed)


_OPTIONS = jmespath.Options(custom_functions=_Times())


def fresh(time: str | None, before: str | None, committed: str | None) -> bool:
    """Say whether a time (ISO 8601) is newer than the one before, and not older than the commit.

    Where nothing is committed yet, having a time at all is enough.
    """
    if time is None or committed is None:
        return time is not None
    newer = before is None or _seconds(time) > _seconds(before)
    return newer and _seconds(time) >= _seconds(committed) - TOLERANCE


def holds(expression: str, facts: dict[str, Any]) -> bool:
    """Say whether an expression is true of the facts; of an answer of another shape it is not."""
    try:
        return bool(jmespath.search(expression, facts, options=_OPTIONS))
    except (JMESPathError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
