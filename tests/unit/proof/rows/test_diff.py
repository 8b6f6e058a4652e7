"""The row diff, case by case: which rows, values and tables count as the same."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.proof.rows import pages
from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import Dropped, Kind, TableDiff

Compare = Callable[[str, str], TableDiff]


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str, str], tuple[Path, Path]]:
    """Create a file with a script, and a second one by running another script on a copy of the first."""

    def make(script: str, change: str) -> tuple[Path, Path]:
        before, after = tmp_path / "be fore?#%.db", tmp_path / "after.db"
        run(before, script)
        after.write_bytes(before.read_bytes())
        run(after, change)
        return before, after

    return make


@pytest.fixture
def compared(files: Callable[[str, str], tuple[Path, Path]]) -> Compare:
    """Compare the one table that two scripts create."""

    def compare(script: str, change: str) -> TableDiff:
        (found,) = row_diff(*files(script, change)).values()
        return found

    return compare


def run(file: Path, script: str) -> None:
    """Run a script on a file, with foreign keys enforced."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA foreign_keys = ON; {script}")


KEYED = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v, w); INSERT INTO t VALUES (1, 1, 'a'), (2, NULL, 'b'), (3, 'x', 'c');"
)
WITHOUT_KEY = "CREATE TABLE t (v, w); INSERT INTO t VALUES (1, 'a'), (1, 'a'), (1, 'a'), (NULL, 'b');"
NAMED = "CREATE TABLE t (name TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1), ('b', 2);"
NO_CASE = (
    "CREATE TABLE t (name TEXT PRIMARY KEY COLLATE NOCASE, v TEXT COLLATE NOCASE); INSERT INTO t VALUES ('a', 'x');"
)
TWO_KEYS = "CREATE TABLE t (a INTEGER, b TEXT, v, PRIMARY KEY (b, a)); INSERT INTO t VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3);"
NO_ROWID = (
    "CREATE TABLE t (a TEXT, b, v, PRIMARY KEY (b, a)) WITHOUT ROWID; INSERT INTO t VALUES ('x', 1, 1), ('y', 1, 2);"
)
GENERATED = """CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, twice AS (v * 2), kept AS (v * 3) STORED);
  INSERT INTO t VALUES (1, 1), (2, 2);"""
QUOTED = """CREATE TABLE "a ""table" ("select" INTEGER PRIMARY KEY, "x y" TEXT, "b" TEXT, "a" TEXT, rowid TEXT, gone TEXT, n TEXT, c0 TEXT, side);
  INSERT INTO "a ""table" VALUES (1, 'x', 'b', 'a', 'r', 'g', 'n', 'c', 0);"""
NO_ROWID_NAME = "CREATE TABLE t (rowid, oid, _rowid_); INSERT INTO t VALUES (1, 2, 3), (4, 5, 6);"
REBUILT = "CREATE TABLE u AS SELECT * FROM t; DROP TABLE t; {}; INSERT INTO t SELECT * FROM u ORDER BY {}; DROP TABLE u"

