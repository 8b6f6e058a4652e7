"""Notifications through apprise: people elsewhere are told when the clock starts and how the run ended; nobody waits.

apprise is imported only where there is an address, and in the thread that sends. Whatever goes wrong is one warning.
"""

import logging
import queue
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from steps.support.console.printer import cut
from steps.support.console.summary import headline
from steps.support.core.events import Ended, Event, Opened, Started
from steps.support.core.run_state import RunState
from steps.support.core.text import printable

LAST = 5.0  # seconds that the end waits for what is under way
SHOWN = 500  # characters of a cause or of what is to be done next
SPEAKING = ("apprise", "requests", "urllib3", "requests_oauthlib")  # loggers that may name an address
URGENCY = {"needs_human": "failure", "rolled_back": "warning", "refused": "warning"}  # else all is well

REFUSED = "not every message was taken"
UNKNOWN = "apprise knows no such address"
MISSING = "apprise is not installed: uv sync --extra notify"
SILENT = f"no answer within {LAST:g} s"


@dataclass(frozen=True, slots=True)
class Message:
    """What is told, on one line; `kind` is apprise's: info, success, warning or failure, which is urgent."""

    title: str
    body: str
    kind: str


class Notifier:
    """A journal listener that notifies every address; each has a thread of its own, so that none waits for another."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._services = [_Service(address) for address in addresses]

    def __call__(self, event: Event, run: RunState) -> None:
        """Tell of the start of the clock, once, and of the end."""
        if not self._services:
            return
        if isinstance(event, Started) and len(run.clocks) == 1:
            self._tell(started_message(run.opened, event))
        elif isinstance(event, Ended):
            self._tell(ended_message(run.opened, event))

    def close(self) -> None:
        """Let what is under way go out, but not for long; say once what did not."""
        for service in self._services:
            service.finish()
        end = monotonic() + LAST
        troubles = [service.trouble(max(0.0, end - monotonic())) for service in self._services]
        told = [f"{number} of {len(troubles)}: {trouble}" for number, trouble in enumerate(troubles, 1) if trouble]
        if told:
            with suppress(OSError, ValueError):  # whoever would read it may be gone
                sys.stderr.write(f"warning: notifying, address {'; '.join(told)}\n")

    def _tell(self, message: Message) -> None:
        for service in self._services:
            service.tell(message)


def started_message(opened: Opened, event: Started) -> Message:
    """Tell of a clock that has started."""
    doing = "release to" if opened.mode == "prod" else f"{opened.mode} of {opened.of} in"
    body = f"run {opened.run}: {doing} {opened.target}, within {event.total:g} s"
    return Message(printable(f"STARTED: {opened.change['name']}"), printable(body), "info")


def ended_message(opened: Opened, event: Ended) -> Message:
    """Tell of an end: verdict, run, cause, what is to be done next, and where the runbook tells of it."""
    report = event.report
    mode, verdict = report["mode"], report["verdict"]
    _, words = headline(report)
    told = {
        "": f"{verdict}, run {report['run_id']}",
        "still there: ": "; ".join(report["remains"]),
        "cause: ": report["cause"],
        "next: ": report["next_action"],
        "see ": report["runbook"],
    }
    body = " | ".join(f"{name}{_cut(str(said))}" for name, said in told.items() if said)
    kind = "success" if (mode, verdict) == ("rollback", "rolled_back") else URGENCY.get(verdict, "success")
    return Message(printable(f"{words.partition(':')[0]}: {opened.change['name']}"), body, kind)


def _cut(text: str) -> str:
    return cut(printable(" ".join(text.split())), SHOWN)


class _Service:
    """One address, and the thread that sends to it, one message after the other. No text of it shows the address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._trouble = ""
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, daemon=True)  # the process ends without it
        self._thread.start()

    def tell(self, message: Message) -> None:
        """Have a message sent."""
        self._messages.put(message)

    def finish(self) -> None:
        """There will be no more."""
        self._messages.put(None)

    def trouble(self, seconds: float) -> str:
        """Wait at most so many seconds until everything is sent; gives what went wrong, empty for nothing."""
        self._thread.join(seconds)
        return SILENT if self._thread.is_alive() else self._trouble

    def _send(self) -> None:
        try:
            service = _opened(self._address)
            if not len(service):
                self._trouble = UNKNOWN
                return
            while message := self._messages.get():
                sent = service.notify(message.body, message.title, message.kind, body_format="text")
                self._trouble = self._trouble if sent else REFUSED
        except ImportError:
            self._trouble = MISSING
        except BaseException as error:  # noqa: BLE001 - of a thread, a traceback would show what must not be shown
            self._trouble = type(error).__name__


def _opened(address: str) -> Any:
    """Give apprise with this one address. It sends in the calling thread: one of its own would hold up our exit."""
    for name in SPEAKING:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - an extra, and slow

    opened = Apprise(asset=AppriseAsset(app_id="orchestrate", async_mode=False, service_timeout=0))
    opened.add([address])
    for service in opened:
        service.request_rate_per_sec = 0  # the second of two messages need not wait until the run is over
    return opened
