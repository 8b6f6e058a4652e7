"""Where the rows of tables go, as far as the text of a script tells."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.proof.guards.row_flow import Contents, row_flow
from steps.support.sql.script import read_script_text

Told = Mapping[str, str]


def flow(script: str) -> Told:
    """Follow a script; `a*` is a table whose rows are all contained, `(b)` one that was read only to choose rows."""
    contents = row_flow(read_script_text(script, "some.sql")).contents
    return {name: _told(each) for name, each in contents.items() if each.tables}


def _told(contents: Contents) -> str:
    tables = [f"{name}*" if name in contents.whole else name for name in sorted(contents.tables)]
    return " ".join([*tables, *(f"({name})" for name in sorted(contents.beside))])


K = "_orchestrate_kept_k"
SCRIPTS: list[tuple[str, Told]] = [
    ("CREATE TABLE t AS SELECT * FROM a;", {"t": "a*"}),
    ("CREATE TABLE t (v); INSERT INTO t SELECT v, w FROM main.A AS x;", {"t": "a*"}),
    ("INSERT INTO t SELECT v FROM a x;", {"t": "a* t*"}),
    ("CREATE TABLE t (v); INSERT INTO t SELECT v FROM a WHERE v;", {"t": "a"}),
    ("CREATE TABLE t AS SELECT DISTINCT v FROM a;", {"t": "a"}),
    ("CREATE TABLE t AS SELECT max(v) FROM a;", {"t": "a"}),
    ("CREATE TABLE t AS SELECT v FROM a LIMIT 1;", {"t": "a"}),
    ("CREATE TABLE t (v); INSERT INTO t VALUES (1); INSERT INTO t DEFAULT VALUES;", {}),
    ("CREATE TABLE t (v); INSERT OR IGNORE INTO t SELECT v FROM a;", {"t": "a"}),
    ("CREATE TABLE t (v); REPLACE INTO t SELECT v FROM a;", {"t": "a"}),
    ("CREATE TABLE t (v); INSERT INTO t SELECT v FROM a WHERE true ON CONFLICT DO NOTHING;", {"t": "a"}),
    ("INSERT INTO t SELECT * FROM a; UPDATE OR REPLACE t SET v = 1;", {"t": "a t"}),
    ("CREATE TABLE t AS SELECT * FROM a JOIN b ON a.x = b.x, c LEFT JOIN d USING (x);", {"t": "a (b) (c) (d)"}),
    ("CREATE TABLE t AS SELECT v, (SELECT w FROM b) FROM a WHERE v IN (SELECT v FROM c);", {"t": "a (b) (c)"}),
    ("CREATE TABLE t AS SELECT * FROM (SELECT v FROM a WHERE v IS NOT DISTINCT FROM 1) AS x JOIN b;", {"t": "a (b)"}),
    ("CREATE TABLE t AS SELECT * FROM (a JOIN b);", {"t": "a (b)"}),
    ("CREATE TABLE t AS SELECT v FROM a UNION ALL SELECT v FROM b ORDER BY v, 1;", {"t": "a b"}),
    ("CREATE TABLE t (v); WITH x AS (SELECT v FROM a WHERE v IN (SELECT v FROM b)) INSERT INTO t SELECT v FROM x;", {"t": "a (b)"}),
    ("CREATE TABLE t (v); INSERT INTO t WITH x (v) AS NOT MATERIALIZED (SELECT v FROM a), y AS (SELECT v FROM c) SELECT v FROM x JOIN y;", {"t": "a (c)"}),
    ("CREATE TABLE t (v); WITH RECURSIVE x (v) AS (SELECT v FROM a UNION ALL SELECT v + 1 FROM x) INSERT INTO t SELECT v FROM x;", {"t": "a"}),
    ('CREATE TABLE "The T" AS SELECT "from", [join] FROM `An A`;', {"the t": "an a*"}),
    ("CREATE TABLE t AS SELECT value FROM json_each('[1]');", {"t": "json_each"}),
    ("ALTER TABLE a RENAME TO t;", {"t": "a*"}),
    ("DELETE FROM a WHERE v; ALTER TABLE a RENAME TO t;", {"t": "a"}),
    ("DELETE FROM a WHERE true; INSERT INTO a SELECT * FROM b;", {"a": "b*"}),
    ("DELETE FROM a; INSERT INTO a SELECT * FROM b;", {"a": "b*"}),
    ("CREATE TABLE u AS SELECT * FROM a; DROP TABLE a; CREATE TABLE a (v); INSERT INTO a SELECT v FROM u; DROP TABLE u;", {"a": "a*"}),
    ("CREATE TABLE u AS SELECT * FROM a WHERE v; DROP TABLE a; ALTER TABLE u RENAME TO a;", {"a": "a"}),
    ("DROP TABLE a; CREATE TABLE a (v); INSERT INTO t SELECT * FROM a;", {"t": "t*"}),
    ("CREATE TABLE IF NOT EXISTS a (v); CREATE TABLE t AS SELECT * FROM a;", {"t": "a*"}),
    ("DROP TABLE a; CREATE TABLE IF NOT EXISTS a (v); CREATE TABLE t AS SELECT * FROM a;", {}),
    ("CREATE TABLE t (v); CREATE TABLE IF NOT EXISTS t (v); INSERT INTO t SELECT * FROM a;", {"t": "a*"}),
    (f"CREATE TABLE {K} AS SELECT * FROM a;", {K: "a*"}),
    (f"CREATE TABLE {K} AS SELECT id, w FROM a;", {K: "a"}),
    ("CREATE TRIGGER x AFTER INSERT ON a BEGIN INSERT INTO t SELECT * FROM a; END;", {}),
]  # fmt: skip


@pytest.mark.parametrize(("script", "told"), SCRIPTS, ids=[script for script, _ in SCRIPTS])
def test_rows_are_followed_from_table_to_table(script: str, told: Told) -> None:
    """A table holds rows of the tables it takes them from, under their names before the script."""
    assert flow(script) == told


def test_dropped_and_created_tables_are_told_apart() -> None:
    """A table that is created and dropped is neither gone nor made; one with the name of a dropped table is both."""
    found = row_flow(
        read_script_text(
            "ALTER TABLE a RENAME TO b; CREATE TABLE u (v); DROP TABLE u; DROP TABLE c; CREATE TABLE c (v);", "x"
        )
    )
    assert ({*found.gone}, {*found.made}) == ({"a", "c"}, {"b", "c"})
    assert [name for name in "abcd" if found.found(name)] == ["a", "c", "d"]


WORDS = "CREATE TABLE IF NOT EXISTS INSERT OR IGNORE INTO DELETE FROM UPDATE ALTER RENAME TO DROP WITH AS SELECT VALUES JOIN WHERE UNION t a . , ( ) * ;"


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from(WORDS.split()), max_size=25))
def test_any_script_is_followed_to_its_end(words: list[str]) -> None:
    """No script stops the reading, however malformed: errors are left to the engine."""
    row_flow(read_script_text(" ".join(words), "some.sql"))
