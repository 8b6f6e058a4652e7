"""What happens to a push, from the queue to READY or another final state."""

from functools import partial

from steps.support.standin.faults import Kind
from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.quirks import Build
from steps.support.standin.vercel.state import ApiError, Deployment, State
from steps.support.standin.vercel.traffic import built

QUEUE_SHARE = 0.1  # the part of a build's time that is spent in the queue
OVERTAKEN = "A newer commit was pushed to the branch while this one was in the queue."
LAST_LINES: dict[str, tuple[tuple[str, str], ...]] = {
    State.READY: (("stdout", "Compiled successfully"), ("stdout", "Build Completed")),
    State.ERROR: (("stderr", "Failed to compile."), ("stderr", 'Error: Command "next build" exited with 1')),
}


def planned(project: Project) -> Build:
    """Return the build that is planned for the push that arrives now."""
    rest = project.quirks.pushes[project.pushes :]
    project.pushes += 1
    return rest[0] if rest else Build()


def start(project: Project, deployment: Deployment, build: Build, moment: float) -> None:
    """Put a deployment's build in the queue."""
    _overtake(project, deployment, moment)
    # The fault is read now, because a build may end before the step that waits for it begins.
    fault = project.faults.ahead_for("vercel_deployment")
    deployment.held, deployment.checks = build.held, build.checks
    turn = moment + build.queued
    deployment.waiting = turn > moment
    project.agenda.at(turn + project.build_seconds * QUEUE_SHARE, partial(_begins, project, deployment))
    project.agenda.at(turn + project.build_seconds, partial(_ends, project, deployment, build, fault))
    if build.followed is not None:
        project.agenda.at(moment + build.followed, partial(_follow, project, deployment))


def cancel(project: Project, deployment: Deployment) -> None:
    """Cancel a build. Raise ApiError if it has already ended."""
    if not deployment.underway:
        raise ApiError(400, "bad_request", f"A deployment that is {deployment.state} can't be canceled.")
    _canceled(project, deployment, project.catch_up())


def _overtake(project: Project, newer: Deployment, moment: float) -> None:
    for each in project.known:
        if each is not newer and each.waiting and each.state == State.QUEUED:
            each.reason = OVERTAKEN
            _canceled(project, each, moment)


def _canceled(project: Project, deployment: Deployment, moment: float) -> None:
    deployment.state, deployment.ended = State.CANCELED, project.agenda.milliseconds(moment)


def _follow(project: Project, deployment: Deployment, moment: float) -> None:
    start(project, project.foreign(deployment, moment), Build(), moment)


def _begins(project: Project, deployment: Deployment, moment: float) -> None:
    if deployment.state == State.QUEUED:
        deployment.state, deployment.building = State.BUILDING, project.agenda.milliseconds(moment)
        deployment.log.append((deployment.building, "command", 'Running "next build"'))


def _ends(project: Project, deployment: Deployment, build: Build, fault: Kind | None, moment: float) -> None:
    fault = fault or project.faults.kind_for("vercel_deployment")
    if deployment.state != State.BUILDING or fault == "hang":
        return
    ending = State.ERROR if fault == "fail" else project.builds.get(deployment.sha) or build.ending or State.READY
    deployment.state, deployment.ended = ending, project.agenda.milliseconds(moment)
    deployment.error, deployment.reason = build.error, build.reason
    deployment.log += [(deployment.ended, *line) for line in LAST_LINES.get(ending, ())]
    if ending == State.READY:
        built(project, deployment, moment)
