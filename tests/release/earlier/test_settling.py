"""Earlier runs, in cases where no process has to die: what is rolled back, what is refused, what is left alone."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from steps.support.gateways.turso import Turso
from tests.support.production.base import FAILING, LOST, READING, Event, Reaction
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

SHORT = "total = 40\nreserve = 20"


def _breaking(production: VirtualProduction, step: str, *, at: str = "undo_begun") -> Reaction:
    """Make a step's world stop answering from that event of it on."""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == (at, step):
            production.faults.arm(step, "cut" if step in ("vercel_deployment", "activation") else "hang")

    return react


@pytest.mark.parametrize("step", ["turso_migration", "vercel_deployment", "git_push"])
async def test_interrupted_rollback_is_continued(production: VirtualProduction, step: str) -> None:
    """A release whose rollback was interrupted is open: no other release is allowed; the same command finishes it."""
    before = await production.state()
    run = (await production.release()).report["run_id"]
    stuck = await production.release("--rollback", react=_breaking(production, step), budget=SHORT)
    assert (stuck.code, stuck.report["verdict"]) == (4, "needs_human"), stuck.report
    production.faults.disarm()
    assert (await production.release()).code == 3
    again = await production.release("--rollback")
    assert (again.code, again.report["of"]) == (0, run), again.report
    assert await production.state() == before


async def test_open_run_is_known_from_its_journal_alone(production: VirtualProduction) -> None:
    """If someone elsewhere took and released the lock, the journal here still refuses the next release."""
    stuck = await production.release(react=_breaking(production, "git_push"), health=FAILING, budget=SHORT)
    production.faults.disarm()
    await production.sql("UPDATE _orchestrate_lock SET run = 'another', expires_at = 0")
    ending = await production.release()
    assert (stuck.code, ending.code) == (4, 3), ending.report
    assert f"--rollback {stuck.report['run_id']}" in ending.report["next_action"]


async def test_rollback_without_a_name_never_chooses_an_older_run(production: VirtualProduction) -> None:
    """The last run is meant even if it began nothing: an older release is rolled back only by name."""
    await production.release()
    after = await production.state()
    refused = await production.release()  # every commit is there already
    assert refused.code == 3
    ending = await production.release("--rollback")
    assert (ending.code, ending.report["of"], ending.report["undo"]) == (0, refused.report["run_id"], []), ending.report
    assert await production.state() == after


async def test_schema_stays_under_code_that_needs_it(production: VirtualProduction) -> None:
    """After schema first, if production cannot be rolled back, the schema stays under the new code."""
    production.world.platform.auto_assign = False
    production.proof = replace(production.proof, ruled_out={"CODE_FIRST": "the new code needs the new schema"})
    before = await production.state()
    react = _breaking(production, "activation")
    ending = await production.release(react=react, health=FAILING, budget=SHORT)
    assert (ending.code, ending.report["order"]) == (4, "DATA_FIRST"), ending.report
    assert ending.steps("undo")["turso_migration"] == "left"
    assert (await production.state()).schema != before.schema
    production.faults.disarm()
    assert (await production.release("--rollback")).code == 0
    assert await production.state() == before


async def test_accepted_run_is_not_rolled_back(production: VirtualProduction) -> None:
    """Acceptance holds even if the journals that record it are lost: the marker row knows."""
    run = (await production.release()).report["run_id"]
    assert (await production.release("--accept")).code == 0
    after = await production.state()
    first = await production.release("--rollback", run)
    for journal in (production.folder / "runs").glob("*/journal.jsonl"):
        journal.unlink()
    second = await production.release("--rollback", run)
    for ending in (first, second):
        assert (ending.code, "it was accepted" in ending.report["cause"]) == (3, True), ending.report
    assert await production.state() == after


@pytest.mark.parametrize(
    ("deed", "cause"), [("accepted", "it was accepted"), ("pushed", "production has changed since")]
)
async def test_rollback_reads_the_state_again_under_the_lock(
    production: VirtualProduction, monkeypatch: pytest.MonkeyPatch, deed: str, cause: str
) -> None:
    """If someone accepts the run, or builds on it, just before the rollback locks, nothing is rolled back."""
    run, real = (await production.release()).report["run_id"], Turso.lock

    async def lock(self: Turso, *claim: Any) -> Any:
        if deed == "accepted":
            await production.sql("UPDATE _orchestrate_migrations SET accepted_at = unixepoch()")
        else:
            await production.overtake()
        return await real(self, *claim)

    monkeypatch.setattr(Turso, "lock", lock)
    after = await production.state()
    ending = await production.release("--rollback", run)
    assert (ending.code, cause in ending.report["cause"]) == (3, True), ending.report
    assert await production.state() == after


