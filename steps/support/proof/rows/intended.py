"""Which changed values a script explains by itself, so that no `-- changes:` line has to declare them.

An UPDATE that names the table, the column and the rows says what it does. It explains the values of a column if nothing
is lost unnamed: each value was NULL, or the new value is computed from the previous one, or WHERE names the previous
one. For the last two, nothing else in the script, and no trigger, may write to that column, and no value may become
NULL that the statement does not name: a lookup that finds nothing does that, and a CASE without ELSE. A rebuild
explains values that were NULL if it fills the column from itself, by name, as coalesce(name, '') does, and the column
lets in no NULL any more: without that need, NULL would have been right, too.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise

from steps.support.proof.rows.result import TableDiff
from steps.support.sql.script import Script
from steps.support.sql.tokens import folded, tokenize
from steps.support.sql.verbs import Reading, makes_trigger, read_statement, unquoted

_WRITES = frozenset({
    "CREATE TABLE", "DROP TABLE", "RENAME TABLE", "RENAME COLUMN", "ALTER TABLE", "INSERT", "UPDATE", "DELETE",
})  # fmt: skip
_NAMES = frozenset({"word", "name", "string"})


@dataclass(frozen=True, slots=True)
class _Body:
    """What a trigger does: the tables in which it adds or changes rows, and every name that it mentions."""

    writes: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, sql: str) -> "_Body":
        """Read the SQL of a trigger."""
        tokens = [token for token in tokenize(sql) if token.kind != "comment"]
        names = [unquoted(token.text) if token.kind in _NAMES else token.text for token in tokens]
        writes = {name for before, name in pairwise(names) if before in {"into", "update"}}
        # UPDATE OR IGNORE t
        writes |= {
            name for first, _, _, name in zip(names, names[1:], names[2:], names[3:], strict=False) if first == "update"
        }
        return cls(frozenset(writes), frozenset(names))


def explained_columns(
    script: Script, triggers: Iterable[str], diff: Mapping[str, TableDiff], not_null: Mapping[str, Collection[str]]
) -> dict[str, set[str]]:
    """Return, for each table by its lower-case name, the changed columns whose values the script explains.

    `triggers`: the SQL of the triggers that exist before or after. `not_null`: by table, the columns that let in no
    NULL after the script; all names are in lower case.
    """
    readings = [read_statement(piece) for piece in script.pieces]
    made = (piece.statement.sql for piece in script.pieces if makes_trigger(piece))
    bodies = [_Body.of(sql) for sql in dict.fromkeys((*triggers, *made))]
    return {
        name: _explained(name, found, readings, bodies, not_null.get(name, ()))
        for name, found in diff.items()
        if found.columns
    }


def _explained(
    table: str, found: TableDiff, readings: Sequence[Reading], triggers: Sequence[_Body], not_null: Collection[str]
) -> set[str]:
    writing = [each for each in readings if each.verb in _WRITES and table in {each.table, each.renamed}]
    updates = [(each, _assigned(each)) for each in writing if each.verb == "UPDATE" and each.where]
    unsaid = {*map(folded, found.emptied)} - {name for each, _ in updates for name in _emptied(each)}
    may_fill = {*_filled(readings, _names_of(table, readings), not_null)}
    columns = set[str]()
    for name, changed in ((folded(each), count) for each, count in found.columns.items()):
        own = [assigned[name] for _, assigned in updates if name in assigned]
        is_filled = changed == next((n for each, n in found.filled.items() if folded(each) == name), 0)
        in_trigger = any(table in body.writes and name in body.names for body in triggers)
        is_kept = all(own) and not in_trigger and all(_leaves(each, name, updates) for each in writing)
        if (is_filled and name in may_fill) or (own and is_kept and name not in unsaid):
            columns.add(name)
    return columns


def _names_of(table: str, readings: Sequence[Reading]) -> set[str]:
    """Return the names that a table has in the course of the script, before it is renamed."""
    names = {table}
    for each in reversed(readings):
        if each.verb == "RENAME TABLE" and each.renamed in names:
            names.add(each.table)
    return names


def _filled(readings: Sequence[Reading], names: Collection[str], not_null: Collection[str]) -> Iterator[str]:
    """Yield the columns that an UPDATE with WHERE sets, or that an INSERT has to compute from that of the same name."""
    for each in readings:
        if each.table in names and each.verb == "UPDATE" and each.where:
            yield from _assigned(each)
        elif each.table in names and each.verb == "INSERT":
            yield from _carried(each) & {*not_null}


def _carried(reading: Reading) -> set[str]:
    parser = import_module("steps.support.proof.lint.parser")
    tree = parser.parse(reading.sql)
    return parser.carried(tree) if tree is not None else set()


def _assigned(reading: Reading) -> dict[str, bool]:
    """Return the columns that an UPDATE sets, and whether each new value follows from the previous one."""
    parser = import_module("steps.support.proof.lint.parser")  # late, because it is slow and few scripts need it
    tree = parser.parse(reading.sql)
    return parser.assignments(tree) if tree is not None else {}


def _emptied(reading: Reading) -> set[str]:
    parser = import_module("steps.support.proof.lint.parser")
    tree = parser.parse(reading.sql)
    return parser.emptied(tree) if tree is not None else set()


def _leaves(reading: Reading, column: str, updates: Sequence[tuple[Reading, Mapping[str, bool]]]) -> bool:
    """Return True if a statement on the table does not change this column, except by an UPDATE that sets it."""
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
