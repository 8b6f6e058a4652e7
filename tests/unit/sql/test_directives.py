"""Comments that are directives, and comments that are prose: a near miss of a directive is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.core.text import nearest, slip_of
from steps.support.sql.checks import stored_checks
from steps.support.sql.directives import BELONGS
from steps.support.sql.findings import FILES, MIGRATE, OF_THE_APP, ROLLBACK, RULES, BadSql, waiver_line

STATEMENT = {
    "migrate.sql": "UPDATE t SET v = 1 WHERE id = 1;",
    "rollback.sql": "UPDATE t SET v = 2 WHERE id = 1;",
}
HERE = {file: next((keyword for keyword in BELONGS if file in BELONGS[keyword]), "") for file in FILES}


def findings(folder: Path, **texts: str) -> list[str]:
    """Return the findings of a folder in which these lines stand above the statement of a file."""
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        own = texts.get(name, "-- nothing")
        path.write_text(f"{own}\n{STATEMENT.get(name, 'SELECT 1;')}\n", encoding="utf-8")
    try:
        read_change(folder)
    except BadSql as bad:
        return [str(finding) for finding in bad.findings]
    return []


SLIPS = [  # a comment in migrate.sql, and the directive that was meant
    ("-- alow: table-lost it is meant", "allow"),
    ("-- allwo: table-lost it is meant", "allow"),
    ("--aloow: table-lost it is meant", "allow"),
    ("-- allows: table-lost it is meant", "allow"),
    ("-- alows: table-lost it is meant", "allow"),
    ("-- allowed: table-lost t: it is meant", "allow"),
    ("-- llow : table-lost it is meant", "allow"),
    ("-- chnages: t", "changes"),
    ("-- cahnges: t 5", "changes"),
    ("-- change: t 1..3", "changes"),
    ("-- changed: t", "changes"),
    ("-- chang: t", "changes"),
    ("-- chages: t", "changes"),
    ("-- hcanges: t", "changes"),
    ("-- nmae: some-change", "name"),
    ("-- nam: some-change", "name"),
    ("-- names: some-change", "name"),
    ("-- Changes: t 5", "changes"),
    ("-- CHANGES: t 1..3", "changes"),
    ("-- Allow: table-lost it is meant", "allow"),
    ("-- ALLOW: table-lost t: it is meant", "allow"),
]
SLIPS_OF_A_CHECK = [
    ("-- chek: all is well", "check"),
    ("-- checks: all is well", "check"),
    ("-- cehck: all is well", "check"),
    ("-- expct: rows", "expect"),
    ("-- expects: any", "expect"),
    ("-- expected: rows", "expect"),
    ("-- Expect: rows", "expect"),
    ("-- EXPECT: any", "expect"),
]


@pytest.mark.parametrize(
    ("file", "comment", "meant"),
    [*(("migrate.sql", *slip) for slip in SLIPS), *(("verify.sql", *slip) for slip in SLIPS_OF_A_CHECK),
     ("rollback.sql", "-- alow: table-lost it is meant", "allow"), ("verify_rollback.sql", "-- chek: well", "check")],
)  # fmt: skip
def test_misspelt_directive_is_refused_with_a_suggestion(tmp_path: Path, file: str, comment: str, meant: str) -> None:
    """A misspelt directive names the line, the nearest keyword, and the remedy, instead of passing silently."""
    (found,) = findings(tmp_path, **{file: f"-- first\n{comment}"})
    assert found.startswith(f"{file} line 2: `")
    assert f"the nearest is `{meant}:`" in found
    assert found.endswith(f"Write `-- {meant}:`; if it is prose, begin it with a capital letter.")


PROSE = [
    "-- Changes: we now store minutes", "-- Changes:", "-- Changes: none", "-- changes come below", "-- Change: hours became minutes",
    "-- Name: what it is for", "-- NAME: vendor sites", "-- Allow: everything", "-- Check: by hand first", "-- Expect: nothing",
    "-- note: nothing", "-- Note: nothing", "-- NOTE: nothing", "-- todo: later", "-- TODO: later", "-- FIXME: soon", "-- see: https://example.org",
    "-- https://example.org/a:b", "-- warning: slow", "-- WARNING: slow", "-- step 1: rows", "-- step: rows", "-- Step 2: rows", "-- Rollback: see rollback.sql",
    "-- rollback: DROP TABLE t;", "-- rename: a to b", "-- case: one", "-- date: 2026-01-01", "-- author: somebody", "-- version: 3", "-- description: some text",
    "-- same: as before", "-- none: nothing", "-- table: t", "-- export: rows", "-- except: none", "-- ranges: all", "-- checksum: 1234", "-- changelog: below",
    "--> statement-breakpoint", "--Statement-breakpoint", "--statement-breakpoint: here", "-- CreateTable", "-- AlterTable", "-- RedefineTables",
    "-- DropIndex", "-- migrate:up", "-- +goose Up", "-- +migrate Down", "--liquibase formatted sql", "--changeset somebody:1", "--comment: some text",
    "/* Warnings:\n\n  - You are about to drop the column `name` on the `t` table.\n\n*/", "/* allow: everything */", "/* -- alow: all */",
    "-- allow nothing else here", "-- changes to t", "-- expect rows here", "-- name it well", "-- -- alow: all", "-- a.b: c", "-- alow-ed: c", "-- 1: one",
    "-- Changes: the readings table is rebuilt", "/* Changes: the t table is rebuilt */", "/* changes:\n * t is rebuilt\n */", "-- change 3 rows", "-- changed in version 3",
    "-- Change t 3", "-- change request 4711", "-- Change: ticket 4711", "-- changes t", "--- changes: t", "/* so it\nchanges t 3 */", "/* it would not\nexpect rows */",
    "-- it -- changes -- nothing", "-- Expects: two of them", "-- export: rows", "-- ------- changes -------",
    "-- größe: allow", "-- changes_t: 5", "--", "-- :", "-- allow", "-- changes",
]  # fmt: skip


@pytest.mark.parametrize("comment", PROSE)
@pytest.mark.parametrize("file", ["migrate.sql", "rollback.sql", "verify.sql", "contract/new.sql", "writes.sql"])
def test_prose_is_ignored(tmp_path: Path, file: str, comment: str) -> None:
    """Comments of people, ORMs and migration tools are not examined, and mean nothing."""
    assert findings(tmp_path, **{file: comment}) == []
    change = read_change(tmp_path)
    assert (change.name, change.changes, change.allowed) == (change.sha256, {}, ())


@pytest.mark.parametrize("file", ["contract/old.sql", "contract/new.sql", "writes.sql"])
def test_query_names_of_other_tools_are_ignored(tmp_path: Path, file: str) -> None:
    """Query files name each query for another tool, and may be copied unchanged."""
    assert findings(tmp_path, **{file: "-- name: GetUser :one\n-- name:"}) == []


VALUES = {"name": "x", "changes": "t", "allow": "table-lost it is meant", "check": "x", "expect": "rows"}


def misplaced() -> Iterator[tuple[str, str]]:
    """Return each directive with each file in which it has no meaning."""
    for keyword, files in BELONGS.items():
        yield from (
            (file, keyword) for file in FILES if file not in files and (keyword != "name" or file not in OF_THE_APP)
        )


@pytest.mark.parametrize(("file", "keyword"), [*misplaced()])
def test_misplaced_directive_is_refused(tmp_path: Path, file: str, keyword: str) -> None:
    """A directive in the wrong file is refused, and the right files are named."""
    (found,) = findings(tmp_path, **{file: f"-- {keyword}: {VALUES[keyword]}"})
    assert found.startswith(
        f"{file} line 1: `{keyword}:` means nothing in this file. Write it in {BELONGS[keyword][0]}"
    )


MISSHAPEN = [  # a file, a comment that reads as a directive but for its form, and the line to write
    (MIGRATE, "/* changes: n 3 */", "changes: n 3"),
    (MIGRATE, "/* changes: n 1..3. */", "changes: n 1..3"),
    (MIGRATE, "/*changes:n 3*/", "changes: n 3"),
    (MIGRATE, "/* Changes: n 3 */", "changes: n 3"),
    (MIGRATE, '/* changes: "my table" 3 */', 'changes: "my table" 3'),
    (MIGRATE, "/* some prose\n * - changes: n 3\n */", "changes: n 3"),
    (MIGRATE, "--- changes: n 3", "changes: n 3"),
    (MIGRATE, "-- -- changes: n 3", "changes: n 3"),
    (MIGRATE, "-- * changes: n 3", "changes: n 3"),
    (MIGRATE, "-- @changes: n 3", "changes: n 3"),
    (MIGRATE, "-- 1. changes: n 3", "changes: n 3"),
    (MIGRATE, "-- orchestrate: changes: n 3", "changes: n 3"),
    (MIGRATE, "-- changes = n 3", "changes: n 3"),
    (MIGRATE, "-- changes\uff1a n 3", "changes: n 3"),
    (MIGRATE, "-- @changes n 3", "changes: n 3"),
    (MIGRATE, "-- some prose -- changes: n 3", "changes: n 3"),
    (MIGRATE, "-- allow: no-where n: it is meant -- changes: n 3", "changes: n 3"),
    (MIGRATE, "-- some prose\r-- changes: n 3", "changes: n 3"),
    (MIGRATE, f"/* changes: n {'9' * 30} */", f"changes: n {'9' * 30}"),
    (MIGRATE, "/* allow: no-where n: it is meant */", "allow: no-where n: it is meant"),
    (MIGRATE, "--- allow: no-where n: it is meant", "allow: no-where n: it is meant"),
    (ROLLBACK, "/* allow: no-where n: it is meant */", "allow: no-where n: it is meant"),
    (ROLLBACK, "-- -- alow: no-where n: it is meant", "allow: no-where n: it is meant"),
    ("verify.sql", "/* expect: rows */", "expect: rows"),
    ("verify.sql", "/* expects: rows */", "expect: rows"),
    ("verify_rollback.sql", "--- expect: any", "expect: any"),
    ("verify_rollback.sql", "-- expects any", "expect: any"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "comment", "line"), MISSHAPEN)
def test_malformed_directive_is_refused(tmp_path: Path, file: str, comment: str, line: str) -> None:
    """A comment with the words of a directive, but in the wrong form, does not pass silently."""
    (found,) = findings(tmp_path, **{file: comment})
    where = comment.count("\n", 0, comment.find("change")) if "prose\n" in comment else 0
    assert found.startswith(f"{file} line {where + 1}: `"), found
    assert f"Write `-- {line}`" in found or f"Write `-- {line.partition(':')[0]}:`" in found


SLIPS_BY_WHAT_THEY_SAY = [
    ("verify.sql", "-- excepts: rows", "expect"), ("verify.sql", "-- except: any", "expect"),
    ("verify_rollback.sql", "-- Expects: rows", "expect"), ("verify.sql", "-- EXPECTED: any", "expect"),
    (MIGRATE, "-- Alow: no-where n: it is meant", "allow"), (MIGRATE, f"-- Changes: n {'9' * 30}", "changes"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "comment", "meant"), SLIPS_BY_WHAT_THEY_SAY)
def test_misspelling_is_recognised_by_its_value(tmp_path: Path, file: str, comment: str, meant: str) -> None:
    """A word that may be prose is refused if what follows can only be a directive's value."""
    (found,) = findings(tmp_path, **{file: comment})
    assert f"the nearest is `{meant}:`" in found


