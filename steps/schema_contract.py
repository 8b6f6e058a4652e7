"""Prove that the new code runs on the current schema, for a release that migrates nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from steps.support.core.errors import Failed
from steps.support.core.retry import preflight_read, retry
from steps.support.operations import prove
from steps.support.proof.rehearsal.target import refuse_turso_engine
from steps.support.proof.result import Proof
from steps.support.run.release import Gateways, Release
from steps.support.run.step import Done, Step
from steps.support.sql.contract import Block
from steps.support.sql.findings import NEW_CODE, OLD_CODE


@dataclass(frozen=True, slots=True)
class Observed:
    """The schema, and the proof made on a copy of it."""

    schema: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class SchemaContract(Step[Observed]):
    """Runs contract/old.sql and contract/new.sql on a copy of production."""

    release: Release
    name = "schema_contract"

    async def preflight(self, gateways: Gateways) -> Observed:
        """Run every statement of both files on a copy. Raise Refused with every finding that blocks the release."""
        await preflight_read(refuse_turso_engine, gateways.turso)
        schema = await preflight_read(gateways.turso.schema)
        return Observed(schema, await prove.prove_change(gateways.turso, self.release))

    def settle(self, release: Release, observed: Observed) -> Release:
        """Return the release with the proof added."""
        return prove.with_proof(release, observed.proof)

    def plan(self, observed: Observed) -> str:
        """Describe which code was tried, and on which engine."""
        change, engine = self.release.change, observed.proof.engine
        codes = (("old", OLD_CODE, change.old_code), ("new", NEW_CODE, change.new_code))
        return "; ".join(["nothing to migrate", *(_summary(*code, engine) for code in codes)])

    def facts(self, observed: Observed) -> dict[str, object]:
        """Return what the report keeps of the proof."""
        return prove.report_facts(observed.proof)

    async def apply(self, gateways: Gateways, observed: Observed) -> Done:
        """Check that the schema is still the one on which the new code was tried. Raise Failed if it is not."""
        if await retry(gateways.turso.schema) != observed.schema:
            cause = "it is not the one on which the new code was tried"
            raise Failed(
                code="production-changed",
                operation="reading",
                subject="the schema",
                cause=cause,
                remedy="Someone changed it in the meantime: agree with them on the schema, then release again.",
            )
        return Done("the schema is the one that was tried")


def _summary(code: str, file: str, blocks: Sequence[Block], engine: str) -> str:
    if not blocks:
        return f"not shown that the {code} code runs: {file} holds no statement"
    return f"{len(blocks)} statements of the {code} code run on {engine}, on a copy"
