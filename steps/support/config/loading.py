"""Read the settings, and report everything that is missing or wrong at once."""

import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import (
    SecretStr,
    ValidationError,
)
from pydantic_settings import SettingsError

from steps.support.config.settings import HealthSettings, Secrets, Settings
from steps.support.core.addresses import PROXY, is_loopback, network_words, proxy, unusable_proxy
from steps.support.core.errors import Problem
from steps.support.core.text import printable

PROJECT = Path(__file__).parents[3]
LIST = "notify_urls"  # the only secret that may have several lines; a mistake in it does not stop a run


class Misconfigured(Problem):
    """Settings are missing or wrong; the cause lists each mistake on a line of its own."""

    def __init__(self, *, mistakes: list[str]) -> None:
        super().__init__(
            code="usage",
            operation="reading",
            subject="the settings",
            cause="\n  ".join(["", *mistakes]),
            remedy="README.md lists every setting.",
        )

    def __str__(self) -> str:
        """Return a text with one line for each mistake."""
        return f"{self.operation} {self.subject}:{self.cause}\n{self.remedy}"


def load(config: Path | None) -> Settings:
    """Return the settings in the file `config`, or in this project's pyproject.toml if `config` is None.

    The environment overrides the file. Raise Misconfigured, which lists every mistake.
    """
    path = config or PROJECT / "pyproject.toml"
    table, base = _table(path), path.resolve().parent
    table = table if config else table.get("tool", {}).get("orchestrate", {})
    mistakes = [*_unknown_variables(), *(_bundled_program(table, base) if config else ())]
    try:
        settings = Settings(**{**table, "secrets": Secrets(_env_file=base / ".env")})
    except SettingsError as error:
        raise Misconfigured(
            mistakes=[*mistakes, f"{error}: in the environment, lists and tables are written as JSON"]
        ) from None
    except ValidationError as error:
        raise Misconfigured(
            mistakes=[*mistakes, *map(_mistake, error.errors(include_url=False, include_input=False))]
        ) from None
    if mistakes:
        raise Misconfigured(mistakes=mistakes)
    folders = {key: base / path for key in ("repository", "sql", "runs") if (path := getattr(settings, key))}
    sqld = settings.rehearsal.sqld and base / settings.rehearsal.sqld
    return settings.model_copy(update={**folders, "rehearsal": settings.rehearsal.model_copy(update={"sqld": sqld})})


def for_production(settings: Settings) -> Settings:
    """Return the settings for a release to production, completed from the environment.

    Raise Misconfigured, which lists everything that is missing or wrong.
    """
    secrets = settings.secrets
    turso = settings.turso.model_copy(update={"url": settings.turso.url or secrets.turso_database_url or ""})
    vercel = settings.vercel.model_copy(update={"team": settings.vercel.team or secrets.vercel_team_id})
    filled = settings.model_copy(update={"turso": turso, "vercel": vercel})
    if mistakes := [
        *_missing(filled),
        *_unused(filled),
        *_unfilled_headers(filled),
        *_not_addresses(filled),
        *_unencrypted(filled),
        *_unusable_proxy(),
    ]:
        raise Misconfigured(mistakes=mistakes)
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
            if not (value := environment.get(name)):
                yield f"{name} is not set, and the health check {check.name!r} sends it"
            elif not (value.isascii() and value.isprintable()):
                yield f"{name}: it contains characters that are not allowed in a header; copy it again"


def _unused(settings: Settings) -> Iterator[str]:
    if settings.vercel.deploy and settings.release == "push":
        yield 'vercel.deploy: it is used only with release = "none"; with "push", the push starts the build'


def _not_addresses(settings: Settings) -> Iterator[str]:
    for key, value in {"site": settings.site, "vercel.api": settings.vercel.api}.items():
        if value and not _is_address(value):
            yield f"{key}: {value!r} is not an http(s) address"
    if settings.turso.url and not settings.turso.url.startswith(("libsql://", "https://", "http://", "file:")):
        yield "turso.url: it must begin with libsql://, https://, http:// or file:"
    for name, secret in settings.secrets:
        value = secret.get_secret_value() if isinstance(secret, SecretStr) else ""
        if name != LIST and not (value.isascii() and value.isprintable()):
            yield f"{name.upper()}: it contains characters that no token has; copy it again"


