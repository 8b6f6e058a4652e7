"""The Vercel REST API, as far as one project's production deployments need it.

Every row that comes back is checked again for what was asked: the platform may ignore a filter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx

from steps.support.gateways.answers import Busy, Rejected, Unknown
from steps.support.gateways.http import exchange

Result = TypeVar("Result")

REFUSALS = {
    401: "The token is not accepted: set VERCEL_TOKEN.",
    403: "The token may not do this: set VERCEL_TOKEN, and vercel.team for a team's project.",
    404: "Check vercel.project and vercel.team.",
}


@dataclass(frozen=True, slots=True)
class Project:
    """What the project says of itself; `auto_assign` false means pinned, absent is read as pinned (fail closed).

    `moving_to` is the deployment to which a promotion or rollback under way moves production; a hint, never a proof.
    """

    id: str
    name: str
    auto_assign: bool
    production_id: str | None
    moving_to: str | None

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        """Read a project."""
        production = (body.get("targets") or {}).get("production") or {}
        job = body.get("lastAliasRequest") or {}
        moving_to = job.get("toDeploymentId") if job.get("jobStatus") in ("pending", "in-progress") else None
        on = body.get("autoAssignCustomDomains") is True
        return cls(body["id"], body["name"], on, production.get("id"), moving_to)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment; `sha` is the full commit id, empty where the platform does not tell."""

    id: str
    sha: str
    target: str | None
    state: str
    url: str
    reason: str

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Read a list item or a single deployment: they spell the same things differently."""
        meta, source = row.get("meta") or {}, row.get("gitSource") or {}
        sha = meta.get("githubCommitSha") or source.get("sha") or meta.get("gitCommitSha") or ""
        state = row.get("readyState") or row.get("state") or row.get("status") or "UNKNOWN"
        reason = row.get("errorMessage") or row.get("readyStateReason") or ""
        return cls(row.get("uid") or row["id"], sha, row.get("target"), state, row.get("url") or "", reason)


class Vercel:
    """One project on the platform. Writes are sent once; whoever sent one reads back what came of it."""

    def __init__(self, client: httpx.AsyncClient, project: str, team: str | None, host: str) -> None:
        self._client = client
        self._project = project
        self._team = {"teamId": team} if team and team.startswith("team_") else {"slug": team} if team else {}
        self.host = host  # the public host whose alias decides what is live

    async def project(self) -> Project:
        """Read the project."""
        return await self._get(f"/v9/projects/{self._project}", Project.of, rollbackInfo="true")

    async def deployment(self, identifier: str) -> Deployment:
        """Read one deployment."""
        return await self._get(f"/v13/deployments/{identifier}", Deployment.of)

    async def production_deployments(self, sha: str) -> list[Deployment]:
        """List the production deployments of exactly this commit, newest first."""
        asked = {"projectId": (await self.project()).id, "target": "production", "sha": sha, "limit": "20"}
        rows = await self._get("/v6/deployments", _deployments, **asked)
        return [row for row in rows if row.sha == sha and row.target == "production"]

    async def live(self) -> str | None:
        """Give the id of the deployment that is live: production target and public alias agree on it; else None."""
        target = (await self.project()).production_id
        return target if target == await self.served() else None

    async def served(self) -> str | None:
        """Give the id of the deployment that the public host serves."""
        return await self._get(f"/v4/aliases/{self.host}", _deployment_id)

    async def build_errors(self, identifier: str, lines: int = 5) -> str:
        """Give the last lines of a build's log."""
        asked = {"direction": "forward", "follow": "0", "limit": "-1", "builds": "1"}
        texts = await self._get(f"/v3/deployments/{identifier}/events", _texts, **asked)
        return "\n".join(texts[-lines:])

    async def promote(self, project: Project, identifier: str) -> None:
        """Ask for a staged deployment to go live. Answered before it is done."""
        await self._send("POST", f"/v10/projects/{project.id}/promote/{identifier}")

    async def roll_back(self, project: Project, identifier: str) -> None:
        """Ask for a former production deployment to be live again; pins the project. Answered before it is done."""
        await self._send("POST", f"/v1/projects/{project.id}/rollback/{identifier}")

    async def cancel(self, identifier: str) -> None:
        """Cancel a build."""
        await self._send("PATCH", f"/v12/deployments/{identifier}/cancel")

    async def set_auto_assign(self, on: bool) -> None:  # noqa: FBT001 - it is the value that is set
        """Set whether new production deployments go live by themselves."""
        await self._send("PATCH", f"/v9/projects/{self._project}", json={"autoAssignCustomDomains": on})

    async def _get(self, path: str, read: Callable[[Any], Result], **query: str) -> Result:
        response = _accepted(
            await exchange(self._client, "GET", path, whom="Vercel", params={**query, **self._team}), path
        )
        try:
            return read(response.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            cause = f"its answer is of no known form ({error!r})"
            raise Unknown(
                "reading Vercel's", path, cause, "Check vercel.api; look at the platform's status page."
            ) from None

    async def _send(self, method: str, path: str, json: Any = None) -> None:
        response = await exchange(self._client, method, path, whom="Vercel", params=self._team, json=json or {})
        _accepted(response, path)
        if response.status_code == httpx.codes.ACCEPTED:
            raise Unknown("asking Vercel for", path, "queued behind a rolling release", "Finish or abort that release.")


def _accepted(response: httpx.Response, path: str) -> httpx.Response:
    if response.is_success:
        return response
    status = response.status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Unknown(
            "asking Vercel for",
            path,
            f"it answered {status}: {_message(response)}",
            "Look at the platform's status page.",
        )
    if status in (httpx.codes.CONFLICT, httpx.codes.TOO_MANY_REQUESTS):
        raise Busy("asking Vercel for", path, f"it answered {status}: {_message(response)}", "Try again in a moment.")
    remedy = REFUSALS.get(status, "Look at the project on the platform.")
    raise Rejected("asking Vercel for", path, f"it answered {status}: {_message(response)}", remedy)


def _deployments(body: Any) -> list[Deployment]:
    return [Deployment.of(row) for row in body["deployments"]]


def _deployment_id(body: Any) -> str | None:
    row = body[0] if isinstance(body, list) else body  # the two published descriptions of the API disagree
    identifier: str | None = row["deploymentId"]
    return identifier


def _texts(events: Any) -> list[str]:
    texts = [event.get("text") or (event.get("payload") or {}).get("text") for event in events]
    return [text for text in texts if text]


def _message(response: httpx.Response) -> str:
    try:
        body = response.json()
        error = body.get("error") or body.get("err") or body
        return f"{error.get('code', '')} {error.get('message', '')}".strip()
    except (ValueError, AttributeError):
        return response.text[:200]
