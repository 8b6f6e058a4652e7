"""Files as ORMs and people write them: what runs in one transaction leaves the database as the file itself would."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.support.change.one_transaction import Taken, in_one_transaction, switches_foreign_keys_off
from steps.support.sql.refusals import refusals
from steps.support.sql.script import read_script_text

BEFORE = """
CREATE TABLE shops (id INTEGER PRIMARY KEY, city TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, shop INTEGER REFERENCES shops(id) ON DELETE CASCADE, cents INTEGER);
CREATE TABLE tracker (version TEXT PRIMARY KEY);
INSERT INTO shops VALUES (1, 'Oslo'), (2, 'Bern');
INSERT INTO orders VALUES (1, 1, 500), (2, 2, 900);
INSERT INTO tracker VALUES ('a');
"""
PRISMA = """-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE "new_shops" ("id" INTEGER NOT NULL PRIMARY KEY, "city" TEXT, "open" BOOLEAN NOT NULL DEFAULT true);
INSERT INTO "new_shops" ("city", "id") SELECT "city", "id" FROM "shops";
DROP TABLE "shops";
ALTER TABLE "new_shops" RENAME TO "shops";
PRAGMA foreign_key_check("shops");
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;
"""
AS_THEY_ARE = {
    "prisma": PRISMA,
    "drizzle": """PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE `__new_shops` (
\t`id` integer PRIMARY KEY NOT NULL,
\t`city` text
);
--> statement-breakpoint
INSERT INTO `__new_shops`("id", "city") SELECT "id", "city" FROM `shops`;--> statement-breakpoint
DROP TABLE `shops`;--> statement-breakpoint
ALTER TABLE `__new_shops` RENAME TO `shops`;--> statement-breakpoint
PRAGMA foreign_keys=ON;
""",
    "django": """BEGIN;
--
-- Add field note to order
--
CREATE TABLE "new__orders" ("id" integer NOT NULL PRIMARY KEY, "shop" integer NULL REFERENCES "shops" ("id") DEFERRABLE INITIALLY DEFERRED, "cents" integer NULL, "note" text NULL);
INSERT INTO "new__orders" ("id", "shop", "cents", "note") SELECT "id", "shop", "cents", NULL FROM "orders";
DROP TABLE "orders";
ALTER TABLE "new__orders" RENAME TO "orders";
CREATE INDEX "orders_shop" ON "orders" ("shop");
COMMIT;
""",
    "alembic": """BEGIN TRANSACTION;

-- Running upgrade a -> b

ALTER TABLE shops ADD COLUMN zip TEXT;

UPDATE tracker SET version='b' WHERE tracker.version = 'a';

COMMIT;

BEGIN TRANSACTION;
CREATE INDEX shops_city ON shops (city);
COMMIT;
""",
    "rails": """begin transaction;
CREATE TEMPORARY TABLE "aorders" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "shop" integer, "cents" bigint);
INSERT INTO "aorders" ("id","shop","cents") SELECT "id","shop","cents" FROM "orders";
DROP TABLE "orders";
CREATE TABLE "orders" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "shop" integer, "cents" bigint);
INSERT INTO "orders" ("id","shop","cents") SELECT "id","shop","cents" FROM "aorders";
DROP TABLE "aorders";
commit transaction;
INSERT INTO "tracker" ("version") VALUES ('20260101');
""",
    "sequelize": """CREATE TEMPORARY TABLE IF NOT EXISTS `shops_backup` (`id` INTEGER PRIMARY KEY, `city` VARCHAR(255));
INSERT INTO `shops_backup` SELECT `id`, `city` FROM `shops`;
DROP TABLE `shops`;
CREATE TABLE IF NOT EXISTS `shops` (`id` INTEGER PRIMARY KEY, `city` VARCHAR(255));
INSERT INTO `shops` SELECT `id`, `city` FROM `shops_backup`;
DROP TABLE `shops_backup`;
PRAGMA INDEX_LIST(`shops`);
""",
    "typeorm": """SAVEPOINT typeorm_1;
