"""Files that hold the change and its rollback: run as one script, the second would take back the first."""

import pytest

from steps.support.change.one_transaction import sections
from steps.support.sql.script import read_script_text

UP, DOWN = "ALTER TABLE t ADD COLUMN a;\n", "ALTER TABLE t DROP COLUMN a;\n"
MARKS = [
    "-- +goose Down", "-- +goose down\n-- +goose StatementBegin", "-- +migrate Down", "-- migrate:down",
    "-- migrate:down transaction:false", "--migrate:down", "-- Down", "-- DOWN --", "--- !Downs", "-- //@UNDO", "-- @undo",
    "---- create above / drop below ----",
]  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    ("file", "remedy"), [("migrate.sql", "Move what follows"), ("rollback.sql", "Remove what precedes")]
)
def test_second_section_is_refused(mark: str, file: str, remedy: str) -> None:
    """The line that begins it is named, once, with what to do in this file."""
    (found,) = sections(read_script_text(f"-- up\n{UP}{mark}\n{DOWN}\n-- down\n{DOWN}", file))
    assert found.place == f"{file} line 3"
    assert "both sections would run" in found.cause
    assert remedy in found.remedy


@pytest.mark.parametrize("mark", [*MARKS, "-- it goes down", "-- down payments of a week", "/* down */"])
def test_one_section_is_taken(mark: str) -> None:
    """Each section may stand in a file of its own, under its mark; prose is no mark."""
    for text in (f"{mark}\n{DOWN}", f"-- migrate:up\n{UP}{mark}\n", f"{UP[:-2]} {mark}\n;\n{DOWN}"):
        assert not [*sections(read_script_text(text, "migrate.sql"))]


def test_prose_between_statements_is_no_section() -> None:
    """Only a line that is nothing but the mark begins a section."""
    text = f"{UP}-- slow down\n-- down from here: old rows\n{DOWN}SELECT 1; -- down\nSELECT 2;"
    assert not [*sections(read_script_text(text, "migrate.sql"))]
