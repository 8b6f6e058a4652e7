"""All settings: the type and the default of each, and where its value comes from.

Keys come from `[tool.orchestrate]` of pyproject.toml, or from the top level of the file given by --config. Each can
also be set in the environment as ORCHESTRATE_<KEY>, with `__` between levels. Secrets come from the environment or from
a `.env` file next to the configuration file, never from the configuration file itself.
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

from steps.support.core.limits import STEALS
from steps.support.core.text import ROLLBACK_MESSAGE


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VercelSettings(_Table):
    """The project on Vercel."""

    project: str = Field("", description="name or id of the project", examples=["liveone"])
    team: str | None = Field(
        None, description="slug or id of the team; otherwise from VERCEL_TEAM_ID", examples=["my-team"]
    )
    api: str = Field("https://api.vercel.com", description="base URL of the API")
    required_env: tuple[str, ...] = Field((), description="variables that production must have; values are not read")
    pause_crons: bool = Field(default=False, description="switch the project's crons off during a release")
    deploy: str = Field(
        "",
        description='with release = "none": deploys the commit, prints the URL',
        examples=["vercel deploy --prebuilt --prod --skip-domain"],
    )


class TursoSettings(_Table):
    """The production database."""

    url: str = Field(
        "",
        description="libsql://, https:// or file:; otherwise from TURSO_DATABASE_URL",
        examples=["libsql://liveone.turso.io"],
    )
    sole_writer: bool = Field(default=False, description="nothing else writes in a release; no lock limit applies")


class BudgetSettings(_Table):
    """The time of a run, in seconds."""

    total: PositiveFloat = Field(120, description="for everything, including a rollback")
    reserve: PositiveFloat = Field(30, description="the part of total that is kept for a rollback")
    starts: Literal["push", "live"] = Field(
        "push", description="when the clock starts; live means once the build is staged"
    )
    build: PositiveFloat = Field(600, description="for the build if starts is live, in addition to total")

    @model_validator(mode="after")
    def _reserve_fits(self) -> Self:
        if self.reserve >= self.total:
            raise ValueError("reserve must be smaller than total")
        return self


class LimitSettings(_Table):
    """The most seconds that each step may take, and how long a change may hold up the app's own writers."""

    pause_crons: PositiveFloat = Field(5, description="switching the crons off")
    git_push: PositiveFloat = Field(10, description="pushing the commits")
    deploy_command: PositiveFloat = Field(75, description="the command vercel.deploy")
    vercel_deployment: PositiveFloat = Field(75, description="the build, and going live if it does so by itself")
    turso_migration: PositiveFloat = Field(15, description="the transaction of migrate.sql")
    verification_query: PositiveFloat = Field(5, description="the queries of verify.sql")
    activation: PositiveFloat = Field(15, description="checking the staged deployment, and promoting it")
    health_checks: PositiveFloat = Field(20, description="the health checks of the live site")
    deployment_appears: PositiveFloat = Field(20, description="until the platform shows a deployment of the commit")
    lock: float = Field(1, description="seconds that a change may hold up other writers")
    lock_bytes: PositiveInt = Field(20_000_000, description="bytes that a change may write in one transaction")

    @field_validator("lock")
    @classmethod
    def _is_kept(cls, lock: float) -> float:
        if not 0 < lock <= STEALS:
            why = "after that, a server gives the write lock to another writer"
            raise ValueError(f"it must be above 0, and at most {STEALS:g}: {why}")
        return lock

    @property
    def of_steps(self) -> dict[str, float]:
        """The limit of each step, in seconds."""
        return self.model_dump(exclude={"deployment_appears", "lock", "lock_bytes"})


class RehearsalSettings(_Table):
    """Where rehearsals run, and how much time and disk space they may take."""

    sqld: Path | None = Field(
        None, description="the server; otherwise from PATH or the project's cache", examples=["/opt/sqld"]
    )
    most_seconds: PositiveFloat = Field(300, description="seconds for the copy, and again for the rehearsal on it")
    most_bytes: PositiveInt = Field(
        20_000_000_000, description="bytes of disk; it needs four times the size of the database"
    )


def _path(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or not _is_plain(path) or " " in path:
        raise ValueError("it must begin with one slash, and contain plain characters only")
    return path


def _headers(headers: dict[str, str]) -> dict[str, str]:
    if not all(re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) and _is_plain(headers[name]) for name in headers):
        raise ValueError("a header's name or value contains characters that are not allowed in a header")
    return headers


