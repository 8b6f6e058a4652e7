"""Ways for the platform to misbehave: bad answers to requests, and unusual builds, moves, lists and hosts."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from math import inf
from time import time

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.faults import Way, cut, drip, hang, lost
from steps.support.standin.vercel.state import Checks, State, refusal

TOTAL = 500  # requests per minute that are allowed, according to the answer to one too many
PAGE = "<!doctype html><title>Vercel</title><p>We'll be right back."


class Answer(StrEnum):
    """The ways in which the platform can answer a request badly."""

    PAYMENT_REQUIRED = "402"
    FORBIDDEN = "403"
    CONFLICT = "409"
    GONE = "410"
    UNPROCESSABLE = "422"
    LIMITED = "429, Retry-After in seconds"
    LIMITED_UNTIL = "429, Retry-After as a date"
    ERROR = "500"
    ERROR_IN_TEXT = "500, plain text"
    MISSPELT = "400, `err` instead of `error`"
    HTML = "200, a web page"
    DRIP = "200, a byte now and then, for ever"
    HANG = "never"
    RESET = "reset at once"
    LOST = "reset after the effect"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One bad answer to the first `times` requests of a kind, or to all of them if `times` is None.

    `where`: a regular expression that is searched for in "METHOD /path". `seconds`: how long Retry-After asks to wait.
    """

    answer: Answer
    where: str = ""
    times: int | None = None
    seconds: float = 1.0


def way(trouble: Trouble) -> Way:
    """Return the handler that answers a request with this trouble."""
    if whole := WHOLE.get(trouble.answer):
        return _at_once(whole(trouble))
    return UNFINISHED[trouble.answer]


def _at_once(answer: web.Response) -> Way:
    async def answered(_request: web.Request, _handler: Handler) -> web.StreamResponse:
        return answer

    return answered


def _no(status: int, code: str, message: str) -> Callable[[Trouble], web.Response]:
    return lambda _: refusal(status, code, message)


def _limited(trouble: Trouble, wait: str) -> web.Response:
    resets = time() + trouble.seconds
    limit = {"remaining": 0, "reset": round(resets), "resetMs": round(resets * 1000), "total": TOTAL}
    error = {"code": "rate_limited", "message": "Too many requests.", "limit": limit}
    return web.json_response({"error": error}, status=429, headers={"Retry-After": wait})


def _until(trouble: Trouble) -> web.Response:
    return _limited(trouble, formatdate(time() + trouble.seconds, usegmt=True))


MISSPELT = {"err": {"code": "bad_request", "message": "Invalid request."}}
WHOLE: dict[Answer, Callable[[Trouble], web.Response]] = {
    Answer.PAYMENT_REQUIRED: _no(402, "payment_required", "This is not included in your plan."),
    Answer.FORBIDDEN: _no(403, "forbidden", "You don't have permission to access this resource."),
    Answer.CONFLICT: _no(409, "conflict", "Another promotion or rollback is in progress."),
    Answer.GONE: _no(410, "gone", "The deployment is no longer there."),
    Answer.UNPROCESSABLE: _no(422, "unprocessable_entity", "The deployment cannot be used for this."),
    Answer.LIMITED: lambda trouble: _limited(trouble, f"{trouble.seconds:g}"),
    Answer.LIMITED_UNTIL: _until,
    Answer.ERROR: _no(500, "internal_server_error", "An unexpected internal error occurred."),
    Answer.ERROR_IN_TEXT: lambda _: web.Response(status=500, text="A server error has occurred"),
    Answer.MISSPELT: lambda _: web.json_response(MISSPELT, status=400),
    Answer.HTML: lambda _: web.Response(text=PAGE, content_type="text/html"),
}
UNFINISHED: dict[Answer, Way] = {
    Answer.DRIP: drip,
    Answer.HANG: hang,
    Answer.RESET: cut,
    Answer.LOST: lost,
}


class Listing(StrEnum):
    """How the list of deployments is filtered and sorted."""

    HONEST = "honest"
    UNFILTERED = "unfiltered"  # `sha`, `target`, `state` and `branch` are ignored
    OLD_FIRST = "old first"  # the same, and the live deployment comes first


