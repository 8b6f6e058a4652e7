"""Objections: which of them an `-- allow:` line accepts, and what is said then, and of lines that accept nothing."""

from collections.abc import Sequence

import pytest

from steps.support.proof.waivers import Waived, apply_waivers
from steps.support.sql.directives import Waiver
from steps.support.sql.findings import Finding, Severity
from steps.support.sql.known_names import MIGRATE, ROLLBACK

NAMES, ROLES = "users_name", "users_role"


def lost(name: str, file: str = MIGRATE, severity: Severity = Severity.ERROR, rule: str = "index-lost") -> Finding:
    """Make an objection to an index that is gone."""
    return Finding(f"index {name}", "is gone", "Make it again.", rule=rule, severity=severity, object=name, file=file)


def line(name: str = "", file: str = MIGRATE, rule: str = "index-lost", number: int = 2) -> Waiver:
    """Make a line that allows it."""
    return Waiver(rule, name, f"reason {number}", file, number)


def accepted(found: Waived) -> list[str]:
    """Return the objects that are accepted."""
    return [each.object for each in found.findings if each.severity is Severity.ACCEPTED]


CASES: dict[
    str, tuple[Sequence[Finding], Sequence[Waiver], Sequence[str], int, int]
] = {  # what is found, the lines, what is accepted, refused lines, unused lines
    "the object that is named": ([lost(NAMES), lost(ROLES)], [line(NAMES)], [NAMES], 0, 0),
    "both that are named": ([lost(NAMES), lost(ROLES)], [line(ROLES), line(NAMES, number=3)], [NAMES, ROLES], 0, 0),
    "in another case": ([lost("Users_Name")], [line("USERS_name")], ["Users_Name"], 0, 0),
    "beyond ASCII the case counts": ([lost("größe")], [line("GRÖßE")], [], 0, 1),
    "one place without an object": ([lost(NAMES)], [line()], [NAMES], 0, 0),
    "two places without an object": ([lost(NAMES), lost(ROLES)], [line()], [], 1, 0),
    "two places and two lines without an object": ([lost(NAMES), lost(ROLES)], [line(), line(number=3)], [], 1, 0),
    "one of two is named, the other not": ([lost(NAMES), lost(ROLES)], [line(NAMES), line(number=3)], [NAMES], 1, 0),
    "one place in each file without an object": ([lost(NAMES), lost(NAMES, ROLLBACK)], [line()], [NAMES], 0, 0),
    "the other file's line": ([lost(NAMES)], [line(NAMES, ROLLBACK)], [], 0, 1),
    "the other file's line without an object": ([lost(NAMES)], [line("", ROLLBACK)], [], 0, 1),
    "each file's own": (
        [lost(NAMES), lost(NAMES, ROLLBACK)],
        [line(NAMES), line(NAMES, ROLLBACK)],
        [NAMES, NAMES],
        0,
        0,
    ),
    "the whole change, from either file": (
        [lost("t", "", rule="written-lost")],
        [line("t", ROLLBACK, "written-lost")],
        ["t"],
        0,
        0,
    ),
    "the whole change, from the other file": (
        [lost("t", "", rule="written-lost")],
        [line("", MIGRATE, "written-lost")],
        ["t"],
        0,
        0,
    ),
    "no object at all": (
        [Finding("contract", "is empty", "Fill it.", rule="written-lost")],
        [line("", MIGRATE, "written-lost")],
        [""],
        0,
        0,
    ),
    "another rule": ([lost(NAMES)], [line(NAMES, rule="table-lost")], [], 0, 1),
    "another object": ([lost(NAMES)], [line("users_nam")], [], 0, 1),
    "nothing was found": ([], [line(NAMES), line(number=3)], [], 0, 2),
    "a warning": ([lost(NAMES, severity=Severity.WARNING)], [line(NAMES)], [NAMES], 0, 0),
    "two warnings without an object": (
        [lost(NAMES, severity=Severity.WARNING), lost(ROLES, severity=Severity.WARNING)],
        [line()],
        [],
        1,
        0,
    ),
    "a note needs no line": ([lost(NAMES, severity=Severity.NOTE)], [line(NAMES)], [], 0, 1),
    "a note is no place": ([lost(NAMES), lost(ROLES, severity=Severity.NOTE)], [line()], [NAMES], 0, 0),
    "nothing can accept it": ([lost(NAMES, rule="")], [line(NAMES)], [], 0, 1),
    "found twice in the same words": ([lost(NAMES), lost(NAMES)], [line()], [NAMES], 0, 0),
    "more lines than places": ([lost(NAMES)], [line(NAMES), line(NAMES, number=3)], [NAMES], 0, 1),
}


@pytest.mark.parametrize(("found", "lines", "names", "refused", "unused"), CASES.values(), ids=CASES)
def test_a_line_holds_in_its_file_for_what_it_names(
    found: list[Finding], lines: list[Waiver], names: list[str], refused: int, unused: int
) -> None:
    """What it does not name, or names in another file, stays as heavy as it was; each line that holds for nothing is told."""
    came = apply_waivers(found, lines)
    assert (accepted(came), len(came.refused), len(came.unused)) == (names, refused, unused)
    assert [each.object for each in came.findings] == [each.object for each in dict.fromkeys(found)]
    assert {each.severity for each in came.refused} <= {Severity.ERROR}
    assert {each.severity for each in came.unused} <= {Severity.WARNING}


