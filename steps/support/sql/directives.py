"""Read directives: comments of the form `-- keyword: value` that instruct the tool.

A keyword is written in lower case after two dashes. A comment that begins with a capital letter, or with a word that
is not a keyword, is prose.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from steps.support.sql.findings import (
    MIGRATE,
    REASON,
    ROLLBACK,
    RULES,
    VERIFY,
    VERIFY_ROLLBACK,
    place,
    waiver_line,
    written_name,
)
from steps.support.sql.script import Piece, Script
from steps.support.sql.tokens import folded, unquoted_name

Range = tuple[int, int]

OF_A_CHECK = ("check", "expect")
BELONGS = {  # keyword -> the files in which it has a meaning
    "name": (MIGRATE,),
    "changes": (MIGRATE,),
    "allow": (MIGRATE, ROLLBACK),
    "check": (VERIFY, VERIFY_ROLLBACK),
    "expect": (VERIFY, VERIFY_ROLLBACK),
}

_NAME = r'(?:[\w$]+|"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\])'
_NAMES = rf"{_NAME}(?:\.{_NAME})*"
_NUMBER = "[0-9]{1,18}"  # fits in the engine's integer type
FORM = re.compile(r"--\s*(?P<keyword>[A-Za-z]+)\s*:(?P<value>.*)", re.DOTALL)
_COLUMNS = rf"(?:\s*\((?P<columns>\s*{_NAME}(?:\s*,\s*{_NAME})*\s*)\))?"
_ROUGHLY = re.compile(rf"(?P<table>{_NAME}){_COLUMNS}(?:\s+(?P<count>\d+(?:\.\.\d+)?)\.?)?")  # accepts any number
_CHANGES = re.compile(rf"(?P<table>{_NAME}){_COLUMNS}(?:\s+(?P<low>{_NUMBER})(?:\.\.(?P<high>{_NUMBER}))?)?")
_ALLOW = re.compile(r"(?P<rule>[\w-]+)\s+(?P<rest>\S.*)", re.DOTALL)
_OF_AN_OBJECT = re.compile(rf"(?P<object>{_NAMES})\s*:(?!//)\s*(?P<reason>.*)", re.DOTALL)
_WITH_KIND = re.compile(rf"(?:table|index|trigger|view)\s+(?P<name>{_NAME})", re.IGNORECASE)
_WITH_COLUMNS = re.compile(rf"(?P<table>{_NAME})\s*\((?P<columns>\s*{_NAME}(?:\s*,\s*{_NAME})*\s*)\)")
_OF_COLUMNS = frozenset({  # rules whose finding is about a column
    "values-changed", "values-swapped", "column-lost", "retyped", "default-lost", "not-null-lost", "type-changed",
    "collation-lost",
})  # fmt: skip
_COLON = re.compile(r"\w+://\S+|\d:\d|(?P<colon>:)")  # not the colon of a URL or a time
VALUES = {
    "name": (re.compile(r"\S.*"), "Write `-- name: NAME`."),
    "changes": (
        _CHANGES,
        (
            "Write `-- changes: TABLE`, `-- changes: TABLE N` or `-- changes: TABLE MIN..MAX`, with TABLE or "
            "TABLE(COLUMN, ...); a number has at most 18 digits, 0 to 9."
        ),
    ),
    "allow": (_ALLOW, "Write `-- allow: RULE OBJECT: reason`, or `-- allow: RULE reason` if there is only one place."),
    "check": (re.compile(r"\S.*"), "Write `-- check: NAME`."),
    "expect": (re.compile("rows|any"), "Write `-- expect: rows`, `-- expect: any`, or nothing to expect no rows."),
}


_SHOWN = 80  # characters of a value shown in a message


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive with its position: `start` in characters, `line` from 1.

    `word`: its keyword as written; `keyword`: the same in lower case. `alone`: whether only whitespace precedes the
    directive on its line.
    """

    keyword: str
    word: str
    value: str
    start: int
    line: int
    alone: bool

    @property
    def well_formed(self) -> bool:
        """Whether the value has the form that the keyword requires."""
        match = VALUES[self.keyword][0].fullmatch(self.value)
        if match is None or self.keyword != "changes":
            return match is not None
        low, high = match["low"], match["high"]
        return high is None or int(low) <= int(high)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One `-- allow:` line: it accepts a rule's finding, with a reason. `object`: empty if the line names no object."""

    rule: str
    object: str
    reason: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """The file and line of the waiver, as text."""
        return place(self.file, self.line)

    def __str__(self) -> str:
        """Return the `-- allow:` line without its reason."""
        return f"-- allow: {' '.join(filter(None, [self.rule, written_name(self.object)]))}"


def directives(script: Script, keywords: Collection[str]) -> Iterator[Directive]:
    """Yield the directives of a script that have one of these keywords, in the order of the file."""
    for found in of_the_form(script):
        if found.keyword in keywords and (found.word == found.keyword or reads_as(found.keyword, found.value)):
            yield found


def name_of(script: Script) -> str | None:
    """Return the name that a `-- name:` line gives the change; None if there is no such line."""
    return next((found.value for found in directives(script, ("name",))), None)


