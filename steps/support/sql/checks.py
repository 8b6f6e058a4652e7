"""Read verify.sql and verify_rollback.sql: each contains queries with a name and an expected answer."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.support.sql.directives import OF_A_CHECK, directives, of_piece
from steps.support.sql.findings import BadSql, Finding, place
from steps.support.sql.lookalikes import invalid_directives
from steps.support.sql.script import Piece, Script, read_script_text, require_whole
from steps.support.sql.statement import Statement

EXPECTED = {"": False, "rows": True, "any": None}


@dataclass(frozen=True, slots=True)
class SqlCheck:
    """One query that checks the database.

    `expects_rows`: False if the check passes without rows, True if it needs at least one row. None if the query only
    shows its rows: then the check always passes, and no transaction asserts it.
    """

    name: str
    statement: Statement
    expects_rows: bool | None

    @property
    def can_fail(self) -> bool:
        """Whether the check can fail; False if its query only shows rows."""
        return self.expects_rows is not None


def read_checks(text: str, name: str) -> tuple[SqlCheck, ...]:
    """Read the checks of verify.sql or verify_rollback.sql. Raise BadSql if a directive is wrong."""
    script = require_whole(read_script_text(text, name))
    if findings := [*check_findings(script)]:
        raise BadSql(subject=name, findings=findings)
    return checks(script)


def stored_checks(text: str, name: str) -> tuple[SqlCheck, ...]:
    """Read the checks stored in a marker row. They were validated before the release, and are not validated again."""
    return checks(require_whole(read_script_text(text, name)))


def check_findings(script: Script) -> Iterator[Finding]:
    """Yield a finding for each wrong directive in a script of checks."""
    yield from invalid_directives(script)
    end = script.pieces[-1].end if script.pieces else 0
    for found in directives(script, OF_A_CHECK):
        if found.start >= end:
            yield Finding(
                place(script.name, found.line), f"`{found.keyword}:` has no statement", "Write its query below it."
            )
    for keyword, line in (each for piece in script.pieces for each in _duplicates(script, piece)):
        yield Finding(place(script.name, line), f"a second `{keyword}:` for one statement", "Keep one of them.")
    for name in _repeated(check.name for check in checks(script)):
        yield Finding(script.name, f"more than one check is called {name}", "Give each check its own name.")


def checks(script: Script) -> tuple[SqlCheck, ...]:
    """Return the checks of a script."""
    return tuple(_check(script, piece, number) for number, piece in enumerate(script.pieces, 1))


def _check(script: Script, piece: Piece, number: int) -> SqlCheck:
    own = {found.keyword: found.value for found in of_piece(script, piece)}
    return SqlCheck(own.get("check", f"#{number}"), piece.statement, EXPECTED.get(own.get("expect", ""), True))


def _duplicates(script: Script, piece: Piece) -> Iterator[tuple[str, int]]:
    own = of_piece(script, piece)
    for keyword in _repeated(found.keyword for found in own):
        yield keyword, [found.line for found in own if found.keyword == keyword][1]


def _repeated(names: Iterable[str]) -> Iterator[str]:
    return (name for name, count in Counter(names).items() if count > 1)
