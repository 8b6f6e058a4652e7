"""What a seed draws: the production, the app's writes, other people's actions, and the faults."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.campaign.faults import CALLS, EVENTS, GATEWAYS, Fault

STEPS = (
    "git_push", "vercel_deployment", "activation", "turso_migration", "verification_query", "health_checks",
)  # fmt: skip
CHANGES = ("git_push", "vercel_deployment", "activation", "turso_migration")
WRITES_TO = dict(zip(CHANGES, ("git", "vercel", "vercel", "database"), strict=True))
SOON = (0.01, 0.1, 0.5, 1.0, 1.6)  # seconds
RECOVERIES = 3  # rollbacks that may be disturbed
OTHERS = ("push", "schema", "switch", "return")


@dataclass(frozen=True, slots=True)
class Other:
    """What another person does, `seconds` after an event."""

    action: str
    event: str
    step: str
    seconds: float

    def __str__(self) -> str:
        """Return a short description."""
        return f"{self.action} {self.seconds:g} s after {self.event} {self.step}".strip()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything drawn for a seed.

    `failing`: the site is unwell once the health checks begin. `built_in`: the site gets the built-in checks, whose cron
    writes. `pace`: mean seconds between two writes of the app. `recoveries`: the faults of each rollback. `regret`: a
    completed release is rolled back too.
    """

    seed: int
    staged: bool
    data_first: bool
    build: float
    alias: float
    crons_off: bool
    pause_crons: bool
    failing: bool
    built_in: bool
    pace: float
    other: Other | None
    faults: tuple[Fault, ...]
    recoveries: tuple[tuple[Fault, ...], ...]
    regret: bool

    def __str__(self) -> str:
        """Return it in one line."""
        order = "DATA_FIRST" if self.data_first else "CODE_FIRST"
        parts = [f"seed {self.seed}: {'staged' if self.staged else 'auto-assign'}, {order}, build {self.build:g} s"]
        parts += [f"alias {self.alias:g} s, a write every {self.pace:g} s"]
        switches = {"crons off": self.crons_off, "crons paused": self.pause_crons, "unwell": self.failing}
        switches |= {"built-in checks": self.built_in, "rolled back later": self.regret}
        parts += [name for name, on in switches.items() if on]
        parts += [f"others: {self.other}"] if self.other else []
        parts += [f"[{'; '.join(map(str, self.faults))}]"]
        parts += [f"then [{'; '.join(map(str, each))}]" for each in self.recoveries if each]
        return ", ".join(parts)


def drawn(seed: int) -> Scenario:
    """Draw a scenario."""
    rng = Random(seed)  # noqa: S311 - a seed must give the same scenario every time
    staged = rng.random() < 0.5
    return Scenario(
        seed=seed,
        staged=staged,
        data_first=staged and rng.random() < 0.5,
        build=rng.choice((0.5, 1.5, 4.0, 9.0)),
        alias=rng.choice((0.0, 0.1, 0.8, 2.5)),
        crons_off=rng.random() < 0.15,
        pause_crons=rng.random() < 0.3,
        failing=rng.random() < 0.35,
        built_in=rng.random() < 0.2,
        pace=rng.choice((0.7, 2.0, 6.0)),
        other=_other(rng) if rng.random() < 0.15 else None,
        faults=_pair(rng) if rng.random() < 0.3 else _faults(rng, _forward(rng), rng.choice((1, 1, 2, 3))),
        recoveries=tuple(_faults(rng, BACK, rng.choice((0, 1, 1, 2))) for _ in range(RECOVERIES)),
        regret=rng.random() < 0.3,
    )


Moment = tuple[str, str]

LOOKS: tuple[Moment, ...] = (("opened", ""), ("planned", ""), *(("look_done", step) for step in STEPS))
ACTS: tuple[Moment, ...] = tuple((event, step) for step in STEPS for event in ("begun", "begun", "done"))
BACK: tuple[Moment, ...] = (
    ("turned_back", ""), ("resumed", ""), ("recalled", ""), ("verified", ""), ("arrived", ""), ("started", ""),
    *((event, step) for step in CHANGES for event in ("undo_begun", "undo_begun", "undo_done")),
)  # fmt: skip


def _forward(rng: Random) -> tuple[Moment, ...]:
    return rng.choice((LOOKS, ACTS, ACTS, ACTS, ACTS, (*ACTS, *BACK), (*ACTS, *BACK)))


def _other(rng: Random) -> Other:
    event, step = rng.choice((*LOOKS, *ACTS, *ACTS, *BACK))
    return Other(rng.choice(OTHERS), event, step, rng.choice((0.0, 0.3, 2.0)))


def _faults(rng: Random, moments: Sequence[Moment], number: int) -> tuple[Fault, ...]:
    return tuple(_fault(rng, *rng.choice(moments)) for _ in range(number))


def _fault(rng: Random, event: str, step: str) -> Fault:
    if rng.random() < 0.3:
        kind = rng.choice(EVENTS)
        after = {"suspended": rng.choice((5.0, 60.0, 300.0)), "disk full": 0.0}
        return Fault(kind, event, step, seconds=after.get(kind, rng.choice((0.0, 0.0, 0.01, 0.1, 0.5, 2.0))))
    kind, writes = rng.choice(CALLS), rng.random() < 0.4
    skip, times = rng.choice((0, 0, 1) if writes else (0, 0, 1, 2, 3, 6)), rng.choice((1, 1, 2, 3, 8, 40))
    seconds = rng.choice((0.05, 0.4, 1.2))
    return Fault(kind, event, step, rng.choice(GATEWAYS), skip, times, seconds, writes=writes)


def _pair(rng: Random) -> tuple[Fault, ...]:
    """Make a change's own write slow or lose its answer, and stop the run meanwhile or soon after."""
    event, step = rng.choice(("begun", "begun", "undo_begun")), rng.choice(CHANGES)
    gateway = WRITES_TO[step]
    slow = rng.choice((0.4, 1.2, 8.0) if gateway == "database" else (0.4, 1.2))
    first = Fault(
        rng.choice(("delayed", "delayed", "lost")), event, step, gateway, rng.choice((0, 0, 1)), 1, slow, writes=True
    )
    stops = [Fault(rng.choice(("interrupted", "interrupted", "killed")), event, step, seconds=rng.choice(SOON))]
    if rng.random() < 0.3:
        stops.append(Fault("interrupted", "turned_back", seconds=rng.choice(SOON)))
    return (first, *stops)
