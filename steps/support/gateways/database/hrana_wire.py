"""Hrana over HTTP: values, one pipeline, a transaction as a batch, and what each way of not answering means.

A request that reached the server may have been carried out whatever happens to its answer, so only an answer that can
be nothing but a refusal counts as one.
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
from steps.support.gateways.database import frame
from steps.support.gateways.database.protocol import Rows, StatementFailed
from steps.support.gateways.http import LIVENESS, SHOWN, exchange, json_of
from steps.support.sql.statement import Statement, Value

Kind = TypeVar("Kind")

_MOST = 1e15  # of a figure that is shown


def statement_json(statement: Statement) -> dict[str, Any]:
    """Write a statement with its positional arguments."""
    return {"sql": statement.sql, "args": [_encoded(value) for value in statement.args]}


def rows_of(result: Mapping[str, Any]) -> Rows:
    """Read a statement's result. Raises KeyError, TypeError or ValueError where it is none."""
    columns = tuple(member(str, column["name"] or "") for column in member(list, result["cols"]))
    rows = tuple(tuple(_decoded(value) for value in row) for row in member(list, result["rows"]))
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("a row of another width than its columns")
    seconds, written = _measured(result.get("query_duration_ms")) / 1000, _measured(result.get("rows_written"))
    return Rows(columns, rows, member(int, result["affected_row_count"]), seconds, int(written))


def member(kind: type[Kind], value: Any) -> Kind:
    """Give the value, where it is of this kind. Raises TypeError where it is not."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _measured(value: Any) -> float:
    """Return a figure that is only shown, 0 if it is none: a strange one must not make an answer unreadable."""
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
            return math.inf if value["value"] is None else float(value["value"])  # of infinity the sign is not sent
        case "text":
            return member(str, value["value"])
        case "blob":
            return base64.b64decode(value["base64"] + "=" * (-len(value["base64"]) % 4))
        case other:
            raise ValueError(f"a value of type {other}")


NEW, OLD = 3, 2  # versions of the protocol
MOST = 64 * 1024 * 1024  # bytes of an answer that are read; the server itself stops at 32 MB

_LOOK = "It may have been done: look before doing it again."
NOT_RUN = frozenset({"SQL_PARSE_ERROR", "SQL_NO_STATEMENT", "SQL_MANY_STATEMENTS", "ARGS_INVALID"})
_REFUSALS = {
    401: ("the token is missing, expired or of another database", "Give the database's current token."),
    403: ("the token does not permit this; it may be read-only", "Give a token that may read and write."),
    404: ("there is no libSQL server at this address", "Check the database's URL."),
    405: ("there is no libSQL server at this address", "Check the database's URL."),
    413: ("the request is larger than the server takes", "Divide the change, or shorten its longest statement."),
}


class NoSuchPath(Rejected):
    """The server does not know this version of the protocol; nothing was run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    content_type: str
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty where there is none."""
        try:
            document = json_of(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def words(self) -> str:
        """What the answer says of itself, short enough for one line: its message and code, else its text."""
        document = self.document
        said = [str(document[key]) for key in ("message", "error", "code") if document.get(key)]
        text = " ".join(self.body[:2000].decode(errors="replace").split())
        return (
            f"HTTP {self.status}: "
            + (", ".join(said) or ("a web page" if "<" in text[:1] else text) or "no text")[:SHOWN]
        )


async def post(client: httpx.AsyncClient, url: str, token: str | None, requests: Sequence[Any]) -> list[Any]:
    """Send requests as one pipeline that closes its stream; gives each one's result.

    Raises NotSent, Rejected (NoSuchPath where the path is not known) or Unknown.
    """
    pipeline = {"baton": None, "requests": [*requests, {"type": "close"}]}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = await exchange(
        client, "POST", url, whom="the database", most=MOST, json=pipeline, headers=headers, timeout=LIVENESS
    )
    answer = Answer(response.status_code, response.headers.get("content-type", ""), response.content)
    return results(answer, url, len(requests))


def results(answer: Answer, url: str, count: int) -> list[Any]:
    """Give the results in an answer. Raises what an answer without them means."""
    found = answer.document.get("results")
    if answer.status == HTTPStatus.OK and isinstance(found, list) and len(found) >= count:
        return found[:count]
    raise _meaning(answer, url)


def _meaning(answer: Answer, url: str) -> Problem:  # noqa: PLR0911 - one line for each way of saying no
    if answer.status == HTTPStatus.NOT_FOUND:
        return NoSuchPath("asking", url, f"{_REFUSALS[404][0]} ({answer.words})", _REFUSALS[404][1])
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Busy("asking", url, f"it refuses more requests for now ({answer.words})", "Try again in a moment.")
    if answer.status in _REFUSALS:
        cause, remedy = _REFUSALS[answer.status]
        return Rejected("asking", url, f"{cause} ({answer.words})", remedy)
    if httpx.codes.is_redirect(answer.status):
        return Rejected(
            "asking", url, f"it sends elsewhere ({answer.words})", "Give the URL where the database itself is."
        )
    if answer.document.get("code") in NOT_RUN:
        return Rejected("asking", url, answer.words, "Nothing was run; mend the statement.")
    if answer.status == HTTPStatus.BAD_REQUEST and answer.content_type.startswith("text/plain"):
        return Rejected("asking", url, answer.words, "This is a defect of the tool: report it. Nothing was run.")
    return Unknown("reading the answer of", url, f"it is no answer of a libSQL server ({answer.words})", _LOOK)


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


def trial_result(result: Mapping[str, Any], statements: Sequence[Statement]) -> str | None:
    """Read what came of a trial: the first error, with the statement's name; None where every statement ran."""
    *errors, _rolled_back = result["step_errors"]
    for statement, error in zip((frame.BEGIN, *statements, frame.COMMIT), errors, strict=False):
        if error:
            return f"{statement.name}: {error['message']} ({error['code']})".removeprefix(": ")
    return None


def transaction_result(result: Mapping[str, Any], statements: Sequence[Statement], address: str) -> tuple[Rows, ...]:
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
def reading(address: str) -> Iterator[None]:
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