ELSEWHERE = [  # a slip of a directive that means nothing in this file, and the file where it does
    (ROLLBACK, "-- chnages: n 3", MIGRATE), ("writes.sql", "-- change: n 3", MIGRATE), ("verify.sql", "-- alow: no-where n: x", MIGRATE),
    (MIGRATE, "-- expects: rows", "verify.sql"), (ROLLBACK, "-- expected: any", "verify.sql"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "comment", "where"), ELSEWHERE)
def test_misspelt_and_misplaced_directive_names_its_file(tmp_path: Path, file: str, comment: str, where: str) -> None:
    """No keyword is suggested that would be refused in this file next."""
    (found,) = findings(tmp_path, **{file: comment})
    assert f"was probably meant, but means nothing in this file. Write it in {where}" in found
    assert "the nearest is" not in found


def slips_elsewhere() -> Iterator[tuple[str, str]]:
    """Return a misspelling of each keyword with each file in which the keyword has no meaning."""
    for keyword, files in BELONGS.items():
        yield from ((file, f"{keyword}s" if keyword != "changes" else "change") for file in FILES if file not in files)


@pytest.mark.parametrize(("file", "word"), [*slips_elsewhere()])
def test_keyword_of_another_file_is_not_suggested(tmp_path: Path, file: str, word: str) -> None:
    """A word that resembles only keywords of other files is prose, if what follows is."""
    assert findings(tmp_path, **{file: f"-- {word}: see PR"}) == []


