"""What went wrong with real migrations is refused before production is touched, and the correct version passes.

Every change is proved against a real server. The rows are in failure_modes.py. What the first plan of this change
would have done, and what the shipped change does, is tried on the shape that production had.
"""

from pathlib import Path

import pytest

from tests.support.paths import SEED, SQL
from tests.support.proof.copies import names
from tests.support.proof.failure_modes import (
    ADDED,
    ANEW,
    BACK,
    GUARD,
    LIVEONE,
    MODES,
    OLD_CODE,
    TRIGGER,
    Files,
    Mode,
)
from tests.support.proof.proofs import lacking, tried, tried_with_answers
from tests.support.servers.front import Change

pytestmark = pytest.mark.anyio

NAMES = [mode.name for mode in MODES]


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
async def test_faulty_change_is_refused(mode: Mode, sqld_binary: Path, tmp_path: Path) -> None:
    """The refusal says what is wrong and where, and production is unchanged."""
    came = await tried(sqld_binary, tmp_path, mode.before, mode.faulty)
    assert came.proof is None
    assert lacking(came.said, mode.words) == [], came.said
    assert came.untouched


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
async def test_correct_version_passes(mode: Mode, sqld_binary: Path, tmp_path: Path) -> None:
    """The same change without the fault passes as lossless and without a warning, and production is unchanged."""
    came = await tried(sqld_binary, tmp_path, mode.before, mode.correct)
    assert came.proof, came.said
    assert came.proof.warnings == ()
    assert came.proof.lossless
    assert came.untouched


async def test_loss_only_in_a_shell_is_a_warning(sqld_binary: Path, tmp_path: Path) -> None:
    """A correct rebuild of a parent that only lacks the guard is safe in a release; a warning tells of the shell."""
    files = {"migrate.sql": ANEW.replace(GUARD, ""), "rollback.sql": BACK}
    came = await tried(sqld_binary, tmp_path, LIVEONE, files)
    assert came.proof, came.said
    (warning,) = came.proof.warnings
    assert [line.partition(", because")[0] for line in warning.splitlines()[1:]] == [
        f"  {table}: run by hand, migrate.sql loses this: {what}"
        for table, what in (
            ("point_info", "5 rows are lost by cascade: point_info.system_id -> systems(id) ON DELETE CASCADE"),
            ("polling_status", "3 rows are lost by cascade: polling_status.system_id -> systems(id) ON DELETE CASCADE"),
            ("readings", "6 rows are lost by cascade: readings.system_id -> systems(id) ON DELETE CASCADE"),
            ("users", "2 references are NULL now: users.default_system_id -> systems(id) ON DELETE SET NULL"),
        )
    ]


async def test_renamed_column_keeps_its_index_trigger_and_view(sqld_binary: Path, tmp_path: Path) -> None:
    """RENAME COLUMN takes an index, a trigger and a view along, and all values stay: there is no finding."""
    before = f"{LIVEONE}{TRIGGER}CREATE VIEW polled_most AS SELECT max(total_polls) AS polls FROM polling_status;\n"
    files = {
        "migrate.sql": "ALTER TABLE systems RENAME COLUMN system_number TO vendor_site_id;\n"
        "ALTER TABLE polling_status RENAME COLUMN total_polls TO polls;\n",
        "rollback.sql": "ALTER TABLE systems RENAME COLUMN vendor_site_id TO system_number;\n"
        "ALTER TABLE polling_status RENAME COLUMN polls TO total_polls;\n",
    }
    came = await tried(sqld_binary, tmp_path, before, files)
    assert came.proof, came.said
    assert came.proof.warnings == ()


async def test_earlier_orphans_do_not_block_a_change(sqld_binary: Path, tmp_path: Path) -> None:
    """A reading whose system was already gone does not block a change that leaves it alone."""
    before = f"{LIVEONE}INSERT INTO readings (system_id, inverter_time, solar_w) VALUES (9, 60, 1);\n"
    came = await tried(sqld_binary, tmp_path, before, {"migrate.sql": ANEW, "rollback.sql": BACK})
    assert came.proof, came.said
    assert came.proof.warnings == ()


