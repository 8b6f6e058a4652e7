"""What has gone wrong with real migrations is refused before production is touched, and what is right is let through.

Every change is proved against a real server. The rows are in failure_modes.py; what the first plan of this change would have
done, and what the change that is shipped does, is tried on the shape that production had.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proof.copy_rig import Handler, names, streaming
from tests.proof.failure_modes import (
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
from tests.proof.proof_rig import lacking, tried, tried_with_dump

pytestmark = pytest.mark.anyio

HERE, SHIPPED = Path(__file__).parent, Path(__file__).parents[2] / "sql"
NAMES = [mode.name for mode in MODES]


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
async def test_it_is_refused(mode: Mode, sqld_binary: Path, tmp_path: Path) -> None:
    """The faulty change is refused in words that say what is wrong and where, and production is as it was."""
    came = await tried(sqld_binary, tmp_path, mode.before, mode.faulty)
    assert came.proof is None
    assert lacking(came.said, mode.words) == [], came.said
    assert came.untouched


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
async def test_the_correct_version_is_let_through(mode: Mode, sqld_binary: Path, tmp_path: Path) -> None:
    """The same change without the fault is let through as lossless, without one warning, and production is as it was."""
    came = await tried(sqld_binary, tmp_path, mode.before, mode.correct)
    assert came.proof, came.said
    assert came.proof.warnings == ()
    assert came.proof.lossless
    assert came.untouched


async def test_what_only_a_shell_would_lose_is_a_warning(sqld_binary: Path, tmp_path: Path) -> None:
    """A parent made anew as it should be, but for the guard, is safe in a release and warned of for a shell."""
    files = {"migrate.sql": ANEW.replace(GUARD, ""), "rollback.sql": BACK}
    came = await tried(sqld_binary, tmp_path, LIVEONE, files)
    assert came.proof, came.said
    assert [warning.partition(", because")[0] for warning in came.proof.warnings] == [
        f"{table}: run by hand, migrate.sql loses this: {what}"
        for table, what in (
            ("point_info", "5 rows are lost by cascade: point_info.system_id -> systems(id) ON DELETE CASCADE"),
            ("polling_status", "3 rows are lost by cascade: polling_status.system_id -> systems(id) ON DELETE CASCADE"),
            ("readings", "6 rows are lost by cascade: readings.system_id -> systems(id) ON DELETE CASCADE"),
            ("users", "2 references are NULL now: users.default_system_id -> systems(id) ON DELETE SET NULL"),
        )
    ]


async def test_what_follows_a_renamed_column_is_not_lost(sqld_binary: Path, tmp_path: Path) -> None:
    """RENAME COLUMN takes an index, a trigger and a view along, and all values stay: nothing speaks against it."""
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


async def test_orphans_of_before_are_nobodys_doing(sqld_binary: Path, tmp_path: Path) -> None:
    """A reading whose system was gone long before speaks against no change that leaves it alone."""
    before = f"{LIVEONE}INSERT INTO readings (system_id, inverter_time, solar_w) VALUES (9, 60, 1);\n"
    came = await tried(sqld_binary, tmp_path, before, {"migrate.sql": ANEW, "rollback.sql": BACK})
    assert came.proof, came.said
    assert came.proof.warnings == ()


async def test_orphans_may_be_cleaned_up(sqld_binary: Path, tmp_path: Path) -> None:
    """A change that deletes orphans is let through where its rollback gives them back, orphans as they were."""
    orphan = "INSERT INTO readings (id, system_id, inverter_time, solar_w) VALUES (77, 9, 60, 1);\n"
    files = {
        "migrate.sql": "-- changes: readings 1\nDELETE FROM readings WHERE id = 77;\n",
        "rollback.sql": orphan,
    }
    came = await tried(sqld_binary, tmp_path, LIVEONE + orphan, files)
    assert came.proof, came.said
    assert came.proof.lossless


async def test_a_change_of_code_alone_loses_nothing(sqld_binary: Path, tmp_path: Path) -> None:
    """Where nothing is migrated, and both versions run on the schema there is, all is proved and lossless."""
    came = await tried(sqld_binary, tmp_path, LIVEONE, {"contract/old.sql": OLD_CODE, "contract/new.sql": OLD_CODE})
    assert came.proof, came.said
    assert came.proof.ruled_out == {}
    assert came.proof.lossless


async def test_a_change_of_code_alone_needs_what_is_there(sqld_binary: Path, tmp_path: Path) -> None:
    """Where nothing is migrated, code that asks for a table that production lacks is refused with the statement."""
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
async def test_an_order_that_would_fail_is_ruled_out(
    sqld_binary: Path, tmp_path: Path, files: Files, ruled_out: dict[str, str]
) -> None:
    """The order in which some code would meet a schema that it cannot run on is ruled out, with the statement."""
    came = await tried(sqld_binary, tmp_path, LIVEONE, files)
    assert came.proof, came.said
    assert came.proof.ruled_out.keys() == ruled_out.keys()
    assert all(came.proof.ruled_out[order].startswith(why) for order, why in ruled_out.items())


Arriving = Callable[[bytes], Handler]
BACKUPS: dict[str, tuple[Arriving, str]] = {
    "cut_off": (lambda text: streaming([text[: len(text) // 2]], whole=False), "cut off after"),
    "without_its_end": (lambda text: streaming([text.removesuffix(b"COMMIT;\n")]), "cut off after"),
    "a_message_instead": (lambda _: streaming([b"Error: database is being exported\n"]), "the answer is not a dump"),
    "without_a_row": (
        lambda text: streaming([text.replace(b"INSERT INTO readings VALUES(6,4,60,60);\n", b"")]),
        "the copy differs from its source: table readings has 5 rows, the server 6",
    ),
    "without_an_index": (
        lambda text: streaming(
            [text.replace(b"CREATE INDEX user_system_idx ON systems (user_id, system_number);\n", b"")]
        ),
        "the copy differs from its source: its schema differs from the server's",
    ),
}


@pytest.mark.parametrize(("arriving", "words"), BACKUPS.values(), ids=BACKUPS)
async def test_a_backup_that_is_none_stops_everything(
    sqld_binary: Path, tmp_path: Path, arriving: Arriving, words: str
) -> None:
    """Where the backup did not arrive as what production holds, there is no proof, and no file that looks like one."""
    came = await tried_with_dump(sqld_binary, tmp_path, LIVEONE, ADDED, arriving)
    assert came.proof is None
    assert words in came.said
    assert names(came.run) == set()
    assert came.untouched


async def test_a_backup_that_is_whole_stays(sqld_binary: Path, tmp_path: Path) -> None:
    """Where it arrived whole it is kept, and nothing else is, with the rows that it holds."""
    came = await tried_with_dump(sqld_binary, tmp_path, LIVEONE, ADDED, lambda text: streaming([text]))
    assert came.proof, came.said
    assert names(came.run) == {Path(came.proof.backup.path).name}
    assert came.proof.backup.rows == 19


def production() -> str:
    """Give the whole shape that production had, with two hours of readings in place of fourteen days."""
    text = (SHIPPED / "sample.sql").read_text(encoding="utf-8")
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


async def test_the_seed_is_refused_with_all_that_it_loses(sqld_binary: Path, tmp_path: Path) -> None:
    """The change that emptied production is refused, and every loss is named: by table, by column, by number of rows."""
    seed = {name: (HERE / f"seed_{name}").read_text(encoding="utf-8") for name in ("migrate.sql", "rollback.sql")}
    came = await tried(sqld_binary, tmp_path, production(), seed)
    assert came.proof is None
    assert lacking(came.said, SEED_LOSSES) == [], came.said
    assert came.untouched


async def test_the_shipped_change_loses_nothing(sqld_binary: Path, tmp_path: Path) -> None:
    """The change in sql/ does the same for the app on the same production, and nothing speaks against it."""
    came = await tried(sqld_binary, tmp_path, production(), SHIPPED)
    assert came.proof, came.said
    assert came.proof.warnings == ()
    assert came.proof.lossless
    assert came.untouched
