"""The steps of a release, and the two orders in which they may go."""

from collections.abc import Callable
from typing import Any

from steps.activation import Activation
from steps.git_push import GitPush
from steps.health_checks import HealthChecks
from steps.pause_crons import PauseCrons
from steps.support.engine.step import Step
from steps.support.release import Release
from steps.turso_migration import TursoMigration
from steps.vercel_deployment import VercelDeployment
from steps.verification_query import VerificationQuery

Order = tuple[Callable[[Release], Step[Any]], ...]

# The new code reads both schemas: it goes live first, and the schema follows under it.
CODE_FIRST: Order = (
    PauseCrons,
    GitPush,
    VercelDeployment,
    Activation,
    TursoMigration,
    VerificationQuery,
    HealthChecks,
)

# The old code reads both schemas: the schema goes first, and the new code, built and waiting, goes live on it.
DATA_FIRST: Order = (
    PauseCrons,
    GitPush,
    VercelDeployment,
    TursoMigration,
    VerificationQuery,
    Activation,
    HealthChecks,
)

ORDERS = {"CODE_FIRST": CODE_FIRST, "DATA_FIRST": DATA_FIRST}

Plan = tuple[Step[Any], ...]


def plan(release: Release) -> Plan:
    """Give the steps of this release, in its order, less those that it has no use for."""
    needed: dict[Callable[[Release], Step[Any]], bool] = {
        PauseCrons: release.demands.pause_crons,
        TursoMigration: bool(release.change.migrate),
        VerificationQuery: bool(release.change.migrate),
    }
    return tuple(step(release) for step in ORDERS[release.order] if needed.get(step, True))
