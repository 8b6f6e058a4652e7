"""The statements around every write transaction, and the checks of the statements inside it."""

import math
import re
from collections.abc import Iterable, Sequence

from steps.support.gateways.database.protocol import StatementFailed
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import TRANSACTION_CONTROL, first_word

_INDEPENDENT_OF_SCHEMA = re.compile(
    r"syntax error|incomplete input|unrecognized token|only execute one statement|null character"
    r"|RAISE\(\) may only|same number of terms|parameters (are not allowed|prohibited)"
    r"|no such function|wrong number of arguments"
)


def syntax_error(message: str) -> str | None:
    """Return the message if the statement fails on any schema; None if an earlier statement may make it run."""
    return message if _INDEPENDENT_OF_SCHEMA.search(message) else None


def bound_parameters(names: Sequence[str | None]) -> str | None:
    """Return the error for a statement with bound parameters, or None if it has none."""
    return f"bound parameters without a value: {', '.join(name or '?' for name in names)}" if names else None


FOREIGN_KEYS_OFF = Statement("PRAGMA foreign_keys=OFF", name="switching foreign keys off")
BEGIN = Statement("BEGIN IMMEDIATE", name="beginning the transaction")
FOREIGN_KEYS_ARE_OFF = Statement(
    "SELECT CASE WHEN (SELECT foreign_keys FROM pragma_foreign_keys) = 0 THEN 1"
    " ELSE json_extract('{}', 'foreign keys are still on') END",
    name="reading back that foreign keys are off",
)
OPENING = (FOREIGN_KEYS_OFF, BEGIN, FOREIGN_KEYS_ARE_OFF)
COMMIT = Statement("COMMIT", name="committing")
ROLLBACK = Statement("ROLLBACK", name="rolling back")


def admit(statements: Iterable[Statement], subject: str) -> None:
    """Raise StatementFailed if a statement would end the transaction early, or cannot be sent."""
    for statement in statements:
        admit_values(statement, subject)
        if (word := first_word(statement.sql)) in TRANSACTION_CONTROL:
            message = f"{word} is not allowed inside the transaction"
            raise StatementFailed(
                subject=subject, statement=statement, message=message, engine_code="TRANSACTION_CONTROL"
            )


def admit_values(statement: Statement, subject: str) -> None:
    """Raise StatementFailed if SQL cannot represent the statement's text or one of its values."""
    for value in (statement.sql, *statement.args):
        if message := _value_error(value):
            raise StatementFailed(subject=subject, statement=statement, message=message, engine_code="ARGS_INVALID")
    if "\0" in statement.sql:
        raise StatementFailed(
            subject=subject,
            statement=statement,
            message="the text contains a NUL character",
            engine_code="ARGS_INVALID",
        )


def _value_error(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} cannot be sent as a value"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an integer of more than 64 bits"
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return "text that is not valid Unicode"
    return ""
