"""What is released: settled before the first look, and never changed after."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from steps.support.gateways.site import Request
from steps.support.sql_folder import DatabaseChange, read_change

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
    """One run's identity, the change of the database it carries, and the questions that tell whether it is well."""

    run: str
    order: str
    change: DatabaseChange
    health: tuple[HealthCheck, ...]
    demands: Demands = Demands()

    @property
    def staged(self) -> str:
        """Say why the build has to wait for its activation; empty where it need not."""
        return self.demands.staged or ("the schema has to go first" if self.order == "DATA_FIRST" else "")

    @property
    def probe(self) -> Request | None:
        """Give the question by which downtime is measured: the first that writes nothing."""
        return next((check.request for check in self.health if not check.writes), None)


def release(sql: Path, health: tuple[HealthCheck, ...], demands: Demands) -> Release:
    """Make a new run of what the SQL folder holds now; names of runs sort by time: UTC stamp first."""
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return Release(run, "CODE_FIRST", read_change(sql), health, demands)