CASES = [  # before, change, added, removed, changed, columns
    ("an update of one column", KEYED, "UPDATE t SET v = 2 WHERE id = 1", 0, 0, 1, {"v": 1}),
    ("columns counted each", KEYED, "UPDATE t SET v = 2; UPDATE t SET w = 'z' WHERE id > 1", 0, 0, 3, {"v": 3, "w": 2}),
    ("an integer made a real", KEYED, "UPDATE t SET v = 1.0 WHERE id = 1", 0, 0, 1, {"v": 1}),
    ("an integer made a text", KEYED, "UPDATE t SET v = '1' WHERE id = 1", 0, 0, 1, {"v": 1}),
    ("a text made a blob", KEYED, "UPDATE t SET v = x'78' WHERE id = 3", 0, 0, 1, {"v": 1}),
    ("NULL made an empty text", KEYED, "UPDATE t SET v = '' WHERE id = 2", 0, 0, 1, {"v": 1}),
    ("a value made NULL", KEYED, "UPDATE t SET v = NULL WHERE id = 3", 0, 0, 1, {"v": 1}),
    ("NULL that stays", KEYED, "UPDATE t SET v = NULL WHERE id = 2; VACUUM", 0, 0, 0, {}),
    ("a text behind a NUL", KEYED, "UPDATE t SET w = 'c' || char(0) || 'd' WHERE id = 3", 0, 0, 1, {"w": 1}),
    ("zero below zero", KEYED.replace("1, 1,", "1, 0.0,"), "UPDATE t SET v = -0.0 WHERE id = 1; VACUUM", 0, 0, 0, {}),
    ("infinity", KEYED, "UPDATE t SET v = 9e999", 0, 0, 3, {"v": 3}),
    ("a type that converts", KEYED, REBUILT.format("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w)", "id"), 0, 0, 1, {"v": 1}),
    ("columns in another order", KEYED, "CREATE TABLE u (w, v, id INTEGER PRIMARY KEY); INSERT INTO u SELECT w, v, id FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t", 0, 0, 0, {}),
    ("one row for another", KEYED, "UPDATE t SET id = 4 WHERE id = 3", 1, 1, 0, {}),
    ("a table emptied", KEYED, "DELETE FROM t", 0, 3, 0, {}),
    ("a table filled", "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (9223372036854775807)", 2, 0, 0, {}),
    ("an empty table made anew", "CREATE TABLE t (id INTEGER PRIMARY KEY)", "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v)", 0, 0, 0, {}),
    ("a key of text", NAMED, "UPDATE t SET v = 3 WHERE name = 'a'; DELETE FROM t WHERE name = 'b'; INSERT INTO t VALUES ('c', 2)", 1, 1, 1, {"v": 1}),
    ("rowids changed, keys kept", NAMED, REBUILT.format("CREATE TABLE t (name TEXT PRIMARY KEY, v)", "name DESC"), 0, 0, 0, {}),
    ("a key that is NULL twice", NAMED + "INSERT INTO t VALUES (NULL, 7), (NULL, 7)", "DELETE FROM t WHERE rowid = 3", 0, 1, 0, {}),
    ("a key that becomes NULL", NAMED, "UPDATE t SET name = NULL WHERE v = 2", 1, 1, 0, {}),
    ("a key in another case", NO_CASE, "UPDATE t SET name = 'A'", 0, 0, 1, {"name": 1}),
    ("a value in another case", NO_CASE, "UPDATE t SET v = 'X'", 0, 0, 1, {"v": 1}),
    ("a key compared otherwise", NO_CASE, REBUILT.format("CREATE TABLE t (name TEXT PRIMARY KEY, v TEXT)", "1") + "; INSERT INTO t VALUES ('A', 'x')", 1, 0, 0, {}),
    ("a key of two columns", TWO_KEYS, "UPDATE t SET v = 9 WHERE b = 'y'; DELETE FROM t WHERE a = 2; INSERT INTO t VALUES (2, 'y', 3)", 1, 1, 1, {"v": 1}),
    ("two columns of the key swapped", TWO_KEYS, REBUILT.format("CREATE TABLE t (a INTEGER, b TEXT, v, PRIMARY KEY (a, b))", "v DESC"), 0, 0, 0, {}),
    ("no rowid", NO_ROWID, "UPDATE t SET v = v + 1 WHERE a = 'x'; INSERT INTO t VALUES ('z', 'z', NULL)", 1, 0, 1, {"v": 1}),
    ("no rowid any more", NO_ROWID, REBUILT.format("CREATE TABLE t (a TEXT, b, v, PRIMARY KEY (b, a))", "v DESC"), 0, 0, 0, {}),
    ("another key", NO_ROWID, REBUILT.format("CREATE TABLE t (a TEXT PRIMARY KEY, b, v) WITHOUT ROWID", "v"), 0, 0, 0, {}),
    ("another key, and a value", NO_ROWID, REBUILT.format("CREATE TABLE t (a TEXT PRIMARY KEY, b, v) WITHOUT ROWID", "v") + "; UPDATE t SET v = 1.0 WHERE a = 'x'", 1, 1, 0, {}),
    ("a key of another type", NAMED.replace("'a'", "'1'").replace("'b'", "'01'"), "DROP TABLE t; CREATE TABLE t (name INT PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)", 1, 2, 0, {}),
    ("a key that may hold anything", "CREATE TABLE t (k ANY PRIMARY KEY) STRICT; INSERT INTO t VALUES (1), ('1')", "DROP TABLE t; CREATE TABLE t (k ANY PRIMARY KEY); INSERT INTO t VALUES (1)", 0, 1, 0, {}),
    ("a key renamed", KEYED, "ALTER TABLE t RENAME COLUMN id TO number", 0, 0, 0, {}),
    ("one of three alike deleted", WITHOUT_KEY, "DELETE FROM t WHERE rowid = 2", 0, 1, 0, {}),
    ("one of three alike changed", WITHOUT_KEY, "UPDATE t SET v = 1.0 WHERE rowid = 1", 1, 1, 0, {}),
    ("all turned round", WITHOUT_KEY, REBUILT.format("CREATE TABLE t (v, w)", "w DESC"), 0, 0, 0, {}),
    ("turned round and one doubled", WITHOUT_KEY, REBUILT.format("CREATE TABLE t (v, w)", "w DESC") + "; INSERT INTO t VALUES (NULL, 'b')", 1, 0, 0, {}),
    ("case, without a key", "CREATE TABLE t (v TEXT COLLATE NOCASE); INSERT INTO t VALUES ('a')", "UPDATE t SET v = 'A'", 1, 1, 0, {}),
    ("no name for the rowid", NO_ROWID_NAME, "UPDATE t SET oid = 7 WHERE oid = 2", 1, 1, 0, {}),
    ("nothing in common", KEYED, "DROP TABLE t; CREATE TABLE t (other); INSERT INTO t VALUES (1), (2)", 0, 1, 0, {}),
    ("what is computed follows", GENERATED, "UPDATE t SET v = 5 WHERE id = 1", 0, 0, 1, {"v": 1}),
    ("a formula of its own", GENERATED, "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, twice AS (v * 4)); INSERT INTO t VALUES (1, 1), (2, 2)", 0, 0, 0, {}),
    ("computed, then held", GENERATED, "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, twice); INSERT INTO t VALUES (1, 1, 2), (2, 2, 5)", 0, 0, 1, {"twice": 1}),
    ("names that need quotes", QUOTED, 'UPDATE "a ""table" SET "x y" = \'z\', side = 1', 0, 0, 1, {"x y": 1, "side": 1}),
    ("quoted names without a key", QUOTED.replace(" INTEGER PRIMARY KEY", ""), 'UPDATE "a ""table" SET "x y" = \'z\'', 1, 1, 0, {}),
    ("names in another case", KEYED, "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO T; ALTER TABLE T RENAME COLUMN v TO x; ALTER TABLE T RENAME COLUMN x TO V; UPDATE t SET v = 5", 0, 0, 3, {"v": 3}),
    ("letters without ASCII", 'CREATE TABLE t ("ä" PRIMARY KEY, "Ä"); INSERT INTO t VALUES (1, 2)', 'UPDATE t SET "Ä" = 3', 0, 0, 1, {"Ä": 1}),
    ("a table dropped", KEYED, "DROP TABLE t", 0, 3, 0, {}),
    ("a table made", "", KEYED, 3, 0, 0, {}),
    ("tables of nobody's", KEYED, "CREATE TABLE _orchestrate_kept_t AS SELECT * FROM t; CREATE TABLE _litestream_seq (n); CREATE TABLE libsql_wasm_func_table (n); DELETE FROM t WHERE id = 1", 0, 1, 0, {}),
    ("a view and an index", KEYED, "CREATE VIEW s AS SELECT * FROM t; CREATE INDEX i ON t (v)", 0, 0, 0, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "change", "added", "removed", "changed", "columns"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
@pytest.mark.parametrize("by_pages", [True, False], ids=["pages", "engine"])
def test_row_changes_are_classified(
    compared: Compare, monkeypatch: pytest.MonkeyPatch, script: str, change: str, added: int, removed: int, changed: int, columns: dict[str, int], *, by_pages: bool,
) -> None:  # fmt: skip
    """Each way to change rows is counted as what it is, with pages that prove tables equal and without."""
    if not by_pages:
        monkeypatch.setattr(
            pages,
            "_PAGES",
            "SELECT pageno, path, pagetype FROM an_engine_without_dbstat WHERE name = ? AND schema = ?",
        )
    found = compared(script, change)
    assert (found.added, found.removed, found.changed, found.columns) == (added, removed, changed, columns)
    assert (found.before or 0) + added - removed == (found.after or 0)


def test_equal_pages_prove_a_table_unchanged(files: Callable[[str, str], tuple[Path, Path]]) -> None:
    """Tables beside a changed one are proved equal by their pages, with long values and without rowid."""
    long = "CREATE TABLE long (v); INSERT INTO long VALUES (zeroblob(100000)), (1);"
    found = row_diff(*files(f"{KEYED} {NO_ROWID.replace(' t ', ' u ')} {long}", "UPDATE t SET v = 7 WHERE id = 1"))
    assert {name: table.by_pages for name, table in found.items()} == {"t": False, "u": True, "long": True}
    assert (found["u"].before, found["long"].after) == (2, 2)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET v = v || 'x' WHERE id = 700",
        "UPDATE t SET v = substr(v, 1, 50000) || 'y' || substr(v, 50002) WHERE id = 700",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t (id INTEGER PRIMARY KEY, v, w)'",
        "PRAGMA page_size = 8192; VACUUM",
    ],
    ids=["a leaf", "a page of a long value", "the definition alone", "pages of another size"],
)
def test_no_page_is_overlooked(compared: Compare, change: str) -> None:
    """A table is not taken as unchanged if one of its pages differs, or if the meaning of its pages does."""
    script = """CREATE TABLE t (id INTEGER PRIMARY KEY, v); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1
      FROM n WHERE i < 1000) INSERT INTO t SELECT i, iif(i = 700, printf('%.100000c', 'x'), 'short') FROM n"""
    found = compared(script, change)
    assert not found.by_pages
    assert found.changed == change.startswith("UPDATE")


