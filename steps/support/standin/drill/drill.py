"""The drill: break every step in every way, and compare the outcome with the expected one.

Each case has its own local production environment. The faults are data, one file for each fault (faults/*.toml). The
tool runs as a process, just as an operator would start it. Its time limits are short, and nothing inside it is faked.
"""

import asyncio
import os
import resource
import signal
import sqlite3
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory, gettempdir
from typing import cast

from steps.support.change.folder import text_of
from steps.support.core.errors import Problem, Refused
from steps.support.sql.findings import SAMPLE
from steps.support.sql.script import split
from steps.support.standin.drill.forked import ToolProcess
from steps.support.standin.drill.trial import READING, AnyTrial, Event, RunResult, Trial
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.world import local_production

FAULTS = Path(__file__).parent / "faults"
STEPS = ("git_push", "vercel_deployment", "activation", "turso_migration", "verification_query", "health_checks")
LIMIT = 3.0  # seconds for each step, unless the fault sets its own limit; the limits below are in seconds, too
BUDGET = "total = 50\nreserve = 14"
BUILD, MOVE = 1.0, 0.1
HEALTH = READING.replace('`200`"]', '`200`", "body.latest"]')
ABREAST = 4
LONGEST_TEMPORARY = 75  # bytes: a socket's path may have 107, and multiprocessing adds 32 to the temporary folder's
KILLED = "killed_during"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that is done to a run when an event occurs.

    `at`: the name of the event. `step`: the step of the event; if empty, the step that the case breaks. `after`: the
    seconds from the event to the action. `world`: how to break the services that the step uses, or "mended" to repair
    them. `signal`: the signal that is sent to the process. `disk`: "full" leaves no room for further journal lines.
    `operator`: whether another operator makes a whole attempt to release.
    """

    at: str
    step: str = ""
    after: float = 0.0
    world: str = ""
    signal: str = ""
    disk: str = ""
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended.

    `verdict`: the verdict of the operator's final run if there was one, otherwise of the first run. `codes`: the exit
    codes of the first run, of any runs that were started while the first one ran, and of the final run, in this order.
    `identical`: whether production is as it was before.
    """

    verdict: str
    codes: tuple[int, ...]
    identical: bool

    def __str__(self) -> str:
        """Return the outcome in one line."""
        return f"{self.verdict}, {' then '.join(map(str, self.codes))}, {'as before' if self.identical else 'new'}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of breaking a step, and the expected outcome for each step.

    `says`: the fault in words. `deeds`: the actions that are done to the run. `then`: the options with which the
    operator runs the tool at the end, if any. `limit`: the seconds that each step may take.
    """

    name: str
    says: str
    deeds: tuple[Action, ...]
    then: tuple[str, ...]
    limit: float
    expected: Mapping[str, Outcome]


Row = tuple[Fault, str]


def read(folder: Path) -> tuple[Fault, ...]:
    """Read all faults in a folder, sorted by file name."""
    return tuple(_fault(path) for path in sorted(folder.glob("*.toml")))


def rows(faults: Sequence[Fault]) -> list[Row]:
    """Return every pair of a fault and a step that it can affect, in the order of the steps."""
    return [(fault, step) for step in STEPS for fault in faults if step in fault.expected]


def _fault(path: Path) -> Fault:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    deeds = tuple(Action(**deed) for deed in table["deeds"])
    expected = {step: Outcome(row[0], tuple(row[1]), row[2] == "as before") for step, row in table["expect"].items()}
    return Fault(path.stem, table["says"], deeds, tuple(table.get("then", ())), table.get("limit", LIMIT), expected)


@asynccontextmanager
async def sampled(sql: Path) -> AsyncIterator[Path]:
    """Load sample.sql once, and yield the file that is copied as the database of every case."""
    with TemporaryDirectory(prefix="orchestrate-drill-") as folder:
        file = Path(folder) / "sample.db"
        await asyncio.to_thread(load_sample, sql, file)
        yield file


def load_sample(sql: Path, file: Path) -> None:
    """Create a database in `file` from sample.sql."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        for statement in split(text_of(sql, SAMPLE), SAMPLE):
            database.execute(statement.sql)


