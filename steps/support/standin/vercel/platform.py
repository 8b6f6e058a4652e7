"""Vercel in memory: what can happen to the one project that it has.

Only what happens lives here and below; `vercel_api` serves it, `vercel_shapes` says what the answers look like,
`vercel_quirks` how it may misbehave.
"""

from steps.support.standin.vercel import builds, traffic
from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.state import Deployment, State


class Platform(Project):
    """The project, and what is done to it from outside."""

    def deployed(self, sha: str, ref: str, subject: str) -> Deployment:
        """Put a deployment there that has been live ever since."""
        now = self.catch_up()
        deployment = self.created(sha, ref, subject, now)
        deployment.state = State.READY
        deployment.building = deployment.ended = deployment.created
        traffic.goes_live(self, deployment, now)
        return deployment

    def pushed(self, sha: str, ref: str, subject: str) -> Deployment | None:
        """Take up a commit of the production branch, as the git integration does."""
        now, build = self.catch_up(), builds.planned(self)
        if self.builds.get(sha, build.ending) is None:
            return None
        deployment = self.created(sha, ref, subject, now)
        builds.start(self, deployment, build, now)
        return deployment

    def cancel(self, identifier: str) -> Deployment:
        """Cancel a build that has not ended. Raises ApiError."""
        deployment = self.find(identifier)
        builds.cancel(self, deployment)
        return deployment

    def move(self, kind: str, identifier: str) -> bool:
        """Begin to promote, or to roll back to, a deployment; false: queued. Raises ApiError."""
        return traffic.move(self, kind, identifier)

    def switch_crons(self, *, on: bool) -> None:
        """Switch the crons on or off."""
        self.crons, self.crons_switched = on, self.agenda.milliseconds(self.catch_up())