def test_stale_pages_prove_nothing(compared: Compare) -> None:
    """A rebuilt table with the same definition is read, although the pages of the old one are still in the file."""
    change = """PRAGMA secure_delete = OFF; CREATE TABLE u (v UNIQUE); DROP TABLE t; ALTER TABLE u RENAME TO t"""
    found = compared('CREATE TABLE "t" (v UNIQUE); INSERT INTO t VALUES (1)', change)
    assert (found.by_pages, found.removed) == (False, 1)


def test_values_stored_before_a_type_change_are_compared_as_stored(compared: Compare) -> None:
    """A column of numbers may hold texts if only its definition was edited, as libSQL's ALTER COLUMN does."""
    edit = "PRAGMA writable_schema = RESET; PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE t (id INTEGER PRIMARY KEY, v {})'; PRAGMA writable_schema = RESET;"
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, '1.0'); {edit.format('INT')}"
    assert compared(script, f"{edit.format('TEXT')} UPDATE t SET v = '1'; {edit.format('INT')}").columns == {"v": 1}


def test_columns_of_one_side_are_named(compared: Compare) -> None:
    """They do not change rows: dropped columns are named with their values, and what the columns became."""
    script = """CREATE TABLE t (id INTEGER PRIMARY KEY, number TEXT, owner, empty, twice AS (id * 2), flag);
      INSERT INTO t (id, number, owner, flag) VALUES (1, '0648', 'me', 1), (2, NULL, NULL, 0), (3, '1001', 'you', 1);"""
    change = """CREATE TABLE u (id INTEGER PRIMARY KEY, site TEXT, vendor, flags INTEGER);
      INSERT INTO u SELECT id, number, 'x', flag = 0 FROM t WHERE id < 3; DROP TABLE t; ALTER TABLE u RENAME TO t"""
    found = compared(script, change)
    assert (found.added, found.removed, found.changed) == (0, 1, 0)
    assert found.only_after == ("site", "vendor", "flags")
    assert found.only_before == (
        Dropped("number", 2, "site"), Dropped("owner", 2), Dropped("empty", 0), Dropped("twice", 0), Dropped("flag", 3)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("copied", "became"), [("number", "site"), ("CAST(number AS INTEGER)", None), ("upper(number)", None)]
)
@pytest.mark.parametrize("key", [" PRIMARY KEY", ""], ids=["key", "bag"])
def test_column_is_renamed_only_if_every_value_is_kept(
    compared: Compare, key: str, copied: str, became: str | None
) -> None:
    """A number for a text, or another case, is a different value, with a key and without."""
    script = f"CREATE TABLE t (id TEXT{key}, number TEXT COLLATE NOCASE); INSERT INTO t VALUES ('a', '01'), ('b', 'x')"
    change = f"""CREATE TABLE u (id TEXT{key}, site NUMERIC COLLATE NOCASE); INSERT INTO u SELECT id, {copied} FROM t;
      DROP TABLE t; ALTER TABLE u RENAME TO t"""
    kept = change.replace("NUMERIC", "BLOB") if became else change
    assert compared(script, kept).only_before == (Dropped("number", 2, became),)


