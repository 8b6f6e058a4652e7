"""The round trip: rows of the original database, and rows the app wrote since, through migration and rollback."""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.support.change.folder import read_change
from steps.support.core.errors import Problem
from steps.support.gateways.database.connect import connect
from steps.support.gateways.turso import Turso
from steps.support.proof.config import ProofConfig
from steps.support.proof.copy.copy import Limits
from steps.support.proof.proof import prove
from steps.support.proof.rehearsal import sqld
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import Kind, Row, TableDiff
from steps.support.proof.verdict.elsewhere import Elsewhere
from steps.support.proof.verdict.round_trip import WRITTEN_LOST, changed_by_migrating_again, changed_without_reason
from steps.support.schema.comparison.diff import renames
from steps.support.sql.findings import Severity
from steps.support.sql.script import read_script_text, split
from tests.support.database.changes import changed
from tests.support.proof.round_trips import LOSSES, ROUND_TRIPS, RoundTrip
from tests.support.proof.round_trips import OTHERS as MORE
from tests.support.proof.trips import FOLLOWED, Told, Trip, matches, told


@pytest.fixture
def trip(tmp_path: Path) -> Trip:
    """Return an empty folder for a round trip."""
    return Trip(tmp_path)


THREE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w INTEGER); INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', NULL);"
TWO_KEYS = (
    "CREATE TABLE t (a, b TEXT, v, PRIMARY KEY (b, a)); INSERT INTO t VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3);"
)
NO_ROWID = TWO_KEYS.replace("))", ")) WITHOUT ROWID", 1)
WITHOUT_KEY = "CREATE TABLE t (v, w); INSERT INTO t VALUES ('a', 1), ('a', 1), (NULL, 2);"
FAMILY = """CREATE TABLE p (id INTEGER PRIMARY KEY, v); CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE);
  INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (1, 1), (2, 1), (3, 2);"""
ADD, DROP = "ALTER TABLE t ADD COLUMN n DEFAULT 0;", "ALTER TABLE t DROP COLUMN n;"
ALL_WRITTEN = "INSERT INTO t VALUES (4, 'd', 40, 0); UPDATE t SET v = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2;"

# n is kept aside while the old schema is live, and restored by migrating again
KEPT_N = f"{ADD} CREATE TABLE IF NOT EXISTS _orchestrate_kept_n (id, n); UPDATE t SET n = k.n FROM _orchestrate_kept_n AS k WHERE k.id = t.id; DROP TABLE _orchestrate_kept_n;"
KEEP_N = f"CREATE TABLE _orchestrate_kept_n AS SELECT id, n FROM t; {DROP}"

# v moves into a converted column and back; w is converted to hours and back
LOUD = "ALTER TABLE t ADD COLUMN loud; UPDATE t SET loud = upper(v); ALTER TABLE t DROP COLUMN v;"
QUIET = "ALTER TABLE t ADD COLUMN v TEXT; UPDATE t SET v = lower(loud); ALTER TABLE t DROP COLUMN loud;"
HOURS, MINUTES = "UPDATE t SET w = w / 60;", "UPDATE t SET w = w * 60;"

# a table of the new schema only
LOG = "CREATE TABLE log (id INTEGER PRIMARY KEY, v);"
KEPT_LOG = f"{LOG} CREATE TABLE IF NOT EXISTS _orchestrate_kept_log (id, v); INSERT INTO log SELECT * FROM _orchestrate_kept_log; DROP TABLE _orchestrate_kept_log;"
KEEP_LOG = "CREATE TABLE _orchestrate_kept_log AS SELECT * FROM log; DROP TABLE log;"

# a table that the new schema lacks
AWAY = "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t; DROP TABLE t;"
HERE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w INTEGER); INSERT INTO t SELECT * FROM _orchestrate_kept_t; DROP TABLE _orchestrate_kept_t;"

# a gap that is filled and emptied again, in a row without a key
FILL = "CREATE TABLE _orchestrate_kept_t AS SELECT rowid AS r FROM t WHERE v IS NULL; UPDATE t SET v = 'none' WHERE v IS NULL;"
EMPTY = "UPDATE t SET v = NULL WHERE v = 'none' AND rowid IN (SELECT r FROM _orchestrate_kept_t); DROP TABLE _orchestrate_kept_t;"

# a renamed column
RENAMED, NAMED_BACK = "ALTER TABLE t RENAME COLUMN v TO label;", "ALTER TABLE t RENAME COLUMN label TO v;"
KEPT_LABEL = f"{RENAMED} CREATE TABLE IF NOT EXISTS _orchestrate_kept_new (id, v); UPDATE t SET label = k.v FROM _orchestrate_kept_new AS k WHERE k.id = t.id; DROP TABLE _orchestrate_kept_new; CREATE TABLE _orchestrate_kept_old AS SELECT id, label AS v FROM t;"
KEEP_LABEL = f"{NAMED_BACK} CREATE TABLE _orchestrate_kept_new AS SELECT id, v FROM t; UPDATE t SET v = k.v FROM _orchestrate_kept_old AS k WHERE k.id = t.id; DROP TABLE _orchestrate_kept_old;"

# a column that the new schema lacks
NOTED = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, notes TEXT); INSERT INTO t VALUES (1, 'a', 'dear'), (2, 'b', 'me');"
NO_NOTES = "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t; ALTER TABLE t DROP COLUMN notes;"
NOTES = "ALTER TABLE t ADD COLUMN notes TEXT; UPDATE t SET notes = (SELECT notes FROM _orchestrate_kept_t AS k WHERE k.id = t.id); DROP TABLE _orchestrate_kept_t;"


def rebuilt_with(columns: str, *names: str) -> str:
    """Return SQL that rebuilds a table with these columns and takes over the named ones."""
    taken = ", ".join(names)
    return f"CREATE TABLE u ({columns}); INSERT INTO u ({taken}) SELECT {taken} FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;"


NO_KEY_YET = "CREATE TABLE t (name TEXT, v); INSERT INTO t VALUES ('a', 1), ('b', 2);"
BY_NAME = NO_KEY_YET.replace("name TEXT", "name TEXT PRIMARY KEY")
KEYLESS, NAME_KEY = rebuilt_with("name TEXT, v", "name", "v"), rebuilt_with("name TEXT PRIMARY KEY, v", "name", "v")
NUMBER_KEY = rebuilt_with("id INTEGER PRIMARY KEY, name TEXT UNIQUE, v", "name", "v")
PART_KEY = "CREATE TABLE t (a, b, v, PRIMARY KEY (a)); INSERT INTO t VALUES (1, 1, 1), (2, 1, 1);"
DOUBLE = "id INTEGER PRIMARY KEY, v, g AS (v * 2)"

