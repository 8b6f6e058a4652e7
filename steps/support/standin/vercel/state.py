"""The errors of Vercel's API, and the states of deployments and of alias jobs."""

from dataclasses import dataclass, field
from enum import StrEnum
from json import JSONDecodeError

from aiohttp import web
from aiohttp.typedefs import Handler


class ApiError(Exception):
    """An error that the API answers with: an HTTP status, an error code, and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def refusal(status: int, code: str, message: str) -> web.Response:
    """Return an error answer in the documented format."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


@web.middleware
async def in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn unknown routes, and the exceptions of handlers, into error answers."""
    try:
        return await handler(request)
    except ApiError as error:
        return refusal(error.status, error.code, str(error))
    except JSONDecodeError as error:
        return refusal(400, "bad_request", f"Invalid JSON: {error}.")
    except web.HTTPNotFound:
        return refusal(404, "not_found", f"There is no {request.path}.")
    except web.HTTPMethodNotAllowed:
        return refusal(405, "method_unknown", f"{request.method} is not for {request.path}.")


class State(StrEnum):
    """The states that a build goes through here. A test may let it end in any other state."""

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
    """The progress of a promotion or a rollback."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: its name, the environments that have it, and its type."""

    key: str
    target: tuple[str, ...] = ("production",)
    type: str = "sensitive"


@dataclass(frozen=True, slots=True)
class Checks:
    """Deployment Checks: their names, the seconds that they take once the build is READY, and how they all end.

    `unseen`: the seconds after READY until the platform shows them.
    """

    names: tuple[str, ...]
    seconds: float
    conclusion: str = "succeeded"
    unseen: float = 0.0


@dataclass(slots=True)
class Deployment:
    """One production deployment. Times are in milliseconds since 1970.

    `code`: the commit whose code it serves. `waiting`: whether other builds keep it in the queue. `held`: whether it
    waits for its promotion even if the project assigns domains by itself.
    """

    id: str
    url: str
    sha: str
    ref: str
    subject: str
    created: int
    code: str
    state: str = State.QUEUED
    substate: str | None = None
    building: int | None = None
    ended: int | None = None
    aliased: int | None = None
    waiting: bool = False
    reason: str | None = None
    error: str | None = None
    held: bool = False
    checks: Checks | None = None
    checked: bool = False
    alias_error: str | None = None
    log: list[tuple[int, str, str]] = field(default_factory=list)  # milliseconds, event type, text

    @property
    def underway(self) -> bool:
        """Return True if the build has not ended yet."""
        return self.state in (State.QUEUED, State.BUILDING)

    def refuse_move(self, kind: str) -> None:
        """Raise ApiError if production cannot be moved to this deployment by this kind of move."""
        if self.state != State.READY:
            raise ApiError(400, "bad_request", f"{self.id} is {self.state}, not READY.")
        if kind == "rollback" and self.substate != Substate.PROMOTED:
            raise ApiError(422, "unprocessable_entity", f"{self.id} has never served production.")


@dataclass(slots=True)
class AliasJob:
    """A promotion or a rollback, which exists from the moment it is requested."""

    kind: str
    source: str | None
    target: str
    requested: int
    status: JobStatus = JobStatus.PENDING

    @property
    def under_way(self) -> bool:
        """Return True if the job has not ended yet."""
        return self.status in (JobStatus.PENDING, JobStatus.IN_PROGRESS)
