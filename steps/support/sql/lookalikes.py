"""Find wrong directives in the comments of a script, and comments that were probably meant as directives.

A misspelled directive is refused: if the tool took it for prose, nothing would check the number of rows that it
declares. The tool ignores prose. `change users 3` counts as prose if there is no table `users`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from steps.support.core.text import nearest, slip_of
from steps.support.sql.directives import (
    BELONGS,
    FORM,
    VALUES,
    Directive,
    declaration_in,
    directives,
    of_the_form,
    reads_as,
    shown,
    table_in,
    unreasoned,
)
from steps.support.sql.findings import OF_THE_APP, RULES, Finding, place, written_name
from steps.support.sql.script import Comment, Script

_DIVIDES = re.compile(r"[\r\n]|--+")
_REMARK = re.compile(
    r"[\W_]*(?:\d+[.)]\s*)?(?:orchestrate\W+)?(?P<word>[A-Za-z]+)(?!\w)(?P<sign>[^\w\"`\[]*)(?P<value>.*)", re.DOTALL
)
_AFTER_SQL = "Put it on its own line above the statement; if it is not a directive, reword it."
_PROSE = "if it is prose, begin it with a capital letter."


@dataclass(frozen=True, slots=True)
class _Lookalike:
    """One line of a comment: its first word, the signs after the word, and the rest as `value`.

    `opens`: whether the line is the first of its comment, and follows the two dashes.
    """

    word: str
    sign: str
    value: str
    line: int
    opens: bool

    @property
    def has_colon(self) -> bool:
        """Whether a colon follows the first word."""
        return ":" in self.sign

    @property
    def is_plain(self) -> bool:
        """Whether the line has a colon after its first word, or begins its comment with a word in lower case."""
        return self.has_colon or (self.opens and self.word.islower())

    def __str__(self) -> str:
        """Return the line as written, shortened if it is long."""
        return shown(f"{self.word}{self.sign}{self.value}")


def invalid_directives(script: Script) -> Iterator[Finding]:
    """Yield a finding for each invalid directive, and for each comment that was probably meant as a directive."""
    for found in of_the_form(script):
        if problem := _unknown(found, script.name) or _misplaced(found, script.name):
            yield Finding(place(script.name, found.line), *problem)
        elif script.name in BELONGS.get(found.word, ()):
            yield from (Finding(place(script.name, found.line), *problem) for problem in _malformed(found))
    for each in _lookalikes(script):
        if each.is_plain and (meant := _clearly_meant(each, script.name)):
            yield Finding(place(script.name, each.line), *_corrected(each, meant))


def repeated_directives(script: Script) -> Iterator[Finding]:
    """Yield a finding for each second `-- name:` line, and for each table or column that is declared twice."""
    seen: set[str] = set()
    for found in directives(script, ("name", "changes")):
        keys = {found.keyword} if found.keyword == "name" else _declared(found)
        for key in sorted(keys & seen):
            yield Finding(place(script.name, found.line), f"`{key}` appears a second time", "Keep one of them.")
        seen |= keys


def _declared(found: Directive) -> set[str]:
    """Return a text for everything that a `-- changes:` line declares: its table, or each of its columns."""
    each = declaration_in(found)
    table = f"changes: {each.table.lower()}"
    return {f"{table}({column})" for column in each.columns} or {table}


def likely_tables_in(script: Script) -> Iterator[tuple[str, Finding]]:
    """Yield the table that a comment line names, and a finding, if the line may have been meant as `-- changes:`.

    The line is prose if the database has no such table; the caller must check that.
    """
    for each in _lookalikes(script):
        found = table_in(each.value)
        if found and _meant(each.word, script.name) == "changes" and _may_be_ignored(each, found[1]):
            yield found[0], Finding(place(script.name, each.line), *_ignored(each, *found))


def _lookalikes(script: Script) -> Iterator[_Lookalike]:
    """Yield the lines of comments that look like a directive; real directives are checked elsewhere."""
    for comment in script.comments:
        directive = FORM.fullmatch(comment.text)
        opens = comment.text.startswith("--")
        for text, line in _remarks(comment):
            match = _REMARK.fullmatch(text)
            is_directive = opens and directive and match and directive["keyword"] == match["word"].lower()
            if match and not is_directive:
                yield _Lookalike(match["word"], match["sign"], _without_end(match["value"]), line, opens)
            opens = False


def _without_end(text: str) -> str:
    """Return a text without the signs that end a line or a comment; a list of columns keeps its closing parenthesis."""
    found = text.rstrip(" \t*/;,)")
    return f"{found})" if found.count("(") > found.count(")") else found


def _remarks(comment: Comment) -> Iterator[tuple[str, int]]:
    """Yield the lines of a comment, each with its line number. Text after further dashes counts as another line."""
    start = 0
    for end in (*(match.span() for match in _DIVIDES.finditer(comment.text)), (len(comment.text),) * 2):
        if (text := comment.text[start : end[0]]).strip():
            yield text, comment.line + comment.text.count("\n", 0, start)
        start = end[1]


def _unknown(found: Directive, file: str) -> tuple[str, str] | None:
    """Return cause and remedy if a comment is probably a misspelled or misplaced directive; None if it is prose."""
    if found.word in BELONGS or not found.word.islower():
        return None
    meant = _meant(found.word, file)
    if meant and (slip_of(found.word, [meant]) or reads_as(meant, found.value)):
        cause = (
            f"`{found.word}: {shown(found.value)}`: there is no directive `{found.word}:`, the nearest is `{meant}:`"
        )
        return cause, f"Write `-- {meant}:`; {_PROSE}"
    elsewhere = slip_of(found.word, (keyword for keyword in _known_in(file) if file not in BELONGS[keyword]))
    if elsewhere and reads_as(elsewhere, found.value):
        cause = (
            f"`{found.word}: {shown(found.value)}`: `{elsewhere}:` was probably meant, but means nothing in this file"
        )
        return cause, f"Write it in {' or '.join(BELONGS[elsewhere])}; {_PROSE}"
    return None


def _clearly_meant(each: _Lookalike, file: str) -> str:
    """Return the keyword that a comment line was clearly meant to have; empty if the line may be prose.

    `change users 3` may be prose, because the database may have no table `users`.
    """
    if not any(reads_as(keyword, each.value) for keyword in _own(file)):
        return ""
    meant = _meant(each.word, file)
    may_be_prose = meant == "changes" != each.word.lower()
    return meant if meant and reads_as(meant, each.value) and not may_be_prose else ""


def _meant(word: str, file: str) -> str:
    """Return the keyword of the file that a word spells, misspells or scrambles; empty if there is none."""
    own, lower = _own(file), word.lower()
    anagrams = (each for each in own if sorted(lower.removesuffix("s")) == sorted(each))
    return lower if lower in own else slip_of(lower, own) or next(anagrams, "")


def _own(file: str) -> list[str]:
    return [keyword for keyword, files in BELONGS.items() if file in files]


def _may_be_ignored(each: _Lookalike, rest: str) -> bool:
    """Return True if a line that names a table may be meant as a directive. `rest`: the text after the table's name."""
    is_exact, is_lower = each.word.lower() == "changes", each.word.islower()
    is_headed = each.has_colon and (is_exact or is_lower)
    return bool(rest) or is_headed or (is_exact and is_lower and each.opens)


