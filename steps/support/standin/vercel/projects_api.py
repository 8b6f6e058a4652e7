"""The project part of Vercel's REST API: the project, its owner, its public host, and what that host serves."""

from aiohttp import web

from steps.support.standin.vercel import project_shapes
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.state import ApiError


class ProjectsApi:
    """Answers requests about one project."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def routes(self) -> list[web.RouteDef]:
        """Return the routes served here, in several versions if the official clients use different ones."""
        project = "/{version:v1|v9}/projects/{project}"
        return [
            web.get("/v2/user", self.user),
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

    async def team(self, _request: web.Request) -> web.Response:
        """Return the team, if the project belongs to one."""
        if self._platform.team is None:
            raise ApiError(404, "not_found", "Team not found.")
        return web.json_response(project_shapes.team(self._platform))

    async def project(self, _request: web.Request) -> web.Response:
        """Return the project."""
        return web.json_response(project_shapes.project(self._platform))

    async def change_project(self, request: web.Request) -> web.Response:
        """Pin or unpin the project."""
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
        """Return every variable; the requested environment is ignored."""
        return web.json_response(project_shapes.environment(self._platform))

    async def rolling_release(self, _request: web.Request) -> web.Response:
        """Return the active rolling release."""
        return web.json_response(project_shapes.rolling_release(self._platform))

    async def move(self, request: web.Request) -> web.Response:
        """Promote or roll back; 201 means started, 202 queued."""
        begun = self._platform.move(request.match_info["move"], request.match_info["deployment"])
        return web.Response(status=201 if begun else 202)

    async def moved_aliases(self, request: web.Request) -> web.Response:
        """Return the progress of the aliases; in v9 as the official CLI reads it."""
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
        return self._platform.is_public(request.match_info["host"])