async def drill_row(row: Row, sql: Path, sample: Path, binary: Path, folder: Path) -> tuple[Outcome, str]:
    """Break the step in a local production of its own. Return the same as `play`."""
    faults, copy = Faults(), await asyncio.to_thread(copyfile, sample, folder / "copy.db")
    async with local_production(folder, sql, binary, faults, copy=copy) as production:
        return await play(row, Trial(production, faults, folder, sql_folder=sql))


async def play(row: Row, trial: AnyTrial) -> tuple[Outcome, str]:
    """Break the step in a production of any kind. Return the outcome, and the cause that a run reported.

    The cause is from the operator's final run if there was one, otherwise from the first run. Signals and a full disk
    need a production in which the tool runs as a process.
    """
    (fault, step), platform = row, trial.world.platform
    platform.build_seconds, platform.alias_seconds = BUILD, MOVE
    platform.auto_assign = step != "activation"
    before = await trial.state()
    results = await _run(trial, fault, step)
    if fault.then:
        trial.faults.disarm()
        results.append(await trial.release(*fault.then, react=None, **_times(fault)))
    identical = await trial.state() == before
    last = results[-1] if fault.then else results[0]
    codes = (results[0].code, *(_code(result, results[0]) for result in results[1:]))
    outcome = Outcome(last.report.get("verdict", "none"), codes, identical)
    return outcome, str(last.report.get("cause") or last.said)


def _times(fault: Fault) -> dict[str, str]:
    limits = "\n".join(f"{step} = {fault.limit + (BUILD if step == 'vercel_deployment' else 0)}" for step in STEPS)
    return {"limits": limits, "budget": BUDGET, "health": HEALTH}


def _code(result: RunResult, first: RunResult) -> int:
    """Return the exit code, or -1 if the run was refused but its cause does not name the first run, which blocks it."""
    refused = result.report.get("verdict") == "refused"
    return -1 if refused and first.events[0]["run"] not in str(result.report["cause"]) else result.code


async def _run(trial: AnyTrial, fault: Fault, step: str) -> list[RunResult]:
    """Run the tool with the actions of a fault. Return its result, then those of the other runs started meanwhile."""
    waiting, others, later = list(fault.deeds), list[RunResult](), list[asyncio.Task[None]]()
    process: ToolProcess | None = None

    async def do(deed: Action, event: Event) -> None:
        await asyncio.sleep(deed.after)
        _break(deed, trial, deed.step or step)
        if process and deed.signal:
            process.send_signal(signal.Signals[deed.signal])
        if process and deed.disk:
            _fill(trial.folder / "runs" / event["run"] / "journal.jsonl", process)
        if deed.operator:
            others.append(await trial.release(react=None, **_times(fault)))

    async def react(event: Event) -> None:
        about = event.get("step", "")
        for deed in [each for each in waiting if each.at == event["event"] and about in ("", each.step or step)]:
            waiting.remove(deed)
            if deed.after:
                later.append(asyncio.ensure_future(do(deed, event)))
            else:
                await do(deed, event)

    if isinstance(trial, Trial):
        config = trial.configure(**_times(fault))
        async with trial.started("--prod", "--yes", "--json", "--config", str(config), paced=True) as process:
            first = await _until_end(trial.watched(process, react), later)
    else:
        first = await _until_end(trial.release(react=react, **_times(fault)), later)
    return [first, *others]


async def _until_end(run: Awaitable[RunResult], later: Sequence[asyncio.Task[None]]) -> RunResult:
    """Wait for a run to end, cancel the delayed actions that have not finished by then, and return its result."""
    result = await run
    for task in later:
        task.cancel()
    await asyncio.gather(*later, return_exceptions=True)
    return result


