"""All configuration: every setting with its type and default, and where it comes from.

Keys come from `[tool.orchestrate]` of pyproject.toml, or from the top level of the file given by --config; each can be
set in the environment as ORCHESTRATE_<KEY>, with `__` between levels. Secrets come from the environment or a `.env`
file beside the configuration, never from the table. Only whoever builds a stage sees any of this.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VercelSettings(_Table):
    """The project on Vercel."""

    project: str = Field("", description="name or id of the project")
    team: str | None = Field(None, description="team slug or id (VERCEL_TEAM_ID)")
    api: str = Field("https://api.vercel.com", description="base URL of the API")
    required_env: tuple[str, ...] = Field((), description="environment variables that production must have")
    pause_crons: bool = Field(default=False, description="switch the project's crons off during a release")


class TursoSettings(_Table):
    """The production database."""

    url: str = Field("", description="libsql://, https://, http:// or file: URL (TURSO_DATABASE_URL)")


class BudgetSettings(_Table):
    """The time of a run, in seconds."""

    total: PositiveFloat = Field(120, description="seconds for everything, going back included")
    reserve: PositiveFloat = Field(30, description="seconds of them kept for going back")
    starts: Literal["push", "live"] = Field("push", description="live: once the staged build is done")
    build: PositiveFloat = Field(600, description="seconds of its own that the build has then")

    @model_validator(mode="after")
    def _reserve_fits(self) -> Self:
        if self.reserve >= self.total:
            raise ValueError("reserve must be smaller than total")
        return self


class LimitSettings(_Table):
    """The most that each step may take, in seconds."""

    pause_crons: PositiveFloat = 5
    git_push: PositiveFloat = 10
    vercel_deployment: PositiveFloat = 75
    turso_migration: PositiveFloat = 15
    verification_query: PositiveFloat = 5
    activation: PositiveFloat = 15
    health_checks: PositiveFloat = 20


class RehearsalSettings(_Table):
    """What rehearsals run on, and what they may take."""

    sqld: Path | None = Field(None, description="the libSQL server; else the one on PATH, else the project's own cache")
    most_seconds: PositiveFloat = Field(300, description="seconds for a copy, and again for the rehearsal on it")
    most_bytes: PositiveInt = Field(20_000_000_000, description="bytes of disk for both together")


def _path(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or not _is_plain(path) or " " in path:
        raise ValueError("it must begin with one slash, and hold plain characters only")
    return path


def _headers(headers: dict[str, str]) -> dict[str, str]:
    if not all(re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) and _is_plain(headers[name]) for name in headers):
        raise ValueError("a header's name or value holds characters that no header can")
    return headers


def _ref(name: str) -> str:
    if not re.fullmatch(r"(?![-/])(?!.*(\.\.|//|@\{|\.lock$|[/.]$))[^\s~^:?*\[\\]+", name) or not name.isprintable():
        raise ValueError("git knows no such name")
    return name


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Name = Annotated[str, AfterValidator(_ref)]
Place = Annotated[str, AfterValidator(_path)]


class BeforeSettings(_Table):
    """How a question is asked before the change, where that differs."""

    path: Place
    headers: Headers = {}
    expect: tuple[str, ...] = ("status == `200`",)


class HealthSettings(_Table):
    """One question to the site."""

    name: str
    path: Place
    method: Literal["GET", "POST", "HEAD"] = "GET"
    headers: Headers = {}
    expect: tuple[str, ...] = ("status == `200`",)
    before: BeforeSettings | None = None
    writes: bool = False

    @field_validator("expect")
    @classmethod
    def _are_expressions(cls, expect: tuple[str, ...]) -> tuple[str, ...]:
        for expression in expect:
            try:
                jmespath.compile(expression)
            except JMESPathError as error:
                raise ValueError(f"{expression!r} is not JMESPath: {error}") from None
        return expect


DEFAULT_HEALTH = (
    HealthSettings(
        name="cron",
        path="/api/cron/minutely",
        headers={"Authorization": "Bearer $CRON_SECRET"},
        writes=True,
        expect=(
            "status == `200`",
            "body.success == `true`",
            "body.message != 'No systems to poll'",
            "length(body.results) >= `1`",
            "length(body.results) >= length(baseline.results)",
            "length(body.results[?success == `false`]) == `0`",
        ),
    ),
    HealthSettings(
        name="data",
        path="/api/data",
        headers={"Cookie": "auth-token=$SITE_AUTH_TOKEN"},
        expect=(
            "status == `200`",
            "body.error == `null`",
            "body.latest",
            "body.displayName == baseline.displayName || !(baseline.displayName)",
            "is_fresh(body.polling.lastSuccessTime, baseline.polling.lastSuccessTime, committed_at)",
            "!(baseline.historical.yesterday) || body.historical.yesterday",
        ),
    ),
)


class Secrets(BaseSettings):
    """What only the environment or a .env file may hold."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    vercel_token: SecretStr | None = None
    turso_database_url: str | None = None
    turso_auth_token: SecretStr | None = None
    cron_secret: SecretStr | None = None
    site_auth_token: SecretStr | None = None
    vercel_team_id: str | None = None
    vercel_automation_bypass_secret: SecretStr | None = None
    notify_urls: SecretStr | None = None  # addresses of apprise, divided by white space or commas

    def values(self) -> list[str]:
        """Give every secret's text, for the redactor and for nothing else."""
        return [value.get_secret_value() for value in dict(self).values() if isinstance(value, SecretStr)]

    def environment(self) -> dict[str, str]:
        """Give what `$NAME` in a header may stand for: the environment, and the secrets of the .env file."""
        own = {name.upper(): value.get_secret_value() for name, value in self if isinstance(value, SecretStr)}
        return {**os.environ, **own}


class Settings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    repository: Path | None = Field(None, description="the app's checkout")
    remote: Name = Field("origin", description="the remote that the platform builds from")
    branch: Name = Field("main", description="the branch that the platform builds")
    site: str = Field("", description="public address of the site")
    sql: Path = Field(Path("sql"), description="folder with migrate.sql, rollback.sql and their checks")
    runs: Path = Field(Path("runs"), description="folder for journals and reports")
    vercel: VercelSettings = VercelSettings()
    turso: TursoSettings = TursoSettings()
    budget: BudgetSettings = BudgetSettings()
    limits: LimitSettings = LimitSettings()
    rehearsal: RehearsalSettings = RehearsalSettings()
    health: tuple[HealthSettings, ...] = DEFAULT_HEALTH
    secrets: Secrets = Field(default_factory=Secrets, exclude=True, repr=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the names are the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment overrule the file."""
        return env_settings, init_settings