KEPT = [  # before, migrate, what the app writes, rollback
    ("nothing is written", THREE, ADD, "", DROP),
    ("rows come, change and go", THREE, ADD, ALL_WRITTEN, DROP),
    ("nothing is done to the schema", THREE, "", "UPDATE t SET v = 1", ""),
    ("another table is changed", f"{THREE} CREATE TABLE u (id INTEGER PRIMARY KEY)", "ALTER TABLE u ADD COLUMN n", "UPDATE t SET v = NULL; DELETE FROM u", "ALTER TABLE u DROP COLUMN n"),
    ("a row is given another key", THREE, ADD, "UPDATE t SET id = 7 WHERE id = 3", DROP),
    ("a row goes and comes as another", THREE, ADD, "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'z', 99, 0)", DROP),
    ("a row comes and goes", THREE, ADD, "INSERT INTO t VALUES (4, 'd', 40, 0); DELETE FROM t WHERE id = 4", DROP),
    ("a value is written that was there", THREE, ADD, "UPDATE t SET v = v, w = w", DROP),
    ("every type", THREE, ADD, "UPDATE t SET w = 1.5 WHERE id = 1; UPDATE t SET w = x'00' WHERE id = 2; UPDATE t SET w = 'text', v = NULL WHERE id = 3", DROP),
    ("a key of two columns", TWO_KEYS, ADD, "UPDATE t SET v = 9 WHERE b = 'y'; DELETE FROM t WHERE a = 2; INSERT INTO t VALUES (2, 'y', 3, 0)", DROP),
    ("no rowid", NO_ROWID, ADD, "UPDATE t SET v = 9 WHERE b = 'y'; DELETE FROM t WHERE a = 2; INSERT INTO t VALUES (2, 'y', 3, 0)", DROP),
    ("children go with their parent", FAMILY, "ALTER TABLE p ADD COLUMN n", "DELETE FROM p WHERE id = 1", "ALTER TABLE p DROP COLUMN n"),
    ("names in another case", THREE.replace("TABLE t (id", "TABLE T (Id").replace("v TEXT", "V TEXT"), ADD, "UPDATE T SET v = 'z' WHERE ID = 1; INSERT INTO t (Id, V) VALUES (4, 'd')", DROP),
    ("names that need quotes", 'CREATE TABLE "a ""t" ("the id" INTEGER PRIMARY KEY, "x y"); INSERT INTO "a ""t" VALUES (1, 1)', 'ALTER TABLE "a ""t" ADD COLUMN n', 'UPDATE "a ""t" SET "x y" = 2; INSERT INTO "a ""t" VALUES (2, 3, NULL)', 'ALTER TABLE "a ""t" DROP COLUMN n'),
    ("a column of the new schema is kept", THREE, KEPT_N, f"{ALL_WRITTEN} UPDATE t SET n = 7 WHERE id = 3", KEEP_N),
    ("old columns follow from new ones", THREE, LOUD, "UPDATE t SET loud = 'Z' WHERE id = 1; INSERT INTO t VALUES (4, 40, 'D')", QUIET),
    ("a row is written in another column than those", THREE, LOUD, "UPDATE t SET w = 0 WHERE id = 1", QUIET),
    ("values are converted", THREE.replace("10)", "60)").replace("20)", "120)"), HOURS, "UPDATE t SET w = 5 WHERE id = 1; UPDATE t SET v = 'z' WHERE id = 2; INSERT INTO t VALUES (4, 'd', 3)", MINUTES),
    ("a table is made anew", THREE, "CREATE TABLE u (n DEFAULT 0, w INTEGER, v TEXT, id INTEGER PRIMARY KEY); INSERT INTO u (w, v, id) SELECT w, v, id FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t", "INSERT INTO t (id, v) VALUES (4, 'd'); UPDATE t SET w = 1 WHERE id = 1", "CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT, w INTEGER); INSERT INTO u SELECT id, v, w FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t"),
    ("no key", WITHOUT_KEY, ADD, "INSERT INTO t VALUES ('a', 1, 0), ('b', 2, 0); UPDATE t SET v = 'z' WHERE w = 2; DELETE FROM t WHERE rowid = 1", DROP),
    ("a new table, kept", THREE, KEPT_LOG, "INSERT INTO log VALUES (1, 'x'), (2, NULL); UPDATE log SET v = 'y' WHERE id = 1", KEEP_LOG),
    ("a new table, nothing written", THREE, f"{LOG} INSERT INTO log SELECT id, v FROM t", "", "DROP TABLE log"),
    ("a table that is away meanwhile", THREE, AWAY, "", HERE),
    ("what the change writes itself is another each time", THREE, "ALTER TABLE t ADD COLUMN at; UPDATE t SET at = randomblob(8)", "UPDATE t SET v = 'z' WHERE id = 1", "ALTER TABLE t DROP COLUMN at"),
    ("a gap filled in a row without a key", WITHOUT_KEY, FILL, "UPDATE t SET w = 9 WHERE rowid > 1; INSERT INTO t VALUES ('b', NULL)", EMPTY),
    ("a column by another name", THREE, RENAMED, "UPDATE t SET label = 'z' WHERE id = 1; INSERT INTO t VALUES (4, 'd', 40); DELETE FROM t WHERE id = 2", NAMED_BACK),
    ("a key by another name", THREE, "ALTER TABLE t RENAME COLUMN id TO uid", "UPDATE t SET v = 'z' WHERE uid = 1; INSERT INTO t VALUES (4, 'd', 40); DELETE FROM t WHERE uid = 2", "ALTER TABLE t RENAME COLUMN uid TO id"),
    ("a part of a key by another name", TWO_KEYS, "ALTER TABLE t RENAME COLUMN b TO c", "UPDATE t SET v = 9 WHERE c = 'y'; DELETE FROM t WHERE a = 2", "ALTER TABLE t RENAME COLUMN c TO b"),
    ("a key on the new schema alone", NO_KEY_YET, NUMBER_KEY, "UPDATE t SET v = 9 WHERE id = 1; INSERT INTO t VALUES (3, 'c', 3)", KEYLESS),
    ("a key on the old schema alone", BY_NAME, KEYLESS, "UPDATE t SET v = 9 WHERE name = 'a'; INSERT INTO t VALUES ('c', 3)", NAME_KEY),
    ("a key of another column", BY_NAME, NUMBER_KEY, "UPDATE t SET v = 9 WHERE id = 1; INSERT INTO t VALUES (3, 'c', 3)", NAME_KEY),
    ("a key of more columns", PART_KEY, rebuilt_with("a, b, v, PRIMARY KEY (a, b)", "a", "b", "v"), "UPDATE t SET v = 5 WHERE a = 1; DELETE FROM t WHERE a = 2", rebuilt_with("a, b, v, PRIMARY KEY (a)", "a", "b", "v")),
    ("a generated column by another formula", f"CREATE TABLE t ({DOUBLE}); INSERT INTO t (id, v) VALUES (1, 1), (2, 2)", rebuilt_with(DOUBLE.replace("2", "3"), "id", "v"), "UPDATE t SET v = 7 WHERE id = 1; INSERT INTO t (id, v) VALUES (3, 5); DELETE FROM t WHERE id = 2", rebuilt_with(DOUBLE, "id", "v")),
    ("a generated column that stays", f"CREATE TABLE t ({DOUBLE}); INSERT INTO t (id, v) VALUES (1, 1)", ADD, "UPDATE t SET v = 7 WHERE id = 1; INSERT INTO t (id, v) VALUES (3, 5)", DROP),
    ("a column that is away meanwhile", NOTED, NO_NOTES, "UPDATE t SET v = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2", NOTES),
    ("a row that the change makes, written and kept", THREE, "INSERT INTO t VALUES (99, 'seed', 0) ON CONFLICT DO NOTHING", "UPDATE t SET v = 'z' WHERE id = 99", "DELETE FROM t WHERE id = 99 AND v = 'seed'"),
    ("a row that the change makes", THREE, "INSERT INTO t VALUES (99, 'seed', 0)", "", "DELETE FROM t WHERE id = 99"),
    ("a row that the change takes away", THREE, "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t WHERE id = 2; DELETE FROM t WHERE id = 2", "UPDATE t SET v = 'z' WHERE id = 1", "INSERT INTO t SELECT * FROM _orchestrate_kept_t; DROP TABLE _orchestrate_kept_t"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "migrate", "writes", "rollback"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT]
)
def test_complete_rollback_gives_no_finding(trip: Trip, before: str, migrate: str, writes: str, rollback: str) -> None:
    """A round trip that restores everything gives no finding, for any kind of change and of writes."""
    assert trip.straight(before, migrate, rollback) == []
    assert trip.travelled(before, migrate, writes, rollback) == Told([], [])


