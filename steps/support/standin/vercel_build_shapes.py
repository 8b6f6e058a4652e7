"""What Vercel's answers about a deployment's build look like."""

from steps.support.standin.vercel_project import Project
from steps.support.standin.vercel_shapes import REGION, Json
from steps.support.standin.vercel_state import Deployment


def builds(project: Project, each: Deployment) -> Json:
    """Show what a deployment is built of."""
    times = {"createdAt": each.created, "scheduledAt": each.created, "readyStateAt": each.ended}
    own = {"id": f"bld_{each.id}", "deploymentId": each.id, "entrypoint": ".", "createdIn": REGION}
    states = {"readyState": each.state, "use": "@vercel/next", "output": [], "projectId": project.id}
    return {"builds": [{**own, **states, **times}]}


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
