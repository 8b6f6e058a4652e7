"""Choose the deployment that answers: the live one on the public host, or the one whose own host was requested."""

from collections.abc import MutableMapping
from hmac import compare_digest
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from steps.support.standin.site import ASKED
from steps.support.standin.vercel.project import Project
from steps.support.standin.vercel.quirks import Protection, Stickiness
from steps.support.standin.vercel.state import ApiError, Deployment, State

BYPASS = "x-vercel-protection-bypass"  # a header, or a query parameter
LOGIN = "https://vercel.com/sso-api?url="
SKEW = "__vdpl"  # the cookie of Skew Protection

Kept = MutableMapping[object, str]  # connection -> the id of the deployment that keeps answering it


def routed(project: Project) -> Middleware:
    """Return middleware that chooses the deployment by the Host header: the live one, or the one that has this host."""
    kept: Kept = WeakKeyDictionary()

    @web.middleware
    async def route(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host.partition(":")[0]
        if project.is_public(host):
            return await _public(project, kept, request, handler)
        deployment = _found(project, host)
        if refused := _refused(project, deployment, request):
            return refused
        request[ASKED] = deployment.code
        return await handler(request)

    return route


async def _public(project: Project, kept: Kept, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with the live deployment, or with the one that answered this visitor before."""
    stickiness = project.quirks.stickiness
    ready = {each.id: each for each in project.deployments if each.state == State.READY}
    live = str(project.served)
    if stickiness is Stickiness.NONE or live not in ready:
        return await handler(request)
    by_cookie = stickiness is Stickiness.COOKIE
    wanted = request.cookies.get(SKEW, live) if by_cookie else kept.setdefault(request.transport, live)
    serving = ready.get(wanted, ready[live])
    request[ASKED] = serving.code
    response = await handler(request)
    if by_cookie:
        response.set_cookie(SKEW, serving.id, httponly=True)
    return response


def _found(project: Project, host: str) -> Deployment:
    try:
        return project.find(host)
    except ApiError:
        raise web.HTTPNotFound(text="DEPLOYMENT_NOT_FOUND\n") from None


def _refused(project: Project, deployment: Deployment, request: web.Request) -> web.Response | None:
    if not _may_see(project, request):
        return _stopped(project.quirks.protection, request)
    if deployment.state != State.READY:
        return web.Response(status=404, text="DEPLOYMENT_NOT_READY\n")
    return None


def _may_see(project: Project, request: web.Request) -> bool:
    secret = request.headers.get(BYPASS, request.query.get(BYPASS, ""))
    bypassed = bool(project.bypass) and compare_digest(secret.encode(), project.bypass.encode())
    return bypassed or project.quirks.protection is Protection.OFF


def _stopped(protection: Protection, request: web.Request) -> web.Response:
    if protection is Protection.LOGIN:
        return web.Response(status=302, headers={"Location": f"{LOGIN}https://{request.host}{request.path}"})
    return web.Response(status=401, text="<!doctype html><title>Authentication Required</title>")
