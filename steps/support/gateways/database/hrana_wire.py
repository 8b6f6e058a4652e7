"""Hrana over HTTP: values, a pipeline, a transaction as a batch, and what each kind of failure means.

A request that reached the server may have been carried out even if its answer is lost or strange. An answer therefore
counts as a refusal only if it can mean nothing else.
"""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import httpx

from steps.support.core.errors import Busy, Problem, Rejected, Unknown
from steps.support.gateways.database.protocol import (
    BEGIN,
    COMMIT,
    FOREIGN_KEYS_ARE_OFF,
    FOREIGN_KEYS_OFF,
    OPENING,
    ROLLBACK,
    Rows,
    StatementFailed,
)
from steps.support.gateways.http import LIVENESS, SHOWN, exchange, json_of
from steps.support.sql.statement import Statement, Value

Kind = TypeVar("Kind")

_MOST = 1e15  # largest figure that is shown


def statement_json(statement: Statement) -> dict[str, Any]:
    """Return a statement and its positional arguments as JSON."""
    return {"sql": statement.sql, "args": [_encoded(value) for value in statement.args]}


def rows_of(result: Mapping[str, Any]) -> Rows:
    """Return the rows of a statement's result. Raise KeyError, TypeError or ValueError if it is malformed."""
    columns = tuple(member(str, column["name"] or "") for column in member(list, result["cols"]))
    rows = tuple(tuple(_decoded(value) for value in row) for row in member(list, result["rows"]))
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("a row with more or fewer values than columns")
    seconds, written = _measured(result.get("query_duration_ms")) / 1000, _measured(result.get("rows_written"))
    return Rows(columns, rows, member(int, result["affected_row_count"]), seconds, int(written))


