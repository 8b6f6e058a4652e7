"""Directives: comments of the form `-- keyword: value` that mean something in one of the SQL files.

A keyword is written in lower case, behind two dashes. What begins with a capital letter is prose, and so is every other
word.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from steps.support.sql.findings import REASON, place, waiver_line, written_name
from steps.support.sql.known_names import MIGRATE, ROLLBACK, RULES, VERIFY, VERIFY_ROLLBACK
from steps.support.sql.script import Piece, Script
from steps.support.sql.tokens import unquoted_name

Range = tuple[int, int]

OF_A_CHECK = ("check", "expect")
BELONGS = {  # keyword -> the files in which it means something
    "name": (MIGRATE,),
    "changes": (MIGRATE,),
    "allow": (MIGRATE, ROLLBACK),
    "check": (VERIFY, VERIFY_ROLLBACK),
    "expect": (VERIFY, VERIFY_ROLLBACK),
}

_NAME = r'(?:[\w$]+|"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\])'
_NAMES = rf"{_NAME}(?:\.{_NAME})*"
_NUMBER = "[0-9]{1,18}"  # fits into an integer of the engine
FORM = re.compile(r"--\s*(?P<keyword>[A-Za-z]+)\s*:(?P<value>.*)", re.DOTALL)
_ROUGHLY = re.compile(rf"(?P<table>{_NAME})(?:\s+(?P<count>\d+(?:\.\.\d+)?)\.?)?")  # any number at all
_CHANGES = re.compile(rf"(?P<table>{_NAME})(?:\s+(?P<low>{_NUMBER})(?:\.\.(?P<high>{_NUMBER}))?)?")
_ALLOW = re.compile(r"(?P<rule>[\w-]+)\s+(?P<rest>\S.*)", re.DOTALL)
_OF_AN_OBJECT = re.compile(rf"(?P<object>{_NAMES})\s*:(?!//)\s*(?P<reason>.*)", re.DOTALL)
_COLON = re.compile(r"\w+://\S+|\d:\d|(?P<colon>:)")  # one of an address or of a time divides nothing
VALUES = {
    "name": (re.compile(r"\S.*"), "Write `-- name: NAME`."),
    "changes": (
        _CHANGES,
        (
            "Write `-- changes: TABLE`, `-- changes: TABLE N` or `-- changes: TABLE MIN..MAX`; a number has at most 18 "
            "digits, 0 to 9."
        ),
    ),
    "allow": (_ALLOW, "Write `-- allow: RULE OBJECT: reason`, or `-- allow: RULE reason` where there is one place."),
    "check": (re.compile(r"\S.*"), "Write `-- check: NAME`."),
    "expect": (re.compile("rows|any"), "Write `-- expect: rows`, `-- expect: any`, or nothing where none is expected."),
}


_SHOWN = 80  # characters of a value that a message shows


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive where it stands; `keyword` is in lower case, `word` as it is written."""

    keyword: str
    word: str
    value: str
    start: int
    line: int
    alone: bool

    @property
    def well_formed(self) -> bool:
        """Whether its value is of the form that its keyword asks for."""
        match = VALUES[self.keyword][0].fullmatch(self.value)
        if match is None or self.keyword != "changes":
            return match is not None
        low, high = match["low"], match["high"]
        return high is None or int(low) <= int(high)


@dataclass(frozen=True, slots=True)
class Waiver:
    """One `-- allow:` line: the rule, the object that it names (empty: none), the reason, and where it stands."""

    rule: str
    object: str
    reason: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """Where it stands."""
        return place(self.file, self.line)

    def __str__(self) -> str:
        """Return it as it stands in the file, without the reason."""
        return f"-- allow: {' '.join(filter(None, [self.rule, written_name(self.object)]))}"


def directives(script: Script, keywords: Collection[str]) -> Iterator[Directive]:
    """Return the directives with these keywords, in order."""
    for found in of_the_form(script):
        if found.keyword in keywords and (found.word == found.keyword or reads_as(found.keyword, found.value)):
            yield found


