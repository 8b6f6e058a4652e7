"""Findings: which of them an `-- allow:` line accepts, how they then read, and lines that accept nothing."""

from collections.abc import Sequence

import pytest

from steps.support.proof.verdict.waivers import Waived, apply_waivers
from steps.support.sql.directives import Waiver
from steps.support.sql.findings import MIGRATE, ROLLBACK, Finding, Severity

NAMES, ROLES = "users_name", "users_role"


def gone(name: str, file: str = MIGRATE, severity: Severity = Severity.ERROR, rule: str = "index-lost") -> Finding:
    """Return a finding about a lost index."""
    return Finding(f"index {name}", "is gone", "Make it again.", rule=rule, severity=severity, object=name, file=file)


def allow(name: str = "", file: str = MIGRATE, rule: str = "index-lost", number: int = 2) -> Waiver:
    """Return a line that allows it."""
    return Waiver(rule, name, f"reason {number}", file, number)


def accepted(found: Waived) -> list[str]:
    """Return the objects of the accepted findings."""
    return [each.object for each in found.findings if each.severity is Severity.ACCEPTED]


CASES: dict[
    str, tuple[Sequence[Finding], Sequence[Waiver], Sequence[str], int, int]
] = {  # findings, lines, accepted objects, refused lines, unused lines
    "the object that is named": ([gone(NAMES), gone(ROLES)], [allow(NAMES)], [NAMES], 0, 0),
    "both that are named": ([gone(NAMES), gone(ROLES)], [allow(ROLES), allow(NAMES, number=3)], [NAMES, ROLES], 0, 0),
    "in another case": ([gone("Users_Name")], [allow("USERS_name")], ["Users_Name"], 0, 0),
    "beyond ASCII the case counts": ([gone("größe")], [allow("GRÖßE")], [], 0, 1),
    "one place without an object": ([gone(NAMES)], [allow()], [NAMES], 0, 0),
    "two places without an object": ([gone(NAMES), gone(ROLES)], [allow()], [], 1, 0),
    "two places and two lines without an object": ([gone(NAMES), gone(ROLES)], [allow(), allow(number=3)], [], 1, 0),
    "one of two is named, the other not": ([gone(NAMES), gone(ROLES)], [allow(NAMES), allow(number=3)], [NAMES], 1, 0),
    "one place in each file without an object": ([gone(NAMES), gone(NAMES, ROLLBACK)], [allow()], [NAMES], 0, 0),
    "the other file's line": ([gone(NAMES)], [allow(NAMES, ROLLBACK)], [], 0, 1),
    "the other file's line without an object": ([gone(NAMES)], [allow("", ROLLBACK)], [], 0, 1),
    "each file's own": (
        [gone(NAMES), gone(NAMES, ROLLBACK)],
        [allow(NAMES), allow(NAMES, ROLLBACK)],
        [NAMES, NAMES],
        0,
        0,
    ),
    "the whole change, from either file": (
        [gone("t", "", rule="written-lost")],
        [allow("t", ROLLBACK, "written-lost")],
        ["t"],
        0,
        0,
    ),
    "the whole change, from the other file": (
        [gone("t", "", rule="written-lost")],
        [allow("", MIGRATE, "written-lost")],
        ["t"],
        0,
        0,
    ),
    "no object at all": (
        [Finding("contract", "is empty", "Fill it.", rule="written-lost")],
        [allow("", MIGRATE, "written-lost")],
        [""],
        0,
        0,
    ),
    "another rule": ([gone(NAMES)], [allow(NAMES, rule="table-lost")], [], 0, 1),
    "another object": ([gone(NAMES)], [allow("users_nam")], [], 0, 1),
    "nothing was found": ([], [allow(NAMES), allow(number=3)], [], 0, 2),
    "a warning": ([gone(NAMES, severity=Severity.WARNING)], [allow(NAMES)], [NAMES], 0, 0),
    "two warnings without an object": (
        [gone(NAMES, severity=Severity.WARNING), gone(ROLES, severity=Severity.WARNING)],
        [allow()],
        [],
        1,
        0,
    ),
    "a note needs no line": ([gone(NAMES, severity=Severity.NOTE)], [allow(NAMES)], [], 0, 1),
    "a note is no place": ([gone(NAMES), gone(ROLES, severity=Severity.NOTE)], [allow()], [NAMES], 0, 0),
    "nothing can accept it": ([gone(NAMES, rule="")], [allow(NAMES)], [], 0, 1),
    "found twice in the same words": ([gone(NAMES), gone(NAMES)], [allow()], [NAMES], 0, 0),
    "more lines than places": ([gone(NAMES)], [allow(NAMES), allow(NAMES, number=3)], [NAMES], 0, 1),
}


