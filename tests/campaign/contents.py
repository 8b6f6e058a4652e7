"""A database's schema and rows, and how they differ from the expected ones."""

from collections.abc import Iterator

from steps.support.gateways import transaction
from steps.support.sql.statement import Value
from tests.support.virtual.database import MemoryStore

Contents = tuple[str, dict[str, list[tuple[Value, ...]]]]

SHOWN = 2  # rows of each difference


def contents(store: MemoryStore) -> Contents:
    """Read the schema, all rows, and the sequences."""
    run = store.connection.execute
    tables = [str(name) for (name,) in run(transaction.TABLES).fetchall()]
    rows = {table: run(f'SELECT * FROM "{table}" ORDER BY 1').fetchall() for table in [*tables, "sqlite_sequence"]}
    own = [row for row in rows["sqlite_sequence"] if not str(row[0]).startswith("_orchestrate_")]
    return str(run(transaction.SCHEMA).fetchone()[0]), {**rows, "sqlite_sequence": sorted(own)}


def differences(expected: Contents, found: Contents) -> Iterator[str]:
    """Yield the differences between the expected contents and those found."""
    if expected[0] != found[0]:
        yield f"the schema is {found[0]!r}, not {expected[0]!r}"
        return
    for table, left in expected[1].items():
        right = found[1].get(table, [])
        if repr(left) != repr(right):  # repr tells 9 from 9.0
            missing = [row for row in left if row not in right][:SHOWN]
            extra = [row for row in right if row not in left][:SHOWN]
            yield f"{table}: missing {missing}, unexpected {extra}"
