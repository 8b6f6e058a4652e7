"""The public site, asked as a visitor or a cron would ask it."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from steps.support.gateways.http import exchange


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the site."""

    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site said: status, content type, and the body as JSON, or None where it is not JSON."""

    status: int
    content_type: str
    body: Any


class Site:
    """The site at its public address. Redirects are answers, not directions."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, request: Request) -> Answer:
        """Ask once. Raises NotSent or Unknown when there was no whole answer."""
        response = await exchange(self._client, request.method, request.path, whom="the site", headers=request.headers)
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        return Answer(response.status_code, kind, _json(response) if kind == "application/json" else None)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
