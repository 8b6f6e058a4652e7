"""Find rows that a foreign key removed because their parents were lost, and name the key and the reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from steps.support.core.text import counted
from steps.support.proof.rows.declared import declaration
from steps.support.proof.rows.result import TableDiff
from steps.support.proof.rows.tables import AFTER, BEFORE, Table, side_by_side, tables
from steps.support.schema.connection import Connection
from steps.support.sql.findings import Finding
from steps.support.sql.tokens import folded, quoted

_KEYS = """SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(?)
WHERE on_delete IN ('CASCADE', 'SET NULL') ORDER BY id DESC, seq"""  # the key that is written last has the id 0
_OFF = "Switch foreign keys off before BEGIN, as the orchestrator does, or edit {} in place with ALTER TABLE."
_ELSEWHERE = "Give these rows another parent first, or declare the loss: `{}`."


@dataclass(frozen=True, slots=True)
class Side:
    """A table at one end of a foreign key. `old`, `new`: the table before and after, None if it is gone.

    `found`: what became of its rows.
    """

    old: Table
    new: Table | None
    found: TableDiff

    @property
    def was_dropped(self) -> bool:
        """Return True if the table was dropped, even if it was recreated; ALTER keeps schema entry and root page."""
        return self.new is None or (self.old.entry, self.old.root) != (self.new.entry, self.new.root)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key before the change. `columns`: pairs of a column and the parent's column that it references.

    In the SQL, `c` is a child, `p` a parent before the change, and `q` a parent after it.
    """

    child: Side
    parent: Side
    columns: tuple[tuple[str, str], ...]
    on_delete: str

    def __str__(self) -> str:
        """Return the foreign key as one line, such as `users.city -> cities(id) ON DELETE CASCADE`."""
        own, to = (", ".join(names) for names in zip(*self.columns, strict=True))
        own = f".{own}" if len(self.columns) == 1 else f"({own})"
        return f"{self.child.old.name}{own} -> {self.parent.old.name}({to}) ON DELETE {self.on_delete}"

    @property
    def lost_parents(self) -> str:
        """Build the query for the parents that a child had before the change, and that are gone after the change."""
        names = [to for _, to in self.columns]
        if self.parent.new is None or not {*map(folded, names)} <= self.parent.new.by_name.keys():
            return self.parents
        same = " AND ".join(f"q.{quoted(to)} = p.{quoted(to)}" for to in names)
        return f"{self.parents} AND NOT EXISTS (SELECT 1 FROM {self.parent.new.source} AS q WHERE {same})"

    @property
    def parents(self) -> str:
        """Build the query for the parents that a child had before the change."""
        matches = " AND ".join(f"p.{quoted(to)} = c.{quoted(own)}" for own, to in self.columns)
        return f"SELECT 1 FROM {self.parent.old.source} AS p WHERE {matches}"


def cascades(before: Path, after: Path, diff: Mapping[str, TableDiff]) -> list[Finding]:
    """Return a finding for each table that lost exactly the rows, or the references, that one foreign key removes.

    `diff`: the result of `row_diff` for the same files. The place of a finding is the name of the table. A foreign key
    removes rows if their parents are gone, or if the table of the parents was dropped. Raise Problem as `row_diff`
    does.
    """
    with side_by_side(before, after) as connection:
        sides = _sides(connection, diff)
        references = {name: list(_references(connection, side, sides)) for name, side in sides.items()}
        named = (_named(connection, references[name]) for name, side in sides.items() if side.new and side.found.total)
        return [finding for finding in named if finding]


def _sides(connection: Connection, diff: Mapping[str, TableDiff]) -> dict[str, Side]:
    old, new = tables(connection, BEFORE), tables(connection, AFTER)
    return {name: Side(table, new.get(name), diff[name]) for name, table in old.items()}


def _references(connection: Connection, child: Side, sides: Mapping[str, Side]) -> Iterator[Reference]:
    """Yield a table's foreign keys with ON DELETE CASCADE or SET NULL.

    A key that names no columns of its parent references the parent's primary key.
    """
    rows = connection.execute(_KEYS, (child.old.name,)).fetchall()
    for (_, table, on_delete), parts in groupby(rows, itemgetter(0, 1, 4)):
        own, named = zip(*[(own, to) for _, _, own, to, _ in parts], strict=True)
        if parent := sides.get(folded(table)):
            to = named if named[0] else parent.old.key_names
            if len(to) == len(own) and {*map(folded, to)} <= parent.old.by_name.keys():
                yield Reference(child, parent, tuple(zip(own, to, strict=True)), on_delete)


def _named(connection: Connection, references: Sequence[Reference]) -> Finding | None:
    """Return a finding about the foreign key that explains a table's loss; None if no key explains it.

    Keys whose parent table was dropped are tried first.
    """
    dropped = [each for each in references if each.parent.was_dropped]
    for reference in dropped:
        if lost := _lost(connection, reference, reference.parents):
            name = reference.parent.old.name
            return _finding(reference, lost, f"{name} was dropped with foreign keys on", _OFF.format(name))
    for reference in references:
        if lost := _lost(connection, reference, reference.lost_parents):
            parent = reference.parent.found
            of = counted(parent.before or 0, "row")
            why = f"{parent.removed:,} of {of} of {parent.name} {'is' if parent.removed == 1 else 'are'} gone"
            return _finding(reference, lost, why, _ELSEWHERE.format(declaration(reference.child.found)))
    return None


def _lost(connection: Connection, reference: Reference, parents: str) -> int:
    """Count the children of these parents if they were all lost, and no other rows were; otherwise return 0.

    `parents`: the query for a child's parents.
    """
    child, own = reference.child, [own for own, _ in reference.columns]
    if child.new is None or not {*map(folded, own)} <= child.new.by_name.keys():
        return 0
    had_parent, pointing = f"EXISTS ({parents})", " AND ".join(f"c.{quoted(name)} IS NOT NULL" for name in own)
    lost = _count(connection, child.old, had_parent)
    is_null = reference.on_delete == "SET NULL"
    missing = _count(connection, child.old, pointing) - _count(connection, child.new, pointing)
    is_all = lost == (missing if is_null else child.found.removed)
    return lost if is_all and not _count(connection, child.new, had_parent) else 0


def _count(connection: Connection, table: Table, condition: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table.source} AS c WHERE {condition}").fetchone()[0])


def _finding(reference: Reference, count: int, why: str, remedy: str) -> Finding:
    references = counted(count, "reference is NULL now", "references are NULL now")
    rows = counted(count, "row is lost by cascade", "rows are lost by cascade")
    lost = references if reference.on_delete == "SET NULL" else rows
    return Finding(reference.child.old.name, f"{lost}: {reference}, because {why}", remedy)