def test_renamed_key_is_recognised(compared: Compare) -> None:
    """The values of the key are followed although rows can then only be compared as bags."""
    found = compared(KEYED, "ALTER TABLE t RENAME COLUMN id TO number; UPDATE t SET v = 8 WHERE number = 1")
    assert (found.added, found.removed) == (1, 1)
    assert found.only_before == (Dropped("id", 3, "number"),)


@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY", "id"])
def test_column_without_rows_is_not_renamed(compared: Compare, key: str) -> None:
    """If no row is left, no column is taken for the dropped one."""
    script = f"CREATE TABLE t ({key}, gone); INSERT INTO t VALUES (1, 1), (2, 2)"
    found = compared(script, "DELETE FROM t; ALTER TABLE t ADD COLUMN new; ALTER TABLE t DROP COLUMN gone")
    assert found.only_before == (Dropped("gone", 2),)


def test_samples_show_the_key_and_what_differs(compared: Compare) -> None:
    """At most three rows of each kind are shown, the newest of the added ones."""
    script = "CREATE TABLE t (a TEXT, b, v, w, PRIMARY KEY (a, b));" + "".join(
        f"INSERT INTO t VALUES ('k', {number}, {number}, 'w');" for number in range(10)
    )
    change = """UPDATE t SET v = v + 0.5 WHERE b BETWEEN 1 AND 4; DELETE FROM t WHERE b > 5;
      INSERT INTO t VALUES ('k', 20, 1, NULL), ('k', 21, 1, x'0102')"""
    assert [*map(str, compared(script, change).samples)] == [
        "changed a 'k', b 1, v 1 -> 1.5",
        "changed a 'k', b 2, v 2 -> 2.5",
        "changed a 'k', b 3, v 3 -> 3.5",
        "removed a 'k', b 6, v 6, w 'w'",
        "removed a 'k', b 7, v 7, w 'w'",
        "removed a 'k', b 8, v 8, w 'w'",
        "added a 'k', b 21, v 1, w <2 bytes>",
        "added a 'k', b 20, v 1, w NULL",
    ]


