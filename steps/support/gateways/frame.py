"""The frame round every write transaction, and what no transport may be given to carry inside it."""

import math
from collections.abc import Iterable

from steps.support.gateways.database import Statement, StatementFailed, Value
from steps.support.sql_tokens import TRANSACTION_CONTROL, first_word

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
STEALS = 5.0  # seconds after which a server gives the write lock to a writer that waits, and rolls the transaction back


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
