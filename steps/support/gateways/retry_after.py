"""How long the other side wants to be left alone."""

import re
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from steps.support.gateways.http import json_of


def retry_after(response: httpx.Response, now: float) -> float:
    """Give the seconds that an answer asks to wait, 0 where it asks for none; `now` is seconds since 1970.

    `Retry-After` holds seconds or an HTTP date; Vercel's 429 also tells the moment of the reset in its body. A moment
    is held against the answer's own Date: our clock may be another.
    """
    said = response.headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    until = _moment(said) or _reset(response)
    return max(0.0, until - (_moment(response.headers.get("date", "")) or now)) if until else 0.0


def _moment(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _reset(response: httpx.Response) -> float:
    try:
        body: Any = json_of(response.content)
        return float(body["error"]["limit"]["resetMs"]) / 1000
    except (ValueError, KeyError, TypeError):
        return 0.0