async def test_unlocked_run_can_still_be_rolled_back(production: VirtualProduction) -> None:
    """Unlocking does not settle what is in production: releases and the rollback are both possible again."""
    before = await production.state()
    stuck = await production.release(
        react=_breaking(production, "git_push"), health=READING.replace('`200`"]', f'`200`", "{LOST}"]'), budget=SHORT
    )
    assert stuck.code == 4, stuck.report
    production.faults.disarm()
    run = stuck.report["run_id"]
    assert (await production.release("--unlock", run)).code == 0
    assert "it was cut off" not in str((await production.release("--dry-run")).report["cause"])
    ending = await production.release("--rollback", run)
    assert (ending.code, await production.state() == before) == (0, True), ending.report


@pytest.mark.parametrize("way", ["--rollback", "--accept", "--unlock"])
async def test_unknown_run_touches_nothing(production: VirtualProduction, way: str) -> None:
    """A mistyped name touches nothing, and is reported as unknown or missing."""
    await production.release()
    state = await production.state()
    ending = await production.release(way, "20260101T000000Z-ffff")
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert await production.sql("SELECT count(*) FROM _orchestrate_migrations") == [(1,)]
    assert await production.state() == state


async def test_expired_lease_of_a_run_elsewhere_is_not_taken_silently(production: VirtualProduction) -> None:
    """Who, where and until when is reported, and every command that settles the run."""
    await production.release()
    await production.sql(
        "UPDATE _orchestrate_lock SET run = 'another', who = 'rob', host = 'there', expires_at = 1767225600"
    )
    ending = await production.release()
    assert ending.code == 3, ending.report
    for part in ("run another", "the lease of rob on there expired at 2026-01-01"):
        assert part in ending.report["cause"]
    for way in ("--rollback another", "--accept another", "--unlock another"):
        assert way in ending.report["next_action"]
    assert (await production.release("--unlock", "another")).code == 0
    assert "the lease of" not in (await production.release()).report["cause"]


async def test_rolled_back_run_is_verified_again(production: VirtualProduction) -> None:
    """If nothing of it is there, that is verified; if someone made it live since, it is rolled back again."""
    platform = production.world.platform
    failed = await production.release(health=FAILING)
    assert failed.report["verdict"] == "rolled_back"
    before, run = await production.state(), failed.report["run_id"]
    ours = next(each.id for each in platform.deployments if each.sha == production.checkout.head)
    looked = await production.release("--rollback", run)
    assert (looked.code, [event["remains"] for event in looked.events if event["event"] == "verified"]) == (0, [{}])
    platform.move("promote", ours)
    await asyncio.sleep(1)
    assert (await production.state()).live == ours
    again = await production.release("--rollback", run)
    assert (again.code, again.report["verdict"]) == (0, "rolled_back"), again.report
    assert await production.state() == before
    platform.deployed("e" * 40, "main", "somebody's")
    theirs = await production.release("--rollback", run)
    assert (theirs.code, platform.served) == (0, "dpl_4"), theirs.report
    assert any("was not done by this run" in text for text in theirs.report["warnings"])
    production.faults.arm("vercel_deployment", "cut")
    assert (await production.release("--rollback", run)).code == 3


async def test_rolled_back_run_is_not_rolled_back_over_others(production: VirtualProduction) -> None:
    """If its deployment was promoted since, and someone built on its commit, no half of it is rolled back."""
    platform = production.world.platform
    run = (await production.release(health=FAILING)).report["run_id"]
    await production.overtake()
    await asyncio.sleep(60)
    platform.move("promote", next(each.id for each in platform.deployments if each.sha == production.checkout.head))
    await asyncio.sleep(1)
    after = await production.state()
    ending = await production.release("--rollback", run)
    assert (ending.code, "production has changed since" in ending.report["cause"]) == (3, True), ending.report
    assert await production.state() == after


