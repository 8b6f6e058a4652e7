"""Schemas compared by meaning: what was lost, what only looks different, and what blocks a change."""

import sqlite3
from contextlib import closing

import pytest

from steps.support.schema.comparison.diff import RULES, apply_renames, round_trip_findings, schema_diff, schema_findings
from steps.support.schema.reading import Schema, read_schema
from steps.support.sql.findings import Severity
from steps.support.sql.script import read_script_text
from tests.support.proof.findings import refusing

S = "CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, number TEXT NOT NULL);"
R = "CREATE TABLE readings (id INTEGER PRIMARY KEY, system_id INTEGER REFERENCES systems(id) ON DELETE CASCADE);"
BY_USER = "CREATE INDEX user_idx ON systems (user_id, number);"
U = "CREATE UNIQUE INDEX number_unique ON systems (number);"
P = "CREATE TABLE point (system_id INTEGER, id INTEGER, name TEXT, PRIMARY KEY (system_id, id));"
T = "CREATE TABLE t (a INTEGER, b TEXT, c REAL);"
LOG = "CREATE TRIGGER log AFTER UPDATE ON t BEGIN UPDATE t SET b = 'seen' WHERE a = new.a; END;"


def schema(*scripts: str) -> Schema:
    """Return the schema that some scripts leave behind."""
    with closing(sqlite3.connect(":memory:")) as database:
        for script in scripts:
            database.executescript(script)
        return read_schema(database)


def differences(before: Schema, after: Schema) -> list[str]:
    """Return each difference as its kind and place."""
    return [f"{each.kind} {each.place}" for each in schema_diff(before, after)]


SAME = {
    "spaces, comments and case": (
        S + R,
        ('create table "Systems"(ID integer primary key autoincrement , -- the key\n USER_ID text not null, [number] text NOT\nNULL /* as told */);'
        "CREATE TABLE `readings` (id INTEGER PRIMARY KEY, system_id integer references SYSTEMS (Id) on delete cascade);"),
    ),
    "a constraint beside its column or below": (
        "CREATE TABLE t (a INTEGER UNIQUE CHECK (a > 0) REFERENCES p (id), b TEXT PRIMARY KEY);" + "CREATE TABLE p (id INTEGER PRIMARY KEY);",
        ("CREATE TABLE t (a INTEGER, b TEXT, PRIMARY KEY (b), FOREIGN KEY (a) REFERENCES p (id), CHECK ((a>0)), CONSTRAINT one UNIQUE (a));"
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"),
    ),
    "the parent's key said or left out": (
        S + "CREATE TABLE r (s INTEGER REFERENCES systems);",
        S + "CREATE TABLE r (s INTEGER REFERENCES systems (id) ON DELETE NO ACTION);",
    ),
    "a reference of two columns in another order": (
        P + "CREATE TABLE r (s INTEGER, p INTEGER, FOREIGN KEY (s, p) REFERENCES point (system_id, id));",
        P + "CREATE TABLE r (s INTEGER, p INTEGER, FOREIGN KEY (p, s) REFERENCES point (id, system_id));",
    ),
    "the order of constraints": (
        "CREATE TABLE t (a, b, CHECK (a > 0), CHECK (b > 0), UNIQUE (a), UNIQUE (b));",
        "CREATE TABLE t (a, b, UNIQUE (b), UNIQUE (a) CHECK (b > 0) CHECK (a > 0));",
    ),
    "the order in which tables were made": (S + T, T + S),
    "a default in parentheses": (
        "CREATE TABLE t (a DEFAULT 10, b DEFAULT (unixepoch()), c DEFAULT 'x');",
        'CREATE TABLE t (a DEFAULT (10), b DEFAULT ( UNIXEPOCH( ) ), c DEFAULT "x");',
    ),
    "no default, and NULL": ("CREATE TABLE t (a, b DEFAULT TRUE);", "CREATE TABLE t (a DEFAULT NULL, b DEFAULT 1);"),
    "NOT NULL on what cannot be NULL": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY);",
        "CREATE TABLE t (id INTEGER PRIMARY KEY NOT NULL);",
    ),
    "columns that came by ALTER TABLE": (
        "CREATE TABLE t (a INTEGER); ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'x' CHECK (b <> '');",
        "CREATE TABLE t (a INTEGER, b TEXT NOT NULL DEFAULT 'x' CHECK (b <> ''));",
    ),
    "an index in other words": (
        T + "CREATE UNIQUE INDEX i ON t (b COLLATE NOCASE DESC, lower(b)) WHERE a IS NOT NULL;",
        T + 'create unique index "I" on T ([b] collate nocase desc, LOWER( "B" ) ASC) where ("a" is not null);',
    ),
    "a trigger and a view in other words": (
        T + LOG + "CREATE VIEW v AS SELECT a, b FROM t WHERE b <> 'X';",
        T + 'create trigger if not exists LOG after update on "t" begin -- said\nupdate "T" set "b"=\'seen\' where A=NEW.a; end;'
        'CREATE VIEW if not exists V as select "a", [b] from `t` where b<>\'X\';',
    ),
    "names of the tool, the engine and the platform": (
        T + "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);",
        T + "CREATE TABLE _orchestrate_kept_t_before (a REFERENCES gone); CREATE INDEX k ON _orchestrate_kept_t_before (a);"
        "CREATE TABLE libsql_wasm_func_table (name TEXT); CREATE VIEW _orchestrate_v AS SELECT 1;",
    ),
    "ON CONFLICT ABORT, which is usual": ("CREATE TABLE t (a UNIQUE);", "CREATE TABLE t (a UNIQUE ON CONFLICT ABORT);"),
    "COLLATE BINARY, which is usual": ("CREATE TABLE t (a TEXT UNIQUE);", "CREATE TABLE t (a TEXT COLLATE binary UNIQUE);"),
    "not deferrable, however it is said": (S + "CREATE TABLE r (s REFERENCES systems DEFERRABLE);", S + "CREATE TABLE r (s REFERENCES systems NOT DEFERRABLE INITIALLY DEFERRED);"),
    "a comment at the end": (T, "CREATE TABLE t (a INTEGER, b TEXT, c REAL -- the last; (\n);"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), SAME.values(), ids=SAME)