@pytest.mark.parametrize("way", [*ROUND_TRIPS, *MORE], ids=lambda each: each.name)
def test_rows_that_wait_or_stand_elsewhere_give_no_finding(trip: Trip, way: RoundTrip) -> None:
    """Rows that the old schema cannot hold, or holds in another table or under another key, count as kept."""
    assert trip.straight(way.before, way.migrate, way.rollback) == []
    assert trip.travelled(way.before, way.migrate, way.writes, way.rollback) == Told([], [])


@pytest.mark.parametrize(("way", "words"), LOSSES, ids=[each.name for each, _ in LOSSES])
def test_losses_beside_rows_that_wait_are_named(trip: Trip, way: RoundTrip, words: tuple[str, ...]) -> None:
    """A row that comes back in part, twice, as another's or not at all is named, whatever else comes back."""
    found = trip.travelled(way.before, way.migrate, way.writes, way.rollback)
    said = " ".join(told([*found.unexplained, *found.unregained]))
    assert [each for each in words if each not in said] == [], said
    assert all(each.severity is Severity.ERROR for each in (*found.unexplained, *found.unregained))


WROTE_ONE = "UPDATE t SET v = 'z' WHERE id = 1;"
LOST_ONE = "t: 1 of 1 rows that the app wrote is lost or changed after the rollback, for example changed id 1, v 'z'"
NOT_AGAIN = (
    "t: 1 of 1 rows written by the app is lost or changed after migrating again, for example changed id 1, v 'z'"
)
STRANGE = "t: 1 row that the app did not write differs after the rollback, for example"
WROTE_NONE = "the app added or changed 0 rows and removed or changed 0; after the rollback the numbers are"
RESTORED = "DELETE FROM t; INSERT INTO t (id, v, w) VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', NULL);"
RETURNS = "INSERT INTO t (id, v, w) VALUES (1, 'a', 10);"