CREATE TABLE "temporary_shops" ("id" integer PRIMARY KEY, "city" varchar NOT NULL);
INSERT INTO "temporary_shops"("id", "city") SELECT "id", "city" FROM "shops";
DROP TABLE "shops";
ALTER TABLE "temporary_shops" RENAME TO "shops";
RELEASE SAVEPOINT typeorm_1;
""",
    "ef core": """BEGIN TRANSACTION;
ALTER TABLE "shops" ADD "zip" TEXT NULL;
CREATE TABLE "ef_temp_orders" ("id" INTEGER NOT NULL CONSTRAINT "PK_orders" PRIMARY KEY, "shop" INTEGER, "cents" INTEGER);
INSERT INTO "ef_temp_orders" ("id", "shop", "cents") SELECT "id", "shop", "cents" FROM "orders";
COMMIT;

PRAGMA foreign_keys = 0;

BEGIN TRANSACTION;
DROP TABLE "orders";
ALTER TABLE "ef_temp_orders" RENAME TO "orders";
COMMIT;

PRAGMA foreign_keys = 1;

INSERT INTO "tracker" ("version") VALUES ('20260101_zip');
""",
    "knex": "PRAGMA foreign_keys = OFF;\nBEGIN;\nALTER TABLE `orders` ADD COLUMN `note` text;\nEND;\n"
    "insert into `tracker` (`version`) values ('003_note.js');\n",
    "a shell": "SELECT 'before', count(*) FROM shops;\nPRAGMA journal_mode = WAL;\nPRAGMA busy_timeout = 5000;\n"
    "DELETE FROM orders WHERE id = 2;\nSELECT 'after', count(*) FROM orders;\nPRAGMA cache_size(100);\n",
    "a temporary table left": "CREATE TEMP TABLE old AS SELECT * FROM shops;\nUPDATE shops SET city = (SELECT upper(old.city) "
    "FROM old WHERE old.id = shops.id);\n",
    "one with the name of an ordinary one": "CREATE TEMP TABLE shops AS SELECT id, city || '!' AS city FROM shops;\n"
    "UPDATE main.shops SET city = (SELECT s.city FROM shops AS s WHERE s.id = main.shops.id);\nDROP TABLE shops;\n"
    "DELETE FROM shops WHERE id = 2;\n",
    "the schema temp": "CREATE TABLE temp.[k e p t] (id, c);\nINSERT INTO temp.[k e p t] SELECT id, cents FROM orders;\n"
    "UPDATE orders SET cents = k.c + 1 FROM temp.[k e p t] AS k WHERE k.id = orders.id;\nDROP TABLE temp.[k e p t];\n",
    "many places": "CREATE TEMP TABLE t (id INTEGER PRIMARY KEY, t TEXT);\nCREATE INDEX t_t ON t (t);\n"
    "INSERT INTO t (id, t) SELECT id, city FROM shops WHERE true ON CONFLICT (id) DO UPDATE SET t = t.t || excluded.t;\n"
    "UPDATE OR IGNORE t SET t = 't' || t.t WHERE t.id IN (SELECT id FROM t WHERE t IS NOT DISTINCT FROM t.t);\n"
    "DELETE FROM orders WHERE shop NOT IN (SELECT t.id FROM shops, t WHERE t.id = shops.id AND t.id > 1);\n"
    "INSERT INTO tracker SELECT 't' || t FROM (t JOIN shops USING (id)), json_each('[1]');\n",
    "a temporary view": "CREATE TEMP VIEW high AS SELECT id FROM orders WHERE cents > 1;\nUPDATE orders SET cents = 1 "
    "WHERE id IN (SELECT high.id FROM high);\nDROP VIEW high;\n",
    "views left, on a temporary table": "CREATE TEMPORARY TABLE t AS SELECT id, cents FROM orders;\nCREATE VIEW temp.v (i, c) AS SELECT "
    "t.id, t.cents FROM t;\nCREATE TEMP VIEW IF NOT EXISTS w AS SELECT i FROM v JOIN shops ON 1;\nUPDATE orders SET cents = "
    "(SELECT c + 1 FROM temp.v WHERE i = orders.id) WHERE id IN (SELECT i FROM w);\n",
    "a view with the name of an ordinary table": "CREATE TEMP VIEW shops AS SELECT id, cents AS city FROM orders;\n"
    "UPDATE orders SET cents = (SELECT city * 2 FROM shops WHERE shops.id = orders.id);\nDROP VIEW IF EXISTS shops;\n"
    "DELETE FROM shops WHERE id > 1;\n",
    "made twice": "CREATE TEMP TABLE x AS SELECT 1 AS v; DROP TABLE x; CREATE TEMP TABLE X AS SELECT 2 AS v;\n"
    "INSERT INTO tracker SELECT v FROM x;\n",
    "statements ended by breakpoints alone": "ALTER TABLE shops ADD zip text\n--> statement-breakpoint\nUPDATE shops SET zip = ';'\n"
    "--> statement-breakpoint\nDELETE FROM orders WHERE id = 1",
}  # fmt: skip
VARIANTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "byte order marks": lambda text: f"\ufeff{text}\ufeff",
    "in capitals": lambda text: (
        text.replace("temporary", "TEMPORARY").replace("begin", "BEGIN").replace("temp.", "Temp.")
    ),
}


def taken(text: str) -> Taken:
    """Return a migrate.sql as it runs."""
    return in_one_transaction(read_script_text(text, "migrate.sql"))


def refused(text: str) -> list[str]:
    """Return what is refused in a migrate.sql."""
    found = taken(text)
    return [str(each) for each in (*found.refused, *refusals(found.script.pieces, "migrate.sql"))]


def content(statements: list[str]) -> list[str]:
    """Return the schema and the rows that statements leave in a database file, after the connection is closed."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(BEFORE)
        for sql in statements:
            connection.execute(sql).fetchall()
        assert not connection.in_transaction
        stays = connection.serialize()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(stays)
        return [*connection.iterdump()]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_file_as_it_is_has_the_same_effect(name: str, variant: str) -> None:
    """One transaction of the statements that are taken leaves what the engine makes of the whole file."""
    text = VARIANTS[variant](AS_THEY_ARE[name])
    assert refused(text) == []
    split = [piece.statement.sql for piece in read_script_text(text, "migrate.sql").pieces]
    runs = [statement.sql for statement in taken(text).script.statements]
    assert content(["BEGIN", *runs, "COMMIT"]) == content(split)


