"""What Vercel's answers about a project, its public host and its user look like."""

from datetime import UTC, datetime

from steps.support.standin.vercel import Platform
from steps.support.standin.vercel_shapes import CRONS, REGION, USER, Json, common, hosts, owner
from steps.support.standin.vercel_state import AliasJob

RESOURCES = {"functionDefaultRegions": [REGION]}


def user() -> Json:
    """Show whose the token is."""
    own = {"id": USER["uid"], "email": USER["email"], "name": None, "username": USER["username"]}
    return {"user": {**own, "avatar": None, "defaultTeamId": None, "limited": True}}


def project(platform: Platform) -> Json:
    """Show the project."""
    return {
        "id": platform.id,
        "name": platform.name,
        "accountId": owner(platform),
        "autoAssignCustomDomains": platform.auto_assign,
        "targets": {"production": _target(platform)},
        "lastAliasRequest": _job(platform.job),
        "lastRollbackTarget": None,
        "crons": _crons(platform),
        "link": _link(platform),
        **_demanded(),
    }


def _demanded() -> Json:
    """Show what nobody here has a use for, and the official clients refuse to do without."""
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


def _link(platform: Platform) -> Json:
    own = {"type": "github", "org": "standin", "repo": platform.name, "productionBranch": "main"}
    return {**own, "deployHooks": [], "gitCredentialId": ""}


def _target(platform: Platform) -> Json | None:
    if platform.production is None:
        return None
    each = platform.find(platform.production)
    own = {"id": each.id, "deploymentHostname": each.url.partition(".")[0], "aliasAssigned": each.aliased}
    made = {"userId": USER["uid"], "createdIn": REGION, "plan": "pro", "private": False}
    return {**common(platform, each), **own, **made, **hosts(platform, each)}


def _job(job: AliasJob | None) -> Json | None:
    if job is None:
        return None
    ends = {"fromDeploymentId": job.source, "toDeploymentId": job.target}
    return {**ends, "type": job.kind, "jobStatus": job.status, "requestedAt": job.requested}


def _crons(platform: Platform) -> Json:
    since = min((each.created for each in platform.deployments), default=0)
    times = {"enabledAt": since, "disabledAt": None, "updatedAt": since}
    definitions = [{"host": platform.host, **cron} for cron in CRONS]
    return {**times, "deploymentId": platform.production, "definitions": definitions}


def alias(platform: Platform) -> Json:
    """Show what the public host serves."""
    each = next((each for each in platform.deployments if each.id == platform.served), None)
    aliased = each.aliased if each else None
    since = datetime.fromtimestamp((aliased or 0) / 1000, UTC)
    return {
        "uid": "als_standin",
        "alias": platform.host,
        "projectId": platform.id,
        "created": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "deploymentId": each and each.id,
        "deployment": each and {"id": each.id, "url": each.url},
    }


def environment(platform: Platform) -> Json:
    """Show the variables; values stay secret."""
    own: Json = {"value": "", "type": "sensitive", "target": ["production"], "createdAt": 1, "updatedAt": 1}
    rows = [{"id": f"env_{key}", "key": key, **own, "securityIssues": []} for key in platform.env]
    return {"envs": rows, "pagination": {"count": len(rows), "next": None, "prev": None}}
