"""What Vercel's answers about a project and its owner look like."""

from steps.support.standin.vercel_move_shapes import last_move
from steps.support.standin.vercel_project import Project
from steps.support.standin.vercel_shapes import CRONS, REGION, TEAM, USER, Json, common, hosts, owner
from steps.support.standin.vercel_state import Variable

RESOURCES = {"functionDefaultRegions": [REGION]}


def user(project: Project) -> Json:
    """Show whose the token is."""
    own = {"id": USER["uid"], "email": USER["email"], "name": None, "username": USER["username"]}
    return {"user": {**own, "avatar": None, "defaultTeamId": project.team, "limited": True, "version": "northstar"}}


def team(project: Project) -> Json:
    """Show the team, as somebody sees it who may see little."""
    return {"id": project.team, **TEAM, "avatar": None, "createdAt": 1, "limited": True, "limitedBy": [], "saml": None}


def project(project: Project) -> Json:
    """Show the project."""
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
        "link": _link(project),
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


def _link(project: Project) -> Json:
    own = {"type": "github", "org": "standin", "repo": project.name, "productionBranch": "main"}
    return {**own, "deployHooks": [], "gitCredentialId": ""}


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
    """Show the variables of every environment; values stay secret."""
    rows = [_row(each if isinstance(each, Variable) else Variable(each)) for each in project.env]
    return {"envs": rows, "pagination": {"count": len(rows), "next": None, "prev": None}}


def _row(each: Variable) -> Json:
    own = {"id": f"env_{each.key}_{'_'.join(each.target)}", "key": each.key, "type": each.type}
    return {**own, "value": "", "target": list(each.target), "createdAt": 1, "updatedAt": 1, "securityIssues": []}


def rolling_release(project: Project) -> Json:
    """Show the rolling release that is active, if there is one."""
    if not project.quirks.rolling:
        return {"rollingRelease": None}
    stage = {"index": 0, "targetPercentage": 10, "requireApproval": True, "duration": None, "isFinalStage": False}
    last = {**stage, "index": 1, "targetPercentage": 100, "isFinalStage": True}
    stages = {"activeStage": stage, "nextStage": last, "stages": [stage, last], "advancementType": "manual-approval"}
    ends = {"currentDeployment": None, "canaryDeployment": None, "queuedDeploymentId": project.queued}
    return {"rollingRelease": {**stages, **ends, "state": "ACTIVE", "substate": None, "startedAt": 1, "updatedAt": 1}}
