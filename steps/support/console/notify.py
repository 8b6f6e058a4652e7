"""Notify people through apprise when the clock starts and when the run ends, without delaying the run.

apprise is imported only if there is an address, and in the thread that sends. Any failure becomes one warning.
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

LAST = 5.0  # seconds that the end of a run waits for messages that are being sent
SHOWN = 500  # characters of a cause or a next action
SPEAKING = ("apprise", "requests", "urllib3", "requests_oauthlib")  # loggers whose lines may contain an address
URGENCY = {"needs_human": "failure", "rolled_back": "warning", "refused": "warning"}  # any other verdict is a success

REFUSED = "not every message was accepted"
UNKNOWN = "apprise knows no such address"
MISSING = "apprise is not installed: uv sync --extra notify"
SILENT = f"no answer within {LAST:g} s"


@dataclass(frozen=True, slots=True)
class Message:
    """A message with a body of one line. `kind`: a type of apprise: info, success, warning or failure (urgent)."""

    title: str
    body: str
    kind: str


class Notifier:
    """A journal listener that notifies every address. Each address has its own thread, so none waits for another."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._services = [_Service(address) for address in addresses]

    def __call__(self, event: Event, run: RunState) -> None:
        """Notify of the first start of the clock and of the end of the run."""
        if not self._services:
            return
        if isinstance(event, Started) and len(run.clocks) == 1:
            self._send(started_message(run.opened, event))
        elif isinstance(event, Ended):
            self._send(ended_message(run.opened, event))

    def close(self) -> None:
        """Wait at most LAST seconds for messages that are being sent, then write one warning about all that failed."""
        for service in self._services:
            service.finish()
        end = monotonic() + LAST
        troubles = [service.trouble(max(0.0, end - monotonic())) for service in self._services]
        failures = [f"{number} of {len(troubles)}: {trouble}" for number, trouble in enumerate(troubles, 1) if trouble]
        if failures:
            with suppress(OSError, ValueError):  # the reader of stderr may be gone
                sys.stderr.write(f"warning: notifying, address {'; '.join(failures)}\n")

    def _send(self, message: Message) -> None:
        for service in self._services:
            service.queue(message)


def started_message(opened: Opened, event: Started) -> Message:
    """Return the message that says that the clock has started."""
    doing = "release to" if opened.mode == "prod" else f"{opened.mode} of {opened.of} in"
    body = f"run {opened.run}: {doing} {opened.target}, within {event.total:g} s"
    return Message(printable(f"STARTED: {opened.change['name']}"), printable(body), "info")


def ended_message(opened: Opened, event: Ended) -> Message:
    """Return the message about the end of a run: verdict, run, cause, next action, and the section of the runbook."""
    report = event.report
    mode, verdict = report["mode"], report["verdict"]
    _, words = headline(report)
    facts = {
        "": f"{verdict}, run {report['run_id']}",
        "still there: ": "; ".join(report["remains"]),
        "to follow up: ": "; ".join(each["what"] for each in report.get("follow_ups") or ()),
        "cause: ": report["cause"],
        "next: ": report["next_action"],
        "see ": report["runbook"],
    }
    body = " | ".join(f"{name}{_cut(str(fact))}" for name, fact in facts.items() if fact)
    kind = "success" if (mode, verdict) == ("rollback", "rolled_back") else URGENCY.get(verdict, "success")
    return Message(printable(f"{words.partition(':')[0]}: {opened.change['name']}"), body, kind)


def _cut(text: str) -> str:
    return cut(printable(" ".join(text.split())), SHOWN)


class _Service:
    """One address, and the thread that sends messages to it one by one. None of its texts shows the address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._trouble = ""
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, daemon=True)  # it does not delay the end of the process
        self._thread.start()

    def queue(self, message: Message) -> None:
        """Queue a message for sending."""
        self._messages.put(message)

    def finish(self) -> None:
        """Mark the end of the messages."""
        self._messages.put(None)

    def trouble(self, seconds: float) -> str:
        """Wait at most `seconds` until everything is sent. Return what went wrong, or an empty string."""
        self._thread.join(seconds)
        return SILENT if self._thread.is_alive() else self._trouble

    def _send(self) -> None:
        try:
            service = _open(self._address)
            if not len(service):
                self._trouble = UNKNOWN
                return
            while message := self._messages.get():
                sent = service.notify(message.body, message.title, message.kind, body_format="text")
                self._trouble = self._trouble if sent else REFUSED
        except ImportError:
            self._trouble = MISSING
        except BaseException as error:  # noqa: BLE001 - a thread's traceback could show the address
            self._trouble = type(error).__name__


def _open(address: str) -> Any:
    """Return apprise with this one address.

    Apprise then sends in the calling thread, because another thread could delay the exit of the process.
    """
    for name in SPEAKING:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - an extra, and slow

    apprise = Apprise(asset=AppriseAsset(app_id="orchestrate", async_mode=False, service_timeout=0))
    apprise.add([address])
    for service in apprise:
        service.request_rate_per_sec = 0  # apprise would delay the second message, perhaps beyond the end of the run
    return apprise
