"""Adapt a script that an ORM or a person wrote to the tool's one transaction.

Statements without an effect in that transaction are left out, with a note: pairs of BEGIN and COMMIT, savepoints that
are only released, and pragmas that tune the connection. A statement whose absence would change the meaning of the
script stays, and a later check refuses it. A file that holds both the change and its rollback is refused, too.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from steps.support.change.temporary import as_ordinary_tables
from steps.support.sql.findings import MIGRATE, ROLLBACK, Finding, Severity, place
from steps.support.sql.script import Piece, Script
from steps.support.sql.tokens import folded, unquoted_name

_BEGIN = re.compile(r"BEGIN( (DEFERRED|IMMEDIATE|EXCLUSIVE|CONCURRENT|READONLY))?( TRANSACTION)?")
_COMMIT = re.compile(r"(COMMIT|END)( TRANSACTION)?")
_SAVEPOINT = re.compile(r"SAVEPOINT (?P<name>\S+)")
_RELEASE = re.compile(r"RELEASE (SAVEPOINT )?(?P<name>\S+)")

_OF_KEYS = frozenset({"foreign_keys", "defer_foreign_keys"})
_OF_THE_CONNECTION = frozenset({
    "journal_mode", "journal_size_limit", "synchronous", "busy_timeout", "cache_size", "cache_spill", "temp_store",
    "mmap_size", "locking_mode", "wal_autocheckpoint", "wal_checkpoint", "optimize", "analysis_limit", "threads",
    "shrink_memory", "encoding", "secure_delete", "automatic_index",
})  # fmt: skip
_OFF_BY_DEFAULT = frozenset({
    "legacy_alter_table", "recursive_triggers", "ignore_check_constraints", "writable_schema", "case_sensitive_like",
    "reverse_unordered_selects", "query_only", "read_uncommitted",
})  # fmt: skip
_OFF = frozenset({"0", "OFF", "FALSE", "NO"})
_DOWN = re.compile(
    r"-{2,}\s*(?:\+\s*\w+\s+|\w+:|!|//\s*)?@?(?:downs?|undo)(?:\s+\w+:\w+)*\W*"  # -- +goose Down, -- migrate:down
    r"|-{2,}\s*create above / drop below\W*",  # tern
    re.IGNORECASE,
)
_REMEDIES = {
    MIGRATE: f"Move what follows this line to {ROLLBACK}.",
    ROLLBACK: "Remove what precedes this line.",
}
_REACHES_CHILDREN = frozenset({"DELETE", "DROP", "REPLACE", "UPDATE", "WITH"})  # with foreign keys on

_ONE = "The whole script runs in one transaction of the tool: all of it is committed, or none of it."
_KEYS = "Foreign keys are off for the whole transaction, and every reference is checked at its end."
_NO_EFFECT = "It changes nothing that the transaction writes."
Note = tuple[str, str]  # what is left out, and why that is right


@dataclass(frozen=True, slots=True)
class Taken:
    """A script adapted to one transaction.

    `notes`: a note for each statement that was left out or rewritten. `refused`: a finding for each statement that
    needs a temporary table, because the server has no temporary tables.
    """

    script: Script
    notes: tuple[Finding, ...]
    refused: tuple[Finding, ...]


def in_one_transaction(script: Script) -> Taken:
    """Adapt a script to one transaction, with a note for each statement that is left out or rewritten.

    A BEGIN before all other statements and a COMMIT after them need no note: without these two, the script does the
    same.
    """
    control = _paired(script.pieces)
    is_outer = {number for number, _ in control} == {0, len(script.pieces) - 1}
    notes = {number: ("BEGIN and COMMIT are left out", _ONE) for number, is_pair in control if is_pair}
    notes |= {number: ("savepoints are left out", _ONE) for number, is_pair in control if not is_pair}
    if is_outer:
        notes = {}
    gone = {number for number, _ in control}
    for number, piece in enumerate(script.pieces):
        if note := _without_effect(piece):
            notes[number] = note
            gone.add(number)
    ordinary = as_ordinary_tables(script.name, [piece for n, piece in enumerate(script.pieces) if n not in gone])
    left_out = (_note(script, script.pieces[number], *notes[number]) for number in sorted(notes))
    return Taken(replace(script, pieces=ordinary.pieces), (*left_out, *ordinary.notes), ordinary.refused)


def switches_foreign_keys_off(script: Script) -> bool:
    """Return True if a script, when a shell runs it, switches foreign keys off before it changes anything.

    Inside the tool's transaction, the switch would have no effect.
    """
    off = ever_off = in_transaction = False
    for piece in script.pieces:
        name, value = _pragma(piece)
        text = " ".join(piece.words(3))
        if name == "foreign_keys" and value and not in_transaction:  # inside a transaction it has no effect
            off = value in _OFF
            ever_off = ever_off or off
        elif not off and (piece.words(1)[0] in _REACHES_CHILDREN or piece.words(2) == ("INSERT", "OR")):
            return False
        in_transaction = (in_transaction or _BEGIN.match(text) is not None) and not _COMMIT.match(text)
    return ever_off


def _note(script: Script, piece: Piece, what: str, why: str) -> Finding:
    return Finding(place(script.name, piece.line), what, why, severity=Severity.NOTE)


def _paired(pieces: Sequence[Piece]) -> list[tuple[int, bool]]:
    """Return the numbers, counted from 0, of statements that open a transaction or a savepoint, or close one, in pairs.

    With each number comes True for BEGIN or COMMIT, or False for SAVEPOINT or RELEASE. Savepoints count only if the
    script has no ROLLBACK.
    """
    return [*_transactions(pieces), *_savepoints(pieces)]


def _transactions(pieces: Sequence[Piece]) -> Iterator[tuple[int, bool]]:
    begun: int | None = None
    for number, piece in enumerate(pieces):
        text = " ".join(piece.words(len(piece.tokens)))
        if begun is None and _BEGIN.fullmatch(text):
            begun = number
        elif begun is not None and _COMMIT.fullmatch(text):
            yield from ((begun, True), (number, True))
            begun = None


def _savepoints(pieces: Sequence[Piece]) -> Iterator[tuple[int, bool]]:
    if any(piece.words(1) == ("ROLLBACK",) for piece in pieces):  # a ROLLBACK may return to any savepoint
        return
    held: list[tuple[str, int]] = []
    for number, piece in enumerate(pieces):
        text = " ".join(piece.words(len(piece.tokens)))
        if found := _SAVEPOINT.fullmatch(text):
            held.append((_name(found), number))
        elif (found := _RELEASE.fullmatch(text)) and _name(found) in dict(held):
            yield number, False
            while held:  # the savepoints inside this one are released with it
                name, since = held.pop()
                yield since, False
                if name == _name(found):
                    break


def _name(found: re.Match[str]) -> str:
    return folded(unquoted_name(found["name"]))


def _without_effect(piece: Piece) -> Note | None:
    """Return a note if a statement has no effect in the transaction; None if the statement may have an effect."""
    if piece.words(1) == ("ANALYZE",):
        return "ANALYZE is left out", "The server refuses it, and would not use the statistics."
    name, value = _pragma(piece)
    if name in _OF_KEYS and value:
        return f"PRAGMA {name} is left out", _KEYS
    if name in _OF_THE_CONNECTION or (name in _OFF_BY_DEFAULT and value in _OFF):
        return f"PRAGMA {name} is left out", _NO_EFFECT
    return None


def _pragma(piece: Piece) -> tuple[str, str]:
    """Return the name of a pragma in lower case, and the value that it sets in upper case; empty texts if missing."""
    first, *rest = piece.tokens
    if first.text.upper() != "PRAGMA" or not rest:
        return "", ""
    name, *rest = rest[2:] if [token.text for token in rest[1:2]] == ["."] and rest[2:] else rest
    value = unquoted_name(rest[1].text).upper() if len(rest) > 1 else ""
    return folded(unquoted_name(name.text)), value


def sections(script: Script) -> Iterator[Finding]:
    """Yield a finding if a comment, such as `-- migrate:down`, begins a rollback below a change in the same file."""
    for comment in script.comments:
        begun = [piece.start > comment.start for piece in script.pieces]
        if comment.alone and {*begun} == {False, True} and _DOWN.fullmatch(comment.text.rstrip()):
            cause = f"`{comment.text.strip()}` begins another section of the file, and both sections would run"
            yield Finding(place(script.name, comment.line), cause, _REMEDIES[script.name])
            return
