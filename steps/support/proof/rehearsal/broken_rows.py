"""Find the rows that break their table's own definition, because it was not enforced when they were written.

Such rows come from `PRAGMA ignore_check_constraints`, or from libSQL's ALTER COLUMN. If a change repairs them, no
rollback can write their old values again.
"""

import re
from collections.abc import Collection, Mapping

from steps.support.gateways.database.protocol import Database
from steps.support.proof.rehearsal.integrity import Defect, Integrity
from steps.support.proof.rows.result import Key
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import folded, quoted

Broken = Mapping[str, Mapping[Key, frozenset[str]]]  # by table and key, the columns in the conditions that fail

_COLUMNS = "SELECT name, pk FROM pragma_table_info(?)"


async def broken_rows(database: Database, integrity: Integrity, most: int) -> Broken:
    """Return the rows that have the defects of a database, at most `most` rows for each defect.

    Rows of tables without a key are left out. Names of tables and columns are in lower case.
    """
    found: dict[str, dict[Key, frozenset[str]]] = {}
    for defect in integrity.defects:
        if defect.condition:
            rows, columns = found.setdefault(folded(defect.table), {}), dict[str, bool]()
            for name, place in (await database.query(Statement(_COLUMNS, (defect.table,)))).values:
                columns[str(name)] = bool(place)
            for key in await _keys(database, defect, [name for name, is_key in columns.items() if is_key], most):
                rows[key] = rows.get(key, frozenset()) | _named(defect, columns)
    return found


async def _keys(database: Database, defect: Defect, names: Collection[str], most: int) -> list[Key]:
    if not names:
        return []
    listed = ", ".join(map(quoted, names))
    sql = f"SELECT {listed} FROM {quoted(defect.table)} WHERE {defect.condition} LIMIT {most}"
    rows = (await database.query(Statement(sql))).values
    return [tuple(sorted(zip(map(folded, names), row, strict=True), key=lambda each: each[0])) for row in rows]


def _named(defect: Defect, columns: Collection[str]) -> frozenset[str]:
    """Return the columns that the condition of a defect names, in lower case."""
    words = {folded(defect.column)} if defect.column else {*map(folded, re.findall(r"\w+", defect.condition))}
    return frozenset(words & {*map(folded, columns)})
