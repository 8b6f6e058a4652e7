"""The JSON of Vercel's answers about deployments, with every key that its official clients require."""

from typing import Any

from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.state import Deployment, State

REGION = "hnd1"
USER = {"uid": "usr_standin", "username": "standin", "email": "standin@example.com"}
TEAM = {"slug": "standin", "name": "Stand-in"}
CRONS = [{"path": "/api/cron/minutely", "schedule": "* * * * *"}]

Json = dict[str, Any]


def page(project: Project, rows: list[Deployment], *, more: bool) -> Json:
    """Return one page of the list, newest first. The next page is requested with `until`."""
    following = rows[-1].created if more else None
    pagination = {"count": len(rows), "next": following, "prev": rows[0].created if rows else None}
    return {"deployments": [_listed(project, each) for each in rows], "pagination": pagination}


def _listed(project: Project, each: Deployment) -> Json:
    return {
        **common(project, each),
        "uid": each.id,
        "created": each.created,
        "state": each.state,
        "aliasAssigned": each.aliased or False,
        "isRollbackCandidate": is_rollback_candidate(project, each),
    }


def is_rollback_candidate(project: Project, each: Deployment) -> bool:
    """Return True if this deployment was in production and no longer is."""
    return each.aliased is not None and each.id != project.production


def single(project: Project, each: Deployment) -> Json:
    """Return one deployment, in the format of an answer about a single deployment."""
    own: Json = {"id": each.id, "status": each.state, "ownerId": owner(project), "projectSettings": {}}
    source = {"type": "github", "repoId": 1, "ref": each.ref, "sha": each.sha}
    assigned = {"aliasAssigned": each.aliased is not None, "aliasAssignedAt": each.aliased}
    return {
        **common(project, each),
        **own,
        **assigned,
        "gitSource": source,
        **_built(each),
        **hosts(project, each),
        **({"team": {"id": project.team, **TEAM}} if project.team else {}),
    }


def _built(each: Deployment) -> Json:
    return {
        "bootedAt": each.building or each.created,
        "build": {"env": []},
        "buildSkipped": each.skipped,
        "createdIn": REGION,
        "crons": CRONS,
        "env": [],
        "isInConcurrentBuildsQueue": each.waiting and each.state == State.QUEUED,
        "isInSystemBuildsQueue": False,
        "plan": "pro",
        "public": False,
        "regions": [REGION],
        "routes": None,
        "version": 2,
    }


def common(project: Project, each: Deployment) -> Json:
    """Return the keys common to every form of a deployment."""
    return {
        "name": project.name,
        "projectId": project.id,
        "url": each.url,
        "target": "production",
        "type": "LAMBDAS",
        "source": "git",
        "readyState": each.state,
        "aliasError": each.alias_error and {"code": "alias_error", "message": each.alias_error},
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
        **({"readyStateReason": each.reason} if each.reason else {}),
    }


def _ending(each: Deployment) -> Json:
    if each.state == State.READY:
        return {"ready": each.ended, "readySubstate": each.substate}
    if each.state == State.ERROR:
        return {"errorCode": "BUILD_FAILED", "errorMessage": each.log[-1][2], "errorStep": "buildStep"}
    return {"canceledAt": each.ended} if each.state == State.CANCELED else {}


def hosts(project: Project, each: Deployment) -> Json:
    """Return the public hosts that serve a deployment."""
    return {"alias": [project.host] if each.id == project.served else []}


def owner(project: Project) -> str:
    """Return the id of the project's owner: the team, or the user if there is none."""
    return project.team or USER["uid"]


def builds(project: Project, each: Deployment) -> Json:
    """Return the builds of a deployment."""
    times = {"createdAt": each.created, "scheduledAt": each.created, "readyStateAt": each.ended}
    own = {"id": f"bld_{each.id}", "deploymentId": each.id, "entrypoint": ".", "createdIn": REGION}
    states = {"readyState": each.state, "use": "@vercel/next", "output": [], "projectId": project.id}
    return {"builds": [{**own, **states, **times}]}


def events(each: Deployment) -> list[Json]:
    """Return a build's log."""
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
