"""A change on SQLite files: migrated, written to, rolled back and migrated again; and what is said of it."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.support.proof.rows.diff import row_diff
from steps.support.proof.rows.result import Key
from steps.support.proof.verdict.elsewhere import Elsewhere, texts_of
from steps.support.proof.verdict.round_trip import (
    changed_by_migrating_again,
    changed_without_reason,
    lost_by_migrating_again,
    lost_by_rollback,
    values_to_try,
)
from steps.support.schema.comparison.diff import renames
from steps.support.sql.findings import Finding
from steps.support.sql.script import read_script_text

FOLLOWED = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """What is reported of the rollback if the app wrote in between, and of migrating again."""

    unexplained: list[Finding]
    unregained: list[Finding]


@dataclass(frozen=True, slots=True)
class Trip:
    """A folder in which a database is migrated and rolled back, with a file for each moment."""

    folder: Path

    def made(self, name: str, script: str, since: str = "", foreign_keys: str = "OFF") -> Path:
        """Create the file of a moment by running a script on an earlier one, or on an empty database."""
        file = self.folder / name
        file.write_bytes((self.folder / since).read_bytes() if since else b"")
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.executescript(
                f"PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA foreign_keys = {foreign_keys}; {script}"
            )
        return file

    def straight(self, before: str, migrate: str, rollback: str) -> list[Finding]:
        """Migrate and roll back while no one writes."""
        start, _ = self.made("before.db", before), self.made("there.db", migrate, "before.db")
        return [*lost_by_rollback(row_diff(start, self.made("straight.db", rollback, "there.db")))]

    def travelled(self, before: str, migrate: str, writes: str, rollback: str, keep: int = FOLLOWED) -> "Told":
        """Migrate, write as the app, roll back, and migrate again."""
        start, there = self.made("before.db", before), self.made("there.db", migrate, "before.db")
        written = self.made("written.db", writes, "there.db", foreign_keys="ON")
        back = self.made("back.db", rollback, "written.db")
        regained = self.made("regained.db", migrate, "back.db")
        wrote = row_diff(there, written, keep)
        moved, returned = row_diff(start, there, keep), row_diff(start, back, keep)
        named, again = renames(read_script_text(migrate, "migrate.sql")), row_diff(there, regained, keep)
        refused = dict(_refused(back, values_to_try(moved, wrote, returned, named)))
        elsewhere = Elsewhere.of(wrote, again, references(start), texts_of(read_script_text(rollback, "rollback.sql")))
        unexplained = [*changed_without_reason(moved, wrote, returned, named, elsewhere, refused)]
        unregained = [*lost_by_migrating_again(wrote, again, named, refused)]
        reported = {each.place.lower() for each in (*unexplained, *unregained)}
        return Told(unexplained, [*unregained, *changed_by_migrating_again(moved, wrote, again, named, reported)])


def references(file: Path) -> dict[str, set[str]]:
    """Return by table the columns that reference others."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute(
            """SELECT lower(m.name), lower(f."from") FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f"""
        ).fetchall()
    return {table: {column for name, column in found if name == table} for table, _ in found}


def _refused(file: Path, values: Iterable[tuple[str, Key, str, Any]]) -> Iterator[tuple[tuple[str, Key, str], str]]:
    """Yield the written values that a database refuses, and why."""
    for table, key, column, value in values:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            try:
                condition = " AND ".join(f'"{name}" IS ?' for name, _ in key)
                sql = f'UPDATE "{table}" SET "{column}" = ? WHERE {condition}'
                connection.execute(sql, (value, *(each for _, each in key)))
            except sqlite3.IntegrityError as error:
                yield (table, key, column), str(error)


def told(findings: Iterable[Finding]) -> list[str]:
    """Return each finding as place and cause."""
    return [f"{each.place}: {each.cause}" for each in findings]


def matches(found: Sequence[Finding], *expected: str) -> bool:
    """Return whether each finding contains its expected text, and there are no others."""
    return len(found) == len(expected) and all(map(str.__contains__, told(found), expected))
