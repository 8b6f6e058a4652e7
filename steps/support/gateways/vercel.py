"""The part of the Vercel REST API that one project's production deployments need.

Every returned row is checked against the query, because the platform may ignore a filter. Values are read from every
known format of a response, and unknown fields are ignored.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from shlex import quote
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx

from steps.support.core.errors import Busy, Code, NotSent, Problem, Rejected, Unknown
from steps.support.core.limits import ALIAS_JOB_DIES
from steps.support.gateways.http import SHOWN, exchange, json_of, retry_after

_ID = re.compile(r"[\w-][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Move:
    """The last promotion or rollback that the project reports.

    It is a hint and never a proof, because it may be old or missing. `kind`: `promote` or `rollback`. `to`: the
    deployment that production moves to. `source`: the deployment that was live before. `requested`: milliseconds since
    1970 on the platform's clock. `is_dead`: whether it is so old that it will never end; some stay in progress for
    weeks.
    """

    kind: str
    to: str
    status: str
    source: str | None = None
    requested: int = 0
    is_dead: bool = False

    @property
    def is_under_way(self) -> bool:
        """True if the move has not ended yet."""
        return self.status in ("pending", "in-progress") and not self.is_dead

    @property
    def had_no_effect(self) -> bool:
        """True if the move failed or was skipped, so that production did not change."""
        return self.status in ("failed", "skipped")

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self | None:
        """Return the move in a project's last alias request, or None if there is none."""
        kind, status = (_text(body.get(key)) for key in ("type", "jobStatus"))
        to, source = (_id_or_none(body.get(f"{end}DeploymentId")) for end in ("to", "from"))
        requested = _number(body.get("requestedAt"))
        is_dead = 0 < requested < (time.time() - ALIAS_JOB_DIES) * 1000
        return cls(kind, to, status, source, requested, is_dead) if to else None


@dataclass(frozen=True, slots=True)
class Project:
    """A project's state. `auto_assign` and `crons` are None if the platform does not report them.

    `production_sha`: the commit of the production deployment; empty if the platform does not report it.
    `branch`: the branch whose pushes become production deployments, empty if the project has no Git connection.
    `is_gradual`: whether rolling releases are configured, so that a promotion moves visitors step by step.
    """

    id: str
    name: str
    auto_assign: bool | None
    production_id: str | None
    move: Move | None
    crons: bool | None
    production_sha: str = ""
    branch: str = ""
    is_gradual: bool = False

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        """Return the project in a response body."""
        branch = _text((body.get("link") or {}).get("productionBranch"))
        production = (body.get("targets") or {}).get("production") or {}
        on, move = body.get("autoAssignCustomDomains"), Move.of(body.get("lastAliasRequest") or {})
        on = on if isinstance(on, bool) else None
        crons = body["crons"].get("disabledAt") is None if body.get("crons") else None
        live, sha = (_id(production["id"]), Deployment.of(production).sha) if production.get("id") else (None, "")
        is_gradual = _is_gradual(body.get("rollingRelease"))
        return cls(_id(body["id"]), _text(body["name"]), on, live, move, crons, sha, branch, is_gradual)

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
    """One deployment.

    `sha`: its full commit id, empty if the platform does not report it, or if files were not committed when it was
    deployed; `changed_from` is the commit then. `host`: its own host. `created`: milliseconds since 1970.
    `build_seconds`: how long its build took. `is_queued`: whether it waits behind other builds. `is_aliased`: whether
    it has its aliases. `creator`: a user name, empty if it is not reported. `by_cli`: whether the CLI deployed it, and
    not the Git integration. `checks`: "failed", "running", or empty if no check keeps its aliases back. `was_live`:
    whether it is or was in production. `is_held`: whether it was deployed so that it waits for its promotion, even if
    auto-assign is on; only a single response has that.
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
    by_cli: bool = False
    changed_from: str = ""
    checks: str = ""
    was_live: bool = False
    is_held: bool = False

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Return the deployment in a list item or in a single response, whose fields have different names."""
        meta, source = row.get("meta") or {}, row.get("gitSource") or {}
        commit = _text(next(filter(None, map(meta.get, COMMITS)), None) or source.get("sha"))
        is_changed = str(meta.get("gitDirty") or "0") != "0"
        return cls(
            _id(row.get("uid") or row["id"]),
            _text(row.get("projectId")) or None,
            "" if is_changed else commit,
            _text(row.get("target")) or None,
            _text(row.get("readyState") or row.get("state") or row.get("status")) or "UNKNOWN",
            _text(row.get("url")),
            _text(row.get("errorMessage") or row.get("readyStateReason")),
            _number(row.get("createdAt") or row.get("created")),
            _seconds(_number(row.get("buildingAt")), _number(row.get("ready"))),
            bool(row.get("isInConcurrentBuildsQueue") or row.get("isInSystemBuildsQueue")),
            bool(row.get("buildSkipped")) or IGNORED in _text(row.get("errorMessage")),
            _text((row.get("aliasError") or {}).get("message")),
            bool(row.get("aliasAssigned")),
            _text((row.get("creator") or {}).get("username") or meta.get("githubCommitAuthorLogin")),
            row.get("source") == "cli",
            commit if is_changed else "",
            _checks(row),
            row.get("isRollbackCandidate") is True or row.get("readySubstate") == "PROMOTED",
            row.get("autoAssignCustomDomains") is False,
        )


