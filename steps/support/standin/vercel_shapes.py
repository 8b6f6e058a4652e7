"""What Vercel's answers about deployments look like; every key that its official clients demand is there."""

from typing import Any

from steps.support.standin.vercel import Platform
from steps.support.standin.vercel_state import Deployment, State

REGION = "hnd1"
USER = {"uid": "usr_standin", "username": "standin", "email": "standin@example.com"}
CRONS = [{"path": "/api/cron/minutely", "schedule": "* * * * *"}]

Json = dict[str, Any]


def page(platform: Platform, rows: list[Deployment], *, more: bool) -> Json:
    """Show one page of the list, newest first; the next page is asked for with `until`."""
    following = rows[-1].created if more else None
    pagination = {"count": len(rows), "next": following, "prev": rows[0].created if rows else None}
    return {"deployments": [_listed(platform, each) for each in rows], "pagination": pagination}


def _listed(platform: Platform, each: Deployment) -> Json:
    was_live = each.aliased is not None and each.id != platform.production
    return {
        **common(platform, each),
        "uid": each.id,
        "created": each.created,
        "state": each.state,
        "aliasAssigned": each.aliased or False,
        "isRollbackCandidate": was_live,
    }


def single(platform: Platform, each: Deployment) -> Json:
    """Show a deployment by itself."""
    own: Json = {"id": each.id, "status": each.state, "ownerId": owner(platform), "projectSettings": {}}
    source = {"type": "github", "repoId": 1, "ref": each.ref, "sha": each.sha}
    assigned = {"aliasAssigned": each.aliased is not None, "aliasAssignedAt": each.aliased}
    return {
        **common(platform, each),
        **own,
        **assigned,
        "gitSource": source,
        **_built(each),
        **hosts(platform, each),
    }


def _built(each: Deployment) -> Json:
    return {
        "bootedAt": each.building or each.created,
        "build": {"env": []},
        "buildSkipped": False,
        "createdIn": REGION,
        "crons": CRONS,
        "env": [],
        "isInConcurrentBuildsQueue": False,
        "isInSystemBuildsQueue": False,
        "plan": "pro",
        "public": False,
        "regions": [REGION],
        "routes": None,
        "version": 2,
    }


def common(platform: Platform, each: Deployment) -> Json:
    """Show what every form of a deployment has."""
    return {
        "name": platform.name,
        "projectId": platform.id,
        "url": each.url,
        "target": "production",
        "type": "LAMBDAS",
        "source": "git",
        "readyState": each.state,
        "aliasError": None,
        "createdAt": each.created,
        "buildingAt": each.building or each.created,
        "inspectorUrl": None,
        "creator": USER,
        "meta": {
            "githubCommitSha": each.sha,
            "githubCommitRef": each.ref,
            "githubCommitMessage": each.subject,
        },
        **_ending(each),
    }


def _ending(each: Deployment) -> Json:
    if each.state == State.READY:
        return {"ready": each.ended, "readySubstate": each.substate}
    if each.state == State.ERROR:
        return {"errorCode": "BUILD_FAILED", "errorMessage": each.log[-1][2], "errorStep": "buildStep"}
    return {"canceledAt": each.ended} if each.state == State.CANCELED else {}


def hosts(platform: Platform, each: Deployment) -> Json:
    """Show which public hosts serve a deployment."""
    return {"alias": [platform.host] if each.id == platform.served else []}


def owner(platform: Platform) -> str:
    """Give whose the project is: the team's, else the user's."""
    return platform.team or USER["uid"]


def events(each: Deployment) -> list[Json]:
    """Show a build's log."""
    own = {"deploymentId": each.id, "info": {"type": "build", "name": "bld_standin", "entrypoint": "."}}
    return [
        {
            "type": kind,
            "created": at,
            "date": at,
            "id": f"ev_{serial}",
            "serial": str(serial),
            "text": text,
            **own,
        }
        for serial, (at, kind, text) in enumerate(each.log, 1)
    ]
