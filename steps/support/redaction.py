"""The one place where secrets are taken out of whatever is about to be shown or kept."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"
_PATTERNS = (
    re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"),  # a JSON Web Token, as Turso's are
    re.compile(r"(?<=[Bb]earer )(?!\$[A-Z_]+[\"'\s])[^\s\"',;]+"),  # a command names the variable, not the token
    re.compile(r"(?<=://)[^\s\"'@]+(?=@)"),  # user and password in a URL, a slash in the password included
    re.compile(r"(?<=[Tt]oken=)[^\s&\"';,]+"),
)
_SHORTEST = 4  # characters; masking anything shorter would mask half of every sentence


class Redactor:
    """Takes known secrets, and what looks like one, out of any text or structure of texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if len(secret) >= _SHORTEST for form in (secret, quote(secret, safe=""))}
        self._known = sorted(known, key=len, reverse=True)  # a secret that contains another goes first

    def text(self, text: str) -> str:
        """Give the text with every secret masked."""
        for secret in self._known:
            text = text.replace(secret, MASK)
        for pattern in _PATTERNS:
            text = pattern.sub(MASK, text)
        return text

    def __call__(self, value: Any) -> Any:
        """Give a copy of a JSON-like value with every text in it masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value