COMMITS = ("githubCommitSha", "gitlabCommitSha", "bitbucketCommitSha", "gitCommitSha")  # the last one is the CLI's
ALL = 100  # percent of the visitors
IGNORED = "Ignored Build Step"  # the platform names this setting if it skipped a build


def _checks(row: dict[str, Any]) -> str:
    """Return "failed" or "running" if checks keep a deployment from its aliases, otherwise an empty text."""
    alias = ((row.get("checks") or {}).get("deployment-alias") or {}).get("state")
    state, conclusion = row.get("checksState"), row.get("checksConclusion")
    if "failed" in (alias, conclusion) or conclusion == "canceled":
        return "failed"
    return "running" if state in ("registered", "running") or alias == "pending" else ""


def _is_gradual(configured: Any) -> bool:
    """Return True if a rolling release is configured, unless all visitors come in its first stage."""
    if not configured:
        return False
    stages = configured.get("stages")
    return stages is None or any(_number(stage.get("targetPercentage")) < ALL for stage in stages)


def _text(value: Any) -> str:
    """Return a text, or an empty one for None. Raise TypeError for anything else."""
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
    """An active rolling release. `queued`: the deployment that goes live when it has ended, or None."""

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


@dataclass(frozen=True, slots=True)
class Alias:
    """What a public host does: it serves a deployment, or it redirects to another host; empty if it does not."""

    deployment: str | None
    redirect: str

    @classmethod
    def of(cls, body: Any) -> Self:
        """Return the alias in either of the two documented response formats."""
        row = body[0] if isinstance(body, list) else body
        return cls(_id_or_none(row["deploymentId"]), _text(row.get("redirect")))


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One of a deployment's checks. `conclusion`: empty until it has ended."""

    name: str
    conclusion: str


def check_runs(body: Any) -> list[CheckRun]:
    """Return the checks of a deployment."""
    return [CheckRun(_text(run["name"]), _text(run.get("conclusion"))) for run in body["runs"]]


def expiry(body: Any) -> float | None:
    """Return when a token expires, in seconds since 1970, or None if it does not."""
    milliseconds = _number(body["token"].get("expiresAt"))
    return milliseconds / 1000 if milliseconds else None


def log_lines(events: Any) -> list[str]:
    """Return the lines of a build's log. An event has its fields either at the top or under `payload`."""
    texts = [event.get("text") or (event.get("payload") or {}).get("text") for event in events]
    return [_text(text) for text in texts if text]


def production_variables(body: Any) -> set[str]:
    """Return the names of production's environment variables; their values are not read."""
    return {_text(row["key"]) for row in body["envs"] if "production" in _targets(row)}


def shared_variables(body: Any, project: str) -> set[str]:
    """Return the names of the team's shared variables that this project's production has."""
    rows = [row for row in body["data"] if project in (row.get("projectId") or [])]
    return {_text(row["key"]) for row in rows if "production" in _targets(row)}


def next_page(body: Any) -> int | None:
    """Return where the next page begins, or None on the last page."""
    return _number((body.get("pagination") or {}).get("next")) or None


def _targets(row: dict[str, Any]) -> list[str]:
    target = row.get("target") or []
    return [target] if isinstance(target, str) else target


Result = TypeVar("Result")

PAGES = 20  # pages of a list that are read at most
REFUSALS = {
    401: "The token is not accepted: set VERCEL_TOKEN.",
    403: "The token may not do this: set VERCEL_TOKEN, and vercel.team for a team's project.",
    404: "Check vercel.project and vercel.team.",
}
STATUS_PAGE = "Check the platform's status page."


class Missing(Rejected):
    """The platform does not know what was asked for."""


class Deferred(Problem):
    """The platform accepted a request, but will carry it out only after another operation has ended."""


