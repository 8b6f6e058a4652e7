"""Vercel's REST API for the stand-in's project: authentication, and faults that precede every answer."""

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.faults import Kind, faulty, troubled
from steps.support.standin.vercel.deployments_api import DeploymentsApi
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.projects_api import ProjectsApi
from steps.support.standin.vercel.quirks import way
from steps.support.standin.vercel.state import ApiError, in_words, refusal


def application(platform: Platform) -> web.Application:
    """Build the API of a project."""
    door = _Door(platform)
    activation = faulty(platform.faults, ("activation",), door.refuse_activation)
    building = faulty(platform.faults, ("vercel_deployment",), door.refuse_activation, _concerns_builds)
    troubles = troubled(lambda _: platform.quirks.troubles, way)
    app = web.Application(middlewares=[activation, building, troubles, in_words, door.admitted])
    app.add_routes([*ProjectsApi(platform).routes(), *DeploymentsApi(platform).routes()])
    return app


def _concerns_builds(_request: web.Request, kind: Kind) -> bool:
    """Return True for faults that show in how builds end, not in the answers to requests."""
    return kind in ("fail", "hang")


class _Door:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @web.middleware
    async def admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, the team and the project before anything else."""
        self._platform.catch_up()
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError(401, "forbidden", "The request is missing an authentication token.")
        if token != self._platform.token:
            raise ApiError(403, "forbidden", "Not authorized: the token is not valid.")
        wanted = request.match_info.get("project", request.query.get("projectId", self._platform.id))
        if request.path != "/v2/user" and not (self._in_scope(request) and self._is_ours(wanted)):
            raise ApiError(404, "not_found", "Project not found.")
        return await handler(request)

    def _in_scope(self, request: web.Request) -> bool:
        team = request.match_info.get("team", request.query.get("teamId", request.query.get("slug")))
        return self._platform.team in (None, team)

    def _is_ours(self, project: str) -> bool:
        return project in (self._platform.id, self._platform.name)

    def refuse_activation(self, request: web.Request) -> web.StreamResponse | None:
        """Fail an activation: refuse any move; if none is needed, hide which deployment is live."""
        if request.method == "POST":
            return refusal(409, "conflict", "A rolling release or another promotion is in progress.")
        if request.path.startswith("/v4/aliases/") and self._platform.auto_assign:
            return refusal(500, "internal_server_error", "An unexpected internal error occurred.")
        return None
