"""Ways to make the app, or the proxy in front of it, answer badly."""

import json
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.site_body import BROKEN, UNAUTHORIZED, polled

LOGIN = "https://accounts.liveone.example/sign-in?redirect_url="
PAGE = "<!doctype html><title>LiveOne</title><p>Loading"
OFFLINE = {"success": False, "error": "The vendor does not answer"}


async def server_error(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer with status 500."""
    return web.json_response(BROKEN, status=500)


async def web_page(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer with status 200 and an HTML page."""
    return web.Response(text=PAGE, content_type="text/html")


async def login(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Redirect to a login on another host."""
    return web.Response(status=307, headers={"Location": f"{LOGIN}https://{request.host}{request.path}"})


async def unauthorized(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer with status 401, although the key is valid."""
    return web.json_response(UNAUTHORIZED, status=401)


async def not_found(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer with status 404, as the app's middleware does, although the key is valid."""
    return web.Response(status=404, text=PAGE, content_type="text/html")


async def no_latest(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer /api/data with status 200 and empty data, like an app that finds no reading."""
    return await _changed(request, handler, lambda body: {**body, "latest": None, "historical": None})


async def no_systems(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer the cron with status 200 and no system, like an app that finds none to poll."""
    return web.json_response(polled([], {}))


async def failed_system(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the cron with status 200 although the first system could not be polled."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        first, *others = body["results"]
        return {**body, "results": [{**first, **OFFLINE}, *others]}

    return await _changed(request, handler, change)


async def _changed(
    request: web.Request, handler: Handler, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> web.StreamResponse:
    answer = cast("web.Response", await handler(request))
    return web.json_response(change(json.loads(answer.text or "")), status=answer.status)
