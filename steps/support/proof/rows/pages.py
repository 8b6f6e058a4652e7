"""Prove that rows did not change, by comparing pages of two files: equal pages of a table hold equal rows.

A table whose pages are all equal need not be read. Of any other table, only the rows on pages that differ are read. The
file format is described at https://sqlite.org/fileformat2.html. Comparing the pages of 5 million rows of ten columns
took half a second.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from steps.support.proof.rows.tables import AFTER, BEFORE, Table, side_by_side
from steps.support.schema.connection import Connection
from steps.support.schema.reader import ENGINE_ERRORS
from steps.support.schema.virtual import virtual_tables
from steps.support.sql.tokens import folded

Ranges = tuple[tuple[int, int], ...]

_BLOCK = 1 << 20  # bytes read at once; a multiple of every page size
_SAME_READING = (slice(16, 18), slice(20, 21), slice(44, 48), slice(56, 60))  # page size, reserve, format, encoding
_PAGES = "SELECT pageno, path, pagetype FROM dbstat WHERE name = ? AND schema = ?"  # including pages of long values
_SHADOWS = """SELECT m.name, m.sql, m.rootpage
FROM {0}.sqlite_schema AS m JOIN pragma_table_list AS l ON l.name = m.name
WHERE l.schema = '{0}' AND l.type = 'shadow' AND m.type = 'table' AND m.rootpage > 0 ORDER BY m.name"""
_LEAF = 0x0D  # the first byte of a page with rows
_MOST = 64  # ranges of rows, at most; with more of them, reading the whole table is as fast


@dataclass(frozen=True, slots=True)
class Pages:
    """Two files, compared page by page.

    `size`: the size of a page in bytes. `changed`: one byte for each page of `before`, 1 if the same page of `after`
    differs, else 0; empty if the files cannot be compared page by page.
    """

    before: Path
    after: Path
    size: int
    changed: bytes

    @classmethod
    def of(cls, before: Path, after: Path) -> "Pages":
        """Compare two files page by page."""
        with before.open("rb") as old, after.open("rb") as new:
            heads = [file.read(100) for file in (old, new)]
            if not heads[0] or any(heads[0][part] != heads[1][part] for part in _SAME_READING):
                return cls(before, after, 0, b"")
            stored = int.from_bytes(heads[0][16:18], "big")
            size = 65536 if stored == 1 else stored
            return cls(before, after, size, _changed(old, new, size))

    def is_same(self, page: int) -> bool:
        """Return True if the page with this number, counted from 1, is equal in both files."""
        return page <= len(self.changed) and not self.changed[page - 1]


def differing(connection: Connection, old: Table, new: Table, pages: Pages) -> Ranges | None:
    """Return the ranges of rowids in which the rows of a table may differ.

    The result is empty if the whole table and its definition are equal. It is None if rows may differ anywhere, or if
    the engine was built without `dbstat`.
    """
    if not pages.changed or (old.sql, old.root) != (new.sql, new.root):
        return None
    if not old.root:  # a virtual table
        return () if has_same_shadows(connection, old.name, pages) else None
    try:
        was = connection.execute(_PAGES, (old.name, BEFORE)).fetchall()
        if all(pages.is_same(page) for page, *_ in was):
            return ()
        now = connection.execute(_PAGES, (new.name, AFTER)).fetchall()
    except ENGINE_ERRORS:
        return None
    same = {page for page, *_ in was if pages.is_same(page)} & {page for page, *_ in now}
    sides = ((pages.before, was), (pages.after, now))
    found = [_spans(file, [*_touched(side, same)], pages.size) for file, side in sides] if old.rowid else [None]
    joined = _joined(span for spans in found for span in spans or ())
    return None if None in found or not 0 < len(joined) <= _MOST else joined


def changed_virtual_tables(before: Path, after: Path) -> set[str]:
    """Return the names, in lower case, of the virtual tables of `after` whose stored data differs from `before`.

    The call blocks. Both files must not change meanwhile.
    """
    with side_by_side(before, after) as connection:
        if not (found := virtual_tables(connection, AFTER)):
            return set()
        pages = Pages.of(before, after)
        return {folded(each.name) for each in found if not has_same_shadows(connection, each.name, pages)}


def has_same_shadows(connection: Connection, name: str, pages: Pages) -> bool:
    """Return True if the tables in which a virtual table stores its data are equal, page by page."""
    was, now = (
        [each for each in connection.execute(_SHADOWS.format(schema)) if folded(each[0]).startswith(f"{folded(name)}_")]
        for schema in (BEFORE, AFTER)
    )
    if not pages.changed or not was or was != now:
        return False
    try:
        stored = [page for shadow, *_ in was for page, *_ in connection.execute(_PAGES, (shadow, BEFORE)).fetchall()]
    except ENGINE_ERRORS:
        return False
    return all(map(pages.is_same, stored))


def _touched(pages: Iterable[tuple[int, str, str]], same: Collection[int]) -> Iterator[int]:
    """Yield the pages with rows that differ, or whose long values continue on a page that differs."""
    rows = list(pages)
    leaves = {path: page for page, path, kind in rows if kind == "leaf"}
    # dbstat's path of an overflow page: the leaf's path, the number of the row, a +, and the page's own number
    long = {path[: path.rindex("/") + 1] for page, path, kind in rows if kind == "overflow" and page not in same}
    yield from (page for path, page in leaves.items() if page not in same or path in long)


def _spans(file: Path, pages: Collection[int], size: int) -> list[tuple[int, int]] | None:
    """Return the first and the last rowid on each page; None if a page does not contain rows."""
    spans = []
    with file.open("rb") as opened:
        for page in pages:
            opened.seek((page - 1) * size)
            content = opened.read(size)
            if content[0] != _LEAF:
                return None
            if cells := int.from_bytes(content[3:5], "big"):
                spans.append((_rowid(content, 0), _rowid(content, cells - 1)))
    return spans


def _rowid(page: bytes, cell: int) -> int:
    """Return the rowid of the row in a cell of a page."""
    start = int.from_bytes(page[8 + 2 * cell : 10 + 2 * cell], "big")
    _, start = _varint(page, start)
    number, _ = _varint(page, start)
    return number - (1 << 64) if number >> 63 else number


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """Read a number of one to nine bytes, and return it with the offset after it."""
    number = 0
    for place in range(at, at + 8):
        number = number << 7 | page[place] & 0x7F
        if page[place] < 0x80:  # noqa: PLR2004 - this bit says that another byte follows
            return number, place + 1
    return number << 8 | page[at + 8], at + 9


def _joined(spans: Iterable[tuple[int, int]]) -> Ranges:
    """Return the ranges in ascending order; ranges that touch or overlap become one."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def _changed(old: BinaryIO, new: BinaryIO, size: int) -> bytes:
    marks = bytearray()
    old.seek(0)
    new.seek(0)
    while block := old.read(_BLOCK):
        other = new.read(_BLOCK)
        places = range(0, len(block), size)
        marks += bytes(len(places)) if block == other else bytes(_differ(block, other, place, size) for place in places)
    return bytes(marks)


def _differ(block: bytes, other: bytes, place: int, size: int) -> bool:
    return block[place : place + size] != other[place : place + size]
