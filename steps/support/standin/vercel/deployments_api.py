"""The deployments part of Vercel's REST API: lists, single deployments, their builds and aliases."""

from aiohttp import web

from steps.support.standin.vercel import project_shapes, shapes
from steps.support.standin.vercel.platform import Platform
from steps.support.standin.vercel.quirks import Listing
from steps.support.standin.vercel.state import ApiError, Deployment

ROWS = 20  # of a list, if no limit is requested


class DeploymentsApi:
    """Answers requests about the deployments of one project."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def routes(self) -> list[web.RouteDef]:
        """Return the routes served here."""
        return [
            web.get("/{version:v6|v7}/deployments", self.listed),
            web.get("/v13/deployments/{deployment}", self.deployment),
            web.get("/{version:v2|v3}/deployments/{deployment}/events", self.events),
            web.get("/v11/deployments/{deployment}/builds", self.builds),
            web.get("/v2/deployments/{deployment}/aliases", self.aliases),
            web.patch("/v12/deployments/{deployment}/cancel", self.cancel),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """Return one page of the list."""
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
        """Return one deployment."""
        return web.json_response(shapes.single(self._platform, self._found(request)))

    async def events(self, request: web.Request) -> web.Response:
        """Return a build's log."""
        return web.json_response(shapes.events(self._found(request)))

    async def builds(self, request: web.Request) -> web.Response:
        """Return the builds of a deployment."""
        return web.json_response(shapes.builds(self._platform, self._found(request)))

    async def aliases(self, request: web.Request) -> web.Response:
        """Return the public hosts that serve a deployment."""
        return web.json_response(project_shapes.aliases(self._platform, self._found(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a build."""
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
        target in (None, "production")
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