@pytest.mark.parametrize(("found", "lines", "names", "refused", "unused"), CASES.values(), ids=CASES)
def test_line_accepts_what_it_names_in_its_own_file(
    found: list[Finding], lines: list[Waiver], names: list[str], refused: int, unused: int
) -> None:
    """Findings it does not name, or in another file, keep their severity; unused lines are reported."""
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
    """One line for three statements accepts none of them; one line each accepts all, with the reasons in order."""
    came = apply_waivers(
        STATEMENTS, [allow("points", rule="partial-key", number=number) for number in range(1, lines + 1)]
    )
    told = [each.remedy for each in came.findings if each.severity is Severity.ACCEPTED]
    assert told == [f"Accepted: reason {number}." for number in range(1, holds + 1)]
    assert (len(came.refused), len(came.unused)) == (1 if 0 < lines < 3 else 0, max(0, lines - 3))


def test_too_few_lines_are_refused_with_the_missing_ones() -> None:
    """The refusal shows one line for each place, ready to paste, whether an object was named or not."""
    (none_named,) = apply_waivers([gone(NAMES), gone('my "index"')], [allow()]).refused
    assert str(none_named) == (
        "migrate.sql line 2: `-- allow: index-lost`: the line names no object, and index-lost found 2 places. Write one line "
        'for each place that is meant:\n  -- allow: index-lost users_name: <reason>\n  -- allow: index-lost "my ""index""": <reason>'
    )
    (named,) = apply_waivers(STATEMENTS, [allow("Points", rule="partial-key")]).refused
    assert str(named) == (
        "migrate.sql line 2: `-- allow: partial-key Points`: partial-key found 3 places at Points, and 1 place has a line. "
        "Write one line for each place that is meant:" + "\n  -- allow: partial-key points: <reason>" * 3
    )


UNUSED = [
    ([], allow(NAMES), "`-- allow: index-lost users_name` accepts nothing: index-lost found nothing at users_name in migrate.sql"),
    ([], allow(), "`-- allow: index-lost` accepts nothing: index-lost found nothing in migrate.sql"),
    ([gone(NAMES)], allow("user_names"), "`-- allow: index-lost user_names` accepts nothing: index-lost found nothing at user_names in migrate.sql, the nearest is users_name"),
    ([gone(NAMES)], allow("x"), "`-- allow: index-lost x` accepts nothing: index-lost found nothing at x in migrate.sql"),
    ([gone(NAMES, ROLLBACK)], allow(NAMES), "`-- allow: index-lost users_name` accepts nothing: index-lost found nothing at users_name in migrate.sql, but in rollback.sql: a line applies in its own file only"),
    ([gone(NAMES, severity=Severity.NOTE)], allow(), "`-- allow: index-lost` accepts nothing: index-lost found nothing else in migrate.sql"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "lines", "said"), UNUSED)
def test_unused_line_is_reported(found: list[Finding], lines: Waiver, said: str) -> None:
    """The warning says where the line is, what it names, and the nearest name that exists."""
    (unused,) = apply_waivers(found, [lines]).unused
    assert str(unused) == f"migrate.sql line 2: {said}. Remove the line, or name the object that it should accept."


def test_reason_replaces_the_remedy() -> None:
    """An accepted finding shows its reason, and no longer how to accept it; other findings are unchanged."""
    found = [gone(NAMES), gone(ROLES), Finding("t", "it is lost", "Keep it.")]
    assert [*map(str, apply_waivers(found, [allow(NAMES)]).findings)] == [
        "index users_name: is gone. Accepted: reason 2.",
        "index users_role: is gone. Make it again. To accept it: -- allow: index-lost users_role: <reason> (in migrate.sql)",
        "t: it is lost. Keep it.",
    ]


def test_file_is_named_if_the_place_does_not_name_it() -> None:
    """A finding on a line of a file is accepted there; one about the whole change in either of two files."""
    whole = Finding("t", "is gone", "Keep it.", rule="written-lost", object="t")
    assert str(STATEMENTS[0]).endswith("Compare it whole. To accept it: -- allow: partial-key points: <reason>")
    assert str(whole).endswith("To accept it: -- allow: written-lost t: <reason> (in migrate.sql or rollback.sql)")


def test_final_finding_cannot_be_accepted() -> None:
    """It stays an error under its own rule, and says so instead of how to accept it."""
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
def test_name_alone_is_no_reason(reason: str, is_reason: bool) -> None:  # noqa: FBT001 - a column of the table
    """A line whose only word is a name of the schema is refused: the word may be the object or the reason."""
    came = apply_waivers([gone(ROLES)], [Waiver("index-lost", "", reason, MIGRATE, 2)], {NAMES, ROLES})
    assert ([] if is_reason else ["one word may be the object or the reason"]) == [
        each.cause.split(": ", 2)[-1] for each in came.refused
    ]
