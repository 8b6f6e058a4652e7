"""verify.sql and verify_rollback.sql: questions, each with a name and the answer it expects."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.support.sql.directives import OF_A_CHECK, directives, of_piece
from steps.support.sql.findings import BadSql, Finding, place
from steps.support.sql.lookalikes import wrong
from steps.support.sql.script import Piece, Script, read_script_text, require_whole
from steps.support.sql.statement import Statement

EXPECTED = {"": False, "rows": True, "any": None}


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """One question: it passes when it returns no rows, or, with `expects_rows`, when it returns at least one.

    With None it is asked only for what it shows: it always passes, and is asserted nowhere.
    """

    name: str
    statement: Statement
    expects_rows: bool | None

    @property
    def can_fail(self) -> bool:
        """Whether any answer to it would be wrong."""
        return self.expects_rows is not None


def read_checks(text: str, name: str) -> tuple[SqlCheck, ...]:
    """Read the checks of verify.sql or verify_rollback.sql. Raises BadSql when they cannot be told apart."""
    script = require_whole(read_script_text(text, name))
    if findings := [*wrong_checks(script)]:
        raise BadSql(name, findings)
    return checks(script)


def kept_checks(text: str, name: str) -> tuple[SqlCheck, ...]:
    """Read checks that a marker row keeps: what was fit to be released then is not judged again."""
    return checks(require_whole(read_script_text(text, name)))


def wrong_checks(script: Script) -> Iterator[Finding]:
    """Return which directives of a script of checks cannot be understood."""
    yield from wrong(script)
    end = script.pieces[-1].end if script.pieces else 0
    for found in directives(script, OF_A_CHECK):
        if found.start >= end:
            yield Finding(place(script.name, found.line), f"`{found.keyword}:` has no statement", "Write it below.")
    for keyword, line in (twice for piece in script.pieces for twice in _twice(script, piece)):
        yield Finding(place(script.name, line), f"a second `{keyword}:` for one statement", "Keep one of them.")
    for name in _repeated(check.name for check in checks(script)):
        yield Finding(script.name, f"more than one check is called {name}", "Give each a name of its own.")


def checks(script: Script) -> tuple[SqlCheck, ...]:
    """Give the checks of a divided script."""
    return tuple(_check(script, piece, number) for number, piece in enumerate(script.pieces, 1))


def _check(script: Script, piece: Piece, number: int) -> SqlCheck:
    own = {found.keyword: found.value for found in of_piece(script, piece)}
    return SqlCheck(own.get("check", f"#{number}"), piece.statement, EXPECTED.get(own.get("expect", ""), True))


def _twice(script: Script, piece: Piece) -> Iterator[tuple[str, int]]:
    own = of_piece(script, piece)
    for keyword in _repeated(found.keyword for found in own):
        yield keyword, [found.line for found in own if found.keyword == keyword][1]


def _repeated(names: Iterable[str]) -> Iterator[str]:
    return (name for name, count in Counter(names).items() if count > 1)
