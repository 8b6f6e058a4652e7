"""Vercel's REST API over the stand-in project, as far as the tool uses it."""

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin import vercel_project_shapes, vercel_shapes
from steps.support.standin.faults import Kind, faulty
from steps.support.standin.vercel import Platform
from steps.support.standin.vercel_errors import ApiError, in_words, refusal
from steps.support.standin.vercel_state import Deployment

ROWS = 20  # of a list, where no limit is asked for


def application(platform: Platform) -> web.Application:
    """Make the API of a project."""
    api = _Api(platform)
    activation = faulty(platform.faults, ("activation",), api.refused)
    building = faulty(platform.faults, ("vercel_deployment",), api.refused, _concerns_builds)
    app = web.Application(middlewares=[activation, building, in_words, api.admitted])
    app.add_routes(api.routes())
    return app


def _concerns_builds(_request: web.Request, kind: Kind) -> bool:
    """Exempt requests from what shows in how builds end instead."""
    return kind != "lost"


class _Api:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2/user", self.user),
            web.get("/v9/projects/{project}", self.project),
            web.patch("/v9/projects/{project}", self.change_project),
            web.get("/v10/projects/{project}/env", self.environment),
            web.get("/v1/projects/{project}/rolling-release", self.rolling_release),
            web.post("/v10/projects/{project}/{move:promote}/{deployment}", self.move),
            web.post("/{version:v1|v9}/projects/{project}/{move:rollback}/{deployment}", self.move),
            web.get("/{version:v6|v7}/deployments", self.listed),
            web.get("/v13/deployments/{deployment}", self.deployment),
            web.get("/v3/deployments/{deployment}/events", self.events),
            web.patch("/v12/deployments/{deployment}/cancel", self.cancel),
            web.get("/v4/aliases/{host}", self.alias),
        ]

    @web.middleware
    async def admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the token, the team and the project before anything else."""
        self._platform.catch_up()
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError(401, "forbidden", "The request is missing an authentication token.")
        if token != self._platform.token:
            raise ApiError(403, "forbidden", "Not authorized: the token is not valid.")
        asked = request.match_info.get("project", request.query.get("projectId", self._platform.id))
        if request.path != "/v2/user" and not (self._in_scope(request) and self._is_ours(asked)):
            raise ApiError(404, "not_found", "Project not found.")
        return await handler(request)

    def _in_scope(self, request: web.Request) -> bool:
        team = request.query.get("teamId", request.query.get("slug"))
        return self._platform.team in (None, team)

    def _is_ours(self, project: str) -> bool:
        return project in (self._platform.id, self._platform.name)

    def refused(self, request: web.Request) -> web.StreamResponse | None:
        """Fail an activation: no move begins; where none is needed, nobody learns what is live."""
        if request.method == "POST":
            return refusal(409, "conflict", "A rolling release or another promotion is in progress.")
        if request.path.startswith("/v4/aliases/") and self._platform.auto_assign:
            return refusal(500, "internal_server_error", "An unexpected internal error occurred.")
        return None

    async def user(self, _request: web.Request) -> web.Response:
        return web.json_response(vercel_project_shapes.user())

    async def project(self, _request: web.Request) -> web.Response:
        return web.json_response(vercel_project_shapes.project(self._platform))

    async def change_project(self, request: web.Request) -> web.Response:
        match await request.json():
            case {"autoAssignCustomDomains": bool(on), **others} if not others:
                self._platform.auto_assign = on
                return web.json_response(vercel_project_shapes.project(self._platform))
        raise ApiError(400, "bad_request", "Invalid request: only `autoAssignCustomDomains` can be changed here.")

    async def environment(self, _request: web.Request) -> web.Response:
        return web.json_response(vercel_project_shapes.environment(self._platform))

    async def rolling_release(self, _request: web.Request) -> web.Response:
        return web.json_response({"rollingRelease": None})

    async def move(self, request: web.Request) -> web.Response:
        self._platform.move(request.match_info["move"], request.match_info["deployment"])
        return web.Response(status=201)

    async def listed(self, request: web.Request) -> web.Response:
        limit, until = _number(request, "limit", ROWS), _number(request, "until", 0)
        rows = [each for each in self._platform.deployments if _asked_for(each, request)]
        rows = [each for each in rows if not until or each.created < until]
        return web.json_response(vercel_shapes.page(self._platform, rows[:limit], more=len(rows) > limit))

    async def deployment(self, request: web.Request) -> web.Response:
        return web.json_response(vercel_shapes.single(self._platform, self._found(request)))

    async def events(self, request: web.Request) -> web.Response:
        return web.json_response(vercel_shapes.events(self._found(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        canceled = self._platform.cancel(self._found(request).id)
        return web.json_response(vercel_shapes.single(self._platform, canceled))

    async def alias(self, request: web.Request) -> web.Response:
        if not self._platform.is_public(request.match_info["host"]):
            raise ApiError(404, "not_found", "The alias can't be found.")
        return web.json_response(vercel_project_shapes.alias(self._platform))

    def _found(self, request: web.Request) -> Deployment:
        return self._platform.find(request.match_info["deployment"])


def _asked_for(each: Deployment, request: web.Request) -> bool:
    """Apply the filters of a list."""
    target, sha, states = (request.query.get(name) for name in ("target", "sha", "state"))
    return (
        target in (None, "production") and sha in (None, each.sha) and (not states or each.state in states.split(","))
    )


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise ApiError(400, "bad_request", f"Invalid request: `{name}` should be a number.")
    return int(text)
