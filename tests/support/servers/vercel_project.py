"""A project on the stand-in platform whose time passes when a test says so, and a client of its API."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from steps.support.standin.agenda import Agenda
from steps.support.standin.faults import Faults
from steps.support.standin.servers import serve
from steps.support.standin.vercel.api import application
from steps.support.standin.vercel.platform import Platform

OLD, NEW, NEWER = "a" * 40, "b" * 40, "c" * 40
TOKEN = "t0ken"  # noqa: S105 - a stand-in's, worth nothing
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # everything here is plain HTTP: no authorities need loading
BUILD, ALIAS = 10.0, 2.0  # seconds of the clock that the test moves


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return its seconds."""
        return self.now


@dataclass
class Project:
    """A project on which OLD is live, and its clock."""

    platform: Platform
    clock: Clock

    def pass_time(self, seconds: float) -> None:
        """Move the clock forward."""
        self.clock.now += seconds


def project(faults: Faults | None = None, host: str = "127.0.0.1:80", **differing: Any) -> Project:
    """Create a project on which OLD is live."""
    clock = Clock()
    terms = {"build_seconds": BUILD, "alias_seconds": ALIAS, "agenda": Agenda(clock), **differing}
    platform = Platform(host, faults or Faults(), TOKEN, **terms)
    platform.deployed(OLD, "main", "as it was")
    return Project(platform, clock)


@asynccontextmanager
async def api(served: Project, token: str = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a project's API and yield a client of it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with serve(application(served.platform)) as url:
        async with httpx.AsyncClient(verify=PLAIN, base_url=url, headers=headers) as client:
            yield client


async def deployment(client: httpx.AsyncClient, identifier: str) -> dict[str, Any]:
    """Read one deployment."""
    body: dict[str, Any] = (await client.get(f"/v13/deployments/{identifier}")).json()
    return body


async def last_move(client: httpx.AsyncClient) -> dict[str, Any] | None:
    """Read the project's last promote or rollback."""
    shown: dict[str, Any] | None = (await client.get("/v9/projects/liveone?rollbackInfo=true")).json()[
        "lastAliasRequest"
    ]
    return shown


async def target(client: httpx.AsyncClient) -> str:
    """Read which deployment is the production target."""
    identifier: str = (await client.get("/v9/projects/liveone")).json()["targets"]["production"]["id"]
    return identifier


async def served(client: httpx.AsyncClient) -> str:
    """Read which deployment the public host serves."""
    identifier: str = (await client.get("/v4/aliases/127.0.0.1")).json()["deploymentId"]
    return identifier
