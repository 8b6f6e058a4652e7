"""The site, asked as a visitor or a cron would ask it: at its public address, or one deployment at its own.

Every question comes from a stranger: it brings no cookie of an earlier answer, and a connection of its own. A cookie or
a connection may keep a visitor on the deployment that answered first, which is not what everybody else is served.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from steps.support.core.errors import NotSent
from steps.support.gateways.http import exchange, json_of

BYPASS = "x-vercel-protection-bypass"  # opens a protected deployment to whoever sends the project's secret
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
LABEL = "(?!xn--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # of a name in plain letters
NAME = re.compile(rf"(?=.{{1,253}}\Z)({LABEL}\.)+(?=[a-z]){LABEL}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the site."""

    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # they hold keys


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site said: status, content type, and the body as JSON, or None where it is not JSON.

    `leads_to`: the host that a redirect leads to, or the path where it stays on its own; never the query.
    """

    status: int
    content_type: str
    body: Any
    leads_to: str = ""


class Site:
    """The site. Redirects are answers, not directions.

    `client` keeps no cookies: `client_for` makes such a one. `bypass` is the secret that opens protected deployments;
    it is sent to hosts of deployments only.
    """

    def __init__(self, client: httpx.AsyncClient, bypass: str | None = None) -> None:
        self._client = client
        self._bypass = bypass

    async def ask(self, request: Request, host: str = "") -> Answer:
        """Ask once, the public site or the deployment with a `host` of its own.

        Raises NotSent or Unknown when there was no whole answer, NotSent also when `host` is not the name of a host.
        """
        url, own = self._own(host, request.path) if host else (request.path, {})
        headers = {**request.headers, **own, "Connection": "close"}
        response = await exchange(self._client, request.method, url, whom=host or "the site", headers=headers)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = _json(response) if kind == "application/json" or kind.endswith("+json") else None
        return Answer(response.status_code, kind, body, _host_or_path(response.headers.get("location", "")))

    def _own(self, host: str, path: str) -> tuple[str, dict[str, str]]:
        """Give a deployment's address and the headers for it; on loopback the Host header tells it from the others."""
        if not NAME.fullmatch(host):
            cause = f"{host[:80]!r} is not the name of a host, and keys would be sent there"
            raise NotSent("asking", "a deployment", cause, "See what the platform says of that deployment.")
        opening = {BYPASS: self._bypass} if self._bypass else {}
        if self._client.base_url.host in LOOPBACK:
            return path, {**opening, "Host": host}
        return f"https://{host}/{path.removeprefix('/')}", opening


def _json(response: httpx.Response) -> Any:
    try:
        return json_of(response.content)
    except ValueError:
        return None


def _host_or_path(location: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    return parts.hostname or parts.path
