"""Faults between the tool and the world: at a call of a gateway, or at an event of the journal."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

import httpx
from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.core.errors import NotSent, Rejected, Unknown
from steps.support.gateways.database.protocol import Rows
from steps.support.sql.statement import Statement
from steps.support.standin import faults
from steps.support.standin.vercel.state import refusal
from tests.campaign.process import Life, call_later, outlasting
from tests.support.virtual.database import ADDRESS, MemoryDatabase
from tests.support.virtual.git import ADDRESS as REMOTE
from tests.support.virtual.git import MemoryGit
from tests.support.virtual.loop import VirtualLoop
from tests.support.virtual.network import Network, Wire

Result = TypeVar("Result")
Event = Mapping[str, Any]

GATEWAYS = ("git", "vercel", "database", "site")
CALLS = (
    "refused", "denied", "delayed", "hanging", "dripping", "reset", "unreachable", "lost", "garbage",
    "killed before", "killed amid", "killed after",
)  # fmt: skip
EVENTS = ("interrupted", "suspended", "disk full", "killed")
LOOK = "Look."


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, which starts at an event of the journal.

    With a gateway, it breaks `times` of its calls, after `skip` of them (`writes`: only calls that change something);
    without one, it strikes at the event itself, or `seconds` after it. `seconds` is also the length of a delay or a suspend.
    """

    kind: str
    event: str
    step: str = ""
    gateway: str = ""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    writes: bool = False

    def __str__(self) -> str:
        """Return a short description."""
        when = f"{self.event} {self.step}".strip()
        if not self.gateway:
            return f"{self.kind} {self.seconds:g} s after {when}" if self.seconds else f"{self.kind} at {when}"
        how = f"{self.kind} {self.seconds:g} s" if self.kind in ("delayed", "killed amid") else self.kind
        what = "write" if self.writes else "call"
        return f"{self.gateway} {how} x{self.times} from {what} {self.skip + 1} after {when}"


@dataclass
class Line:
    """The connection between one process of the tool and the world."""

    life: Life
    planned: list[Fault]
    fill: Callable[[], None] = lambda: None
    armed: list[list[Any]] = field(default_factory=list)  # fault, calls to skip, calls to break
    struck: Counter[str] = field(default_factory=Counter)
    suspended_seconds: float = 0.0
    filled: bool = False

    def note(self, event: Event) -> None:
        """Note an event of the journal; start the faults planned for it."""
        for fault in [each for each in self.planned if self._is_due(each, event)]:
            self.planned.remove(fault)
            if fault.gateway:
                self.armed.append([fault, fault.skip, fault.times])
            elif fault.seconds and fault.kind != "suspended":
                call_later(fault.seconds, partial(self._strike, fault))
            else:
                self._strike(fault)

    def _is_due(self, fault: Fault, event: Event) -> bool:
        return fault.event == event["event"] and fault.step in ("", event.get("step", ""))

    def _strike(self, fault: Fault) -> None:
        if self.life.dead:
            return
        self.struck[fault.kind] += 1
        loop = asyncio.get_running_loop()
        if fault.kind == "killed":
            self.life.die()
        elif fault.kind == "suspended" and isinstance(loop, VirtualLoop):
            self.suspended_seconds += fault.seconds
            loop.sleep_through(fault.seconds)
        elif fault.kind == "disk full":
            self.filled = True
            self.fill()
        elif self.life.listens:
            signal.raise_signal(signal.SIGINT)

    def next_fault(self, gateway: str, *, writes: bool) -> Fault | None:
        """Count a call; return the fault that breaks it, or None."""
        hit = None
        for each in self.armed:
            fault, skip, _ = each
            if fault.gateway != gateway or (fault.writes and not writes):
                continue
            if skip:
                each[1] -= 1
            elif hit is None and each[2]:
                each[2] -= 1
                hit = fault
        if hit:
            self.struck[f"{gateway} {hit.kind}"] += 1
        return hit

    async def through(
        self, gateway: str, subject: str, call: Callable[[], Coroutine[Any, Any, Result]], *, writes: bool = False
    ) -> Result:
        """Carry out a call that does not use HTTP."""
        await self.life.wait_if_dead()
        fault = self.next_fault(gateway, writes=writes)
        kind = fault.kind if fault else ""
        if fault is None:
            return await call()
        if kind in ("hanging", "dripping"):
            await asyncio.Event().wait()
        if kind == "killed before":
            self.life.die()
            await self.life.wait_if_dead()
        if kind in REASONS:
            problem, cause = REASONS[kind]
            raise problem(code="connection", operation="asking", subject=subject, cause=cause, remedy=LOOK)
        done = outlasting(_after(fault.seconds if kind in ("delayed", "killed amid") else 0.0, call))
        if kind == "killed amid":
            self.life.die()
        answer = await asyncio.shield(done)
        if kind == "killed after":
            self.life.die()
        await self.life.wait_if_dead()
        if kind == "lost":
            raise Unknown(
                code="connection",
                operation="reading the answer of",
                subject=subject,
                cause="the connection was reset",
                remedy=LOOK,
            )
        return answer


