"""Split SQL text where the engine would split it, into statements and comments with their positions in the file."""

import re
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from steps.support.sql.findings import BadSql, Finding, place
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import Token, tokenize

_BREAKPOINT = re.compile(r"-->\s*statement-breakpoint\s*")  # Drizzle ends each statement with this comment
_OPENED = {"/": "comment", "'": "string", '"': "quoted name", "`": "quoted name", "[": "quoted name"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a script, its tokens without comments, and the line on which it begins."""

    statement: Statement
    tokens: tuple[Token, ...]
    line: int

    @property
    def start(self) -> int:
        """The offset of the first token, in characters from the beginning of the file."""
        return self.tokens[0].start

    @property
    def end(self) -> int:
        """The offset after the last token, in characters; the closing semicolon is not included."""
        return self.tokens[-1].start + len(self.tokens[-1].text)

    def words(self, count: int) -> tuple[str, ...]:
        """Return the first `count` tokens in upper case, or fewer if the statement is shorter."""
        return tuple(token.text.upper() for token in self.tokens[:count])


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment and its position. `alone`: whether only whitespace precedes the comment on its line."""

    text: str
    start: int
    line: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Script:
    """A SQL file, split into statements and comments. `findings`: why the file could not be split to its end."""

    name: str
    pieces: tuple[Piece, ...]
    comments: tuple[Comment, ...]
    findings: tuple[Finding, ...]

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements, without their tokens and positions."""
        return tuple(piece.statement for piece in self.pieces)


def split(text: str, name: str) -> tuple[Statement, ...]:
    """Return the statements of a script, without their semicolons, each named after its file and line.

    Raise BadSql if the text ends in the middle of a string, a comment or a trigger.
    """
    return require_whole(read_script_text(text, name)).statements


def require_whole(script: Script) -> Script:
    """Return the script unchanged. Raise BadSql if it could not be split to its end."""
    if script.findings:
        raise BadSql(subject=script.name, findings=script.findings)
    return script


def read_script_text(text: str, name: str) -> Script:
    """Split a script. A string, comment or trigger that does not end becomes a finding of the script."""
    newlines = [match.start() for match in re.finditer("\n", text)]

    def line(offset: int) -> int:
        return bisect_left(newlines, offset) + 1

    if "\0" in text:
        nul = Finding(place(name, line(text.index("\0"))), "a NUL character", "Save the file as plain UTF-8 text.")
        return Script(name, (), (), (nul,))
    tokens = tuple(tokenize(text))
    groups = list(_groups(text, tokens))
    findings = tuple(Finding(place(name, line(at)), *problem) for at, problem in _unfinished(text, tokens, groups))
    whole = groups[:-1] if findings else groups
    pieces = tuple(_piece(text, name, group, line(group[0].start)) for group in whole)
    comments = tuple(_comment(text, token, line(token.start)) for token in tokens if token.kind == "comment")
    return Script(name, pieces, comments, findings)


def _groups(text: str, tokens: Sequence[Token]) -> Iterator[tuple[Token, ...]]:
    """Yield the tokens of each statement. The engine decides which semicolons end one; a breakpoint always does."""
    group: list[Token] = []
    for token in tokens:
        if token.kind == "comment":
            if group and _BREAKPOINT.fullmatch(token.text):
                yield tuple(group)
                group = []
        elif token.text == ";" and (not group or sqlite3.complete_statement(text[group[0].start : token.start + 1])):
            yield from [tuple(group)] if group else []
            group = []
        else:
            group.append(token)
    if group:
        yield tuple(group)


def _unfinished(
    text: str, tokens: Sequence[Token], groups: Sequence[Sequence[Token]]
) -> Iterator[tuple[int, tuple[str, str]]]:
    if tokens and tokens[-1].kind == "open":
        what = _OPENED[tokens[-1].text[0]]
        yield tokens[-1].start, (f"a {what} begins here and does not end", f"Close the {what}.")
    elif groups and not sqlite3.complete_statement(text[groups[-1][0].start :] + "\n;"):
        yield groups[-1][0].start, ("a trigger begins here and does not end", "Close the trigger with END;")


def _piece(text: str, name: str, group: tuple[Token, ...], line: int) -> Piece:
    end = group[-1].start + len(group[-1].text)
    return Piece(Statement(text[group[0].start : end], name=place(name, line)), group, line)


def _comment(text: str, token: Token, line: int) -> Comment:
    before = text[text.rfind("\n", 0, token.start) + 1 : token.start]
    return Comment(token.text, token.start, line, not before.strip())
