"""Decide whether a value whose type changed still means the same: 5 and '5', or a time as a text and as a number."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from steps.support.sql.statement import Value

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")  # '007' tells more than 7
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_UNITS = (1_000_000, 1_000, 1)  # seconds, milliseconds and microseconds, each in microseconds
_TRUTH = dict.fromkeys(("t", "true", "yes", "y", "on"), 1) | dict.fromkeys(("f", "false", "no", "n", "off"), 0)


def says_the_same(*both: Value) -> bool:
    """Return True if two values of different types mean the same. Neither value is NULL."""
    one, other = both
    if isinstance(other, str) and not isinstance(one, str):
        one, other = other, one
    if isinstance(one, bytes) or isinstance(other, bytes):
        return isinstance(one, str) and isinstance(other, bytes) and _is_text_of(one, other)
    if isinstance(one, str) and isinstance(other, int | float):
        return _is_number(one, other) or _TRUTH.get(one.lower()) == other or _is_time(one, other)
    return one == other


def _is_text_of(text: str, data: bytes) -> bool:
    return text.encode(errors="replace") == data or text.replace("-", "").lower() == data.hex()  # a UUID


def _is_number(text: str, number: float) -> bool:
    if not _NUMBER.fullmatch(text):
        return False
    return float(text) == number if isinstance(number, float) else Decimal(text) == number


def _is_time(text: str, number: float) -> bool:
    if not _TIME.match(text):
        return False
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return False
    since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH
    return any(number * unit == since // _MICROSECOND for unit in _UNITS)