def member(kind: type[Kind], value: Any) -> Kind:
    """Return the value. Raise TypeError if it is not of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _measured(value: Any) -> float:
    """Return a figure, or 0 if it is invalid: it is only shown, so it must not make an answer unreadable."""
    return value if isinstance(value, int | float) and 0 <= value < _MOST else 0


def _encoded(value: Value) -> dict[str, Any]:
    match value:
        case None:
            return {"type": "null"}
        case int():
            return {"type": "integer", "value": str(int(value))}
        case float():
            return {"type": "float", "value": value}
        case str():
            return {"type": "text", "value": value}
        case _:
            return {"type": "blob", "base64": base64.b64encode(value).decode().rstrip("=")}


def _decoded(value: Mapping[str, Any]) -> Value:
    match value["type"]:
        case "null":
            return None
        case "integer":
            return int(member(str, value["value"]))
        case "float":
            return math.inf if value["value"] is None else float(value["value"])  # the sign of infinity is not sent
        case "text":
            return member(str, value["value"])
        case "blob":
            return base64.b64decode(value["base64"] + "=" * (-len(value["base64"]) % 4))
        case other:
            raise ValueError(f"a value of type {other}")


NEW, OLD = 3, 2  # versions of the protocol
MOST = 64 * 1024 * 1024  # bytes of an answer that are read; the server's own limit is 32 MB

_CHECK_FIRST = "It may have been done: check before repeating it."
NOT_RUN = frozenset({"SQL_PARSE_ERROR", "SQL_NO_STATEMENT", "SQL_MANY_STATEMENTS", "ARGS_INVALID"})
_REPLICA = "not a primary"  # what a replica says that cannot do something
_REFUSALS = {
    401: ("the token is missing, expired or for another database", "Set the database's current token."),
    403: ("the token does not permit this; it may be read-only", "Set a token that may read and write."),
    404: ("there is no libSQL server at this address", "Check the database's URL."),
    405: ("there is no libSQL server at this address", "Check the database's URL."),
    413: ("the request is larger than the server accepts", "Split the change, or shorten its longest statement."),
}


class NoSuchPath(Rejected):
    """The server does not know this path or this version of the protocol. Nothing was run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP response."""

    status: int
    content_type: str
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body, or an empty object if there is none."""
        try:
            document = json_of(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def words(self) -> str:
        """The status, and the response's message and code or, without these, its text. They are cut to fit one line."""
        document = self.document
        message = ", ".join(str(document[key]) for key in ("message", "error", "code") if document.get(key))
        text = " ".join(self.body[:2000].decode(errors="replace").split())
        return f"HTTP {self.status}: " + (message or ("a web page" if "<" in text[:1] else text) or "no text")[:SHOWN]


async def post(client: httpx.AsyncClient, url: str, token: str | None, requests: Sequence[Any]) -> list[Any]:
    """Send requests as one pipeline that closes its stream, and return the result of each.

    Raise NotSent, Rejected (NoSuchPath if the server does not know the path) or Unknown.
    """
    pipeline = {"baton": None, "requests": [*requests, {"type": "close"}]}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = await exchange(
        client, "POST", url, peer="the database", most=MOST, json=pipeline, headers=headers, timeout=LIVENESS
    )
    answer = Answer(response.status_code, response.headers.get("content-type", ""), response.content)
    return results(answer, url, len(requests))


def results(answer: Answer, url: str, count: int) -> list[Any]:
    """Return the first `count` results in an answer. If they are missing, raise the error that fits the answer."""
    listed = answer.document.get("results")
    if answer.status == HTTPStatus.OK and isinstance(listed, list) and len(listed) >= count:
        return listed[:count]
    raise _problem(answer, url)


def _problem(answer: Answer, url: str) -> Problem:  # noqa: PLR0911 - one return for each kind of refusal
    if answer.status == HTTPStatus.NOT_FOUND:
        return NoSuchPath(
            code="database-access",
            operation="asking",
            subject=url,
            cause=f"{_REFUSALS[404][0]} ({answer.words})",
            remedy=_REFUSALS[404][1],
        )
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Busy(
            code="connection",
            operation="asking",
            subject=url,
            cause=f"it refuses more requests for now ({answer.words})",
            remedy="Try again in a moment.",
        )
    if _REPLICA in answer.words:
        return Rejected(
            code="database-access",
            operation="asking",
            subject=url,
            cause=f"only the primary answers this ({answer.words})",
            remedy="Set the URL of the primary.",
        )
    if answer.status in _REFUSALS:
        cause, remedy = _REFUSALS[answer.status]
        too_large = answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return Rejected(
            code="migration-failed" if too_large else "database-access",
            operation="asking",
            subject=url,
            cause=f"{cause} ({answer.words})",
            remedy=remedy,
        )
    if httpx.codes.is_redirect(answer.status):
        cause = f"it redirects to another address ({answer.words})"
        return Rejected(
            code="database-access",
            operation="asking",
            subject=url,
            cause=cause,
            remedy="Set the URL of the database itself.",
        )
    if answer.document.get("code") in NOT_RUN:
        return Rejected(
            code="migration-failed",
            operation="asking",
            subject=url,
            cause=answer.words,
            remedy="Nothing was run. Fix the statement.",
        )
    if answer.status == HTTPStatus.BAD_REQUEST and answer.content_type.startswith("text/plain"):
        return Rejected(
            code="migration-failed",
            operation="asking",
            subject=url,
            cause=answer.words,
            remedy="Nothing was run. This is a bug in the tool: report it.",
        )
    cause = f"it is not the answer of a libSQL server ({answer.words})"
    return Unknown(code="connection", operation="reading the answer of", subject=url, cause=cause, remedy=_CHECK_FIRST)


Json = dict[str, Any]

KNOWS_AUTOCOMMIT = 3  # the first protocol version whose conditions can test whether the transaction is open
_BEGIN = 1  # the index of the step with BEGIN
_STOLEN = "the write lock was held for more than 5 seconds and another writer, waiting, took it"


def transaction(statements: Sequence[Statement], version: int) -> Json:
    """Build the batch of a transaction.

    Each step runs only if the previous one succeeded and, in versions that can test this, the transaction is still
    open.
    """
    still_open = [_not({"type": "is_autocommit"})] if version >= KNOWS_AUTOCOMMIT else []
    steps = [_step(FOREIGN_KEYS_OFF), _step(BEGIN, _ok(0))]
    for statement in (FOREIGN_KEYS_ARE_OFF, *statements, COMMIT):
        steps.append(_step(statement, _ok(len(steps) - 1), *still_open))
    steps.append(_step(ROLLBACK, _ok(_BEGIN), _not(_ok(len(steps) - 1)), *still_open))
    return {"type": "batch", "batch": {"steps": steps}}


def trial(statements: Sequence[Statement], *, keep: bool) -> Json:
    """Build a batch that ends in COMMIT with `keep`, otherwise in ROLLBACK. Foreign keys are as set on the server."""
    steps = [_step(BEGIN)]
    for statement in (*statements, *([COMMIT] if keep else [])):
        steps.append(_step(statement, _ok(len(steps) - 1)))
    not_committed = [_not(_ok(len(steps) - 1))] if keep else []
    return {"type": "batch", "batch": {"steps": [*steps, _step(ROLLBACK, _ok(0), *not_committed)]}}


def trial_result(result: Mapping[str, Any], statements: Sequence[Statement]) -> str | None:
    """Return the first error of a trial, with the statement's name, or None if every statement ran."""
    *errors, _rolled_back = result["step_errors"]
    for statement, error in zip((BEGIN, *statements, COMMIT), errors, strict=False):
        if error:
            return f"{statement.name}: {error['message']} ({error['code']})".removeprefix(": ")
    return None


def transaction_result(result: Mapping[str, Any], statements: Sequence[Statement], address: str) -> tuple[Rows, ...]:
    """Return the rows of each statement in the result of a transaction that was committed.

    Raise StatementFailed for the first step that failed, or Unknown if the result does not show what happened.
    """
    ours = (*OPENING, *statements, COMMIT)
    done, errors = result["step_results"], result["step_errors"]
    if len(done) != len(ours) + 1 or len(errors) != len(done):
        raise unreadable(address, cause="it does not report every step")
    if done[len(ours) - 1] is not None:
        return tuple(rows_of(rows) for rows in done[len(OPENING) : len(ours) - 1])
    for statement, error in zip(ours, errors, strict=False):
        if error is not None:
            raise failed(error, statement, address)
    raise unreadable(address, cause="COMMIT was not run, although nothing failed")


@contextmanager
def reading(address: str) -> Iterator[None]:
    """Raise Unknown if the block fails because an answer is malformed."""
    try:
        yield
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        cause = f"its format is unknown ({type(error).__name__}: {error})"
        raise unreadable(address, cause=cause[:SHOWN]) from None


def refused(error: Mapping[str, Any], statement: Statement, address: str) -> Problem:
    """Return the problem for an error that takes the place of a batch's result.

    It is Unknown, unless the error's code means that nothing was run.
    """
    if error.get("code") in NOT_RUN:
        return failed(error, statement, address)
    return unreadable(address, cause=f"{error.get('message')} ({error.get('code')})"[:SHOWN])


def failed(error: Mapping[str, Any], statement: Statement, address: str) -> Problem:
    """Return the problem for a statement's error.

    It means that nothing was done, except for one error code, which leaves this open.
    """
    message, code = (str(error.get(key))[:SHOWN] for key in ("message", "code"))
    if code == "RESPONSE_TOO_LARGE":  # sqld also returns it for an INSERT ... RETURNING that it has committed
        return unreadable(address, cause=f"{message} ({code})")
    if code.startswith("SQLITE_BUSY"):
        return Busy(
            code="connection",
            operation="writing to",
            subject=address,
            cause=f"{message} ({code})",
            remedy="Try again in a moment.",
        )
    explained = f"{message}: {_STOLEN}" if code == "TRANSACTION_TIMEOUT" else message
    return StatementFailed(subject=address, statement=statement, message=explained, engine_code=code)


def unreadable(address: str, *, cause: str) -> Unknown:
    """Return the problem for an answer that does not show whether the request was carried out."""
    return Unknown(
        code="connection", operation="reading the answer of", subject=address, cause=cause, remedy=_CHECK_FIRST
    )


def _step(statement: Statement, *conditions: Json) -> Json:
    step: Json = {"stmt": statement_json(statement)}
    return {**step, "condition": {"type": "and", "conds": list(conditions)}} if conditions else step


def _ok(step: int) -> Json:
    return {"type": "ok", "step": step}


def _not(condition: Json) -> Json:
    return {"type": "not", "cond": condition}
