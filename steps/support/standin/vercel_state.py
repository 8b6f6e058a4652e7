"""What a project on Vercel consists of."""

from dataclasses import dataclass, field
from enum import StrEnum

from steps.support.standin.vercel_errors import ApiError


class State(StrEnum):
    """The states of a deployment that a build goes through here; a test may have it end in any other."""

    QUEUED = "QUEUED"
    BUILDING = "BUILDING"
    READY = "READY"
    ERROR = "ERROR"
    CANCELED = "CANCELED"


class Substate(StrEnum):
    """Whether a built deployment has ever served production."""

    STAGED = "STAGED"
    PROMOTED = "PROMOTED"


class JobStatus(StrEnum):
    """How far a promote or a rollback is."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"


@dataclass(slots=True)
class Deployment:
    """One production deployment; times are milliseconds since 1970."""

    id: str
    url: str
    sha: str
    ref: str
    subject: str
    created: int
    state: str = State.QUEUED
    substate: str | None = None
    building: int | None = None
    ended: int | None = None
    aliased: int | None = None
    log: list[tuple[int, str, str]] = field(default_factory=list)  # milliseconds, event type, text

    def refuse_move(self, kind: str) -> None:
        """Raise ApiError when production's traffic cannot be moved here in this way."""
        if self.state != State.READY:
            raise ApiError(400, "bad_request", f"{self.id} is {self.state}, not READY.")
        if kind == "rollback" and self.substate != Substate.PROMOTED:
            raise ApiError(422, "unprocessable_entity", f"{self.id} has never served production.")


@dataclass(slots=True)
class AliasJob:
    """A promote or a rollback, from its request on."""

    kind: str
    source: str | None
    target: str
    requested: int
    status: JobStatus = JobStatus.PENDING

    @property
    def under_way(self) -> bool:
        """Say whether the job has yet to end."""
        return self.status in (JobStatus.PENDING, JobStatus.IN_PROGRESS)
