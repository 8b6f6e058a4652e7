"""Remove secrets from everything that is about to be shown or stored."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
_PATTERNS = (
    re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"),  # a JSON Web Token, as Turso's are
    re.compile(r"(?<=[Bb]earer )(?!\$[A-Z_]+[\"'\s])[^\s\"',;]+"),  # but not the `$NAME` of commands for the operator
    re.compile(r"(?<=uthorization: [Bb]asic )[^\s\"',;]+"),
    re.compile(r"(?<=://)[^\s\"'@]+(?=@)"),  # user and password in a URL, even with a slash in the password
    re.compile(r"(?<=[Tt]oken=)[^\s&\"';,]+"),
)
_SHORTEST = 4  # characters; masking anything shorter would mask half of every sentence
_TOKEN, _LONG = 8, 20  # characters: from 8, a part with a digit or both cases is a token; from 20, any part
_TELLING = 12  # characters; what is left of a secret that was cut off is masked if it has these, and half of the secret


class Redactor:
    """Removes known secrets, and anything that looks like one, from a text or from a structure that contains texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        worth = [part for secret in secrets for part in (secret, *_parts(secret)) if len(part) >= _SHORTEST]
        known = {form for secret in worth for form in _forms(secret)}
        self._known = sorted(known, key=len, reverse=True)  # a secret that contains another goes first
        # A part of an address is not a secret, so addresses are only masked whole.
        whole = {form for secret in worth if "://" not in secret for form in _forms(secret)}
        self._long = sorted((form for form in whole if len(form) > _TELLING), key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return the text with every secret masked."""
        for secret in self._known:
            text = text.replace(secret, MASK)
        for secret in self._long:
            text = _without_part(text, secret)
        for pattern in _PATTERNS:
            text = pattern.sub(MASK, text)
        return text

    def __call__(self, value: Any) -> Any:
        """Return a copy of a JSON-like value with every text in it masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value


def addresses(text: str) -> list[str]:
    """Return the addresses in a text. They are separated by white space, or by a comma before the next scheme."""
    return [each.strip(",") for each in re.split(r"\s+|,+(?=[\w+.-]+://)", text) if each.strip(",")]


def _parts(secret: str) -> Iterator[str]:
    """Yield the parts of a list of addresses that are secret themselves: each address, its password, and its tokens."""
    for address in addresses(secret):
        _, is_address, rest = address.partition("://")
        if not is_address:
            continue
        user, _, host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
        names = {host, host.partition(":")[0]} if "." in host or host.startswith("localhost") else set()
        pieces = {user.partition(":")[2], *filter(_is_token, {*re.split(r"[/?&=#:@,]+", rest)} - names)}
        yield from {address, *pieces, *map(unquote, pieces)}


def _is_token(piece: str) -> bool:
    is_mixed = any(map(str.isdigit, piece)) or piece not in (piece.lower(), piece.upper())
    return len(piece) >= _TOKEN and (is_mixed or len(piece) >= _LONG)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as plain text and encoded as in URLs, in JSON, in Python and, if it is long enough, in base64."""
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
    yield from (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield repr(secret)[1:-1]
    if len(secret) > _TELLING:
        yield from (coded for before in range(3) for coded in _coded(secret.encode(), before))


def _coded(secret: bytes, before: int) -> Iterator[str]:
    """Yield the base64 text of a secret that follows `before` other bytes, in the plain and in the URL-safe alphabet.

    Characters that also depend on the bytes before or after the secret are left out.
    """
    whole = len(secret) - (len(secret) + before) % 3
    coded = b64encode(bytes(before) + secret[:whole]).decode()[-(-before * 4 // 3) :]
    yield from (coded, coded.replace("+", "-").replace("/", "_"))


def _without_part(text: str, secret: str) -> str:
    """Return the text with the beginning or the end of a secret masked if the rest of the secret was cut off."""
    size = max(_TELLING, len(secret) // 2)
    begins, ends = secret[:size], secret[-size:]
    while (at := text.find(begins)) >= 0:
        end = at + size
        while end < len(text) and end - at < len(secret) and text[end] == secret[end - at]:
            end += 1
        text = text[:at] + MASK + text[end:]
    while (at := text.find(ends)) >= 0:
        start = at
        while start and at + size - start < len(secret) and text[start - 1] == secret[start - at - size - 1]:
            start -= 1
        text = text[:start] + MASK + text[at + size :]
    return text
