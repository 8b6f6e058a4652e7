"""The ways in which any server fails a request."""

import asyncio
import socket
import struct

from aiohttp import web
from aiohttp.typedefs import Handler

DRIP = 0.05  # seconds between two bytes

_LINGER = struct.pack("ii", 1, 0)  # on, no seconds: closing sends a reset


def reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection; the response returned is never sent."""
    if transport := request.transport:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        transport.abort()
    return web.Response()


async def drip(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Send 200 and a byte now and then, for ever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(DRIP)


async def hang(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    return web.Response()  # never


async def cut(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Reset the connection at once."""
    return reset(request)


async def lost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do what was asked, and reset the connection before the answer."""
    await handler(request)
    return reset(request)


async def garbage(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer 200 with what nobody asked for."""
    return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")
