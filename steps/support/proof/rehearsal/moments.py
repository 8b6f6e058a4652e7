"""Recognize values that are the time of a write: they differ from phase to phase although nothing is lost.

Such a value, read in some unit, is a time between the beginning and the end of the rehearsal by the engine's own clock.
No value in the copy is such a time, because the rehearsal begins in a later second than the newest time in the copy. So
a value of the copy that gets lost is never mistaken for the time of a write.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from steps.support.proof.rows.tables import first_rows
from steps.support.schema.own_tables import is_owned
from steps.support.schema.reader import open_file
from steps.support.sql.statement import Statement, Value

CLOCK = Statement("SELECT (julianday('now') - 2440587.5) * 86400.0", name="the engine's clock")

_EPOCH_DAY, _DAY = 2440587.5, 86400.0  # the Julian day of 1970-01-01; the seconds of a day
_SCALES = {
    "s": 1,
    "ms": 1_000,
    "us": 1_000_000,
    "ns": 1_000_000_000,
}  # units of a number: how many of them make a second
_AS_DIGITS = "%Y%m%d%H%M%S"


@dataclass(frozen=True, slots=True)
class Moments:
    """A span of time. `began`, `ended`: in seconds since 1970 by the engine's clock."""

    began: float
    ended: float

    def unit(self, value: Value) -> str:
        """Return the unit in which a value is a time within the span; empty if there is no such unit."""
        if self.ended < self.began:
            return ""
        if isinstance(value, str):
            return next(self._of_text(value), "") if value[:1].isdigit() else ""
        if isinstance(value, bytes) or value is None:
            return ""
        return next((f"{type(value).__name__} {unit}" for unit in self._of_number(value)), "")

    def same(self, one: Value, other: Value) -> bool:
        """Return True if two values are equal, or are both times within the span in the same unit."""
        if type(one) is type(other) and one == other:
            return True
        unit = self.unit(one)
        return bool(unit) and unit == self.unit(other)

    def _of_number(self, value: float) -> Iterator[str]:
        if not math.isfinite(value):
            return
        yield from (unit for unit, parts in _SCALES.items() if self._holds(value / parts))
        if self._holds((value - _EPOCH_DAY) * _DAY, spare=0.001):
            yield "day"
        if value == int(value) and len(str(int(value))) == len("YYYYMMDDHHMMSS"):
            yield from self._of_digits(str(int(value)))

    def _of_text(self, text: str) -> Iterator[str]:
        if len(text) == len("YYYYMMDDHHMMSS") and text.isdigit():
            yield from self._of_digits(text)
        for kind in (datetime.fromisoformat, date.fromisoformat, time.fromisoformat, float):
            try:
                found = kind(text)
            except ValueError:
                continue
            if isinstance(found, float):
                yield from (f"text {unit}" for unit in self._of_number(found))
            elif isinstance(found, time) and ":" in text:
                yield from self._of_time(found, f"time of {len(text)}")
            elif len(text) == len("YYYY-MM-DD"):
                yield from self._of_day(text)
            elif isinstance(found, datetime):
                shape = "".join("0" if char.isdigit() else char for char in text)
                yield from self._of_date_and_time(found, shape)

    def _of_digits(self, text: str) -> Iterator[str]:
        with suppress(ValueError):
            found = datetime.strptime(text, _AS_DIGITS)  # noqa: DTZ007 - UTC or local time
            yield from self._of_date_and_time(found, "digits")

    def _of_date_and_time(self, found: datetime, unit: str) -> Iterator[str]:
        zones = [found] if found.tzinfo else [found.replace(tzinfo=UTC), found.astimezone()]
        if any(self._holds(each.timestamp()) for each in zones):
            yield unit

    def _of_day(self, text: str) -> Iterator[str]:
        if text in {each.date().isoformat() for each in self._ends()}:
            yield "day of the year"

    def _of_time(self, found: time, unit: str) -> Iterator[str]:
        days = {each.date() for each in self._ends()}
        if any(
            self._holds(datetime.combine(day, found, each.tzinfo).timestamp()) for day in days for each in self._ends()
        ):
            yield unit

    @property
    def _floor(self) -> float:
        """Return the beginning of the span, rounded down to a whole second, because most clocks count whole seconds."""
        return self.began // 1 if math.isfinite(self.began) else self.began

    def _ends(self) -> list[datetime]:
        """Return the beginning and the end of the span, each in UTC and in this machine's time zone."""
        both = [datetime.fromtimestamp(each, UTC) for each in (self.began, self.ended)]
        return [*both, *(each.astimezone() for each in both)]

    def _holds(self, seconds: float, spare: float = 0) -> bool:
        return self._floor - spare <= seconds <= self.ended + spare


NEVER = Moments(math.inf, -math.inf)


def holds_moment(file: Path, moments: Moments) -> bool:
    """Return True if one of the first rows of any table in a database file contains a time within the span."""
    with open_file(file) as connection:
        names = [str(name) for (name,) in connection.execute(_TABLES).fetchall() if not is_owned(str(name))]
        rows = (row for name in names for row in first_rows(connection, name, _LOOKED_AT))
        return any(moments.unit(value) for row in rows for value in row)


_LOOKED_AT = 1_000  # rows of each table
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"
