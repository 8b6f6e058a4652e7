"""Find rows that were lost because others were: which foreign key removed them, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from steps.support.proof.rows.declared import declaration
from steps.support.proof.rows.result import TableDiff
from steps.support.proof.rows.tables import AFTER, BEFORE, Table, side_by_side, tables
from steps.support.schema.connection import Connection
from steps.support.sql.findings import Finding
from steps.support.sql.tokens import folded, quoted

_KEYS = """SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(?)
WHERE on_delete IN ('CASCADE', 'SET NULL') ORDER BY id DESC, seq"""  # it numbers them from the last one written
_OFF = "Switch foreign keys off before BEGIN, as the orchestrator does, or edit {} in place with ALTER TABLE."
_ELSEWHERE = "Give those rows another parent first, or declare it: `{}`."


@dataclass(frozen=True, slots=True)
class Side:
    """A table at one end of a foreign key: before, after (None if it is gone), and what became of its rows."""

    old: Table
    new: Table | None
    found: TableDiff

    @property
    def was_dropped(self) -> bool:
        """Return True if it was dropped, even if it was recreated: ALTER keeps its schema entry and its root page."""
        return self.new is None or (self.old.entry, self.old.root) != (self.new.entry, self.new.root)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key before the change, its columns paired with the parent's. In SQL `c` is a child, `p` a parent."""

    child: Side
    parent: Side
    columns: tuple[tuple[str, str], ...]
    on_delete: str

    def __str__(self) -> str:
        """Return it the way it is declared."""
        own, to = (", ".join(names) for names in zip(*self.columns, strict=True))
        own = f".{own}" if len(self.columns) == 1 else f"({own})"
        return f"{self.child.old.name}{own} -> {self.parent.old.name}({to}) ON DELETE {self.on_delete}"

    @property
    def lost_parents(self) -> str:
        """Build the query of the parents before the change whose key no parent has after."""
        names = [to for _, to in self.columns]
        if self.parent.new is None or not {*map(folded, names)} <= self.parent.new.by_name.keys():
            return self.parents
        same = " AND ".join(f"q.{quoted(to)} = p.{quoted(to)}" for to in names)
        return f"{self.parents} AND NOT EXISTS (SELECT 1 FROM {self.parent.new.source} AS q WHERE {same})"

    @property
    def parents(self) -> str:
        """Build the query of the parents before."""
        matches = " AND ".join(f"p.{quoted(to)} = c.{quoted(own)}" for own, to in self.columns)
        return f"SELECT 1 FROM {self.parent.old.source} AS p WHERE {matches}"


def cascades(before: Path, after: Path, diff: Mapping[str, TableDiff]) -> list[Finding]:
    """Return a finding for each table that lost exactly the rows, or references, that a foreign key removes.

    `diff`: the result of row_diff for the same two files. The place of each finding is the name of a table. Parents are
    lost if they are gone, or if their table was dropped. Raise Problem as row_diff does.
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
    """Yield the foreign keys that CASCADE or SET NULL; one without columns references the parent's primary key."""
    rows = connection.execute(_KEYS, (child.old.name,)).fetchall()
    for (_, table, on_delete), parts in groupby(rows, itemgetter(0, 1, 4)):
        own, named = zip(*[(own, to) for _, _, own, to, _ in parts], strict=True)
        if parent := sides.get(folded(table)):
            to = named if named[0] else parent.old.key_names
            if len(to) == len(own) and {*map(folded, to)} <= parent.old.by_name.keys():
                yield Reference(child, parent, tuple(zip(own, to, strict=True)), on_delete)


def _named(connection: Connection, references: Sequence[Reference]) -> Finding | None:
    """Return a finding for the first foreign key that explains the loss; dropped parents are tried before lost ones."""
    dropped = [each for each in references if each.parent.was_dropped]
    for reference in dropped:
        if lost := _lost(connection, reference, reference.parents):
            name = reference.parent.old.name
            return _finding(reference, lost, f"{name} was dropped with foreign keys on", _OFF.format(name))
    for reference in references:
        if lost := _lost(connection, reference, reference.lost_parents):
            parent = reference.parent.found
            why = f"{parent.removed:,} of {parent.before or 0:,} rows of {parent.name} are gone"
            return _finding(reference, lost, why, _ELSEWHERE.format(declaration(reference.child.found)))
    return None


def _lost(connection: Connection, reference: Reference, parents: str) -> int:
    """Count the rows lost with these parents: 0 unless they are all their children, and nothing else is lost."""
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
    what = "references are NULL now" if reference.on_delete == "SET NULL" else "rows are lost by cascade"
    name = reference.child.old.name
    return Finding(name, f"{count:,} {what}: {reference}, because {why}", remedy)