async def test_malformed_journal_does_not_stop_commands(production: VirtualProduction) -> None:
    """Releases and rollbacks are possible beside an unreadable journal, and a warning names it."""
    folder = production.folder / "runs" / "20260101T000000Z-0bad"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text('{"event": "opened", "run": "20260101T000000Z-0bad"}\n')
    released = await production.release()
    back = await production.release("--rollback")
    for ending in (released, back):
        assert ending.code == 0, ending.report
        assert any("0bad/journal.jsonl cannot be read" in text for text in ending.report["warnings"])


STRANGE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another run": ({"run": "20260101T000000Z-ffff"}, {}),
    "a path": ({"run": "../../x"}, {}),
    "a NUL": ({"run": "a\0b"}, {}),
    "a long name": ({"run": "a" * 5000}, {}),
    "no change": ({"change": {}}, {}),
    "figures for a change": ({"change": {"name": 1, "sha256": None}}, {}),
    "more of a change": ({"change": {"name": "x", "sha256": "y", "source": "drizzle"}}, {}),
    "an unknown step": ({}, {"step": "zap", "begins": ["zap"], "saw": {"zap": {}}}),
    "a known and an unknown step": ({}, {"begins": ["git_push", "zap"], "saw": {"git_push": {}, "zap": {}}}),
    "nothing seen": ({}, {"saw": {}}),
    "something else seen": ({}, {"saw": {"git_push": [1]}}),
    "figures for steps": ({}, {"begins": [7]}),
}  # journal contents that this version would write differently: at the opening, and when a step begins


@pytest.mark.parametrize("what", STRANGE)
async def test_strange_journal_neither_settles_nor_stops_anything(production: VirtualProduction, what: str) -> None:
    """Nothing this version cannot read counts as rolled back, accepted or unlocked; the refusal is no defect.

    A journal that cannot be read at all is named beside every command, and they continue.
    """
    opens, begins = STRANGE[what]
    run = "20260101T000000Z-5tr4"
    journal = production.folder / "runs" / run / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    opened = {"event": "opened", "run": run, "mode": "prod", "change": {"name": "x", "sha256": "y"}, **opens}
    begun = {"event": "begun", "step": "git_push", "begins": ["git_push"], "saw": {"git_push": {}}, **begins}
    journal.write_text(f"{json.dumps(opened)}\n{json.dumps(begun)}\n")
    state = await production.state()
    settling = [await production.release(way, run) for way in ("--rollback", "--accept", "--unlock")]
    assert [ending.code for ending in settling] == [3, 3, 3], [ending.report["cause"] for ending in settling]
    look = await production.release("--dry-run")
    assert not any("unexpected" in str(ending.report["cause"]) for ending in (*settling, look))
    told = any(f"{journal} cannot be read" in text for text in look.report["warnings"])
    assert (look.code, told) in {(0, True), (3, False)}, look.report
    assert await production.state() == state


async def test_release_with_a_renamed_folder_is_rolled_back(production: VirtualProduction) -> None:
    """A release whose folder was renamed is rolled back from what the database keeps, as if it ran elsewhere."""
    before = await production.state()
    run = (await production.release()).report["run_id"]
    folder = production.folder / "runs" / run
    folder.rename(folder.with_name(f"{run}-bak"))
    looked = await production.release("--dry-run")
    assert "unexpected" not in str(looked.report["cause"])
    ending = await production.release("--rollback", run)
    assert (ending.code, ending.report["verdict"]) == (0, "rolled_back"), ending.report
    assert any("-bak/journal.jsonl cannot be read" in text for text in ending.report["warnings"])
    assert await production.state() == before


async def test_code_without_a_commit_counts_as_unproved(production: VirtualProduction) -> None:
    """Two deployments without a known commit are not the same code: the schema stays as it is."""
    platform = production.world.platform
    platform.known[0].sha = ""

    async def react(event: Event) -> None:
        if (event["event"], event.get("step")) == ("begun", "health_checks"):
            platform.deployed("", "main", "somebody's, by hand")

    ending = await production.release(react=react, health=FAILING)
    assert (ending.code, ending.steps("undo")["turso_migration"]) == (4, "failed"), ending.report
    assert await production.sql("SELECT state FROM _orchestrate_migrations") == [("applied",)]
