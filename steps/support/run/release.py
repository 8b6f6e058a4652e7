"""What is released, and the four open gateways that it is released through.

Preflight settles the release's order and its proof; after that nothing of it changes. A plan cannot tell which gateways
it is given.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from steps.support.change.folder import read_change
from steps.support.gateways.git import Git
from steps.support.gateways.site import Request, Site
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel
from steps.support.proof.config import ProofConfig
from steps.support.proof.result import Proof
from steps.support.sql.change import DatabaseChange


@dataclass(frozen=True, slots=True)
class Gateways:
    """Everything outside that a step may look at or change."""

    git: Git
    vercel: Vercel
    turso: Turso
    site: Site

    @property
    def target(self) -> dict[str, str]:
        """Name what is released to."""
        return {
            "branch": f"{self.git.remote}/{self.git.branch}",
            "project": self.vercel.name,
            "database": self.turso.address,
            "site": self.vercel.host,
        }


ORDERS = ("CODE_FIRST", "DATA_FIRST")  # the user's own first
TURNED_AWAY = "status == `401` || status == `403` || status == `404`"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A question to the site, and what must be true of the answer.

    `expect`: JMESPath expressions over {status, body, baseline, committed_at}. `writes`: asking it changes data.
    `before`: the same question as it is asked before the change, where the code that is live then is asked otherwise.
    """

    name: str
    request: Request
    expect: tuple[str, ...]
    writes: bool = False
    before: "HealthCheck | None" = None

    @property
    def harmless(self) -> "HealthCheck":
        """Give a check that writes nothing in place of one that does: without a key, the site must turn it away."""
        if not self.writes:
            return self
        return HealthCheck(self.name, Request(self.request.path, self.request.method), (TURNED_AWAY,))


@dataclass(frozen=True, slots=True)
class Demands:
    """What a release asks of the platform.

    `required_env`: variables that production must have. `pause_crons`: no cron is called meanwhile. `staged`: why its
    build has to wait for its activation; empty where it need not.
    """

    required_env: tuple[str, ...] = ()
    pause_crons: bool = False
    staged: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """One run's identity, the change of the database it carries, and the questions that tell whether it is well.

    `ruled_out`: the orders in which it cannot go, and why. `proof`: None until it is proved.
    """

    run: str
    change: DatabaseChange
    health: tuple[HealthCheck, ...]
    demands: Demands
    proof_config: ProofConfig
    ruled_out: Mapping[str, str] = field(default_factory=dict)
    proof: Proof | None = None

    @property
    def order(self) -> str:
        """Give the order in which it goes: the first that nothing rules out; empty where there is none."""
        return next((order for order in ORDERS if order not in self.ruled_out), "")

    def without(self, ruled_out: Mapping[str, str]) -> "Release":
        """Give the release with more orders ruled out."""
        reasons = {order: [self.ruled_out.get(order, ""), ruled_out.get(order, "")] for order in ORDERS}
        said = {order: "; ".join(filter(None, why)) for order, why in reasons.items() if any(why)}
        return replace(self, ruled_out=said)

    @property
    def probe(self) -> Request | None:
        """Give the question by which downtime is measured: the first that writes nothing."""
        return next((check.request for check in self.health if not check.writes), None)


def previous_release(run: str, change: DatabaseChange, order: str, proof_config: ProofConfig) -> Release:
    """Give a release of before, as far as putting it back has a use for it."""
    ruled_out = {each: f"it went {order}" for each in ORDERS if each != order}
    return Release(run, change, (), Demands(), proof_config, ruled_out)


def new_run() -> str:
    """Name a new run; names sort by time: UTC stamp first."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def new_release(
    sql: Path, health: tuple[HealthCheck, ...], demands: Demands, proof_config: ProofConfig, *, sample: bool = False
) -> Release:
    """Make a new run of what the SQL folder holds now; `sample`: its database is made of sample.sql.

    The bench is given with the folder of all runs; the run has one of its own in there.
    """
    run, change = new_run(), read_change(sql, sample=sample)
    return Release(run, change, health, demands, replace(proof_config, folder=proof_config.folder / run))
