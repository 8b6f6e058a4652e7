"""A query run for its number of rows computes the same rows, and a statement that changes rows stays as it is."""

import sqlite3
from contextlib import closing

import pytest

from steps.support.sql.statement import Statement
from steps.support.sql.verbs import as_count

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, '{'); CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('word');"
QUERIES = [  # a query, and how many rows it finds; None if it fails
    ("SELECT * FROM t", 2), ("SELECT a, a FROM t ORDER BY 1 LIMIT 1;", 1), ("VALUES (1), (2), (3)", 3), ("SELECT 1 -- one", 1),
    ("WITH u AS (SELECT a FROM t) SELECT 'UPDATE', a FROM u UNION ALL SELECT 1, replace(a, 'x', 'y') FROM t", 4),
    ("SELECT highlight(f, 0, '<', '>') FROM f WHERE f MATCH 'word' ORDER BY rank", 1), ("SELECT * FROM pragma_table_info('t')", 2),
    ("SELECT json(a) FROM t", None), ("SELECT b FROM t", None), ("SELECT a FROM t ORDER BY b", None),
]  # fmt: skip
OTHERS = [
    "INSERT INTO t (a) VALUES ('z') RETURNING a", "WITH u AS (SELECT 1) UPDATE t SET a = 'b'", "PRAGMA table_info(t)", "",
    "EXPLAIN SELECT 1", "WITH u AS (SELECT 1) REPLACE INTO t SELECT 1, 'c'",
]  # fmt: skip


@pytest.mark.parametrize(("sql", "rows"), QUERIES)
def test_query_is_run_for_its_number_of_rows(sql: str, rows: int | None) -> None:
    """It finds as many rows as the query, and fails where the query fails: every column of it is computed."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        if rows is None:
            with pytest.raises(sqlite3.Error):
                connection.execute(as_count(Statement(sql)).sql).fetchall()
        else:
            assert connection.execute(as_count(Statement(sql)).sql).fetchall() == [(rows,)]


@pytest.mark.parametrize("sql", OTHERS)
def test_any_other_statement_stays_as_it_is(sql: str) -> None:
    """Only a query can be asked for its number of rows."""
    assert as_count(Statement(sql)) == Statement(sql)
