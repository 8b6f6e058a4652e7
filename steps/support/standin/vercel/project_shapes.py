"""The JSON of Vercel's answers about a project and its owner."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.quirks import Moving
from steps.support.standin.vercel.shapes import CRONS, REGION, TEAM, USER, Json, common, hosts, owner
from steps.support.standin.vercel.state import AliasJob, Deployment, JobStatus, Variable

RESOURCES = {"functionDefaultRegions": [REGION]}


def user(project: Project) -> Json:
    """Return the user that the token belongs to."""
    own = {"id": USER["uid"], "email": USER["email"], "name": None, "username": USER["username"]}
    return {"user": {**own, "avatar": None, "defaultTeamId": project.team, "limited": True, "version": "northstar"}}


def team(project: Project) -> Json:
    """Return the team as a member with few permissions sees it."""
    return {"id": project.team, **TEAM, "avatar": None, "createdAt": 1, "limited": True, "limitedBy": [], "saml": None}


def project(project: Project) -> Json:
    """Return the state of the project."""
    assigns = {"autoAssignCustomDomains": project.auto_assign} if project.quirks.shows_auto_assign else {}
    return {
        "id": project.id,
        "name": project.name,
        "accountId": owner(project),
        **assigns,
        "targets": {"production": _target(project)},
        "lastAliasRequest": last_move(project),
        "lastRollbackTarget": None,
        "crons": _crons(project),
        **({"link": link} if (link := _link(project)) else {}),
        "rollingRelease": _rolling_release(project),
        **_demanded(),
    }


def _demanded() -> Json:
    """Return the keys that the tool does not use, but that the official clients require."""
    return {
        "nodeVersion": "22.x",
        "directoryListing": False,
        "live": True,
        "paused": False,
        "alias": [],
        "latestDeployments": [],
        "deploymentExpiration": {},
        "protectionBypass": {},
        "resourceConfig": RESOURCES,
        "defaultResourceConfig": RESOURCES,
    }


def _link(project: Project) -> Json | None:
    if not project.quirks.branch:
        return None
    own = {"type": "github", "org": "standin", "repo": project.name, "productionBranch": project.quirks.branch}
    return {**own, "deployHooks": [], "gitCredentialId": ""}


def _rolling_release(project: Project) -> Json | None:
    if not project.quirks.gradual:
        return None
    stages = [{"targetPercentage": 10, "requireApproval": True}, {"targetPercentage": 100}]
    return {"target": "production", "stages": stages}


def token(project: Project) -> Json:
    """Return the token that the request is authenticated with."""
    lasts = project.quirks.token_lasts
    now = project.agenda.milliseconds(project.catch_up())
    expires = {} if lasts is None else {"expiresAt": round(now + lasts * 1000)}
    own = {"id": "tok_standin", "name": "release", "type": "token", "origin": "manual", "scopes": []}
    return {"token": {**own, "activeAt": now, "createdAt": 1, **expires}}


def shared_environment(project: Project) -> Json:
    """Return the team's shared variables, without their values; those of another project are among them."""
    named = [(key, [project.id]) for key in project.shared_env] + [("OF_ANOTHER", ["prj_another"])]
    rows = [
        {
            "id": f"env_{key}", "key": key, "type": "sensitive", "target": ["production"], "projectId": projects,
            "created": "2026-01-01T00:00:00.000Z", "decrypted": False, "securityIssues": [],
        }
        for key, projects in named
    ]  # fmt: skip
    return {"data": rows, "pagination": {"count": len(rows), "next": None, "prev": None}}


def _target(project: Project) -> Json | None:
    if project.production is None:
        return None
    each = project.find(project.production)
    own = {"id": each.id, "deploymentHostname": each.url.partition(".")[0], "aliasAssigned": each.aliased}
    made = {"userId": USER["uid"], "createdIn": REGION, "plan": "pro", "private": False}
    return {**common(project, each), **own, **made, **hosts(project, each)}


def _crons(project: Project) -> Json:
    began = min((each.created for each in project.deployments), default=0)
    switched = project.crons_switched or began
    times = {"enabledAt": switched if project.crons else began, "disabledAt": None if project.crons else switched}
    definitions = [{"host": project.host, **cron} for cron in CRONS]
    return {**times, "updatedAt": switched, "deploymentId": project.production, "definitions": definitions}


