"""Directives: comments of the form `-- keyword: value` that mean something in one of the SQL files.

A keyword is written in lower case. What begins with a capital letter is prose, and so is every other word, unless it is
a slip of a keyword: what was meant as a directive and is none would pass in silence.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from steps.support.core.text import nearest, slip_of
from steps.support.sql.findings import Finding, place, written_name
from steps.support.sql.known_names import MIGRATE, OF_THE_APP, ROLLBACK, RULES, VERIFY, VERIFY_ROLLBACK
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

_COLONLESS = re.compile(r"--\s*(?P<keyword>[a-z]+)\s+(?P<value>.*)", re.DOTALL)
_NAME = r'(?:[\w$]+|"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\])'
_DIRECTIVE = re.compile(r"--\s*(?P<keyword>[A-Za-z]+)\s*:(?P<value>.*)", re.DOTALL)
_CHANGES = re.compile(rf"(?P<table>{_NAME})(?:\s+(?P<low>\d+)(?:\.\.(?P<high>\d+))?)?")
_ALLOW = re.compile(rf"(?P<rule>[\w-]+)\s+(?:(?P<object>{_NAME}(?:\.{_NAME})*)\s*:\s*)?(?P<reason>[^\s:].*)", re.DOTALL)
_VALUES = {
    "name": (re.compile(r"\S.*"), "Write `-- name: NAME`."),
    "changes": (_CHANGES, "Write `-- changes: TABLE`, `-- changes: TABLE N` or `-- changes: TABLE MIN..MAX`."),
    "allow": (_ALLOW, "Write `-- allow: RULE OBJECT: reason`, or `-- allow: RULE reason` where there is one place."),
    "check": (re.compile(r"\S.*"), "Write `-- check: NAME`."),
    "expect": (re.compile("rows|any"), "Write `-- expect: rows`, `-- expect: any`, or nothing where none is expected."),
}
_BEHIND = "Give it a line of its own above the statement; if it is no directive, word it otherwise."
_PROSE = "if it is prose, begin it with a capital letter."


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
        match = _VALUES[self.keyword][0].fullmatch(self.value)
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
    for found in _of_the_form(script):
        if found.keyword in keywords and (found.word == found.keyword or _reads_as_one(found)):
            yield found


def wrong_directives(script: Script) -> Iterator[Finding]:
    """Return which comments look like directives and are none, and which directives cannot be understood."""
    for found in _of_the_form(script):
        if told := _unknown(found, script.name) or _misplaced(found, script.name):
            yield Finding(place(script.name, found.line), *told)
        elif script.name in BELONGS.get(found.word, ()):
            yield from (Finding(place(script.name, found.line), *told) for told in _malformed(found))
    for found in _of_the_form(script, _COLONLESS):
        if script.name in BELONGS.get(found.word, ()) and _reads_as_one(found):
            cause, remedy = f"`{found.word} {found.value}` lacks its colon", f"Write `-- {found.word}: {found.value}`"
            yield Finding(place(script.name, found.line), cause, f"{remedy}; {_PROSE}")


def repeated_directives(script: Script) -> Iterator[Finding]:
    """Return which directives of a change contradict an earlier one: a second name, a second range for a table."""
    seen: set[str] = set()
    for found in directives(script, ("name", "changes")):
        key = found.keyword if found.keyword == "name" else f"changes: {_change(found)[0].lower()}"
        if key in seen:
            yield Finding(place(script.name, found.line), f"`{key}` is there a second time", "Keep one of them.")
        seen.add(key)


def name_of(script: Script) -> str | None:
    """Return the name that the script gives itself."""
    return next((found.value for found in directives(script, ("name",))), None)


def changes_of(script: Script) -> dict[str, Range | None]:
    """Return the tables whose rows may change, and how many rows where that is said."""
    return dict(map(_change, directives(script, ("changes",))))


def declared_in(script: Script) -> list[tuple[str, int]]:
    """Return the tables whose rows may change, each with the line that says so."""
    return [(_change(found)[0], found.line) for found in directives(script, ("changes",))]


def likely_tables_in(script: Script) -> list[tuple[str, int]]:
    """Return what may be prose or a table: the one word of a `-- Changes: word` line, and the line."""
    capital = (each for each in _of_the_form(script) if each.keyword == "changes" != each.word and each.well_formed)
    return [(_change(each)[0], each.line) for each in capital]


def waivers_in(script: Script) -> tuple[Waiver, ...]:
    """Return what the script says is meant, in order."""
    found = ((each.line, _ALLOW.fullmatch(each.value)) for each in directives(script, ("allow",)))
    return tuple(
        Waiver(match["rule"], _spelled(match["object"] or ""), match["reason"], script.name, line)
        for line, match in found
        if match
    )


def of_piece(script: Script, piece: Piece) -> tuple[Directive, ...]:
    """Return the directives of a check: those above its statement or inside it."""
    before = max((other.end for other in script.pieces if other.end < piece.start), default=0)
    return tuple(found for found in directives(script, OF_A_CHECK) if before <= found.start < piece.end)


def _of_the_form(script: Script, form: re.Pattern[str] = _DIRECTIVE) -> Iterator[Directive]:
    for comment in script.comments:
        if match := form.fullmatch(comment.text):
            word, value = match["keyword"], match["value"].strip()
            yield Directive(word.lower(), word, value, comment.start, comment.line, comment.alone)


def _unknown(found: Directive, file: str) -> tuple[str, str] | None:
    """Return why a comment is taken for a directive that somebody meant to write."""
    if found.word in BELONGS:
        return None
    if found.word == found.keyword:
        meant, why = slip_of(found.word, _known_in(file)), "there is no such directive"
    else:
        is_one = file in BELONGS.get(found.keyword, ()) and _reads_as_one(found)
        meant, why = found.keyword if is_one else "", "a directive is written in lower case"
    if not meant:
        return None
    return f"`{found.word}: {found.value}`: {why}, the nearest is `{meant}:`", f"Write `-- {meant}:`; {_PROSE}"


def _known_in(file: str) -> list[str]:
    """Return the keywords that somebody may mean in a file; what the app sends may have names of another tool's."""
    return [keyword for keyword in BELONGS if not (keyword == "name" and file in OF_THE_APP)]


