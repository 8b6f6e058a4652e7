"""Vercel in memory, with a single project and the events that can happen to it.

This module and the modules that it imports contain only the events. `api` serves them, `shapes` builds the answers, and
`quirks` lists the ways to misbehave.
"""

from functools import partial

from steps.support.standin.vercel import builds, traffic
from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.quirks import Build
from steps.support.standin.vercel.state import Deployment, State


class Platform(Project):
    """The project, and what can be done to it from outside."""

    def deployed(self, sha: str, ref: str, subject: str) -> Deployment:
        """Add a deployment that is already live, and return it."""
        now = self.catch_up()
        deployment = self.created(sha, ref, subject, now)
        deployment.state = State.READY
        deployment.building = deployment.ended = deployment.created
        traffic.goes_live(self, deployment, now)
        return deployment

    def pushed(self, sha: str, ref: str, subject: str) -> Deployment | None:
        """Create the deployment of a commit of the production branch, as the git integration does.

        Return None if the push is not to create one, or creates it later.
        """
        now, build = self.catch_up(), builds.planned(self)
        if self.builds.get(sha, build.ending) is None:
            return None
        if build.appears:
            self.agenda.at(now + build.appears, partial(self._start, sha, ref, subject, build))
            return None
        self._start(sha, ref, subject, build, now)
        return self.known[-1]

    def _start(self, sha: str, ref: str, subject: str, build: Build, moment: float) -> None:
        builds.start(self, self.created(sha, ref, subject, moment), build, moment)

    def cancel(self, identifier: str) -> Deployment:
        """Cancel a build. Raise ApiError if it has already ended."""
        deployment = self.find(identifier)
        builds.cancel(self, deployment)
        return deployment

    def move(self, kind: str, identifier: str) -> bool:
        """Start to promote a deployment, or to roll back to it. Return False if that is queued.

        Raise ApiError if it is refused.
        """
        return traffic.move(self, kind, identifier)

    def switch_crons(self, *, on: bool) -> None:
        """Switch the crons on or off."""
        self.crons, self.crons_switched = on, self.agenda.milliseconds(self.catch_up())
