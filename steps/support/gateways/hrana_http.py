"""One Hrana pipeline over HTTP, and what each way of not answering it means.

A request that reached the server may have been carried out whatever happens to its answer, so only an answer that can
be nothing but a refusal counts as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from steps.support.gateways.answers import Busy, Rejected, Unknown
from steps.support.gateways.http import LIVENESS, SHOWN, exchange, json_of
from steps.support.problem import Problem

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
