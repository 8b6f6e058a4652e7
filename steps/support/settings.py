"""All configuration, read once: a TOML table, the environment, and secrets. All gaps and mistakes are told at once.

Keys come from `[tool.orchestrate]` of pyproject.toml, or from the top level of the file given by --config; each can be
set in the environment as ORCHESTRATE_<KEY>, with `__` between levels. Secrets come from the environment or a `.env`
file beside the configuration, never from the table. Only whoever builds a stage sees any of this.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from steps.support.gateways.site import Request
from steps.support.problem import Problem
from steps.support.release import HealthCheck

PROJECT = Path(__file__).parents[2]


class Misconfigured(Problem):
    """One or more settings are missing or wrong; the cause lists each on a line of its own."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("reading", "the settings", "\n  ".join(["", *mistakes]), "README.md lists every setting.")

    def __str__(self) -> str:
        """Give one line a mistake."""
        return f"{self.operation} {self.subject}:{self.cause}\n{self.remedy}"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VercelSettings(_Table):
    """The project on Vercel."""

    project: str = Field("", description="name or id of the project")
    team: str | None = Field(None, description="team slug or id (VERCEL_TEAM_ID)")
    api: str = Field("https://api.vercel.com", description="base URL of the API")


class TursoSettings(_Table):
    """The production database."""

    url: str = Field("", description="libsql://, https://, http:// or file: URL (TURSO_DATABASE_URL)")


class BudgetSettings(_Table):
    """The time of a run, in seconds."""

    total: PositiveFloat = Field(120, description="seconds for everything, going back included")
    reserve: PositiveFloat = Field(30, description="seconds of them kept for going back")

    @model_validator(mode="after")
    def _reserve_fits(self) -> Self:
        if self.reserve >= self.total:
            raise ValueError("reserve must be smaller than total")
        return self


class LimitSettings(_Table):
    """The most that each step may take, in seconds."""

    git_push: PositiveFloat = 10
    vercel_deployment: PositiveFloat = 75
    turso_migration: PositiveFloat = 15
    verification_query: PositiveFloat = 5
    activation: PositiveFloat = 15
    health_checks: PositiveFloat = 20


class RehearsalSettings(_Table):
    """What rehearsals run on."""

    sqld: Path | None = Field(None, description="the libSQL server; else the one on PATH, else the project's own cache")


class HealthSettings(_Table):
    """One question to the site."""

    name: str
    path: str
    method: Literal["GET", "POST", "HEAD"] = "GET"
    headers: dict[str, str] = {}
    expect: tuple[str, ...] = ("status == `200`",)
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
            "body.polling.lastSuccessTime",
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
    remote: str = Field("origin", description="the remote that the platform builds from")
    branch: str = Field("main", description="the branch that the platform builds")
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

    def health_checks(self, environment: dict[str, str]) -> tuple[HealthCheck, ...]:
        """Give the questions to the site, `$NAME` in headers filled in."""
        return tuple(_check(health, environment) for health in self.health)


def load(config: Path | None) -> Settings:
    """Read the settings. Raises Misconfigured with every mistake there is."""
    path = config or PROJECT / "pyproject.toml"
    table, base = _table(path), path.resolve().parent
    table = table if config else table.get("tool", {}).get("orchestrate", {})
    mistakes = list(_unknown_variables())
    try:
        settings = Settings(**{**table, "secrets": Secrets(_env_file=base / ".env")})
    except SettingsError as error:
        raise Misconfigured([*mistakes, f"{error}: in the environment, lists and tables are written as JSON"]) from None
    except ValidationError as error:
        raise Misconfigured([*mistakes, *map(_told, error.errors(include_url=False, include_input=False))]) from None
    if mistakes:
        raise Misconfigured(mistakes)
    return settings.model_copy(
        update={key: base / path for key in ("repository", "sql", "runs") if (path := getattr(settings, key))}
    )


def for_production(settings: Settings) -> Settings:
    """Give the settings with what the environment adds. Raises Misconfigured with everything that production lacks."""
    secrets = settings.secrets
    turso = TursoSettings(url=settings.turso.url or secrets.turso_database_url or "")
    vercel = settings.vercel.model_copy(update={"team": settings.vercel.team or secrets.vercel_team_id})
    filled = settings.model_copy(update={"turso": turso, "vercel": vercel})
    if mistakes := [*_missing(filled), *_unfilled_headers(filled), *_not_addresses(filled)]:
        raise Misconfigured(mistakes)
    return filled


def _missing(settings: Settings) -> Iterator[str]:
    needed = {
        "repository": settings.repository,
        "site": settings.site,
        "vercel.project": settings.vercel.project,
        "turso.url (TURSO_DATABASE_URL)": settings.turso.url,
        "VERCEL_TOKEN": settings.secrets.vercel_token,
    }
    yield from (f"{name} is not set" for name, value in needed.items() if not value)
    if settings.repository and not settings.repository.is_dir():
        yield f"repository: there is no folder {settings.repository}"


def _unfilled_headers(settings: Settings) -> Iterator[str]:
    environment = settings.secrets.environment()
    for check in settings.health:
        for name in _names(check):
            if not environment.get(name):
                yield f"{name} is not set, and the health check {check.name!r} sends it"


def _not_addresses(settings: Settings) -> Iterator[str]:
    for key, value in {"site": settings.site, "vercel.api": settings.vercel.api}.items():
        if value and not _is_address(value):
            yield f"{key}: {value!r} is not an http(s) address"
    if settings.turso.url and not settings.turso.url.startswith(("libsql://", "https://", "http://", "file:")):
        yield "turso.url: it must begin with libsql://, https://, http:// or file:"
    for name, secret in settings.secrets:
        if isinstance(secret, SecretStr) and not secret.get_secret_value().isascii():
            yield f"{name.upper()}: it holds characters that no token has; copy it once more"


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def secret_values(settings: Settings) -> list[str]:
    """Give every text that must never be shown: the secrets, and whatever headers are filled with."""
    environment = settings.secrets.environment()
    named = [environment.get(name, "") for check in settings.health for name in _names(check)]
    return [*settings.secrets.values(), *named]


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured([f"{path}: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured([f"{path} is not TOML: {error}"]) from None


def _unknown_variables() -> Iterator[str]:
    for name in os.environ:
        key = name.upper().removeprefix("ORCHESTRATE_").split("__")[0].lower()
        if name.upper().startswith("ORCHESTRATE_") and key not in Settings.model_fields:
            yield f"{name} in the environment is no setting"


def _told(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    plain = {"extra_forbidden": "there is no such setting", "path_type": "it must be a path"}.get(error["type"])
    variable = f"ORCHESTRATE_{place.upper().replace('.', '__')}"
    return f"{place}: {plain or error['msg'].removeprefix('Value error, ')} ({variable})"


def _names(health: HealthSettings) -> list[str]:
    return [name for value in health.headers.values() for name in re.findall(r"\$(\w+)", value)]


def _check(health: HealthSettings, environment: dict[str, str]) -> HealthCheck:
    headers = {
        key: re.sub(r"\$(\w+)", lambda match: environment[match[1]], value) for key, value in health.headers.items()
    }
    return HealthCheck(health.name, Request(health.path, health.method, headers), health.expect, health.writes)
