"""Rows that the app writes and the old schema cannot hold: they wait for the next migration, on the real server."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.support.proof.result import UNKNOWN
from steps.turso_migration import rollback_words
from tests.support.proof.proofs import NOTHING, lacking, tried
from tests.support.proof.round_trips import LOSSES, OWNERLESS, ROUND_TRIPS, STATES, RoundTrip

FIRST_LOSSES = [
    next((each, words) for each, words in LOSSES if each.name.startswith(f"{way.name}:")) for way in ROUND_TRIPS
]


@pytest.mark.anyio
@pytest.mark.parametrize("way", ROUND_TRIPS, ids=[each.name for each in ROUND_TRIPS])
async def test_right_rollback_is_lossless_and_says_what_waits(
    sqld_binary: Path, tmp_path: Path, way: RoundTrip
) -> None:
    """The change passes as lossless, and the proof says how many of the written rows wait in which table."""
    came = await tried(sqld_binary, tmp_path, way.before, way.files)
    assert came.proof, came.said
    assert (came.proof.lossless, dict(came.proof.waiting)) == (True, way.waits)


@pytest.mark.anyio
@pytest.mark.parametrize(("way", "words"), FIRST_LOSSES, ids=[each.name for each, _ in FIRST_LOSSES])
async def test_loss_beside_what_waits_is_refused(
    sqld_binary: Path, tmp_path: Path, way: RoundTrip, words: tuple[str, ...]
) -> None:
    """With one row or value lost the change is refused, and the refusal names it."""
    came = await tried(sqld_binary, tmp_path, way.before, way.files)
    assert came.proof is None
    assert lacking(came.said, words) == [], came.said


@pytest.mark.anyio
@pytest.mark.parametrize("way", ROUND_TRIPS, ids=[each.name for each in ROUND_TRIPS])
async def test_right_rollback_without_writes_is_not_shown(sqld_binary: Path, tmp_path: Path, way: RoundTrip) -> None:
    """If the app writes nothing, the change passes, is not called lossless, and nothing waits."""
    came = await tried(sqld_binary, tmp_path, way.before, {**way.files, "writes.sql": NOTHING})
    assert came.proof, came.said
    assert (came.proof.lossless, "writes.sql" in came.proof.unasked, came.proof.waiting) == (False, True, {})


FORGOTTEN = """UPDATE tasks SET state = k.state FROM _orchestrate_kept_held AS k WHERE k.id = tasks.id;
"""


@pytest.mark.anyio
async def test_state_that_the_old_check_refuses_and_that_is_forgotten_is_a_warning(
    sqld_binary: Path, tmp_path: Path
) -> None:
    """rollback.sql must choose another state; if it does not come back, the change is not called lossless."""
    files = {**STATES.files, "migrate.sql": STATES.files["migrate.sql"].replace(FORGOTTEN, "")}
    came = await tried(sqld_binary, tmp_path, STATES.before, files)
    assert came.proof, came.said
    assert not came.proof.lossless
    (warning,) = (each for each in came.proof.warnings if each.startswith("tasks: "))
    assert lacking(warning, ["2 of 2 rows written by the app come back with another value", "state 'held'"]) == []


@pytest.mark.anyio
async def test_null_that_the_old_schema_refuses_and_that_is_forgotten_is_refused(
    sqld_binary: Path, tmp_path: Path
) -> None:
    """If the rollback replaces NULL by a text that migrate.sql cannot tell from others, the change is refused."""
    way = OWNERLESS.with_loss("which are forgotten")
    came = await tried(sqld_binary, tmp_path, way.before, way.files)
    assert came.proof is None
    assert "tasks: 2 of 3 rows written by the app are lost or changed after migrating again" in came.said


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"lossless": True}, ", which loses no row written since"),
        ({"lossless": False}, "; not all that was written since comes back"),
        ({"lossless": True, "waiting": {"_orchestrate_kept_a": 1}}, ", which loses no row written since; 1 row written since waits until the change is made again, in _orchestrate_kept_a"),
        ({"lossless": True, "waiting": {"_orchestrate_kept_a": 3}}, ", which loses no row written since; 3 rows written since wait until the change is made again, in _orchestrate_kept_a"),
        ({"lossless": True, "waiting": {"_orchestrate_kept_a": 1_000, "_orchestrate_kept_b": 2}, "unshown": ("t",)}, ", which loses no row written since; 1,002 rows written since wait until the change is made again, 1,000 in _orchestrate_kept_a, 2 in _orchestrate_kept_b; not shown for t: writes.sql writes nothing there"),
        ({"unasked": ("writes.sql",), "lossless": True}, "; not shown that it keeps the rows written since: writes.sql writes nothing"),
    ],
)  # fmt: skip
def test_plan_says_what_waits(known: dict[str, Any], words: str) -> None:
    """The rollback of the plan names the tables of the tool in which rows wait, and how many."""
    assert rollback_words(replace(UNKNOWN, **known)) == words


ODD = {  # a weight over 1,000 and a row without an owner are new; the old schema has neither
    "migrate.sql": """-- allow: not-null-lost a task may have no owner
