"""Try whether the old and the new code can run on the old and the new schema; the four answers decide the order.

Each statement of the code is tried, and what it writes is rolled back. Foreign keys are set as the app sets them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from steps.support.core.errors import Unknown
from steps.support.gateways.database.protocol import Database
from steps.support.sql.contract import Block
from steps.support.sql.findings import MIGRATE, NEW_CODE, OLD_CODE, Finding
from steps.support.sql.statement import Statement
from steps.support.sql.verbs import as_count

OLD, NEW = "old", "new"
_TOO_LARGE = "RESPONSE_TOO_LARGE"
DIVIDE = "Divide the change: in this release, only add to the schema; remove what is old in a later release."


@dataclass(frozen=True, slots=True)
class Contracts:
    """The statements that the old code and the new code send to the database."""

    old: tuple[Block, ...]
    new: tuple[Block, ...]


def unasked_contracts(what: Contracts) -> Iterator[Finding]:
    """Yield a finding if a contract has no statements, because then nothing is proved about that code."""
    contracts = ((OLD_CODE, OLD, what.old), (NEW_CODE, NEW, what.new))
    empty = {file: code for file, code, blocks in contracts if not blocks}
    if empty:
        codes = " and the ".join(f"{code} code" for code in empty.values())
        cause = f"no statements, so nothing shows that the {codes} can run on the old and the new schema"
        remedy = f"Write every statement that this code sends, or say in {MIGRATE} why it sends none."
        yield Finding(" and ".join(empty), cause, remedy, rule="no-contract", file=MIGRATE)


@dataclass(frozen=True, slots=True)
class Answers:
    """The errors of the statements that cannot run on one schema, by version of the code (OLD or NEW)."""

    failing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def holds(self, code: str) -> bool:
        """Return True if every statement of this version of the code can run."""
        return not self.failing[code]


@dataclass(frozen=True, slots=True)
class Contract:
    """Which code can run on which schema: the answers on the schema before, and after, the migration."""

    before: Answers
    after: Answers

    @property
    def orders(self) -> tuple[str, ...]:
        """Return the safe orders, CODE_FIRST before DATA_FIRST: each version can run on every schema that it meets."""
        if not (self.before.holds(OLD) and self.after.holds(NEW)):
            return ()
        return tuple(order for order in ("CODE_FIRST", "DATA_FIRST") if order not in self.ruled_out)

    @property
    def ruled_out(self) -> dict[str, str]:
        """Return, for each unsafe order, the reason: a version of the code would meet a schema on which it fails."""
        new_on_old = f"the new code cannot run on the old schema: {_errors(self.before, NEW)}"
        old_on_new = f"the old code cannot run on the new schema: {_errors(self.after, OLD)}"
        unsafe = {"CODE_FIRST": (self.before.holds(NEW), new_on_old), "DATA_FIRST": (self.after.holds(OLD), old_on_new)}
        return {order: why for order, (is_safe, why) in unsafe.items() if not is_safe}

    @property
    def table(self) -> dict[str, tuple[str, ...]]:
        """Return the errors for each pair, such as `new code on the old schema`; a pair that runs has no errors."""
        places = {"old schema": self.before, "new schema": self.after}
        return {
            f"{code} code on the {schema}": answers.failing[code]
            for schema, answers in places.items()
            for code in (OLD, NEW)
        }

    @property
    def refusal(self) -> tuple[str, str]:
        """Return cause and remedy if no order is safe."""
        if not self.before.holds(OLD):
            cause = f"the live code cannot run on its own schema: {_errors(self.before, OLD)}"
            return cause, "Fix contract/old.sql: it must contain the statements that the live code really sends."
        if not self.after.holds(NEW):
            cause = f"the new code cannot run on the new schema: {_errors(self.after, NEW)}"
            return cause, "Create what the new code needs in migrate.sql, or fix contract/new.sql."
        cause = f"the new code cannot run on the old schema: {_errors(self.before, NEW)}"
        return f"{cause}; the old code cannot run on the new schema: {_errors(self.after, OLD)}", DIVIDE


def _errors(answers: Answers, code: str) -> str:
    return "; ".join(answers.failing[code])


async def ask_contracts(database: Database, what: Contracts) -> Answers:
    """Try all statements of both versions on the schema of a database, and return the errors of those that fail."""
    return Answers({OLD: await _failing(database, what.old), NEW: await _failing(database, what.new)})


async def _failing(database: Database, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Return, for each block in which no alternative runs, the error of its last alternative."""
    if not blocks:
        return ()
    errors = zip(blocks, await _errors_of(database, [block.alternatives[0] for block in blocks]), strict=True)
    failing = [(block.alternatives[1:], error) for block, error in errors if error]
    others = [Block(alternatives) for alternatives, _ in failing if alternatives]
    return (*(error for alternatives, error in failing if not alternatives), *await _failing(database, others))


async def _errors_of(database: Database, several: Sequence[Sequence[Statement]]) -> Sequence[str | None]:
    """Return the error of each group of statements, or None if the group runs, even if its answer cannot be sent.

    An answer cannot contain text that is not UTF-8, and after an answer that is too large the transaction stays open.
    In both cases, try again with queries that only count their rows.
    """
    with suppress(Unknown):
        errors = await database.trials(several)
        if not any(error and _TOO_LARGE in error for error in errors):
            return errors
    return await database.trials([[*map(as_count, statements)] for statements in several])