def test_other_spelling_is_no_difference(before: str, after: str) -> None:
    """Definitions that mean the same are equal, in both directions, and give no finding."""
    one, other = schema(before), schema(after)
    assert one == other
    assert schema_diff(one, other) == schema_diff(other, one) == ()


# before, after, differences of the migration, differences of the rollback
DIFFERENT: dict[str, tuple[str, str, list[str], list[str]]] = {
    "a table": (S + T, S, ["table-lost table t"], ["table-added table t"]),
    "a table with its index, trigger and reference": (
        S + R + "CREATE INDEX r_idx ON readings (system_id); CREATE TRIGGER r_log AFTER DELETE ON readings BEGIN SELECT 1; END;", S,
        ["table-lost table readings"], ["table-added table readings"],
    ),
    "a column": (
        T, "CREATE TABLE t (a INTEGER, c REAL);",
        ["column-lost t.b"], ["column-added t.b"],
    ),
    "a column under another name": (
        T, "CREATE TABLE t (a INTEGER, bb TEXT, c REAL);",
        ["column-lost t.b", "column-added t.bb"], ["column-lost t.bb", "column-added t.b"],
    ),
    "the order of columns": (
        T, "CREATE TABLE t (b TEXT, c REAL, a INTEGER);",
        ["column-moved t.a"], ["column-moved t.a"],
    ),
    "a column appended instead of put between": (
        "CREATE TABLE t (a, b); ALTER TABLE t ADD COLUMN m;", "CREATE TABLE t (a, m, b);",
        ["column-moved t.m"], ["column-moved t.b"],
    ),
    "a type": (T, T.replace("a INTEGER", "a TEXT"), ["type-changed t.a"], ["type-changed t.a"]),
    "the length in a type": ("CREATE TABLE t (a VARCHAR (10));", "CREATE TABLE t (a varchar(20));", ["type-changed t.a"], ["type-changed t.a"]),
    "NOT NULL": (S, S.replace("user_id TEXT NOT NULL", "user_id TEXT"), ["not-null-lost systems.user_id"], ["not-null-added systems.user_id"]),
    "a default": (
        "CREATE TABLE t (at INTEGER NOT NULL DEFAULT (unixepoch()));", "CREATE TABLE t (at INTEGER NOT NULL);",
        ["default-lost t.at"], ["default-added t.at"],
    ),
    "CURRENT_TIMESTAMP instead of unixepoch()": (
        "CREATE TABLE t (at INTEGER DEFAULT (unixepoch()));", "CREATE TABLE t (at INTEGER DEFAULT CURRENT_TIMESTAMP);",
        ["default-lost t.at"], ["default-lost t.at"],
    ),
    "a literal's case": (
        "CREATE TABLE t (a DEFAULT 'Viewer');", "CREATE TABLE t (a DEFAULT 'viewer');",
        ["default-lost t.a"], ["default-lost t.a"],
    ),
    "a default that is text, and the word": (
        "CREATE TABLE t (a DEFAULT CURRENT_DATE);", "CREATE TABLE t (a DEFAULT 'current_date');",
        ["default-lost t.a"], ["default-lost t.a"],
    ),
    "AUTOINCREMENT": (S, S.replace(" AUTOINCREMENT", ""), ["autoincrement-lost systems"], ["autoincrement-added systems"]),
    "ids that the engine gives": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a);", "CREATE TABLE t (id BIGINT PRIMARY KEY, a);",
        ["type-changed t.id", "default-lost t.id"], ["type-changed t.id", "default-added t.id"],
    ),
    "everything that CREATE TABLE AS SELECT leaves out": (
        ("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER NOT NULL DEFAULT 1 CHECK (a > 0), UNIQUE (a));"
        "CREATE TABLE u (id INT, a INT);"),
        "CREATE TABLE u (id INT, a INT); CREATE TABLE t AS SELECT id + 0 AS id, a FROM u;",
        ["type-changed t.id", "default-lost t.id", "type-changed t.a", "not-null-lost t.a", "default-lost t.a",
         "autoincrement-lost t", "check-lost t", "unique-lost t", "unique-lost t"],
        ["type-changed t.id", "default-added t.id", "type-changed t.a", "not-null-added t.a", "default-added t.a",
         "autoincrement-added t", "check-added t", "unique-added t", "unique-added t"],
    ),
    "a primary key": (
        "CREATE TABLE t (a TEXT PRIMARY KEY, b);", "CREATE TABLE t (a TEXT, b);",
        ["unique-lost t"], ["unique-added t"],
    ),
    "a primary key with one column more": (
        "CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a));", "CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b));",
        ["unique-lost t", "unique-added t"], ["unique-changed t", "unique-added t"],
    ),
    "the order within a primary key": (
        P, P.replace("(system_id, id)", "(id, system_id)"),
        ["unique-changed point", "unique-added point"], ["unique-changed point", "unique-added point"],
    ),
    "WITHOUT ROWID": (
        "CREATE TABLE t (a TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;", "CREATE TABLE t (a TEXT NOT NULL PRIMARY KEY);",
        ["without-rowid-changed t"], ["without-rowid-added t"],
    ),
    "NOT NULL that WITHOUT ROWID gave": (
        "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID;", "CREATE TABLE t (a TEXT PRIMARY KEY);",
        ["not-null-lost t.a", "without-rowid-lost t"], ["not-null-added t.a", "without-rowid-added t"],
    ),
    "STRICT": ("CREATE TABLE t (a TEXT) STRICT;", "CREATE TABLE t (a TEXT);", ["strict-lost t"], ["strict-added t"]),
    "a generated column that became a plain one": (
        "CREATE TABLE t (a INT, b INT AS (a * 2));", "CREATE TABLE t (a INT, b INT);",
        ["default-lost t.b"], ["default-added t.b"],
    ),
    "a generated column that is stored now": (
        "CREATE TABLE t (a INT, b INT AS (a * 2) VIRTUAL);", "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a*2) STORED);",
        ["default-lost t.b"], ["default-lost t.b"],
    ),
    "how a column is generated": (
        "CREATE TABLE t (a INT, b INT AS (a * 2));", "CREATE TABLE t (a INT, b INT AS (a * 3));",
        ["default-lost t.b"], ["default-lost t.b"],
    ),
    "a collation": (
        "CREATE TABLE t (a TEXT COLLATE NOCASE);", "CREATE TABLE t (a TEXT);",
        ["collation-lost t.a"], ["collation-added t.a"],
    ),
    "a condition": (
        "CREATE TABLE t (a TEXT CHECK (a IN ('x', 'y')), b);", "CREATE TABLE t (a TEXT, b);",
        ["check-lost t"], ["check-added t"],
    ),
    "a literal in a condition": (
        "CREATE TABLE t (a TEXT CHECK (a = 'Owner'));", "CREATE TABLE t (a TEXT CHECK (a = 'owner'));",
        ["check-lost t"], ["check-lost t"],
    ),
    "text in double quotes in a condition": (
        'CREATE TABLE t (a TEXT CHECK ("a" = "Owner"));', "CREATE TABLE t (A TEXT CHECK (a = 'owner'));",
        ["check-lost t"], ["check-lost t"],
    ),
    "what happens on a conflict": (
        "CREATE TABLE t (a TEXT UNIQUE ON CONFLICT REPLACE);", "CREATE TABLE t (a TEXT UNIQUE);",
        ["conflict-lost t"], ["conflict-added t"],
    ),
    "what happens on a conflict, of two columns": (
        "CREATE TABLE t (a, b NOT NULL ON CONFLICT FAIL, UNIQUE (a, b) ON CONFLICT IGNORE);", "CREATE TABLE t (a, b NOT NULL, UNIQUE (a, b));",
        ["conflict-lost t", "conflict-lost t"], ["conflict-added t", "conflict-added t"],
    ),
    "a unique constraint": ("CREATE TABLE t (a UNIQUE, b);", "CREATE TABLE t (a, b);", ["unique-lost t"], ["unique-added t"]),
    "a unique constraint that covers more": (
        "CREATE TABLE t (a, b, UNIQUE (a));", "CREATE TABLE t (a, b, UNIQUE (a, b));",
        ["unique-lost t", "unique-added t"], ["unique-changed t", "unique-added t"],
    ),
    "a unique constraint without its collation": (
        "CREATE TABLE t (a TEXT COLLATE NOCASE UNIQUE);", "CREATE TABLE t (a TEXT UNIQUE);",
        ["collation-lost t.a", "unique-lost t", "unique-added t"], ["collation-added t.a", "unique-lost t", "unique-added t"],
    ),
    "a unique constraint that is an index now": (
        "CREATE TABLE t (a UNIQUE, b);", "CREATE TABLE t (a, b); CREATE UNIQUE INDEX t_a ON t (a);",
        ["unique-changed t", "index-added index t_a"], ["unique-added t", "index-renamed index t_a"],
    ),
    "a unique index": (S + U, S, ["unique-lost index number_unique"], ["index-added index number_unique"]),
    "a unique index that is an index only": (
        S + U, S + U.replace("UNIQUE ", ""),
        ["unique-lost index number_unique"], ["index-changed index number_unique"],
    ),
    "a unique index under another name": (
        S + U, S + U.replace("number_unique", "by_number"),
        ["index-renamed index number_unique"], ["index-renamed index by_number"],
    ),
    "a unique index that covers more": (
        S + U, S + U.replace("(number)", "(user_id, number)"),
        ["unique-lost index number_unique"], ["index-lost index number_unique"],
    ),
    "a unique index on some rows only": (
        S + U, S + U.replace("(number)", "(number) WHERE user_id <> ''"),
        ["unique-lost index number_unique"], ["index-lost index number_unique"],
    ),
    "a unique index on other rows": (
        S + U.replace("(number)", "(number) WHERE user_id = 'A'"), S + U.replace("(number)", "(number) WHERE user_id = 'a'"),
        ["unique-lost index number_unique"], ["unique-lost index number_unique"],
    ),
    "an index": (S + BY_USER, S, ["index-lost index user_idx"], ["index-added index user_idx"]),
    "an index under another name": (S + BY_USER, S + BY_USER.replace("user_idx", "owner_idx"), ["index-renamed index user_idx"], ["index-renamed index owner_idx"]),
    "an index that there was twice": (
        S + BY_USER + BY_USER.replace("user_idx", "user_idx_2"), S + BY_USER,
        ["index-lost index user_idx_2"], ["index-added index user_idx_2"],
    ),
    "an index beside a unique one of the same columns": (
        S + U + "CREATE INDEX number_idx ON systems (number);", S + U,
        ["index-lost index number_idx"], ["index-added index number_idx"],
    ),
    "the order of an index's columns": (
        S + BY_USER, S + BY_USER.replace("(user_id, number)", "(number, user_id)"),
        ["index-lost index user_idx"], ["index-lost index user_idx"],
    ),
    "an index's direction": (S + BY_USER, S + BY_USER.replace("number)", "number DESC)"), ["index-lost index user_idx"], ["index-lost index user_idx"]),
    "an index's collation": (S + BY_USER, S + BY_USER.replace("number)", "number COLLATE NOCASE)"), ["index-lost index user_idx"], ["index-lost index user_idx"]),
    "an index's expression": (
        S + "CREATE INDEX e ON systems (lower(number));", S + "CREATE INDEX e ON systems (upper(number));",
        ["index-lost index e"], ["index-lost index e"],
    ),
    "a partial index without its WHERE": (
        S + BY_USER.replace(";", " WHERE number <> '';"), S + BY_USER,
        ["index-lost index user_idx"], ["index-lost index user_idx"],
    ),
    "two indexes that changed their names": (
        T + "CREATE INDEX i ON t (a); CREATE INDEX j ON t (b);", T + "CREATE INDEX j ON t (a); CREATE INDEX i ON t (b);",
        ["index-lost index i", "index-lost index j"], ["index-lost index i", "index-lost index j"],
    ),
    "an index with its columns": (
        S + BY_USER, "CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT);",
        ["column-lost systems.user_id", "column-lost systems.number", "index-lost index user_idx"],
        ["column-added systems.user_id", "column-added systems.number", "index-added index user_idx"],
    ),
    "a reference": (S + R, S + R.replace(" REFERENCES systems(id) ON DELETE CASCADE", ""), ["foreign-key-lost readings.system_id"], ["foreign-key-added readings.system_id"]),
    "what a reference does": (S + R, S + R.replace(" ON DELETE CASCADE", ""), ["foreign-key-lost readings.system_id"], ["foreign-key-lost readings.system_id"]),
    "both things that a reference does": (
        S + R, S + R.replace("CASCADE", "SET NULL ON UPDATE RESTRICT"),
        ["foreign-key-lost readings.system_id"] * 2, ["foreign-key-lost readings.system_id"] * 2,
    ),
    "when a reference is checked": (
        S + R.replace("CASCADE", "CASCADE DEFERRABLE INITIALLY DEFERRED"), S + R,
        ["foreign-key-lost readings.system_id"], ["foreign-key-added readings.system_id"],
    ),
    "when one of two references is checked": (
        S + "CREATE TABLE r (a REFERENCES systems, b REFERENCES systems DEFERRABLE INITIALLY DEFERRED);",
        S + "CREATE TABLE r (a REFERENCES systems DEFERRABLE INITIALLY DEFERRED, b REFERENCES systems);",
        ["foreign-key-added r.a", "foreign-key-lost r.b"], ["foreign-key-lost r.a", "foreign-key-added r.b"],
    ),
    "a reference to another table": (
        S + R + S.replace("systems", "plants"), S + R.replace("systems", "plants") + S.replace("systems", "plants"),
        ["foreign-key-target readings.system_id"], ["foreign-key-target readings.system_id"],
    ),
    "a reference to another column": (
        S + R, S + R.replace("systems(id)", "systems(number)"),
        ["foreign-key-target readings.system_id"], ["foreign-key-target readings.system_id"],
    ),
    "a reference to a backup that is gone": (
        S + R, S + R.replace("systems(", "systems_backup("),
        ["foreign-key-target readings.system_id"], ["foreign-key-repaired readings.system_id"],
    ),
    "a reference to a table of passage": (
        S + R, S + R.replace("systems(", "_orchestrate_kept_systems("),
        ["foreign-key-target readings.system_id"], ["foreign-key-repaired readings.system_id"],
    ),
    "a reference of two columns": (
        P + "CREATE TABLE r (s, p, FOREIGN KEY (s, p) REFERENCES point ON DELETE CASCADE);", P + "CREATE TABLE r (s, p);",
        ["foreign-key-lost r (p, s)"], ["foreign-key-added r (p, s)"],
    ),
    "a parent": (
        S + R, R,
        ["foreign-key-target readings.system_id", "table-lost table systems"], ["table-added table systems"],
    ),
    "a parent whose key was not named": (
        S + "CREATE TABLE r (s REFERENCES systems);", "CREATE TABLE r (s REFERENCES systems);",
        ["foreign-key-target r.s", "table-lost table systems"], ["foreign-key-repaired r.s", "table-added table systems"],
    ),
    "a new table that references what is not there": (
        S, S + R.replace("systems(", "gone("),
        ["table-added table readings", "foreign-key-target readings.system_id"], ["table-lost table readings"],
    ),
    "a new reference to a new table of passage": (
        S + T, S + S.replace("systems", "systems_new") + T.replace("a INTEGER", "a INTEGER REFERENCES systems_new (id)"),
        ["foreign-key-target t.a", "leftover-table table systems_new"], ["table-lost table systems_new", "foreign-key-lost t.a"],
    ),
    "a new reference to a table that was always called so": (
        S.replace("systems", "prices_old") + T, S.replace("systems", "prices_old") + T.replace("a INTEGER", "a INTEGER REFERENCES prices_old (id)"),
        ["foreign-key-added t.a"], ["foreign-key-lost t.a"],
    ),
    "a table left behind": (S, S + S.replace("systems", "systems_backup"), ["leftover-table table systems_backup"], ["table-lost table systems_backup"]),
    "a trigger": (T + LOG, T, ["trigger-lost trigger log"], ["trigger-added trigger log"]),
    "what a trigger does": (T + LOG, T + LOG.replace("'seen'", "'Seen'"), ["trigger-lost trigger log"], ["trigger-lost trigger log"]),
    "a trigger under another name": (T + LOG, T + LOG.replace("log", "note"), ["trigger-renamed trigger log"], ["trigger-renamed trigger note"]),
    "a trigger on another table": (T + S + LOG, T + S + LOG.replace("ON t", "ON systems").replace("new.a", "new.id"), ["trigger-lost trigger log"], ["trigger-lost trigger log"]),
    "a view": (T + "CREATE VIEW v AS SELECT a FROM t;", T, ["view-lost view v"], ["view-added view v"]),
    "a view under another name": (
        T + "CREATE VIEW v AS SELECT a FROM t;", T + "CREATE VIEW w AS SELECT a FROM t;",
        ["view-lost view v", "view-added view w"], ["view-lost view w", "view-added view v"],
    ),
    "what a view reads": (
        T + "CREATE VIEW v AS SELECT a FROM t WHERE b = 'x';", T + "CREATE VIEW v AS SELECT a FROM t WHERE b = 'X';",
        ["view-lost view v"], ["view-lost view v"],
    ),
    "a view with the trigger on it": (
        T + "CREATE VIEW v AS SELECT a FROM t; CREATE TRIGGER g INSTEAD OF INSERT ON v BEGIN SELECT 1; END;", T,
        ["view-lost view v"], ["view-added view v"],
    ),
    "what a virtual table indexes": (
        "CREATE VIRTUAL TABLE f USING fts5(title, tokenize = 'porter');", "CREATE VIRTUAL TABLE f USING fts5(title);",
        ["table-lost f"], ["table-lost f"],
    ),
    "names in quotes and in two cases": (
        'CREATE TABLE "My Table" ("userId" TEXT NOT NULL, "order" INT); CREATE INDEX "By User" ON "My Table" ("userId");',
        "CREATE TABLE [my table] (USERID TEXT, `Order` INT);",
        ["not-null-lost My Table.userId", "index-lost index By User"], ["not-null-added my table.USERID", "index-added index By User"],
    ),
    "names beyond ASCII, where case counts": (
        "CREATE TABLE größe (ä);", "CREATE TABLE GRÖSSE (ä);",
        ["table-lost table größe", "table-added table GRÖSSE"], ["table-lost table GRÖSSE", "table-added table größe"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "there", "back"), DIFFERENT.values(), ids=DIFFERENT)
