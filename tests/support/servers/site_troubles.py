"""Ways to make the app, or the proxy in front of it, answer badly."""

import json
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.site_body import BROKEN, UNAUTHORIZED, polled

LOGIN = "https://accounts.liveone.example/sign-in?redirect_url="
PAGE = "<!doctype html><title>LiveOne</title><p>Loading"
CHECKPOINT = "<!doctype html><title>Vercel Security Checkpoint</title><p>We're verifying your browser"
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


async def challenge(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer with the page of the firewall that only a browser passes."""
    return web.Response(status=429, text=CHECKPOINT, content_type="text/html")


async def limited(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer that there are too many requests, and when to come again."""
    return web.json_response({"error": "Too many requests"}, status=429, headers={"Retry-After": "3"})


async def starting(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Answer as the platform does while no function of the app has started."""
    return web.Response(status=503, text="FUNCTION_INVOCATION_TIMEOUT")


async def protected(request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Redirect to the login of Deployment Protection."""
    url = f"https://vercel.com/sso-api?url=https://{request.host}{request.path}"
    return web.Response(status=302, headers={"Location": url})


async def other_address(_request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Redirect to the site's own address with www in front."""
    return web.Response(status=308, headers={"Location": f"https://www.{_request.host}{_request.path}"})


async def cached(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer out of a cache that still has an error, unless the request goes past it."""
    if "_orchestrate" in request.query:
        return await handler(request)
    return web.json_response(BROKEN, status=500, headers={"x-vercel-cache": "HIT", "age": "33"})


async def cached_over_error(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer well out of a cache, while the app behind it fails."""
    if "_orchestrate" in request.query:
        return await server_error(request, handler)
    answer = await handler(request)
    answer.headers.update({"x-vercel-cache": "HIT", "age": "33"})
    return answer


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