class Moving(StrEnum):
    """What happens to a promotion or rollback that was answered 201, and what the project reports about it."""

    DONE = "done"
    UNRECORDED = "unrecorded"  # done, and `lastAliasRequest` is null
    STALE = "stale"  # done, and `lastAliasRequest` is an older, successful rollback to the first deployment
    SKEWED = "skewed"  # done, but its time is from a clock that is four minutes slow
    SKIPPED = "skipped"  # nothing moves
    FAILED = "failed"  # nothing moves, and the alias says so
    ENDLESS = "endless"  # in progress forever


class Aliasing(StrEnum):
    """What happens to the alias of the public host when a deployment should go live."""

    MOVES = "moves"
    UNASSIGNED = "unassigned"  # a deployment that is READY gets no alias and does not become the production target
    FAILS = "fails"  # the same, with an `aliasError`
    STAYS = "stays"  # the production target moves, but not the alias
    ASTRAY = "astray"  # the production target moves; the alias points at another person's redeployment of the first one


class Origin(StrEnum):
    """Where deployments come from. Each origin has its own keys for the commit."""

    GITHUB = "github"
    GITLAB = "gitlab"
    BITBUCKET = "bitbucket"
    CLI = "cli"
    CHANGED = "cli, with files that were not committed"


class Protection(StrEnum):
    """What a stranger gets on the host of one deployment. The public host is always open."""

    OFF = "off"
    LOGIN = "login"  # 302 to the platform's login
    DENIED = "denied"  # 401


class Stickiness(StrEnum):
    """What keeps a visitor of the public host on the deployment that answered first."""

    NONE = "none"
    COOKIE = "cookie"  # Skew Protection: the cookie `__vdpl` names the deployment
    CONNECTION = "connection"  # a load balancer: an open connection stays on its deployment


IGNORED = (
    'The Deployment has been canceled as a result of running the command defined in the "Ignored Build Step" setting.'
)


@dataclass(frozen=True, slots=True)
class Build:
    """What happens to one push.

    `ending`: the state in which the build ends; None if no deployment is created. `queued`: the seconds spent behind
    other builds; a deployment that still waits when a later push arrives is canceled. `followed`: the seconds until
    another person pushes; None if no one does. `reason` and `error`: what the deployment reports.
    `appears`: the seconds until the deployment exists; an Action needs some. `held`: whether it was deployed with
    --skip-domain, and waits for its promotion. `checks`: its Deployment Checks, or None.
    """

    ending: str | None = State.READY
    queued: float = 0.0
    followed: float | None = None
    reason: str | None = None
    error: str | None = None
    appears: float = 0.0
    held: bool = False
    checks: Checks | None = None


NO_DEPLOYMENT = Build(None)
SKIPPED = Build(State.CANCELED, error=IGNORED)
SUPERSEDED = Build(queued=inf, followed=0.0)
NEVER_ITS_TURN = Build(queued=inf)


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this platform differs from an honest one. The defaults are honest.

    Quirks may be replaced at any time; what is under way ends as it was started. `pushes`: what happens to the first
    pushes, in order; later ones are built and become READY. `rolling`: whether a rolling release is active, behind
    which a promotion is queued (202). `shows_auto_assign`: whether the project reports auto-assign. `promote_unpins`:
    whether a promotion switches auto-assign on. `origin`: where all deployments come from. `branch`: the production
    branch; empty if the project has no Git connection. `gradual`: whether rolling releases are configured. `redirect`:
    the host to which the public host redirects, and serves nothing. `wildcard`: whether only a wildcard domain covers
    it. `token_lasts`: the seconds until the token expires, or None.
    """

    listing: Listing = Listing.HONEST
    pushes: tuple[Build, ...] = ()
    moving: Moving = Moving.DONE
    aliasing: Aliasing = Aliasing.MOVES
    protection: Protection = Protection.OFF
    stickiness: Stickiness = Stickiness.NONE
    troubles: tuple[Trouble, ...] = ()
    rolling: bool = False
    shows_auto_assign: bool = True
    promote_unpins: bool = True
    origin: Origin = Origin.GITHUB
    branch: str = "main"
    gradual: bool = False
    redirect: str = ""
    wildcard: bool = False
    token_lasts: float | None = None