def test_everything_left_out_is_noted() -> None:
    """A note names each pragma, each pair of transactions and each temporary table, with its line."""
    assert [str(each).split(". ")[0] for each in taken(AS_THEY_ARE["ef core"]).notes] == [
        "migrate.sql line 1: BEGIN and COMMIT are left out",
        "migrate.sql line 5: BEGIN and COMMIT are left out",
        "migrate.sql line 7: PRAGMA foreign_keys is left out",
        "migrate.sql line 9: BEGIN and COMMIT are left out",
        "migrate.sql line 12: BEGIN and COMMIT are left out",
        "migrate.sql line 14: PRAGMA foreign_keys is left out",
    ]
    (note,) = map(str, taken(AS_THEY_ARE["a temporary table left"]).notes)
    assert note.startswith(
        "migrate.sql line 1: the temporary table old becomes an ordinary one, _orchestrate_temp_old. The"
    )
    assert taken("BEGIN;\nDELETE FROM orders;\nCOMMIT;").notes == ()
    assert [each.cause for each in taken("ANALYZE;\nPRAGMA optimize;\nANALYZE main.shops;").notes] == [
        "ANALYZE is left out",
        "PRAGMA optimize is left out",
        "ANALYZE is left out",
    ]


REFUSED = {
    "BEGIN; DELETE FROM orders; ROLLBACK;": "ROLLBACK inside the script",
    "SAVEPOINT s; DELETE FROM orders; ROLLBACK TO s; RELEASE s;": "SAVEPOINT inside the script",
    "BEGIN; BEGIN; COMMIT;": "BEGIN inside the script",
    "BEGIN; COMMIT; COMMIT;": "COMMIT inside the script",
    "BEGIN; DELETE FROM orders;": "BEGIN inside the script",
    "SAVEPOINT s; DELETE FROM orders;": "SAVEPOINT inside the script",
    "SAVEPOINT s; RELEASE t;": "RELEASE inside the script",
    "BEGIN NOTHING; COMMIT;": "BEGIN inside the script",
    "PRAGMA writable_schema = ON;": "PRAGMA writable_schema changes something",
    "PRAGMA ignore_check_constraints(1);": "PRAGMA ignore_check_constraints changes something",
    "PRAGMA legacy_alter_table = 1;": "PRAGMA legacy_alter_table changes something",
    "PRAGMA recursive_triggers = true;": "PRAGMA recursive_triggers changes something",
    "PRAGMA application_id = 3;": "PRAGMA application_id changes something",
    "ATTACH 'x' AS x;": "ATTACH cannot run",
    "VACUUM;": "VACUUM cannot run",
    "CREATE TEMP TABLE x (y); ALTER TABLE x RENAME TO orders2;": "the temporary table x is renamed",
    "CREATE TEMP TABLE x (y); SELECT x.y FROM shops AS x, x;": "x is a temporary table, and also an alias",
    "CREATE TEMP TABLE x (y); SELECT (SELECT x.y FROM x) FROM shops x;": "x is a temporary table, and also an alias",
    "CREATE TEMP TABLE x (y); WITH x AS (SELECT 1) SELECT * FROM x;": "x is a temporary table, and also an alias",
    "CREATE TEMP TABLE x (y); CREATE TRIGGER g AFTER INSERT ON x BEGIN SELECT 1; END;": "a trigger on the temporary",
    "CREATE TEMP VIEW x AS SELECT * FROM y; CREATE TEMP TABLE y (z);": "a temporary view before it names y",
    "CREATE TEMP VIEW x AS SELECT 1 AS a; CREATE TEMP TRIGGER g INSTEAD OF DELETE ON x BEGIN SELECT 1; END;": "CREATE TEMP is not",
    "CREATE TEMP VIEW x AS SELECT 1 AS a; CREATE TRIGGER g INSTEAD OF DELETE ON x BEGIN SELECT 1; END;": "a trigger on the temporary",
    "CREATE TEMP TRIGGER g AFTER INSERT ON orders BEGIN SELECT 1; END;": "CREATE TEMP is not supported",
    "INSERT INTO temp.never SELECT 1;": "the schema temp is not supported",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_would_change_the_meaning_is_refused(text: str) -> None:
    """Half a transaction, a setting that changes rows, and a table that must be temporary stop the change."""
    assert any(f": {REFUSED[text]}" in each for each in refused(text)), refused(text)


@given(
    st.lists(
        st.sampled_from(
            [
                "BEGIN",
                "COMMIT",
                "ROLLBACK",
                "DELETE FROM orders",
                "INSERT INTO orders (id) SELECT max(id) + 1 FROM orders",
            ]
        ),
        max_size=9,
    )
)
def test_transactions_are_left_out_only_if_the_whole_file_commits(statements: list[str]) -> None:
    """What is taken has the effect of the file; a file whose transactions do not pair, or roll back, is refused."""
    text = ";\n".join(statements) + ";"
    if refused(text):
        return
    runs = [statement.sql for statement in taken(text).script.statements]
    assert content(["BEGIN", *runs, "COMMIT"]) == content([sql for sql in statements if sql])


BY_HAND = {
    PRISMA: True,
    AS_THEY_ARE["drizzle"]: True,
    AS_THEY_ARE["ef core"]: True,
    AS_THEY_ARE["django"]: False,
    "BEGIN; PRAGMA foreign_keys = OFF; DROP TABLE shops; COMMIT;": False,
    "PRAGMA foreign_keys = OFF; DROP TABLE a; PRAGMA foreign_keys = ON; DROP TABLE b;": False,
    "DROP TABLE shops; PRAGMA foreign_keys = OFF;": False,
    "PRAGMA foreign_keys(no); SELECT 1;": True,
}


@pytest.mark.parametrize("text", BY_HAND)
def test_script_that_switches_foreign_keys_off_is_known(text: str) -> None:
    """Only a pragma outside a transaction, before everything that deletes, protects a script that is run by hand."""
    assert switches_foreign_keys_off(read_script_text(text, "migrate.sql")) is BY_HAND[text]
