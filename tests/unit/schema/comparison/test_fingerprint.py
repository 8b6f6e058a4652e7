"""Two fingerprints of a schema compared by meaning: other letters are no difference, and another meaning always is."""

import random
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from steps.support.gateways.transaction import SCHEMA
from steps.support.schema.comparison.diff import schema_diff
from steps.support.schema.comparison.fingerprint import differing, respelled, respellings, with_texts
from steps.support.schema.reading import read_schema
from steps.support.sql.findings import Finding

TABLE = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL DEFAULT 'a b', age INT CHECK (age > 0))"
INDEX = "CREATE UNIQUE INDEX by_email ON users (email COLLATE NOCASE DESC) WHERE age > 7"
VIEW = "CREATE VIEW adults AS SELECT id, email AS Address FROM users WHERE age > 17"
TRIGGER = "CREATE TRIGGER watch AFTER UPDATE OF email ON users BEGIN UPDATE users SET age = 1 WHERE id = NEW.id; END"
ALL = (TABLE, INDEX, VIEW, TRIGGER)

SAME = {
    "one line and many": [TABLE.replace(", ", ",\n  ").replace("(id", "(\n  id"), INDEX, VIEW.replace(" ", "\n"), TRIGGER],
    "double quotes": [
        'CREATE TABLE "users" ("id" INTEGER PRIMARY KEY, "email" TEXT NOT NULL DEFAULT \'a b\', "age" INT CHECK ("age" > 0))',
        'CREATE UNIQUE INDEX "by_email" ON "users" ("email" COLLATE "NOCASE" DESC) WHERE "age" > 7',
        'CREATE VIEW "adults" AS SELECT "id", "email" AS "Address" FROM "users" WHERE "age" > 17',
        'CREATE TRIGGER "watch" AFTER UPDATE OF "email" ON "users" BEGIN UPDATE "users" SET "age" = 1 WHERE "id" = NEW."id"; END',
    ],
    "backticks": [re.sub(r"\b(users|id|email|age|by_email|Address)\b", r"`\1`", each) for each in ALL],
    "brackets": [re.sub(r"\b(users|id|email|age|by_email|Address)\b", r"[\1]", each) for each in ALL],
    "comments": [each.replace("(", "( /* why */ ").replace(" users", " users -- theirs\n") for each in ALL],
    "keywords in lower case": [re.sub(r"[A-Z]{2,}", lambda word: word[0].lower(), each) for each in ALL],
    "parentheses and order of checks": [TABLE.replace("DEFAULT 'a b'", "DEFAULT ('a b')"), *ALL[1:]],
}  # fmt: skip
OTHER = {
    "a literal": (0, "'a b'", "'a  b'", "table users"),
    "a literal in another case": (0, "'a b'", "'A b'", "table users"),
    "not null": (0, " NOT NULL", "", "table users"),
    "a type": (0, "age INT", "age TEXT", "table users"),
    "a check": (0, "age > 0", "age > 1", "table users"),
    "a column's letters": (0, "email", "Email", "table users"),
    "strict": (0, "age > 0))", "age > 0)) STRICT", "table users"),
    "uniqueness": (1, "UNIQUE ", "", "index by_email"),
    "a collation": (1, "COLLATE NOCASE ", "", "index by_email"),
    "a direction": (1, " DESC", "", "index by_email"),
    "a condition": (1, " WHERE age > 7", "", "index by_email"),
    "a view's column in other letters": (2, "Address", "address", "view adults"),
    "a view's condition": (2, "> 17", ">= 17", "view adults"),
    "a trigger's event": (3, "UPDATE OF email", "UPDATE", "trigger watch"),
}


def fingerprint(statements: Sequence[str]) -> str:
    """Return what production would answer for a schema of these statements."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for sql in statements:
            connection.execute(sql)
        return str(connection.execute(SCHEMA).fetchone()[0])


@pytest.mark.parametrize("spelled", SAME.values(), ids=SAME)
def test_other_letters_are_the_same_schema(spelled: list[str]) -> None:
    """Quotes, lines, comments and the case of keywords make no difference, in either direction."""
    one, other = fingerprint(ALL), fingerprint(spelled)
    assert one != other
    assert (differing(one, other), differing(other, one)) == ((), ())


@pytest.mark.parametrize(("which", "old", "new", "named"), OTHER.values(), ids=OTHER)
def test_another_meaning_is_named_with_both_texts(which: int, old: str, new: str, named: str) -> None:
    """Each difference in meaning names its object and shows both texts, whole, however the rest is spelled."""
    changed = ALL[which].replace(old, new)
    statements = [changed if place == which else each for place, each in enumerate(SAME["comments"])]
    if which == 0 and old == "email":
        statements = [each.replace("email", "Email") if each is changed else each for each in statements]
    found = differing(fingerprint(ALL), fingerprint(statements))
    assert [f"{each.kind} {each.name}" for each in found if each.before == ALL[which]] == [named]
    assert all(ALL[which] in str(each) and changed in str(each) for each in found if each.before == ALL[which])


def test_missing_and_added_objects_differ() -> None:
    """An object in only one of the two fingerprints is named, and its missing text is shown as (none)."""
    (gone,) = differing(fingerprint(ALL), fingerprint(ALL[:3]))
    (new,) = differing(fingerprint(ALL[:3]), fingerprint(ALL))
    assert (str(gone), str(new)) == (
        f"trigger watch\n  before: {TRIGGER}\n  now: (none)",
        f"trigger watch\n  before: (none)\n  now: {TRIGGER}",
    )


def test_what_the_local_engine_cannot_create_is_compared_by_tokens() -> None:
    """A table and an index of libSQL's own are equal in other quotes, and differ without their options."""
    table, index = "CREATE TABLE t (a TEXT) RANDOM ROWID", "CREATE INDEX i ON t (libsql_vector_idx(a))"
    one = f"index|i|{index}\ntable|t|{table}"
    assert differing(one, one.replace("TABLE t (a", 'TABLE "t" (\n"a"').replace("RANDOM", "random")) == ()
    assert [each.name for each in differing(one, one.replace(" RANDOM ROWID", ""))] == ["t"]
    assert [each.name for each in differing(one, one.replace("libsql_vector_idx(a)", "a"))] == ["i"]


