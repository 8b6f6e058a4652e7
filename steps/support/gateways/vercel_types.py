"""Vercel's responses as values, read from each of their formats; unknown fields are ignored."""

import math
import re
from dataclasses import dataclass
from typing import Any, Self

_ID = re.compile(r"[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Move:
    """The last promotion or rollback that the project reports; a hint, never a proof: it may be old, or missing.

    `source`: the deployment that was live before. `requested`: milliseconds since 1970 on the platform's clock.
    """

    kind: str
    to: str
    status: str
    source: str | None = None
    requested: int = 0

    @property
    def is_under_way(self) -> bool:
        """True if it has not ended."""
        return self.status in ("pending", "in-progress")

    @property
    def had_no_effect(self) -> bool:
        """True if it ended without effect."""
        return self.status in ("failed", "skipped")

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self | None:
        """Return the move in a project's last alias request, or None if there is none."""
        kind, status = (_text(body.get(key)) for key in ("type", "jobStatus"))
        to, source = (_id_or_none(body.get(f"{end}DeploymentId")) for end in ("to", "from"))
        return cls(kind, to, status, source, _number(body.get("requestedAt"))) if to else None


@dataclass(frozen=True, slots=True)
class Project:
    """A project's state. `auto_assign` and `crons` are None if not reported, which counts as off."""

    id: str
    name: str
    auto_assign: bool | None
    production_id: str | None
    move: Move | None
    crons: bool | None

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        """Return the project in a response body."""
        production = (body.get("targets") or {}).get("production") or {}
        on, move = body.get("autoAssignCustomDomains"), Move.of(body.get("lastAliasRequest") or {})
        on = on if isinstance(on, bool) else None
        crons = body["crons"].get("disabledAt") is None if body.get("crons") else None
        return cls(_id(body["id"]), _text(body["name"]), on, _id_or_none(production.get("id")), move, crons)

    @property
    def moving_to(self) -> str | None:
        """The deployment to which a promotion or rollback is moving production, or None."""
        return self.move.to if self.move and self.move.is_under_way else None

    @property
    def is_rolled_back(self) -> bool:
        """True if auto-assign is off because production was rolled back to the live deployment."""
        move = self.move
        done = move is not None and (move.kind, move.to) == ("rollback", self.production_id)
        return done and not self.auto_assign


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment; `sha` is the full commit id, empty if the platform does not report it.

    `host`: its own host. `created`: milliseconds since 1970. `build_seconds`: the length of its build. `is_queued`: it
    waits behind other builds. `is_aliased`: it has its aliases. `creator`: a user name, empty if it is not reported.
    """

    id: str
    project: str | None
    sha: str
    target: str | None
    state: str
    host: str
    reason: str
    created: int
    build_seconds: float | None
    is_queued: bool
    is_skipped: bool
    alias_error: str
    is_aliased: bool = False
    creator: str = ""

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Return the deployment in a list item or a single response, which name the same fields differently."""
        meta, source = row.get("meta") or {}, row.get("gitSource") or {}
        return cls(
            _id(row.get("uid") or row["id"]),
            _text(row.get("projectId")) or None,
            _text(meta.get("githubCommitSha") or source.get("sha") or meta.get("gitCommitSha")),
            _text(row.get("target")) or None,
            _text(row.get("readyState") or row.get("state") or row.get("status")) or "UNKNOWN",
            _text(row.get("url")),
            _text(row.get("errorMessage") or row.get("readyStateReason")),
            _number(row.get("createdAt") or row.get("created")),
            _seconds(_number(row.get("buildingAt")), _number(row.get("ready"))),
            bool(row.get("isInConcurrentBuildsQueue") or row.get("isInSystemBuildsQueue")),
            bool(row.get("buildSkipped")),
            _text((row.get("aliasError") or {}).get("message")),
            bool(row.get("aliasAssigned")),
            _text((row.get("creator") or {}).get("username") or meta.get("githubCommitAuthorLogin")),
        )


def _text(value: Any) -> str:
    """Return a text, empty for None. Raise TypeError for anything else."""
    if not isinstance(value, str | None):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value or ""


def _id(value: Any) -> str:
    """Return an id that is safe in paths and commands. Raise ValueError if it could change their meaning."""
    if not _ID.fullmatch(text := _text(value)):
        raise ValueError(f"{text[:40]!r} instead of an id")
    return text


def _id_or_none(value: Any) -> str | None:
    return _id(value) if value else None


def _number(value: Any) -> int:
    """Return a number as an integer, 0 for None. Raise TypeError for another type, ValueError for infinity or NaN."""
    if not isinstance(value, int | float | None) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} instead of a number")
    if not math.isfinite(value or 0):
        raise ValueError(f"{value} instead of a number")
    return int(value or 0)


def _seconds(begun: int, ended: int) -> float | None:
    return (ended - begun) / 1000 if begun and ended else None


@dataclass(frozen=True, slots=True)
class RollingRelease:
    """An active rolling release; `queued` is the deployment that goes live when it has ended."""

    queued: str | None


def rolling_release(body: Any) -> RollingRelease | None:
    """Return the active rolling release in a response body, or None."""
    row = body["rollingRelease"]
    if not row or row.get("state") != "ACTIVE":
        return None
    return RollingRelease(_id_or_none(row.get("queuedDeploymentId")))


def deployments(body: Any) -> list[Deployment]:
    """Return the deployments on one page of a list."""
    return [Deployment.of(row) for row in body["deployments"]]


def served_by(body: Any) -> str | None:
    """Return the id of the deployment that an alias serves, in either of the two documented response formats."""
    row = body[0] if isinstance(body, list) else body
    return _id_or_none(row["deploymentId"])


def log_lines(events: Any) -> list[str]:
    """Return the lines of a build's log; an event is flat, or has its fields under `payload`."""
    texts = [event.get("text") or (event.get("payload") or {}).get("text") for event in events]
    return [_text(text) for text in texts if text]


def production_variables(body: Any) -> set[str]:
    """Return the names of production's environment variables; their values are not read."""
    return {_text(row["key"]) for row in body["envs"] if "production" in _targets(row)}


def next_page(body: Any) -> int | None:
    """Return where the next page begins, or None on the last page."""
    return _number((body.get("pagination") or {}).get("next")) or None


def _targets(row: dict[str, Any]) -> list[str]:
    target = row.get("target") or []
    return [target] if isinstance(target, str) else target
