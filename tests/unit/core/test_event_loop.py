"""The one clock, and the event loop that runs by it."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from steps.support.core import event_loop


def test_hung_dns_does_not_delay_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty lookups that never end delay neither the loop's other threads nor the end of the process."""
    asked, let_go, real = list[str](), threading.Event(), socket.getaddrinfo

    def hanging(host: str, *words: Any, **how: Any) -> Any:
        if host != "hangs.example":
            return real(host, *words, **how)
        asked.append(host)
        let_go.wait()
        raise socket.gaierror(-3, "too late")

    async def scenario() -> str:
        loop = asyncio.get_running_loop()
        lookups = [asyncio.ensure_future(loop.getaddrinfo("hangs.example", 80)) for _ in range(20)]
        await asyncio.sleep(0)
        found = await asyncio.to_thread(lambda: "another thread ran")
        assert await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        assert event_loop.run(scenario()) == "another thread ran"
        assert asked
    finally:
        let_go.set()


def test_lookup_returns_what_the_resolver_answers() -> None:
    """A resolver's answer or error reaches the caller."""

    async def scenario() -> None:
        with pytest.raises(socket.gaierror):
            await asyncio.get_running_loop().getaddrinfo("no such host.invalid", 80)

    event_loop.run(scenario())
