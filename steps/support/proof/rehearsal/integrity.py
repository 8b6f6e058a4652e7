"""Check what the engine itself takes for granted: that rows keep their constraints, and that indexes are complete.

After libSQL's ALTER COLUMN, or after the schema was edited by hand, rows may break a new constraint. Then for example
`WHERE c IS NULL` finds no row, because the engine relies on NOT NULL. The checks run on the engine of the rehearsal,
which has the functions of the server. For a million rows of ten columns with two indexes, `quick_check` takes 0.25 s,
and `integrity_check`, which also reads the indexes, 1.1 s (measured on sqld 0.24.32).
"""

import json
import re
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from steps.support.core.text import counted
from steps.support.gateways.database.protocol import Database, StatementFailed
from steps.support.schema import definition
from steps.support.schema.own_tables import is_owned
from steps.support.schema.text import Name, identifier
from steps.support.schema.virtual import module_and_options
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.script import Script
from steps.support.sql.statement import Statement, Value
from steps.support.sql.tokens import folded, quoted
from steps.support.sql.verbs import read_statement

_TABLES = """SELECT t.name, t.type, t.wr, m.sql FROM pragma_table_list AS t JOIN sqlite_schema AS m USING (name)
WHERE t.schema = 'main' AND m.type = 'table' AND t.type IN ('table', 'virtual') ORDER BY t.name"""
_CHECK = "SELECT t.value, c.* FROM json_each(?) AS t, {}(t.value) AS c"
_MOST = 100  # messages about one table; then the engine stops

_NULL = re.compile(r"NULL value in (?P<column>.+)", re.DOTALL)
_KIND = re.compile(r"(?P<kind>(?:non-)?[A-Z]+) value in (?P<column>.+)", re.DOTALL)
_INDEX = re.compile(
    r"(?:row .+ missing from|wrong # of entries in|non-unique entry in|row .+ values differ from) index (.+)", re.DOTALL
)
_OF_INDEX = "index "
_STORED = {"INT": "integer", "INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"}
# an error without these words means that this engine lacks something it needs for the check; FTS5 answers `logic error`
# if its content table lacks a column
_OUT_OF_STEP = ("malformed", "no such table", "no such column", "logic error")

_FILL = "Fill the values in the same script, before it changes the column: UPDATE {0} SET {1} = ... WHERE {1} IS NULL"
_REFILL = "UPDATE {0} SET {1} = ... WHERE typeof({1}) = 'null'"
_FIT = "Correct these rows in the same script, before it adds the condition"
_CONVERT = "Convert the values in the same script, after it changes the column: UPDATE {0} SET {1} = CAST({1} AS ...)"
_REINDEX = "Drop the index before the script changes the column, and create it again afterwards"
_REBUILD = (
    "Rebuild the table in the same script, after its content table has all columns that the index reads: "
    "INSERT INTO {0} ({0}) VALUES ('rebuild')"
)
_LATER = "Repair it in this change or in a later one; the tool allows either."

Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Defect:
    """A fault in a table that the engine does not notice, such as NULL in a NOT NULL column.

    `column`: empty if the fault concerns the whole table. `kind`: an identifier of the fault, the same before and after
    a change. `what`: the fault in words. `rows`: the number of rows with the fault; None if they cannot be counted.
    `example`: how to find one of these rows. `condition`: the SQL condition that finds all these rows; empty if no
    condition does.
    """

    table: str
    column: str
    kind: str
    what: str
    remedy: str
    rows: int | None = None
    example: str = ""
    condition: str = ""

    @property
    def place(self) -> str:
        """Return the table, and the column if there is one, as `table.column`."""
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        """Return the number of rows, the fault, and an example, in one line."""
        at_least = "at least " if self.rows == _MOST else ""
        rows = "" if self.rows is None else f"{at_least}{counted(self.rows, 'row')}: "
        return f"{rows}{self.what}{self.example and f', for example the row with {self.example}'}"


@dataclass(frozen=True, slots=True)
class Integrity:
    """The result of a check. `defects`: the faults found. `checked`: the names of the checked tables, in lower case."""

    defects: tuple[Defect, ...] = ()
    checked: frozenset[str] = frozenset()

    @property
    def is_of_indexes(self) -> bool:
        """Return True if one of the defects concerns an index."""
        return any(each.kind.startswith(_OF_INDEX) for each in self.defects)

    def with_those_of(self, other: "Integrity") -> "Integrity":
        """Return one result with the defects of this check, then those of `other`, and with the tables of both."""
        return Integrity((*self.defects, *other.defects), self.checked | other.checked)


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    sql: str
    is_virtual: bool
    key: str  # rowid, or the first column of the primary key if the table has no rowid

    @property
    def module(self) -> str:
        """Return the module of a virtual table in lower case; empty for an ordinary table."""
        return module_and_options(self.sql)[0] if self.is_virtual else ""

    @property
    def content(self) -> str | None:
        """Return the table or view whose rows a virtual table indexes; empty if the virtual table stores no rows.

        Return None if the table, virtual or not, stores its rows itself.
        """
        return module_and_options(self.sql)[1].get("content") if self.is_virtual else None