def _ignored(each: _Lookalike, table: str, rest: str) -> tuple[str, str]:
    """Return cause and remedy for a comment line that names a table, but is not a directive."""
    line = f"-- changes: {written_name(table)}{rest}"
    is_prose = each.word == "Changes" and each.has_colon
    why = "is prose: a directive is written in lower case" if is_prose else "is not a directive"
    return f"`{each}` names a table, but {why}", f"Write `{line}`; if it is prose, reword it."


def _corrected(each: _Lookalike, meant: str) -> tuple[str, str]:
    """Return why a comment line is not a directive, and the line to write instead."""
    line = f"-- {meant}: {shown(each.value.rstrip('.'))}"
    if not each.has_colon:
        return f"`{each}` lacks its colon", f"Write `{line}`; {_PROSE}"
    if each.opens and not each.word.islower():
        cause = f"`{each}` is not a directive: a keyword is written in lower case, and the nearest is `{meant}:`"
        return cause, f"Write `-- {meant}:`; {_PROSE}"
    remedy = f"Write `{line}` on its own line; if it is not a directive, remove or reword it."
    return f"`{each}` reads like a directive, but is not written as one", remedy


def _known_in(file: str) -> list[str]:
    """Return the keywords that a comment may mean; not `name` in the app's files, where other tools may use it."""
    return [keyword for keyword in BELONGS if not (keyword == "name" and file in OF_THE_APP)]


def _misplaced(found: Directive, file: str) -> tuple[str, str] | None:
    if found.word not in _known_in(file) or file in BELONGS[found.word]:
        return None
    where = " or ".join(BELONGS[found.word])
    return f"`{found.word}:` means nothing in this file", f"Write it in {where}; {_PROSE}"


def _malformed(found: Directive) -> Iterator[tuple[str, str]]:
    if not found.well_formed:
        yield f"`{found.keyword}: {shown(found.value)}` cannot be read", VALUES[found.keyword][1]
    elif found.keyword == "allow" and (rule := found.value.split()[0]) not in RULES:
        near = nearest(rule, RULES)
        what = f", the nearest is `{near}`" if near else ""
        yield f"`allow: {rule}`: there is no such rule{what}", "The runbook lists all rules, under `findings`."
    elif found.keyword == "allow" and (problem := unreasoned(found.value)):
        yield problem
    if not found.alone:
        yield f"`{found.keyword}:` follows SQL on the same line", _AFTER_SQL
