"""The release, and the four open gateways through which it reaches production.

The preflights decide the order of a release and prove its change. After that, the release does not change. Steps cannot
tell whether their gateways lead to production or to stand-ins.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.core.text import ROLLBACK_MESSAGE
from steps.support.gateways.deployer import Deployer
from steps.support.gateways.git import Git
from steps.support.gateways.site import Request, Site
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.proof.config import ProofConfig
from steps.support.proof.result import Proof
from steps.support.sql.change import DatabaseChange


@dataclass(frozen=True, slots=True)
class Gateways:
    """Everything outside the tool that a step may read or change."""

    git: Git
    vercel: Vercel
    turso: Turso
    site: Site
    deployer: Deployer = field(default_factory=Deployer)

    @property
    def target(self) -> dict[str, str]:
        """Return the names of the branch, project, database and site that the release changes."""
        return {
            "branch": f"{self.git.remote}/{self.git.branch}",
            "project": self.vercel.name,
            "database": self.turso.address,
            "site": self.vercel.host,
        }


ORDERS = ("CODE_FIRST", "DATA_FIRST")  # the preferred order first
TURNED_AWAY = "status == `401` || status == `403` || status == `404`"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A request to the site, and what must be true of the answer.

    `expect`: JMESPath expressions over {status, body, baseline, committed_at}. `writes`: whether the request changes
    data. `before`: the check to run before the change, if the previous code needs a different request.
    """

    name: str
    request: Request
    expect: tuple[str, ...]
    writes: bool = False
    before: "HealthCheck | None" = None

    @property
    def harmless(self) -> "HealthCheck":
        """Return a check that writes nothing.

        A check that does not write is returned unchanged. For one that writes, return the same request without its
        headers, and so without credentials; the answer must be 401, 403 or 404.
        """
        if not self.writes:
            return self
        return HealthCheck(self.name, Request(self.request.path, self.request.method), (TURNED_AWAY,))


@dataclass(frozen=True, slots=True)
class Demands:
    """What a release requires of the platform.

    `required_env`: the variables that production must have. `pause_crons`: whether crons are paused during the release.
    `staged`: why the build must wait for its promotion; empty if it need not. `appears`: the seconds within which the
    platform must show a deployment of the commit. `lasts`: the seconds that a run with its rollback may take, for which
    the tokens must be valid.
    """

    required_env: tuple[str, ...] = ()
    pause_crons: bool = False
    staged: str = ""
    appears: float = 20.0
    lasts: float = 0.0


class Source(StrEnum):
    """How the commit to be released gets to the platform."""

    PUSH = "push"  # this run pushes it
    BRANCH = "branch"  # it is on the branch already, and others deploy it
    COMMAND = "command"  # it is on the branch already, and this run deploys it with a command


@dataclass(frozen=True, slots=True)
class Release:
    """One release: the id of its run, the change of the database that it carries, and its health checks.

    `ruled_out`: the orders in which it cannot run, each with the reason. `proof`: the proof of the change, or None if
    it is not proved yet. `rollback_message`: that of the commit which restores the branch, with the placeholders of the
    setting. `source`: how its commit gets to the platform.
    """

    run: str
    change: DatabaseChange
    health: tuple[HealthCheck, ...]
    demands: Demands
    proof_config: ProofConfig
    ruled_out: Mapping[str, str] = field(default_factory=dict)
    proof: Proof | None = None
    rollback_message: str = ROLLBACK_MESSAGE
    source: Source = Source.PUSH

    async def commit(self, git: Git) -> str:
        """Return the id of the commit to be released, which the checkout knows afterwards."""
        return await (git.head() if self.source is Source.PUSH else git.fetch())

    @property
    def order(self) -> str:
        """Return the first order that is not ruled out, or an empty string if there is none."""
        return next((order for order in ORDERS if order not in self.ruled_out), "")

    def without(self, ruled_out: Mapping[str, str]) -> "Release":
        """Return the release with further orders ruled out; reasons for the same order are joined."""
        reasons = {order: [self.ruled_out.get(order, ""), ruled_out.get(order, "")] for order in ORDERS}
        joined = {order: "; ".join(filter(None, why)) for order, why in reasons.items() if any(why)}
        return replace(self, ruled_out=joined)

    @property
    def probe(self) -> Request | None:
        """Return the request that measures downtime: that of the first check that writes nothing, or None."""
        return next((check.request for check in self.health if not check.writes), None)


def previous_release(run: str, change: DatabaseChange, order: str, proof_config: ProofConfig) -> Release:
    """Return a previous release, with only those parts that a rollback needs."""
    ruled_out = {each: f"the run went {order}" for each in ORDERS if each != order}
    return Release(run, change, (), Demands(), proof_config, ruled_out)


def new_run() -> str:
    """Return a new run id. Ids sort by time, as they begin with a UTC timestamp."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def new_release(  # noqa: PLR0913 - the parts of a release
    sql: Path,
    health: tuple[HealthCheck, ...],
    demands: Demands,
    proof_config: ProofConfig,
    *,
    sample: bool = False,
    source: Source = Source.PUSH,
) -> Release:
    """Return a new release of the change that is in the SQL folder now.

    `sample`: whether the database is made from sample.sql. `proof_config`: its folder is that of all runs; the new run
    gets a folder of its own in it.
    """
    run, change = new_run(), read_change(sql, sample=sample)
    config = replace(proof_config, folder=proof_config.folder / run)
    return Release(run, change, health, demands, config, source=source)
