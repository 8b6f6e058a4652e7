"""The schema is rolled back only if all code that is live, or about to be, was shown to run on the previous one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from tests.support.production.base import FAILING, Event
from tests.support.virtual.colleague import foreign_deployment
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

STRANGE, SLOW = "e" * 40, 600.0
SERVED, PROJECT, LIST, ONE = "/v4/aliases/", "GET /v9/projects", "/v6/deployments", "/v13/deployments/"

Deed = Callable[[VirtualProduction], Awaitable[None]]


async def _nothing(production: VirtualProduction) -> None:
    """Leave production alone."""


async def _is_promoted(production: VirtualProduction) -> None:
    made = foreign_deployment(production, STRANGE)
    production.world.platform.alias_seconds = SLOW
    production.world.platform.move("promote", made.id)


async def _the_previous_code_is_promoted(production: VirtualProduction) -> None:
    made = foreign_deployment(production, production.world.platform.known[0].sha)
    production.world.platform.alias_seconds = 3.0
    production.world.platform.move("promote", made.id)


async def _is_queued(production: VirtualProduction) -> None:
    made = foreign_deployment(production, STRANGE)
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
    production.world.platform.production = foreign_deployment(production, STRANGE).id


def _goes_data_first(production: VirtualProduction) -> None:
    production.world.platform.auto_assign = False
    production.proof = replace(production.proof, ruled_out={"CODE_FIRST": "the new code needs the new schema"})


async def _rolled_back_after(production: VirtualProduction, deed: Deed) -> tuple[int, str, str]:
    """Roll a release back after a disturbance; return its exit code, the schema's detail and its state."""

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
async def test_schema_stays_under_unproved_code_on_its_way(
    production: VirtualProduction,
    auto_assign: bool,  # noqa: FBT001 - a column
    deed: Deed,
    said: str,
) -> None:
    """Code never shown to run on the previous schema keeps the new one, however it arrives; our own does not."""
    production.world.platform.auto_assign = auto_assign
    code, detail, state = await _rolled_back_after(production, deed)
    assert said in detail
    assert (SHOWN_NOT in detail, state) == ((True, "applied") if said else (False, "rolled_back")), detail
    assert code == 4 or not said


@pytest.mark.parametrize(
    ("deed", "stays"),
    [(_nothing, False), (_is_built, True), (_our_files_are_pushed_and_built, True), (_our_commit_is_built_again, True)],
)
async def test_auto_assign_switched_on_after_schema_first(
    production: VirtualProduction,
    deed: Deed,
    stays: bool,  # noqa: FBT001 - a column
) -> None:
    """A build that would then go live counts, also of our code; our own staged build does not go live by that."""
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
async def test_partial_platform_answers_are_judged(production: VirtualProduction, where: str, data_first: bool) -> None:  # noqa: FBT001
    """Known answers are judged; unknown ones are acceptable only if the new code runs on both schemas."""
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
async def test_foreign_deployment_counts_if_another_answer_is_missing(
    production: VirtualProduction, deed: Deed, silent: str
) -> None:
    """A foreign deployment named in one answer keeps the schema, though another answer never comes."""

    async def then_half_silent(production: VirtualProduction) -> None:
        await deed(production)
        production.world.platform.quirks = Quirks(troubles=(Trouble(Answer.HANG, silent),))

    code, detail, state = await _rolled_back_after(production, then_half_silent)
    told = silent != PROJECT
    assert (SHOWN_NOT in detail, state) == ((True, "applied") if told else (False, "rolled_back")), detail
    assert code == 4
