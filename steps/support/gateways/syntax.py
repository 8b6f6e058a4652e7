"""Which of an engine's complaints about a statement hold whatever the schema is."""

import re
from collections.abc import Sequence

_WHATEVER_THE_SCHEMA = re.compile(
    r"syntax error|incomplete input|unrecognized token|only execute one statement|null character"
    r"|RAISE\(\) may only|same number of terms|parameters (are not allowed|prohibited)"
    r"|no such function|wrong number of arguments"
)


def syntax_error(message: str) -> str | None:
    """Give the message back if no schema could make the statement run; None where an earlier statement may."""
    return message if _WHATEVER_THE_SCHEMA.search(message) else None


def bound_parameters(names: Sequence[str | None]) -> str | None:
    """Say that a statement asks for values that nobody gives."""
    return f"bound parameters without a value: {', '.join(name or '?' for name in names)}" if names else None
