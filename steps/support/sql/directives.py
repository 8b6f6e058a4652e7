"""Directives: comments of the form `-- keyword: value` that have a meaning in one of the SQL files.

A keyword is written in lower case after two dashes. A comment that begins with a capital letter or any other word is
prose.
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
_ROUGHLY = re.compile(rf"(?P<table>{_NAME}){_COLUMNS}(?:\s+(?P<count>\d+(?:\.\.\d+)?)\.?)?")  # any number
_CHANGES = re.compile(rf"(?P<table>{_NAME}){_COLUMNS}(?:\s+(?P<low>{_NUMBER})(?:\.\.(?P<high>{_NUMBER}))?)?")
_ALLOW = re.compile(r"(?P<rule>[\w-]+)\s+(?P<rest>\S.*)", re.DOTALL)
_OF_AN_OBJECT = re.compile(rf"(?P<object>{_NAMES})\s*:(?!//)\s*(?P<reason>.*)", re.DOTALL)
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
    """One directive and its position; `keyword` is in lower case, `word` as written.

    `alone`: only whitespace precedes it on its line.
    """

    keyword: str
    word: str
    value: str
    start: int
    line: int
    alone: bool

    @property
    def well_formed(self) -> bool:
        """Whether its value has the form that its keyword requires."""
        match = VALUES[self.keyword][0].fullmatch(self.value)
        if match is None or self.keyword != "changes":
            return match is not None
        low, high = match["low"], match["high"]
        return high is None or int(low) <= int(high)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One `-- allow:` line: the rule, the object it names (empty: none), the reason, and its position."""

    rule: str
    object: str
    reason: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """Its file and line."""
        return place(self.file, self.line)

    def __str__(self) -> str:
        """Return the line as written, without the reason."""
        return f"-- allow: {' '.join(filter(None, [self.rule, written_name(self.object)]))}"


def directives(script: Script, keywords: Collection[str]) -> Iterator[Directive]:
    """Return the directives that have one of these keywords, in order."""
    for found in of_the_form(script):
        if found.keyword in keywords and (found.word == found.keyword or reads_as(found.keyword, found.value)):
            yield found


def name_of(script: Script) -> str | None:
    """Return the name that the script declares, or None."""
    return next((found.value for found in directives(script, ("name",))), None)


@dataclass(frozen=True, slots=True)
class Declaration:
    """One `-- changes:` line: the table, how many rows may change (None: any number), and its line in the file.

    `columns`: in lower case; if there are any, only values in these columns may change, and no row comes or goes.
    """

    table: str
    columns: tuple[str, ...]
    amount: Range | None
    line: int = 0


def declarations(script: Script) -> tuple[Declaration, ...]:
    """Return the `-- changes:` lines of a script, in order."""
    return tuple(map(declaration_in, directives(script, ("changes",))))


def changes_of(script: Script) -> dict[str, Range | None]:
    """Return the tables whose rows may change, each with the declared number of rows, None if there is none."""
    return {each.table: each.amount for each in declarations(script) if not each.columns}


def changed_columns_of(script: Script) -> tuple[Declaration, ...]:
    """Return the lines that declare only the values of some columns."""
    return tuple(each for each in declarations(script) if each.columns)


def waivers_in(script: Script) -> tuple[Waiver, ...]:
    """Return the waivers of a script, in order."""
    found = ((each.line, _allowed(each.value)) for each in directives(script, ("allow",)))
    return tuple(Waiver(*allowed, script.name, line) for line, allowed in found if allowed)


def of_piece(script: Script, piece: Piece) -> tuple[Directive, ...]:
    """Return the directives of a check: those above or inside its statement."""
    before = max((other.end for other in script.pieces if other.end < piece.start), default=0)
    return tuple(found for found in directives(script, OF_A_CHECK) if before <= found.start < piece.end)


def of_the_form(script: Script) -> Iterator[Directive]:
    """Return every comment that has the form of a directive, with any word as keyword."""
    for comment in script.comments:
        if match := FORM.fullmatch(comment.text):
            word, value = match["keyword"], match["value"].strip()
            yield Directive(word.lower(), word, value, comment.start, comment.line, comment.alone)


def reads_as(keyword: str, value: str) -> bool:
    """Return whether a value fits this keyword and is unlikely to be prose."""
    if keyword == "allow":
        match = _ALLOW.fullmatch(value)
        return match is not None and match["rule"] in RULES
    if keyword == "changes":
        return bool((found := table_in(value)) and found[1])
    return keyword == "expect" and VALUES[keyword][0].fullmatch(value) is not None


def table_in(value: str) -> tuple[str, str] | None:
    """Return the table of a `-- changes:` line, and its columns and number as written, even if that is invalid."""
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
    """Return why a waiver is invalid, and the remedy: it has no reason, or its object is ambiguous. None if valid."""
    rule, name, reason = _allowed(value) or ("", "", "")
    line = f"`allow: {shown(value)}`"
    if reason == REASON or not re.search(r"\w", reason):
        return f"{line} gives no reason", f"Write why it is intended: `{waiver_line(rule, name, 'reason')}`."
    colon = next((match.start() for match in _COLON.finditer(reason) if match["colon"]), None)
    if not name and colon is not None:
        before = reason[:colon].strip(" \t'\"`")
        cause = f"{line}: `{shown(before)}`, before the colon, is not a valid name"
        example = waiver_line(rule, before or "OBJECT", "reason")
        return cause, f"Write only the name, quoted if necessary: `{example}`; without a name, use no colon."
    return None


def shown(text: str) -> str:
    """Return a text, shortened if it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _allowed(value: str) -> tuple[str, str, str] | None:
    """Return the rule, the object and the reason of a waiver; None if it does not have the form of one."""
    if not (match := _ALLOW.fullmatch(value)):
        return None
    named = _OF_AN_OBJECT.fullmatch(match["rest"])
    if named is None:
        return match["rule"], "", match["rest"]
    return match["rule"], _spelled(named["object"]), named["reason"]


def _spelled(names: str) -> str:
    return ".".join(unquoted_name(name) for name in re.findall(_NAME, names))
