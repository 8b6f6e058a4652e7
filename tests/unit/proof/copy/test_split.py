"""SQL text in pieces: divided where the engine would divide it, and joined only where the meaning stays the same."""

import random
import sqlite3
import time
from contextlib import closing

import pytest

from steps.support.proof.copy import load
from steps.support.proof.copy.load import Statements

HOSTILE = (
    "it''s", ";", ");\nINSERT INTO t VALUES(7,", "'');\nINSERT INTO t VALUES(7,''", "\n", "--", "/*", "*/", '"', "`", "[",
    "]", "END;", "ü", "VALUES(", ");\n",
)  # fmt: skip
TRIGGER = "CREATE TRIGGER g AFTER INSERT ON t BEGIN\n UPDATE t SET v = ';' WHERE a = 1;\n DELETE FROM t;\nEND;"
SCRIPT = f"""-- the head; of a dump's text
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t (a, -- it's; a key
  v /* and; a 'value */);
INSERT INTO t VALUES(1,'x');
INSERT INTO t VALUES(2,'it''s');
INSERT INTO t VALUES(3,replace('a\\nb','\\n',char(10)));
CREATE TABLE [u;] (`b;` DEFAULT "c;", d DEFAULT -1, e DEFAULT (4/2));
INSERT INTO "u;" VALUES(1,2,3);INSERT INTO "u;" VALUES('a
;
b',2,X'00');
INSERT INTO t VALUES(4,'after');
{TRIGGER}
COMMIT; -- done"""


def divided(text: str, size: int) -> list[str]:
    """Return the statements of a text that arrives in pieces of that size."""
    statements = Statements()
    raw = text.encode() + b"\n"
    found = [sql.text.decode() for at in range(0, len(raw), size) for sql in statements.feed(raw[at : at + size])]
    assert statements.rest == b""
    return found


def loaded(statements: list[str]) -> list[str]:
    """Return the dump of a database in which these statements were run one by one."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for sql in statements:
            database.execute(sql)
        return list(database.iterdump())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 64, 10_000])
def test_pieces_of_any_size_make_the_same_database(size: int) -> None:
    """A dump makes the same database as its whole text, no matter how it is cut into pieces."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCRIPT)
        assert loaded(divided(SCRIPT, size)) == list(database.iterdump())


def test_rows_of_one_table_are_joined() -> None:
    """Consecutive rows become one INSERT, and are counted with their table."""
    statements = Statements()
    text = "".join(f"INSERT INTO \"a b\" VALUES({number},'x''y');\n" for number in range(1000))
    found = list(statements.feed(text.encode()))
    assert len(found) < 10
    assert sum(sql.rows for sql in found) == 1000
    assert {sql.table for sql in found} == {"a b"}


def test_joined_statement_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No joined statement is longer than its window, and no row is lost at its edges."""
    monkeypatch.setattr(load, "WINDOW", 100)
    rows = [f"({number},'{'x' * (number % 40)}')" for number in range(200)]
    found = list(Statements().feed("".join(f"INSERT INTO t VALUES{row};\n" for row in rows).encode()))
    assert max(len(sql.text) for sql in found) <= 100 + len("INSERT INTO t VALUES()")
    assert sum(sql.rows for sql in found) == 200


@pytest.mark.parametrize("seed", range(40))
def test_texts_that_look_like_statements_stay_texts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row comes back with exactly its text, even if that looks like SQL."""
    chance = random.Random(seed)  # noqa: S311 - nothing here is secret
    monkeypatch.setattr(load, "WINDOW", chance.choice([30, 200, 5000]))
    texts = ["".join(chance.choices(HOSTILE, k=chance.randrange(6))) for _ in range(60)]
    script = "CREATE TABLE t (a, v);\n" + "".join(
        f"INSERT INTO t VALUES({at},'{text}');\n" for at, text in enumerate(texts)
    )
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for sql in divided(script, chance.choice([5, 40, 300, 9000])):
            database.execute(sql)
        rows = database.execute("SELECT a, v FROM t ORDER BY a").fetchall()
    assert rows == [(at, text.replace("''", "'")) for at, text in enumerate(texts)]


def test_endless_statement_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text whose first statement does not end is refused before it fills the memory."""
    monkeypatch.setattr(load, "LONGEST", 1000)
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        list(Statements().feed(b"CREATE TABLE t (" + b"a," * 1000))


@pytest.mark.parametrize("inside", ["SELECT 1;", "x END;", ";", "'END';"])
def test_long_trigger_is_read_in_linear_time(inside: str) -> None:
    """A trigger of very many statements, which a hostile server may send, is read once, not once per statement."""
    statements = Statements()
    began = time.process_time()
    found = list(statements.feed(b"CREATE TRIGGER g AFTER INSERT ON t BEGIN " + inside.encode() * 40_000))
    assert (found, time.process_time() - began < 2) == ([], True)
    (whole,) = statements.feed(b"\n END ;")
    assert whole.text.endswith(b"\n END ;")


@pytest.mark.parametrize("seed", range(20))
def test_trigger_ends_where_the_engine_ends_it(seed: int) -> None:
    """Any trigger ends at the first semicolon at which SQLite's own parser considers it complete."""
    words = (
        "END",
        "end",
        ";",
        " ",
        "\n",
        "/* END; */",
        "-- END;\n",
        "';END;'",
        "SELECT 1",
        "CASE x END",
        '"END"',
        "ENDS",
    )
    chosen = random.Random(seed).choices(words, k=40)  # noqa: S311 - it is repeatable that counts
    text = f"CREATE TEMP TRIGGER g BEGIN {' '.join(chosen)};END;"
    ends = (at for at, char in enumerate(text, 1) if char == ";" and sqlite3.complete_statement(text[:at]))
    first, *_ = Statements().feed(f"{text}\n".encode())
    assert first.text.decode() == text[: next(ends)]
