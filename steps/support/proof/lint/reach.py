"""What a script can reach: the engine says it itself when it compiles each statement on an empty clone of the schema.

Compiling asks the engine's authorizer about everything that a statement reads, writes, creates, drops or calls, also
through triggers, views and, with foreign keys on, through cascades. Nothing is run but the statements that change the
schema, so that those after them find it. What a virtual table does in its shadow tables is not among it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import apsw

from steps.support.schema.clone import attempt, empty_clone
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.functions import FUNCTIONS
from steps.support.sql.script import Piece, Script
from steps.support.sql.tokens import folded
from steps.support.sql.verbs import read_statement


class Action(StrEnum):
    """What a statement does to an object."""

    READ = "reads"
    INSERT = "inserts into"
    UPDATE = "updates"
    DELETE = "deletes from"
    CREATE = "creates"
    DROP = "drops"
    ALTER = "alters"
    CALL = "calls"


_ACTIONS = {  # the engine's code: the action, and whether the object is its first or its second argument
    apsw.SQLITE_READ: (Action.READ, 0),
    apsw.SQLITE_INSERT: (Action.INSERT, 0),
    apsw.SQLITE_UPDATE: (Action.UPDATE, 0),
    apsw.SQLITE_DELETE: (Action.DELETE, 0),
    apsw.SQLITE_CREATE_TABLE: (Action.CREATE, 0),
    apsw.SQLITE_CREATE_VTABLE: (Action.CREATE, 0),
    apsw.SQLITE_CREATE_INDEX: (Action.CREATE, 0),
    apsw.SQLITE_CREATE_TRIGGER: (Action.CREATE, 0),
    apsw.SQLITE_CREATE_VIEW: (Action.CREATE, 0),
    apsw.SQLITE_DROP_TABLE: (Action.DROP, 0),
    apsw.SQLITE_DROP_VTABLE: (Action.DROP, 0),
    apsw.SQLITE_DROP_INDEX: (Action.DROP, 0),
    apsw.SQLITE_DROP_TRIGGER: (Action.DROP, 0),
    apsw.SQLITE_DROP_VIEW: (Action.DROP, 0),
    apsw.SQLITE_ALTER_TABLE: (Action.ALTER, 1),
    apsw.SQLITE_FUNCTION: (Action.CALL, 1),
}
_WRITES = (Action.INSERT, Action.UPDATE, Action.DELETE)
_MEANS: dict[
    str, tuple[Action, set[Action]]
] = {  # what the statements that the reader calls so do themselves: what they must do, and what else they may do
    "INSERT": (Action.INSERT, {Action.UPDATE}),
    "UPDATE": (Action.UPDATE, set()),
    "DELETE": (Action.DELETE, set()),
    "CREATE TABLE": (Action.CREATE, set()),
    "DROP TABLE": (Action.DROP, set()),
    "ALTER TABLE": (Action.ALTER, {Action.UPDATE}),
    "RENAME TABLE": (Action.ALTER, set()),
    "RENAME COLUMN": (Action.ALTER, set()),
}
_SCHEMA = frozenset({"sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"})
_OF_A_COLUMN = frozenset({Action.READ, Action.UPDATE})
_CHANGES_THE_SCHEMA = frozenset({"CREATE", "ALTER", "DROP"})


@dataclass(frozen=True, slots=True)
class Access:
    """One thing that a statement does. `object` and `column` are in lower case; a column has only READ and UPDATE.

    `through`: the innermost trigger or view, in lower case; empty if the statement does it itself.
    """

    action: Action
    object: str
    column: str = ""
    through: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """All that one statement does. `error`: why the local engine could not compile it; empty if it could."""

    piece: Piece
    accesses: frozenset[Access]
    error: str = ""

    def objects(self, *actions: Action) -> set[str]:
        """Return the names of the objects to which the statement does one of these things."""
        return {each.object for each in self.accesses if each.action in actions}


def reach(definitions: Iterable[str], pieces: Iterable[Piece], *, foreign_keys: bool = False) -> tuple[Reach, ...]:
    """Return what each statement can reach, in a database that these definitions create; cascades with foreign keys."""
    with empty_clone(definitions) as connection:
        connection.pragma("foreign_keys", foreign_keys)
        return tuple([_compiled(connection, piece) for piece in pieces])


def _compiled(connection: apsw.Connection, piece: Piece) -> Reach:
    found: set[Access] = set()

    def note(code: int, first: str | None, second: str | None, _: str | None, through: str | None) -> int:
        if code in _ACTIONS:
            action, of = _ACTIONS[code]
            name, column = folded((first, second)[of] or ""), folded(second or "") if action in _OF_A_COLUMN else ""
            if name not in _SCHEMA:
                found.add(Access(action, name, column, folded(through or "")))
        return apsw.SQLITE_OK

    sql = piece.statement.sql
    is_compiled = piece.words(1) == ("EXPLAIN",)
    connection.authorizer = note
    try:
        error = attempt(connection, sql if is_compiled else f"EXPLAIN {sql}")
    finally:
        connection.authorizer = None
    if not error and piece.words(1)[0] in _CHANGES_THE_SCHEMA:
        error = attempt(connection, _without_rows(piece))
    return Reach(piece, frozenset(found), error)


def _without_rows(piece: Piece) -> str:
    """Return the statement; CREATE TABLE ... AS without the rows, which a query may make out of nothing."""
    sql, words = piece.statement.sql, piece.words(len(piece.tokens))
    if read_statement(piece).verb != "CREATE TABLE" or "(" in words[: words.index("AS") if "AS" in words else 0]:
        return sql
    after = next(
        (token.start - piece.start for word, token in zip(words, piece.tokens[1:], strict=False) if word == "AS"), 0
    )
    return f"{sql[:after]} SELECT * FROM ({sql[after:]}\n) LIMIT 0" if after else sql


def reach_findings(definitions: Iterable[str], script: Script) -> Iterator[Finding]:
    """Yield findings about what a script does according to the engine, and its text does not show.

    `definitions`: the SQL that creates the schema before the script.
    """
    for each in reach(definitions, script.pieces):
        where = each.piece.statement.name
        for called in sorted(each.accesses, key=str):
            if called.action is Action.CALL and called.object in FUNCTIONS and called.through:
                cause = f"through {called.through} it calls {called.object}, which {FUNCTIONS[called.object]}"
                yield Finding(where, cause, "Drop that trigger or view first, or leave its table alone.")
        if not each.error and (found := _misread(each)):
            yield Finding(
                where, f"the engine reads it otherwise: it {found}; no rule checked that",
                "Check it by eye; written more plainly, it can be checked.",
                rule="not-parsed", severity=Severity.WARNING, object=read_statement(each.piece).subject,
            )  # fmt: skip


def _misread(found: Reach) -> str:
    """Return what a statement itself does to a table that its reading does not say; empty if they agree."""
    reading = read_statement(found.piece)
    direct = {(each.action, each.object) for each in found.accesses if not each.through}
    must, may = _MEANS.get(reading.verb, (None, set()))
    expected = {(action, reading.table) for action in (may | {must} if must else may)}
    dropped = {name for action, name in direct if action is Action.DROP}  # with their rows
    others = ((action, name) for action, name in direct - expected if action in _WRITES and name not in dropped)
    unexpected = sorted(each for each in others if not each[1].startswith("sqlite_"))
    if must and (must, reading.table) not in direct:
        return f"does not do what {reading.verb} does to {reading.table}"
    return " and ".join(f"{action} {name}" for action, name in unexpected)
