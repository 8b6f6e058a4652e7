"""What went wrong with real migrations, as data: a faulty change, the words that must refuse it, a correct change.

The faulty version of a row is the change as it was written, or as it might have been; the correct one does the same
without the fault. Most are given in full, file by file; if the fault is one word, it replaces another.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Files = Mapping[str, str]

SYSTEMS = """CREATE TABLE systems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT NOT NULL,
  system_number TEXT NOT NULL,
  display_name TEXT,
  timezone_offset INTEGER NOT NULL DEFAULT 10,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
);
CREATE INDEX user_system_idx ON systems (user_id, system_number);
"""
READINGS = """CREATE TABLE readings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  inverter_time INTEGER NOT NULL,
  solar_w INTEGER NOT NULL
);
CREATE UNIQUE INDEX readings_time_unique ON readings (system_id, inverter_time);
"""
POLLING = """CREATE TABLE polling_status (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  is_active INTEGER NOT NULL DEFAULT 1,
  total_polls INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX polling_unique ON polling_status (system_id);
CREATE INDEX polled_idx ON polling_status (system_id) WHERE is_active = 1;
"""
USERS = """CREATE TABLE users (
  clerk_user_id TEXT PRIMARY KEY,
  default_system_id INTEGER REFERENCES systems(id) ON DELETE SET NULL
);
"""
POINTS = """CREATE TABLE point_info (
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  id INTEGER NOT NULL,
  point_name TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (system_id, id)
);
"""
ROWS = """INSERT INTO systems VALUES
  (1, 'first', '1001', NULL, 10, 1754000000), (2, 'second', '1002', 'Shed', 9.5, 1754000100),
  (4, 'first', '0648', 'Farm', 5.5, 1754000200), (9, 'ninth', '1009', 'Gone', 10, 1754000300);
INSERT INTO readings (system_id, inverter_time, solar_w) VALUES
  (1, 60, 10), (1, 120, 20), (1, 180, 30), (2, 60, 40), (2, 120, 50), (4, 60, 60);
INSERT INTO polling_status (system_id, is_active, total_polls) VALUES (1, 1, 3), (2, 1, 2), (4, 0, 1);
INSERT INTO users VALUES ('user_one', 1), ('user_two', 2);
INSERT INTO point_info VALUES (1, 1, 'Solar', 1), (1, 2, 'Load', 1), (2, 1, 'Solar', 1), (2, 2, 'Spare', 0), (4, 2, 'Load', 1);
DELETE FROM systems WHERE id = 9;
"""
LIVEONE = SYSTEMS + READINGS + POLLING + USERS + POINTS + ROWS

GUARD = """SELECT CASE WHEN (SELECT foreign_keys FROM pragma_foreign_keys) = 0 THEN 1
  ELSE json_extract('{}', 'foreign keys are on') END;
"""

# systems rebuilt with one more column: what the first plan did, and the same with everything that belongs to it
MADE_ANEW = """CREATE TABLE systems_new (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT NOT NULL,
  system_number TEXT NOT NULL,
  display_name TEXT,
  timezone_offset INTEGER NOT NULL DEFAULT 10,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  vendor_type TEXT NOT NULL DEFAULT 'select.live'
);
INSERT INTO systems_new (id, user_id, system_number, display_name, timezone_offset, created_at)
SELECT id, user_id, system_number, display_name, timezone_offset, created_at FROM systems;
"""
IN_ITS_PLACE = """DROP TABLE systems;
ALTER TABLE systems_new RENAME TO systems;
"""
SEQUENCE = """UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'systems')
WHERE name = 'systems_new';
"""
INDEX = "CREATE INDEX user_system_idx ON systems (user_id, system_number);\n"
ANEW = GUARD + MADE_ANEW + SEQUENCE + IN_ITS_PLACE + INDEX

KEEP_LIVE = (
    GUARD
    + """CREATE TABLE _orchestrate_kept_live AS SELECT * FROM systems;
CREATE TABLE _orchestrate_kept_sequence AS SELECT seq FROM sqlite_sequence WHERE name = 'systems';
DROP TABLE systems;
"""
)
TAKE_BACK = """INSERT INTO systems (id, user_id, system_number, display_name, timezone_offset, created_at)
SELECT id, user_id, system_number, display_name, timezone_offset, created_at FROM _orchestrate_kept_live;
"""
SEQUENCE_BACK = """UPDATE sqlite_sequence SET seq = (SELECT seq FROM _orchestrate_kept_sequence) WHERE name = 'systems';
"""
FORGET_LIVE = """DROP TABLE _orchestrate_kept_live;
DROP TABLE _orchestrate_kept_sequence;
"""
BACK = KEEP_LIVE + SYSTEMS + TAKE_BACK + SEQUENCE_BACK + FORGET_LIVE

# a change of one column in place, for faults that have nothing to do with tables
ADD = "ALTER TABLE systems ADD COLUMN vendor_type TEXT NOT NULL DEFAULT 'select.live';\n"
ADDED = {"migrate.sql": ADD, "rollback.sql": "ALTER TABLE systems DROP COLUMN vendor_type;\n"}

APP_WRITES = """INSERT INTO systems (user_id, system_number, display_name) VALUES ('new', '2001', 'Barn');
INSERT INTO readings (system_id, inverter_time, solar_w) SELECT id, 600, 70 FROM systems WHERE user_id = 'new';
UPDATE systems SET display_name = 'Shed by the lake' WHERE id = 2;
DELETE FROM systems WHERE id = 4;
"""

# readings rebuilt with one more column, where ALTER TABLE would put it: DROP COLUMN leaves the previous table
CREATE_READINGS = """CREATE TABLE readings (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE,
  inverter_time INTEGER NOT NULL,
  solar_w INTEGER NOT NULL
, grid_w INTEGER);
CREATE UNIQUE INDEX readings_time_unique ON readings (system_id, inverter_time);
"""
READINGS_ANEW = f"""CREATE TABLE _orchestrate_kept_readings AS SELECT * FROM readings;
DROP TABLE readings;
{CREATE_READINGS}INSERT INTO readings (id, system_id, inverter_time, solar_w)
SELECT r.id, r.system_id, r.inverter_time, r.solar_w FROM _orchestrate_kept_readings AS r
WHERE true;
DROP TABLE _orchestrate_kept_readings;
"""

# systems rebuilt under its own name from a copy, with zones in minutes
ZONES = (
    GUARD
    + """-- allow: column-lost timezone_offset_min says the same in minutes