def name_of(script: Script) -> str | None:
    """Return the name that the script gives itself."""
    return next((found.value for found in directives(script, ("name",))), None)


def changes_of(script: Script) -> dict[str, Range | None]:
    """Return the tables whose rows may change, and how many rows where that is said."""
    return dict(map(change_in, directives(script, ("changes",))))


def declared_in(script: Script) -> list[tuple[str, int]]:
    """Return the tables whose rows may change, each with the line that says so."""
    return [(change_in(found)[0], found.line) for found in directives(script, ("changes",))]


def waivers_in(script: Script) -> tuple[Waiver, ...]:
    """Return what the script says is meant, in order."""
    found = ((each.line, _allowed(each.value)) for each in directives(script, ("allow",)))
    return tuple(Waiver(*allowed, script.name, line) for line, allowed in found if allowed)


def of_piece(script: Script, piece: Piece) -> tuple[Directive, ...]:
    """Return the directives of a check: those above its statement or inside it."""
    before = max((other.end for other in script.pieces if other.end < piece.start), default=0)
    return tuple(found for found in directives(script, OF_A_CHECK) if before <= found.start < piece.end)


def of_the_form(script: Script) -> Iterator[Directive]:
    """Return every comment of the form of a directive, with any word."""
    for comment in script.comments:
        if match := FORM.fullmatch(comment.text):
            word, value = match["keyword"], match["value"].strip()
            yield Directive(word.lower(), word, value, comment.start, comment.line, comment.alone)


def reads_as(keyword: str, value: str) -> bool:
    """Return whether a value is one of this keyword, and could hardly be anything else."""
    if keyword == "allow":
        match = _ALLOW.fullmatch(value)
        return match is not None and match["rule"] in RULES
    if keyword == "changes":
        return bool((found := table_in(value)) and found[1])
    return keyword == "expect" and VALUES[keyword][0].fullmatch(value) is not None


def table_in(value: str) -> tuple[str, str] | None:
    """Return the table of a `-- changes:` line and its number as it is written, also if that cannot be read."""
    match = _ROUGHLY.fullmatch(value)
    return (unquoted_name(match["table"]), match["count"] or "") if match else None


def change_in(found: Directive) -> tuple[str, Range | None]:
    """Return the table of a `-- changes:` line, and how many rows may change where that is said."""
    match = _CHANGES.match(found.value)
    if match is None:
        return found.value, None
    low, high = match["low"], match["high"]
    return unquoted_name(match["table"]), (int(low), int(high or low)) if low else None


def unreasoned(value: str) -> tuple[str, str] | None:
    """Return why a waiver is none: it gives no reason, or it is not clear what of it is the object."""
    rule, name, reason = _allowed(value) or ("", "", "")
    said = f"`allow: {shown(value)}`"
    if reason == REASON or not re.search(r"\w", reason):
        return f"{said} gives no reason", f"Write why it is meant: `{waiver_line(rule, name, 'reason')}`."
    colon = next((match.start() for match in _COLON.finditer(reason) if match["colon"]), None)
    if not name and colon is not None:
        before = reason[:colon].strip(" \t'\"`")
        cause = f"{said}: `{shown(before)}`, before the colon, is not a name that can be read"
        line = waiver_line(rule, before or "OBJECT", "reason")
        return cause, f"Write the name alone, in quotes if need be: `{line}`; a reason has no colon in front of it."
    return None


def shown(text: str) -> str:
    """Return a text, or the beginning of a long one."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _allowed(value: str) -> tuple[str, str, str] | None:
    """Return the rule, the object and the reason of a waiver."""
    if not (match := _ALLOW.fullmatch(value)):
        return None
    named = _OF_AN_OBJECT.fullmatch(match["rest"])
    if named is None:
        return match["rule"], "", match["rest"]
    return match["rule"], _spelled(named["object"]), named["reason"]


def _spelled(names: str) -> str:
    return ".".join(unquoted_name(name) for name in re.findall(_NAME, names))
