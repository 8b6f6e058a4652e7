"""Comments that mean something, and comments that are prose: what looks like a directive and is none is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.support.change.folder import read_change
from steps.support.core.text import nearest, slip_of
from steps.support.sql.checks import kept_checks
from steps.support.sql.directives import BELONGS
from steps.support.sql.findings import BadSql, waiver_line
from steps.support.sql.known_names import FILES, MIGRATE, OF_THE_APP, ROLLBACK, RULES

STATEMENT = {
    "migrate.sql": "UPDATE t SET v = 1 WHERE id = 1;",
    "rollback.sql": "UPDATE t SET v = 2 WHERE id = 1;",
}
HERE = {file: next((keyword for keyword in BELONGS if file in BELONGS[keyword]), "") for file in FILES}


def findings(folder: Path, **texts: str) -> list[str]:
    """Return what is wrong with a folder in which these lines stand above the statement of a file."""
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
def test_a_slip_is_refused_with_what_was_meant(tmp_path: Path, file: str, comment: str, meant: str) -> None:
    """What was meant as a directive and would pass in silence names the line, the nearest keyword, and the way out."""
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
    "-- größe: allow", "-- changes_t: 5", "--", "-- :", "-- allow", "-- changes",
]  # fmt: skip


@pytest.mark.parametrize("comment", PROSE)
@pytest.mark.parametrize("file", ["migrate.sql", "rollback.sql", "verify.sql", "contract/new.sql", "writes.sql"])
def test_prose_is_prose(tmp_path: Path, file: str, comment: str) -> None:
    """What people, ORMs and migration tools write in comments is nobody's business, and means nothing."""
    assert findings(tmp_path, **{file: comment}) == []
    change = read_change(tmp_path)
    assert (change.name, change.changes, change.allowed) == (change.sha256, {}, ())


@pytest.mark.parametrize("file", ["contract/old.sql", "contract/new.sql", "writes.sql"])
def test_the_apps_queries_may_have_names(tmp_path: Path, file: str) -> None:
    """Files of queries name each for another tool, and may be copied as they are."""
    assert findings(tmp_path, **{file: "-- name: GetUser :one\n-- name:"}) == []


VALUES = {"name": "x", "changes": "t", "allow": "table-lost it is meant", "check": "x", "expect": "rows"}


def misplaced() -> Iterator[tuple[str, str]]:
    """Return each directive with each file in which it means nothing."""
    for keyword, files in BELONGS.items():
        yield from (
            (file, keyword) for file in FILES if file not in files and (keyword != "name" or file not in OF_THE_APP)
        )


@pytest.mark.parametrize(("file", "keyword"), [*misplaced()])
def test_a_directive_in_another_file_is_refused(tmp_path: Path, file: str, keyword: str) -> None:
    """It would mean nothing there: the files in which it does are named."""
    (found,) = findings(tmp_path, **{file: f"-- {keyword}: {VALUES[keyword]}"})
    assert found.startswith(
        f"{file} line 1: `{keyword}:` means nothing in this file. Write it in {BELONGS[keyword][0]}"
    )


COLONLESS = [("migrate.sql", "changes t 5"), ("migrate.sql", "allow table-lost it is meant"), ("rollback.sql", "allow table-lost t: it is meant"), ("verify.sql", "expect rows")]  # fmt: skip


@pytest.mark.parametrize(("file", "comment"), COLONLESS)
def test_a_lost_colon_is_told(tmp_path: Path, file: str, comment: str) -> None:
    """A comment that reads as a directive word for word, but for its colon, is not taken for prose."""
    (found,) = findings(tmp_path, **{file: f"-- {comment}"})
    assert f"`{comment}` lacks its colon. Write `-- {comment.replace(' ', ': ', 1)}`" in found


@pytest.mark.parametrize(
    ("rule", "meant"),
    [("index-los", "index-lost"), ("indexlost", "index-lost"), ("Index-Lost", "index-lost"), ("no_where", "no-where"), ("partial-keys", "partial-key"),
     ("colum-lost", "column-lost"), ("foreign-key", "foreign-key-lost"), ("drop-table", "drop-parent"), ("everything", ""), ("x", "")],
)  # fmt: skip
@pytest.mark.parametrize("file", [MIGRATE, ROLLBACK])
def test_an_unknown_rule_is_refused_with_the_nearest(tmp_path: Path, file: str, rule: str, meant: str) -> None:
    """A rule that is not spelled as the proof spells it accepts nothing, and does not pass in silence."""
    (found,) = findings(tmp_path, **{file: f"-- allow: {rule} t: it is meant"})
    near = f", the nearest is `{meant}`" if meant else ""
    assert found.startswith(f"{file} line 1: `allow: {rule}`: there is no such rule{near}. ")


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_known(tmp_path: Path, rule: str) -> None:
    """Each can be waived in both files, with an object and without."""
    assert (
        findings(tmp_path, **dict.fromkeys((MIGRATE, ROLLBACK), f"-- allow: {rule} it is\n-- allow: {rule} t.v: it is"))
        == []
    )


OBJECTS = ["t", "t.v", "T.V", "my table", 'a "b" c', "a.b c", "größe", "x$1", "-", "a:b", "t (a, b)", "[x]", "`"]


@pytest.mark.parametrize("name", OBJECTS)
def test_the_line_that_is_shown_names_the_object(tmp_path: Path, name: str) -> None:
    """The line to write is read as that object, under any name that an object may have."""
    assert findings(tmp_path, **{MIGRATE: waiver_line("table-lost", name, "some: reason")}) == []
    (waiver,) = read_change(tmp_path).allowed
    assert (waiver.rule, waiver.object, waiver.reason, waiver.line) == ("table-lost", name, "some: reason", 1)


def test_checks_of_an_older_marker_row_are_read_as_they_were() -> None:
    """What was released is rolled back by its own words: no comment of it is judged again, and a capital letter is none."""
    (one, other) = kept_checks(
        "-- alow: x\n-- Expect: any\nSELECT 1;\n-- chek: y\n-- check: b\n-- check: c\nSELECT 2;", "verify_rollback.sql"
    )
    assert (one.expects_rows, other.expects_rows, other.name) == (None, False, "c")


@pytest.mark.parametrize(
    ("word", "known", "slip", "near"),
    [("user", ["users", "posts"], "users", "users"), ("USERS", ["users"], "", "users"), ("usres", ["users"], "users", "users"),
     ("nosuchtable", ["users", "posts"], "", ""), ("", ["users"], "", ""), ("users", ["users"], "", "users"), ("x", [], "", "")],
)  # fmt: skip
def test_the_nearest_word(word: str, known: list[str], slip: str, near: str) -> None:
    """A slip is a letter or two away; the nearest is like it at all."""
    assert (slip_of(word, known), nearest(word, known)) == (slip, near)
