"""The lint on a script, in a database of some schema."""

import sqlite3

from steps.support.proof.lint.lint import Facts, facts, lint
from steps.support.sql.findings import Finding
from steps.support.sql.script import read_script_text

SITE = """
CREATE TABLE systems (id INTEGER PRIMARY KEY, system_number TEXT, timezone_offset INTEGER, parent INTEGER REFERENCES systems);
CREATE TABLE readings (id INTEGER PRIMARY KEY, system_id INTEGER REFERENCES Systems(id) ON DELETE CASCADE, solar_w INTEGER);
CREATE TABLE users (clerk_user_id TEXT PRIMARY KEY, default_system_id REFERENCES "systems" ON DELETE SET NULL);
CREATE TABLE invoices (id INTEGER PRIMARY KEY, system_id REFERENCES systems);
CREATE TABLE point_info (system_id REFERENCES systems ON DELETE CASCADE, id INTEGER, name TEXT, PRIMARY KEY (system_id, id));
CREATE TABLE points (system_id, point_id, time, value,
  PRIMARY KEY (system_id, point_id, time),
  FOREIGN KEY (system_id, point_id) REFERENCES point_info(system_id, id) ON DELETE CASCADE);
CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY);
CREATE TABLE odd_child (id INTEGER PRIMARY KEY, odd REFERENCES "odd ""name" ON DELETE CASCADE);
CREATE TABLE log (time INTEGER, text TEXT);
"""


def known(schema: str) -> Facts:
    """Read what the lint must know from a database of this schema."""
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(schema)
        return facts(database)
    finally:
        database.close()


def judged(sql: str, schema: str = SITE, name: str = "migrate.sql") -> list[Finding]:
    """Return the findings of the lint for a script, by default a migrate.sql."""
    return lint(read_script_text(sql, name), known(schema))
