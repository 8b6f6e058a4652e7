"""One project in memory: its settings, its deployments, its production target and its public host."""

from dataclasses import dataclass, field
from hashlib import sha1

from steps.support.standin.agenda import Agenda
from steps.support.standin.faults import Faults
from steps.support.standin.vercel.quirks import Quirks
from steps.support.standin.vercel.state import AliasJob, ApiError, Deployment, Variable


@dataclass
class Project:
    """The project as seen from outside. Every due event happens before a request is answered.

    `host`: the public host, with its port if it has one. `builds`: for a commit, the state in which its build ends, or
    None if its push creates no deployment; this overrides `quirks.pushes`. `build_seconds`: how long a build takes.
    `alias_seconds`: how long the alias takes to move. `bypass`: the secret that opens the protected hosts of
    deployments. `crons`: whether they are switched on.
    """

    host: str
    faults: Faults
    token: str
    id: str = "prj_standin"
    name: str = "liveone"
    team: str | None = None
    env: tuple[str | Variable, ...] = ()
    shared_env: tuple[str, ...] = ()
    build_seconds: float = 2.0
    alias_seconds: float = 0.2
    auto_assign: bool = True
    builds: dict[str, str | None] = field(default_factory=dict)
    agenda: Agenda = field(default_factory=Agenda)
    quirks: Quirks = field(default_factory=Quirks)
    bypass: str = ""
    crons: bool = True
    production: str | None = field(default=None, init=False)  # the production target
    served: str | None = field(default=None, init=False)  # where the public host's alias points
    job: AliasJob | None = field(default=None, init=False)
    queued: str | None = field(default=None, init=False)  # the deployment that waits until a rolling release ends
    crons_switched: int | None = field(default=None, init=False)  # milliseconds since 1970
    pushes: int = field(default=0, init=False)
    _deployments: list[Deployment] = field(default_factory=list, init=False)

    def catch_up(self) -> float:
        """Apply everything that is due, and return the present time, in seconds of the agenda's clock."""
        return self.agenda.catch_up()

    @property
    def deployments(self) -> list[Deployment]:
        """Return every deployment, newest first."""
        self.catch_up()
        return self.known[::-1]

    @property
    def known(self) -> list[Deployment]:
        """Return every deployment as it is, oldest first, without applying what is due."""
        return list(self._deployments)

    def is_public(self, host: str) -> bool:
        """Return True if this is the public host, on any port."""
        return host.partition(":")[0] == self.host.partition(":")[0]

    def live_sha(self) -> str | None:
        """Return the commit whose code the public host serves, or None if it serves none."""
        return next((each.code for each in self.deployments if each.id == self.served), None)

    def find(self, identifier: str) -> Deployment:
        """Return a deployment by its id, its own host, or the public host. Raise ApiError if there is none."""
        deployments = self.deployments
        wanted = self.served if self.is_public(identifier) else identifier
        for each in deployments:
            if wanted in (each.id, each.url):
                return each
        raise ApiError(404, "not_found", f"The deployment {identifier} can't be found.")

    def created(self, sha: str, ref: str, subject: str, moment: float) -> Deployment:
        """Add a deployment to the queue, and return it."""
        return self._added(sha, ref, subject, sha, moment)

    def foreign(self, like: Deployment, moment: float) -> Deployment:
        """Add another person's deployment, which has the code of `like`, to the queue, and return it."""
        sha = sha1(f"somebody's, after {like.id}".encode(), usedforsecurity=False).hexdigest()
        return self._added(sha, like.ref, "Somebody else's commit", like.code, moment)

    def _added(self, sha: str, ref: str, subject: str, code: str, moment: float) -> Deployment:
        number = len(self._deployments) + 1
        # Lists are paged by this time, so no two deployments may share it.
        created = max([self.agenda.milliseconds(moment), *(each.created + 1 for each in self._deployments[-1:])])
        url = f"{self.name}-{number}-standin.vercel.app"
        deployment = Deployment(f"dpl_{number}", url, sha, ref, subject, created, code)
        self._deployments.append(deployment)
        return deployment
