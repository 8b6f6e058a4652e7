"""The schema is rolled back only if all that is live, or on its way there, was shown to run on the previous one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from steps.support.standin.vercel.state import Deployment, State, Substate
from tests.world.production import FAILING, Event
from tests.world.virtual import VirtualProduction

pytestmark = pytest.mark.anyio

STRANGE, SLOW = "e" * 40, 600.0
SERVED, PROJECT, LIST, ONE = "/v4/aliases/", "GET /v9/projects", "/v6/deployments", "/v13/deployments/"

Deed = Callable[[VirtualProduction], Awaitable[None]]


def _somebody_s(production: VirtualProduction, sha: str) -> Deployment:
    """Put a deployment there that somebody built, and that was live once."""
    platform = production.world.platform
    made = platform.created(sha, "main", "somebody's", platform.catch_up())
    made.state, made.substate = State.READY, Substate.PROMOTED
    made.building = made.ended = made.aliased = made.created
    return made


async def _nothing(production: VirtualProduction) -> None:
    """Leave production alone."""


async def _is_promoted(production: VirtualProduction) -> None:
    made = _somebody_s(production, STRANGE)
    production.world.platform.alias_seconds = SLOW
    production.world.platform.move("promote", made.id)


async def _the_previous_code_is_promoted(production: VirtualProduction) -> None:
    made = _somebody_s(production, production.world.platform.known[0].sha)
    production.world.platform.alias_seconds = 3.0
    production.world.platform.move("promote", made.id)


async def _is_queued(production: VirtualProduction) -> None:
    made = _somebody_s(production, STRANGE)
    production.world.platform.quirks = Quirks(rolling=True)
    production.world.platform.move("promote", made.id)


async def _is_built(production: VirtualProduction) -> None:
    production.world.platform.build_seconds = SLOW
    production.world.platform.pushed(STRANGE, "main", "somebody's")


async def _is_about_to_get_its_aliases(production: VirtualProduction) -> None:
    production.world.platform.build_seconds, production.world.platform.alias_seconds = 0.0, SLOW
    production.world.platform.pushed(STRANGE, "main", "somebody's")
    production.world.platform.catch_up()


async def _our_files_are_pushed_and_built(production: VirtualProduction) -> None:
    production.world.platform.build_seconds = SLOW
    await production.overtake()


async def _our_commit_is_built_again(production: VirtualProduction) -> None:
    production.world.platform.build_seconds = SLOW
    production.world.platform.pushed(production.checkout.head, "main", "built again")


async def _other_files_are_pushed_and_built(production: VirtualProduction) -> None:
    production.world.platform.build_seconds = SLOW
    history = production.remote.history
    tree = history.store({"theirs": "theirs"})
    production.remote.advance(history.commit(tree, production.checkout.head, "other"))


async def _the_target_alone_is_theirs(production: VirtualProduction) -> None:
    production.world.platform.production = _somebody_s(production, STRANGE).id


def _goes_data_first(production: VirtualProduction) -> None:
    production.world.platform.auto_assign = False
    production.proof = replace(production.proof, ruled_out={"CODE_FIRST": "the new code needs the new schema"})


async def _regretted(production: VirtualProduction, deed: Deed) -> tuple[int, str, str]:
    """Have a release turn back, and something done then; return its exit code, the schema's detail and its state."""

    async def react(event: Event) -> None:
        if event["event"] == "turned_back":
            await deed(production)

    ending = await production.release(react=react, health=FAILING)
    undo = {row["name"]: str(row["detail"]) for row in ending.report["undo"]}
    ((state,),) = await production.sql("SELECT state FROM _orchestrate_migrations")
    return ending.code, undo["turso_migration"], str(state)