class Vercel:
    """One project on the platform. Writes are sent once, and the caller reads back their effect."""

    def __init__(self, client: httpx.AsyncClient, project: str, team: str | None, host: str) -> None:
        self._client = client
        self._project = project
        self._id = project if project.startswith("prj_") else ""
        self._team = {"teamId": team} if team and team.startswith("team_") else {"slug": team} if team else {}
        self._fastest = math.inf  # seconds that the fastest answer took so far, which the link alone needs
        self.host = host  # the public host whose alias decides what is live

    @property
    def name(self) -> str:
        """The project's name or id, as configured."""
        return self._project

    @property
    def round_trip(self) -> float:
        """The seconds that the link to the platform adds to each request; 0 as long as that is not known."""
        return self._fastest if math.isfinite(self._fastest) else 0.0

    async def user(self) -> str:
        """Return the name of the token's user."""
        return await self._get("/v2/user", lambda body: str(body["user"]["username"]))

    async def project(self) -> Project:
        """Return the project's state."""
        project = await self._get(f"/v9/projects/{self._project}", Project.of, rollbackInfo="true")
        self._id = project.id
        return project

    async def rolling_release(self) -> RollingRelease | None:
        """Return the active rolling release, or None if there is none or the plan does not include rolling releases."""
        try:
            path = f"/v1/projects/{await self._identifier()}/rolling-release"
            return await self._get(path, rolling_release, state="ACTIVE")
        except Rejected:
            return None

    async def production_variables(self) -> set[str]:
        """Return the names of production's environment variables; their values are not read."""
        path = f"/v10/projects/{await self._identifier()}/env"
        return await self._all_pages(path, production_variables, target="production")

    async def shared_variables(self) -> set[str]:
        """Return the names of the team's shared variables that production has; none if the token may not read them."""
        project = await self._identifier()
        try:
            return await self._all_pages("/v1/env", partial(shared_variables, project=project))
        except Rejected:
            return set()

    async def token_expiry(self) -> float | None:
        """Return when the token expires, in seconds since 1970; None if it does not, or if it may not tell."""
        try:
            return await self._get("/v5/user/tokens/current", expiry)
        except Rejected:
            return None

    async def check_runs(self, identifier: str) -> list[CheckRun]:
        """Return the checks of a deployment; none if the token may not read them."""
        try:
            return await self._get(f"/v2/deployments/{identifier}/check-runs", check_runs)
        except Rejected:
            return []

    async def deployment(self, identifier: str) -> Deployment:
        """Return the deployment with this id."""
        return await self._get(f"/v13/deployments/{identifier}", Deployment.of)

    async def production_deployments(self, sha: str = "", most: int = 20) -> list[Deployment]:
        """Return the production deployments, newest first. With `sha`, return only those of exactly this commit."""
        project = await self._identifier()
        query = {"projectId": project, "target": "production", "limit": str(most)}
        wanted = {"sha": sha} if sha else {}
        rows = await self._get("/v6/deployments", deployments, **query, **wanted)
        ours = [row for row in rows if row.target == "production" and row.project in (None, project)]
        found = [row for row in ours if sha in ("", row.sha)]
        return sorted(found, key=lambda row: row.created, reverse=True)

    async def is_live(self, identifier: str) -> bool:
        """Return True if a deployment is live by both the public host's alias and the production target."""
        return await self.served() == identifier == (await self.project()).production_id

    async def served(self) -> str | None:
        """Return the id of the deployment that the public host serves."""
        return (await self.alias()).deployment

    async def alias(self) -> Alias:
        """Return what the public host does. Raise Missing if the platform knows no such alias."""
        return await self._get(f"/v4/aliases/{self.host}", Alias.of)

    async def wildcard(self) -> str:
        """Return the wildcard domain that covers the public host, or an empty text if none does."""
        domain = f"*.{self.host.partition('.')[2]}"
        try:
            await self._get(f"/v4/aliases/{domain}", Alias.of)
        except Rejected:
            return ""
        return domain

    async def build_errors(self, identifier: str, lines: int = 5) -> str:
        """Return the last `lines` lines of a build's log."""
        query = {"direction": "forward", "follow": "0", "limit": "-1", "builds": "1"}
        texts = await self._get(f"/v3/deployments/{identifier}/events", log_lines, **query)
        return "\n".join(texts[-lines:])

    async def promote(self, identifier: str) -> None:
        """Ask the platform to promote a staged deployment. Raise Deferred if the promotion is queued.

        The deployment is not live yet when this returns.
        """
        await self._send("POST", f"/v10/projects/{await self._identifier()}/promote/{identifier}")

    async def roll_back(self, identifier: str) -> None:
        """Ask the platform to roll back to an earlier production deployment, which pins the project.

        The deployment is not live yet when this returns.
        """
        await self._send("POST", f"/v1/projects/{await self._identifier()}/rollback/{identifier}")

    async def cancel(self, identifier: str) -> None:
        """Cancel the build of a deployment."""
        await self._send("PATCH", f"/v12/deployments/{identifier}/cancel")

    async def set_auto_assign(self, on: bool) -> None:  # noqa: FBT001 - it is the value that is set
        """Set whether new production deployments go live by themselves."""
        await self._send("PATCH", f"/v9/projects/{self._project}", json={"autoAssignCustomDomains": on})

    async def set_crons(self, on: bool) -> None:  # noqa: FBT001 - it is the value that is set
        """Switch the project's crons on or off, using the path that Vercel's Terraform provider uses."""
        await self._send("PATCH", f"/v1/projects/{await self._identifier()}/crons", json={"enabled": on})

    async def _identifier(self) -> str:
        """Return the project's id, which never changes. Some paths do not accept the name in its place."""
        return self._id or (await self.project()).id

    def _command(self, path: str, body: str) -> str:
        """Return the shell command that changes the project by hand. It takes the token from the environment."""
        address = f"{str(self._client.base_url).rstrip('/')}{path}"
        query = f"?{urlencode(self._team)}" if self._team else ""
        headers = '-H "Authorization: Bearer $VERCEL_TOKEN" -H "Content-Type: application/json"'
        return f"curl -fsS -X PATCH {quote(f'{address}{query}')} {headers} -d '{body}'"

    @property
    def unpin_command(self) -> str:
        """The command that makes new deployments go live by themselves again."""
        return self._command(f"/v9/projects/{self._project}", '{"autoAssignCustomDomains":true}')

    @property
    def resume_crons_command(self) -> str:
        """The command that switches the crons on."""
        return self._command(f"/v1/projects/{self._id}/crons", '{"enabled":true}')

    async def _all_pages(self, path: str, read: Callable[[Any], set[str]], **query: str) -> set[str]:
        found, until = set[str](), dict[str, str]()
        for _ in range(PAGES):
            page, following = await self._get(path, lambda body: (read(body), next_page(body)), **query, **until)
            found |= page
            if not following:
                break
            until = {"until": str(following)}
        return found

    async def _get(self, path: str, read: Callable[[Any], Result], **query: str) -> Result:
        began = asyncio.get_running_loop().time()
        response = await exchange(self._client, "GET", path, peer="Vercel", params={**query, **self._team})
        self._fastest = min(self._fastest, asyncio.get_running_loop().time() - began)
        try:
            return read(json_of(_accepted(response, path).content))
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            cause = f"its answer has an unknown format ({type(error).__name__}: {error})"
            raise Unknown(
                code="connection",
                operation="reading Vercel's",
                subject=path,
                cause=cause,
                remedy=f"Check vercel.api. {STATUS_PAGE}",
            ) from None

    async def _send(self, method: str, path: str, json: Any = None) -> None:
        response = await exchange(self._client, method, path, peer="Vercel", params=self._team, json=json or {})
        if "html" in _accepted(response, path).headers.get("content-type", ""):
            cause = "its answer is a web page"
            raise Unknown(
                code="connection",
                operation="reading Vercel's",
                subject=path,
                cause=cause,
                remedy=f"Check vercel.api. {STATUS_PAGE}",
            )
        if response.status_code == httpx.codes.ACCEPTED:
            cause = "it is queued behind a rolling release"
            raise Deferred(
                code="platform-not-ready",
                operation="asking Vercel for",
                subject=path,
                cause=cause,
                remedy="Finish or abort that release on the platform.",
            )