async def check_integrity(database: Database, touched: Collection[str] | None = None, *, indexes: bool) -> Integrity:
    """Check tables of a database, and return their defects.

    `touched`: the names of the tables to check, in lower case; None for all tables. If a table is checked, a virtual
    table that indexes it is checked, too. `indexes`: whether to check also that each index has an entry for each row,
    in the right order.
    """
    found_tables = await _tables(database)
    names = {folded(each.name) for each in found_tables}
    tables = [each for each in found_tables if touched is None or _is_touched(each, touched, names)]
    plain = {each.name: each for each in tables if not each.is_virtual}
    check = _CHECK.format("pragma_integrity_check" if indexes else "pragma_quick_check")
    rows = (await database.query(Statement(check, (json.dumps([*plain]),)))).values
    found: list[Defect] = []
    for name, table in plain.items():
        found += await _defects(database, table, [str(line) for of, line in rows if of == name and line != "ok"])
    for table in tables:
        found += await _out_of_step(database, table) if table.is_virtual else []
    return Integrity(tuple(found), frozenset(folded(each.name) for each in tables))


async def _tables(database: Database) -> list[_Table]:
    rows = (await database.query(Statement(_TABLES))).values
    return [
        _Table(str(name), str(sql), kind == "virtual", _key(str(sql)) if wr else "rowid")
        for name, kind, wr, sql in rows
        if not is_owned(str(name))
    ]


def _key(sql: str) -> str:
    """Return the first column of the primary key of a WITHOUT ROWID table, quoted."""
    for each in definition.elements(sql):
        if "primary" in each.words:
            listed = next((item for item in each.parts if isinstance(item, tuple)), ())
            return quoted(each.column or (identifier(listed[0]) if listed else ""))
    return "NULL"


def _is_touched(table: _Table, touched: Collection[str], names: Collection[str]) -> bool:
    """Return True if a table is in `touched`, or is a virtual table that uses a table in `touched` for its rows.

    `names`: the names of all tables. A virtual table that reads a view counts as using every table.
    """
    name, content = folded(table.name), folded(table.content or "")
    reads_any = bool(content and content not in names and touched)
    stores = any(each.startswith(f"{name}_") for each in touched) if table.is_virtual else False
    return name in touched or content in touched or reads_any or stores


async def _defects(database: Database, table: _Table, lines: Sequence[str]) -> list[Defect]:
    """Return a defect, with its number of rows, for each kind of message that the engine gives about a table."""
    found: list[Defect] = []
    for line, times in _grouped(lines).items():
        if line.startswith("CHECK constraint failed"):
            found += [each async for each in _broken_checks(database, table)]
            continue
        defect, condition = _read(table, line, times)
        measured = await _counted(database, table, defect, condition) if condition else defect
        # SQLite 3.40 to 3.54 reports false defects in generated columns, and in keys that are not the first column
        found += [] if condition and measured.rows == 0 else [measured]
    return [*dict.fromkeys(found)]


def _read(table: _Table, line: str, times: int) -> tuple[Defect, str]:
    """Return the defect that a message of the engine reports, and the condition that finds its rows.

    The condition is empty if no condition finds the rows. `times`: how many times the engine gave the message.
    """
    name = table.name
    if match := _NULL.fullmatch(line):
        column = match["column"].removeprefix(f"{name}.")
        what = f"NULL in {column}, which is NOT NULL: WHERE {column} IS NULL does not find it"
        # IS NULL would find nothing, because the engine relies on NOT NULL
        return Defect(name, column, "null", what, _FILL.format(name, column)), f"typeof({quoted(column)}) = 'null'"
    if match := _KIND.fullmatch(line):
        column = match["column"].removeprefix(f"{name}.")
        what = f"{match['kind']} value in {column}, whose type does not allow it: comparisons do not find the value"
        defect = Defect(name, column, "type", what, _CONVERT.format(name, column), times)
        return defect, _stored_otherwise(match["kind"], quoted(column))
    if match := _INDEX.fullmatch(line):
        what = f"index {match[1]} lacks rows, or has them out of order: queries that use the index miss rows"
        return Defect(name, "", f"{_OF_INDEX}{match[1]}", what, _REINDEX), ""
    return Defect(name, "", line, f"integrity_check says: {line}", "Load the table from a dump"), ""