STATEMENTS = [
    Finding(f"migrate.sql line {number}", "WHERE compares id", "Compare it whole.", rule="partial-key", severity=Severity.ERROR, object="points", file=MIGRATE)
    for number in (4, 9, 14)
]  # fmt: skip


@pytest.mark.parametrize(("lines", "holds"), [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3)])
def test_each_statement_on_a_table_needs_a_line(lines: int, holds: int) -> None:
    """One line for three statements accepts none of them; with one for each, the reasons are told in their order."""
    came = apply_waivers(
        STATEMENTS, [line("points", rule="partial-key", number=number) for number in range(1, lines + 1)]
    )
    told = [each.remedy for each in came.findings if each.severity is Severity.ACCEPTED]
    assert told == [f"Accepted: reason {number}." for number in range(1, holds + 1)]
    assert (len(came.refused), len(came.unused)) == (1 if 0 < lines < 3 else 0, max(0, lines - 3))


def test_too_few_lines_are_refused_with_those_to_write() -> None:
    """One line for each place, as it has to stand, whether an object was named or not."""
    (none_named,) = apply_waivers([lost(NAMES), lost('my "index"')], [line()]).refused
    assert str(none_named) == (
        "migrate.sql line 2: `-- allow: index-lost`: it names no object, and index-lost found 2 places. Write one line for "
        'each that is meant:\n  -- allow: index-lost users_name: <reason>\n  -- allow: index-lost "my ""index""": <reason>'
    )
    (named,) = apply_waivers(STATEMENTS, [line("Points", rule="partial-key")]).refused
    assert str(named) == (
        "migrate.sql line 2: `-- allow: partial-key Points`: partial-key found 3 places at Points, and 1 has a line. Write "
        "one line for each that is meant:" + "\n  -- allow: partial-key points: <reason>" * 3
    )


UNUSED = [
    ([], line(NAMES), "`-- allow: index-lost users_name` accepts nothing: index-lost found nothing at users_name in migrate.sql"),
    ([], line(), "`-- allow: index-lost` accepts nothing: index-lost found nothing in migrate.sql"),
    ([lost(NAMES)], line("user_names"), "`-- allow: index-lost user_names` accepts nothing: index-lost found nothing at user_names in migrate.sql, the nearest is users_name"),
    ([lost(NAMES)], line("x"), "`-- allow: index-lost x` accepts nothing: index-lost found nothing at x in migrate.sql"),
    ([lost(NAMES, ROLLBACK)], line(NAMES), "`-- allow: index-lost users_name` accepts nothing: index-lost found nothing at users_name in migrate.sql, but in rollback.sql: a line holds in its own file only"),
    ([lost(NAMES, severity=Severity.NOTE)], line(), "`-- allow: index-lost` accepts nothing: index-lost found nothing else in migrate.sql"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "lines", "said"), UNUSED)
def test_a_line_that_accepts_nothing_is_told(found: list[Finding], lines: Waiver, said: str) -> None:
    """Where it stands, what it names, and what comes nearest to that."""
    (unused,) = apply_waivers(found, [lines]).unused
    assert str(unused) == f"migrate.sql line 2: {said}. Remove the line, or name the object that it is for."


def test_the_reason_is_said_in_place_of_the_remedy() -> None:
    """One line tells place, cause and reason, and no longer how to accept it; another one is told as before."""
    found = [lost(NAMES), lost(ROLES), Finding("t", "it is lost", "Keep it.")]
    assert [*map(str, apply_waivers(found, [line(NAMES)]).findings)] == [
        "index users_name: is gone. Accepted: reason 2.",
        "index users_role: is gone. Make it again. To accept it: -- allow: index-lost users_role: <reason> (in migrate.sql)",
        "t: it is lost. Keep it.",
    ]


def test_the_file_is_told_where_the_place_does_not_tell_it() -> None:
    """What stands on a line of a file is accepted there; the whole change in either of two."""
    whole = Finding("t", "is gone", "Keep it.", rule="written-lost", object="t")
    assert str(STATEMENTS[0]).endswith("Compare it whole. To accept it: -- allow: partial-key points: <reason>")
    assert str(whole).endswith("To accept it: -- allow: written-lost t: <reason> (in migrate.sql or rollback.sql)")


def test_what_is_final_is_accepted_by_no_reason() -> None:
    """It stays an error under its own rule, and its line says so in place of how to accept it."""
    found = Finding("t.v", "it is lost", "Keep it.", rule="no-where", object="t", file=MIGRATE, final=True)
    line = Waiver("no-where", "t", "we know", MIGRATE, 1)
    weighing = apply_waivers([found], [line])
    assert weighing.findings == (found,)
    assert str(found) == "t.v: it is lost. Keep it. No `-- allow: no-where` accepts it."


@pytest.mark.parametrize(
    ("reason", "is_reason"),
    [
        ("planned", True),
        ("reason", True),
        (NAMES, False),
        ("USERS_NAME", False),
        ("users.users_name", False),
        (f"{NAMES} is old", True),
    ],
)
def test_a_name_alone_is_no_reason(reason: str, is_reason: bool) -> None:  # noqa: FBT001 - a column of the table
    """Without an object, a line whose only word is a name of the schema is refused: it may name what is meant."""
    came = apply_waivers([lost(ROLES)], [Waiver("index-lost", "", reason, MIGRATE, 2)], {NAMES, ROLES})
    assert ([] if is_reason else ["one word may be the object or the reason"]) == [
        each.cause.split(": ", 2)[-1] for each in came.refused
    ]