def test_difference_is_found_in_both_directions(before: str, after: str, there: list[str], back: list[str]) -> None:
    """Each difference is reported once, by kind and place, and is a finding exactly if something is removed."""
    one, other = schema(before), schema(after)
    assert one != other
    assert differences(one, other) == there
    assert differences(other, one) == back
    assert [each.rule for each in schema_findings(one, other)] == [
        each.split()[0] for each in there if each.split()[0] in RULES
    ]
    assert len(round_trip_findings(one, other)) == len(there)


AROUND = S + R + BY_USER + U + "CREATE VIEW v AS SELECT user_id FROM systems;"
REBUILT = "CREATE TABLE systems (id INTEGER PRIMARY KEY, user_id TEXT NOT NULL, number TEXT NOT NULL);"

MIGRATIONS = {
    "a parent renamed to a backup, and made anew": (
        "ALTER TABLE systems RENAME TO systems_backup;" + S,
        ["foreign-key-target readings.system_id", "unique-lost index number_unique", "index-lost index user_idx",
         "leftover-table table systems_backup", "view-lost view v"],
    ),
    "the same with the backup dropped": (
        "ALTER TABLE systems RENAME TO systems_backup;" + S + "DROP VIEW v; DROP TABLE systems_backup;",
        ["foreign-key-target readings.system_id", "unique-lost index number_unique", "index-lost index user_idx", "view-lost view v"],
    ),
    "the other way round: copied, dropped, renamed": (
        "DROP VIEW v; CREATE TABLE systems_new AS SELECT * FROM systems; DROP TABLE systems; ALTER TABLE systems_new RENAME TO systems;",
        ["type-changed systems.id", "default-lost systems.id", "not-null-lost systems.user_id", "not-null-lost systems.number",
         "autoincrement-lost systems", "unique-lost systems", "unique-lost index number_unique", "index-lost index user_idx",
         "view-lost view v"],
    ),
    "made anew in place without its indexes": (
        "DROP TABLE systems;" + REBUILT,
        ["autoincrement-lost systems", "unique-lost index number_unique", "index-lost index user_idx"],
    ),
    "made anew in place with all that stood on it": ("DROP TABLE systems;" + S + U + BY_USER, []),
    "columns added where they are": ("ALTER TABLE systems ADD COLUMN vendor TEXT NOT NULL DEFAULT 'x'; CREATE INDEX vendor_idx ON systems (vendor);", []),
    "a column renamed where it is": (
        "ALTER TABLE systems RENAME COLUMN number TO site;",
        ["column-lost systems.number", "unique-lost index number_unique", "index-lost index user_idx"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), MIGRATIONS.values(), ids=MIGRATIONS)
def test_losses_of_a_migration_are_found(script: str, expected: list[str]) -> None:
    """The findings name everything that was dropped with a table, or renamed with it."""
    found = schema_findings(schema(AROUND), schema(AROUND, script))
    assert [f"{each.rule} {each.place}" for each in found] == expected


WORDS = {
    "a column": (S, "CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT NOT NULL);", "systems.user_id: column user_id TEXT NOT NULL is gone"),
    "a new column": (T, "ALTER TABLE t ADD COLUMN d INT NOT NULL DEFAULT 600;", "t.d: column d INT NOT NULL DEFAULT 600 is new"),
    "a default": ("CREATE TABLE t (a DEFAULT (unixepoch()));", "CREATE TABLE t (a);", "t.a: default unixepoch() is gone"),
    "another default": ("CREATE TABLE t (a DEFAULT 10);", "CREATE TABLE t (a DEFAULT 600);", "t.a: default 10 became default 600"),
    "a type": ("CREATE TABLE t (a INT);", "CREATE TABLE t (a);", "t.a: type INT became type (none)"),
    "an order": ("CREATE TABLE t (a, z, b, c, d, e, f, g, h, i, j, k);", "CREATE TABLE t (a, b, c, d, e, f, g, h, i, j, k, z);", "t.z: moved from 2nd to 12th"),
    "a condition": ("CREATE TABLE t (a CHECK (a  <=10 AND a!=3));", "CREATE TABLE t (a);", "t: CHECK (a <= 10 and a != 3) is gone"),
    "a wider condition": (
        "CREATE TABLE t (a CHECK (a IN ('x', 'y')), b CHECK (b > 0));", "CREATE TABLE t (a CHECK (a IN ('x', 'y', 'z')), b CHECK (b > 0));",
        "t: CHECK (a in('x', 'y')) became CHECK (a in('x', 'y', 'z'))",
    ),
    "two wider conditions": (
        "CREATE TABLE t (a CHECK (a < 9), b CHECK (b < 9));", "CREATE TABLE t (b CHECK (b < 99), a CHECK (a < 99));",
        "t: CHECK (b < 9) became CHECK (b < 99)",
    ),
    "a condition, and one of another column": (
        "CREATE TABLE t (a CHECK (a < 9), b);", "CREATE TABLE t (a, b CHECK (b < 9));", "t: CHECK (a < 9) is gone",
    ),
    "an index": (S + BY_USER, S, "index user_idx: on systems (user_id, number) is gone"),
    "another index": (S + BY_USER, S + "CREATE INDEX user_idx ON systems (user_id COLLATE NOCASE DESC) WHERE number > 5;",
                      "index user_idx: on systems (user_id, number) became on systems (user_id COLLATE NOCASE DESC) WHERE number > 5"),
    "a wider unique index": (S + U, S + U.replace("(number)", "(number, user_id)"), "index number_unique: UNIQUE on systems (number) became UNIQUE on systems (number, user_id), which lets more rows in"),
    "a unique constraint held by the key": ("CREATE TABLE t (a PRIMARY KEY, b, UNIQUE (a, b));", "CREATE TABLE t (a PRIMARY KEY, b);", "t: UNIQUE (a, b) is gone; another key still enforces it"),
    "a parent's new name": (S + R, S + S.replace("systems", "systems_backup") + R.replace("systems(", "systems_backup("),
                            "readings.system_id: references systems_backup (id), no longer systems (id)"),
    "a parent's new name, and it is gone": (S + R, S + R.replace("systems(", "systems_backup("),
                                            "readings.system_id: references systems_backup (id), which does not exist, no longer systems (id)"),
    "a parent that is the tool's": (S + R, S + R.replace("systems(", "_orchestrate_kept_systems("),
                                    "readings.system_id: references _orchestrate_kept_systems (id), which is kept only until the change is accepted, no longer systems (id)"),
    "a parent that is gone": (S + R, R, "readings.system_id: references systems, which is gone"),
    "a parent that is gone, its key unnamed": (S + "CREATE TABLE r (s REFERENCES systems);", "CREATE TABLE r (s REFERENCES systems);", "r.s: references systems, which is gone"),
    "an action": (S + R, S + R.replace("CASCADE", "SET NULL"), "readings.system_id: ON DELETE CASCADE became ON DELETE SET NULL"),
    "a trigger": (T + LOG, T, "trigger log: is gone from t"),
    "a constraint in an index's place": ("CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (a);", "CREATE TABLE t (a UNIQUE, b);", "index i: is now a table constraint"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "words"), WORDS.values(), ids=WORDS)
def test_difference_describes_both_sides(before: str, after: str, words: str) -> None:
    """The text names the earlier object and, if there is one, the present one."""
    target = schema(before, after) if after.startswith("ALTER") else schema(after)
    assert words in [str(each) for each in schema_diff(schema(before), target)]


def test_accepted_rules_no_longer_refuse() -> None:
    """Errors refuse until their rule is allowed; warnings never do."""
    found = schema_findings(
        schema(AROUND), schema(AROUND, "DROP TABLE systems;" + REBUILT.replace("user_id TEXT NOT NULL", "user_id TEXT"))
    )
    rules = ["autoincrement-lost", "unique-lost", "index-lost"]
    assert [each.rule for each in refusing(found, [])] == rules
    assert [each.rule for each in refusing(found, rules[:2])] == ["index-lost"]
    assert refusing(found, rules) == []
    assert [each.rule for each in found if each.severity is Severity.WARNING] == ["not-null-lost"]


def test_round_trip_accepts_no_difference() -> None:
    """After a rollback even the order of columns must be the original, and no rule can waive it."""
    found = round_trip_findings(schema(T), schema("CREATE TABLE t (b TEXT, c REAL, a INTEGER);"))
    assert [(each.rule, each.place, each.severity) for each in found] == [("", "t.a", Severity.ERROR)]
    assert "moved from 1st to 3rd after the rollback" in found[0].cause
    assert len(refusing(found, [*RULES, ""])) == 1


LEFT_OVER = ["systems_new", "systems_backup", "systems_old", "systems_tmp", "__new_systems", "_old_systems", "systemsBackup", "SYSTEMS_BAK",
             "systems_backup_20250830", "systems_old2", "systems__pre_a1"]  # fmt: skip
PLAIN = ["news", "threshold", "systems2", "temp_sensors", "copyright", "pretext"]


@pytest.mark.parametrize("name", [*LEFT_OVER, *PLAIN])
def test_temporary_table_is_recognised_by_its_name(name: str) -> None:
    """A new table is called left over if its name says so; otherwise it is only new."""
    expected = "table-added" if name in PLAIN else "leftover-table"
    assert differences(schema(), schema(f"CREATE TABLE {name} (a);")) == [f"{expected} table {name}"]


def test_earlier_dangling_reference_is_no_finding() -> None:
    """Drift that the change leaves alone is not a finding against it."""
    drift = R.replace("systems(", "systems_backup(") + S
    assert schema_findings(schema(drift), schema(drift, "ALTER TABLE systems ADD COLUMN vendor TEXT;")) == []


def test_remedy_of_a_virtual_table_with_other_options_is_about_its_options() -> None:
    """The table is still there: only one that is gone has to be kept."""
    porter, plain = (schema(f"CREATE VIRTUAL TABLE f USING fts5(title{each});") for each in (", tokenize = porter", ""))
    (other,), (gone,) = schema_findings(porter, plain), schema_findings(porter, schema())
    assert (other.rule, other.remedy.startswith("Keep its options")) == ("table-lost", True)
    assert (gone.rule, gone.remedy) == ("table-lost", RULES["table-lost"][1])


RENAMED = {  # what becomes of a table and of the reference to it, and the findings about the reference
    "a parent": ("ALTER TABLE systems RENAME TO plants;", []),
    "a parent, twice": ("ALTER TABLE systems RENAME TO plants_2; ALTER TABLE plants_2 RENAME TO plants;", []),
    "a parent and its key": (
        "ALTER TABLE systems RENAME TO plants; ALTER TABLE plants RENAME COLUMN id TO plant_id;", [],
    ),
    "a parent, under whose name a view stands now": (
        "ALTER TABLE systems RENAME TO plants; CREATE VIEW systems AS SELECT * FROM plants;", [],
    ),
    "a parent whose name another table takes": (
        f"ALTER TABLE systems RENAME TO plants; {S}", ["foreign-key-target readings.system_id"],
    ),
    "a parent, and then dropped": (
        "ALTER TABLE systems RENAME TO plants; DROP TABLE plants;", ["foreign-key-target readings.system_id"],
    ),
    "a parent, and the reference loses its action": (
        ("ALTER TABLE systems RENAME TO plants; DROP TABLE readings; "
        f"{R.replace('systems', 'plants').replace(' ON DELETE CASCADE', '')}"),
        ["foreign-key-lost readings.system_id"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), RENAMED.values(), ids=RENAMED)
def test_reference_follows_a_renamed_parent(script: str, expected: list[str]) -> None:
    """A reference that RENAME rewrote is no finding, unless the old name means another table or no table is left."""
    before, after = schema(S + R), schema(S + R, script)
    renamed = apply_renames(before, [S, R], read_script_text(script, "migrate.sql"), ("RENAME COLUMN", "RENAME TABLE"))
    found = schema_findings(before, after, renamed)
    assert [f"{each.rule} {each.place}" for each in found if each.rule.startswith("foreign-key")] == expected


OTHERS = R.replace("system_id", "s") + (
    "CREATE TRIGGER seen AFTER INSERT ON readings BEGIN UPDATE systems SET number = 'x' WHERE id = new.s; END;"
    "CREATE VIEW own AS SELECT s.id, s.number FROM systems AS s;"
)
FOLLOWING = {  # what becomes of a table that a trigger and a view name, and the findings about these
    "renamed": ("ALTER TABLE systems RENAME TO plants;", []),
    "renamed with a column": (
        "ALTER TABLE systems RENAME TO plants; ALTER TABLE plants RENAME COLUMN number TO no;", [],
    ),
    "renamed, and another takes the name": (
        f"ALTER TABLE systems RENAME TO plants; {S}", ["trigger-lost trigger seen", "view-lost view own"],
    ),
    "renamed, and the trigger is another": (
        ("ALTER TABLE systems RENAME TO plants; DROP TRIGGER seen; CREATE TRIGGER seen AFTER INSERT ON readings BEGIN "
        "UPDATE plants SET number = 'y' WHERE id = new.s; END;"),
        ["trigger-lost trigger seen"],
    ),
    "renamed, and the view is dropped": ("ALTER TABLE systems RENAME TO plants; DROP VIEW own;", ["view-lost view own"]),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), FOLLOWING.values(), ids=FOLLOWING)
def test_triggers_and_views_follow_a_renamed_table(script: str, expected: list[str]) -> None:
    """A trigger or view that RENAME rewrote is no finding, unless it is another, or the old name means another table."""
    before, after = schema(S + OTHERS), schema(S + OTHERS, script)
    given = [f"{each};" for each in (S + OTHERS).replace("; END;", " @ END;").split(";") if each]
    definitions = [each.replace(" @ END", "; END") for each in given]
    renamed = apply_renames(before, definitions, read_script_text(script, "m.sql"), ("RENAME COLUMN", "RENAME TABLE"))
    found = schema_findings(before, after, renamed)
    assert [f"{each.rule} {each.place}" for each in found if each.rule in {"trigger-lost", "view-lost"}] == expected
