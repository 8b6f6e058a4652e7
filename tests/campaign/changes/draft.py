"""A change as it is drafted: statements and tables rebuilt by copying, from which its scripts are written."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from steps.support.sql.tokens import quoted, unquoted_name
from tests.campaign.changes.model import ROWID, Drawn, Object, Table, listed

LIVE = "_orchestrate_kept_live"
CHANGES = "-- changes: "
SEQUENCE = "_orchestrate_kept_sequence"


@dataclass
class Step:
    """A statement.

    `regains`: it brings back what an earlier rollback kept. `hushes`: without it, what the change writes would set off a
    trigger.
    """

    sql: str
    regains: bool = False
    hushes: bool = False


@dataclass
class Rebuild:
    """A table rebuilt under its own name, from a copy `l` of what it holds.

    `values`: the expression of each new column. `joined`: what else they read. `where`: which rows are taken. `source`:
    the table that is read, if it is not the copy. `renumbered`: rowids that no column shows are given anew. `then`:
    statements before the triggers are back.
    """

    old: Table
    new: Table
    values: dict[str, str]
    objects: list[Object]
    joined: str = ""
    where: str = ""
    source: str = ""
    renumbered: bool = False
    by_position: bool = False
    then: list[Step] = field(default_factory=list)

    @classmethod
    def of(cls, old: Table, new: Table, objects: Sequence[Object], **values: str) -> "Rebuild":
        """Return a rebuild that carries over every column of the same name."""
        shared = {name: f"l.{quoted(name)}" for name in new.names if name in old.names}
        return cls(old, new, {**shared, **values}, [each for each in objects if each.falls_with_table])

    def statements(self) -> list[str]:
        """Return its statements."""
        own, live, counted = quoted(self.old.name), quoted(LIVE), self.old.style == "autoincrement"
        made = [f"CREATE TABLE {live} AS SELECT {self.old.row_of('t')} FROM {own} AS t"]
        if counted:
            made.append(
                f"CREATE TABLE {SEQUENCE} AS SELECT seq FROM sqlite_sequence WHERE name = {_text(self.old.name)}"
            )
        made += [f"DROP TABLE {own}", self.new.sql, self._insert()]
        if counted and self.new.style == "autoincrement":
            name = _text(self.new.name)
            made.append(f"DELETE FROM sqlite_sequence WHERE name = {name}")
            made.append(f"INSERT INTO sqlite_sequence (name, seq) SELECT {name}, seq FROM {SEQUENCE}")
        made += [each.sql for each in self.then]
        made += [f"DROP TABLE {live}", *([f"DROP TABLE {SEQUENCE}"] * counted)]
        return [*made, *(each.sql for each in self.objects)]

    def _insert(self) -> str:
        names = [name for name in self.new.names if name in self.values]
        taken = ", ".join(self.values[name] for name in names)
        carried = self.old.implicit and self.new.implicit and not self.renumbered
        columns = f"rowid, {listed(names)}" if carried else listed(names)
        first = f"l.{quoted(ROWID)}, {taken}" if carried else taken
        whole = names == self.new.names and not carried and self.by_position
        into = f"INSERT INTO {quoted(self.new.name)}{'' if whole else f' ({columns})'}"
        rest = f"{self.joined}{f' WHERE {self.where}' if self.where else ''}"
        return f"{into} SELECT {first} FROM {quoted(self.source or LIVE)} AS l{rest}"


Part = Step | Rebuild


@dataclass
class Draft:
    """A change: its kind, both scripts with the directives above them, and the database that it makes.

    `targets`: the tables that the app writes to. `avoided`: columns whose values the app leaves alone. `harm`: what is
    wrong with it, empty if nothing is.
    """

    kind: str
    before: Drawn
    after: Drawn
    migrate: list[Part]
    rollback: list[Part]
    targets: list[str]
    directives: list[str] = field(default_factory=list)
    directives_back: list[str] = field(default_factory=list)
    avoided: set[str] = field(default_factory=set)
    extra: Callable[[], list[str]] = list
    harm: str = ""

    @property
    def declared(self) -> set[str]:
        """Return the tables whose rows are all declared to change: values that change in them are the author's wish."""
        lines = (each for each in self.directives if each.startswith(CHANGES) and "(" not in each)
        return {unquoted_name(re.sub(r" \d+$", "", each.removeprefix(CHANGES))) for each in lines}

    @property
    def forward(self) -> list[Rebuild]:
        """Return the tables that the migration rebuilds."""
        return [each for each in self.migrate if isinstance(each, Rebuild)]

    @property
    def back(self) -> list[Rebuild]:
        """Return the tables that the rollback rebuilds."""
        return [each for each in self.rollback if isinstance(each, Rebuild)]


def statements(parts: Sequence[Part]) -> list[str]:
    """Return the statements of a script."""
    return [sql for each in parts for sql in (each.statements() if isinstance(each, Rebuild) else [each.sql])]


def _text(name: str) -> str:
    return "'{}'".format(name.replace("'", "''"))
