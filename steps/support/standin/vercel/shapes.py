"""The JSON of Vercel's answers about deployments, with every key that its official clients require."""

from typing import Any

from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.quirks import Origin
from steps.support.standin.vercel.state import Deployment, State

REGION = "hnd1"
USER = {"uid": "usr_standin", "username": "standin", "email": "standin@example.com"}
TEAM = {"slug": "standin", "name": "Stand-in"}
CRONS = [{"path": "/api/cron/minutely", "schedule": "* * * * *"}]

LINK = "https://vercel.com/docs/project-configuration/git-settings#ignored-build-step"
CHECKER = {"kind": "integration", "integrationId": "oac_standin", "integrationConfigurationId": "icfg_standin"}

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
    assigned = {"aliasAssigned": each.aliased is not None, "aliasAssignedAt": each.aliased}
    return {
        **common(project, each),
        **own,
        **assigned,
        **_git_source(project, each),
        **({"autoAssignCustomDomains": False} if each.held else {}),
        **_built(each),
        **hosts(project, each),
        **({"team": {"id": project.team, **TEAM}} if project.team else {}),
    }


def _built(each: Deployment) -> Json:
    return {
        "bootedAt": each.building or each.created,
        "build": {"env": []},
        "buildSkipped": False,  # also if the Ignored Build Step skipped it
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
        "target": target(project, each),
        "type": "LAMBDAS",
        "source": "cli" if project.quirks.origin in BY_HAND else "git",
        "readyState": each.state,
        "aliasError": each.alias_error and {"code": "alias_error", "message": each.alias_error},
        "createdAt": each.created,
        "buildingAt": each.building or each.created,
        "inspectorUrl": None,
        "creator": USER,
        "meta": _meta(project, each),
        **_ending(each),
        **_checks(project, each),
        **({"readyStateReason": each.reason} if each.reason else {}),
    }


BY_HAND = {Origin.CLI: "0", Origin.CHANGED: "1"}


def target(project: Project, each: Deployment) -> str | None:
    """Return `production`, or None for the preview of another branch."""
    by_cli = project.quirks.origin in BY_HAND
    return "production" if by_cli or each.ref == project.quirks.branch or not project.quirks.branch else None


def _meta(project: Project, each: Deployment) -> Json:
    origin = project.quirks.origin
    prefix = "git" if origin in BY_HAND else str(origin)
    dirty = {"gitDirty": BY_HAND[origin]} if origin in BY_HAND else {}
    commit = {f"{prefix}Commit{key}": value for key, value in
              (("Sha", each.sha), ("Ref", each.ref), ("Message", each.subject))}  # fmt: skip
    return {**commit, **dirty}


def _git_source(project: Project, each: Deployment) -> Json:
    origin, own = project.quirks.origin, {"ref": each.ref, "sha": each.sha}
    repository: dict[str, Json] = {
        Origin.GITHUB: {"type": "github", "repoId": 1},
        Origin.GITLAB: {"type": "gitlab", "projectId": 1},
        Origin.BITBUCKET: {"type": "bitbucket", "repoUuid": "{1}", "workspaceUuid": "{2}"},
    }
    return {"gitSource": {**repository[origin], **own}} if origin in repository else {}


def _checks(project: Project, each: Deployment) -> Json:
    now = project.agenda.milliseconds(project.catch_up())
    if each.checks is None or now < (each.ended or 0) + each.checks.unseen * 1000:
        return {}
    if not each.checked:
        return {"checksState": "running" if each.state == State.READY else "registered"}
    return {"checksState": "completed", "checksConclusion": each.checks.conclusion}


def check_runs(project: Project, each: Deployment) -> Json:
    """Return the checks of a deployment."""
    if each.checks is None:
        return {"runs": []}
    ended = {"status": "completed", "conclusion": each.checks.conclusion} if each.checked else {"status": "running"}
    own = {"deploymentId": each.id, "ownerId": owner(project), "projectId": project.id, "blocks": "deployment-alias"}
    made = {"createdAt": each.created, "updatedAt": each.created, "timeout": 300, "source": CHECKER}
    return {
        "runs": [
            {**own, **ended, **made, "id": f"run_{number}", "checkId": f"chk_{number}", "name": name}
            for number, name in enumerate(each.checks.names, 1)
        ]
    }


def _ending(each: Deployment) -> Json:
    if each.state == State.READY:
        return {"ready": each.ended, "readySubstate": each.substate}
    if each.state == State.ERROR:
        return {"errorCode": "BUILD_FAILED", "errorMessage": each.log[-1][2], "errorStep": "buildStep"}
    if each.state != State.CANCELED:
        return {}
    error = {"errorMessage": each.error, "errorCode": "BUILD_CANCELED", "errorLink": LINK} if each.error else {}
    return {"canceledAt": each.ended, **error}


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
