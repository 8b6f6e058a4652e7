"""List the differences between two versions of a table, a trigger or a view: each with kind, place and words."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from steps.support.schema.model import Column, Table, Trigger, View
from steps.support.schema.text import Name
from steps.support.sql.tokens import folded, tokenize, unquoted_name

_IN_EVERY_CLAUSE = frozenset({
    "check", "unique", "primary", "key", "conflict", "not", "null", "and", "or", "in", "is", "like", "between", "on",
    "replace", "ignore", "abort", "fail", "rollback", "length", "typeof",
})  # fmt: skip
_KINDS = ("table ", "index ", "trigger ", "view ")  # a place may begin with one of these


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two schemas. `words` describe it, as in `is gone`.

    `kind`: what differs; if it ends with `-lost`, something was removed. `place`: an object, as in `users.name`.
    """

    kind: str
    place: str
    words: str

    @property
    def object(self) -> str:
        """The name of the object, without a word such as `index` before it."""
        kind = next((each for each in _KINDS if self.place.startswith(each)), "")
        return self.place.removeprefix(kind)

    def __str__(self) -> str:
        """Return the difference as one line."""
        return f"{self.place}: {self.words}"


OF_A_COLUMN: Sequence[tuple[str, Callable[[Column], str]]] = (
    ("type-changed", lambda column: f"type {column.type or '(none)'}"),
    ("not-null-lost", lambda column: "NOT NULL" * column.not_null),
    ("default-lost", lambda column: column.default and f"default {column.default}"),
    ("default-lost", lambda column: column.given),
    ("collation-lost", lambda column: column.collation and f"COLLATE {column.collation}"),
)
OF_A_TABLE: Sequence[tuple[str, Callable[[Table], str]]] = (
    ("autoincrement-lost", lambda table: "AUTOINCREMENT" * table.autoincrement),
    ("strict-lost", lambda table: "STRICT" * table.strict),
    ("random-rowid-lost", lambda table: "RANDOM ROWID" * table.random_rowid),
    ("table-lost", lambda table: table.virtual),
)


def table_differences(before: Table, after: Table) -> Iterator[Difference]:
    """Yield the differences between two versions of a table, except those of its references and keys."""
    yield from _columns(before, after)
    for kind, phrase in OF_A_TABLE:
        yield from worded(kind, before.name, phrase(before), phrase(after))
    yield from _without_rowid(before, after)
    yield from _sets("check-lost", before.name, _checks(before), _checks(after))
    yield from _sets("conflict-lost", before.name, before.conflicts, after.conflicts)


def worded(kind: str, place: str, before: str, after: str) -> Iterator[Difference]:
    """Yield a difference if two phrases about a place differ. An empty phrase means that there is nothing there."""
    if before and not after:
        yield Difference(kind, place, f"{before} is gone")
    elif after and not before:
        yield Difference(kind.replace("-lost", "-added"), place, f"{after} is new")
    elif before != after:
        yield Difference(kind, place, f"{before} became {after}")


def _without_rowid(before: Table, after: Table) -> Iterator[Difference]:
    harmless = before.without_rowid and not _lets_null_in(after)
    kind = "without-rowid-changed" if harmless else "without-rowid-lost"
    words = "WITHOUT ROWID" * before.without_rowid, "WITHOUT ROWID" * after.without_rowid
    yield from worded(kind, before.name, *words)


def _lets_null_in(table: Table) -> bool:
    """Return True if a column of the primary key accepts NULL: it has no NOT NULL, and the engine does not fill it."""
    key = {part.what for part in table.primary_key}
    return any(column.name in key and not column.not_null and not column.given for column in table.columns)


