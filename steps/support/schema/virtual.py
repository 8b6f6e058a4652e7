"""Read virtual tables: their modules and options, the tables that store their rows, and the tables that they index."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from steps.support.schema.connection import Connection
from steps.support.schema.own_tables import vector_shadows
from steps.support.schema.reader import ENGINE_ERRORS
from steps.support.sql.tokens import Token, folded, tokenize, unquoted_name

ROWIDS = ("rowid", "_rowid_", "oid")

_VIRTUAL = "SELECT name, sql FROM {}.sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%' ORDER BY name"
_SHADOWS = "SELECT name FROM pragma_table_list WHERE schema = ? AND type = 'shadow'"
_COLUMNS = "SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden = 0 ORDER BY cid"
_SEARCH = frozenset({"fts3", "fts4", "fts5"})
_WITH_ROWS = _SEARCH | {"rtree", "rtree_i32"}


@dataclass(frozen=True, slots=True)
class VirtualTable:
    """A virtual table.

    `module`: the name of its module in lower case, such as fts5. `content`: the table or view whose rows it indexes;
    None if it stores rows itself, empty if it stores no rows at all. `content_rowid`: the column of `content` by which
    the index finds a row.
    """

    name: str
    module: str
    columns: tuple[str, ...]
    content: str | None = None
    content_rowid: str = "rowid"

    @property
    def has_rows(self) -> bool:
        """Return True if the table stores its rows itself, so that they can be compared."""
        return self.module in _WITH_ROWS and self.content is None

    @property
    def entries(self) -> str:
        """The table that has an entry for each row of a search index without rows; empty for any other table.

        An entry has the rowid and the number of words. The table is missing if an option of the index leaves it out.
        """
        return f"{self.name}_docsize" if self.module in _SEARCH and self.content == "" else ""


def virtual_tables(connection: Connection, schema: str = "main") -> list[VirtualTable]:
    """Read the virtual tables of a file, in the order of their names."""
    found = connection.execute(_VIRTUAL.format(schema)).fetchall()
    return [_virtual(connection, schema, name, sql) for name, sql in found]


def shadow_tables(connection: Connection, schema: str = "main") -> set[str]:
    """Return the names, in lower case, of the tables in which virtual tables and vector indexes store their data."""
    shadows = {folded(str(name)) for (name,) in connection.execute(_SHADOWS, (schema,))}
    return shadows | vector_shadows(connection, schema)


def unreadable(connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield the name of each virtual table that reads a missing table or column, and what is missing."""
    for table in virtual_tables(connection):
        if not table.content:
            continue
        columns = {folded(name) for name in _columns(connection, "main", table.content)}
        if not columns:
            yield table.name, f"it reads {table.content}, which does not exist"
            continue
        wanted = (*table.columns, *([] if folded(table.content_rowid) in ROWIDS else [table.content_rowid]))
        if gone := [name for name in wanted if folded(name) not in columns]:
            yield table.name, f"it reads {', '.join(gone)}, which {table.content} does not have"


def module_and_options(sql: str) -> tuple[str, dict[str, str]]:
    """Return the module of a CREATE VIRTUAL TABLE, and the values of its options by name, all names in lower case."""
    tokens = [token for token in tokenize(sql) if token.kind != "comment"]
    using = next((at for at, token in enumerate(tokens) if folded(token.text) == "using"), len(tokens) - 2)
    return folded(unquoted_name(tokens[using + 1].text)), dict(_options(tokens[using + 3 : -1]))


def _virtual(connection: Connection, schema: str, name: str, sql: str) -> VirtualTable:
    module, options = module_and_options(sql)
    columns = tuple(_columns(connection, schema, name))
    if module not in _SEARCH:
        return VirtualTable(name, module, columns)
    return VirtualTable(name, module, columns, options.get("content"), options.get("content_rowid", "rowid"))


def _columns(connection: Connection, schema: str, table: str) -> list[str]:
    with suppress(*ENGINE_ERRORS):  # a module that this engine does not have, or a view that cannot run
        return [str(name) for (name,) in connection.execute(_COLUMNS, (table, schema))]
    return []


def _options(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    for at, token in enumerate(tokens):
        begins = not at or tokens[at - 1].text == ","
        if begins and token.kind == "word" and [each.text for each in tokens[at + 1 : at + 2]] == ["="]:
            value = tokens[at + 2 : at + 3]
            yield folded(token.text), unquoted_name(value[0].text) if value and value[0].text != "," else ""