NUMBERS = ["9" * 19, "9" * 5000, "1.." + "9" * 5000, "\u0663", "1..\u0663", "-1", "1,000", "1.5", "5..1", "1-5"]


@pytest.mark.parametrize("number", NUMBERS)
def test_impossible_row_count_is_refused(tmp_path: Path, number: str) -> None:
    """Too many digits, or those of another script, are reported in one short line, and not read as a number."""
    (found,) = findings(tmp_path, **{MIGRATE: f"-- changes: t {number}"})
    assert found.startswith(f"{MIGRATE} line 1: `changes: t ")
    assert "cannot be read. Write `-- changes: TABLE`" in found
    assert "at most 18 digits, 0 to 9" in found
    assert len(found) < 300


def test_largest_row_count_is_read(tmp_path: Path) -> None:
    """Eighteen digits are a number of rows."""
    most = 10**18 - 1
    assert findings(tmp_path, **{MIGRATE: f"-- changes: t 0..{most}"}) == []
    assert read_change(tmp_path).changes == {"t": (0, most)}


UNREASONED = [  # what stands behind the rule, what is told, and the line to write
    ("users_role:", "gives no reason", "users_role: reason"),
    ("users_role :  ", "gives no reason", "users_role: reason"),
    ("users.role:", "gives no reason", "users.role: reason"),
    ('"my index":', "gives no reason", '"my index": reason'),
    ("users_role: -", "gives no reason", "users_role: reason"),
    ("users_role: <reason>", "gives no reason", "users_role: reason"),
    ("<reason>", "gives no reason", "reason"),
    ("...", "gives no reason", "reason"),
    ("index users_role: nobody asks", "`index users_role`, before the colon", "users_role: reason"),
    ("index users_role:nobody asks", "`index users_role`, before the colon", "users_role: reason"),
    ("users-role: nobody asks", "`users-role`, before the colon", '"users-role": reason'),
    ("my index: nobody asks", "`my index`, before the colon", '"my index": reason'),
    ("'users_role': nobody asks", "`users_role`, before the colon", "users_role: reason"),
    ("t (a, b): nobody asks", "`t (a, b)`, before the colon", "t: reason"),
    (": nobody asks", "``, before the colon", "OBJECT: reason"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told", "line"), UNREASONED)
@pytest.mark.parametrize("file", [MIGRATE, ROLLBACK])
def test_waiver_needs_an_object_and_a_reason(tmp_path: Path, file: str, words: str, told: str, line: str) -> None:
    """Without a reason, or with an unreadable object, it would apply to another object: it is refused."""
    (found,) = findings(tmp_path, **{file: f"-- allow: index-lost {words}"})
    assert found.startswith(f"{file} line 1: `allow: index-lost ")
    assert told in found
    assert f"`-- allow: index-lost {line}`" in found


REASONED = [  # what stands behind the rule, the object and the reason
    ("nobody asks", "", "nobody asks"), ("u: x", "u", "x"), ("nobody asks, see https://example.org/a:1", "", "nobody asks, see https://example.org/a:1"),
    ("https://example.org", "", "https://example.org"), ("agreed on at 10:30 by all", "", "agreed on at 10:30 by all"), ("u: see: https://example.org", "u", "see: https://example.org"),
    ('"a: b" : x', "a: b", "x"), ("u:x", "u", "x"), ("\u7528\u6237: \u6ca1\u4eba\u7528", "\u7528\u6237", "\u6ca1\u4eba\u7528"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "name", "reason"), REASONED)
def test_reason_is_read_completely(tmp_path: Path, words: str, name: str, reason: str) -> None:
    """Addresses and times are part of a reason, and so is everything after the object's colon."""
    assert findings(tmp_path, **{MIGRATE: f"-- allow: index-lost {words}"}) == []
    (waiver,) = read_change(tmp_path).allowed
    assert (waiver.object, waiver.reason) == (name, reason)


COLONLESS = [("migrate.sql", "changes t 5"), ("migrate.sql", "allow table-lost it is meant"), ("rollback.sql", "allow table-lost t: it is meant"), ("verify.sql", "expect rows")]  # fmt: skip


@pytest.mark.parametrize(("file", "comment"), COLONLESS)
def test_missing_colon_is_reported(tmp_path: Path, file: str, comment: str) -> None:
    """A comment that is a directive except for its colon is not taken for prose."""
    (found,) = findings(tmp_path, **{file: f"-- {comment}"})
    assert f"`{comment}` lacks its colon. Write `-- {comment.replace(' ', ': ', 1)}`" in found


@pytest.mark.parametrize(
    ("rule", "meant"),
    [("index-los", "index-lost"), ("indexlost", "index-lost"), ("Index-Lost", "index-lost"), ("no_where", "no-where"), ("partial-keys", "partial-key"),
     ("colum-lost", "column-lost"), ("foreign-key", "foreign-key-lost"), ("drop-table", "drop-parent"), ("everything", ""), ("x", "")],
)  # fmt: skip
@pytest.mark.parametrize("file", [MIGRATE, ROLLBACK])
def test_unknown_rule_is_refused_with_the_nearest(tmp_path: Path, file: str, rule: str, meant: str) -> None:
    """A misspelt rule waives nothing, and does not pass silently."""
    (found,) = findings(tmp_path, **{file: f"-- allow: {rule} t: it is meant"})
    near = f", the nearest is `{meant}`" if meant else ""
    assert found.startswith(f"{file} line 1: `allow: {rule}`: there is no such rule{near}. ")


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_can_be_waived(tmp_path: Path, rule: str) -> None:
    """Every rule can be waived in both files, with an object and without."""
    assert (
        findings(tmp_path, **dict.fromkeys((MIGRATE, ROLLBACK), f"-- allow: {rule} it is\n-- allow: {rule} t.v: it is"))
        == []
    )


OBJECTS = ["t", "t.v", "T.V", "my table", 'a "b" c', "a.b c", "größe", "x$1", "-", "a:b", "t (a, b)", "[x]", "`"]


@pytest.mark.parametrize("name", OBJECTS)
def test_suggested_line_names_the_object(tmp_path: Path, name: str) -> None:
    """The suggested line is read as that object, whatever its name."""
    assert findings(tmp_path, **{MIGRATE: waiver_line("table-lost", name, "some: reason")}) == []
    (waiver,) = read_change(tmp_path).allowed
    assert (waiver.rule, waiver.object, waiver.reason, waiver.line) == ("table-lost", name, "some: reason", 1)


def test_checks_of_an_older_marker_row_are_read_unchanged() -> None:
    """A release is rolled back with its own text: its comments are not judged again, nor is a capital letter."""
    (one, other) = stored_checks(
        "-- alow: x\n-- Expect: any\nSELECT 1;\n-- chek: y\n-- check: b\n-- check: c\nSELECT 2;", "verify_rollback.sql"
    )
    assert (one.expects_rows, other.expects_rows, other.name) == (None, False, "c")


@pytest.mark.parametrize(
    ("word", "known", "slip", "near"),
    [("user", ["users", "posts"], "users", "users"), ("USERS", ["users"], "", "users"), ("usres", ["users"], "users", "users"),
     ("nosuchtable", ["users", "posts"], "", ""), ("", ["users"], "", ""), ("users", ["users"], "", "users"), ("x", [], "", "")],
)  # fmt: skip
def test_nearest_keyword(word: str, known: list[str], slip: str, near: str) -> None:
    """A misspelling is a letter or two away; the nearest keyword must resemble it at all."""
    assert (slip_of(word, known), nearest(word, known)) == (slip, near)


COLUMNS = {  # a line about columns, and what it declares
    "users(email)": ("users", ("email",), None),
    'Users ( Email , "full ""name""",[x y] ) 3': ("Users", ("email", 'full "name"', "x y"), (3, 3)),
    '"my users"(a,b) 0..7': ("my users", ("a", "b"), (0, 7)),
}
NO_COLUMNS = ["users()", "users(a b)", "users(a,)", "users(a", "users(a) x", "users a)", "users(a.b)"]


@pytest.mark.parametrize(("value", "declared"), COLUMNS.items(), ids=COLUMNS)
def test_line_about_columns_is_read(
    tmp_path: Path, value: str, declared: tuple[str, tuple[str, ...], tuple[int, int] | None]
) -> None:
    """Table, columns in any quotes, and number are read, and the table's rows are not declared by it."""
    assert findings(tmp_path, **{MIGRATE: f"-- changes: {value}"}) == []
    change = read_change(tmp_path)
    (line,) = change.changed_columns
    assert ((line.table, line.columns, line.amount), change.changes) == (declared, {})


@pytest.mark.parametrize("value", NO_COLUMNS)
def test_line_with_unreadable_columns_is_refused(tmp_path: Path, value: str) -> None:
    """A list of columns that cannot be read is no declaration."""
    (found,) = findings(tmp_path, **{MIGRATE: f"-- changes: {value}"})
    assert "cannot be read" in found


@pytest.mark.parametrize(
    ("lines", "repeated"),
    [
        (["t(a)", "t(b)"], []),
        (["t", "t(b)"], []),
        (["t(a, b)", "T(B) 3"], ["changes: t(b)"]),
        (["t(a, a)"], []),
        (["t 1", "t"], ["changes: t"]),
    ],
)
def test_column_is_declared_once(tmp_path: Path, lines: list[str], repeated: list[str]) -> None:
    """A second line about the same column or the same table contradicts the first."""
    found = findings(tmp_path, **{MIGRATE: "\n".join(f"-- changes: {line}" for line in lines)})
    assert [each.split("`")[1] for each in found] == repeated


@pytest.mark.parametrize(
    "comment", ["-- Changes: t(a) 3", "/* changes: t(a) */", "-- chnages: t(a)", "--- changes: t(a) 1..2"]
)
def test_lookalike_of_a_line_about_columns_is_refused(tmp_path: Path, comment: str) -> None:
    """A comment that only reads like such a line is refused with the line to write, columns included."""
    (found,) = findings(tmp_path, **{MIGRATE: comment})
    assert "t(a)" in found
