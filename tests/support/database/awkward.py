"""A database with awkward contents: every kind of table, name and value that a copy could get wrong."""

from contextlib import aclosing

from steps.support.gateways.database.connect import connect
from steps.support.sql.statement import Statement

TABLES = 9  # statements of the schema before the rows; the rest follow them
SCHEMA = (
    "CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, zone REAL NOT NULL DEFAULT 9.5)",
    "CREATE TABLE readings (id INTEGER PRIMARY KEY, system_id INTEGER REFERENCES systems (id) ON DELETE CASCADE, v)",
    "CREATE TABLE keyed (k TEXT, n INTEGER, v REAL, PRIMARY KEY (k, n)) WITHOUT ROWID",
    "CREATE TABLE strict_one (id INTEGER PRIMARY KEY, r REAL, a ANY) STRICT",
    "CREATE TABLE computed (a INTEGER, twice INTEGER GENERATED ALWAYS AS (a * 2) STORED, thrice AS (a * 3), b TEXT)",
    'CREATE TABLE "odd name; \n really" ("a b" TEXT, "select" BLOB /* one; */, -- two;\n c)',
    "CREATE TABLE taken (rowid TEXT, oid TEXT)",
    "CREATE TABLE _orchestrate_migrations (attempt TEXT PRIMARY KEY)",
    "CREATE VIRTUAL TABLE words USING fts5(body)",
    "CREATE UNIQUE INDEX by_name ON systems (name) WHERE name IS NOT NULL",
    "CREATE INDEX by_lower ON systems (lower(name) DESC)",
    "CREATE VIEW latest AS SELECT system_id, max(id) AS id FROM readings GROUP BY system_id",
    "CREATE TRIGGER log AFTER INSERT ON readings WHEN new.v = 'no; never' BEGIN\n UPDATE systems SET name = 'x;';\nEND",
)
TEXTS = (
    "it's", "a;\nb", "');\nINSERT INTO readings VALUES(9,9,'", "\r\n\\n\\012", "ünïcode 🌞", "", "--", "/* */ -- '",
)  # fmt: skip
NUMBERS = (9.5, 0.1 + 0.2, 1e-300, 1.5e300, -(2**63), 2**53 + 1, None, b"", b"\0\xff;\n'")
ROWS = (
    *(Statement("INSERT INTO systems (name, zone) VALUES (?, ?)", (f"{text}{place}", place / 2)) for place, text in enumerate(TEXTS)),
    *(Statement("INSERT INTO readings (system_id, v) VALUES (1, ?)", (value,)) for value in (*TEXTS, *NUMBERS)),
    Statement("DELETE FROM systems WHERE id = 8"),
    Statement("INSERT INTO keyed VALUES ('b', 1, 2.0), ('a', 2, NULL), ('a', 1, 9.5)"),
    Statement("INSERT INTO strict_one VALUES (1, 3, 'x'), (-2, 2.5, x'00')"),
    Statement("INSERT INTO computed (a, b) VALUES (1, 'x'), (2, 'y')"),
    Statement('INSERT INTO "odd name; \n really" VALUES (?, ?, 1)', ("x\n;\n", b"\1")),
    Statement("INSERT INTO taken VALUES ('a', 'b'), ('a', 'b')"),
    Statement("INSERT INTO words VALUES ('hello world')"),
    Statement("INSERT INTO _orchestrate_migrations VALUES ('run-1')"),
)  # fmt: skip


async def fill(url: str, *statements: str | Statement) -> None:
    """Run statements on a server as one transaction."""
    async with aclosing(connect(url, None)) as database:
        await database.transaction([Statement(each) if isinstance(each, str) else each for each in statements])