async def test_orphans_may_be_cleaned_up(sqld_binary: Path, tmp_path: Path) -> None:
    """A change that deletes orphans passes if its rollback restores them as orphans."""
    orphan = "INSERT INTO readings (id, system_id, inverter_time, solar_w) VALUES (77, 9, 60, 1);\n"
    files = {
        "migrate.sql": "-- changes: readings 1\nDELETE FROM readings WHERE id = 77;\n",
        "rollback.sql": orphan,
    }
    came = await tried(sqld_binary, tmp_path, LIVEONE + orphan, files)
    assert came.proof, came.said
    assert came.proof.lossless


async def test_code_only_change_is_lossless(sqld_binary: Path, tmp_path: Path) -> None:
    """Without a migration, and with both versions running on the current schema, all is proved and lossless."""
    came = await tried(sqld_binary, tmp_path, LIVEONE, {"contract/old.sql": OLD_CODE, "contract/new.sql": OLD_CODE})
    assert came.proof, came.said
    assert came.proof.ruled_out == {}
    assert came.proof.lossless


async def test_code_only_change_needs_an_existing_table(sqld_binary: Path, tmp_path: Path) -> None:
    """Without a migration, code that queries a table that production lacks is refused with the statement."""
    came = await tried(sqld_binary, tmp_path, LIVEONE, {"contract/new.sql": "SELECT id FROM user_systems;\n"})
    assert came.proof is None
    assert lacking(came.said, ["contract/new.sql line 1", "no such table: user_systems"]) == [], came.said


RENAMED = {
    "migrate.sql": "-- allow: column-lost polls holds the same\n"
    "ALTER TABLE polling_status RENAME COLUMN total_polls TO polls;\n",
    "rollback.sql": "ALTER TABLE polling_status RENAME COLUMN polls TO total_polls;\n",
    "contract/old.sql": "SELECT total_polls FROM polling_status;\n",
}
EITHER = "-- either\nSELECT polls FROM polling_status;\n-- or\nSELECT total_polls FROM polling_status;\n-- end\n"
ORDERS: dict[str, tuple[Files, dict[str, str]]] = {
    "code_live_before_its_schema": (
        {**ADDED, "contract/old.sql": OLD_CODE, "contract/new.sql": "SELECT vendor_type FROM systems;\n"},
        {"CODE_FIRST": "the new code cannot run on the old schema: contract/new.sql line 1: "},
    ),
    "schema_live_before_its_code": (
        {**RENAMED, "contract/new.sql": EITHER},
        {"DATA_FIRST": "the old code cannot run on the new schema: contract/old.sql line 1: "},
    ),
    "code_that_runs_on_both": (
        {
            **ADDED,
            "contract/old.sql": OLD_CODE,
            "contract/new.sql": OLD_CODE + EITHER.replace("SELECT polls", "SELECT p"),
        },
        {},
    ),
}


@pytest.mark.parametrize(("files", "ruled_out"), ORDERS.values(), ids=ORDERS)
async def test_order_that_would_fail_is_ruled_out(
    sqld_binary: Path, tmp_path: Path, files: Files, ruled_out: dict[str, str]
) -> None:
    """An order in which some code would meet a schema that it cannot run on is ruled out, with the statement."""
    came = await tried(sqld_binary, tmp_path, LIVEONE, files)
    assert came.proof, came.said
    assert came.proof.ruled_out.keys() == ruled_out.keys()
    assert all(came.proof.ruled_out[order].startswith(why) for order, why in ruled_out.items())


