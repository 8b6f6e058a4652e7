"""One project in memory: its settings, its deployments, and where its production and its public host are."""

from dataclasses import dataclass, field
from hashlib import sha1

from steps.support.standin.agenda import Agenda
from steps.support.standin.faults import Faults
from steps.support.standin.vercel.quirks import Quirks
from steps.support.standin.vercel.state import AliasJob, ApiError, Deployment, Variable


@dataclass
class Project:
    """The project as the outside sees it. Whatever is due happens before anybody is answered.

    `host` is the public host, any port. `builds` says how a commit's build ends, before what `quirks` say of pushes:
    None: the push makes no deployment at all. `alias_seconds` is the time that the alias takes to move. `bypass` is
    the secret that opens protected hosts of deployments. `crons`: whether they are switched on.
    """

    host: str
    faults: Faults
    token: str
    id: str = "prj_standin"
    name: str = "liveone"
    team: str | None = None
    env: tuple[str | Variable, ...] = ()
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
    queued: str | None = field(default=None, init=False)  # the deployment that waits for a rolling release to end
    crons_switched: int | None = field(default=None, init=False)  # milliseconds since 1970
    pushes: int = field(default=0, init=False)
    _deployments: list[Deployment] = field(default_factory=list, init=False)

    def catch_up(self) -> float:
        """Have everything happen that was due until now; give now, in seconds of the agenda's clock."""
        return self.agenda.catch_up()

    @property
    def deployments(self) -> list[Deployment]:
        """Give every deployment, newest first."""
        self.catch_up()
        return self.known[::-1]

    @property
    def known(self) -> list[Deployment]:
        """Give every deployment as it is by now, oldest first, and let nothing happen."""
        return list(self._deployments)

    def is_public(self, host: str) -> bool:
        """Say whether this is the public host, whatever its port."""
        return host.partition(":")[0] == self.host.partition(":")[0]

    def live_sha(self) -> str | None:
        """Give the commit whose code the public host serves."""
        return next((each.code for each in self.deployments if each.id == self.served), None)

    def find(self, identifier: str) -> Deployment:
        """Give a deployment by its id, by the host of its own, or by the public host."""
        deployments = self.deployments
        wanted = self.served if self.is_public(identifier) else identifier
        for each in deployments:
            if wanted in (each.id, each.url):
                return each
        raise ApiError(404, "not_found", f"The deployment {identifier} can't be found.")

    def created(self, sha: str, ref: str, subject: str, moment: float) -> Deployment:
        """Put a deployment into the queue."""
        return self._added(sha, ref, subject, sha, moment)

    def foreign(self, like: Deployment, moment: float) -> Deployment:
        """Put a deployment into the queue that somebody else made, on top of the code of another one."""
        sha = sha1(f"somebody's, after {like.id}".encode(), usedforsecurity=False).hexdigest()
        return self._added(sha, like.ref, "Somebody else's commit", like.code, moment)

    def _added(self, sha: str, ref: str, subject: str, code: str, moment: float) -> Deployment:
        number = len(self._deployments) + 1
        # Lists are paged by this time: no two deployments share it.
        created = max([self.agenda.milliseconds(moment), *(each.created + 1 for each in self._deployments[-1:])])
        url = f"{self.name}-{number}-standin.vercel.app"
        deployment = Deployment(f"dpl_{number}", url, sha, ref, subject, created, code)
        self._deployments.append(deployment)
        return deployment
