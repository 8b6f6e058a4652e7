"""Situations on the platform, as data: how the project is, what goes wrong and when, and how the run must end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from steps.support.standin.vercel.quirks import (
    NEVER_ITS_TURN,
    NO_DEPLOYMENT,
    SKIPPED,
    Aliasing,
    Answer,
    Build,
    Listing,
    Moving,
    Protection,
    Quirks,
    Trouble,
)
from tests.support.production.base import AnyProduction

LIVE = "dpl_1"  # the deployment that is live before the run
BYPASS = "opens-sesame"  # opens the protected hosts of deployments

QUIET, BUILT, SLOW = Quirks(), Build(), Build(queued=30)

Deed = Callable[[AnyProduction], Awaitable[None]]


class Auto(StrEnum):
    """Whether a new build goes live automatically, and if not, why."""

    ON = "on"
    OFF = "off by choice"
    PINNED = "off since a rollback"


class Whose(StrEnum):
    """The owner of a deployment."""

    OLD = "live before"
    OURS = "this run's"
    RESTORING = "of the commit that puts the files back"
    OTHER = "somebody else's"


@dataclass(frozen=True, slots=True)
class End:
    """How a run must end: what it reports, and the platform's state then.

    `cause` and `remains` are words that the report must contain. `coming`: a build of ours may still go live. `later`:
    whose deployment the public host serves an hour later.
    """

    verdict: str
    code: int
    serves: Whose
    target: Whose
    later: Whose
    auto: bool | None = None  # None: unchanged
    cause: str = ""
    remains: str = ""
    coming: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """One row. What is odd is odd from before the run, or from the moment when the step, or the event, `since` begins.

    `late`: the new code is unhealthy on the new schema, which shows last. `build` and `restoring` are the results of
    our push and of the push after it. `seconds`: how long a build takes, and an alias to move. `limit`: seconds that
    the build, and the activation, may take; `reserve`: seconds kept for the rollback. `key`: the configured key to
    protected hosts. `somebody`: what someone else does then.
    """

    name: str
    auto: Auto
    end: End
    quirks: Quirks = QUIET
    since: str = ""
    late: bool = False
    build: Build = BUILT
    restoring: Build = SLOW
    seconds: tuple[float, float] = (0.5, 0.1)
    limit: float = 10.0
    reserve: float = 24.0
    key: str = ""
    somebody: Deed | None = None


def arrived() -> End:
    """Return an end in which the release arrives, and auto-assign is unchanged."""
    return End("deployed", 0, Whose.OURS, Whose.OURS, Whose.OURS)


def refused(cause: str, serves: Whose = Whose.OLD, target: Whose = Whose.OLD, later: Whose = Whose.OLD) -> End:
    """Return an end in which nothing is begun."""
    return End("refused", 3, serves, target, later, cause=cause)


def back(cause: str, *, auto: bool | None = None, later: Whose = Whose.OLD) -> End:
    """Return an end in which everything is rolled back."""
    return End("rolled_back", 1, Whose.OLD, Whose.OLD, later, auto, cause)


def stuck(
    cause: str, remains: str, ends: tuple[Whose, Whose, Whose], *, auto: bool | None = None, coming: bool = False
) -> End:
    """Return an end that needs a human; `ends`: what is served, what is the target, and what is served later."""
    return End("needs_human", 4, *ends, auto, cause, remains, coming)


ON, OFF, PINNED = Auto
OLD, OURS, RESTORING, OTHER = Whose
RED = "!committed_at"  # what an unhealthy site does not meet on the new schema


def _answers(answer: Answer, where: str, times: int | None = None) -> Quirks:
    return Quirks(troubles=(Trouble(answer, where, times),))


def _assigning(on: bool) -> Deed:  # noqa: FBT001 - it is the value that is set
    async def switch(production: AnyProduction) -> None:
        production.world.platform.auto_assign = on

    return switch


async def _rolls_back(production: AnyProduction) -> None:
    production.world.platform.move("rollback", LIVE)


async def _pushes(production: AnyProduction) -> None:
    await production.overtake()


async def _half_moved(production: AnyProduction) -> None:
    platform = production.world.platform
    platform.quirks = Quirks(aliasing=Aliasing.STAYS)
    platform.deployed("e" * 40, "main", "somebody's")


async def _moving(production: AnyProduction) -> None:
    platform = production.world.platform
    platform.quirks = Quirks(moving=Moving.ENDLESS)
    platform.deployed("e" * 40, "main", "somebody's")
    platform.move("rollback", LIVE)


async def _builds(production: AnyProduction) -> None:
    production.world.platform.pushed("e" * 40, "main", "somebody's")


HONEST = (
    Situation("honest, on", ON, arrived()),
    Situation("honest, off", OFF, arrived()),
    Situation("honest, pinned", PINNED, arrived()),
    Situation("honest, on, red", ON, back(RED, auto=False), late=True),
)

LISTS = (
    Situation("list with the old one first, on", ON, arrived(), Quirks(listing=Listing.OLD_FIRST)),
    Situation("unfiltered list, off, red", OFF, back(RED), Quirks(listing=Listing.UNFILTERED), late=True),
)

BUILDS = (
    Situation("build ERROR, on", ON, back("its build failed"), build=Build("ERROR")),
    Situation("build CANCELED, off", OFF, back("someone cancelled it"), build=Build("CANCELED")),
    Situation(
        "build BLOCKED, pinned", PINNED, back("blocked it: no access"), build=Build("BLOCKED", reason="no access")
    ),
    Situation("build DELETED, pinned", PINNED, back("someone deleted it"), build=Build("DELETED")),
    Situation(
        "build PONDERING, on",
        ON,
        back("it is PONDERING", auto=False),
        build=Build("PONDERING"),
    ),
    Situation("build skipped, on", ON, back("skipped its build"), build=SKIPPED),
    Situation(
        "build superseded by a push, on",
        ON,
        stuck("superseded it", "main is at", (OLD, OLD, OTHER)),
        build=NEVER_ITS_TURN,
        since="vercel_deployment",
        somebody=_pushes,
    ),
    Situation(
        "no deployment, on", ON, back("shows no deployment"), build=NO_DEPLOYMENT, restoring=NO_DEPLOYMENT, limit=2
    ),
    Situation("never its turn, off", OFF, back("behind other builds"), build=NEVER_ITS_TURN, limit=2),
    Situation(
        "a long build whose cancelling loses its answer, on",
        ON,
        back("is QUEUED"),
        _answers(Answer.LOST, "cancel", 1),
        seconds=(30, 0.1),
        limit=2,
    ),
    Situation(
        "a long build that cannot be cancelled, on",
        ON,
        back("is QUEUED", auto=False),
        _answers(Answer.UNPROCESSABLE, "cancel"),
        seconds=(30, 0.1),
        limit=2,
        reserve=12,
    ),
)

ALIASES = (
    Situation(
        "the alias fails, on",
        ON,
        back("could not give it", auto=False),
        Quirks(aliasing=Aliasing.FAILS),
    ),
    Situation("the alias stays, on", ON, back("serves dpl_1", auto=False), Quirks(aliasing=Aliasing.STAYS), limit=4),
    Situation(
        "the alias goes astray, on",
        ON,
        stuck("neither this run's", "production is dpl_2 and 127.0.0.1 serves dpl_3", (OTHER, OURS, OTHER)),
        Quirks(aliasing=Aliasing.ASTRAY),
    ),
    Situation(
        "the alias does not go back, on",
        ON,
        stuck(RED, "serves dpl_2, not dpl_1; auto-assign is off, and was on", (OURS, OLD, OURS), auto=False),
        Quirks(aliasing=Aliasing.STAYS),
        since="turso_migration",
        late=True,
        reserve=12,
    ),
    Situation("a slow alias, on", ON, back("serves dpl_1", auto=False), seconds=(0.5, 2), limit=2),
    Situation(
        "an alias slower than we wait, on",
        ON,
        stuck("serves dpl_1", "of this run may still go live", (OLD, OLD, RESTORING), coming=True),
        seconds=(0.5, 20),
        limit=2,
    ),
)

UNLISTED = (
    Situation(
        "a list that never answers, on, red",
        ON,
        back(RED, auto=False),
        _answers(Answer.HANG, "GET .*/deployments"),
        since="health_checks",
        late=True,
    ),
    Situation(
        "a list that never answers, off, red",
        OFF,
        back(RED),
        _answers(Answer.HANG, "GET .*/deployments"),
        since="health_checks",
        late=True,
    ),
    Situation(
        "a list that never answers, pinned, red",
        PINNED,
        back(RED),
        _answers(Answer.HANG, "GET .*/deployments"),
        since="health_checks",
        late=True,
    ),
    Situation(
        "no list from the build on, which goes live by itself, on",
        ON,
        back("ran out of time", auto=False),
        _answers(Answer.HANG, "GET /v./deployments"),
        since="vercel_deployment",
        limit=4,
    ),
    Situation(
        "no list while the build runs, on",
        ON,
        stuck("ran out of time", "not confirmed", (OLD, OLD, OLD), auto=False),
        _answers(Answer.HANG, "GET /v./deployments"),
        since="vercel_deployment",
        seconds=(40, 0.1),
        limit=2,
    ),
    Situation(
        "no list while the build waits for its promotion, off",
        OFF,
        back("ran out of time"),
        _answers(Answer.HANG, "GET /v./deployments"),
        since="vercel_deployment",
        limit=2,
    ),
    Situation(
        "a reading refused once in the rollback, on, red",
        ON,
        back(RED, auto=False),
        _answers(Answer.UNPROCESSABLE, "GET /v4/aliases", 1),
        since="turned_back",
        late=True,
    ),
    Situation(
        "a reading refused once in the rollback, off, red",
        OFF,
        back(RED),
        _answers(Answer.UNPROCESSABLE, "GET /v9/projects", 2),
        since="turned_back",
        late=True,
    ),
    Situation(
        "a rollback refused for ten seconds, on, red",
        ON,
        back(RED, auto=False),
        _answers(Answer.PAYMENT_REQUIRED, "/rollback/", 5),
        late=True,
    ),
)

PROMOTES = (
    Situation("unrecorded promote, off", OFF, arrived(), Quirks(moving=Moving.UNRECORDED)),
    Situation("stale promote, pinned", PINNED, arrived(), Quirks(moving=Moving.STALE)),
    Situation("skipped promote, off", OFF, back("the platform says skipped"), Quirks(moving=Moving.SKIPPED)),
    Situation("promote answered 402, off", OFF, back("402"), _answers(Answer.PAYMENT_REQUIRED, "/promote/")),
    Situation("promote answered 410, pinned", PINNED, back("410"), _answers(Answer.GONE, "/promote/")),
    Situation("promote answered 409, off", OFF, back("409"), _answers(Answer.CONFLICT, "/promote/"), limit=4),
    Situation("answer to promote lost, pinned", PINNED, arrived(), _answers(Answer.LOST, "/promote/", 1)),
    Situation("promote that unpins nothing, pinned, red", PINNED, back(RED), Quirks(promote_unpins=False), late=True),
    Situation("auto-assign stays on after promote, off", OFF, back("422"), _answers(Answer.UNPROCESSABLE, "PATCH /v9")),
)

ROLLBACKS = (
    Situation(
        "skipped rollback, on, red",
        ON,
        stuck(RED, "production is dpl_2 and 127.0.0.1 serves dpl_2", (OURS, OURS, RESTORING)),
        Quirks(moving=Moving.SKIPPED),
        late=True,
        reserve=12,
    ),
    Situation(
        "failed rollback, off, red",
        OFF,
        stuck(RED, "production is dpl_2 and 127.0.0.1 serves dpl_2", (OURS, OURS, OURS)),
        Quirks(moving=Moving.FAILED),
        since="turso_migration",
        late=True,
        reserve=12,
    ),
    Situation(
        "endless rollback, pinned, red",
        PINNED,
        stuck(RED, "production is dpl_3 and 127.0.0.1 serves dpl_3", (OURS, OURS, OURS)),
        Quirks(moving=Moving.ENDLESS),
        since="turso_migration",
        late=True,
        reserve=12,
    ),
    Situation(
        "rollback answered 402, on, red",
        ON,
        stuck(RED, "production is dpl_2", (OURS, OURS, RESTORING)),
        _answers(Answer.PAYMENT_REQUIRED, "/rollback/"),
        late=True,
    ),
    Situation(
        "rollback answered 422, pinned, red",
        PINNED,
        stuck(RED, "production is dpl_3", (OURS, OURS, OURS)),
        _answers(Answer.UNPROCESSABLE, "/rollback/"),
        late=True,
    ),
    Situation(
        "rollback answered 409 twice, on, red",
        ON,
        back(RED, auto=False),
        _answers(Answer.CONFLICT, "/rollback/", 2),
        late=True,
    ),
    Situation("answer to rollback lost, off, red", OFF, back(RED), _answers(Answer.LOST, "/rollback/", 1), late=True),
)

HOSTS = (
    Situation("login before hosts, off", OFF, refused("redirects to vercel.com"), Quirks(protection=Protection.LOGIN)),
    Situation("login before hosts, off, a key", OFF, arrived(), Quirks(protection=Protection.LOGIN), key=BYPASS),
    Situation(
        "hosts denied, pinned, a wrong key",
        PINNED,
        refused("deployment protection"),
        Quirks(protection=Protection.DENIED),
        key="wrong",
    ),
    Situation(
        "hosts denied from the push on, off",
        OFF,
        back("asking the staged deployment"),
        Quirks(protection=Protection.DENIED),
        since="git_push",
    ),
)

RELEASES = (
    Situation("rolling release, pinned", PINNED, refused("a rolling release is in progress"), Quirks(rolling=True)),
    Situation(
        "rolling release from the push on, off",
        OFF,
        stuck("queued behind a rolling", "of this run may still go live", (OLD, OLD, OLD), coming=True),
        Quirks(rolling=True),
        since="git_push",
    ),
    Situation(
        "rolling release from the push on, on, red",
        ON,
        back(RED, auto=False),
        Quirks(rolling=True),
        since="git_push",
        late=True,
    ),
)

UNTOLD = (
    Situation(
        "auto-assign untold, on", ON, back("as soon as it was built", auto=False), Quirks(shows_auto_assign=False)
    ),
    Situation("auto-assign untold, off", OFF, arrived(), Quirks(shows_auto_assign=False)),
    Situation("auto-assign untold, pinned, red", PINNED, back(RED), Quirks(shows_auto_assign=False), late=True),
)

SOMEBODY = (
    Situation(
        "switched on meanwhile, off", OFF, back("has switched it on"), since="git_push", somebody=_assigning(True)
    ),
    Situation(
        "switched off meanwhile, on",
        ON,
        back("serves dpl_1", auto=False),
        since="git_push",
        somebody=_assigning(False),
        limit=4,
    ),
    Situation(
        "somebody's deployment follows, on",
        ON,
        stuck("neither this run's", "production is dpl_3", (OTHER, OTHER, OTHER)),
        build=Build(followed=0.0),
    ),
    Situation(
        "rolled back meanwhile, on",
        ON,
        back("production is being moved to dpl_1", auto=False),
        since="turso_migration",
        somebody=_rolls_back,
    ),
    Situation("half moved, on", ON, refused("but 127.0.0.1 serves dpl_1", OLD, OTHER), somebody=_half_moved),
    Situation("moving, on", ON, refused("being moved to dpl_1", OTHER, OTHER, OTHER), somebody=_moving),
    Situation(
        "somebody's build, on", ON, refused("dpl_2 of eeeeeeee is", later=OTHER), seconds=(30, 0.1), somebody=_builds
    ),
)

SITUATIONS = (
    *HONEST,
    *LISTS,
    *BUILDS,
    *ALIASES,
    *UNLISTED,
    *PROMOTES,
    *ROLLBACKS,
    *HOSTS,
    *RELEASES,
    *UNTOLD,
    *SOMEBODY,
)
