"""The frame round every write transaction, and what no transport may be given to carry inside it."""

import math
import re
from collections.abc import Iterable, Sequence

from steps.support.gateways.database.protocol import StatementFailed
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import TRANSACTION_CONTROL, first_word

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
    """Raise StatementFailed for a statement that would end the transaction half way, or that cannot be sent."""
    for statement in statements:
        admit_values(statement, subject)
        if (word := first_word(statement.sql)) in TRANSACTION_CONTROL:
            message = f"{word} inside a transaction that is committed as one"
            raise StatementFailed(subject, statement, message, "TRANSACTION_CONTROL")


def admit_values(statement: Statement, subject: str) -> None:
    """Raise StatementFailed for text or a value that SQL cannot hold."""
    for value in (statement.sql, *statement.args):
        if message := _unfit(value):
            raise StatementFailed(subject, statement, message, "ARGS_INVALID")
    if "\0" in statement.sql:
        raise StatementFailed(subject, statement, "the text holds a NUL character", "ARGS_INVALID")


def _unfit(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no value that can be sent"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an integer of more than 64 bits"
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        return "text that is not Unicode"
    return ""
