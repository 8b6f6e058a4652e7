"""The site, as a visitor or a cron job requests it: at its public address, or one deployment at its own address.

Every request is like that of a new visitor: it sends no cookie from an earlier response, and opens its own connection.
A cookie or a connection can keep a visitor on the deployment that answered first, while others get another one.
"""

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from steps.support.core.addresses import is_loopback
from steps.support.core.errors import NotSent
from steps.support.gateways.http import SHOWN, exchange, json_of, retry_after

BYPASS = "x-vercel-protection-bypass"  # the header that opens a protected deployment; its value is the project's secret
CHALLENGE = (b"Security Checkpoint", b"_vercel/security")  # words of the firewall's page that only a browser passes
LABEL = "(?!xn--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # one label of an ASCII host name
NAME = re.compile(rf"(?=.{{1,253}}\Z)({LABEL}\.)+(?=[a-z]){LABEL}", re.ASCII | re.IGNORECASE)

_SEARCHED = 20_000  # bytes of a page in which the firewall's words are searched
_OF_FIREWALL = {403, 429}  # the statuses of its pages
_NO_CACHE = {"Cache-Control": "no-cache", "Pragma": "no-cache"}
_FROM_CACHE = {"HIT", "STALE", "PRERENDER"}
_AGE = 9  # digits of an answer's age in seconds that are shown


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the site."""

    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # they contain secrets


@dataclass(frozen=True, slots=True)
class Answer:
    """The site's response: its status, its content type, and its body as JSON, or None if it is not JSON.

    `leads_to`: the host that a redirect leads to, or the path if it names no host; never the query. `retry_after`: the
    seconds that the response asks to wait, 0 if it does not. `cached`: how the CDN answered without asking the app, for
    example `HIT, 33 s old`; empty if the app answered. `deployment`: the id of the deployment that answered, as the
    platform names it; empty if it does not. `is_challenge`: True if the firewall wants proof of a browser first.
    `host`: the host that was asked.
    """

    status: int
    content_type: str
    body: Any
    leads_to: str = ""
    retry_after: float = 0.0
    cached: str = ""
    deployment: str = ""
    is_challenge: bool = False
    host: str = field(default="", compare=False)


class Site:
    """The site. Redirects are returned, not followed.

    `client`: a client that keeps no cookies, like those of `client_for`. `bypass`: the secret that opens protected
    deployments; it is sent only to the hosts of deployments.
    """

    def __init__(self, client: httpx.AsyncClient, bypass: str | None = None) -> None:
        self._client = client
        self._bypass = bypass

    async def ask(self, request: Request, host: str = "", *, past_cache: bool = False) -> Answer:
        """Send one request to the public site, or to the deployment at `host`, and return the response.

        `past_cache`: ask so that no cache can answer: with a query that was never sent before. Raise NotSent or Unknown
        if no complete response came; raise NotSent also if `host` is not a host name.
        """
        url, own = self._deployment_url(host, request.path) if host else (request.path, {})
        headers = {**request.headers, **own, "Connection": "close", **(_NO_CACHE if past_cache else {})}
        url = f"{url}{'&' if '?' in url else '?'}_orchestrate={secrets.token_hex(4)}" if past_cache else url
        response = await exchange(self._client, request.method, url, peer=host or "the site", headers=headers)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = _json(response) if kind == "application/json" or kind.endswith("+json") else None
        return Answer(
            response.status_code,
            kind,
            body,
            _host_or_path(response.headers.get("location", "")),
            retry_after(response, time.time()),
            _cached(response.headers),
            response.headers.get("x-deployment-id", "")[:SHOWN],
            _is_challenge(response),
            host or self._client.base_url.host,
        )

    def _deployment_url(self, host: str, path: str) -> tuple[str, dict[str, str]]:
        """Return a deployment's URL and headers. On loopback, only the Host header distinguishes deployments.

        Raise NotSent if `host` is not a host name.
        """
        if not NAME.fullmatch(host):
            cause = f"{host[:80]!r} is not a host name, and secrets would be sent there"
            raise NotSent(
                code="connection",
                operation="asking",
                subject="a deployment",
                cause=cause,
                remedy="Check that deployment on the platform.",
            )
        bypass = {BYPASS: self._bypass} if self._bypass else {}
        if is_loopback(self._client.base_url.host):
            return path, {**bypass, "Host": host}
        return f"https://{host}/{path.removeprefix('/')}", bypass


def _json(response: httpx.Response) -> Any:
    try:
        return json_of(response.content)
    except ValueError:
        return None


def _cached(headers: httpx.Headers) -> str:
    """Return how a cache answered; empty if the app did."""
    state, age = headers.get("x-vercel-cache", "").upper(), headers.get("age", "")
    if state not in _FROM_CACHE:
        return ""
    return f"{state}, {age[:_AGE]} s old" if age.isdecimal() else state


def _is_challenge(response: httpx.Response) -> bool:
    if response.headers.get("x-vercel-mitigated", "").lower() == "challenge":
        return True
    return response.status_code in _OF_FIREWALL and any(each in response.content[:_SEARCHED] for each in CHALLENGE)


def _host_or_path(location: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    return parts.hostname or parts.path