REASONS: dict[str, tuple[type[NotSent | Rejected | Unknown], str]] = {
    "refused": (Unknown, "it answered 500"),
    "denied": (Rejected, "it refused"),
    "reset": (Unknown, "the connection was reset"),
    "unreachable": (NotSent, "no connection"),
    "garbage": (Unknown, "its answer has an unknown format"),
}


async def _after(seconds: float, call: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    await asyncio.sleep(seconds)
    return await call()


class BrokenDatabase:
    """The database, as the tool reaches it."""

    def __init__(self, inner: MemoryDatabase, line: Line) -> None:
        self._inner, self._line = inner, line
        self.address = ADDRESS

    async def query(self, statement: Statement) -> Rows:
        """Run one statement, subject to faults; see Database."""
        return await self._line.through("database", ADDRESS, lambda: self._inner.query(statement))

    async def transaction(self, statements: Sequence[Statement]) -> tuple[Rows, ...]:
        """Run a transaction, subject to faults; see Database."""
        return await self._line.through("database", ADDRESS, lambda: self._inner.transaction(statements), writes=True)

    async def trials(self, several: Sequence[Sequence[Statement]], *, keep: bool = False) -> tuple[str | None, ...]:
        """Run groups of statements, subject to faults; see Database."""
        return await self._line.through("database", ADDRESS, lambda: self._inner.trials(several, keep=keep))

    async def parse(self, statements: Sequence[Statement]) -> tuple[str | None, ...]:
        """Have statements explained, subject to faults; see Database."""
        return await self._line.through("database", ADDRESS, lambda: self._inner.parse(statements))

    def moment(self) -> None:
        """Return None: it is never copied."""

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class BrokenGit(MemoryGit):
    """The remote, as the tool reaches it."""

    line: Line

    async def remote_head(self) -> str:
        """Return the tip of the remote branch, subject to faults; see Git."""
        return await self.line.through("git", REMOTE, lambda: MemoryGit.remote_head(self))

    async def fetch(self) -> str:
        """Fetch the branch's commits, subject to faults; see Git."""
        return await self.line.through("git", REMOTE, lambda: MemoryGit.fetch(self))

    async def push(self, sha: str, *, rehearse: bool = False, hooks: bool = True) -> None:
        """Move the remote branch, subject to faults; see Git."""
        pushed = partial(MemoryGit.push, self, sha, rehearse=rehearse, hooks=hooks)
        await self.line.through("git", REMOTE, pushed, writes=not rehearse)


class BrokenNetwork(Network):
    """HTTP as the tool reaches it: each request carries its fault, which is chosen when it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: dict[str, tuple[Fault, Line]] = {}
        self.marks = count()

    @asynccontextmanager
    async def serve(self, app: web.Application) -> Any:
        """Serve an application that may misbehave."""
        app.middlewares.insert(0, self._misbehave)
        async with super().serve(app) as url:
            yield url

    def way(self, gateway: str, line: Line) -> "Way":
        """Return the transport of one gateway's client in one process."""
        return Way(self, gateway, line)

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault, line = self.faults.pop(request.headers.get("x-fault", ""), (None, None))
        if fault is None or line is None:
            return await handler(request)
        if fault.kind in WAYS:
            return await WAYS[fault.kind](request, handler)
        await request.read()
        late = fault.seconds if fault.kind in ("delayed", "killed amid") else 0.0
        done = outlasting(_after(late, lambda: _handled(request, handler)))
        if fault.kind == "killed amid":
            line.life.die()
        response = await asyncio.shield(done)
        if fault.kind == "killed after":
            line.life.die()
        return response


async def _handled(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await handler(request)


async def _no(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    return refusal(500, "internal_server_error", "An unexpected internal error occurred.")


async def _denied(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    return refusal(403, "forbidden", "Not authorized.")


WAYS: dict[str, Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]] = {
    "refused": _no, "denied": _denied, "hanging": faults.hang, "dripping": faults.drip, "reset": faults.cut,
    "lost": faults.lost, "garbage": faults.garbage,
}  # fmt: skip


class Way(httpx.AsyncBaseTransport):
    """The transport of one process's requests to one server."""

    def __init__(self, network: BrokenNetwork, gateway: str, line: Line) -> None:
        self._network, self._gateway, self._line = network, gateway, line
        self._inner = _Wired(network, line.life).transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, unless its sender is dead."""
        await self._line.life.wait_if_dead()
        fault = self._line.next_fault(self._gateway, writes=request.method != "GET")
        if fault and fault.kind == "unreachable":
            raise httpx.ConnectError("All connection attempts failed", request=request)
        if fault and fault.kind == "killed before":
            self._line.life.die()
            await self._line.life.wait_if_dead()
        if fault:
            request.headers["x-fault"] = mark = f"{fault.kind} {next(self._network.marks)}"
            self._network.faults[mark] = fault, self._line
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Wired(Network):
    """A network whose connections belong to a process, which hangs them up when it dies."""

    def __init__(self, network: Network, life: Life) -> None:
        super().__init__()
        self._network, self._life = network, life

    def connect(self, host: str, port: int) -> Wire:
        """Open a connection, and register it with the process."""
        wire = self._network.connect(host, port)
        self._life.held.append(wire.hang_up)
        return wire
