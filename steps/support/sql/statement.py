"""A statement, and the values that it takes."""

from dataclasses import dataclass, field

Value = None | int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement, its positional arguments, and what to call it when it fails."""

    sql: str
    args: tuple[Value, ...] = ()
    name: str = field(default="", compare=False)
