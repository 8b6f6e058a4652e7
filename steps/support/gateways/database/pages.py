"""Read a database page by page, as it is at one moment: the pages of its file, or its rows as SQL text.

The pages of the file are every byte of it, so nothing has to be written anew. Measured on sqld 0.24.32: 1 million rows
of ten columns in 0.7 s, in which `/dump` takes 4 s. The server's dump also changes what it carries: REAL values in
columns without a type, implicit rowids, FTS5 options in quotes.

The text is a backup, and also the copy if the server does not give the pages of its file. Every value keeps its type
and its bytes, and every row keeps its rowid.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from steps.support.core.errors import Rejected
from steps.support.gateways.database.hrana_stream import TooLarge
from steps.support.gateways.database.hrana_wire import unreadable
from steps.support.gateways.database.protocol import Moment
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import literal, quoted

MOST_ROWS = 20_000  # per page
AIM = 3 << 20  # bytes that an answer should have; the limits are 5 MB for a value and 10 MB for an answer
PIECE = 1 << 20  # bytes of one piece, about

_OBJECTS = """SELECT type, name, sql FROM sqlite_schema
  WHERE sql NOT NULL AND name NOT GLOB 'sqlite_*' ORDER BY type <> 'table', rowid"""
_VERSION = "SELECT user_version FROM pragma_user_version"
_COLUMNS = """SELECT m.name, EXISTS (SELECT 1 FROM pragma_index_list(m.name) WHERE origin = 'pk'), l.wr, c.name, c.pk
  FROM sqlite_schema m, pragma_table_list(m.name) l, pragma_table_xinfo(m.name) c
  WHERE m.type = 'table' AND l.schema = 'main' AND c.hidden = 0
  AND m.name NOT GLOB 'sqlite_stat*' AND l.type <> 'virtual' ORDER BY m.rowid, c.cid"""
_SEQUENCE = "sqlite_sequence"
_NOT_ASCII = "'*[^' || char(1) || '-' || char(127) || ']*'"
_TERMS = 100  # columns joined in one expression, which may be nested 1000 levels deep
_FIRST = "SELECT length(data) FROM sqlite_dbpage WHERE pgno = 1"
_SIZE = "SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()"
_PAGES = """WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
SELECT group_concat(hex(data), '') FROM n CROSS JOIN sqlite_dbpage ON pgno = n.i"""
_SIZES = [1 << bits for bits in range(9, 17)]  # bytes of a page


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its columns except computed ones, and the columns by which its rows are ordered.

    `rowid`: a name of the rowid, if none of the columns is the rowid, so that it must be written beside them; else it
    is empty.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    rowid: str

    @property
    def written(self) -> tuple[str, ...]:
        """The columns whose values are written."""
        return (self.rowid, *self.columns) if self.rowid else self.columns

    @property
    def insert(self) -> str:
        """The beginning of each row's INSERT."""
        named = f"({','.join(map(quoted, self.written))})" if self.rowid else ""
        return f"INSERT INTO {quoted(self.name)}{named} VALUES("

    def page(self, after: str, most: int) -> Statement:
        """Build the query for at most `most` rows after the key `after`.

        It returns the text of the rows, their count, and the last key.
        """
        order = ", ".join(map(quoted, self.key))
        where = f" WHERE ({order}) > ({after})" if after else ""
        sql = f"""WITH page AS MATERIALIZED (SELECT {_row_sql(self.written)} AS row, {_row_sql(self.key)} AS key
  FROM {quoted(self.name)}{where} ORDER BY {order} LIMIT ?)
SELECT group_concat(row, ?), count(*), (SELECT key FROM page LIMIT 1 OFFSET (SELECT count(*) FROM page) - 1)
FROM page"""
        return Statement(sql, (most, f");\n{self.insert}"), f"reading table {self.name}")


async def text_pages(stream: Moment, written: Callable[[str], str] = str) -> AsyncGenerator[bytes, None]:
    """Yield the text in pieces. Raise the errors of the moment.

    The text is complete only if it ends with `COMMIT;`. `written`: returns a definition as it is written in the text.
    """
    objects = await _typed_rows(stream, Statement(_OBJECTS), str, str, str)
    columns = await _typed_rows(stream, Statement(_COLUMNS), str, int, int, str, int)
    tables = {table.name: table for table in _tables(columns)}
    versions = await _typed_rows(stream, Statement(_VERSION), int)
    yield b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
    for _, name, sql in (each for each in objects if each[0] == "table"):
        yield _definition(name, written(sql), virtual=name not in tables)
        if name in tables:
            async for piece in _rows(stream, tables[name]):
                yield piece
    if _SEQUENCE in tables:
        yield b"DELETE FROM sqlite_sequence;\n"
        async for piece in _rows(stream, tables[_SEQUENCE]):
            yield piece
    await stream.close()  # while the reader builds an index, it would expire; after an error, the server closes it
    for _, name, sql in (each for each in objects if each[0] != "table"):
        yield _definition(name, written(sql), virtual=False)
    for (version,) in versions:
        yield f"PRAGMA user_version={version};\n".encode() if version else b""
    yield b"PRAGMA writable_schema=OFF;\nCOMMIT;\n"


