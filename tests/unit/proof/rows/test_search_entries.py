"""The rows of search indexes that store none: their entries are compared, by rowid and number of words."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from steps.support.proof.guards.declared import plan_counts
from steps.support.proof.rows.diff import row_diff
from steps.support.sql.change import named_change

FTS5 = "CREATE VIRTUAL TABLE words USING fts5(w, content=''{});"
FTS4 = "CREATE VIRTUAL TABLE words USING fts4(w, content=''{});"
FILLED = "INSERT INTO words (rowid, w) VALUES (1, 'one'), (2, 'two'), (5, 'three more words');"
DELETABLE = FTS5.format(", contentless_delete=1") + FILLED

Files = Callable[[str, str], tuple[Path, Path]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Create a file with a script, and a second one by running another script on a copy of the first."""

    def make(script: str, change: str) -> tuple[Path, Path]:
        before, after = tmp_path / "before.db", tmp_path / "after.db"
        _run(before, script)
        after.write_bytes(before.read_bytes())
        _run(after, change)
        return before, after

    return make


def _run(file: Path, script: str) -> None:
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(script)


AGAIN = "DROP TABLE words;"
TO_DELETE = "INSERT INTO words (words, rowid, w) VALUES ('delete', 2, 'two');"
CASES = {  # before, change, how many entries are then added and removed
    "an entry deleted": (DELETABLE, "DELETE FROM words WHERE rowid = 2;", 0, 1),
    "an entry deleted by the command": (FTS5.format("") + FILLED, TO_DELETE, 0, 1),
    "all deleted": (FTS5.format("") + FILLED, "INSERT INTO words (words) VALUES ('delete-all');", 0, 3),
    "an entry added": (FTS5.format("") + FILLED, "INSERT INTO words (rowid, w) VALUES (9, 'nine');", 1, 0),
    "an entry emptied": (FTS5.format("") + FILLED, f"{TO_DELETE} INSERT INTO words (rowid, w) VALUES (2, '');", 1, 1),
    "merged, and so stored otherwise": (FTS5.format("") + FILLED, "INSERT INTO words (words) VALUES ('optimize');", 0, 0),
    "recreated and refilled": (FTS5.format("") + FILLED, AGAIN + FTS5.format(", prefix='2'") + FILLED, 0, 0),
    "recreated and not refilled": (FTS5.format("") + FILLED, AGAIN + FTS5.format(""), 0, 3),
    "recreated with shorter words": (
        FTS5.format("") + FILLED, AGAIN + FTS5.format(", tokenize='trigram'") + FILLED, 0, 0,
    ),
    "other rowids": (
        FTS5.format("") + FILLED,
        AGAIN + FTS5.format("") + "INSERT INTO words (rowid, w) VALUES (1, 'one'), (2, 'two'), (3, 'three more words');",
        1, 1,
    ),
    "recreated with FTS4": (FTS4.format("") + FILLED, AGAIN + FTS4.format(', prefix="2"') + FILLED, 0, 0),
    "FTS4 not refilled": (FTS4.format("") + FILLED, AGAIN + FTS4.format(""), 0, 3),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_entries_are_compared(case: str, files: Files) -> None:
    """An entry that is lost, renumbered or emptied is a difference; another way of storing it is none."""
    script, change, added, removed = CASES[case]
    (found,) = row_diff(*files(script, change)).values()
    assert (found.name, found.added, found.removed, found.changed) == ("words", added, removed, 0)


@pytest.mark.parametrize("create", [FTS5.format(""), FTS4.format("")], ids=["FTS5", "FTS4"])
def test_production_counts_the_entries(create: str, files: Files) -> None:
    """The declared number of lost entries is counted by statements that such an index answers, in both versions."""
    fewer = f"{AGAIN}{create}INSERT INTO words (rowid, w) VALUES (1, 'one'), (2, 'two');"
    before, after = files(create + FILLED, fewer)
    change = replace(named_change("some", ""), changes={"words": (1, 1)})
    (count,) = plan_counts(before, after, change, row_diff(before, after))
    with closing(apsw.Connection(str(before))) as connection:
        connection.execute(f'CREATE TABLE "{count.was}" AS {count.before}')
        connection.execute(fewer)
        assert connection.execute(f"SELECT {count.changed}").fetchone() == (1,)
