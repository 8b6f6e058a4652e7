"""Directives: comments of the form `-- keyword: value` that mean something in one of the SQL files."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from steps.support.sql_findings import Finding, place
from steps.support.sql_text import Piece, Script

Range = tuple[int, int]

OF_A_CHANGE = ("name", "changes", "allow")
OF_A_CHECK = ("check", "expect")

_DIRECTIVE = re.compile(r"--\s*(?P<keyword>[A-Za-z]+)\s*:(?P<value>.*)", re.DOTALL)
_CHANGES = re.compile(r'(?P<table>[\w$]+|"(?:[^"]|"")+")(?:\s+(?P<low>\d+)(?:\.\.(?P<high>\d+))?)?')
_VALUES = {
    "name": (re.compile(r"\S.*"), "Write `-- name: NAME`."),
    "changes": (_CHANGES, "Write `-- changes: TABLE`, `-- changes: TABLE N` or `-- changes: TABLE MIN..MAX`."),
    "allow": (re.compile(r"(?P<rule>[\w-]+)\s+(?P<reason>\S.*)"), "Write `-- allow: RULE reason`."),
    "check": (re.compile(r"\S.*"), "Write `-- check: NAME`."),
    "expect": (re.compile("rows|any"), "Write `-- expect: rows`, `-- expect: any`, or nothing where none is expected."),
}
_BEHIND = "Give it a line of its own above the statement; if it is no directive, word it otherwise."


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive where it stands."""

    keyword: str
    value: str
    start: int
    line: int
    alone: bool

    @property
    def well_formed(self) -> bool:
        """Whether its value is of the form that its keyword asks for."""
        match = _VALUES[self.keyword][0].fullmatch(self.value)
        if match is None or self.keyword != "changes":
            return match is not None
        low, high = match["low"], match["high"]
        return high is None or int(low) <= int(high)


def directives(script: Script, keywords: Collection[str]) -> Iterator[Directive]:
    """Give the directives with these keywords, in order."""
    for comment in script.comments:
        match = _DIRECTIVE.fullmatch(comment.text)
        if match and (keyword := match["keyword"].lower()) in keywords:
            yield Directive(keyword, match["value"].strip(), comment.start, comment.line, comment.alone)


def malformed(script: Script, keywords: Collection[str]) -> Iterator[Finding]:
    """Say which directives cannot be understood."""
    for found in directives(script, keywords):
        where = place(script.name, found.line)
        if not found.well_formed:
            yield Finding(where, f"`{found.keyword}: {found.value}` cannot be read", _VALUES[found.keyword][1])
        if not found.alone:
            yield Finding(where, f"`{found.keyword}:` stands behind SQL", _BEHIND)


def twice(script: Script) -> Iterator[Finding]:
    """Say which directives of a change contradict an earlier one: a second name, a second range for a table."""
    seen: set[str] = set()
    for found in directives(script, ("name", "changes")):
        key = found.keyword if found.keyword == "name" else f"changes: {_change(found)[0].lower()}"
        if key in seen:
            yield Finding(place(script.name, found.line), f"`{key}` is there a second time", "Keep one of them.")
        seen.add(key)


def name_of(script: Script) -> str | None:
    """Give the name that the script gives itself."""
    return next((found.value for found in directives(script, ("name",))), None)


def changes_of(script: Script) -> dict[str, Range | None]:
    """Give the tables whose rows may change, and how many rows where that is said."""
    return dict(map(_change, directives(script, ("changes",))))


def allowed_in(script: Script) -> tuple[tuple[str, str], ...]:
    """Give the rules of the lint that are waived, each with its reason."""
    values = (found.value.split(maxsplit=1) for found in directives(script, ("allow",)))
    return tuple((rule, reason) for rule, reason in values)


def of_piece(script: Script, piece: Piece) -> tuple[Directive, ...]:
    """Give the directives of a check: those above its statement or inside it."""
    before = max((other.end for other in script.pieces if other.end < piece.start), default=0)
    return tuple(found for found in directives(script, OF_A_CHECK) if before <= found.start < piece.end)


def _change(found: Directive) -> tuple[str, Range | None]:
    match = _CHANGES.match(found.value)
    if match is None:
        return found.value, None
    table, low, high = match["table"], match["low"], match["high"]
    name = table[1:-1].replace('""', '"') if table.startswith('"') else table
    return name, (int(low), int(high or low)) if low else None
