"""Choose the transport for a database by its URL."""

import binascii
import json
from base64 import urlsafe_b64decode
from contextlib import suppress

import httpx

from steps.support.core.errors import Problem
from steps.support.gateways.database.hrana import Hrana
from steps.support.gateways.database.protocol import Database
from steps.support.gateways.database.sqlite_file import SqliteFile

SCHEMES = ("libsql", "https", "http", "file")
_REMEDY = f"Use {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}."


def connect(url: str, token: str | None) -> Database:
    """Return the transport for the database at `url`. Nothing is sent yet.

    Raise Problem if no transport fits the URL, and NotSent if a file is missing.
    """
    scheme = url.partition(":")[0]
    if scheme == "file":
        return SqliteFile(url)
    if scheme not in SCHEMES:
        raise Problem(
            code="database-access",
            operation="connecting to",
            subject="the database",
            cause=f"its URL begins with {scheme[:20]!r}",
            remedy=_REMEDY,
        )
    _refuse_secrets(url)
    return Hrana(url, token)


def expiry_of(token: str) -> float | None:
    """Return when a token of the database expires, in seconds since 1970, as it says itself; None if it does not."""
    with suppress(ValueError, IndexError, KeyError, TypeError, binascii.Error, RecursionError):
        body = token.split(".")[1]
        return float(json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))["exp"])
    return None


def _refuse_secrets(url: str) -> None:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise Problem(
            code="database-access",
            operation="connecting to",
            subject="the database",
            cause="its URL cannot be read",
            remedy=_REMEDY,
        ) from None
    if not parts.host:
        raise Problem(
            code="database-access",
            operation="connecting to",
            subject="the database",
            cause="its URL names no host",
            remedy=_REMEDY,
        )
    if parts.userinfo or parts.query:
        remedy = "Put only the address in the URL, and the token in its own setting."
        raise Problem(
            code="database-access",
            operation="connecting to",
            subject=parts.host,
            cause="its URL contains more than an address",
            remedy=remedy,
        )
