"""Lint rules about single statements: which rows they reach, which they skip or delete silently, what they truncate."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

from steps.support.proof.lint.facts import Facts
from steps.support.schema.own_tables import OURS
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.verbs import Reading, makes_trigger, unquoted

if TYPE_CHECKING:
    from steps.support.proof.lint.parser import Compared, Division

_REAL = re.compile(r"\d+\.\d+")
_CHANGES_ROWS = frozenset({"UPDATE", "DELETE"})
_ONLY_READS = frozenset({"SELECT", "VALUES"})
_CAN_FAIL = frozenset({"JSON_EXTRACT", "JSON", "ABS", "RAISE"})  # functions that fail for some value
_RAISES = frozenset({"IGNORE", "ABORT", "FAIL", "ROLLBACK"})
_FAILED = re.compile(r"\b(?:fail|stop|abort|error|wrong|refus|invalid|missing|not ok|do not|must)", re.IGNORECASE)
_ZONE = re.compile(r"offset|timezone|minutes|(?:\b|_)tz")
_MINUTES, _HOUR = re.compile(r"_min(?:_|\b)"), 60  # if divided by another number, _min probably means a minimum

_ASSERT = "assert with SELECT CASE WHEN <condition> THEN 1 ELSE json_extract('{}', '<why not>') END."
_ASK = (
    "Move it to verify.sql, or verify_rollback.sql, as a `-- check:` that must return no rows; or, to stop the change "
    f"at this point, {_ASSERT}"
)
_REPLACES = (
    "OR REPLACE silently deletes every row in conflict, and total_changes() does not count it; the row's other columns "
    "are lost, and with foreign keys on also its children, by CASCADE"
)
_IGNORES = "OR IGNORE silently skips every row that breaks a constraint, even NOT NULL or CHECK"
_UPSERT = (
    "Write what should happen: INSERT ... ON CONFLICT (columns) DO UPDATE SET ..., or first delete the old row by its "
    "key."
)
_NAMED = "Name the one conflict that is meant, ON CONFLICT (columns) DO NOTHING, and assert the number of rows."
_ON_CONFLICT = {
    "REPLACE": ("or-replace", _REPLACES, _UPSERT, Severity.ERROR),
    "IGNORE": ("or-ignore", _IGNORES, _NAMED, Severity.WARNING),
}


def on_conflict(reading: Reading, _: Facts) -> Iterator[Finding]:
    """Yield a finding for OR REPLACE and OR IGNORE."""
    if found := _ON_CONFLICT.get(reading.conflict):
        rule, cause, remedy, weight = found
        yield Finding(reading.piece.statement.name, cause, remedy, rule=rule, severity=weight)


def no_where(reading: Reading, known: Facts) -> Iterator[Finding]:
    """Yield a finding for UPDATE and DELETE without WHERE, unless the script or the tool created the table."""
    own = reading.table in known.made or reading.table.startswith(OURS)
    if reading.verb in _CHANGES_ROWS and not reading.where and not own:
        cause = f"{reading.verb} without WHERE reaches every row of {reading.table}"
        remedy = "Write which rows are meant; if all rows are meant, write WHERE true."
        yield Finding(reading.piece.statement.name, cause, remedy, rule="no-where")


def partial_key(reading: Reading, known: Facts) -> Iterator[Finding]:
    """Yield a finding for UPDATE and DELETE whose WHERE compares only a part of a composite primary key.

    Two kinds of parts are no finding, because they name a group of rows on purpose: the leading columns of the key, and
    all columns of a reference to another table.
    """
    key, where = known.key(reading.table), reading.piece.statement.name
    if reading.verb not in _CHANGES_ROWS or not reading.where or not key[1:]:
        return
    lint_tree = sql_parser()
    tree = lint_tree.parse(reading.sql)
    if tree is None:
        cause = f"the parser does not know this {reading.verb}, so nothing checked that WHERE names the whole key"
        yield _not_parsed(where, cause, f"Check WHERE by eye; the key of {reading.table} is ({', '.join(key)}).")
        return
    groups = known.references(reading.table)
    for partial in _partial(lint_tree.comparisons(tree), key, groups)[:1]:
        yield Finding(
            where, f"the key of {reading.table} is ({', '.join(key)}), {partial}", _whole(key), rule="partial-key"
        )


def raise_outside_trigger(reading: Reading, _: Facts) -> Iterator[Finding]:
    """Yield a finding for RAISE() outside a trigger."""
    words = reading.piece.words(len(reading.piece.tokens))
    triples = zip(words, words[1:], words[2:], strict=False)
    raises = any(word == "RAISE" and sign == "(" and how in _RAISES for word, sign, how in triples)
    if raises and not makes_trigger(reading.piece):
        cause = "RAISE() is allowed in a trigger only: this statement cannot run, so it checks nothing"
        yield Finding(reading.piece.statement.name, cause, f"Remove it, and {_ASSERT}", rule="raise-outside-trigger")


def printed_only(reading: Reading, _: Facts) -> Iterator[Finding]:
    """Yield a finding for a SELECT that cannot fail, and so checks nothing.

    The finding is an error if a text in the SELECT reads like a failure message, else a warning.
    """
    words = reading.piece.words(len(reading.piece.tokens))
    called = {word for word, sign in pairwise(words) if sign == "("}
    if reading.verb in _ONLY_READS and called.isdisjoint(_CAN_FAIL):
        cause = f"this {reading.verb} cannot fail, and its output is discarded, so it checks nothing"
        texts = (token.text for token in reading.piece.tokens if token.kind == "string")
        weight = Severity.ERROR if any(map(_FAILED.search, texts)) else Severity.WARNING
        yield Finding(reading.piece.statement.name, cause, _ASK, rule="printed-only", severity=weight)


def integer_division(reading: Reading, _: Facts) -> Iterator[Finding]:
    """Yield a finding for each division of a time zone offset, or of minutes, by a whole number."""
    for found in _divisions(reading):
        if _ZONE.search(found.column) or (_MINUTES.search(found.column) and found.divisor == _HOUR):
            cause = f"{found.column} / {found.divisor} divides whole numbers and truncates: 570 / 60 is 9, not 9.5"
            remedy = f"Divide by {found.divisor}.0; if only the whole part is meant, also keep the remainder with %."
            yield Finding(reading.piece.statement.name, cause, remedy, rule="integer-division")


def unknown(reading: Reading, _: Facts) -> Iterator[Finding]:
    """Yield a warning for a statement whose first word the tool does not know."""
    if not reading.verb:
        cause = f"no statement that the tool knows begins with {reading.piece.tokens[0].text}: no rule checked it"
        remedy = "Check the statement by eye; the rehearsal runs it on the engine."
        yield _not_parsed(reading.piece.statement.name, cause, remedy)


def _not_parsed(where: str, cause: str, remedy: str) -> Finding:
    return Finding(where, cause, remedy, rule="not-parsed", severity=Severity.WARNING)


def _partial(alternatives: "Iterable[Compared]", key: tuple[str, ...], groups: Iterable[frozenset[str]]) -> list[str]:
    """Return, for each alternative of a WHERE that compares only a part of the key, a phrase about what is missing.

    `groups`: the columns of each reference to another table; a WHERE that compares all columns of one reference is no
    finding.
    """
    found = []
    for each in alternatives:
        compared = [column for column in key if column in each.equal]
        missing = " and ".join(column for column in key if column not in each.mentioned)
        leads = compared == [*key[: len(compared)]] or any(group <= each.equal for group in groups)
        if compared and missing and not leads:
            words = " and ".join(compared)
            found.append(f"and WHERE compares {words} without {missing}: it reaches rows with any {missing}")
    return sorted(found)


def _whole(key: tuple[str, ...]) -> str:
    row = f"({', '.join(key)})"
    return f"Compare the whole key: WHERE {row} IN (SELECT {row[1:-1]} FROM ...), or each of its columns with =."


def sql_parser() -> ModuleType:
    """Return the module lint/parser.py. It is imported only when it is needed, because importing it is slow."""
    return import_module("steps.support.proof.lint.parser")


def _divisions(reading: Reading) -> "list[Division]":
    """Return each `column / number` in a statement. Use the tokens if the parser cannot read the statement."""
    tokens = reading.piece.tokens
    if not any(sign.text == "/" and not _REAL.fullmatch(right.text) for sign, right in pairwise(tokens)):
        return []
    lint_tree = sql_parser()
    tree = lint_tree.parse(reading.sql)
    if tree is not None:
        return sorted(set(lint_tree.divisions(tree)), key=str)
    triples = zip(tokens, tokens[1:], tokens[2:], strict=False)
    return [
        lint_tree.Division(unquoted(left.text), int(right.text))
        for left, sign, right in triples
        if sign.text == "/" and lint_tree.WHOLE.fullmatch(right.text) and left.kind in {"word", "name"}
    ]
