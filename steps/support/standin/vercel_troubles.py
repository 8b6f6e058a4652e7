"""Requests that the platform answers badly: said no to, cut off, or kept waiting."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from time import time

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.troubles import Way
from steps.support.standin.vercel_errors import refusal
from steps.support.standin.ways import cut, drip, hang, lost

TOTAL = 500  # requests a minute, as the answer to one too many has it
PAGE = "<!doctype html><title>Vercel</title><p>We'll be right back."


class Answer(StrEnum):
    """The ways in which a request is answered badly."""

    PAYMENT_REQUIRED = "402"
    CONFLICT = "409"
    GONE = "410"
    UNPROCESSABLE = "422"
    LIMITED = "429, Retry-After in seconds"
    LIMITED_UNTIL = "429, Retry-After as a date"
    ERROR = "500"
    ERROR_IN_TEXT = "500, plain text"
    MISSPELT = "400, `err` instead of `error`"
    HTML = "200, a web page"
    DRIP = "200, a byte now and then, for ever"
    HANG = "never"
    RESET = "reset at once"
    LOST = "reset after the effect"


@dataclass(frozen=True, slots=True)
class Trouble:
    """The first `times` requests of a kind, None: all, are answered like this.

    `where` is a regular expression that is looked for in "METHOD /path"; `seconds` is what Retry-After asks for.
    """

    answer: Answer
    where: str = ""
    times: int | None = None
    seconds: float = 1.0


def way(trouble: Trouble) -> Way:
    """Give the way in which a request is answered that meets this trouble."""
    if whole := WHOLE.get(trouble.answer):
        return _at_once(whole(trouble))
    return UNFINISHED[trouble.answer]


def _at_once(answer: web.Response) -> Way:
    async def answered(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        return answer

    return answered


def _no(status: int, code: str, message: str) -> Callable[[Trouble], web.Response]:
    return lambda _: refusal(status, code, message)


def _limited(trouble: Trouble, wait: str) -> web.Response:
    resets = time() + trouble.seconds
    limit = {"remaining": 0, "reset": round(resets), "resetMs": round(resets * 1000), "total": TOTAL}
    error = {"code": "rate_limited", "message": "Too many requests.", "limit": limit}
    return web.json_response({"error": error}, status=429, headers={"Retry-After": wait})


def _until(trouble: Trouble) -> web.Response:
    return _limited(trouble, formatdate(time() + trouble.seconds, usegmt=True))


MISSPELT = {"err": {"code": "bad_request", "message": "Invalid request."}}
WHOLE: dict[Answer, Callable[[Trouble], web.Response]] = {
    Answer.PAYMENT_REQUIRED: _no(402, "payment_required", "This is not included in your plan."),
    Answer.CONFLICT: _no(409, "conflict", "Another promotion or rollback is in progress."),
    Answer.GONE: _no(410, "gone", "The deployment is no longer there."),
    Answer.UNPROCESSABLE: _no(422, "unprocessable_entity", "The deployment cannot be used for this."),
    Answer.LIMITED: lambda trouble: _limited(trouble, f"{trouble.seconds:g}"),
    Answer.LIMITED_UNTIL: _until,
    Answer.ERROR: _no(500, "internal_server_error", "An unexpected internal error occurred."),
    Answer.ERROR_IN_TEXT: lambda _: web.Response(status=500, text="A server error has occurred"),
    Answer.MISSPELT: lambda _: web.json_response(MISSPELT, status=400),
    Answer.HTML: lambda _: web.Response(text=PAGE, content_type="text/html"),
}
UNFINISHED: dict[Answer, Way] = {
    Answer.DRIP: drip,
    Answer.HANG: hang,
    Answer.RESET: cut,
    Answer.LOST: lost,
}
