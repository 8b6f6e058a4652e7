"""Vercel in memory: one project, its production deployments, and the public host's alias.

Only what happens lives here; `vercel_api` serves it, `vercel_shapes` says what the answers look like.
"""

from dataclasses import dataclass, field
from functools import partial

from steps.support.standin.agenda import Agenda
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.vercel_errors import ApiError
from steps.support.standin.vercel_state import AliasJob, Deployment, JobStatus, State, Substate

QUEUE_SHARE = 0.1  # of a build's time is spent in the queue
LAST_LINES: dict[str, tuple[tuple[str, str], ...]] = {
    State.READY: (("stdout", "Compiled successfully"), ("stdout", "Build Completed")),
    State.ERROR: (("stderr", "Failed to compile."), ("stderr", 'Error: Command "next build" exited with 1')),
}


@dataclass
class Platform:
    """The project as the outside sees it. Whatever is due happens before anybody is answered.

    `host` is the public host, any port. `builds` says how a commit's build ends: READY where it says nothing;
    None: the push makes no deployment at all. `alias_seconds` is the time that the alias takes to move.
    """

    host: str
    faults: Faults
    token: str
    id: str = "prj_standin"
    name: str = "liveone"
    team: str | None = None
    env: tuple[str, ...] = ()
    build_seconds: float = 2.0
    alias_seconds: float = 0.2
    auto_assign: bool = True
    builds: dict[str, str | None] = field(default_factory=dict)
    agenda: Agenda = field(default_factory=Agenda)
    production: str | None = field(default=None, init=False)  # the production target
    served: str | None = field(default=None, init=False)  # where the public host's alias points
    job: AliasJob | None = field(default=None, init=False)
    _deployments: list[Deployment] = field(default_factory=list, init=False)

    def catch_up(self) -> None:
        """Have everything happen that was due until now."""
        self.agenda.catch_up()

    @property
    def deployments(self) -> list[Deployment]:
        """Give every deployment, newest first."""
        self.catch_up()
        return self._deployments[::-1]

    def is_public(self, host: str) -> bool:
        """Say whether this is the public host, whatever its port."""
        return host.partition(":")[0] == self.host.partition(":")[0]

    def live_sha(self) -> str | None:
        """Give the commit whose code the public host serves."""
        return next((each.sha for each in self.deployments if each.id == self.served), None)

    def find(self, identifier: str) -> Deployment:
        """Give a deployment by its id, by the host of its own, or by the public host."""
        deployments = self.deployments
        wanted = self.served if self.is_public(identifier) else identifier
        for each in deployments:
            if wanted in (each.id, each.url):
                return each
        raise ApiError(404, "not_found", f"The deployment {identifier} can't be found.")

    def deployed(self, sha: str, ref: str, subject: str) -> Deployment:
        """Put a deployment there that has been live ever since."""
        now = self.agenda.catch_up()
        deployment = self._created(sha, ref, subject, now)
        deployment.state = State.READY
        deployment.building = deployment.ended = deployment.created
        self._goes_live(deployment, now)
        return deployment

    def pushed(self, sha: str, ref: str, subject: str) -> Deployment | None:
        """Take up a commit of the production branch, as the git integration does."""
        now = self.agenda.catch_up()
        if self.builds.get(sha, State.READY) is None:
            return None
        deployment = self._created(sha, ref, subject, now)
        # Settled now: a build may be over before the step that waits for it begins.
        fault = self.faults.ahead_for("vercel_deployment")
        self.agenda.at(now + self.build_seconds * QUEUE_SHARE, partial(self._build_begins, deployment))
        self.agenda.at(now + self.build_seconds, partial(self._build_ends, deployment, fault))
        return deployment

    def cancel(self, identifier: str) -> Deployment:
        """Cancel a build that has not ended."""
        deployment = self.find(identifier)
        if deployment.state not in (State.QUEUED, State.BUILDING):
            raise ApiError(400, "bad_request", f"A deployment that is {deployment.state} can't be canceled.")
        deployment.state, deployment.ended = State.CANCELED, self.agenda.milliseconds(self.agenda.catch_up())
        return deployment

    def move(self, kind: str, identifier: str) -> None:
        """Begin to promote, or to roll back to, a deployment."""
        now, target = self.agenda.catch_up(), self.find(identifier)
        self._refuse_move(kind, target)
        job = self.job = AliasJob(kind, self.production, target.id, self.agenda.milliseconds(now))
        self.agenda.at(now + self.alias_seconds / 2, lambda _: setattr(job, "status", JobStatus.IN_PROGRESS))
        self.agenda.at(now + self.alias_seconds, partial(self._moved, job, target))

    def _refuse_move(self, kind: str, target: Deployment) -> None:
        if self.job and self.job.under_way:
            raise ApiError(409, "conflict", f"A {self.job.kind} of this project is in progress.")
        if target.id == self.production:
            raise ApiError(409, "conflict", f"{target.id} is the current production deployment.")
        target.refuse_move(kind)

    def _moved(self, job: AliasJob, target: Deployment, moment: float) -> None:
        self._goes_live(target, moment)
        self.auto_assign = job.kind == "promote"
        job.status = JobStatus.SUCCEEDED

    def _created(self, sha: str, ref: str, subject: str, now: float) -> Deployment:
        number = len(self._deployments) + 1
        # Lists are paged by this time: no two deployments share it.
        created = max([self.agenda.milliseconds(now), *(each.created + 1 for each in self._deployments[-1:])])
        url = f"{self.name}-{number}-standin.vercel.app"
        deployment = Deployment(f"dpl_{number}", url, sha, ref, subject, created)
        self._deployments.append(deployment)
        return deployment

    def _build_begins(self, deployment: Deployment, moment: float) -> None:
        if deployment.state == State.QUEUED:
            deployment.state, deployment.building = State.BUILDING, self.agenda.milliseconds(moment)
            deployment.log.append((deployment.building, "command", 'Running "next build"'))

    def _build_ends(self, deployment: Deployment, fault: Kind | None, moment: float) -> None:
        fault = fault or self.faults.kind_for("vercel_deployment")
        if deployment.state != State.BUILDING or fault == "hang":
            return
        ending = State.ERROR if fault == "fail" else self.builds.get(deployment.sha) or State.READY
        deployment.state, deployment.ended = ending, self.agenda.milliseconds(moment)
        deployment.log += [(deployment.ended, *line) for line in LAST_LINES.get(ending, ())]
        if ending == State.READY:
            self._built(deployment, moment)

    def _built(self, deployment: Deployment, moment: float) -> None:
        deployment.substate = Substate.STAGED
        if self.auto_assign:
            self.agenda.at(moment + self.alias_seconds, partial(self._goes_live, deployment))

    def _goes_live(self, deployment: Deployment, moment: float) -> None:
        self.production = self.served = deployment.id
        deployment.substate, deployment.aliased = Substate.PROMOTED, self.agenda.milliseconds(moment)
