"""The policy, on steps that only succeed, fail or wait, in virtual time."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from orchestrate import apply_or_roll_back
from steps.support.console.report import fold
from steps.support.core.errors import Failed, Refused, Unknown
from steps.support.core.events import Opened, SignalReceived, Stopped, UndoDone
from steps.support.core.redaction import Redactor
from steps.support.core.run_state import state_of
from steps.support.run.budget import Budget
from steps.support.run.journal import Journal, reason
from steps.support.run.release import Gateways
from steps.support.run.session import Run
from steps.support.run.signals import Interrupts
from steps.support.run.step import Done, PlannedStep, ReversibleStep, Step
from tests.support.virtual.loop import VirtualLoop, run

Deed = Callable[[], Awaitable[None]]
LIMITS = {
    "pause_crons": 5.0,
    "activation": 15.0,
    "git_push": 10.0,
    "vercel_deployment": 75.0,
    "turso_migration": 15.0,
    "health_checks": 20.0,
}


async def _well() -> None:
    """Succeed at once."""


async def _failing() -> None:
    raise Failed(code="connection", operation="doing", subject="it", cause="it said no", remedy="Mend it.")


async def _refusing() -> None:
    raise Refused(
        code="connection", operation="doing", subject="it", cause="it said no before it began", remedy="Mend it."
    )


async def _lost() -> None:
    raise Unknown(code="connection", operation="doing", subject="it", cause="the answer was lost", remedy="Look.")


async def _broken() -> None:
    raise ZeroDivisionError("a defect")


async def _hanging() -> None:
    await asyncio.Event().wait()


def _taking(seconds: float) -> Deed:
    async def deed() -> None:
        await asyncio.sleep(seconds)

    return deed


async def _interrupted() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(1)


async def _interrupted_as_it_ends() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def _suspended() -> None:
    cast("VirtualLoop", asyncio.get_running_loop()).sleep_through(500)
    await asyncio.sleep(0)


@dataclass(frozen=True, eq=False)
class _Check(Step[None]):
    name: str = "health_checks"  # type: ignore[misc]
    deed: Deed = _well

    async def preflight(self, gateways: Gateways) -> None:
        pass

    async def apply(self, gateways: Gateways, seen: None) -> Done:
        await self.deed()
        return Done("looked")

    def plan(self, seen: None) -> str:
        return "check"


@dataclass(frozen=True, eq=False)
class _Change(ReversibleStep[None]):
    name: str  # type: ignore[misc]
    deed: Deed = _well
    back: Deed = _well
    left: str = ""
    done: list[str] = field(default_factory=list)

    @property
    def rollback_share(self) -> float:  # type: ignore[override]
        return {"turso_migration": 12 / 30, "git_push": 8 / 30}.get(self.name, 10 / 30)

    async def preflight(self, gateways: Gateways) -> None:
        pass

    async def apply(self, gateways: Gateways, seen: None) -> Done:
        await self.deed()
        return Done("done")

    def plan(self, seen: None) -> str:
        return "change"

    def rollback_plan(self, seen: None) -> str:
        return "change back"

    async def rollback(self, gateways: Gateways, seen: None) -> Done:
        self.done.append("undo began")
        await self.back()
        return Done("put back")

    async def verify_rollback(self, gateways: Gateways, seen: None) -> str:
        return self.left

    async def superseded_by(self, gateways: Gateways, seen: None) -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return ""


@dataclass(frozen=True, eq=False)
class _Foundation(_Change):
    @property
    def blocks_earlier_rollbacks(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class _Triggering(_Change):
    triggers: ClassVar[bool] = True
    prepares: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class _Triggered(_Change):
    triggered: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class _Temporary(_Change):
    temporary: ClassVar[bool] = True
    prepares: ClassVar[bool] = True


@dataclass(frozen=True)
class _Ending:
    verdict: str
    code: int
    undone: tuple[str, ...]
    seconds: float
    events: list[Any]


BUDGET = Budget(120.0, 30.0, LIMITS)


def _play(tmp_path: Path, *steps: Step[Any], budget: Budget = BUDGET) -> _Ending:
    """Run steps in virtual time, and return how it ended."""

    async def play() -> _Ending:
        journal = Journal(tmp_path / "journal.jsonl", Redactor(), "r")
        opened = Opened(
            mode="prod",
            budget={"total": budget.total, "reserve": budget.reserve},
            change={"name": "c", "sha256": "0"},
            target="",
            target_id="",
        )
        journal.note(opened)
        interrupts = Interrupts(lambda name, again: journal.note(SignalReceived(name=name, again=again)))
        played = Run("r", journal, budget, interrupts, None, _well, tmp_path, {})
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with interrupts.installed():
            try:
                await apply_or_roll_back(cast("Gateways", None), [PlannedStep(step, None) for step in steps], played)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as a session does
                journal.note(Stopped(why=reason(error)))
        journal.close()
        undone = tuple(event.step for event in journal.events if isinstance(event, UndoDone))
        return _Ending(
            fold.verdict(journal.state),
            fold.exit_code(journal.state),
            undone,
            loop.time() - begun,
            journal.events,
        )

    return run(play())


PUSH, MIGRATE = _Change("git_push"), _Foundation("turso_migration")
CRONS = _Temporary("pause_crons")
BOTH = ("turso_migration", "git_push")


@pytest.mark.parametrize(
    ("steps", "verdict", "code", "undone", "seconds"),
    [
        pytest.param((PUSH, MIGRATE, _Check()), "deployed", 0, (), 0, id="all well"),
        pytest.param((PUSH, MIGRATE, _Check(deed=_failing)), "rolled_back", 1, BOTH, 0, id="a check says no"),
        pytest.param((_Change("git_push", _refusing), MIGRATE), "refused", 3, (), 0, id="the first change was not begun"),
        pytest.param((PUSH, _Change("turso_migration", _refusing)), "rolled_back", 1, ("git_push",), 0, id="a later change was not begun"),
        pytest.param((PUSH, _Change("turso_migration", _lost)), "rolled_back", 1, BOTH, 0, id="an answer was lost"),
        pytest.param((PUSH, _Change("turso_migration", _broken)), "rolled_back", 1, BOTH, 0, id="a defect in a step"),
        pytest.param((PUSH, _Change("turso_migration", _hanging)), "rolled_back", 1, BOTH, 15, id="a step hangs"),
        pytest.param((PUSH, _Change("vercel_deployment", _taking(74)), _Check(deed=_hanging)), "rolled_back", 1, ("vercel_deployment", "git_push"), 90, id="limits are cut to the forward time"),
        pytest.param((PUSH, _Change("vercel_deployment", _taking(74.5)), _Check(deed=_taking(15)), MIGRATE), "rolled_back", 1, ("vercel_deployment", "git_push"), 89.5, id="no time left to begin a change"),
        pytest.param((PUSH, _Change("turso_migration", back=_failing), _Check(deed=_failing)), "needs_human", 4, ("git_push",), 0, id="a failing undo stops no other"),
        pytest.param((PUSH, _Change("turso_migration", back=_broken), _Check(deed=_failing)), "needs_human", 4, ("git_push",), 27.5, id="a defect in an undo stops no other, and is tried until the reserve ends"),
        pytest.param((PUSH, _Change("turso_migration", back=_hanging), _Check(deed=_failing)), "needs_human", 4, ("git_push",), 28, id="a hanging undo is tried until the reserve ends"),
        pytest.param((PUSH, _Foundation("turso_migration", back=_failing), _Check(deed=_failing)), "needs_human", 4, (), 0, id="what rests on a foundation stays with it"),
        pytest.param((_Triggering("git_push", _failing), _Triggered("vercel_deployment"), MIGRATE), "rolled_back", 1, ("vercel_deployment", "git_push"), 0, id="what a step sets off began with it"),
        pytest.param((_Triggering("git_push", _refusing), _Triggered("vercel_deployment"), MIGRATE), "refused", 3, (), 0, id="what a refused step would have set off did not begin"),
        pytest.param((_Triggering("git_push"), _Foundation("turso_migration", _failing), _Triggered("activation")), "rolled_back", 1, ("activation", "turso_migration", "git_push"), 0, id="they are put back in the plan's order, the last first"),
        pytest.param((CRONS, PUSH, MIGRATE), "deployed", 0, ("pause_crons",), 0, id="what is temporary is put back after an arrival"),
        pytest.param((CRONS, PUSH, _Check(deed=_failing)), "rolled_back", 1, ("git_push", "pause_crons"), 0, id="what is temporary is put back after a failure, last"),
        pytest.param((_Temporary("pause_crons", back=_failing), PUSH), "needs_human", 4, (), 0, id="an arrival that leaves something temporary needs a human"),
        pytest.param((_Temporary("pause_crons", back=_interrupted), PUSH), "deployed", 0, ("pause_crons",), 1, id="a signal after the arrival leaves nothing temporary"),
        pytest.param((CRONS, PUSH, _Check(deed=_interrupted_as_it_ends)), "deployed", 0, ("pause_crons",), 0, id="a signal at the arrival leaves nothing temporary"),
        pytest.param((CRONS, _Foundation("turso_migration", back=_failing), _Check(deed=_failing)), "needs_human", 4, ("pause_crons",), 0, id="what is temporary rests on nothing"),
        pytest.param((_Change("git_push", left="it is still there"), _Check(deed=_failing)), "needs_human", 4, ("git_push",), 0, id="the world has the last word"),
        pytest.param((PUSH, _Check(deed=_interrupted)), "rolled_back", 130, ("git_push",), 0, id="interrupted"),
        pytest.param((_Check(deed=_interrupted), PUSH), "refused", 130, (), 0, id="interrupted before anything began"),
        pytest.param((PUSH, _Change("turso_migration", _interrupted, _interrupted)), "needs_human", 4, (), 0, id="interrupted twice"),
        pytest.param((_Change("git_push", back=_interrupted), _Check(deed=_failing)), "rolled_back", 1, ("git_push",), 1, id="a first signal while rolling back"),
    ],
)  # fmt: skip
def test_end_of_a_run(
    tmp_path: Path, steps: tuple[Step[Any], ...], verdict: str, code: int, undone: tuple[str, ...], seconds: float
) -> None:
    """For any behaviour of a step, the run ends on time, newest rolled back first, verdict and exit code true."""
    ending = _play(tmp_path, *steps)
    assert (ending.verdict, ending.code, ending.undone) == (verdict, code, undone)
    assert ending.seconds == pytest.approx(seconds, abs=0.01)


def test_unverified_rollback_is_named(tmp_path: Path) -> None:
    """If a second signal stops the run between rollback and verification, the report names what is unverified."""

    async def stopped_twice() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            loop.call_soon(os.kill, os.getpid(), signal.SIGINT)

    @dataclass(frozen=True, eq=False)
    class Slow(_Change):
        async def verify_rollback(self, gateways: Gateways, seen: None) -> str:
            await asyncio.sleep(1)
            return ""

    ending = _play(tmp_path, Slow("git_push", back=stopped_twice), _Check(deed=_failing))
    assert (ending.verdict, ending.code, ending.undone) == ("needs_human", 4, ("git_push",))
    assert fold.report(state_of(ending.events))["remains"] == ["git_push: rolled back, but not verified"]


def test_run_suspended_past_its_deadline_has_a_whole_reserve(tmp_path: Path) -> None:
    """Nothing continues forward after such a suspend, and the reserve counts from waking."""
    ending = _play(tmp_path, PUSH, _Change("turso_migration", _suspended, _taking(11)), MIGRATE)
    assert (ending.verdict, ending.undone) == ("rolled_back", BOTH)
    assert ending.seconds == pytest.approx(511, abs=0.1)
    told = fold.report(state_of(ending.events))
    assert told["budget"]["used_seconds"] > told["budget"]["total"]
    assert "suspended past the budget" in told["warnings"][0]


def test_suspend_during_the_rollback_renews_the_reserve(tmp_path: Path) -> None:
    """The interrupted rollback is retried once, later ones have their turn, and this is reported."""
    slept: list[int] = []

    async def sleeps_once() -> None:
        slept.append(1)
        await (_suspended() if len(slept) == 1 else _well())
        await asyncio.sleep(1)

    ending = _play(tmp_path, PUSH, _Change("turso_migration", back=sleeps_once), _Check(deed=_failing))
    assert (ending.verdict, ending.undone) == ("rolled_back", BOTH)
    told = fold.report(state_of(ending.events))
    assert [undo["name"] for undo in told["undo"]] == list(BOTH)
    assert any("suspended during the rollback" in text for text in told["warnings"]), told["warnings"]


@pytest.mark.parametrize(("at", "undone"), [("begun", BOTH[1:]), ("undo_begun", BOTH)])
def test_stalled_disk_is_not_called_a_suspended_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, undone: tuple[str, ...]
) -> None:
    """If a write of the journal takes minutes, the rollback still gets its time, and the disk is what is named."""
    flushed, stalls = os.fsync, [500.0]

    def stalling(number: int) -> None:
        flushed(number)
        lines = next(tmp_path.rglob("journal.jsonl")).read_text().splitlines()
        if stalls and lines and f'"event": "{at}"' in lines[-1]:
            cast("VirtualLoop", asyncio.get_running_loop()).sleep_through(stalls.pop())

    monkeypatch.setattr(os, "fsync", stalling)
    ending = _play(tmp_path, PUSH, _Change("turso_migration", _well, _taking(1)), _Check(deed=_failing))
    told = fold.report(state_of(ending.events))
    assert (ending.verdict, ending.undone, stalls) == ("rolled_back", undone, [])
    assert told["warnings"][0].startswith("the disk took 500 s to write the journal"), told["warnings"]


BUILD_FIRST = Budget(630.0, 30.0, {**LIMITS, "vercel_deployment": 600.0}, BUDGET)


@dataclass(frozen=True, eq=False)
class _Build(_Triggered):
    prepares: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("steps", "verdict", "seconds", "used"),
    [
        pytest.param((_Build("vercel_deployment", _taking(180)), MIGRATE, _Check(deed=_taking(7))), "deployed", 187, 7, id="a build of three minutes"),
        pytest.param((_Build("vercel_deployment", _hanging), MIGRATE), "rolled_back", 600, 600, id="a build that never ends"),
        pytest.param((_Build("vercel_deployment", _hanging, _hanging), MIGRATE), "needs_human", 628, 628, id="one that cannot even be stopped"),
        pytest.param((_Build("vercel_deployment", _taking(180)), _Foundation("turso_migration", _taking(14)), _Change("activation", _taking(14)), *[_Check(deed=_hanging)] * 5), "rolled_back", 228, 48, id="the clock after it is its own"),
    ],
)  # fmt: skip
def test_clock_can_start_after_the_build(
    tmp_path: Path, steps: tuple[Step[Any], ...], verdict: str, seconds: float, used: float
) -> None:
    """Preparing steps cost no budget, have their own limit, and are rolled back within the reserve."""
    ending = _play(tmp_path, *steps, budget=BUILD_FIRST)
    assert ending.verdict == verdict
    assert ending.seconds == pytest.approx(seconds, abs=0.1)
    assert fold.report(state_of(ending.events))["budget"]["used_seconds"] == pytest.approx(used, abs=0.1)


def test_rollbacks_never_outlive_the_budget(tmp_path: Path) -> None:
    """After all forward time is used, rollbacks that each fit their limit still end with the whole run."""
    slow = [_Change(name, back=_hanging) for name in ("git_push", "vercel_deployment", "turso_migration")]
    ending = _play(
        tmp_path,
        *slow,
        _Check(deed=_hanging),
        _Check(deed=_hanging),
        _Check(deed=_hanging),
        _Check(deed=_hanging),
        _Check(deed=_hanging),
    )
    assert ending.verdict == "needs_human"
    assert ending.seconds <= 120.01


def test_change_that_cannot_be_journalled_is_not_begun(tmp_path: Path) -> None:
    """A full disk stops the run before the next change, and what was begun is still rolled back."""

    async def fill() -> None:
        os.set_inheritable(journal_descriptor(tmp_path), False)
        os.dup2(os.open("/dev/full", os.O_WRONLY), journal_descriptor(tmp_path))

    ending = _play(tmp_path, _Change("git_push", fill), MIGRATE)
    assert (ending.verdict, ending.code, ending.undone) == ("rolled_back", 1, ("git_push",))
    assert "No space left" in fold.report(state_of(ending.events))["cause"]


def journal_descriptor(folder: Path) -> int:
    """Find the open file of the journal in this folder."""
    return next(
        int(link.name)
        for link in Path("/proc/self/fd").iterdir()
        if link.exists() and link.samefile(folder / "journal.jsonl")
    )
