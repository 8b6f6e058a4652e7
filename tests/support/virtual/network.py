"""HTTP without sockets: httpx on one side, aiohttp on the other, and the bytes between them passed on in memory.

Both sides are the real libraries, down to the protocol; only the wire is not. It takes no time, so it works on a clock
that jumps.
"""

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import Context
from importlib.util import find_spec
from itertools import count
from typing import Any

import httpcore
import httpx
from aiohttp import web

from steps.support.standin.servers import runner_of
from steps.support.standin.world import HOST

if find_spec("sniffio") is None:  # httpcore searches every import folder for it at each request
    sys.modules["sniffio"] = None  # type: ignore[assignment]


OF_THE_API = re.compile(r"/v\d+/")


class Network:
    """Served applications, each on its own port; clients reach them through `transport`."""

    def __init__(self) -> None:
        self.latency = 0.0  # seconds that each request to the platform's API takes on the way
        self._ports = count(1)
        self._servers: dict[tuple[str, int], web.Server] = {}

    @asynccontextmanager
    async def serve(self, app: web.Application) -> AsyncIterator[str]:
        """Serve `app` as the stand-ins are served on loopback; yield its base URL."""
        runner, place = runner_of(app), (HOST, next(self._ports))
        await runner.setup()
        assert runner.server
        self._servers[place] = runner.server
        try:
            yield f"http://{HOST}:{place[1]}"
        finally:
            del self._servers[place]
            await runner.cleanup()

    def transport(self) -> httpx.AsyncHTTPTransport:
        """Return a transport for httpx clients."""
        return _Transport(self)

    def connect(self, host: str, port: int) -> "Wire":
        """Open a connection. Raise httpcore.ConnectError if no application is served there."""
        if server := self._servers.get((host, port)):
            return Wire(server())
        raise httpcore.ConnectError("All connection attempts failed")


class _Transport(httpx.AsyncHTTPTransport):
    def __init__(self, network: Network) -> None:
        super().__init__(verify=False, trust_env=False)
        self._network = network
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=100, max_keepalive_connections=20, network_backend=_Backend(network)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; one to the platform's API takes a while."""
        if OF_THE_API.match(request.url.path):
            await asyncio.sleep(self._network.latency)
        return await super().handle_async_request(request)


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, network: Network) -> None:
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(self._network.connect(host, port))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """The client's end of a wire."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as above
        try:
            async with asyncio.timeout(timeout):
                return await self._wire.received(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        self._wire.send(buffer)

    async def aclose(self) -> None:
        self._wire.hang_up()

    def get_extra_info(self, info: str) -> Any:
        return self._wire.readable if info == "is_readable" else None


class _Socket:
    """The server's substitute for a socket: it records whether closing should send a reset."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.resets = False

    def setsockopt(self, _level: int, option: int, _value: object) -> None:
        self.resets = self.resets or option == socket.SO_LINGER


class Wire(asyncio.Transport):
    """One connection: a transport for the server's protocol, with the client's operations at the other end."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._socket = _Socket()
        super().__init__({"socket": self._socket, "peername": (HOST, 0), "sockname": (HOST, 0)})
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._sent = bytearray()  # by the server, and not yet read
        self._news = asyncio.Event()
        self._closing = False
        self._context = Context()  # the server must not inherit the client's context variables
        self._context.run(protocol.connection_made, self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data to the client."""
        if not self._closing:
            self._sent += data
            self._news.set()

    def close(self) -> None:
        """Close in good order: the client reads what was sent, and then the end."""
        self._socket.resets = False
        self._lose()

    def abort(self) -> None:
        """Close at once; the client sees a reset if the socket was set to send one."""
        self._lose()

    def is_closing(self) -> bool:
        """Return True if it is closed, or about to be."""
        return self._closing

    def send(self, data: bytes) -> None:
        """Send data to the server; data sent after the connection has closed is lost."""
        if not self._closing:
            self._context.run(self._protocol.data_received, data)

    async def received(self, most: int) -> bytes:
        """Return data from the server, at most so many bytes; empty at the end. Raise httpcore.ReadError after a reset."""
        while not self.readable:
            self._news.clear()
            await self._news.wait()
        if self._sent:
            data = bytes(self._sent[:most])
            del self._sent[:most]
            return data
        if self._socket.resets:
            raise httpcore.ReadError
        return b""

    @property
    def readable(self) -> bool:
        """Return True if there is something to read, including the end."""
        return bool(self._sent) or self._closing

    def hang_up(self) -> None:
        """Close the client's end."""
        self._lose()

    def _lose(self) -> None:
        if not self._closing:
            self._closing = True
            self._news.set()
            self._loop.call_soon(self._protocol.connection_lost, None, context=self._context)
