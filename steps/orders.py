"""The steps of a release, and the two orders in which they can run."""

from collections.abc import Callable, Collection
from typing import Any

from steps.activation import Activation
from steps.branch_head import BranchHead
from steps.deploy_command import DeployCommand
from steps.git_push import GitPush
from steps.health_checks import HealthChecks
from steps.pause_crons import PauseCrons
from steps.schema_contract import SchemaContract
from steps.support.core.errors import Refused
from steps.support.run.release import Release, Source
from steps.support.run.step import Plan, PlannedStep, ReversibleStep, Step
from steps.turso_migration import TursoMigration
from steps.vercel_deployment import VercelDeployment
from steps.verification_query import VerificationQuery

Order = tuple[Callable[[Release], Step[Any]], ...]

EXPAND = (
    "Divide the change: first add only what both versions of the code tolerate, release, and remove the rest in a "
    "later release. If builds wait for activation (auto-assign of production domains off), the schema can go first."
)

# For new code that runs on both schemas: it goes live first, and the schema changes afterwards.
# `steps_of` leaves out PauseCrons, SchemaContract and the two steps of the database where a release does not need them.
CODE_FIRST: Order = (
    PauseCrons,
    GitPush,
    BranchHead,
    DeployCommand,
    VercelDeployment,
    Activation,
    SchemaContract,
    TursoMigration,
    VerificationQuery,
    HealthChecks,
)

# For old code that runs on both schemas: the schema changes first, while the new code is built but not live yet.
DATA_FIRST: Order = (
    PauseCrons,
    GitPush,
    BranchHead,
    DeployCommand,
    VercelDeployment,
    SchemaContract,
    TursoMigration,
    VerificationQuery,
    Activation,
    HealthChecks,
)

STEPS = {"CODE_FIRST": CODE_FIRST, "DATA_FIRST": DATA_FIRST}


def steps_of(release: Release) -> tuple[Step[Any], ...]:
    """Return the steps of this release in its order, leaving out those that it does not need."""
    migrates, has_contract = bool(release.change.migrate), bool(release.change.old_code or release.change.new_code)
    needed: dict[Callable[[Release], Step[Any]], bool] = {
        PauseCrons: release.demands.pause_crons,
        GitPush: release.source is Source.PUSH,
        BranchHead: release.source is Source.BRANCH,
        DeployCommand: release.source is Source.COMMAND,
        SchemaContract: has_contract and not migrates,
        TursoMigration: migrates,
        VerificationQuery: migrates,
    }
    return tuple(step(release) for step in STEPS[release.order] if needed.get(step, True))


def reversible_steps(release: Release, names: Collection[str] | None = None) -> tuple[ReversibleStep[Any], ...]:
    """Return the steps of this release that can be rolled back, in its order: all of them, or only those named.

    Raise Refused if a name is unknown, because a step that this version cannot roll back must not count as rolled back.
    """
    steps = (step(release) for step in STEPS[release.order or "CODE_FIRST"])
    known = {step.name: step for step in steps if isinstance(step, ReversibleStep)}
    if unknown := [name for name in names or () if name not in known]:
        cause = f"it began {', '.join(unknown)}, which this version does not know"
        raise Refused(
            code="journal-version",
            operation="reading",
            subject="the journal",
            cause=cause,
            remedy="Use the version of this tool that wrote it.",
        )
    return tuple(step for name, step in known.items() if names is None or name in names)


def settle_order(release: Release, plan: Plan) -> tuple[Release, Plan]:
    """Return the release in the first order that every preflight allows, and its plan. Raise Refused without one."""
    for each in plan:
        release = each.step.settle(release, each.observed)
    if not release.order:
        causes = "; ".join(f"not {order}, because {why}" for order, why in release.ruled_out.items())
        raise Refused(
            code="no-safe-order", operation="ordering", subject=release.change.name, cause=causes, remedy=EXPAND
        )
    observed = {each.name: each.observed for each in plan}
    return release, [PlannedStep(step, observed[step.name]) for step in steps_of(release)]
