"""Vercel's REST API for the project of the stand-in: deployments, the project, authentication, and faults."""

from aiohttp import web
from aiohttp.typedefs import Handler

from steps.support.standin.faults import Kind, faulty, troubled
from steps.support.standin.vercel import project_shapes, shapes
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.quirks import Listing, way
from steps.support.standin.vercel.state import ApiError, Deployment, in_words, refusal


class ProjectsApi:
    """Answers requests about one project."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that are served here. Some have several versions, because the official clients differ."""
        project = "/{version:v1|v9}/projects/{project}"
        return [
            web.get("/v2/user", self.user),
            web.get("/v5/user/tokens/current", self.token),
            web.get("/v1/env", self.shared_environment),
            web.get("/teams/{team}", self.team),
            web.get("/v2/teams/{team}", self.team),
            web.get("/v9/projects/{project}", self.project),
            web.patch("/v9/projects/{project}", self.change_project),
            web.patch("/v1/projects/{project}/crons", self.switch_crons),
            web.get("/{version:v9|v10}/projects/{project}/env", self.environment),
            web.get("/v1/projects/{project}/rolling-release", self.rolling_release),
            web.post("/{version:v9|v10}/projects/{project}/{move:promote}/{deployment}", self.move),
            web.post(f"{project}/{{move:rollback}}/{{deployment}}", self.move),
            web.get(f"{project}/{{move:promote|rollback}}/aliases", self.moved_aliases),
            web.get("/v4/aliases/{host}", self.alias),
        ]

    async def user(self, _request: web.Request) -> web.Response:
        """Return the user that the token belongs to."""
        return web.json_response(project_shapes.user(self._platform))

    async def token(self, _request: web.Request) -> web.Response:
        """Return the token."""
        return web.json_response(project_shapes.token(self._platform))

    async def shared_environment(self, _request: web.Request) -> web.Response:
        """Return the team's shared variables."""
        return web.json_response(project_shapes.shared_environment(self._platform))

    async def team(self, _request: web.Request) -> web.Response:
        """Return the team, or status 404 if the project belongs to none."""
        if self._platform.team is None:
            raise ApiError(404, "not_found", "Team not found.")
        return web.json_response(project_shapes.team(self._platform))

    async def project(self, _request: web.Request) -> web.Response:
        """Return the project's state."""
        return web.json_response(project_shapes.project(self._platform))

    async def change_project(self, request: web.Request) -> web.Response:
        """Switch auto-assign on or off, which unpins or pins the project."""
        match await request.json():
            case {"autoAssignCustomDomains": bool(on), **others} if not others:
                self._platform.auto_assign = on
                return await self.project(request)
        raise ApiError(400, "bad_request", "Invalid request: only `autoAssignCustomDomains` can be changed here.")

    async def switch_crons(self, request: web.Request) -> web.Response:
        """Switch the crons on or off."""
        match await request.json():
            case {"enabled": bool(on), **others} if not others:
                self._platform.switch_crons(on=on)
                return await self.project(request)
        raise ApiError(400, "bad_request", "Invalid request: `enabled` should be a boolean.")

    async def environment(self, _request: web.Request) -> web.Response:
        """Return every variable, whichever environment was requested."""
        return web.json_response(project_shapes.environment(self._platform))

    async def rolling_release(self, _request: web.Request) -> web.Response:
        """Return the active rolling release, if there is one."""
        return web.json_response(project_shapes.rolling_release(self._platform))

    async def move(self, request: web.Request) -> web.Response:
        """Promote or roll back. Status 201 means that this has started, and 202 that it is queued."""
        begun = self._platform.move(request.match_info["move"], request.match_info["deployment"])
        return web.Response(status=201 if begun else 202)

    async def moved_aliases(self, request: web.Request) -> web.Response:
        """Return the progress of the aliases; in v9, in the format that the official CLI reads."""
        failed_only, nested = request.query.get("failedOnly") == "true", request.match_info["version"] == "v9"
        kind = request.match_info["move"]
        shown = project_shapes.moved_aliases(self._platform, kind, failed_only=failed_only, nested=nested)
        return web.json_response(shown)

    async def alias(self, request: web.Request) -> web.Response:
        """Return what the public host serves."""
        if request.match_info["host"] != project_shapes.ALIAS and not self._is_public(request):
            raise ApiError(404, "not_found", "The alias can't be found.")
        return web.json_response(project_shapes.alias(self._platform))

    def _is_public(self, request: web.Request) -> bool:
        host, public = request.match_info["host"], self._platform.host.partition(":")[0]
        if self._platform.quirks.wildcard:
            return host == f"*.{public.partition('.')[2]}"
        return self._platform.is_public(host)


ROWS = 20  # of a list, if no limit is requested


