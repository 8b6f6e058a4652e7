"""README's list of settings, made from their models. To rewrite it: uv run python -m tests.docs.settings_block."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from steps.support.config.settings import Secrets, Settings
from tests.support.paths import ROOT

README = ROOT / "README.md"
FROM = "Secrets come from the environment or a `.env` file beside the settings, never from the table:"
BEGIN, END = "<!-- settings: uv run python -m tests.docs.settings_block -->", "<!-- end of settings -->"
WIDTH = 52  # of what stands before the comments
WORDS = {str: "text", Path: "path", bool: "true or false", float: "number", int: "whole number", dict: "table"}

Fields = Mapping[str, FieldInfo]


def block() -> str:
    """Return the settings as TOML with a comment for each, then the secrets as a list."""
    lines = (f"    {line}".rstrip() for line in _toml(Settings.model_fields))
    return "\n".join([BEGIN, "", *lines, "", FROM, "", *_secrets(), "", END])


def written(text: str) -> str:
    """Return a text with its settings block replaced."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block(), text, flags=re.DOTALL)


def value(field: FieldInfo) -> str:
    """Return a setting's default as TOML, or an example if it has none."""
    return _literal(field.examples[0] if field.examples else field.default)


def _toml(fields: Fields) -> Iterator[str]:
    yield from _lines((name, field) for name, field in fields.items() if _table(field) is None and name != "secrets")
    for name, field in fields.items():
        if (table := _table(field)) and name != "secrets":
            yield ""
            yield _commented(f"[[{name}]]" if _word(field) == "list" else f"[{name}]", str(field.description))
            yield from _lines(table.model_fields.items())


def _lines(fields: Iterable[tuple[str, FieldInfo]]) -> Iterator[str]:
    for name, field in fields:
        optional = "" if not field.examples or field.default == {} else ", no default"
        yield _commented(f"{name} = {value(field)}", f"{_word(field)}{optional}: {field.description}")


def _secrets() -> Iterator[str]:
    for name, field in Secrets.model_fields.items():
        secret = "" if SecretStr in get_args(field.annotation) else " (no secret)"
        yield f"- `{name.upper()}`{secret}: {field.description}"


def _commented(text: str, comment: str) -> str:
    return f"{text:<{WIDTH}} # {comment}"


def _table(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a separate table, or of an array of tables; an inline table has none."""
    kinds = [field.annotation, *(get_args(field.annotation) if get_origin(field.annotation) is tuple else ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _word(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return " or ".join(map(_literal, get_args(kind)))
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is tuple:
        return "list"
    plain = get_origin(kind) or kind
    assert isinstance(plain, type)
    return "table" if issubclass(plain, BaseModel) else WORDS[plain]


def _literal(given: Any) -> str:
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, Mapping):
        inner = ", ".join(f"{key} = {_literal(each)}" for key, each in given.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(given, tuple | list):
        return f"[{', '.join(map(_literal, given))}]"
    return json.dumps(str(given)) if isinstance(given, str | Path) else str(given)


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