def environment(project: Project) -> Json:
    """Return the variables of every environment, without their values."""
    rows = [_row(each if isinstance(each, Variable) else Variable(each)) for each in project.env]
    return {"envs": rows, "pagination": {"count": len(rows), "next": None, "prev": None}}


def _row(each: Variable) -> Json:
    own = {"id": f"env_{each.key}_{'_'.join(each.target)}", "key": each.key, "type": each.type}
    return {**own, "value": "", "target": list(each.target), "createdAt": 1, "updatedAt": 1, "securityIssues": []}


def rolling_release(project: Project) -> Json:
    """Return the active rolling release, if there is one."""
    if not project.quirks.rolling:
        return {"rollingRelease": None}
    gateways = {"index": 0, "targetPercentage": 10, "requireApproval": True, "duration": None, "isFinalStage": False}
    last = {**gateways, "index": 1, "targetPercentage": 100, "isFinalStage": True}
    stages = {
        "activeStage": gateways,
        "nextStage": last,
        "stages": [gateways, last],
        "advancementType": "manual-approval",
    }
    ends = {"currentDeployment": None, "canaryDeployment": None, "queuedDeploymentId": project.queued}
    return {"rollingRelease": {**stages, **ends, "state": "ACTIVE", "substate": None, "startedAt": 1, "updatedAt": 1}}


ALIAS = "als_standin"
SKEW = 4 * 60 * 1000  # milliseconds
COMPLETED = {
    JobStatus.SUCCEEDED,
    JobStatus.SKIPPED,
}  # in these, the state of an alias is `completed`; in others, it is called like the state of the job


def last_move(project: Project) -> Json | None:
    """Return the last promotion or rollback, as the project records it, or None if it records none."""
    job = SHOWN.get(project.quirks.moving, _as_it_is)(project)
    if job is None:
        return None
    ends = {"fromDeploymentId": job.source, "toDeploymentId": job.target}
    return {**ends, "type": job.kind, "jobStatus": job.status, "requestedAt": job.requested}


def _as_it_is(project: Project) -> AliasJob | None:
    return project.job


def _none(_project: Project) -> AliasJob | None:
    return None


def _older(project: Project) -> AliasJob | None:
    first = project.known[0]
    return AliasJob("rollback", first.id, first.id, first.created, JobStatus.SUCCEEDED)


def _skewed(project: Project) -> AliasJob | None:
    return project.job and replace(project.job, requested=project.job.requested - SKEW)


SHOWN: dict[Moving, Callable[[Project], AliasJob | None]] = {
    Moving.UNRECORDED: _none,
    Moving.STALE: _older,
    Moving.SKEWED: _skewed,
}


def moved_aliases(project: Project, kind: str, *, failed_only: bool, nested: bool) -> Json:
    """Return the progress of the aliases of the last move if it was of this kind; otherwise an empty object.

    `nested`: use the format that the official CLI reads, and not the flat one.
    """
    if project.job is None or project.job.kind != kind:
        return {}
    status = "completed" if project.job.status in COMPLETED else str(project.job.status)
    alias = {"alias": project.host, "deploymentId": project.job.target} if nested else project.host
    rows = [] if failed_only and status != "failed" else [{"alias": alias, "id": ALIAS, "status": status}]
    return {"aliases": rows, "pagination": {"count": len(rows), "next": None, "prev": None}}


def alias(project: Project) -> Json:
    """Return what the public host serves."""
    each = next((each for each in project.deployments if each.id == project.served), None)
    return {
        "uid": ALIAS,
        "alias": project.host,
        "projectId": project.id,
        "created": _since(each),
        **_serves(project, each),
    }


def _serves(project: Project, each: Deployment | None) -> Json:
    if project.quirks.redirect:
        return {"deploymentId": None, "redirect": project.quirks.redirect, "redirectStatusCode": 308}
    return {"deploymentId": each and each.id, "deployment": each and {"id": each.id, "url": each.url}}


def aliases(project: Project, each: Deployment) -> Json:
    """Return the public hosts that serve a deployment."""
    rows = [{"uid": ALIAS, "alias": project.host, "created": _since(each), "redirect": None}]
    return {"aliases": rows if each.id == project.served else []}


def _since(each: Deployment | None) -> str:
    aliased = each.aliased if each else None
    since = datetime.fromtimestamp((aliased or 0) / 1000, UTC)
    return since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
