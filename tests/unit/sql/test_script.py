"""Scripts split into statements as the engine splits them."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.core.errors import Problem
from steps.support.sql.script import split
from steps.support.sql.tokens import tokenize


def places(text: str) -> list[tuple[int, str]]:
    """Return each statement of a script with its line."""
    return [(int(each.name.removeprefix("x.sql line ")), each.sql) for each in split(text, "x.sql")]


TRIGGER = """CREATE TRIGGER g AFTER UPDATE ON t WHEN new.v <> 'a;b' BEGIN
  UPDATE t SET v = CASE WHEN new.v THEN 1 ELSE 2 END; -- not the end; yet
  INSERT INTO log VALUES ('END;');
END"""
SPLIT = {
    "semicolons and apostrophes in comments": (
        "-- it's; not yet\nSELECT 1; /* don't;\nstop */ SELECT 2;",
        [(2, "SELECT 1"), (3, "SELECT 2")],
    ),
    "a comment after the last statement": ("SELECT 1;\n-- the end; really\n", [(1, "SELECT 1")]),
    "comments beside columns": (
        "CREATE TABLE a (\n  x TEXT, -- first; column\n  y TEXT  -- it's the second\n);\nSELECT 1;",
        [(1, "CREATE TABLE a (\n  x TEXT, -- first; column\n  y TEXT  -- it's the second\n)"), (5, "SELECT 1")],
    ),
    "leading blank lines": ("\n\n \t\n  SELECT 1;", [(4, "SELECT 1")]),
    "no final semicolon": ("SELECT 1;\nSELECT 2", [(1, "SELECT 1"), (2, "SELECT 2")]),
    "no final semicolon before a comment": ("SELECT 1 -- one", [(1, "SELECT 1")]),
    "begin, a select whose rows matter, commit, more": (
        "BEGIN TRANSACTION;\nSELECT count(*) FROM t;\nCOMMIT;\nSELECT 3;",
        [(1, "BEGIN TRANSACTION"), (2, "SELECT count(*) FROM t"), (3, "COMMIT"), (4, "SELECT 3")],
    ),
    "insert with": ("INSERT INTO t WITH n AS (SELECT ';') SELECT * FROM n;", [(1, "INSERT INTO t WITH n AS (SELECT ';') SELECT * FROM n")]),
    "on conflict": ("INSERT INTO t VALUES (1)\nON CONFLICT (id) DO UPDATE SET v = 2;", [(1, "INSERT INTO t VALUES (1)\nON CONFLICT (id) DO UPDATE SET v = 2")]),
    "row values": ("UPDATE t SET (a, b) = (SELECT 1, 2);", [(1, "UPDATE t SET (a, b) = (SELECT 1, 2)")]),
    "window functions": ("SELECT row_number() OVER (ORDER BY id) FROM t;", [(1, "SELECT row_number() OVER (ORDER BY id) FROM t")]),
    "temp table and pragma": ("CREATE TEMP TABLE x (y);\nPRAGMA foreign_keys=OFF;", [(1, "CREATE TEMP TABLE x (y)"), (2, "PRAGMA foreign_keys=OFF")]),
    "quoted names": ('SELECT "a;""b", `c;``d`, [e;f] FROM t; SELECT 2;', [(1, 'SELECT "a;""b", `c;``d`, [e;f] FROM t'), (1, "SELECT 2")]),
    "separators glued behind": ("SELECT 1;--> statement-breakpoint\nSELECT 2;", [(1, "SELECT 1"), (2, "SELECT 2")]),
    "letters beyond ASCII": ("SELECT 'größe; 電池 🌞'; -- naïve;\nSELECT grün FROM t;", [(1, "SELECT 'größe; 電池 🌞'"), (2, "SELECT grün FROM t")]),
    "a command of the shell": (".headers on\nSELECT 1;", [(1, ".headers on\nSELECT 1")]),
    "SQL that is commented out": ("-- DROP TABLE t;\n/* DELETE FROM t; */\nSELECT 1;", [(3, "SELECT 1")]),
    "raise in a plain select": ("SELECT RAISE(ABORT, 'no; never');", [(1, "SELECT RAISE(ABORT, 'no; never')")]),
    "comments only": ("-- nothing; here\n/* nor\n here; */\n", []),
    "nothing": ("", []),
    "empty statements": (";;\n ; SELECT 1;;", [(2, "SELECT 1")]),
    "a trigger": (f"{TRIGGER};\nSELECT 1;", [(1, TRIGGER), (5, "SELECT 1")]),
    "a trigger without its last semicolon": (TRIGGER + ";", [(1, TRIGGER)]),
    "lines that end as on Windows": ("-- a\r\nSELECT 1;\r\nSELECT\r\n 2;\r\n", [(2, "SELECT 1"), (3, "SELECT\r\n 2")]),
    "doubled quotes": ("SELECT 'it''s;'; SELECT '''';", [(1, "SELECT 'it''s;'"), (1, "SELECT ''''")]),
    "a slash, a minus, a blob": ("SELECT 4/2, 3-1, x'3b';", [(1, "SELECT 4/2, 3-1, x'3b'")]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SPLIT.values(), ids=SPLIT)
def test_script_is_split_as_the_engine_splits_it(text: str, expected: list[tuple[int, str]]) -> None:
    """Each statement keeps its text and the line of its first word; text outside statements is left out."""
    assert places(text) == expected


def test_split_script_runs_like_the_whole_script(tmp_path: Path) -> None:
    """Run statement by statement, a script leaves the same database as when SQLite runs it whole."""
    text = (
        f"CREATE TABLE t (v);\nCREATE TABLE log (v);\n{TRIGGER};\nINSERT INTO t VALUES ('x;y');\nUPDATE t SET v = 1;\n"
    )
    dumps = []
    for name, texts in (("whole", [text]), ("divided", [each.sql for each in split(text, "x.sql")])):
        database = sqlite3.connect(tmp_path / name)
        for each in texts:
            database.executescript(each)
        dumps.append(list(database.iterdump()))
        database.close()
    assert dumps[0] == dumps[1]
    assert "INSERT INTO \"log\" VALUES('END;');" in dumps[0]


UNFINISHED = {
    "SELECT 1;\nSELECT 'it;\nSELECT 2;": (2, "a string begins here"),
    "SELECT 1;\n/* half;\nSELECT 2;": (2, "a comment begins here"),
    'SELECT\n "half;': (2, "a quoted name begins here"),
    "SELECT `half;": (1, "a quoted name begins here"),
    "SELECT [half;": (1, "a quoted name begins here"),
    "SELECT 1;\n\nCREATE TRIGGER g AFTER INSERT ON t BEGIN\n  SELECT 1;\n": (3, "a trigger begins here"),
    "SELECT 1;\nSELECT '\0';": (2, "a NUL character"),
}


@pytest.mark.parametrize(("text", "line", "cause"), [(text, *what) for text, what in UNFINISHED.items()])
def test_unterminated_part_is_named_where_it_begins(text: str, line: int, cause: str) -> None:
    """An unterminated string, comment or trigger is a Problem with the line where it begins."""
    with pytest.raises(Problem, match=f"x.sql line {line}: {cause}"):
        split(text, "x.sql")


def test_splitting_takes_linear_time() -> None:
    """Thousands of statements, and one with thousands of semicolons inside, are split in well under 3 seconds."""
    inserts = "".join(f"INSERT INTO t VALUES ({n}, 'it''s; {n}'); -- c;\n" for n in range(5000))
    long = "INSERT INTO t VALUES ('" + ";\n" * 100_000 + "');"
    begun = time.process_time()
    assert len(split(inserts, "x.sql")) == 5000
    assert len(split(long, "x.sql")) == 1
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("sign", ["é", "🚀", "\u00a0", "\u2019", "\u0663", "$", "_", "9", "-", "@", "+", "\ufeff", "ß"])
@pytest.mark.parametrize("text", ["{}b", "b{}", "b{}b"])
def test_names_end_where_the_engine_ends_them(sign: str, text: str) -> None:
    """A name in any script is one word exactly if the engine takes it for one; a byte order mark before it is space."""
    name = text.format(sign)
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            (found,) = connection.execute(f"SELECT 1 AS {name}").description
        except sqlite3.Error:
            found = ("",)
    words = [token.text for token in tokenize(name)]
    assert (len(words) == 1 and words[0] == found[0]) == (found[0] != "")