SHOWN_NOT = "has not been proved to run on the old schema"
DEEDS: list[tuple[bool, Deed, str]] = [
    (True, _nothing, ""),
    (False, _nothing, ""),
    (True, _is_promoted, "by standin) is about to be live"),
    (False, _is_promoted, "by standin) is about to be live"),
    (True, _the_previous_code_is_promoted, ""),
    (True, _is_queued, "goes live once the rolling release has ended"),
    (True, _is_built, "would go live by itself"),
    (False, _is_built, ""),
    (True, _is_about_to_get_its_aliases, "is READY, and would go live by itself"),
    (True, _our_files_are_pushed_and_built, ""),
    (True, _other_files_are_pushed_and_built, "would go live by itself"),
    (True, _the_target_alone_is_theirs, "by standin) is live"),
]


@pytest.mark.parametrize(
    ("auto_assign", "deed", "said"), DEEDS, ids=[f"{each[1].__name__}-{each[0]}" for each in DEEDS]
)
async def test_the_schema_stays_under_what_is_on_its_way(
    production: VirtualProduction,
    auto_assign: bool,  # noqa: FBT001 - a column
    deed: Deed,
    said: str,
) -> None:
    """Code that was never shown to run on the previous schema keeps the new one, however it comes; its own does not."""
    production.world.platform.auto_assign = auto_assign
    code, detail, state = await _regretted(production, deed)
    assert said in detail
    assert (SHOWN_NOT in detail, state) == ((True, "applied") if said else (False, "rolled_back")), detail
    assert code == 4 or not said


@pytest.mark.parametrize(
    ("deed", "stays"),
    [(_nothing, False), (_is_built, True), (_our_files_are_pushed_and_built, True), (_our_commit_is_built_again, True)],
)
async def test_auto_assign_comes_on_where_the_schema_went_first(
    production: VirtualProduction,
    deed: Deed,
    stays: bool,  # noqa: FBT001 - a column
) -> None:
    """A build that would then go live counts, of our code too; our own, which waits staged, does not land by that."""
    _goes_data_first(production)

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("undo_begun", "turso_migration"):
            production.world.platform.auto_assign = True
            await deed(production)

    ending = await production.release(react=react, health=FAILING)
    undo = {row["name"]: str(row["detail"]) for row in ending.report["undo"]}
    assert (SHOWN_NOT in undo["turso_migration"]) is stays
    state = "applied" if stays else "rolled_back"
    assert await production.sql("SELECT state FROM _orchestrate_migrations") == [(state,)]


@pytest.mark.parametrize("data_first", [False, True], ids=["code first", "data first"])
@pytest.mark.parametrize("where", [SERVED, PROJECT, LIST, ONE])
async def test_a_platform_that_tells_half(production: VirtualProduction, where: str, data_first: bool) -> None:  # noqa: FBT001
    """What it does tell is judged; what it does not is trusted only if the new code runs on both schemas."""
    platform = production.world.platform
    if data_first:
        _goes_data_first(production)

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("undo_begun", "turso_migration"):
            platform.quirks = Quirks(troubles=(Trouble(Answer.HANG, where),))
        if event.get("step") == "turso_migration" and event["event"] in ("undo_done", "undo_failed"):
            platform.quirks = Quirks()

    ending = await production.release(react=react, health=FAILING)
    silent = data_first and where in (SERVED, PROJECT)
    assert (ending.code, ending.steps("undo")["turso_migration"]) == ((4, "failed") if silent else (1, "done"))


@pytest.mark.parametrize("silent", [SERVED, PROJECT, LIST])
@pytest.mark.parametrize("deed", [_is_promoted, _the_target_alone_is_theirs])
async def test_what_is_told_counts_though_the_rest_is_not(
    production: VirtualProduction, deed: Deed, silent: str
) -> None:
    """A foreign deployment that one answer names keeps the schema, though another answer never comes."""

    async def then_half_silent(production: VirtualProduction) -> None:
        await deed(production)
        production.world.platform.quirks = Quirks(troubles=(Trouble(Answer.HANG, silent),))

    code, detail, state = await _regretted(production, then_half_silent)
    told = silent != PROJECT
    assert (SHOWN_NOT in detail, state) == ((True, "applied") if told else (False, "rolled_back")), detail
    assert code == 4