def _accepted(response: httpx.Response, path: str) -> httpx.Response:
    if response.is_success:
        return response
    status, error = response.status_code, _error_text(response)
    wait = retry_after(response, time.time())
    pause = f"; it asks to wait {wait:.0f} s" if wait else ""
    kind, code, remedy = _problem_of_status(status)
    problem = kind(
        code=code,
        operation="asking Vercel for",
        subject=path,
        cause=f"it answered {status}: {error}{pause}",
        remedy=remedy,
    )
    if isinstance(problem, NotSent | Unknown):
        problem.after = wait
    raise problem


def _problem_of_status(status: int) -> tuple[type[Problem], Code, str]:
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unknown, "connection", STATUS_PAGE
    if status in (httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS):
        return Busy, "connection", "Try again in a moment."
    kind = Missing if status == httpx.codes.NOT_FOUND else Rejected
    return kind, "vercel-access", REFUSALS.get(status, "Check the project on the platform.")


def _error_text(response: httpx.Response) -> str:
    """Return the reason that an error response gives, in either of its two formats."""
    try:
        body = json_of(response.content)
        error = body.get("error") or body.get("err") or body
        return f"{error.get('code', '')} {error.get('message', '')}".strip()[:SHOWN]
    except (ValueError, AttributeError):
        return " ".join(response.content[:SHOWN].decode(errors="replace").split())