def _columns(before: Table, after: Table) -> Iterator[Difference]:
    old, new = ({column.name: column for column in table.columns} for table in (before, after))
    for name, column in old.items():
        place = f"{before.name}.{name}"
        if name not in new:
            yield Difference("column-lost", place, f"column {column} is gone")
            continue
        for kind, phrase in OF_A_COLUMN:
            yield from worded(kind, place, phrase(column), phrase(new[name]))
    for name in _moved([*old], [*new]):
        places = (_ordinal([*columns].index(name) + 1) for columns in (old, new))
        yield Difference("column-moved", f"{before.name}.{name}", "moved from {} to {}".format(*places))
    for name, column in new.items():
        if name not in old:
            yield Difference("column-added", f"{before.name}.{name}", f"column {column} is new")


def _moved(before: Sequence[Name], after: Sequence[Name]) -> Iterator[Name]:
    """Return the columns that moved, as few as possible: moving them turns the old order into the new one."""
    old, new = [each for each in before if each in after], [each for each in after if each in before]
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    stayed = {name for block in blocks for name in old[block.a : block.a + block.size]}
    return (name for name in old if name not in stayed)


def _ordinal(number: int) -> str:
    return f"{number}{'th' if number % 100 in {11, 12, 13} else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _checks(table: Table) -> tuple[str, ...]:
    return tuple(f"CHECK ({condition})" for condition in table.checks)


def _sets(kind: str, place: str, before: Collection[str], after: Collection[str]) -> Iterator[Difference]:
    new = [each for each in after if each not in before]
    for each in (each for each in before if each not in after):
        successor = max((other for other in new if _names(other) & _names(each)), key=_likeness(each), default="")
        new = [other for other in new if other != successor]
        yield from worded(kind, place, each, successor)
    for each in new:
        yield from worded(kind, place, "", each)


def _names(clause: str) -> set[str]:
    """Return the words of a clause in lower case, except keywords that tell nothing because many clauses have them."""
    words = (token for token in tokenize(clause) if token.kind in {"word", "name"})
    return {folded(unquoted_name(token.text)) for token in words} - _IN_EVERY_CLAUSE


def _likeness(clause: str) -> Callable[[str], float]:
    """Return a function that measures how similar another clause is to this one, from 0 to 1."""
    return lambda other: SequenceMatcher(None, clause, other, autojunk=False).ratio()


def trigger_differences(
    before: Sequence[Trigger], after: Sequence[Trigger], stayed: Collection[Name]
) -> Iterator[Difference]:
    """Yield the differences between the triggers of tables and views that exist before and after.

    `stayed`: these tables and views. The triggers of other tables come and go with their tables, so they are not
    compared.
    """
    old, new = [[each for each in triggers if each.table in stayed] for triggers in (before, after)]
    added = [trigger for trigger in new if trigger.name not in {each.name for each in old}]
    for trigger in (each for each in old if each not in new):
        successors = [each for each in added if (each.table, each.sql) == (trigger.table, trigger.sql)]
        added = [each for each in added if each not in successors[:1]]
        yield _trigger(trigger, successors, new)
    for trigger in added:
        yield Difference("trigger-added", f"trigger {trigger.name}", f"is new on {trigger.table}")


def view_differences(before: Sequence[View], after: Sequence[View]) -> Iterator[Difference]:
    """Yield the differences between views. A renamed view counts as gone and new, because queries use its name."""
    old, new = ({view.name: view for view in views} for views in (before, after))
    for name, view in old.items():
        if name not in new:
            yield Difference("view-lost", f"view {name}", "is gone")
        elif view != new[name]:
            yield Difference("view-lost", f"view {name}", f"became {new[name].sql}")
    for name in (name for name in new if name not in old):
        yield Difference("view-added", f"view {name}", "is new")


def _trigger(trigger: Trigger, successors: Sequence[Trigger], after: Sequence[Trigger]) -> Difference:
    place = f"trigger {trigger.name}"
    if successors:
        return Difference("trigger-renamed", place, f"is now called {successors[0].name}")
    words = next((f"became {each.sql}" for each in after if each.name == trigger.name), f"is gone from {trigger.table}")
    return Difference("trigger-lost", place, words)