def _unencrypted(settings: Settings) -> Iterator[str]:
    """Yield a mistake for each token that would be sent to another machine over plain http."""
    sent = {
        "turso.url": (settings.turso.url, settings.secrets.turso_auth_token),
        "vercel.api": (settings.vercel.api, settings.secrets.vercel_token),
    }
    for key, (address, token) in sent.items():
        with suppress(ValueError):
            host = urlsplit(address).hostname or ""
            if token and address.startswith("http://") and not is_loopback(host):
                yield f"{key}: http:// would send the token unencrypted to {host}; use https://"


def _unusable_proxy() -> Iterator[str]:
    if wrong := unusable_proxy():
        yield f"{PROXY} in the environment: {wrong}"


def network(settings: Settings) -> str:
    """Return which hosts of a release are reached through a proxy, in words; an empty text if none is."""
    return network_words([settings.vercel.api, settings.site, settings.turso.url])


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def target(settings: Settings) -> str:
    """Return the target of a release as text: the project, the database, and the remote's branch."""
    return f"{settings.vercel.project} with {settings.turso.url}, branch {settings.remote}/{settings.branch}"


def target_id(settings: Settings) -> str:
    """Return a hash of the target that reveals no secret."""
    return sha256(target(settings).encode()).hexdigest()


def target_ids(settings: Settings) -> tuple[str, str]:
    """Return the hashes by which a previous run to this target is known.

    The second one is that of earlier versions of this tool, whose target did not include the remote.
    """
    earlier = f"{settings.vercel.project} with {settings.turso.url}, branch {settings.branch}"
    return target_id(settings), sha256(earlier.encode()).hexdigest()


def secret_values(settings: Settings) -> list[str]:
    """Return every text that must never be shown: the secrets, and the values that the environment puts in headers."""
    environment = settings.secrets.environment()
    named = [environment.get(name, "") for check in settings.health for name in _names(check)]
    return [*settings.secrets.values(), *named, *_proxy_password()]


def _proxy_password() -> Iterator[str]:
    with suppress(ValueError):
        password = urlsplit(proxy()).password or ""
        yield from (password, unquote(password))


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(mistakes=[f"{path}: {error}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(mistakes=[f"{path} is not TOML: {error}"]) from None


def _bundled_program(table: dict[str, Any], base: Path) -> Iterator[str]:
    """Yield a mistake if the configuration names a program in its own folder: both may be from an untrusted source."""
    rehearsal = table.get("rehearsal")
    named = rehearsal.get("sqld") if isinstance(rehearsal, dict) else None
    if isinstance(named, str) and (base / named).resolve().is_relative_to(base):
        remedy = "put it on PATH, or name it in ORCHESTRATE_REHEARSAL__SQLD"
        yield f"rehearsal.sqld: a program in the folder of the configuration is not run; {remedy}"


def _unknown_variables() -> Iterator[str]:
    for name in os.environ:
        key = name.upper().removeprefix("ORCHESTRATE_").split("__")[0].lower()
        if name.upper().startswith("ORCHESTRATE_") and key not in Settings.model_fields:
            yield f"{name} in the environment is not a setting"


def _mistake(error: Any) -> str:
    place = printable(".".join(map(str, error["loc"])))
    plain = {"extra_forbidden": "there is no such setting", "path_type": "it must be a path"}.get(error["type"])
    variable = f"ORCHESTRATE_{place.upper().replace('.', '__')}"
    return f"{place}: {plain or error['msg'].removeprefix('Value error, ')} ({variable})"


def _names(health: HealthSettings) -> list[str]:
    headers = [health.headers, health.before.headers if health.before else {}]
    return [name for each in headers for value in each.values() for name in re.findall(r"\$(\w+)", value)]
