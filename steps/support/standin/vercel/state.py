"""How Vercel's API says no."""

from dataclasses import dataclass, field
from enum import StrEnum
from json import JSONDecodeError

from aiohttp import web
from aiohttp.typedefs import Handler


class ApiError(Exception):
    """The API says no: HTTP status, the error's code, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def refusal(status: int, code: str, message: str) -> web.Response:
    """Answer with an error, in the documented shape."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


@web.middleware
async def in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an error where a handler raised one, or where there is none."""
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
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: its name, and the environments that get it."""

    key: str
    target: tuple[str, ...] = ("production",)
    type: str = "sensitive"


@dataclass(slots=True)
class Deployment:
    """One production deployment; times are milliseconds since 1970.

    `code` is the commit whose code it serves. `waiting`: what keeps it in the queue is other builds.
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
    skipped: bool = False
    reason: str | None = None
    alias_error: str | None = None
    log: list[tuple[int, str, str]] = field(default_factory=list)  # milliseconds, event type, text

    @property
    def underway(self) -> bool:
        """Say whether the build has yet to end."""
        return self.state in (State.QUEUED, State.BUILDING)

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
