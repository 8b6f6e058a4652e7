"""The README's list of settings matches the models."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from steps.support.config import settings
from steps.support.config.loading import load
from tests.docs.settings_block import README, block, written

TABLES = [each for each in vars(settings).values() if isinstance(each, type) and issubclass(each, BaseModel)]


def _block_as_toml() -> str:
    return "\n".join(line.removeprefix("    ") for line in block().splitlines() if line.startswith("    "))


def _keys() -> Iterator[str]:
    for name, value in tomllib.loads(_block_as_toml()).items():
        table = value[0] if name == "health" else value
        yield from (f"{name}.{key}" for key in table) if isinstance(table, dict) else (name,)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        table = settings.HealthSettings if name == "health" else field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            yield from (f"{name}.{key}" for key in table.model_fields)
        else:
            yield name


def test_readme_lists_the_settings_of_the_models() -> None:
    """Keys, types, defaults and texts are those of the models; python -m tests.docs.settings_block rewrites them."""
    text = README.read_text()
    assert block() in text
    assert written(text) == text


def test_every_setting_and_every_secret_is_described() -> None:
    """Every field of every table has a description, and all are in the list."""
    fields = [(table, name, field) for table in TABLES for name, field in table.model_fields.items()]
    assert [(table, name) for table, name, field in fields if not field.description] == []
    secret = re.findall(r"^- `(\w+)`", block(), re.MULTILINE)
    assert [name.upper() for name in settings.Secrets.model_fields] == secret
    wanted = [name for name in _fields(settings.Settings) if not name.startswith("secrets.")]
    assert sorted(_keys()) == sorted(wanted)


def test_list_is_a_valid_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied unchanged, it is accepted without a complaint, and fields with a default have it."""
    for name in settings.Secrets.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "all.toml").write_text(_block_as_toml())
    (tmp_path / "none.toml").write_text("")
    listed, bare = load(tmp_path / "all.toml"), load(tmp_path / "none.toml")
    assert (listed.budget, listed.limits, listed.branch) == (bare.budget, bare.limits, bare.branch)
    assert listed.health[0].expect == ("status == `200`",)
