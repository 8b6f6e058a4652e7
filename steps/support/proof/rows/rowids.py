"""Find rows that got another rowid, although an index, a trigger, a view or the app finds them by their rowid.

Only a rowid that is an INTEGER PRIMARY KEY is safe. If a script copies rows without naming the rowid, the engine gives
each copy a new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.proof.rows.keyed import has_key
from steps.support.proof.rows.pair import pair
from steps.support.proof.rows.rowid_reads import readers
from steps.support.proof.rows.tables import AFTER, BEFORE, Table, side_by_side, tables
from steps.support.schema.connection import Connection
from steps.support.schema.virtual import ROWIDS, virtual_tables
from steps.support.sql.findings import Finding
from steps.support.sql.script import Script
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import Token, folded, quoted, tokenize, unquoted_name
from steps.support.sql.verbs import Reading, read_statement

_CODE = f"SELECT type, name, tbl_name, sql FROM {AFTER}.sqlite_schema WHERE type IN ('trigger', 'view') ORDER BY name"
_TABLES = f"SELECT name FROM {AFTER}.sqlite_schema WHERE type IN ('table', 'view')"
_TRIED = 5  # rows without a key that are searched for under another rowid, by all their values


@dataclass(frozen=True, slots=True)
class Use:
    """Something that finds rows of a table by their rowid.

    `what`: its kind and name. `indexes`: the search indexes, in lower case, to which it passes the rowid.
    """

    what: str
    indexes: frozenset[str] = field(default_factory=frozenset)


def renumbered(before: Path, after: Path, script: Script, app: Sequence[Statement] = ()) -> list[Finding]:
    """Return a finding for each table whose rows got, or may get, other rowids although something finds them by rowid.

    `script`: the script that ran between the two files. `app`: the statements that the app sends. The call blocks. Both
    files must not change meanwhile.
    """
    readings = [read_statement(piece) for piece in script.pieces]
    with side_by_side(before, after) as connection:
        old, new = tables(connection, BEFORE), tables(connection, AFTER)
        both = sorted(old.keys() & new.keys())
        found = (_finding(connection, old[name], new[name], readings, app) for name in both)
        return [each for each in found if each]


def _finding(
    connection: Connection, old: Table, new: Table, readings: Sequence[Reading], app: Sequence[Statement]
) -> Finding | None:
    if not (old.root and old.rowid and new.rowid) or (old.is_numbered and new.is_numbered):
        return None
    name = folded(new.name)
    fresh = frozenset(_rebuilt(name, readings))
    uses = [use.what for use in _uses(connection, new) if not use.indexes or use.indexes - fresh]
    others = {folded(each) for (each,) in connection.execute(_TABLES)} - {name}
    uses += dict.fromkeys(readers(app, name, _hidden(new), others))
    if not uses:
        return None
    count, example = _moved(connection, old, new)
    may = not _has_rowid(name, readings) and _is_recreated(name, readings)
    rows = int(connection.execute(f"SELECT count(*) FROM {old.source}").fetchone()[0])
    if not count and not (may and rows):
        return None
    have = "has" if count == 1 else "have"
    got = f"{count:,} of {rows:,} rows {have} another rowid{example}" if count else "its rows may get other rowids"
    remedy = (
        f"Copy the rowid, too, by INSERT INTO {quoted(new.name)} (rowid, ...) SELECT rowid, ...; or rebuild what uses "
        "the rowid."
    )
    find = "finds" if len(uses) == 1 else "find"
    return Finding(
        new.name, f"{got}, and {', '.join(uses)} {find} rows by rowid", remedy, rule="rowid-renumbered", object=new.name
    )


def _moved(connection: Connection, old: Table, new: Table) -> tuple[int, str]:
    """Return how many rows have another rowid than before, and an example as text; empty if none is known."""
    two = pair(old, new)
    other = f"b.{old.rowid} <> a.{new.rowid}"
    if has_key(connection, two):
        sides = f"FROM {old.source} AS b CROSS JOIN {new.source} AS a ON {two.by_key} WHERE {other}"
        count, was, now = connection.execute(f"SELECT count(*), b.{old.rowid}, a.{new.rowid} {sides}").fetchone()
        return count, f", for example {was} became {now}" if count else ""
    sides = f"FROM {old.source} AS b JOIN {new.source} AS a ON a.{new.rowid} = b.{old.rowid} WHERE {two.differ}"
    (count,) = connection.execute(f"SELECT count(*) {sides}").fetchone()
    tried = f"(SELECT b.* , b.{old.rowid} AS _row {sides} LIMIT {_TRIED}) AS b"
    elsewhere = f"SELECT 1 FROM {tried} JOIN {new.source} AS a ON b._row <> a.{new.rowid} AND NOT {two.differ} LIMIT 1"
    return (count, "") if count and connection.execute(elsewhere).fetchone() else (0, "")


def _uses(connection: Connection, table: Table) -> Iterator[Use]:
    """Yield everything that finds rows of a table by a rowid that is not one of its columns."""
    indexes = {folded(each.name): each for each in virtual_tables(connection, AFTER)}
    own = {name for name, each in indexes.items() if folded(each.content or "") == folded(table.name)}
    for name in sorted(own):
        if folded(indexes[name].content_rowid) in _hidden(table):
            yield Use(f"{indexes[name].module} table {indexes[name].name}", frozenset({name}))
    for kind, name, host, sql in connection.execute(_CODE):
        words = [token for token in tokenize(sql) if token.kind != "comment"]
        if _reads_rowid(words, table, is_own=kind == "trigger" and folded(host) == folded(table.name)):
            yield Use(f"{kind} {name}", frozenset(own & set(_names(words))))


def _reads_rowid(tokens: Sequence[Token], table: Table, *, is_own: bool) -> bool:
    """Return True if a trigger or view reads the rowid of a table. `is_own`: whether it is a trigger of that table."""
    names, hidden = [*_names(tokens)], _hidden(table)
    qualified = {owner for owner, dot, name in zip(names, names[1:], names[2:], strict=False)
                 if dot == "." and name in hidden}  # fmt: skip
    if is_own and qualified & {"new", "old"}:
        return True
    return folded(table.name) in names and any(name in hidden for name in names) and not qualified & {"new", "old"}


def _hidden(table: Table) -> set[str]:
    """Return the names by which the rowid of a table can be read: those that are not names of columns."""
    return {name for name in ROWIDS if name not in table.by_name}


def _names(tokens: Sequence[Token]) -> Iterator[str]:
    return (folded(unquoted_name(token.text)) for token in tokens)


def _rebuilt(table: str, readings: Sequence[Reading]) -> Iterator[str]:
    """Yield the search indexes that a script creates, or rebuilds after its last statement on a table."""
    last = max((at for at, each in enumerate(readings) if table in {each.table, each.renamed}), default=-1)
    for at, each in enumerate(readings):
        words = {folded(token.text) for token in each.piece.tokens}
        is_anew = each.verb == "CREATE TABLE" and "virtual" in words
        if is_anew or (at > last and each.verb == "INSERT" and words & {"'rebuild'", '"rebuild"'}):
            yield each.table


def _is_recreated(table: str, readings: Sequence[Reading]) -> bool:
    made = {each.table for each in readings if each.verb == "CREATE TABLE"}
    return table in made | {each.renamed for each in readings if each.verb == "RENAME TABLE"}


def _has_rowid(table: str, readings: Sequence[Reading]) -> bool:
    """Return True if a statement of a script fills a table and names the rowid."""
    names = {table} | {each.table for each in readings if each.verb == "RENAME TABLE" and each.renamed == table}
    fills = (each for each in readings if each.verb == "INSERT" and each.table in names)
    return any(name in ROWIDS for each in fills for name in _names(each.piece.tokens))
