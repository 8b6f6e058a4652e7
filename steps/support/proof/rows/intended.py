"""Find the changed values that a script explains by itself, so that no `-- changes:` line has to declare them.

An UPDATE with WHERE explains the values of a column in three cases: each value was NULL; or each new value is computed
from the previous one; or WHERE names the previous one. In the last two cases, no other statement and no trigger may
write to the column, and no value may become NULL unless the statement names NULL. (A lookup that finds nothing yields
NULL without naming it, and so does a CASE without ELSE.) An INSERT that copies a table explains values that were NULL
if the INSERT computes the column from the column of the same name, as in coalesce(name, ''), and if the column is NOT
NULL now.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from steps.support.proof.lint.row_rules import sql_parser
from steps.support.proof.rows.result import Kind, TableDiff
from steps.support.sql.script import Script
from steps.support.sql.statement import Value
from steps.support.sql.tokens import folded, tokenize
from steps.support.sql.verbs import Reading, makes_trigger, read_statement, unquoted

_WRITES = frozenset({
    "CREATE TABLE", "DROP TABLE", "RENAME TABLE", "RENAME COLUMN", "ALTER TABLE", "INSERT", "UPDATE", "DELETE",
})  # fmt: skip
_NAMES = frozenset({"word", "name", "string"})


@dataclass(frozen=True, slots=True)
class _Body:
    """The body of a trigger. `writes`: the tables whose rows it adds or changes. `names`: every word in it."""

    writes: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, sql: str) -> "_Body":
        """Read the body from the SQL of a trigger."""
        tokens = [token for token in tokenize(sql) if token.kind != "comment"]
        names = [unquoted(token.text) if token.kind in _NAMES else token.text for token in tokens]
        writes = {name for before, name in pairwise(names) if before in {"into", "update"}}
        # as in UPDATE OR IGNORE t
        writes |= {
            name for first, _, _, name in zip(names, names[1:], names[2:], names[3:], strict=False) if first == "update"
        }
        return cls(frozenset(writes), frozenset(names))


@dataclass(frozen=True, slots=True)
class Explained:
    """The changes that a script explains by itself. Names are in lower case.

    `columns`: by table, the columns whose changed values are explained. `tables`: the tables in which rows seem to be
    replaced by others, but an UPDATE explains every difference; such rows have another key now, or no key at all.
    """

    columns: Mapping[str, Collection[str]] = field(default_factory=dict)
    tables: Collection[str] = ()


def explained(
    script: Script, triggers: Iterable[str], diff: Mapping[str, TableDiff], not_null: Mapping[str, Collection[str]]
) -> Explained:
    """Return the changes that the script explains by itself.

    `triggers`: the SQL of the triggers that exist before or after the script. `not_null`: by table, the columns that
    are NOT NULL after the script. Names are in lower case.
    """
    readings = [read_statement(piece) for piece in script.pieces]
    made = (piece.statement.sql for piece in script.pieces if makes_trigger(piece))
    bodies = [_Body.of(sql) for sql in dict.fromkeys((*triggers, *made))]
    explains = {
        name: _Explains.of(name, readings, bodies, not_null.get(name, ()))
        for name, found in diff.items()
        if found.columns or found.removed
    }
    return Explained(
        {name: own.columns(diff[name]) for name, own in explains.items() if diff[name].columns},
        {name for name, own in explains.items() if own.is_replaced(diff[name])},
    )


@dataclass(frozen=True, slots=True)
class _Explains:
    """What the statements of a script do to one table.

    `filled`: the columns in which they replace NULL. `updated`: the columns that only UPDATEs write. `emptied`: the
    columns for which an UPDATE names NULL.
    """

    filled: Collection[str]
    updated: Collection[str]
    emptied: Collection[str]

    @classmethod
    def of(
        cls, table: str, readings: Sequence[Reading], triggers: Sequence[_Body], not_null: Collection[str]
    ) -> "_Explains":
        writing = [each for each in readings if each.verb in _WRITES and table in {each.table, each.renamed}]
        updates = [
            (each, sql_parser().assignments(each.sql)) for each in writing if each.verb == "UPDATE" and each.where
        ]
        updated = set[str]()
        for name in {column for _, assigned in updates for column in assigned}:
            own = [assigned[name] for _, assigned in updates if name in assigned]
            in_trigger = any(table in body.writes and name in body.names for body in triggers)
            if all(own) and not in_trigger and all(_leaves(each, name, updates) for each in writing):
                updated.add(name)
        filled = {*_filled(readings, _names_of(table, readings), not_null)}
        return cls(filled, updated, {name for each, _ in updates for name in sql_parser().emptied(each.sql)})

    def columns(self, found: TableDiff) -> set[str]:
        """Return the changed columns whose values are explained."""
        filled = {folded(each) for each, count in found.filled.items() if count == found.columns.get(each)}
        updated = {*self.updated} - ({*map(folded, found.emptied)} - {*self.emptied})
        return {
            name for name in map(folded, found.columns) if name in updated or (name in filled and name in self.filled)
        }

    def is_replaced(self, found: TableDiff) -> bool:
        """Return True if each row that is gone is there again, and differs in explained columns only."""
        gone, came = ([row for row in found.rows if row.kind is kind] for kind in (Kind.REMOVED, Kind.ADDED))
        if len(gone) != found.removed or len(gone) != len(came):
            return False
        updated = {
            name
            for name in self.updated
            if name in self.emptied
            or _nulls(name, (row.new for row in came)) <= _nulls(name, (row.old for row in gone))
        }
        own = {*updated, *(name for name in self.filled if all(row.old.get(name, 0) is None for row in gone))}
        return bool(own) and Counter(_apart_from(own, row.old) for row in gone) == Counter(
            _apart_from(own, row.new) for row in came
        )


def _nulls(column: str, rows: Iterable[Mapping[str, Value]]) -> int:
    return sum(row.get(column, 0) is None for row in rows)


def _apart_from(columns: Collection[str], values: Mapping[str, Value]) -> frozenset[tuple[str, type, Value]]:
    return frozenset((name, type(value), value) for name, value in values.items() if name not in columns)


def _names_of(table: str, readings: Sequence[Reading]) -> set[str]:
    """Return all names that a table has during the script. `table`: the name that it has at the end."""
    names = {table}
    for each in reversed(readings):
        if each.verb == "RENAME TABLE" and each.renamed in names:
            names.add(each.table)
    return names


def _filled(readings: Sequence[Reading], names: Collection[str], not_null: Collection[str]) -> Iterator[str]:
    """Yield the columns that an UPDATE with WHERE sets, or an INSERT computes from the column of the same name.

    `names`: the names of the table. `not_null`: its columns that are NOT NULL after the script; an INSERT counts only
    for these.
    """
    for each in readings:
        if each.table in names and each.verb == "UPDATE" and each.where:
            yield from sql_parser().assignments(each.sql)
        elif each.table in names and each.verb == "INSERT":
            yield from sql_parser().carried(each.sql) & {*not_null}


def _leaves(reading: Reading, column: str, updates: Sequence[tuple[Reading, Mapping[str, bool]]]) -> bool:
    """Return True if a statement leaves a column alone, or is an UPDATE that the parser could read."""
    words = [token.text.upper() for token in reading.piece.tokens]
    match reading.verb:
        case "UPDATE":
            return any(reading is each and assigned for each, assigned in updates) and not reading.conflict
        case "ALTER TABLE":
            return "ADD" in words[3:6] and words[5:6] != ["DROP"] and words[3:4] != ["DROP"]
        case "RENAME COLUMN":
            return column not in {reading.column, reading.renamed}
        case "INSERT":
            return not reading.conflict and "CONFLICT" not in words
        case _:
            return False