def _grouped(lines: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return counts


def _stored_otherwise(kind: str, column: str) -> str:
    """Return the condition that finds values of a wrong type; empty if no condition can find them.

    `kind`: the type as the engine's message names it.
    """
    if kind == "NUMERIC":
        return f"typeof({column}) IN ('integer', 'real')"
    if kind == "TEXT":  # a text that the engine should have converted, because the column is for numbers
        return f"typeof({column}) = 'text' AND CAST({column} AS NUMERIC) = ({column} || '')"
    stored = _STORED.get(kind.removeprefix("non-")) if kind.startswith("non-") else None
    return f"typeof({column}) NOT IN ('{stored}', 'null')" if stored else ""


async def _broken_checks(database: Database, table: _Table) -> AsyncIterator[Defect]:
    elements = definition.elements(table.sql)
    columns = {each.column for each in elements if each.column}
    for condition in definition.checks(elements, columns):
        named = columns & {*map(Name, re.findall(r"\w+", condition))}
        column = str(*named) if len(named) == 1 else ""
        defect = Defect(table.name, column, f"check {condition}", f"CHECK ({condition}) does not hold", _FIT)
        found = await _counted(database, table, defect, f"NOT ({condition})")
        if found.rows != 0:
            yield found


async def _counted(database: Database, table: _Table, defect: Defect, condition: str) -> Defect:
    """Return a defect with its number of rows and an example, or unchanged if the engine cannot count the rows."""
    sql = f"SELECT count(*), min({table.key}) FROM {quoted(table.name)} WHERE {condition}"
    try:
        ((rows, one),) = (await database.query(Statement(sql))).values
    except StatementFailed:
        return defect
    return replace(defect, rows=int(str(rows)), example=_example(table.key, one), condition=condition)


def _example(key: str, value: Value) -> str:
    return "" if value is None else f"{key} {value if isinstance(value, int) else '***'}"


async def _out_of_step(database: Database, table: _Table) -> list[Defect]:
    """Return a list with one defect if a virtual table's own check fails; empty if it passes or there is no check."""
    name, module = quoted(table.name), table.module
    if module in {"rtree", "rtree_i32", "geopoly"}:
        try:
            said = str((await database.query(Statement("SELECT rtreecheck(?)", (table.name,)))).scalar)
        except StatementFailed:
            return []
        remedy = "Create and fill the table again"
        return [] if said == "ok" else [Defect(table.name, "", "own check", f"its own check fails: {said}", remedy)]
    checks = {"fts5": f"INSERT INTO {name} ({name}, rank) VALUES ('integrity-check', 1)"}
    checks |= dict.fromkeys(("fts3", "fts4"), f"INSERT INTO {name} ({name}) VALUES ('integrity-check')")
    if module not in checks or (module == "fts4" and table.content == ""):
        return []
    (error,) = await database.trials([[Statement(checks[module])]])
    if not error or not any(words in error for words in _OUT_OF_STEP):
        return []
    return [
        Defect(
            table.name,
            "",
            "own check",
            "its own check fails: the index and the content differ",
            _REBUILD.format(table.name),
        )
    ]


def new_defects(before: Integrity, after: Integrity, migrate: Script) -> Iterator[Finding]:
    """Yield a finding for each defect that is new, or that more rows have after the change than before."""
    tables, columns = _former_names(migrate)
    was = {_identity(each): each for each in before.defects}
    for each in after.defects:
        old = was.get(_identity(each)) or was.get(_identity(_renamed(each, tables, columns)))
        if old is None or (each.rows or 0) > (old.rows or 0):
            since = "" if old is None else f"; before the change, {counted(old.rows or 0, 'row')} had this defect"
            yield Finding(each.place, f"{each}{since}", f"{each.remedy}.")


def old_defects(before: Integrity, after: Integrity | None) -> Iterator[Finding]:
    """Yield a warning for each defect that existed before the change, unless the change repairs it."""
    left = {_identity(each) for each in after.defects} if after else set()
    for each in before.defects:
        if after is None or folded(each.table) not in after.checked or _identity(each) in left:
            mend = f" {_REFILL.format(each.table, each.column)}." if each.kind == "null" else ""
            cause = f"{each}. The defect existed before the change, and does not block it"
            yield Finding(each.place, cause, f"{_LATER}{mend}", severity=Severity.WARNING)


def _identity(defect: Defect) -> tuple[str, str, str]:
    """Return what identifies a defect before and after a change: its table, its column and its kind."""
    return folded(defect.table), folded(defect.column), folded(defect.kind)


def _renamed(defect: Defect, tables: Names, columns: Names) -> Defect:
    """Return the defect with the names that its table and columns had before the change."""
    table = tables.get(folded(defect.table), folded(defect.table))
    kind = re.sub(r"\w+", lambda word: columns.get(folded(word[0]), word[0]), defect.kind)
    return replace(defect, table=table, column=columns.get(folded(defect.column), defect.column), kind=kind)


def _former_names(migrate: Script) -> tuple[Names, Names]:
    """Return the former names of tables, and those of columns, by the new names that a script gives them."""
    tables, columns = dict[str, str](), dict[str, str]()
    for each in map(read_statement, migrate.pieces):
        if each.verb == "RENAME TABLE":
            tables[each.renamed] = tables.get(each.table, each.table)
        elif each.verb == "RENAME COLUMN":
            columns[each.renamed] = columns.get(each.column, each.column)
    return tables, columns


def alters_columns(scripts: Iterable[Script]) -> bool:
    """Return True if a script uses libSQL's ALTER COLUMN, which may leave an index in the wrong order."""
    words = ([token.text.upper() for token in piece.tokens] for script in scripts for piece in script.pieces)
    return any(each[:2] == ["ALTER", "TABLE"] and "ALTER" in each[2:] for each in words)