def _ref(name: str) -> str:
    if not re.fullmatch(r"(?![-/])(?!.*(\.\.|//|@\{|\.lock$|[/.]$))[^\s~^:?*\[\\]+", name) or not name.isprintable():
        raise ValueError("git does not allow this name")
    return name


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _message(message: str) -> str:
    try:
        subject = message.format(run="r", previous="0" * 40, released="1" * 40).partition("\n")[0]
    except (ValueError, LookupError, AttributeError) as error:
        raise ValueError(f"it may name {{run}}, {{previous}} and {{released}} only ({error!r})") from None
    if not subject.strip() or not message.replace("\n", "").isprintable():
        raise ValueError("it must begin with a subject, and contain printable characters only")
    return message


Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Name = Annotated[str, AfterValidator(_ref)]
Place = Annotated[str, AfterValidator(_path)]
Message = Annotated[str, AfterValidator(_message)]


class BeforeSettings(_Table):
    """How a health check asks the previous code, if that needs a different request."""

    path: Place = Field(description="a path that the previous code answers", examples=["/api/data"])
    headers: Headers = Field({}, description="the headers of that request")
    expect: tuple[str, ...] = Field(("status == `200`",), description="what must be true of its answer")


class HealthSettings(_Table):
    """One health check of the site. If any check is configured, the two built-in ones are not used."""

    name: str = Field(description="its name in the report", examples=["data"])
    path: Place = Field(description="path on the site, and on a staged deployment", examples=["/api/data"])
    method: Literal["GET", "POST", "HEAD"] = Field("GET", description="the HTTP method")
    headers: Headers = Field(
        {}, description="$NAME comes from the environment", examples=[{"Cookie": "auth-token=$SITE_AUTH_TOKEN"}]
    )
    expect: tuple[str, ...] = Field(
        ("status == `200`",), description="JMESPath over status, body, baseline, committed_at"
    )
    before: BeforeSettings | None = Field(
        None,
        description="path, headers and expect for the previous code",
        examples=[{"path": "/api/data", "headers": {}}],
    )
    writes: bool = Field(default=False, description="the request changes something, so it is sent once")

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
    """The values that only the environment or a .env file may hold."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    vercel_token: SecretStr | None = Field(None, description="token that may read, promote and roll back the project")
    turso_database_url: str | None = Field(None, description="the database, if `turso.url` is not set")
    turso_auth_token: SecretStr | None = Field(None, description="token of that database that may read and write")
    cron_secret: SecretStr | None = Field(None, description="sent by the built-in check `cron`")
    site_auth_token: SecretStr | None = Field(None, description="sent by the built-in check `data`")
    vercel_team_id: str | None = Field(None, description="the team, if `vercel.team` is not set")
    vercel_automation_bypass_secret: SecretStr | None = Field(
        None, description="lets the checks reach a staged deployment that is protected"
    )
    notify_urls: SecretStr | None = Field(None, description="apprise addresses to notify when a run starts and ends")

    def values(self) -> list[str]:
        """Return the text of every secret. Only the redactor may use this."""
        return [value.get_secret_value() for value in dict(self).values() if isinstance(value, SecretStr)]

    def environment(self) -> dict[str, str]:
        """Return the values for `$NAME` in headers, by name: the environment, and the secrets of the .env file."""
        own = {name.upper(): value.get_secret_value() for name, value in self if isinstance(value, SecretStr)}
        return {**os.environ, **own}


class Settings(BaseSettings):
    """Every setting, with its default."""

    model_config = SettingsConfigDict(env_prefix="ORCHESTRATE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    repository: Path | None = Field(None, description="the app's checkout", examples=["../liveone"])
    remote: Name = Field("origin", description="the remote that the platform builds from")
    branch: Name = Field("main", description="the branch that the platform builds")
    rollback_message: Message = Field(
        ROLLBACK_MESSAGE, description="of the commit that restores the branch: {run}, {previous}, {released}"
    )
    release: Literal["push", "none"] = Field(
        "push", description="none: the commit is on the remote branch already, and is not pushed"
    )
    site: str = Field("", description="public address of the site", examples=["https://liveone.vercel.app"])
    sql: Path = Field(Path("sql"), description="folder of the change: migrate.sql, rollback.sql and other files")
    probe_rate: float = Field(
        5, ge=0, le=50, description="visits to the site in each second that measure downtime; 0 makes none"
    )
    runs: Path = Field(Path("runs"), description="folder of journals, reports and backups")
    vercel: VercelSettings = Field(VercelSettings(), description="the project on Vercel")
    turso: TursoSettings = Field(TursoSettings(), description="the production database")
    budget: BudgetSettings = Field(BudgetSettings(), description="the time of a run, in seconds")
    limits: LimitSettings = Field(LimitSettings(), description="the most seconds for each step, and limits of a change")
    rehearsal: RehearsalSettings = Field(RehearsalSettings(), description="where and how long a change is rehearsed")
    health: tuple[HealthSettings, ...] = Field(DEFAULT_HEALTH, description="replaces the two built-in checks")
    secrets: Secrets = Field(
        default_factory=Secrets, exclude=True, repr=False, description="only from the environment or a .env file"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the names are the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources by priority: the environment overrides the file."""
        return env_settings, init_settings
