"""What each version of the code asks of the database, tried on the schema before and after: four answers, and an order.

Writes are tried too, and rolled back; foreign keys are as the app would have them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from steps.support.gateways.database.protocol import Database
from steps.support.sql.contract import Block
from steps.support.sql.findings import Finding
from steps.support.sql.known_names import MIGRATE, NEW_CODE, OLD_CODE

OLD, NEW = "old", "new"
EXPAND = "Divide the change: first only add what both versions can bear, release, and take away in a later one."


@dataclass(frozen=True, slots=True)
class Contracts:
    """What the old and the new code ask."""

    old: tuple[Block, ...]
    new: tuple[Block, ...]


def unasked_contracts(what: Contracts) -> Iterator[Finding]:
    """Object to contracts that ask nothing: not to fail a question that nobody asked proves nothing."""
    contracts = ((OLD_CODE, OLD, what.old), (NEW_CODE, NEW, what.new))
    empty = {file: code for file, code, blocks in contracts if not blocks}
    if empty:
        codes = " and the ".join(f"{code} code" for code in empty.values())
        cause = f"no statement there, so nothing shows that the {codes} can run on the old and the new schema"
        remedy = f"Write every statement that this code sends, or say in {MIGRATE} why there are none."
        yield Finding(" and ".join(empty), cause, remedy, rule="no-contract", file=MIGRATE)


@dataclass(frozen=True, slots=True)
class Answers:
    """For each version of the code, what it cannot run: statement and error; nothing where all of it runs."""

    failing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def holds(self, code: str) -> bool:
        """Say whether this version of the code can run."""
        return not self.failing[code]


@dataclass(frozen=True, slots=True)
class Contract:
    """The two-by-two table: the old and the new code on the schema before and after."""

    before: Answers
    after: Answers

    @property
    def orders(self) -> tuple[str, ...]:
        """Name the orders in which no code ever meets a schema that it cannot run on, the user's own first."""
        if not (self.before.holds(OLD) and self.after.holds(NEW)):
            return ()
        return tuple(order for order in ("CODE_FIRST", "DATA_FIRST") if order not in self.ruled_out)

    @property
    def ruled_out(self) -> dict[str, str]:
        """Name the orders in which some code would meet a schema that it cannot run on, and why."""
        new_on_old = f"the new code cannot run on the old schema: {_told(self.before, NEW)}"
        old_on_new = f"the old code cannot run on the new schema: {_told(self.after, OLD)}"
        unsafe = {"CODE_FIRST": (self.before.holds(NEW), new_on_old), "DATA_FIRST": (self.after.holds(OLD), old_on_new)}
        return {order: why for order, (is_safe, why) in unsafe.items() if not is_safe}

    @property
    def table(self) -> dict[str, tuple[str, ...]]:
        """Give what fails in each of the four places; nothing where all of it runs."""
        places = {"old schema": self.before, "new schema": self.after}
        return {
            f"{code} code on the {schema}": answers.failing[code]
            for schema, answers in places.items()
            for code in (OLD, NEW)
        }

    @property
    def refusal(self) -> tuple[str, str]:
        """Say why there is no order, and what to do."""
        if not self.before.holds(OLD):
            cause = f"the code that is live cannot run on its own schema: {_told(self.before, OLD)}"
            return cause, "Mend contract/old.sql: it is to say what the live code really asks."
        if not self.after.holds(NEW):
            cause = f"the new code cannot run on the new schema: {_told(self.after, NEW)}"
            return cause, "Have migrate.sql make what the new code needs, or mend contract/new.sql."
        cause = f"the new code cannot run on the old schema: {_told(self.before, NEW)}; nor the old code on the new one"
        return f"{cause}: {_told(self.after, OLD)}", EXPAND


def _told(answers: Answers, code: str) -> str:
    return "; ".join(answers.failing[code])


async def ask_contracts(database: Database, what: Contracts) -> Answers:
    """Try everything that both versions ask."""
    return Answers({OLD: await _failing(database, what.old), NEW: await _failing(database, what.new)})


async def _failing(database: Database, blocks: Sequence[Block]) -> tuple[str, ...]:
    """Say of each block that does not hold why its last alternative does not run."""
    if not blocks:
        return ()
    errors = zip(blocks, await database.trials([block.alternatives[0] for block in blocks]), strict=True)
    failing = [(block.alternatives[1:], error) for block, error in errors if error]
    others = [Block(alternatives) for alternatives, _ in failing if alternatives]
    return (*(error for alternatives, error in failing if not alternatives), *await _failing(database, others))
