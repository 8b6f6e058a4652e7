"""Remove secrets from everything that is about to be shown or stored."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
# Each pattern reads a character a fixed number of times, however hostile the text: nothing is tried again.
_PATTERNS = (
    # a JSON Web Token, as Turso's are
    (re.compile(r"(?<![\w-])((?>[\w-]*?(?=eyJ)))eyJ[\w-]++\.[\w-]++\.[\w-]++"), rf"\g<1>{MASK}"),
    # but not the `$NAME` of commands for the operator
    (re.compile(r"(?<=[Bb]earer )(?!\$[A-Z_]+[\"'\s])[^\s\"',;]++"), MASK),
    (re.compile(r"(?<=uthorization: [Bb]asic )[^\s\"',;]++"), MASK),
    (re.compile(r"(?<=[Tt]oken=)[^\s&\"';,]++"), MASK),
)
_AFTER_SCHEME = re.compile(r"://([^\s\"'@]++)(@?)")  # user and password in a URL, even with a slash in the password
# ids of the tool's own world; a secret that is shorter than half of one stands in it by chance
_IDS = re.compile(
    r"(?<![0-9A-Za-z])((?:[0-9a-f]{64}|[0-9a-f]{40}|(?:dpl|prj|team|usr)_[0-9A-Za-z]{20,40}))(?![0-9A-Za-z])"
)
_WORD = re.compile(r"[a-z_]+")  # a key of the tool's own structures
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
        self._longer = [form for form in self._known if len(form) > _TELLING]

    def text(self, text: str) -> str:
        """Return the text with every secret masked."""
        pieces = _IDS.split(text)  # each second one is an id
        for at, piece in enumerate(pieces):
            pieces[at] = _without(piece, self._longer if at % 2 else self._known)
        text = "".join(pieces)
        for secret in self._long:
            text = _without_part(text, secret)
        for pattern, mask in _PATTERNS:
            text = pattern.sub(mask, text)
        return _AFTER_SCHEME.sub(lambda found: f"://{MASK}@" if found[2] else found[0], text)

    def __call__(self, value: Any) -> Any:
        """Return a copy of a JSON-like value with every text in it masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._key(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    def _key(self, key: Any) -> Any:
        return key if isinstance(key, str) and _WORD.fullmatch(key) else self(key)


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


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
    return _without_end(_without_beginning(text, secret), secret)


def _without_beginning(text: str, secret: str) -> str:
    size, pieces, done = max(_TELLING, len(secret) // 2), list[str](), 0
    while (at := text.find(secret[:size], done)) >= 0:
        end = at + size
        while end < len(text) and end - at < len(secret) and text[end] == secret[end - at]:
            end += 1
        pieces += text[done:at], MASK
        done = end
    return "".join([*pieces, text[done:]])


def _without_end(text: str, secret: str) -> str:
    size, pieces, done = max(_TELLING, len(secret) // 2), list[str](), 0
    while (at := text.find(secret[-size:], done)) >= 0:
        start = at
        while start > done and at + size - start < len(secret) and text[start - 1] == secret[start - at - size - 1]:
            start -= 1
        pieces += text[done:start], MASK
        done = at + size
    return "".join([*pieces, text[done:]])
