"""A clock for Python's own SQLite: every function that tells the time tells this one's."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

CONNECT = sqlite3.connect
NOW = ("now",)


class EngineClock:
    """Time in seconds since 1970; each new connection, and so each transaction, is a little later."""

    def __init__(self, began: float, step: float) -> None:
        self.now, self._step = began, step

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell this time in every connection that is opened meanwhile."""
        with patch("sqlite3.connect", self._connect):
            yield

    def _connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        self.now += self._step
        connection: sqlite3.Connection = CONNECT(*args, **options)
        for name, at in (
            ("unixepoch", 0),
            ("julianday", 0),
            ("datetime", 0),
            ("date", 0),
            ("time", 0),
            ("strftime", 1),
        ):
            connection.create_function(name, -1, self._asking(name, at), deterministic=False)
        for name, form in (("timestamp", "%Y-%m-%d %H:%M:%S"), ("date", "%Y-%m-%d"), ("time", "%H:%M:%S")):
            connection.create_function(f"current_{name}", 0, self._formatted(form))
        return connection

    def _formatted(self, form: str) -> Callable[[], str]:
        return lambda: datetime.fromtimestamp(self.now, UTC).strftime(form)

    def _asking(self, name: str, at: int) -> Callable[..., Any]:
        """Return the engine's own function, with this time in the place of now."""

        def ask(*given: Any) -> Any:
            args = [*given, *(NOW if len(given) == at else ())]
            args[at] = 2440587.5 + self.now / 86400.0 if args[at] == "now" else args[at]
            with closing(CONNECT(":memory:")) as connection:
                return connection.execute(f"SELECT {name}({', '.join('?' * len(args))})", args).fetchone()[0]

        return ask