def test_samples_without_a_key_show_all_values(compared: Compare) -> None:
    """A row without a key is shown with all columns that both sides have."""
    found = compared(WITHOUT_KEY, "UPDATE t SET w = 'z' WHERE v IS NULL")
    assert [*map(str, found.samples)] == ["removed v NULL, w 'b'", "added v NULL, w 'z'"]


@pytest.mark.parametrize(("script", "change", "kind"), [(KEYED, "DROP TABLE t", Kind.REMOVED), ("", KEYED, Kind.ADDED)])
def test_samples_of_a_dropped_or_created_table(compared: Compare, script: str, change: str, kind: Kind) -> None:
    """The first rows of a table on one side only are shown."""
    found = compared(script, change)
    assert [sample.kind for sample in found.samples] == [kind] * 3
    assert str(found.samples[0]) == f"{kind} id 1, v 1, w 'a'"


@pytest.mark.parametrize("end", ["wal", "journal"])
def test_file_with_a_log_beside_it_is_refused(files: Callable[[str, str], tuple[Path, Path]], end: str) -> None:
    """Rows still in a log would be overlooked; an empty log holds nothing."""
    before, after = files(KEYED, "")
    log = after.with_name(f"{after.name}-{end}")
    log.touch()
    assert row_diff(before, after)["t"].total == 0
    log.write_bytes(b"x")
    with pytest.raises(Problem, match=f"after.db-{end} is not empty"):
        row_diff(before, after)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(b"no database at all" * 100)])
def test_file_that_is_no_database_is_refused(
    files: Callable[[str, str], tuple[Path, Path]], spoil: Callable[[Path], object]
) -> None:
    """A missing or broken file is reported in the tool's own words, and none is created."""
    before, after = files(KEYED, "")
    spoil(after)
    with pytest.raises(Problem, match="comparing be fore"):
        row_diff(before, after)


def test_neither_file_is_touched(files: Callable[[str, str], tuple[Path, Path]]) -> None:
    """Files of a database in WAL mode are read without writing anything beside them."""
    before, after = files(f"PRAGMA journal_mode = WAL; {KEYED}", "DELETE FROM t WHERE id = 1")
    content = [file.read_bytes() for file in (before, after)]
    assert row_diff(before, after)["t"].removed == 1
    assert [file.read_bytes() for file in (before, after)] == content
    assert {*before.parent.iterdir()} == {before, after}


@pytest.mark.parametrize(
    ("before", "sample"),
    [
        (KEYED, r"changed id 1, w 'a' -> 'a\xffb'"),
        ("CREATE TABLE t (id, w); INSERT INTO t VALUES (1, 'a')", r"added id 1, w 'a\xffb'"),
    ],
)
def test_invalid_utf_8_is_compared(files: Callable[[str, str], tuple[Path, Path]], before: str, sample: str) -> None:
    """Invalid text is a value like any other, with a key or without, and each of its bytes is shown."""
    found = row_diff(*files(before, "UPDATE t SET w = CAST(x'61ff62' AS TEXT) WHERE id = 1"))["t"]
    assert str(found.samples[-1]) == sample