def _misplaced(found: Directive, file: str) -> tuple[str, str] | None:
    if found.word not in _known_in(file) or file in BELONGS[found.word]:
        return None
    where = " or ".join(BELONGS[found.word])
    return f"`{found.word}:` means nothing in this file", f"Write it in {where}; {_PROSE}"


def _malformed(found: Directive) -> Iterator[tuple[str, str]]:
    if not found.well_formed:
        yield f"`{found.keyword}: {found.value}` cannot be read", _VALUES[found.keyword][1]
    elif found.keyword == "allow" and (rule := found.value.split()[0]) not in RULES:
        near = nearest(rule, RULES)
        what = f", the nearest is `{near}`" if near else ""
        yield f"`allow: {rule}`: there is no such rule{what}", "The runbook lists all rules, under `findings`."
    if not found.alone:
        yield f"`{found.keyword}:` stands behind SQL", _BEHIND


def _reads_as_one(found: Directive) -> bool:
    """Return whether a comment reads as a directive does, word for word; one that says a single word may be prose."""
    match = _VALUES[found.keyword][0].fullmatch(found.value) if found.keyword in BELONGS else None
    if match is None:
        return False
    if found.keyword == "allow":
        return match["rule"] in RULES
    return found.keyword == "expect" or (found.keyword == "changes" and match["low"] is not None)


def _spelled(names: str) -> str:
    return ".".join(unquoted_name(name) for name in re.findall(_NAME, names))


def _change(found: Directive) -> tuple[str, Range | None]:
    match = _CHANGES.match(found.value)
    if match is None:
        return found.value, None
    low, high = match["low"], match["high"]
    return unquoted_name(match["table"]), (int(low), int(high or low)) if low else None