def test_learned_letters_turn_one_fingerprint_into_the_other() -> None:
    """What a rehearsal learned is applied to production's text, also where production spells other objects its own way."""
    before, left = fingerprint(ALL), fingerprint([SAME["double quotes"][0], *ALL[1:]])
    learned = respellings(before, left)
    assert [each.now.partition("(")[0] for each in learned] == ['table|users|CREATE TABLE "users" ']
    assert respelled(before, learned) == left
    assert respelled(before, ()) == before
    own = fingerprint([*ALL[:3], SAME["one line and many"][2].replace("adults", "others"), TRIGGER])
    assert respelled(own, learned) == own.replace(TABLE, SAME["double quotes"][0])


def test_first_finding_about_an_object_gets_both_texts() -> None:
    """Both texts of an object are shown once, below the first finding about it."""
    old, new = fingerprint(ALL), fingerprint([TABLE.replace("INT ", "TEXT "), *ALL[1:2]])
    places = ["users.age", "users", "view adults", "elsewhere"]
    found = [*with_texts([Finding(place, "it differs", "Fix it.") for place in places], old, new)]
    assert ["before: " in each.cause for each in found] == [True, False, True, False]
    assert found[2].cause == f"it differs\n  before: {VIEW}\n  now: (none)"


NAMES = ["users", "Orders", "select", "a b", 'q"q', "x.y", "größe", "tab|le"]
TYPES = ["", "INTEGER", "TEXT", "VARCHAR(10)", "REAL"]
EXTRAS = [
    "",
    " NOT NULL",
    " UNIQUE",
    " DEFAULT 'it''s'",
    " DEFAULT (1 + 2)",
    " COLLATE NOCASE",
    " CHECK ({0} <> 'x y')",
]


def test_random_schemas_are_the_same_however_they_are_spelled() -> None:
    """400 random schemas equal themselves in other quotes, spaces and comments, and never equal a changed one."""
    for seed in range(400):
        chance = random.Random(seed)  # noqa: S311 - a test, not a secret
        columns = [(name, chance.choice(TYPES), chance.choice(EXTRAS)) for name in chance.sample(NAMES, 4)]
        tables = chance.sample(NAMES, 2)
        one, other = (fingerprint([*spelled(chance, tables, columns)]) for _ in range(2))
        assert differing(one, other) == (), seed
        place = chance.randrange(4)
        name, kind, extra = columns[place]
        columns[place] = name, chance.choice([each for each in TYPES if each != kind]), extra
        changed = fingerprint([*spelled(chance, tables, columns)])
        assert [str(each.name) for each in differing(one, changed)] == sorted(tables, key=str.encode), seed


def spelled(chance: random.Random, tables: Sequence[str], columns: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Yield CREATE statements of these tables and columns, spelled by chance."""
    for table in tables:
        parts = []
        for name, kind, extra in columns:
            own = quoted(chance, name)
            parts.append(f"{own} {chance.choice([kind, kind.lower()])}{extra.format(quoted(chance, name))}")
        gap = chance.choice([", ", ",\n", ", -- then\n", ",/* and */"])
        yield f"CREATE TABLE {quoted(chance, table)} ({gap.join(parts)})"


def quoted(chance: random.Random, name: str) -> str:
    """Return a name in one of the spellings that the engine takes."""
    ways = ['"' + name.replace('"', '""') + '"', f"`{name}`", f"[{name}]"]
    plain = [name] if re.fullmatch(r"\w+", name) and name != "select" else []
    return chance.choice([*ways, *plain])


@pytest.mark.parametrize("spelled_texts", SAME.values(), ids=SAME)
def test_fingerprints_and_the_diff_agree(spelled_texts: list[str]) -> None:
    """What is the same for fingerprints is the same for the diff of two databases, so that one cannot refuse the other."""
    both = []
    for statements in (ALL, spelled_texts):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            for sql in statements:
                connection.execute(sql)
            both.append(read_schema(connection))
    assert schema_diff(*both) == ()