async def _rows(stream: Moment, table: Table) -> AsyncGenerator[bytes, None]:
    after, most = "", MOST_ROWS
    while True:
        try:
            ((rows, count, last),) = await _typed_rows(stream, table.page(after, most), str | None, int, str | None)
        except TooLarge:
            if most == 1:
                raise
            most = max(1, most // 2)
            continue
        if count:
            yield f"{table.insert}{rows!s});\n".encode()
        if count < most:
            return
        after, most = last, min(MOST_ROWS, max(1, AIM * most // stream.received))


async def _typed_rows(stream: Moment, statement: Statement, *kinds: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement. Raise Unknown if their values are not of these kinds."""
    rows = (await stream.rows(statement)).values
    for row in rows:
        if len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
            raise unreadable(stream.address, cause="its rows do not match the query")
    return list(rows)


def _definition(name: str, sql: str, *, virtual: bool) -> bytes:
    if not virtual:
        comment = "--" in sql[sql.rfind("\n") + 1 :]  # it would hide the semicolon
        return (sql + ("\n;\n" if comment else ";\n")).encode()
    row = f"'table',{literal(name)},{literal(name)},0,{literal(sql)}"
    insert = f"INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES({row});"
    return f"PRAGMA writable_schema=ON;\n{insert}\n".encode()


def _tables(columns: Iterable[tuple[Any, ...]]) -> Iterator[Table]:
    for (name, has_index, without_rowid), group in groupby(columns, lambda row: row[:3]):
        positions = [(column, position) for *_, column, position in group]
        names = tuple(column for column, _ in positions)
        primary = tuple(column for column, position in sorted(positions, key=itemgetter(1)) if position)
        rowid = "" if without_rowid else _rowid(names)
        is_numbered = bool(primary) and not has_index
        yield Table(name, names, ((rowid,) if rowid else primary) or names, "" if is_numbered else rowid)


def _rowid(columns: Iterable[str]) -> str:
    """Return a name of the rowid that no column has. If columns have all of them, the rowid cannot be read."""
    taken = {column.lower() for column in columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), "")


def _row_sql(columns: tuple[str, ...]) -> str:
    """Build the expression that returns the values of columns as SQL literals, separated by commas."""
    values = [_value_sql(quoted(column)) for column in columns]
    groups = (" || ',' || ".join(values[start : start + _TERMS]) for start in range(0, len(values), _TERMS))
    return " || ',' || ".join(f"({group})" for group in groups)


def _value_sql(column: str) -> str:
    """Build the expression for one value as an SQL literal.

    `quote` alone is not enough: it cuts text at a NUL, and writes infinity as Inf. And an answer holds only text that
    is UTF-8.
    """
    plain = f"NOT instr({column}, char(0)) AND {column} NOT GLOB {_NOT_ASCII}"
    text = f"iif({plain}, quote({column}), 'CAST(' || quote(CAST({column} AS BLOB)) || ' AS TEXT)')"
    real = f"replace(quote({column}), 'Inf', '9e999')"
    return f"CASE typeof({column}) WHEN 'text' THEN {text} WHEN 'real' THEN {real} ELSE quote({column}) END"


_FORMATS = slice(18, 20)  # of the first page: 2, 2 if the file has a write-ahead log beside it
_WITHOUT_LOG = b"\1\1"


async def gives_pages(stream: Moment) -> bool:
    """Return True if the server lets the pages of its file be read."""
    try:
        rows = await stream.rows(Statement(_FIRST, name="whether the file's pages can be read"))
    except Rejected:
        return False
    return bool(rows.scalar)


async def file_pages(stream: Moment) -> AsyncGenerator[bytes, None]:
    """Yield the file in pieces, as a database without a write-ahead log, then close the stream."""
    pages, bytes_each = await _size(stream)
    at_once = max(1, PIECE // bytes_each)
    for first in range(1, pages + 1, at_once):
        last = min(first + at_once - 1, pages)
        content = _bytes(
            stream, (await stream.rows(Statement(_PAGES, (first, last), "reading the file's pages"))).scalar
        )
        if len(content) != (last - first + 1) * bytes_each:
            raise unreadable(stream.address, cause=f"pages {first} to {last} are not whole")
        if first == 1:
            content[_FORMATS] = _WITHOUT_LOG
        yield bytes(content)
    await stream.close()


async def _size(stream: Moment) -> tuple[int, int]:
    """Return the number of pages and the bytes of each."""
    match (await stream.rows(Statement(_SIZE, name="the size of the file"))).values:
        case ((int(pages), int(size)),) if 0 < pages < 1 << 32 and size in _SIZES:
            return pages, size
    raise unreadable(stream.address, cause="the size of its file is none that a file can have")


def _bytes(stream: Moment, text: object) -> bytearray:
    try:
        return bytearray.fromhex(str(text))
    except ValueError:
        raise unreadable(stream.address, cause="a page is not hexadecimal") from None
