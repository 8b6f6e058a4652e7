"""A statement and its argument values."""

from dataclasses import dataclass, field

Value = None | int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement, its positional arguments, and its name in error messages."""

    sql: str
    args: tuple[Value, ...] = ()
    name: str = field(default="", compare=False)