LOST = [  # what the app writes, what the rollback does besides, findings of the rollback, findings of migrating again
    ("a row that came", "INSERT INTO t VALUES (4, 'd', 40, 0);", "DELETE FROM t WHERE id = 4;", ["1 of 1 rows that the app wrote is lost or changed after the rollback, for example added id 4, v 'd', w 40, n 0"], ["added id 4, v 'd', w 40, n 0"]),
    ("one of many that came", ALL_WRITTEN, "DELETE FROM t WHERE id = 4;", ["1 of 3 rows that the app wrote is lost or changed after the rollback, for example added id 4"], ["1 of 3 rows written by the app"]),
    ("all that was written", ALL_WRITTEN, RESTORED, ["3 of 3 rows that the app wrote"], ["3 of 3 rows written by the app"]),
    ("a value, for that of before", WROTE_ONE, "UPDATE t SET v = 'a' WHERE id = 1;", [LOST_ONE], [NOT_AGAIN]),
    ("a value, for another", WROTE_ONE, "UPDATE t SET v = 'y' WHERE id = 1;", [LOST_ONE], [NOT_AGAIN]),
    ("a value, for NULL", WROTE_ONE, "UPDATE t SET v = NULL WHERE id = 1;", [LOST_ONE], [NOT_AGAIN]),
    ("NULL, for a value", "UPDATE t SET v = NULL WHERE id = 1;", "UPDATE t SET v = '' WHERE id = 1;", ["for example changed id 1, v NULL"], ["changed id 1, v NULL"]),
    ("the type of a value", "UPDATE t SET w = 1.5 WHERE id = 1;", "UPDATE t SET w = 'about 1.5' WHERE id = 1;", ["for example changed id 1, w 1.5"], ["w 1.5"]),
    ("a part of a value", "UPDATE t SET w = 1.5 WHERE id = 1;", "UPDATE t SET w = CAST(w AS INTEGER);", ["for example changed id 1, w 1.5"], ["w 1.5"]),
    ("one of two values", "UPDATE t SET v = 'z', w = 99 WHERE id = 1;", "UPDATE t SET w = 10 WHERE id = 1;", ["changed id 1, w 99, v 'z', which now has w 10"], ["changed id 1, w 99, v 'z', which now has w 10"]),
    ("a row that changed", WROTE_ONE, "DELETE FROM t WHERE id = 1;", [LOST_ONE, f"{STRANGE} removed id 1, v 'a', w 10"], [NOT_AGAIN]),
    ("that a row is gone", "DELETE FROM t WHERE id = 1;", RETURNS, ["1 of 1 rows that the app wrote is lost or changed after the rollback, for example removed id 1, v 'a', w 10, n 0"], ["removed id 1, v 'a'"]),
    ("that a row is gone, and what it was", "DELETE FROM t WHERE id = 1;", RETURNS.replace("'a'", "'A'"), ["removed id 1", f"{STRANGE} changed id 1, v 'A'"], ["removed id 1"]),
    ("the key that a row was given", "UPDATE t SET id = 7 WHERE id = 1;", "UPDATE t SET id = 1 WHERE id = 7;", ["2 of 2 rows that the app wrote"], ["2 of 2 rows written by the app"]),
    ("another value of a written row", WROTE_ONE, "UPDATE t SET w = 11 WHERE id = 1;", [f"{STRANGE} changed id 1, v 'z', w 11"], []),
    ("a value that nobody wrote", WROTE_ONE, "UPDATE t SET v = 'y' WHERE id = 2;", [f"{STRANGE} changed id 2, v 'y'"], []),
    ("a row that nobody deleted", WROTE_ONE, "DELETE FROM t WHERE id = 2;", [f"{STRANGE} removed id 2, v 'b', w 20"], []),
    ("that there was no such row", WROTE_ONE, "INSERT INTO t (id, v) VALUES (9, 'q');", [f"{STRANGE} added id 9, v 'q', w NULL"], []),
    ("all where nothing was written", "", "DELETE FROM t;", ["t: 3 rows that the app did not write differ after the rollback, for example removed id 1"], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("writes", "beside", "back", "again"), [case[1:] for case in LOST], ids=[case[0] for case in LOST]
)
def test_rollback_losses_are_named(trip: Trip, writes: str, beside: str, back: list[str], again: list[str]) -> None:
    """Written rows that are lost, and rows changed without being written, are named with an example."""
    found = trip.travelled(THREE, ADD, writes, f"{DROP} {beside}")
    assert matches(found.unexplained, *back), found.unexplained
    assert matches(found.unregained, *again), found.unregained


OTHERS = [  # before, migrate, what the app writes, rollback, what is said of the way back, and of the way there again
    ("a part of a key of two columns", TWO_KEYS, ADD, "UPDATE t SET v = 9 WHERE a = 1 AND b = 'x'", f"{DROP} UPDATE t SET v = 9 WHERE b = 'x'", [f"{STRANGE} changed a 2, b 'x', v 9"], []),
    ("a row by the other part of its key", TWO_KEYS, ADD, "INSERT INTO t VALUES (2, 'y', 4, 0)", f"{DROP} UPDATE t SET a = 3 WHERE a = 2 AND b = 'y'", ["added a 2, b 'y', v 4, n 0", f"{STRANGE} added a 3, b 'y', v 4"], ["added a 2, b 'y'"]),
    ("a row without rowid", NO_ROWID, ADD, "DELETE FROM t WHERE a = 2", f"{DROP} INSERT INTO t VALUES (2, 'x', 3)", ["removed a 2, b 'x', v 3, n 0"], ["removed a 2, b 'x'"]),
    ("children that come back with their parent", FAMILY, "CREATE TABLE _orchestrate_kept_p AS SELECT * FROM p; CREATE TABLE _orchestrate_kept_c AS SELECT * FROM c", "DELETE FROM p WHERE id = 1", "INSERT OR IGNORE INTO p SELECT * FROM _orchestrate_kept_p; INSERT OR IGNORE INTO c SELECT * FROM _orchestrate_kept_c; DROP TABLE _orchestrate_kept_p; DROP TABLE _orchestrate_kept_c", ["c: 2 of 2 rows that the app wrote", "p: 1 of 1 rows that the app wrote"], ["c: 2 of 2", "p: 1 of 1"]),
    ("a column of the new schema", THREE, ADD, "UPDATE t SET n = 7 WHERE id = 3", DROP, [], ["changed id 3, n 7"]),
    ("a column of the new schema, beside another value", THREE, ADD, "UPDATE t SET v = 'z', n = 7 WHERE id = 3", DROP, [], ["changed id 3, n 7, v 'z', which now has n 0"]),
    ("another row's column of the new schema", THREE, KEPT_N, "UPDATE t SET n = 7", KEEP_N.replace("FROM t", "FROM t WHERE id <> 3"), [], ["1 of 3 rows written by the app is lost or changed after migrating again, for example changed id 3, n 7"]),
    ("an old column of a row that nobody wrote", THREE, LOUD, "UPDATE t SET loud = 'Z' WHERE id = 1", f"{QUIET} UPDATE t SET v = 'B' WHERE id = 2", [f"{STRANGE} changed id 2, v 'B'"], []),
    ("another value beside an old column", THREE, LOUD, "UPDATE t SET loud = 'Z' WHERE id = 1", f"{QUIET} UPDATE t SET w = 0 WHERE id = 1", [f"{STRANGE} changed id 1, "], []),
    ("a value that was not converted in this row", THREE.replace("'a'", "' a'"), "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t; UPDATE t SET v = trim(v)", "UPDATE t SET v = 'new' WHERE id = 2", "UPDATE t SET v = (SELECT v FROM _orchestrate_kept_t AS k WHERE k.id = t.id); DROP TABLE _orchestrate_kept_t", ["changed id 2, v 'new'"], ["changed id 2, v 'new'"]),
    ("a converted value", THREE.replace("10)", "60)").replace("20)", "120)"), HOURS, "UPDATE t SET w = 5 WHERE id = 1", f"{MINUTES} UPDATE t SET w = 60 WHERE id = 1", [], ["changed id 1, w 5"]),
    ("a converted value that nobody wrote", THREE.replace("10)", "60)").replace("20)", "120)"), HOURS, "UPDATE t SET v = 'z' WHERE id = 1", f"{MINUTES} UPDATE t SET w = 2 WHERE id = 2", [f"{STRANGE} changed id 2, w 2"], []),
    ("a value of a column by another name", THREE, KEPT_LABEL, "UPDATE t SET label = 'z' WHERE id = 1", KEEP_LABEL, ["t: 1 of 1 rows that the app wrote is lost or changed after the rollback, for example changed id 1, v 'z'"], []),
    ("a row with a column by another name", THREE, RENAMED, "INSERT INTO t VALUES (4, 'd', 40)", f"{NAMED_BACK} UPDATE t SET v = 'D', w = 4 WHERE id = 4", ["t: 1 of 1 rows that the app wrote is lost or changed after the rollback, for example added id 4, v 'd', w 40"], ["added id 4, label 'd'"]),
    ("a row by a key by another name", THREE, "ALTER TABLE t RENAME COLUMN id TO uid", "INSERT INTO t VALUES (4, 'd', 40); DELETE FROM t WHERE uid = 1", "ALTER TABLE t RENAME COLUMN uid TO id; DELETE FROM t WHERE id = 4", ["t: 1 of 2 rows that the app wrote is lost or changed after the rollback, for example added id 4"], ["1 of 2 rows written by the app is lost or changed after migrating again, for example added uid 4"]),
    ("an old column of a row that was written", NOTED, NO_NOTES, "UPDATE t SET v = 'z' WHERE id = 1", NOTES.replace("k.id = t.id", "k.id = t.id AND k.v = t.v"), [f"{STRANGE} changed id 1, v 'z', notes NULL"], []),
    ("a row by a key that the new schema alone has", NO_KEY_YET, NUMBER_KEY, "INSERT INTO t VALUES (3, 'c', 3)", f"{KEYLESS} DELETE FROM t WHERE name = 'c'", ["t: 1 of 1 rows that the app wrote is lost or changed after the rollback, for example added id 3, name 'c', v 3"], ["added id 3, name 'c'"]),
    ("one of the rows by a key that the new schema alone has", NO_KEY_YET, NUMBER_KEY, "INSERT INTO t VALUES (3, 'c', 3), (4, 'd', 4)", f"{KEYLESS} DELETE FROM t WHERE name = 'c'", ["t: the app added or changed 2 rows and removed or changed 0; after the rollback the numbers are 1 and 0"], ["2 of 2 rows written by the app"]),
    ("numbers that are given anew each time", BY_NAME, NUMBER_KEY, "DELETE FROM t WHERE id = 1", NAME_KEY, [], ["t: 1 of 1 rows written by the app is lost or changed after migrating again, for example removed id 1, name 'a'"]),
    ("a row by a key that the old schema alone has", BY_NAME, KEYLESS, "DELETE FROM t WHERE name = 'a'", f"{NAME_KEY} INSERT INTO t VALUES ('a', 1)", ["t: the app added or changed 0 rows and removed or changed 1; after the rollback the numbers are 0 and 0"], ["removed name 'a', v 1"]),
    ("rows that nobody wrote, by a key of another column", BY_NAME, NUMBER_KEY, "UPDATE t SET v = 9 WHERE id = 1", f"{NAME_KEY} UPDATE t SET v = 7 WHERE name = 'b'", ["t: the app added or changed 1 row and removed or changed 1; after the rollback the numbers are 2 and 2"], []),
    ("1 for 1.0", "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a');", ADD, "UPDATE t SET v = 1.0; INSERT INTO t VALUES (2, 2.0, 0)", f"{DROP} UPDATE t SET v = CAST(v AS INTEGER)", ["2 of 2 rows that the app wrote"], ["2 of 2 rows written by the app"]),
    ("a row in the place of one that was away", THREE, "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t WHERE id = 3; DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (3, 'd', 40)", "REPLACE INTO t SELECT * FROM _orchestrate_kept_t; DROP TABLE _orchestrate_kept_t", [], ["added id 3, v 'd', w 40"]),
    ("a row that the change made", THREE, "INSERT INTO t VALUES (99, 'seed', 0)", "UPDATE t SET v = 'z' WHERE id = 99", "DELETE FROM t WHERE id = 99", [], ["changed id 99, v 'z'"]),
    ("a column of the new schema without a key", WITHOUT_KEY, ADD, "UPDATE t SET n = 7 WHERE v IS NULL", DROP, [], ["2 of 2 rows written by the app are lost or changed after migrating again, for example removed v NULL, w 2, n 0"]),
    ("a change of a row without a key", WITHOUT_KEY, "CREATE INDEX i ON t (v)", "UPDATE t SET v = 'z' WHERE v IS NULL", "DROP INDEX i; UPDATE t SET v = NULL WHERE v = 'z'", ["t: the app added or changed 1 row and removed or changed 1; after the rollback the numbers are 0 and 0"], ["2 of 2 rows written by the app"]),
    ("another row without a key than was written, beside a gap that is filled", WITHOUT_KEY, FILL, "UPDATE t SET w = 9 WHERE rowid = 3", f"{EMPTY} UPDATE t SET w = iif(rowid = 1, 9, w) WHERE rowid <> 2; UPDATE t SET w = 2 WHERE rowid = 3", ["t: the app added or changed 1 row and removed or changed 1; after the rollback the numbers are 1 and 1"], ["2 of 2 rows written by the app"]),
    ("rows alike, all but one", THREE, KEPT_LOG.replace("id INTEGER PRIMARY KEY, v", "v").replace("(id, v)", "(v)"), "INSERT INTO log VALUES (1), (1), (1)", KEEP_LOG.replace("SELECT *", "SELECT DISTINCT *"), [], ["of 3 rows written by the app are lost or changed after migrating again, for example added v 1"]),
    ("one of some alike that were there", f"{THREE} CREATE TABLE log (v); INSERT INTO log VALUES (1)", "CREATE INDEX i ON log (v)", "INSERT INTO log VALUES (1), (1)", "DROP INDEX i; DELETE FROM log WHERE rowid = 3", ["log: the app added or changed 2 rows and removed or changed 0; after the rollback the numbers are 1 and 0"], ["1 of 2 rows written by the app is lost or changed"]),
    ("a row without a key", WITHOUT_KEY, ADD, "INSERT INTO t VALUES ('a', 1, 0)", f"{DROP} DELETE FROM t WHERE rowid = 4", ["t: the app added or changed 1 row and removed or changed 0; after the rollback the numbers are 0 and 0"], ["added v 'a', w 1, n 0"]),
    ("that a row without a key is gone", WITHOUT_KEY, ADD, "DELETE FROM t WHERE v IS NULL", f"{DROP} INSERT INTO t VALUES (NULL, 2)", ["t: the app added or changed 0 rows and removed or changed 1; after the rollback the numbers are 0 and 0"], ["removed v NULL, w 2, n 0"]),
    ("a row without a key that nobody wrote", WITHOUT_KEY, ADD, "", f"{DROP} DELETE FROM t WHERE rowid = 1", [f"t: {WROTE_NONE} 0 and 1"], []),
    ("which row without a key is gone", WITHOUT_KEY, ADD, "DELETE FROM t WHERE v IS NULL", f"{DROP} DELETE FROM t WHERE rowid = 1; INSERT INTO t VALUES (NULL, 2)", ["t: the app added or changed 0 rows and removed or changed 1; after the rollback the numbers are 0 and 1"], ["removed v NULL, w 2, n 0"]),
    ("a value of a row without a key", WITHOUT_KEY, ADD, "UPDATE t SET v = 'z' WHERE v IS NULL", f"{DROP} UPDATE t SET v = 'y' WHERE v = 'z'", ["t: the app added or changed 1 row and removed or changed 1; after the rollback the numbers are 1 and 1"], ["1 of 2 rows written by the app is lost or changed after migrating again, for example added v 'z', w 2"]),
    ("all of a new table", THREE, LOG, "INSERT INTO log VALUES (1, 'x'), (2, 'y')", "DROP TABLE log", [], ["log: 2 of 2 rows written by the app are lost or changed after migrating again, for example added id 2, v 'y'"]),
    ("one row of a new table", THREE, KEPT_LOG, "INSERT INTO log VALUES (1, 'x'), (2, 'y')", KEEP_LOG.replace("FROM log", "FROM log WHERE id = 1"), [], ["log: 1 of 2 rows written by the app is lost or changed after migrating again, for example added id 2, v 'y'"]),
    ("a new table without a key", THREE, LOG.replace(" PRIMARY KEY", ""), "INSERT INTO log VALUES (1, 'x')", "DROP TABLE log", [], ["log: 1 of 1 rows written by the app"]),
    ("rows of a table that was away", THREE, AWAY, "", HERE.replace("_orchestrate_kept_t;", "_orchestrate_kept_t WHERE id < 3;", 1), ["removed id 3, v 'c'"], []),
    ("which column is which, of a row under another name", f"{THREE} INSERT INTO t VALUES (4, 'd', 40)", "CREATE TABLE s (id INTEGER PRIMARY KEY, v, w); INSERT INTO s SELECT * FROM t; DROP TABLE t", "INSERT INTO s VALUES (5, 'e', 50)", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w INTEGER); INSERT INTO t SELECT id, CASE id WHEN 5 THEN w ELSE v END, CASE id WHEN 5 THEN v ELSE w END FROM s; DROP TABLE s", ["t: 1 row differs after the rollback from what the app wrote to s, for example added id 5, v '50', w 'e'"], ["s: 1 of 1 rows written by the app is lost or changed"]),
    ("a table that is not made again", THREE, "DROP TABLE IF EXISTS t", "", "", ["3 rows"], []),
    ("that there was no such table", THREE, LOG, "INSERT INTO log VALUES (1, 'x')", "ALTER TABLE log RENAME TO stays", ["stays: "], ["log: 1 of 1 rows"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "migrate", "writes", "rollback", "back", "again"),
    [case[1:] for case in OTHERS],
    ids=[case[0] for case in OTHERS],
)
def test_losses_of_other_changes_are_named(
    trip: Trip, before: str, migrate: str, writes: str, rollback: str, back: list[str], again: list[str]
) -> None:
    """Losses are named with any key and without one; the next migration must restore values of the new schema."""
    found = trip.travelled(before, migrate, writes, rollback)
    assert matches(found.unexplained, *back), found.unexplained
    assert matches(found.unregained, *again), found.unregained


@pytest.mark.parametrize(
    ("migrate", "rollback", "said"),
    [
        (ADD, DROP, []),
        (ADD, f"{DROP} UPDATE t SET v = 'z' WHERE id = 1", ["t: after the rollback v differs in 1 row, for example changed id 1, v 'a' -> 'z'"]),
        (ADD, f"{DROP} UPDATE t SET v = 'z', w = 5", ["t: after the rollback v differs in 3 rows, w differs in 3 rows, for example changed id 1, v 'a' -> 'z', w 10 -> 5"]),
        (ADD, f"{DROP} DELETE FROM t WHERE id < 3", ["t: after the rollback 2 rows are missing, for example removed id 1, v 'a', w 10"]),
        (ADD, f"{DROP} INSERT INTO t VALUES (4, 'd', 40)", ["t: after the rollback 1 row is new, for example added id 4, v 'd', w 40"]),
        (ADD, f"{DROP} UPDATE t SET id = 1000 + id", ["t: after the rollback 3 rows are missing, 3 rows are new, for example removed id 1"]),
        (ADD, f"{DROP} UPDATE t SET id = 9 WHERE id = 1; UPDATE t SET v = 'z' WHERE id = 2", ["t: after the rollback 1 row is missing, 1 row is new, v differs in 1 row, for example changed id 2"]),
        ("DROP TABLE t", "", ["t: after the rollback 3 rows are missing, for example removed id 1, v 'a', w 10"]),
        (f"{LOG} INSERT INTO log SELECT id, v FROM t", "", ["log: after the rollback 3 rows are new, for example added id 1, v 'a'"]),
        (LOG, "", []),
        (AWAY, HERE, []),
        (AWAY, HERE.replace("SELECT *", "SELECT id, upper(v), w"), ["t: after the rollback v differs in 3 rows"]),
        (HOURS, MINUTES, ["t: after the rollback w differs in 2 rows, for example changed id 1, w 10 -> 0"]),
        (f"{LOG} CREATE TABLE u (v)", f"UPDATE t SET w = 1 WHERE id = 3; INSERT INTO u VALUES (1); {KEEP_LOG}", ["t: after the rollback w differs in 1 row", "u: after the rollback 1 row is new"]),
    ],
)  # fmt: skip
def test_rollback_differences_without_writes_are_named(
    trip: Trip, migrate: str, rollback: str, said: list[str]
) -> None:
    """Added and removed rows are counted, changed values by column, and one row is shown."""
    found = trip.straight(THREE, migrate, rollback)
    assert matches(found, *said), found


def test_many_lost_rows_are_reported_in_one_line(trip: Trip) -> None:
    """Any number of losses gives one line for each table, with all of them counted and one row shown."""
    fill = "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 3009)"
    script = f"{THREE} {fill} INSERT INTO t SELECT i, 'v', i FROM n;"
    rollback = f"{DROP} UPDATE t SET v = 'x'"
    assert matches(trip.straight(script, ADD, rollback), "t: after the rollback v differs in 3,003 rows, for example")
    found = trip.travelled(script, ADD, "UPDATE t SET v = 'w' WHERE id > 2000", rollback)
    assert matches(
        found.unexplained, "t: 1,009 of 1,009 rows that the app wrote", "t: 1,994 rows that the app did not write"
    )
    assert matches(found.unregained, "t: 1,009 of 1,009 rows written by the app")


NO_KEY = THREE.replace(" PRIMARY KEY", "")  # a changed row then counts as one removed and one added
TO_FOLLOW = [  # before, rows followed, what the app writes, what the rollback does besides, findings
    ("as many as are followed", THREE, 2, "UPDATE t SET v = 'z' WHERE id < 3;", "", []),
    ("one more", THREE, 2, "UPDATE t SET v = 'z';", "", ["t: writes.sql changes 3 rows"]),
    ("more, and one of them lost", THREE, 2, "UPDATE t SET v = 'z';", "DELETE FROM t WHERE id = 1;", ["t: writes.sql changes 3 rows"]),
    ("more, and all of them lost", THREE, 2, "UPDATE t SET v = 'z';", RESTORED, ["t: writes.sql changes 3 rows"]),
    ("more that nobody wrote", THREE, 2, WROTE_ONE, "UPDATE t SET w = 0;", ["t: after writes and rollback 3 rows differ from before, but the app wrote only 1"]),
    ("more while nothing was written", THREE, 2, "", "DELETE FROM t;", ["t: after writes and rollback 3 rows differ from before, but the app wrote only 0"]),
    ("as many without a key", NO_KEY, 4, "UPDATE t SET v = 'z' WHERE id < 3;", "", []),
    ("more without a key", NO_KEY, 4, "UPDATE t SET v = 'z';", "", ["t: writes.sql changes 6 rows"]),
    ("more without a key that nobody wrote", NO_KEY, 4, WROTE_ONE, "UPDATE t SET w = 0;", ["t: after writes and rollback 6 rows differ from before, but the app wrote only 2"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "keep", "writes", "beside", "said"),
    [case[1:] for case in TO_FOLLOW],
    ids=[case[0] for case in TO_FOLLOW],
)
def test_too_many_rows_to_follow_are_refused(
    trip: Trip, before: str, keep: int, writes: str, beside: str, said: list[str]
) -> None:
    """Nothing passes merely because it could not be examined."""
    found = trip.travelled(before, ADD, writes, f"{DROP} {beside}", keep).unexplained
    assert matches(found, *said), found


def test_new_table_with_too_many_rows_is_refused(trip: Trip) -> None:
    """The old schema has no such table, so only migrating again can report it."""
    found = trip.travelled(THREE, KEPT_LOG, "INSERT INTO log VALUES (1, 'x'), (2, 'y'), (3, 'z')", KEEP_LOG, keep=2)
    assert (found.unexplained, told(found.unregained)) == (
        [],
        ["log: writes.sql changes 3 rows, too many to follow each of them"],
    )
    assert found.unregained[0].severity is Severity.ERROR


ANEW_EACH_TIME = "ALTER TABLE t ADD COLUMN at; UPDATE t SET at = randomblob(8);"


@pytest.mark.parametrize(
    ("keep", "said", "weight"),
    [
        (2, "t: 3 rows differ after migrating again, too many to find the rows that the app wrote", Severity.WARNING),
        (
            3,
            "t: 1 of 1 rows written by the app is lost or changed after migrating again, for example changed id 1",
            Severity.ERROR,
        ),
    ],
    ids=["more", "as many"],
)
def test_too_many_rows_changed_by_migrating_again_are_a_warning(
    trip: Trip, keep: int, said: str, weight: Severity
) -> None:
    """If too many rows differ to find the written ones, that is a warning; if written rows are missing, an error."""
    found = trip.travelled(THREE, ANEW_EACH_TIME, "UPDATE t SET at = 'z' WHERE id = 1", DROP.replace(" n", " at"), keep)
    assert matches(found.unregained, said), found.unregained
    assert found.unregained[0].severity is weight


APPLIED = "CREATE TABLE applied (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, batch INTEGER); INSERT INTO applied VALUES (1, 'one', 1); CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
LISTED, UNLISTED = "INSERT INTO applied (name, batch) VALUES ('two', 7)", "DELETE FROM applied WHERE name = 'two'"


@pytest.mark.parametrize(
    ("migrate", "writes", "words"),
    [
        pytest.param(LISTED, "INSERT INTO t VALUES (3, 'x')", "", id="the list of applied migrations"),
        pytest.param(LISTED, "INSERT INTO t VALUES (1, 3)", "removed id 3", id="a number that the app wrote"),
        pytest.param(f"{LISTED} ON CONFLICT DO NOTHING; UPDATE applied SET batch = id WHERE name = 'two'", "", "removed id 3", id="another row each time"),
    ],
)  # fmt: skip
def test_row_that_the_migration_adds_may_get_another_number_each_time(
    trip: Trip, migrate: str, writes: str, words: str
) -> None:
    """AUTOINCREMENT numbers it anew; that is a loss only if the app wrote the number, or the row says something else."""
    before, first = trip.made("before.db", APPLIED), trip.made("first.db", migrate, "before.db")
    trip.made("undone.db", UNLISTED, "first.db")
    there = trip.made("there.db", migrate, "undone.db")
    written = trip.made("written.db", writes, "there.db")
    trip.made("back.db", UNLISTED, "written.db")
    again = trip.made("again.db", migrate, "back.db")
    moved, wrote, regained = (row_diff(*both, 100) for both in ((before, first), (there, written), (there, again)))
    causes = [each.cause for each in changed_by_migrating_again(moved, wrote, regained, {}, ())]
    assert [words in cause for cause in causes] == [True] * bool(words), causes


def test_loss_in_the_rollback_cannot_be_accepted(trip: Trip) -> None:
    """Every finding is an error; only what the old schema cannot hold has a rule by which it may be accepted."""
    rollback = f"{DROP} UPDATE t SET v = 'y'"
    found = trip.travelled(THREE, ADD, f"{WROTE_ONE} UPDATE t SET n = 7 WHERE id = 3", rollback)
    everything = [*trip.straight(THREE, ADD, rollback), *found.unexplained, *found.unregained]
    assert [each.rule for each in everything] == ["", "", "", WRITTEN_LOST]
    assert {each.severity for each in everything} == {Severity.ERROR}


def test_findings_show_no_secrets(trip: Trip) -> None:
    """Values in findings are masked as in a report."""
    script = THREE.replace("v TEXT", "token TEXT").replace("w INTEGER", "mail TEXT")
    found = trip.travelled(
        script,
        ADD,
        "UPDATE t SET token = 'much', mail = 'me@there.org' WHERE id = 1",
        f"{DROP} UPDATE t SET token = 'less'",
    )
    assert matches(found.unexplained, "changed id 1, token ***, mail ***", "changed id 2, token ***")


# --- any one row harmed


def tables_of(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the user's tables."""
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '_orchestrate_*'")
    return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names.fetchall()}


def harms(file: Path) -> Iterator[tuple[str, str]]:
    """Yield every harm that one statement can do to a row, with its kind: a lost row or value, another value, a row."""
    with closing(sqlite3.connect(file)) as connection:
        tables = tables_of(connection)
        columns = {name: connection.execute(f'PRAGMA table_info("{name}")').fetchall() for name in tables}
    for name, rows in tables.items():
        keys = [place for place, *_, is_key in columns[name] if is_key] or [place for place, *_ in columns[name]]
        for row in rows:
            condition = " AND ".join(f"{columns[name][place][1]} IS {written(row[place])}" for place in keys)
            yield "row lost", f"DELETE FROM {name} WHERE {condition}"
            for place, column, *_ in columns[name]:
                for value in {None, "zz", *(other[place] for other in rows)} - {row[place]}:
                    kind = "value lost" if value is None else "another value"
                    yield kind, f"UPDATE OR IGNORE {name} SET {column} = {written(value)} WHERE {condition}"
            other = (
                f"{value}9" if place in keys and isinstance(value, str) else value for place, value in enumerate(row)
            )
            values = (90 if place in keys and isinstance(value, int) else value for place, value in enumerate(other))
            yield "one row more", f"INSERT OR IGNORE INTO {name} VALUES ({', '.join(map(written, values))})"


def written(value: object) -> str:
    """Return a value as SQL writes it, a text so that no one reads it there."""
    return (
        "NULL"
        if value is None
        else f"CAST(x'{value.encode().hex()}' AS TEXT)"
        if isinstance(value, str)
        else str(value)
    )


def contents(file: Path) -> dict[str, Counter[Any]]:
    """Return the rows of the user's tables, as bags."""
    with closing(sqlite3.connect(file)) as connection:
        return {name: Counter(rows) for name, rows in tables_of(connection).items()}


@pytest.mark.slow
@pytest.mark.parametrize("way", [*ROUND_TRIPS, *MORE], ids=lambda each: each.name)
def test_any_row_harmed_by_a_rollback_is_named(trip: Trip, way: RoundTrip) -> None:
    """One row lost, changed or added by the rollback is found, unless it only waits: migrating again gives it back."""
    trip.travelled(way.before, way.migrate, way.writes, way.rollback)
    back, every = contents(trip.folder / "back.db"), [*harms(trip.folder / "back.db")]
    tried = 0
    for kind, harm in every:
        with suppress(sqlite3.IntegrityError):  # the migration itself refuses what the harm made
            found = trip.travelled(way.before, way.migrate, way.writes, f"{way.rollback};{harm};")
            tried += contents(trip.folder / "back.db") != back
            is_told = bool(found.unexplained or found.unregained)
            waits = contents(trip.folder / "regained.db") == contents(trip.folder / "written.db")
            is_as_allowed = waits and ("lost" in kind or "SET state" in harm)
            assert is_told or is_as_allowed or contents(trip.folder / "back.db") == back, harm
    assert tried > 2


# --- in a whole rehearsal


@pytest.mark.anyio
async def test_lost_edit_of_a_row_that_the_change_left_alone_is_named(sqld_binary: Path, tmp_path: Path) -> None:
    """A rehearsal knows which rows a change converted: in any other row, values must be equal on both sides."""
    changed(
        tmp_path / "sql",
        "-- changes: t\n-- allow: no-where all of them\nCREATE TABLE _orchestrate_kept_t AS SELECT * FROM t; UPDATE t SET v = trim(v);",
        "-- allow: no-where all of them\nUPDATE t SET v = (SELECT v FROM _orchestrate_kept_t AS k WHERE k.id = t.id); DROP TABLE _orchestrate_kept_t;",
    )
    (tmp_path / "sql" / "writes.sql").write_text("UPDATE t SET v = 'new' WHERE id = 2;\n", encoding="utf-8")
    async with (
        sqld.serve(sqld_binary, tmp_path / "sqld") as url,
        aclosing(connect(url, None)) as database,
    ):
        await database.transaction(split(THREE.replace("'a'", "' a'"), "made.sql"))
        proof_config = ProofConfig(tmp_path / "run", sqld_binary, Limits(120, 10**10))
        with pytest.raises(
            Problem, match=r"t: 1 of 1 rows that the app wrote is lost or changed .* changed id 2, v 'new'"
        ):
            await prove(Turso(database), read_change(tmp_path / "sql"), proof_config)


# --- at random

VALUES = [None, 0, 1, 1.0, 2, 2.5, "", "1", "a", "A", "a\0b", b"", b"a", 2**53]
KEYS = [
    "id INTEGER PRIMARY KEY, a, b, c", "id INT PRIMARY KEY, a, b, c", "id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, a, b, c",
    "id, a, b, c, PRIMARY KEY (id)", "id INTEGER, a TEXT, b, c, PRIMARY KEY (a, id)", "id, a, b INTEGER, c TEXT, PRIMARY KEY (a, id)",
]  # fmt: skip
CHANGES = [("", ""), (ADD, DROP), (f"{ADD} UPDATE t SET n = b;", DROP), ("CREATE INDEX i ON t (b)", "DROP INDEX i")]


def put(connection: sqlite3.Connection, chance: random.Random, rows: int) -> None:
    """Insert rows, except those that a key refuses."""
    for _ in range(rows):
        row = [chance.choice(VALUES) for _ in range(4)]
        _try(connection, "INSERT OR IGNORE INTO t (id, a, b, c) VALUES (?, ?, ?, ?)", *row)


def write(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Write as an app does."""
    for _ in range(chance.randint(0, 4)):
        one, value, column = chance.choice(VALUES), chance.choice(VALUES), chance.choice(["a", "b", "c", "id"])
        match chance.randrange(3):
            case 0:
                put(connection, chance, 2)
            case 1:
                _try(connection, f"UPDATE OR IGNORE t SET {column} = ? WHERE id IS ?", value, one)
            case _:
                _try(connection, "DELETE FROM t WHERE id IS ?", one)


def harm(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Add, delete or change one row."""
    rows = connection.execute("SELECT id, a FROM t").fetchall()
    kind = chance.random() if rows else 0
    if kind < 0.3:
        put(connection, chance, 1)
    elif kind < 0.8:
        _try(
            connection,
            f"UPDATE OR IGNORE t SET {chance.choice('abc')} = ? WHERE id IS ? AND a IS ?",
            chance.choice(VALUES),
            *chance.choice(rows),
        )
    else:
        connection.execute("DELETE FROM t WHERE id IS ? AND a IS ?", chance.choice(rows))


def held(file: Path) -> Counter[Any]:
    """Return all rows of a file."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT id, a, b, c FROM t")
        return Counter(tuple((type(value), value) for value in row) for row in rows)


def _try(connection: sqlite3.Connection, sql: str, *values: Any) -> None:
    with suppress(sqlite3.IntegrityError):
        connection.execute(sql, values)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32), st.sampled_from(KEYS), st.sampled_from(CHANGES))
def test_harmed_rollback_is_named_and_a_correct_one_is_not(seed: int, key: str, change: tuple[str, str]) -> None:
    """A correct rollback gives no finding after any writes; with any one of its rows changed, it does."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    with TemporaryDirectory() as folder:
        trip = Trip(Path(folder))

        def made(name: str, script: str, since: str, act: Callable[[sqlite3.Connection, random.Random], None]) -> Path:
            file = trip.made(name, script, since)
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                act(connection, chance)
            return file

        start = made("before.db", f"CREATE TABLE t ({key})", "", lambda at, by: put(at, by, 6))
        there = trip.made("there.db", change[0], "before.db")
        written = made("written.db", "", "there.db", write)
        back = trip.made("back.db", change[1], "written.db")
        harmed = made("harmed.db", "", "back.db", harm)
        moved, wrote = row_diff(start, there, FOLLOWED), row_diff(there, written, FOLLOWED)
        returned, spoilt = (row_diff(start, file, FOLLOWED) for file in (back, harmed))
        named = renames(read_script_text(change[0], "migrate.sql"))
        elsewhere = Elsewhere()
        assert told(changed_without_reason(moved, wrote, returned, named, elsewhere, {})) == []
        is_told_apart = all(row.key for diff in (wrote, spoilt) for row in diff["t"].rows)
        assert is_told_apart <= (
            bool([*changed_without_reason(moved, wrote, spoilt, named, elsewhere, {})]) == (held(back) != held(harmed))
        )


def test_changed_row_is_explained_by_its_own_change_rather_than_by_a_chance_value() -> None:
    """A row of another table that happens to hold the key and the value leaves the change to the row that made it."""
    note = Row(Kind.ADDED, (("code", "k"),), new={"code": "k", "size": 1, "state": "new"})
    user = Row(Kind.CHANGED, (("id", "u-1"),), {"price": "old"}, {"price": "new"}, {"id": "u-1"})
    wrote = {
        "notes": TableDiff("notes", 1, 2, added=1, rows=(note,)),
        "users": TableDiff("users", 1, 1, changed=1, rows=(user,)),
    }
    elsewhere = Elsewhere.of(wrote, wrote, {})
    there = Row(Kind.CHANGED, (("id", 1),), {"price": "old"}, {"price": "new"}, {"id": 1})
    assert elsewhere.unexplained("users", [there]) == []
    assert elsewhere.explains("users", user)