CREATE TABLE _orchestrate_kept_systems AS SELECT * FROM systems;
CREATE TABLE _orchestrate_kept_sequence AS SELECT seq FROM sqlite_sequence WHERE name = 'systems';
DROP TABLE systems;
CREATE TABLE systems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT NOT NULL,
  system_number TEXT NOT NULL,
  display_name TEXT,
  timezone_offset_min INTEGER NOT NULL DEFAULT 600,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
);
CREATE INDEX user_system_idx ON systems (user_id, system_number);
INSERT INTO systems (id, user_id, system_number, display_name, timezone_offset_min, created_at)
SELECT id, user_id, system_number, display_name, CAST(round(timezone_offset * 60) AS INTEGER), created_at
FROM _orchestrate_kept_systems;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM _orchestrate_kept_sequence) WHERE name = 'systems';
DROP TABLE _orchestrate_kept_systems;
DROP TABLE _orchestrate_kept_sequence;
"""
)
ZONES_BACK = BACK.replace(
    "display_name, timezone_offset, created_at FROM", "display_name, timezone_offset_min / 60.0, created_at FROM"
)

# every system gets a name, and those without one are recorded
NAMES = """CREATE TABLE _orchestrate_kept_nameless AS SELECT id FROM systems WHERE display_name IS NULL;
UPDATE systems SET display_name = 'System ' || system_number WHERE display_name IS NULL;
"""
NAMES_BACK = """UPDATE systems SET display_name = NULL
WHERE display_name = 'System ' || system_number AND id IN (SELECT id FROM _orchestrate_kept_nameless);
DROP TABLE _orchestrate_kept_nameless;
"""
NAMED_ANEW = ANEW.replace("display_name TEXT,", "display_name TEXT NOT NULL,")
NAMED = {"migrate.sql": NAMES + NAMED_ANEW, "rollback.sql": BACK + NAMES_BACK, "writes.sql": APP_WRITES}

# who may see which system
USER_SYSTEMS = """CREATE TABLE user_systems (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  clerk_user_id TEXT NOT NULL REFERENCES users(clerk_user_id),
  system_id INTEGER NOT NULL REFERENCES systems(id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX user_system_unique ON user_systems (clerk_user_id, system_id);
"""
SEEN = "INSERT INTO user_systems (clerk_user_id, system_id) VALUES ('user_two', 1);\n"
SHARED = {"migrate.sql": USER_SYSTEMS + SEEN, "rollback.sql": "DROP TABLE user_systems;\n"}
SEEN_AGAIN = f"""CREATE TABLE IF NOT EXISTS _orchestrate_kept_user_systems (id, clerk_user_id, system_id);
{USER_SYSTEMS}INSERT INTO user_systems SELECT id, clerk_user_id, system_id FROM _orchestrate_kept_user_systems;
DROP TABLE _orchestrate_kept_user_systems;
"""
SEEN_KEPT = """CREATE TABLE _orchestrate_kept_user_systems AS SELECT * FROM user_systems;
DROP TABLE user_systems;
"""

SPARE = """CREATE TABLE _orchestrate_kept_spare AS SELECT * FROM point_info WHERE active = 0;
"""
SPARE_BACK = """INSERT INTO point_info SELECT * FROM _orchestrate_kept_spare;
DROP TABLE _orchestrate_kept_spare;
"""
POLLS = """CREATE TABLE _orchestrate_kept_polls AS SELECT id, total_polls FROM polling_status;
UPDATE polling_status SET total_polls = 0 WHERE true;
"""
POLLS_BACK = """UPDATE polling_status SET total_polls = (
  SELECT total_polls FROM _orchestrate_kept_polls AS k WHERE k.id = polling_status.id
) WHERE id IN (SELECT id FROM _orchestrate_kept_polls);
DROP TABLE _orchestrate_kept_polls;
"""

OLD_CODE = "SELECT id, user_id, system_number, display_name, timezone_offset, created_at FROM systems;\n"
UPSERT = """INSERT INTO polling_status (system_id, total_polls) VALUES (1, 1)
ON CONFLICT (system_id) DO UPDATE SET total_polls = total_polls + 1;
"""
TRIGGER = """CREATE TRIGGER polled AFTER INSERT ON readings BEGIN
  UPDATE polling_status SET total_polls = total_polls + 1 WHERE system_id = new.system_id;
END;
"""
TRIGGER_ANEW = (
    "-- allow: trigger-lost it says the same of the column as it is called now\nDROP TRIGGER polled;\n"
    + TRIGGER.replace("total_polls", "polls")
)
POLLS_ANEW = """CREATE TABLE _orchestrate_kept_polling AS SELECT * FROM polling_status;
CREATE TABLE _orchestrate_kept_polls AS SELECT seq FROM sqlite_sequence WHERE name = 'polling_status';
DROP TABLE polling_status;
{}INSERT INTO polling_status SELECT * FROM _orchestrate_kept_polling;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM _orchestrate_kept_polls) WHERE name = 'polling_status';
DROP TABLE _orchestrate_kept_polling;
DROP TABLE _orchestrate_kept_polls;
"""
VIEW = "CREATE VIEW zones AS SELECT id, timezone_offset FROM systems;\n"

DRIFTED = (
    "CREATE TABLE systems_backup (id INTEGER PRIMARY KEY, system_number TEXT);\n"
    + SYSTEMS
    + READINGS.replace("systems(id)", "systems_backup(id)")
    + """INSERT INTO systems_backup VALUES (1, '1001'), (2, '1002');
INSERT INTO systems VALUES (1, 'first', '1001', NULL, 10, 1754000000), (2, 'second', '1002', 'Shed', 9.5, 1754000100);
INSERT INTO readings (system_id, inverter_time, solar_w) VALUES (1, 60, 10), (2, 60, 40), (2, 120, 50);
"""
)
REPOINTED = f"""-- allow: foreign-key-target systems_backup was left over by a rename; the parent that lives is systems
CREATE TABLE _orchestrate_kept_readings AS SELECT * FROM readings;
DROP TABLE readings;
{READINGS}INSERT INTO readings SELECT * FROM _orchestrate_kept_readings;
DROP TABLE _orchestrate_kept_readings;
"""
READING = "INSERT INTO readings (system_id, inverter_time, solar_w) VALUES (2, 600, 70);\n"


@dataclass(frozen=True, slots=True)
class Mode:
    """One way in which a change went wrong.

    `words`: what the refusal of the faulty version must contain, all of it. `before`: what production holds.
    """

    name: str
    faulty: Files
    words: tuple[str, ...]
    correct: Files
    before: str = LIVEONE


CASCADES: tuple[Mode, ...] = (
    Mode(
        "cascade_on_drop_of_a_parent",
        {"migrate.sql": f"BEGIN;\n{MADE_ANEW}{IN_ITS_PLACE}COMMIT;\n", "rollback.sql": BACK},
        (
            (
                "readings: run by hand, migrate.sql loses this: 6 rows are lost by cascade: "
                "readings.system_id -> systems(id) ON DELETE CASCADE, because systems was dropped with foreign keys on"
            ),
            "polling_status: run by hand, migrate.sql loses this: 3 rows are lost by cascade",
            "index user_system_idx: on systems (user_id, system_number) is gone",
            "systems: the highest id ever assigned went from 9 to 4",
        ),
        {"migrate.sql": ANEW, "rollback.sql": BACK, "writes.sql": APP_WRITES},
    ),
    Mode(
        "references_set_to_null_by_a_drop",
        {"migrate.sql": MADE_ANEW + IN_ITS_PLACE, "rollback.sql": BACK},
        (
            (
                "users: run by hand, migrate.sql loses this: 2 references are NULL now: "
                "users.default_system_id -> systems(id) ON DELETE SET NULL, because systems was dropped"
            ),
        ),
        {**ADDED, "writes.sql": APP_WRITES},
    ),
    Mode(
        "delete_of_a_parent_leaves_orphans",
        {
            "migrate.sql": "-- changes: systems 1\n"
            "CREATE TABLE _orchestrate_kept_farm AS SELECT * FROM systems WHERE id = 4;\n"
            "DELETE FROM systems WHERE id = 4;\n",
            "rollback.sql": "INSERT INTO systems SELECT * FROM _orchestrate_kept_farm;\nDROP TABLE _orchestrate_kept_farm;\n",
        },
        ("references that lead nowhere: 0 before, 3 after, during 'migrate'",),
        {
            "migrate.sql": "-- changes: systems 1\n-- changes: readings 1\n-- changes: polling_status 1\n"
            "-- changes: point_info 1\n"
            + "".join(
                f"CREATE TABLE _orchestrate_kept_{table} AS SELECT * FROM {table} WHERE {key} = 4;\n"
                f"DELETE FROM {table} WHERE {key} = 4;\n"
                for table, key in (
                    ("readings", "system_id"),
                    ("polling_status", "system_id"),
                    ("point_info", "system_id"),
                    ("systems", "id"),
                )
            ),
            "rollback.sql": "".join(
                f"INSERT INTO {table} SELECT * FROM _orchestrate_kept_{table};\nDROP TABLE _orchestrate_kept_{table};\n"
                for table in ("systems", "readings", "polling_status", "point_info")
            ),
        },
    ),
    Mode(
        "child_rows_deleted_by_mistake",
        {
            **ADDED,
            "migrate.sql": ADD + "DELETE FROM readings WHERE system_id NOT IN (SELECT default_system_id FROM users);\n",
        },
        ("readings: 1 row removed (6 before), and no loss was declared", "rows of readings: 6 before, 5 after"),
        {**ADDED, "migrate.sql": ADD + "DELETE FROM readings WHERE system_id NOT IN (SELECT id FROM systems);\n"},
    ),
    Mode(
        "rename_of_a_parent_takes_references_along",
        {
            "migrate.sql": "ALTER TABLE systems RENAME TO systems_backup;\n"
            + MADE_ANEW.replace("systems_new", "systems").replace("FROM systems;", "FROM systems_backup;"),
            "rollback.sql": "DROP TABLE systems;\nALTER TABLE systems_backup RENAME TO systems;\n",
        },
        (
            "readings.system_id: references systems_backup (id), no longer systems (id)",
            "migrate.sql line 1: RENAME rewrites the REFERENCES of point_info, polling_status, readings, users",
            "table systems_backup: is left behind",
        ),
        {"migrate.sql": ANEW, "rollback.sql": BACK, "writes.sql": APP_WRITES},
    ),
    Mode(
        "leftover_table_that_is_a_parent",
        {
            "migrate.sql": "-- allow: table-lost it is only a backup\nDROP TABLE systems_backup;\n",
            "rollback.sql": "CREATE TABLE systems_backup (id INTEGER PRIMARY KEY, system_number TEXT);\n",
            "writes.sql": READING,
        },
        (
            "readings.system_id: references systems_backup, which is gone",
            "readings: run by hand, migrate.sql loses this: 3 rows are lost by cascade: readings.system_id -> systems_backup(id)",
        ),
        {
            "migrate.sql": REPOINTED,
            "rollback.sql": REPOINTED.replace("systems(id)", "systems_backup(id)").partition("\n")[2],
            "writes.sql": READING,
        },
        DRIFTED,
    ),
    Mode(
        "leftover_table_blocks_the_run",
        {"migrate.sql": ANEW, "rollback.sql": BACK},
        ("migrate.sql line 3: SQL input error: table systems_new already exists", "during 'migrate'"),
        {"migrate.sql": ZONES, "rollback.sql": ZONES_BACK},
        f"{LIVEONE}CREATE TABLE systems_new (id INTEGER PRIMARY KEY);\n",
    ),
)

ROWS_LOST: tuple[Mode, ...] = (
    Mode(
        "verification_passes_while_data_is_gone",
        {
            "migrate.sql": READINGS_ANEW.replace(
                "WHERE true", "JOIN polling_status AS p ON p.system_id = r.system_id WHERE p.is_active = 1"
            ),
            "rollback.sql": "ALTER TABLE readings DROP COLUMN grid_w;\n",
            "verify.sql": "-- expect: rows\nSELECT id, system_id, grid_w FROM readings LIMIT 1;\n",
        },
        (
            "readings: 1 row removed (6 before), and no loss was declared",
            "rows of readings: 6 before, 5 after, during 'migrate'",
            "readings: after the rollback 1 row is missing",
        ),
        {
            "migrate.sql": READINGS_ANEW,
            "rollback.sql": "ALTER TABLE readings DROP COLUMN grid_w;\n",
            "verify.sql": "-- expect: rows\nSELECT id, system_id, grid_w FROM readings LIMIT 1;\n",
            "writes.sql": APP_WRITES,
        },
    ),
    Mode(
        "or_ignore_in_a_copy",
        {
            "migrate.sql": NAMED_ANEW.replace("INSERT INTO systems_new", "INSERT OR IGNORE INTO systems_new"),
            "rollback.sql": BACK,
        },
        (
            "systems: 1 row removed (3 before), and no loss was declared",
            "migrate.sql line 12: OR IGNORE silently skips every row that breaks a constraint, even NOT NULL or CHECK",
        ),
        NAMED,
    ),
    Mode(
        "composite_key_ignored",
        {
            "migrate.sql": f"-- changes: point_info 1\n{SPARE}DELETE FROM point_info WHERE id IN (SELECT id FROM point_info WHERE active = 0);\n",
            "rollback.sql": SPARE_BACK,
        },
        (
            "migrate.sql line 3: the key of point_info is (system_id, id), and WHERE compares id without system_id",
            "point_info: 3 rows removed (5 before), and 1 row was declared to change",
            "point_info: after the rollback 2 rows are missing",
        ),
        {
            "migrate.sql": f"-- changes: point_info 1\n{SPARE}"
            "DELETE FROM point_info WHERE (system_id, id) IN (SELECT system_id, id FROM point_info WHERE active = 0);\n",
            "rollback.sql": SPARE_BACK,
        },
    ),
    Mode(
        "more_rows_changed_than_declared",
        {"migrate.sql": f"-- changes: polling_status 1..2\n{POLLS}", "rollback.sql": POLLS_BACK},
        ("polling_status: 3 rows changed (3 before), and 1 to 2 rows were declared to change",),
        {
            "migrate.sql": f"-- changes: polling_status 1..2\n{POLLS}".replace("WHERE true", "WHERE is_active = 1"),
            "rollback.sql": POLLS_BACK,
        },
    ),
    Mode(
        "rows_changed_in_a_table_that_was_not_declared",
        {
            "migrate.sql": f"-- changes: polling_status 3\n{POLLS}UPDATE users SET default_system_id = 4 WHERE default_system_id = 2;\n",
            "rollback.sql": f"{POLLS_BACK}UPDATE users SET default_system_id = 2 WHERE default_system_id = 4;\n",
        },
        ("users.default_system_id: 1 of 2 values changed", "`-- changes: users(default_system_id) 1`"),
        {
            "migrate.sql": f"-- changes: polling_status 3\n-- changes: users 1\n{POLLS}UPDATE users SET default_system_id = 4 WHERE default_system_id = 2;\n",
            "rollback.sql": f"{POLLS_BACK}UPDATE users SET default_system_id = 2 WHERE default_system_id = 4;\n",
        },
    ),
    Mode(
        "values_of_a_column_lost",
        {
            "migrate.sql": "ALTER TABLE systems DROP COLUMN display_name;\n",
            "rollback.sql": "ALTER TABLE systems ADD COLUMN display_name TEXT;\n",
        },
        (
            "systems.display_name: 2 values are lost with the column",
            "systems: after the rollback display_name differs in 2 rows",
        ),
        {
            "migrate.sql": "ALTER TABLE systems RENAME COLUMN display_name TO label;\n",
            "rollback.sql": "ALTER TABLE systems RENAME COLUMN label TO display_name;\n",
        },
    ),
)

SCRIPTS: tuple[Mode, ...] = (
    Mode(
        "a_runner_that_goes_on_after_an_error",
        {"migrate.sql": NAMED_ANEW, "rollback.sql": BACK},
        (
            "migrate.sql line 12: SQLite error: NOT NULL constraint failed: systems_new.display_name",
            "during 'migrate'",
        ),
        NAMED,
    ),
    Mode(
        "no_transaction_in_the_file",
        {**ADDED, "migrate.sql": f"{ADD}CREATE UNIQUE INDEX one_each ON systems (user_id);\n"},
        ("migrate.sql line 2: SQLite error: UNIQUE constraint failed: systems.user_id", "during 'migrate'"),
        {
            "migrate.sql": f"{ADD}CREATE UNIQUE INDEX one_each ON systems (user_id, system_number);\n",
            "rollback.sql": "DROP INDEX one_each;\nALTER TABLE systems DROP COLUMN vendor_type;\n",
        },
    ),
    Mode(
        "rollback_in_mid_file",
        {**ADDED, "migrate.sql": f"BEGIN;\n{ADD}ROLLBACK;\nUPDATE systems SET vendor_type = 'other' WHERE id = 1;\n"},
        ("migrate.sql line 1: BEGIN inside the script", "migrate.sql line 3: ROLLBACK inside the script"),
        {**ADDED, "migrate.sql": f"BEGIN;\n{ADD}COMMIT;\nUPDATE systems SET vendor_type = 'other' WHERE id = 1;\n"},
    ),
    Mode(
        "raise_outside_a_trigger",
        {**ADDED, "migrate.sql": f"{ADD}SELECT RAISE(ABORT, 'no systems') WHERE NOT EXISTS (SELECT 1 FROM systems);\n"},
        ("migrate.sql line 2: SQLite error: RAISE() may only be used within a trigger-program",),
        {
            **ADDED,
            "migrate.sql": f"{ADD}SELECT CASE WHEN EXISTS (SELECT 1 FROM systems) THEN 1 ELSE json_extract('{{}}', 'no systems') END;\n",
        },
    ),
    Mode(
        "sql_of_another_dialect",
        {**ADDED, "migrate.sql": f"{ADD}ALTER TABLE systems ADD COLUMN a INTEGER, ADD COLUMN b INTEGER;\n"},
        ("migrate.sql line 2: ", "syntax error"),
        ADDED,
    ),
    Mode(
        "dot_commands_of_a_shell",
        {**ADDED, "migrate.sql": f".bail on\n{ADD}"},
        ("migrate.sql line 1: .bail on is a shell command, not SQL",),
        ADDED,
    ),
    Mode(
        "printed_only_validation",
        {
            **ADDED,
            "migrate.sql": f"{ADD}SELECT CASE WHEN count(*) = 0 THEN 'PASS' ELSE 'FAIL: STOP here' END AS result\n"
            "FROM systems WHERE display_name IS NULL; -- should say PASS\n",
        },
        ("migrate.sql line 2: ", "printed-only"),
        {
            **ADDED,
            "migrate.sql": f"{ADD}SELECT CASE WHEN count(*) = 3 THEN 1 ELSE json_extract('{{}}', 'a system was lost') END FROM systems;\n",
        },
    ),
    Mode(
        "placeholder_owner_id",
        {**SHARED, "migrate.sql": (USER_SYSTEMS + SEEN).replace("user_two", "<your Clerk user id>")},
        ("migrate.sql line 7: <your Clerk user id> was not filled in",),
        SHARED,
    ),
    Mode(
        "placeholder_inside_an_owner_id",
        {**SHARED, "migrate.sql": (USER_SYSTEMS + SEEN).replace("user_two", "user_REPLACE_ME")},
        ("migrate.sql line 7: 'user_REPLACE_ME' was not filled in",),
        SHARED,
    ),
    Mode(
        "hard_coded_owner_that_is_nobody",
        {**SHARED, "migrate.sql": (USER_SYSTEMS + SEEN).replace("user_two", "user_31xcrIbiSrjjTIKlXShEPilRow7")},
        ("references that lead nowhere: 0 before, 1 after, during 'migrate'", "user_systems"),
        SHARED,
    ),
)

CONTRACTS: tuple[Mode, ...] = (
    Mode(
        "required_table_missing",
        {**ADDED, "contract/new.sql": "SELECT id, clerk_user_id, system_id FROM user_systems;\n"},
        (
            "the new code cannot run on the new schema: contract/new.sql line 1: SQLite error: no such table: user_systems",
            "Create what the new code needs in migrate.sql",
        ),
        {
            "migrate.sql": USER_SYSTEMS,
            "rollback.sql": "DROP TABLE user_systems;\n",
            "contract/new.sql": "SELECT id, clerk_user_id, system_id FROM user_systems;\n",
        },
    ),
    Mode(
        "required_column_missing",
        {**ADDED, "contract/new.sql": "SELECT id, vendor_type, vendor_site_id FROM systems;\n"},
        (
            "the new code cannot run on the new schema: contract/new.sql line 1: SQL input error: no such column: vendor_site_id",
        ),
        {
            "migrate.sql": f"{ADD}ALTER TABLE systems ADD COLUMN vendor_site_id TEXT;\n",
            "rollback.sql": "ALTER TABLE systems DROP COLUMN vendor_site_id;\nALTER TABLE systems DROP COLUMN vendor_type;\n",
            "contract/new.sql": "SELECT id, vendor_type, vendor_site_id FROM systems;\n",
        },
    ),
    Mode(
        "required_column_of_the_old_code_still_there",
        {**ADDED, "contract/new.sql": "INSERT INTO systems (system_number, vendor_type) VALUES ('7', 'enphase');\n"},
        (
            "the new code cannot run on the new schema: contract/new.sql line 1: SQLite error: NOT NULL constraint failed: systems.user_id",
        ),
        {
            "migrate.sql": f"-- allow: not-null-lost the new code has no user_id\n{ADD}ALTER TABLE systems ALTER COLUMN user_id TO user_id TEXT;\n",
            "rollback.sql": "ALTER TABLE systems ALTER COLUMN user_id TO user_id TEXT NOT NULL;\nALTER TABLE systems DROP COLUMN vendor_type;\n",
            "contract/new.sql": "INSERT INTO systems (system_number, vendor_type) VALUES ('7', 'enphase');\n",
        },
    ),
    Mode(
        "no_order_of_code_and_schema",
        {
            "migrate.sql": "-- allow: column-lost the name is another, the values are the same\n"
            "ALTER TABLE systems RENAME COLUMN system_number TO vendor_site_id;\n",
            "rollback.sql": "ALTER TABLE systems RENAME COLUMN vendor_site_id TO system_number;\n",
            "contract/old.sql": OLD_CODE,
            "contract/new.sql": "SELECT id, vendor_site_id FROM systems;\n",
        },
        (
            "the new code cannot run on the old schema: contract/new.sql line 1: SQL input error: no such column: vendor_site_id",
            "the old code cannot run on the new schema: contract/old.sql line 1: SQL input error: no such column: system_number",
            "Divide the change: in this release, only add to the schema",
        ),
        {
            "migrate.sql": "ALTER TABLE systems ADD COLUMN vendor_site_id TEXT;\n"
            "UPDATE systems SET vendor_site_id = system_number WHERE true;\n",
            "rollback.sql": "ALTER TABLE systems DROP COLUMN vendor_site_id;\n",
            "contract/old.sql": OLD_CODE,
            "contract/new.sql": "SELECT id, vendor_site_id FROM systems;\n",
        },
    ),
    Mode(
        "contract_of_the_live_code_is_not_what_it_asks",
        {**ADDED, "contract/old.sql": "SELECT id, owner FROM systems;\n"},
        (
            "the live code cannot run on its own schema: contract/old.sql line 1: SQL input error: no such column: owner",
            "Fix contract/old.sql",
        ),
        {**ADDED, "contract/old.sql": OLD_CODE},
    ),
    Mode(
        "what_the_app_writes_is_refused",
        {"migrate.sql": ZONES.replace(" DEFAULT 600", ""), "rollback.sql": ZONES_BACK, "writes.sql": APP_WRITES},
        (
            "the new schema rejects what the app writes: ",
            "writes.sql line 1",
            "NOT NULL constraint failed: systems.timezone_offset_min",
        ),
        {"migrate.sql": ZONES, "rollback.sql": ZONES_BACK, "writes.sql": APP_WRITES},
    ),
)

SCHEMAS: tuple[Mode, ...] = (
    Mode(
        "times_default_to_text",
        {
            "migrate.sql": ANEW.replace(
                "created_at INTEGER NOT NULL DEFAULT (unixepoch())", "created_at DATETIME DEFAULT CURRENT_TIMESTAMP"
            ),
            "rollback.sql": BACK,
        },
        (
            "systems.created_at: default unixepoch() became default current_timestamp",
            "systems.created_at: type INTEGER became type DATETIME",
            "systems.created_at: NOT NULL is gone",
        ),
        {"migrate.sql": ANEW, "rollback.sql": BACK},
    ),
    Mode(
        "times_become_text",
        {
            "migrate.sql": f"{ADD}UPDATE systems SET created_at = datetime(created_at, 'unixepoch') WHERE true;\n",
            "rollback.sql": "UPDATE systems SET created_at = unixepoch(created_at) WHERE true;\nALTER TABLE systems DROP COLUMN vendor_type;\n",
            "verify.sql": "-- check: times are integers\nSELECT id FROM systems WHERE typeof(created_at) <> 'integer';\n",
        },
        ("check 'times are integers' (verify.sql line 2): 3 rows found, and there must be none, during 'migrate'",),
        {
            **ADDED,
            "verify.sql": "-- check: times are integers\nSELECT id FROM systems WHERE typeof(created_at) <> 'integer';\n",
        },
    ),
    Mode(
        "times_become_text_and_nobody_asks",
        {
            "migrate.sql": f"{ADD}UPDATE systems SET created_at = datetime(created_at, 'unixepoch') WHERE true;\n",
            "rollback.sql": "UPDATE systems SET created_at = unixepoch(created_at) WHERE true;\nALTER TABLE systems DROP COLUMN vendor_type;\n",
        },
        ("systems.created_at: 3 values have a different type than before", "-- allow: retyped"),
        {
            "migrate.sql": f"{ADD}UPDATE systems SET created_at = created_at + 1 WHERE true;\n",
            "rollback.sql": "UPDATE systems SET created_at = created_at - 1 WHERE true;\nALTER TABLE systems DROP COLUMN vendor_type;\n",
        },
    ),
    Mode(
        "unique_index_lost",
        {
            "migrate.sql": "DROP INDEX polling_unique;\nCREATE INDEX polling_unique ON polling_status (system_id);\n",
            "rollback.sql": "DROP INDEX polling_unique;\nCREATE UNIQUE INDEX polling_unique ON polling_status (system_id);\n",
            "contract/new.sql": UPSERT,
        },
        (
            "index polling_unique: UNIQUE on polling_status (system_id) became on polling_status (system_id), which lets more rows in",
            (
                "the new code cannot run on the new schema: contract/new.sql line 1: "
                "SQLite error: ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"
            ),
        ),
        {
            "migrate.sql": "DROP INDEX polling_unique;\nCREATE UNIQUE INDEX by_system ON polling_status (system_id);\n",
            "rollback.sql": "DROP INDEX by_system;\nCREATE UNIQUE INDEX polling_unique ON polling_status (system_id);\n",
            "contract/new.sql": UPSERT,
        },
    ),
    Mode(
        "unique_index_weakened",
        {
            "migrate.sql": "DROP INDEX one_spare;\nCREATE UNIQUE INDEX one_spare ON point_info (system_id, point_name) WHERE active = 0;\n",
            "rollback.sql": "DROP INDEX one_spare;\nCREATE UNIQUE INDEX one_spare ON point_info (system_id) WHERE active = 0;\n",
        },
        (
            "index one_spare: UNIQUE on point_info (system_id) WHERE active = 0 became UNIQUE on point_info (system_id, point_name) WHERE active = 0",
        ),
        {
            "migrate.sql": "CREATE UNIQUE INDEX by_name ON point_info (system_id, point_name) WHERE active = 0;\n",
            "rollback.sql": "DROP INDEX by_name;\n",
        },
        f"{LIVEONE}CREATE UNIQUE INDEX one_spare ON point_info (system_id) WHERE active = 0;\n",
    ),
    Mode(
        "partial_index_made_whole",
        {
            "migrate.sql": "DROP INDEX polled_idx;\nCREATE INDEX polled_idx ON polling_status (system_id);\n",
            "rollback.sql": "DROP INDEX polled_idx;\nCREATE INDEX polled_idx ON polling_status (system_id) WHERE is_active = 1;\n",
        },
        ("index polled_idx: on polling_status (system_id) WHERE is_active = 1 became on polling_status (system_id)",),
        {
            "migrate.sql": "DROP INDEX polled_idx;\nCREATE INDEX active_idx ON polling_status (system_id) WHERE is_active = 1;\n",
            "rollback.sql": "DROP INDEX active_idx;\nCREATE INDEX polled_idx ON polling_status (system_id) WHERE is_active = 1;\n",
        },
    ),
    Mode(
        "highest_id_lowered",
        {"migrate.sql": ANEW.replace(SEQUENCE, ""), "rollback.sql": BACK},
        ("systems: the highest id ever assigned went from 9 to 4",),
        {"migrate.sql": ANEW, "rollback.sql": BACK},
    ),
    Mode(
        "trigger_broken",
        {
            "migrate.sql": POLLS_ANEW.format(POLLING.replace("total_polls", "polls")),
            "rollback.sql": POLLS_ANEW.format(POLLING),
        },
        ("trigger polled: INSERT on readings fails: no such column: total_polls",),
        {
            "migrate.sql": "-- allow: column-lost polls holds the same\n"
            + POLLS_ANEW.format(POLLING.replace("total_polls", "polls"))
            + TRIGGER_ANEW,
            "rollback.sql": POLLS_ANEW.format(POLLING) + f"DROP TRIGGER polled;\n{TRIGGER}",
            "writes.sql": APP_WRITES,
        },
        LIVEONE + TRIGGER,
    ),
    Mode(
        "view_broken",
        {"migrate.sql": ZONES, "rollback.sql": ZONES_BACK},
        ("view zones: no such column: timezone_offset",),
        {
            "migrate.sql": "-- allow: view-lost it gives the same, out of minutes\n"
            f"DROP VIEW zones;\n{ZONES}CREATE VIEW zones AS SELECT id, timezone_offset_min / 60.0 AS timezone_offset FROM systems;\n",
            "rollback.sql": f"DROP VIEW zones;\n{ZONES_BACK}{VIEW}",
        },
        LIVEONE + VIEW,
    ),
)

ROLLBACKS: tuple[Mode, ...] = (
    Mode(
        "half_hours_lost_on_the_way_back",
        {"migrate.sql": ZONES, "rollback.sql": ZONES_BACK.replace("/ 60.0", "/ 60")},
        (
            "systems: after the rollback timezone_offset differs in 2 rows, for example changed id 2, timezone_offset 9.5 -> 9",
            "timezone_offset_min / 60 divides whole numbers and truncates",
        ),
        {"migrate.sql": ZONES, "rollback.sql": ZONES_BACK, "writes.sql": APP_WRITES},
    ),
    Mode(
        "missing_names_lost_on_the_way_back",
        {"migrate.sql": NAMES, "rollback.sql": "DROP TABLE _orchestrate_kept_nameless;\n"},
        (
            (
                "systems: after the rollback display_name differs in 1 row, "
                "for example changed id 1, display_name NULL -> 'System 1001'"
            ),
        ),
        {"migrate.sql": NAMES, "rollback.sql": NAMES_BACK, "writes.sql": APP_WRITES},
    ),
    Mode(
        "rollback_without_indexes",
        {"migrate.sql": ANEW, "rollback.sql": BACK.replace(INDEX, "")},
        (
            "index user_system_idx: on systems (user_id, system_number) is gone after the rollback",
            "before: CREATE INDEX user_system_idx ON systems (user_id, system_number)",
            "now: (none)",
        ),
        {"migrate.sql": ANEW, "rollback.sql": BACK},
    ),
    Mode(
        "highest_id_lowered_on_the_way_back",
        {"migrate.sql": ANEW, "rollback.sql": BACK.replace(SEQUENCE_BACK, "")},
        ("systems: the highest id ever assigned went from 9 to 4",),
        {"migrate.sql": ANEW, "rollback.sql": BACK},
    ),
    Mode(
        "rollback_of_invented_commands",
        {**ADDED, "rollback.sql": "RESTORE DATABASE liveone FROM 'liveone-20250830';\n"},
        ("rollback.sql line 1: ", "syntax error"),
        ADDED,
    ),
    Mode(
        "rollback_that_is_empty",
        {"migrate.sql": ADD, "rollback.sql": "-- we only go forward\n"},
        ("rollback.sql: it has no statement, although migrate.sql has some",),
        ADDED,
    ),
    Mode(
        "rollback_that_cannot_be_followed_by_the_change",
        {"migrate.sql": NAMES, "rollback.sql": NAMES_BACK.replace("DROP TABLE _orchestrate_kept_nameless;\n", "")},
        (
            "migrate.sql line 1: SQL input error: table _orchestrate_kept_nameless already exists",
            "during 'migrate again'",
        ),
        {"migrate.sql": NAMES, "rollback.sql": NAMES_BACK},
    ),
    Mode(
        "rollback_restores_a_copy_wholesale",
        {
            "migrate.sql": f"CREATE TABLE _orchestrate_kept_systems AS SELECT * FROM systems;\n{ADD}",
            "rollback.sql": "DELETE FROM systems WHERE true;\nALTER TABLE systems DROP COLUMN vendor_type;\n"
            "INSERT INTO systems SELECT * FROM _orchestrate_kept_systems;\nDROP TABLE _orchestrate_kept_systems;\n",
            "writes.sql": APP_WRITES,
        },
        ("systems: 3 of 3 rows that the app wrote are lost or changed after the rollback",),
        {
            "migrate.sql": f"CREATE TABLE _orchestrate_kept_systems AS SELECT * FROM systems;\n{ADD}",
            "rollback.sql": "ALTER TABLE systems DROP COLUMN vendor_type;\nDROP TABLE _orchestrate_kept_systems;\n",
            "writes.sql": APP_WRITES,
        },
    ),
    Mode(
        "rows_of_a_new_table_lost_by_the_rollback",
        {"migrate.sql": USER_SYSTEMS, "rollback.sql": "DROP TABLE user_systems;\n", "writes.sql": SEEN},
        (
            "user_systems: 1 of 1 rows written by the app is lost or changed after migrating again",
            "To accept it: -- allow: written-lost user_systems: <reason>",
        ),
        {"migrate.sql": SEEN_AGAIN, "rollback.sql": SEEN_KEPT, "writes.sql": SEEN},
    ),
)

MODES = (*CASCADES, *ROWS_LOST, *SCRIPTS, *CONTRACTS, *SCHEMAS, *ROLLBACKS)
