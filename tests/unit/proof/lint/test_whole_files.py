"""The lint on whole files: the shipped change, the change that emptied readings, and real migrations."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.support.proof.lint.lint import lint, proved_harmless
from steps.support.sql.findings import Severity
from steps.support.sql.script import read_script_text, split
from tests.support.paths import ROOT, SEED
from tests.support.proof.linting import judged, known

SEED_MIGRATE, SEED_ROLLBACK = SEED / "seed_migrate.sql", SEED / "seed_rollback.sql"


def sample() -> str:
    """Return the shape before the change: the definitions of sample.sql and its seven systems, without the readings."""
    text = (ROOT / "sql/sample.sql").read_text(encoding="utf-8")
    wanted = ("CREATE", "ALTER", "INSERT INTO systems")
    return ";\n".join(each.sql for each in split(text, "sample.sql") if each.sql.startswith(wanted)) + ";\n"


def schema_after(*scripts: Path) -> str:
    """Return the shape before the change after running these scripts on it."""
    return sample() + "\n".join(script.read_text(encoding="utf-8") for script in scripts)


def lint_file(path: Path, *before: Path) -> list[tuple[str, str]]:
    """Return rules and places for one file, in a database that the earlier scripts have run on."""
    script = read_script_text(path.read_text(encoding="utf-8"), path.name)
    return [(each.rule, each.place) for each in lint(script, known(schema_after(*before)))]


def line(path: Path, text: str) -> str:
    """Return the line of a file on which a statement begins."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return f"{path.name} line {next(n for n, each in enumerate(lines, 1) if each.startswith(text))}"


@pytest.mark.parametrize("name", ["migrate.sql", "rollback.sql"])
def test_shipped_change_is_flagged_for_its_dropped_parent_only(name: str) -> None:
    """The scripts in sql/ give one finding, the DROP of systems, which the rehearsal lowers to a note."""
    before = [ROOT / "sql/migrate.sql"] if name == "rollback.sql" else []
    path = ROOT / "sql" / name
    assert lint_file(path, *before) == [("drop-parent", line(path, "DROP TABLE systems"))]
    script = read_script_text(path.read_text(encoding="utf-8"), name)
    lowered = proved_harmless(lint(script, known(schema_after(*before))), {"readings", "polling_status"})
    assert [each.severity for each in lowered] == [Severity.NOTE]


@pytest.mark.parametrize("name", ["writes.sql", "sample.sql", "verify.sql", "contract/old.sql", "contract/new.sql"])
def test_ordinary_statements_of_the_app_are_not_flagged(name: str) -> None:
    """Nothing in the other files of sql/ is flagged, although they were not written with a lint in mind."""
    assert lint_file(ROOT / "sql" / name) == []


def test_seed_migration_is_refused() -> None:
    """The change that emptied readings is flagged where it drops systems and where it fills columns of every row."""
    expected = [
        ("no-where", line(SEED_MIGRATE, "UPDATE systems")),
        ("drop-parent", line(SEED_MIGRATE, "DROP TABLE systems")),
    ]
    assert lint_file(SEED_MIGRATE) == expected


def test_seed_rollback_is_refused() -> None:
    """The rollback of that change is flagged where it truncates half hours and where it drops systems again."""
    expected = [
        ("integer-division", line(SEED_ROLLBACK, "INSERT INTO systems_rollback")),
        ("drop-parent", line(SEED_ROLLBACK, "DROP TABLE systems")),
    ]
    assert lint_file(SEED_ROLLBACK, SEED_MIGRATE) == expected


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """Yield the sample with a reading for each system, and foreign keys on as in libSQL."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(sample())
    columns = "system_id, inverter_time, received_time, solar_w, solar_inverter_w, shunt_w, load_w, battery_w, grid_w"
    rest = "battery_soc, fault_code, fault_timestamp, generator_status"
    connection.execute(
        f"INSERT INTO readings ({columns}, {rest}) SELECT id, 1, 1, 0, 0, 0, 0, 0, 0, 0.0, 0, 0, 0 FROM systems"
    )
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


def test_seed_change_does_the_flagged_harm(database: sqlite3.Connection) -> None:
    """With foreign keys on, that change commits without any reading left, and its rollback turns 9.5 hours into 9."""
    assert database.execute("SELECT count(*) FROM readings").fetchone() == (7,)
    for path in (SEED_MIGRATE, SEED_ROLLBACK):
        for statement in split(path.read_text(encoding="utf-8"), path.name):
            database.execute(statement.sql)
    assert database.execute("SELECT count(*) FROM readings").fetchone() == (0,)
    assert database.execute("SELECT timezone_offset FROM systems WHERE id = 2").fetchone() == (9,)


HOUSE_STYLE = """

-- Migration 0042: it's the points; not the systems
-- DROP TABLE systems; DELETE FROM readings;
CREATE TABLE `point_info_new` (
  "system_id" INTEGER NOT NULL, -- the system; not the point
  id INTEGER, -- it's small
  naïve TEXT DEFAULT 'größe; 電池',
  PRIMARY KEY (system_id, id)
);--> statement-breakpoint
INSERT INTO point_info_new WITH n AS (SELECT system_id, id, name FROM point_info) SELECT * FROM n;--> statement-breakpoint
SELECT count(*) AS "should be 0" FROM point_info_new WHERE id IS NULL; /* STOP here;
  if it's not */
UPDATE point_info_new SET (id, naïve) = (SELECT row_number() OVER (PARTITION BY system_id ORDER BY id), 'x');
DELETE FROM point_info WHERE id IN (SELECT id FROM point_info_new);
INSERT INTO migrations (id) VALUES ('0042_points') ON CONFLICT (id) DO NOTHING;
CREATE TRIGGER [guard] BEFORE DELETE ON systems BEGIN
  SELECT CASE WHEN old.id THEN RAISE(ABORT, 'no; never') END; -- END;
END;
-- rollback: RENAME systems TO systems_backup"""


def test_real_migration_style_is_read() -> None:
    """In everything that real files contain, an unread check and rows picked by half a key are found, with lines."""
    assert [(each.rule, each.place) for each in judged(HOUSE_STYLE)] == [
        ("printed-only", "migrate.sql line 12"),
        ("partial-key", "migrate.sql line 15"),
    ]