BACKUPS: dict[str, tuple[Change, str]] = {
    "broken_off": (lambda text: b"" if b"INSERT INTO" in text else text, "reading the answer"),
    "without_a_row": (
        lambda text: text.replace(b');\\nINSERT INTO \\"readings\\" VALUES(6,4,60,60', b""),
        "the copy differs from its source: table readings has 5 rows, and 6 on the server",
    ),
    "without_an_index": (
        lambda text: text.replace(b'"value":"CREATE INDEX user_system_idx', b'"value":"SELECT 1 --'),
        "the copy differs from its source: its schema differs from the server's",
    ),
}


@pytest.mark.parametrize(("arriving", "words"), BACKUPS.values(), ids=BACKUPS)
async def test_wrong_backup_leaves_no_proof(sqld_binary: Path, tmp_path: Path, arriving: Change, words: str) -> None:
    """If the backup is not what production holds, there is no proof and no file that looks like one."""
    came = await tried_with_answers(sqld_binary, tmp_path, LIVEONE, ADDED, arriving)
    assert came.proof is None
    assert words in came.said
    assert names(came.run) == set()
    assert came.untouched


async def test_complete_backup_is_kept(sqld_binary: Path, tmp_path: Path) -> None:
    """A complete backup is kept with its rows, and nothing else is."""
    came = await tried_with_answers(sqld_binary, tmp_path, LIVEONE, ADDED, lambda text: text)
    assert came.proof, came.said
    assert names(came.run) == {Path(came.proof.backup.path).name}
    assert came.proof.backup.rows == 19


def production() -> str:
    """Yield the whole shape that production had, with two hours of readings instead of fourteen days."""
    text = (SQL / "sample.sql").read_text(encoding="utf-8")
    assert "n < 20159" in text
    return text.replace("n < 20159", "n < 119")


SEED_LOSSES = (
    (
        "readings: run by hand, migrate.sql loses this: 720 rows are lost by cascade: "
        "readings.system_id -> systems(id) ON DELETE CASCADE, because systems was dropped with foreign keys on"
    ),
    (
        "polling_status: run by hand, migrate.sql loses this: 6 rows are lost by cascade: "
        "polling_status.system_id -> systems(id) ON DELETE CASCADE, because systems was dropped with foreign keys on"
    ),
    "readings: run by hand, rollback.sql loses this: 720 rows are lost by cascade",
    "systems.user_id: 6 values are lost with the column",
    (
        "after the rollback user_id differs in 6 rows, display_name differs in 2 rows, timezone_offset differs in 4 "
        "rows, for example changed id 1, user_id 'first' -> NULL, display_name NULL -> 'System 1001'"
    ),
    "timezone_offset_min / 60 divides whole numbers and truncates: 570 / 60 is 9, not 9.5",
    "index user_system_idx: on systems (user_id, system_number) is gone. ",
    "index user_system_idx: on systems (user_id, system_number) is gone after the rollback",
    "systems: the highest id ever assigned went from 9 to 7",
    "systems.created_at: default unixepoch() became default current_timestamp",
    "systems.updated_at: default unixepoch() became default current_timestamp",
)


async def test_seed_change_is_refused_with_every_loss(sqld_binary: Path, tmp_path: Path) -> None:
    """The change that emptied production is refused, and every loss is named: by table, column and number of rows."""
    seed = {name: (SEED / f"seed_{name}").read_text(encoding="utf-8") for name in ("migrate.sql", "rollback.sql")}
    came = await tried(sqld_binary, tmp_path, production(), seed)
    assert came.proof is None
    assert lacking(came.said, SEED_LOSSES) == [], came.said
    assert came.untouched


async def test_shipped_change_loses_nothing(sqld_binary: Path, tmp_path: Path) -> None:
    """The change in sql/ does the same for the app on the same production, without a finding."""
    came = await tried(sqld_binary, tmp_path, production(), SQL)
    assert came.proof, came.said
    assert came.proof.warnings == ()
    assert came.proof.lossless
    assert came.untouched
