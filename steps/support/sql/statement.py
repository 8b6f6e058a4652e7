"""The smallest unit that is sent to a database: a statement with its argument values."""

from dataclasses import dataclass, field

Value = None | int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement, the values of its positional parameters, and the name that error messages give it."""

    sql: str
    args: tuple[Value, ...] = ()
    name: str = field(default="", compare=False)