def _break(deed: Action, trial: AnyTrial, step: str) -> None:
    if deed.world == "mended":
        trial.faults.disarm()
    elif deed.world:
        trial.faults.arm(step, cast("Kind", deed.world))


def _fill(journal: Path, process: ToolProcess) -> None:
    """Limit the size of the process's files to the present size of its journal, so that the disk seems full."""
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, most))


def chosen(killed: str | None) -> list[Row]:
    """Return all cases, or the kill case for STEP:kill. Raise Problem if there is no such case."""
    every = rows(read(FAULTS))
    if not every:
        raise Problem(
            code="stand-ins",
            operation="reading",
            subject=str(FAULTS),
            cause="the folder contains no faults",
            remedy="Install the tool again.",
        )
    if not killed:
        return every
    step, _, _ = killed.partition(":")
    if one := [(fault, its) for fault, its in every if (fault.name, its) == (KILLED, step)]:
        return one
    raise Problem(
        code="usage",
        operation="reading",
        subject=f"--fail {killed}",
        cause="there is no such fault",
        remedy=f"STEP is one of {', '.join(STEPS)}.",
    )


async def run(wanted: Sequence[Row], sql: Path, binary: Path, tell: Callable[[str], object]) -> bool:
    """Run the cases, four at a time, and report each in order. Return True if every outcome is the expected one.

    Raise Refused if the temporary folder's path is too long for the sockets of the tool's processes.
    """
    if (length := len(os.fsencode(gettempdir()))) > LONGEST_TEMPORARY:
        cause = f"the path of the temporary folder has {length} bytes, and a socket in it allows {LONGEST_TEMPORARY}"
        raise Refused(
            code="stand-ins",
            operation="drilling",
            subject=gettempdir(),
            cause=cause,
            remedy="Set TMPDIR to a folder with a shorter path.",
        )
    turns = asyncio.Semaphore(ABREAST)
    async with sampled(sql) as sample, asyncio.TaskGroup() as group:
        running = [(row, group.create_task(_timed(row, sql, sample, binary, turns))) for row in wanted]
        matches = [_report(row, await each, tell) for row, each in running]
    tell(f"{len(matches)} drilled, {matches.count(False)} not as expected")
    return all(matches)


async def _timed(
    row: Row, sql: Path, sample: Path, binary: Path, turns: asyncio.Semaphore
) -> tuple[Outcome, str, float]:
    async with turns:
        began = asyncio.get_running_loop().time()
        with TemporaryDirectory(prefix="orchestrate-drill-") as folder:
            outcome, cause = await drill_row(row, sql, sample, binary, Path(folder))
        return outcome, cause, asyncio.get_running_loop().time() - began


def _report(row: Row, found: tuple[Outcome, str, float], tell: Callable[[str], object]) -> bool:
    """Report one case. Return True if its outcome is the expected one."""
    (fault, step), (outcome, cause, seconds) = row, found
    expected = fault.expected[step]
    tell(f"{'ok' if outcome == expected else 'WRONG':<6}{step:<19}{fault.name:<17}{seconds:5.1f} s  {outcome}")
    if outcome != expected:
        tell(f"      expected: {expected}; reported cause: {cause}")
    return outcome == expected


def markdown(faults: Sequence[Fault]) -> str:
    """Return the expected outcomes as a Markdown table, with a line for each fault and a column for each step."""
    lines = [["fault", *(f"`{step}`" for step in STEPS)], ["---"] * (len(STEPS) + 1)]
    for fault in faults:
        cells = (fault.expected.get(step) for step in STEPS)
        lines.append([fault.says, *(_cell(expected) if expected else "-" for expected in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(expected: Outcome) -> str:
    codes = ", ".join("killed" if code < 0 else str(code) for code in expected.codes)
    return f"{codes}: {expected.verdict}"
