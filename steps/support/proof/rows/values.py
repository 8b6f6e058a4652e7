"""Format values for a report: short, on one line, without anything secret or personal."""

import re
from dataclasses import dataclass

from steps.support.core.redaction import MASK, Redactor
from steps.support.sql.statement import Value

LONGEST = 40  # characters of a text
_SEARCHED = 400  # characters; later ones are never shown
_PRIVATE = re.compile(
    r"token|secret|passw|pwd|credential|mail|address|phone|contact|cookie|session_id|iban"
    r"|auth(?!or)|(?:^|_|api)key(?:_|s?$)|(?:^|_)(?:pw|otp|pin)(?:_|$)",
    re.IGNORECASE,
)
_TELLING = re.compile(
    r"[^\s@]+@[^\s@]+\.\w"  # an e-mail address
    r"|[0-9A-Fa-f]{32}"
    r"|\b[a-z]{2}_(?:live|test)_\w|\$2[aby]\$"  # a key of a payment service, a hashed password
    r"|(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*\d)[\w+/-]{24}"  # random bytes as Base64
    r"|(?i:token|secret|passw\w*|credential|api_?key)\W{0,2}\s*[:=]"  # a secret within JSON, or a query
)
_REDACTOR = Redactor()


@dataclass(frozen=True, slots=True)
class SampleValue:
    """A value of a row as SQL writes it: one, or two, before and after, if it changed."""

    column: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a part of a line."""
        return f"{self.column} {' -> '.join(self.values)}"


def sample_value(column: str, value: Value, *, is_key: bool = False) -> str:
    """Return a value as SQL writes it, at most 40 characters of it; a secret, or what may be one, as `***`.

    A number in a primary key is shown under any column name.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, str):
        return MASK if _PRIVATE.search(column) or _is_telling(value[:_SEARCHED]) else f"'{_short(value)}'"
    return MASK if _PRIVATE.search(column) and not is_key else repr(value)


def _is_telling(text: str) -> bool:
    return _TELLING.search(text) is not None or _REDACTOR.text(text) != text


def _short(text: str) -> str:
    cut = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return "".join(map(_printable, cut))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