class DeploymentsApi:
    """Answers requests about the deployments of one project."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that are served here."""
        return [
            web.get("/{version:v6|v7}/deployments", self.listed),
            web.get("/v13/deployments/{deployment}", self.deployment),
            web.get("/{version:v2|v3}/deployments/{deployment}/events", self.events),
            web.get("/v11/deployments/{deployment}/builds", self.builds),
            web.get("/v2/deployments/{deployment}/check-runs", self.check_runs),
            web.get("/v2/deployments/{deployment}/aliases", self.aliases),
            web.patch("/v12/deployments/{deployment}/cancel", self.cancel),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """Return one page of the list of deployments."""
        limit, until = _number(request, "limit", ROWS), _number(request, "until", 0)
        rows = [each for each in self._rows(request) if not until or each.created < until]
        return web.json_response(shapes.page(self._platform, rows[:limit], more=len(rows) > limit))

    def _rows(self, request: web.Request) -> list[Deployment]:
        rows, listing = self._platform.deployments, self._platform.quirks.listing
        if listing is Listing.HONEST:
            return [each for each in rows if _asked_for(each, self._platform, request)]
        return sorted(rows, key=self._is_not_live) if listing is Listing.OLD_FIRST else rows

    def _is_not_live(self, each: Deployment) -> bool:
        return each.id != self._platform.production

    async def deployment(self, request: web.Request) -> web.Response:
        """Return the requested deployment."""
        return web.json_response(shapes.single(self._platform, self._found(request)))

    async def events(self, request: web.Request) -> web.Response:
        """Return a build's log."""
        return web.json_response(shapes.events(self._found(request)))

    async def check_runs(self, request: web.Request) -> web.Response:
        """Return the checks of a deployment."""
        return web.json_response(shapes.check_runs(self._platform, self._found(request)))

    async def builds(self, request: web.Request) -> web.Response:
        """Return the builds of a deployment."""
        return web.json_response(shapes.builds(self._platform, self._found(request)))

    async def aliases(self, request: web.Request) -> web.Response:
        """Return the public hosts that serve a deployment."""
        return web.json_response(project_shapes.aliases(self._platform, self._found(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel the build of a deployment."""
        canceled = self._platform.cancel(self._found(request).id)
        return web.json_response(shapes.single(self._platform, canceled))

    def _found(self, request: web.Request) -> Deployment:
        return self._platform.find(request.match_info["deployment"])


def _asked_for(each: Deployment, platform: Platform, request: web.Request) -> bool:
    """Return True if a deployment passes the filters of the request."""
    target, sha, branch, states, candidate = (
        request.query.get(name) for name in ("target", "sha", "branch", "state", "rollbackCandidate")
    )
    return (
        target in (None, shapes.target(platform, each))
        and sha in (None, each.sha)
        and branch in (None, each.ref)
        and (not states or each.state in states.split(","))
        and (candidate is None or (candidate == "true") == shapes.is_rollback_candidate(platform, each))
    )


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise ApiError(400, "bad_request", f"Invalid request: `{name}` should be a number.")
    return int(text)


def application(platform: Platform) -> web.Application:
    """Build the HTTP application of a project's API."""
    door = _Door(platform)
    activation = faulty(platform.faults, ("activation",), door.refuse_activation)
    building = faulty(platform.faults, ("vercel_deployment",), door.refuse_activation, _concerns_builds)
    troubles = troubled(lambda _: platform.quirks.troubles, way)
    app = web.Application(middlewares=[activation, building, troubles, in_words, door.admitted])
    app.add_routes([*ProjectsApi(platform).routes(), *DeploymentsApi(platform).routes()])
    return app


def _concerns_builds(_request: web.Request, kind: Kind) -> bool:
    """Return True for faults that show in how builds end, and not in the answers to requests."""
    return kind in ("fail", "hang")


USER_PATHS = ("/v2/user", "/v5/user/")  # these belong to no project and no team


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
        if not request.path.startswith(USER_PATHS) and not (self._in_scope(request) and self._is_ours(wanted)):
            raise ApiError(404, "not_found", "Project not found.")
        return await handler(request)

    def _in_scope(self, request: web.Request) -> bool:
        team = request.match_info.get("team", request.query.get("teamId", request.query.get("slug")))
        return self._platform.team in (None, team)

    def _is_ours(self, project: str) -> bool:
        return project in (self._platform.id, self._platform.name)

    def refuse_activation(self, request: web.Request) -> web.StreamResponse | None:
        """Fail an activation: refuse any move. If no move is needed, hide which deployment is live.

        Return None for a request that is answered as usual.
        """
        if request.method == "POST":
            return refusal(409, "conflict", "A rolling release or another promotion is in progress.")
        if request.path.startswith("/v4/aliases/") and self._platform.auto_assign:
            return refusal(500, "internal_server_error", "An unexpected internal error occurred.")
        return None
