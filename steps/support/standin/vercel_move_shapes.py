"""What Vercel's answers about aliases, and about promotes and rollbacks, look like."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from steps.support.standin.vercel_project import Project
from steps.support.standin.vercel_quirks import Moving
from steps.support.standin.vercel_shapes import Json
from steps.support.standin.vercel_state import AliasJob, Deployment, JobStatus

ALIAS = "als_standin"
SKEW = 4 * 60 * 1000  # milliseconds
COMPLETED = {JobStatus.SUCCEEDED, JobStatus.SKIPPED}  # an alias is, then; the other states are called the same


def last_move(project: Project) -> Json | None:
    """Show the last promote or rollback, as the project has it."""
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
    """Show how far the aliases of the last move of a kind are, each flat, or nested as the official CLI has it."""
    if project.job is None or project.job.kind != kind:
        return {}
    status = "completed" if project.job.status in COMPLETED else str(project.job.status)
    alias = {"alias": project.host, "deploymentId": project.job.target} if nested else project.host
    rows = [] if failed_only and status != "failed" else [{"alias": alias, "id": ALIAS, "status": status}]
    return {"aliases": rows, "pagination": {"count": len(rows), "next": None, "prev": None}}


def alias(project: Project) -> Json:
    """Show what the public host serves."""
    each = next((each for each in project.deployments if each.id == project.served), None)
    return {
        "uid": ALIAS,
        "alias": project.host,
        "projectId": project.id,
        "created": _since(each),
        "deploymentId": each and each.id,
        "deployment": each and {"id": each.id, "url": each.url},
    }


def aliases(project: Project, each: Deployment) -> Json:
    """Show which public hosts serve a deployment."""
    rows = [{"uid": ALIAS, "alias": project.host, "created": _since(each), "redirect": None}]
    return {"aliases": rows if each.id == project.served else []}


def _since(each: Deployment | None) -> str:
    aliased = each.aliased if each else None
    since = datetime.fromtimestamp((aliased or 0) / 1000, UTC)
    return since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
