"""Where the platform departs from what its clients hope for: every departure is one value of one object."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from steps.support.standin.vercel_state import State
from steps.support.standin.vercel_troubles import Trouble


class Listing(StrEnum):
    """What a list of deployments is like."""

    HONEST = "honest"
    UNFILTERED = "unfiltered"  # `sha`, `target`, `state` and `branch` are ignored
    OLD_FIRST = "old first"  # ignored too, and the deployment that is live comes first


class Moving(StrEnum):
    """What becomes of a promote or a rollback that was answered 201, and what the project tells of it."""

    DONE = "done"
    UNRECORDED = "unrecorded"  # done, and `lastAliasRequest` is null
    STALE = "stale"  # done, and `lastAliasRequest` is an older rollback to the first deployment, succeeded
    SKEWED = "skewed"  # done, by a clock that is four minutes behind
    SKIPPED = "skipped"  # nothing moves
    FAILED = "failed"  # nothing moves, and the alias says so
    ENDLESS = "endless"  # in progress for ever


class Aliasing(StrEnum):
    """What becomes of the public host's alias when a deployment is to go live."""

    MOVES = "moves"
    UNASSIGNED = "unassigned"  # a push that is READY is given no alias and does not become the production target
    FAILS = "fails"  # the same, with an `aliasError`
    STAYS = "stays"  # the production target moves, the alias does not
    ASTRAY = "astray"  # the production target moves, the alias points at somebody's redeployment of the first one


class Protection(StrEnum):
    """How a stranger is answered on the host of one deployment; the public host is open."""

    OFF = "off"
    LOGIN = "login"  # 302 to the platform's login
    DENIED = "denied"  # 401


class Stickiness(StrEnum):
    """What keeps a visitor of the public host on the deployment that answered first."""

    NONE = "none"
    COOKIE = "cookie"  # Skew Protection: the cookie `__vdpl` names the deployment
    CONNECTION = "connection"  # a load balancer: the connection does


@dataclass(frozen=True, slots=True)
class Build:
    """What becomes of one push.

    `ending` is any state, None: there is no deployment at all. `queued`: seconds spent behind other builds; whoever
    is there when a later push comes is canceled. `followed`: seconds until somebody else pushes.
    """

    ending: str | None = State.READY
    queued: float = 0.0
    followed: float | None = None
    skipped: bool = False
    reason: str | None = None


NO_DEPLOYMENT = Build(None)
SKIPPED = Build(State.CANCELED, skipped=True, reason="The build was skipped by the Ignored Build Step.")
SUPERSEDED = Build(queued=inf, followed=0.0)
NEVER_ITS_TURN = Build(queued=inf)


@dataclass(frozen=True, slots=True)
class Quirks:
    """How this platform departs from the honest one; the values of an honest one are the defaults.

    A platform's may be replaced at any time: what is under way already ends as it was begun.
    `pushes`: what becomes of the first pushes, in their order; those after them are built and are READY.
    `rolling`: a rolling release is active, and a promote is queued behind it (202). `shows_auto_assign` false:
    the project does not tell. `promote_unpins` false: a promote leaves auto-assign as it was.
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
