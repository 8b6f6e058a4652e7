"""A transaction as one Hrana batch: steps that run only on conditions, and the reading of what they did."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from steps.support.gateways import frame
from steps.support.gateways.answers import Busy, Unknown
from steps.support.gateways.database import Rows, Statement, StatementFailed
from steps.support.gateways.hrana_http import NOT_RUN
from steps.support.gateways.hrana_values import rows_of, statement_json
from steps.support.gateways.http import SHOWN
from steps.support.problem import Problem

Json = dict[str, Any]

KNOWS_AUTOCOMMIT = 3  # the version of the protocol in which a condition can ask whether the transaction is open
_BEGIN = 1  # the index of its step
_STOLEN = "the write lock was held for more than 5 seconds and another writer, waiting, took it"


def transaction(statements: Sequence[Statement], version: int) -> Json:
    """Write the batch: each step only if the one before is ok and, where the server can tell, the transaction open."""
    still_open = [_not({"type": "is_autocommit"})] if version >= KNOWS_AUTOCOMMIT else []
    steps = [_step(frame.FOREIGN_KEYS_OFF), _step(frame.BEGIN, _ok(0))]
    for statement in (frame.FOREIGN_KEYS_ARE_OFF, *statements, frame.COMMIT):
        steps.append(_step(statement, _ok(len(steps) - 1), *still_open))
    steps.append(_step(frame.ROLLBACK, _ok(_BEGIN), _not(_ok(len(steps) - 1)), *still_open))
    return {"type": "batch", "batch": {"steps": steps}}


def trial(statements: Sequence[Statement], *, keep: bool) -> Json:
    """Write a batch that ends in ROLLBACK unless it is to be kept; foreign keys are as the server has them."""
    steps = [_step(frame.BEGIN)]
    for statement in (*statements, *([frame.COMMIT] if keep else [])):
        steps.append(_step(statement, _ok(len(steps) - 1)))
    unless = [_not(_ok(len(steps) - 1))] if keep else []
    return {"type": "batch", "batch": {"steps": [*steps, _step(frame.ROLLBACK, _ok(0), *unless)]}}


def tried(result: Mapping[str, Any], statements: Sequence[Statement]) -> str | None:
    """Read what came of a trial: the first error, with the statement's name; None where every statement ran."""
    *errors, _rolled_back = result["step_errors"]
    for statement, error in zip((frame.BEGIN, *statements, frame.COMMIT), errors, strict=False):
        if error:
            return f"{statement.name}: {error['message']} ({error['code']})".removeprefix(": ")
    return None


def committed(result: Mapping[str, Any], statements: Sequence[Statement], address: str) -> tuple[Rows, ...]:
    """Read a batch's result: the rows of each statement, which the answer to COMMIT alone makes true.

    Raises StatementFailed for the first step that failed, or Unknown where the answer does not say.
    """
    ours = (*frame.OPENING, *statements, frame.COMMIT)
    done, errors = result["step_results"], result["step_errors"]
    if len(done) != len(ours) + 1 or len(errors) != len(done):
        raise unreadable(address, "it does not tell of every step")
    if done[len(ours) - 1] is not None:
        return tuple(rows_of(rows) for rows in done[len(frame.OPENING) : len(ours) - 1])
    for statement, error in zip(ours, errors, strict=False):
        if error is not None:
            raise failed(error, statement, address)
    raise unreadable(address, "COMMIT was not run, although nothing failed")


@contextmanager
def read(address: str) -> Iterator[None]:
    """Take whatever the block stumbles over for an answer that tells nothing."""
    try:
        yield
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        cause = f"its form is not known ({type(error).__name__}: {error})"
        raise unreadable(address, cause[:SHOWN]) from None


def refused(error: Mapping[str, Any], statement: Statement, address: str) -> Problem:
    """Say what an error instead of a batch's result means: only the codes that stand for "nothing was run" say so."""
    if error.get("code") in NOT_RUN:
        return failed(error, statement, address)
    return unreadable(address, f"{error.get('message')} ({error.get('code')})"[:SHOWN])


def failed(error: Mapping[str, Any], statement: Statement, address: str) -> Problem:
    """Say what a statement's error means: that nothing was done, but for one code that hides what was."""
    message, code = (str(error.get(key))[:SHOWN] for key in ("message", "code"))
    if code == "RESPONSE_TOO_LARGE":  # sqld says so even of an INSERT ... RETURNING that it has committed
        return unreadable(address, f"{message} ({code})")
    if code.startswith("SQLITE_BUSY"):
        return Busy("writing to", address, f"{message} ({code})", "Try again in a moment.")
    explained = f"{message}: {_STOLEN}" if code == "TRANSACTION_TIMEOUT" else message
    return StatementFailed(address, statement, explained, code)


def unreadable(address: str, cause: str) -> Unknown:
    """Say that an answer came which does not tell whether it was done."""
    return Unknown("reading the answer of", address, cause, "It may have been done: look before doing it again.")


def _step(statement: Statement, *conditions: Json) -> Json:
    step: Json = {"stmt": statement_json(statement)}
    return {**step, "condition": {"type": "and", "conds": list(conditions)}} if conditions else step


def _ok(step: int) -> Json:
    return {"type": "ok", "step": step}


def _not(condition: Json) -> Json:
    return {"type": "not", "cond": condition}
