"""How production moves: by itself once a push is built, or by a promotion or a rollback."""

from functools import partial

from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.quirks import Aliasing, Moving
from steps.support.standin.vercel.state import AliasJob, ApiError, Deployment, JobStatus, State, Substate

JOB_DIES = 3_600_000  # milliseconds after which a move that is still in progress blocks no other one
ALIAS_ERROR = "The alias could not be assigned."
UNMOVED = {Moving.SKIPPED: JobStatus.SKIPPED, Moving.FAILED: JobStatus.FAILED}


def move(project: Project, kind: str, identifier: str) -> bool:
    """Start to promote a deployment, or to roll back to it.

    Return False if that is queued behind a rolling release. Raise ApiError if it is not possible.
    """
    now, target = project.catch_up(), project.find(identifier)
    _refuse(project, kind, target)
    if kind == "promote" and project.quirks.rolling:
        project.queued = target.id
        return False
    job = project.job = AliasJob(kind, project.production, target.id, project.agenda.milliseconds(now))
    project.agenda.at(now + project.alias_seconds / 2, partial(_in_progress, job))
    if project.quirks.moving != Moving.ENDLESS:
        project.agenda.at(now + project.alias_seconds, partial(_ended, project, job, target, project.quirks.moving))
    return True


def _refuse(project: Project, kind: str, target: Deployment) -> None:
    dead = project.agenda.milliseconds(project.catch_up()) - JOB_DIES
    if project.job and project.job.under_way and project.job.requested > dead:
        raise ApiError(409, "conflict", f"A {project.job.kind} of this project is in progress.")
    if target.id == project.production:
        raise ApiError(409, "conflict", f"{target.id} is the current production deployment.")
    target.refuse_move(kind)


def _in_progress(job: AliasJob, _moment: float) -> None:
    job.status = JobStatus.IN_PROGRESS


def _ended(project: Project, job: AliasJob, target: Deployment, moving: Moving, moment: float) -> None:
    job.status = UNMOVED.get(moving, JobStatus.SUCCEEDED)
    if job.status != JobStatus.SUCCEEDED:
        return
    goes_live(project, target, moment)
    if job.kind == "rollback" or project.quirks.promote_unpins:
        project.auto_assign = job.kind == "promote"


def built(project: Project, deployment: Deployment, moment: float) -> None:
    """Let a deployment that is READY go live, if the project assigns domains automatically."""
    deployment.substate = Substate.STAGED
    if deployment.checks and not deployment.checked:
        project.agenda.at(moment + deployment.checks.seconds, partial(_checked, project, deployment))
        return
    if (
        deployment.held
        or deployment.ref != project.quirks.branch
        or not project.auto_assign
        or project.quirks.aliasing is Aliasing.UNASSIGNED
    ):
        return
    if project.quirks.aliasing is Aliasing.FAILS:
        deployment.alias_error = ALIAS_ERROR
        return
    project.agenda.at(moment + project.alias_seconds, partial(goes_live, project, deployment))


def _checked(project: Project, deployment: Deployment, moment: float) -> None:
    """End the checks of a deployment. If they succeeded, let it go live."""
    deployment.checked = True
    if deployment.checks and deployment.checks.conclusion == "succeeded":
        built(project, deployment, moment)


def goes_live(project: Project, deployment: Deployment, moment: float) -> None:
    """Make this deployment the production target, and let the public host serve it."""
    project.production = deployment.id
    deployment.substate, deployment.aliased = Substate.PROMOTED, project.agenda.milliseconds(moment)
    if project.quirks.aliasing is Aliasing.ASTRAY:
        deployment = _redeployment(project, moment)
    if project.quirks.aliasing is not Aliasing.STAYS:
        project.served = deployment.id


def _redeployment(project: Project, moment: float) -> Deployment:
    first = project.known[0]
    other = project.foreign(first, moment)
    other.sha, other.subject, other.state, other.substate = first.sha, first.subject, State.READY, Substate.PROMOTED
    other.building = other.ended = other.aliased = other.created
    return other
