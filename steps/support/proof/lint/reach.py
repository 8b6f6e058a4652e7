"""Ask the engine what each statement of a script can reach, by compiling it on an empty clone of the schema.

When the engine compiles a statement, it reports to its authorizer everything that the statement reads, writes, creates,
drops or calls: directly, through triggers and views, and, if foreign keys are on, through cascades. Only statements
that change the schema are also run, because later statements need their result. The engine does not report what a
virtual table does in its own tables.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import apsw

from steps.support.schema.clone import attempt, empty_clone
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.refusals import FUNCTIONS
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


_ACTIONS = {  # by the authorizer's code: the action, and which of its arguments names the object, from 0
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
_MEANS: dict[str, tuple[Action, set[Action]]] = {  # by verb: what such a statement must do, and what else it may do
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
    """One thing that a statement does to an object. Names are in lower case.

    `column`: the column that is read or updated; empty for any other action. `through`: the trigger or view that does
    it, the innermost if there are several; empty if the statement does it directly.
    """

    action: Action
    object: str
    column: str = ""
    through: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything that one statement does. `error`: why the local engine could not compile it; empty if it could."""

    piece: Piece
    accesses: frozenset[Access]
    error: str = ""

    def objects(self, *actions: Action) -> set[str]:
        """Return the names of all objects to which the statement does one of these actions."""
        return {each.object for each in self.accesses if each.action in actions}


def reach(definitions: Iterable[str], pieces: Iterable[Piece], *, foreign_keys: bool = False) -> tuple[Reach, ...]:
    """Return what each statement can reach in a database that these definitions create.

    `foreign_keys`: whether the engine enforces them, so that deletions reach further tables by cascade.
    """
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
    """Return the SQL of a statement; CREATE TABLE ... AS gets a LIMIT 0, because its query may return endless rows."""
    sql, words = piece.statement.sql, piece.words(len(piece.tokens))
    if read_statement(piece).verb != "CREATE TABLE" or "(" in words[: words.index("AS") if "AS" in words else 0]:
        return sql
    after = next(
        (token.start - piece.start for word, token in zip(words, piece.tokens[1:], strict=False) if word == "AS"), 0
    )
    return f"{sql[:after]} SELECT * FROM ({sql[after:]}\n) LIMIT 0" if after else sql


def reach_findings(definitions: Iterable[str], script: Script) -> Iterator[Finding]:
    """Yield a finding for each statement that, according to the engine, does more than its text shows.

    `definitions`: the SQL that creates the schema as it is before the script.
    """
    for each in reach(definitions, script.pieces):
        where = each.piece.statement.name
        for called in sorted(each.accesses, key=str):
            if called.action is Action.CALL and called.object in FUNCTIONS and called.through:
                cause = (
                    f"through {called.through}, this statement calls {called.object}, which {FUNCTIONS[called.object]}"
                )
                yield Finding(where, cause, f"Drop {called.through} first, or do not touch its table.")
        if not each.error and (found := _misread(each)):
            yield Finding(
                where, f"the engine reads this statement differently: it {found}; no rule checked that",
                "Check the statement by eye, or write it more plainly, so that the rules can check it.",
                rule="not-parsed", severity=Severity.WARNING, object=read_statement(each.piece).subject,
            )  # fmt: skip


def _misread(found: Reach) -> str:
    """Return what a statement does directly, although the tool reads it differently; empty if both agree."""
    reading = read_statement(found.piece)
    direct = {(each.action, each.object) for each in found.accesses if not each.through}
    must, may = _MEANS.get(reading.verb, (None, set()))
    expected = {(action, reading.table) for action in (may | {must} if must else may)}
    dropped = {name for action, name in direct if action is Action.DROP}  # DROP TABLE deletes the rows, too
    others = ((action, name) for action, name in direct - expected if action in _WRITES and name not in dropped)
    unexpected = sorted(each for each in others if not each[1].startswith("sqlite_"))
    if must and (must, reading.table) not in direct:
        return f"does not do what {reading.verb} does to {reading.table}"
    return " and ".join(f"{action} {name}" for action, name in unexpected)