@dataclass(frozen=True, slots=True)
class Declaration:
    """One `-- changes:` line, which lets rows of `table` change.

    `amount`: how many rows may change, as (minimum, maximum); None if any number may. `columns`: the columns that the
    line names, in lower case; if there are any, only their values may change, and no row may be added or removed.
    """

    table: str
    columns: tuple[str, ...]
    amount: Range | None
    line: int = 0


def declarations(script: Script) -> tuple[Declaration, ...]:
    """Return what the `-- changes:` lines of a script declare, in the order of the file."""
    return tuple(map(declaration_in, directives(script, ("changes",))))


def changes_of(script: Script) -> dict[str, Range | None]:
    """Return, by table, how many rows may change; None if any number may. Lines that name columns are left out."""
    return {each.table: each.amount for each in declarations(script) if not each.columns}


def changed_columns_of(script: Script) -> tuple[Declaration, ...]:
    """Return the `-- changes:` lines that name columns: only the values of these columns may change."""
    return tuple(each for each in declarations(script) if each.columns)


def waivers_in(script: Script) -> tuple[Waiver, ...]:
    """Return the waivers of a script, in the order of the file."""
    found = ((each.line, _allowed(each.value)) for each in directives(script, ("allow",)))
    return tuple(Waiver(*allowed, script.name, line) for line, allowed in found if allowed)


def of_piece(script: Script, piece: Piece) -> tuple[Directive, ...]:
    """Return the directives of one check: those above its statement, and those inside the statement."""
    before = max((other.end for other in script.pieces if other.end < piece.start), default=0)
    return tuple(found for found in directives(script, OF_A_CHECK) if before <= found.start < piece.end)


def of_the_form(script: Script) -> Iterator[Directive]:
    """Yield every comment of the form `-- word: value`, whether or not the word is a keyword."""
    for comment in script.comments:
        if match := FORM.fullmatch(comment.text):
            word, value = match["keyword"], match["value"].strip()
            yield Directive(word.lower(), word, value, comment.start, comment.line, comment.alone)


def reads_as(keyword: str, value: str) -> bool:
    """Return True if a value makes sense for a keyword, so that the comment is unlikely to be prose."""
    if keyword == "allow":
        match = _ALLOW.fullmatch(value)
        return match is not None and match["rule"] in RULES
    if keyword == "changes":
        return bool((found := table_in(value)) and found[1])
    return keyword == "expect" and VALUES[keyword][0].fullmatch(value) is not None


def table_in(value: str) -> tuple[str, str] | None:
    """Return the table that a `-- changes:` line names, and the text after the name; None if there is no table.

    The text contains the columns and the number as they were written, even if they are invalid.
    """
    match = _ROUGHLY.fullmatch(value)
    if match is None:
        return None
    columns = f"({match['columns'].strip()})" if match["columns"] else ""
    return unquoted_name(match["table"]), f"{columns} {match['count'] or ''}".rstrip()


def declaration_in(found: Directive) -> Declaration:
    """Return what a `-- changes:` line declares."""
    match = _CHANGES.match(found.value)
    if match is None:
        return Declaration(found.value, (), None, found.line)
    low, high = match["low"], match["high"]
    columns = tuple(folded(unquoted_name(name)) for name in re.findall(_NAME, match["columns"] or ""))
    amount = (int(low), int(high or low)) if low else None
    return Declaration(unquoted_name(match["table"]), columns, amount, found.line)


def unreasoned(value: str) -> tuple[str, str] | None:
    """Return cause and remedy if a waiver gives no reason, or if its object is ambiguous; None if it is valid."""
    rule, name, reason = _allowed(value) or ("", "", "")
    line = f"`allow: {shown(value)}`"
    if reason == REASON or not re.search(r"\w", reason):
        return f"{line} gives no reason", f"Write why this is intended: `{waiver_line(rule, name, 'reason')}`."
    colon = next((match.start() for match in _COLON.finditer(reason) if match["colon"]), None)
    if not name and colon is not None:
        before = reason[:colon].strip(" \t'\"`")
        cause = f"{line}: `{shown(before)}`, before the colon, is not a valid name"
        example = waiver_line(rule, _meant(rule, before) or "OBJECT", "reason")
        return cause, f"Write only a name before the colon, quoted if necessary: `{example}`; or remove the colon."
    return None


def _meant(rule: str, written: str) -> str:
    """Return the object that an author probably means by a text that is not a name, such as `index i` or `t(c)`."""
    if match := _WITH_KIND.fullmatch(written):
        return _spelled(match["name"])
    if match := _WITH_COLUMNS.fullmatch(written):
        columns = re.findall(_NAME, match["columns"])
        is_of_one = rule in _OF_COLUMNS and len(columns) == 1
        return ".".join([_spelled(match["table"]), *(map(_spelled, columns) if is_of_one else ())])
    return written


def shown(text: str) -> str:
    """Return a text for a message, cut after 80 characters."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _allowed(value: str) -> tuple[str, str, str] | None:
    """Return the rule, the object and the reason of a waiver; None if the text is not a waiver."""
    if not (match := _ALLOW.fullmatch(value)):
        return None
    named = _OF_AN_OBJECT.fullmatch(match["rest"])
    if named is None:
        return match["rule"], "", match["rest"]
    return match["rule"], _spelled(named["object"]), named["reason"]


def _spelled(names: str) -> str:
    return ".".join(unquoted_name(name) for name in re.findall(_NAME, names))