-- allow: check-lost a task may weigh more
CREATE TABLE new_tasks (id INTEGER PRIMARY KEY, owner TEXT, note TEXT, weight REAL);
INSERT INTO new_tasks SELECT id, owner, note, weight FROM tasks;
CREATE TABLE IF NOT EXISTS _orchestrate_kept_n (id INTEGER, note TEXT, weight REAL);
CREATE TABLE IF NOT EXISTS _orchestrate_kept_w (id INTEGER, weight REAL);
INSERT INTO new_tasks (id, note, weight) SELECT id, note, weight FROM _orchestrate_kept_n;
UPDATE new_tasks SET weight = k.weight FROM _orchestrate_kept_w AS k WHERE k.id = new_tasks.id;
DROP TABLE tasks; ALTER TABLE new_tasks RENAME TO tasks;
DROP TABLE _orchestrate_kept_n; DROP TABLE _orchestrate_kept_w;
""",
    "rollback.sql": """CREATE TABLE _orchestrate_kept_n AS SELECT id, note, weight FROM tasks WHERE owner IS NULL;
CREATE TABLE _orchestrate_kept_w AS SELECT id, weight FROM tasks WHERE weight > 1000 AND owner IS NOT NULL;
CREATE TABLE _orchestrate_kept_live AS SELECT * FROM tasks WHERE owner IS NOT NULL; DROP TABLE tasks;
CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, note TEXT, weight REAL CHECK (weight <= 1000));
INSERT INTO tasks SELECT id, owner, note, min(weight, 1000) FROM _orchestrate_kept_live;
DROP TABLE _orchestrate_kept_live;
""",
    "writes.sql": """INSERT INTO tasks (note, weight) VALUES (CAST(x'66ff0066' AS TEXT), -9e999);
UPDATE tasks SET weight = 9e999 WHERE id = 1;
""",
    "contract/old.sql": "SELECT owner FROM tasks;",
    "contract/new.sql": "SELECT owner FROM tasks;",
}


@pytest.mark.anyio
async def test_values_that_no_answer_carries_wait_as_well(sqld_binary: Path, tmp_path: Path) -> None:
    """Infinity, NUL and text that is not UTF-8 are found where they wait, and tried on the old schema."""
    before = """CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, note TEXT, weight REAL CHECK (weight <= 1000));
INSERT INTO tasks VALUES (1, 'Ann', 'a', 1.5), (2, 'Bob', 'b', 2.5);"""
    came = await tried(sqld_binary, tmp_path, before, ODD)
    assert came.proof, came.said
    assert came.proof.lossless
    assert came.proof.waiting == {"_orchestrate_kept_n": 1, "_orchestrate_kept_w": 1}
