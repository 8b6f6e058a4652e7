"""Bad input and a world that is not ready: one clear message, exit code 2 or 3, no traceback, nothing touched."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.production.base import ROOT, AnyProduction, RunResult
from tests.support.production.process import Production

pytestmark = pytest.mark.anyio

Spoil = Callable[[Production], Awaitable[dict[str, str]]]


async def _dirty(production: Production) -> dict[str, str]:
    (production.world.checkout / "contract.sql").write_text("-- changed\n")
    return {}


async def _untracked(production: Production) -> dict[str, str]:
    (production.world.checkout / "forgotten.sql").write_text("-- new\n")
    return {}


async def _diverged(production: Production) -> dict[str, str]:
    checkout = production.world.checkout
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    await production.git("reset", "--quiet", "--hard", "HEAD~1", where=checkout)
    await production.git(*identity, "commit", "--quiet", "--amend", "--allow-empty", "-m", "another", where=checkout)
    return {}


async def _nothing_new(production: Production) -> dict[str, str]:
    await production.git("reset", "--quiet", "--hard", "HEAD~1", where=production.world.checkout)
    return {}


async def _other_branch(production: Production) -> dict[str, str]:
    await production.git("checkout", "--quiet", "-b", "feature", where=production.world.checkout)
    return {}


async def _no_git(production: Production) -> dict[str, str]:
    shutil.rmtree(production.world.checkout / ".git")
    return {}


async def _unreachable_database(_production: Production) -> dict[str, str]:
    return {"turso": 'url = "http://127.0.0.1:9"'}


async def _no_database(production: Production) -> dict[str, str]:
    return {"turso": f'url = "{production.world.site_url}"'}


async def _bad_scheme(_production: AnyProduction) -> dict[str, str]:
    return {"turso": 'url = "mysql://db"'}


async def _bad_token(production: AnyProduction) -> dict[str, str]:
    production.settings = {"VERCEL_TOKEN": "not-the-token"}
    return {}


async def _no_project(production: AnyProduction) -> dict[str, str]:
    return {"vercel": f'project = "another"\napi = "{production.world.api_url}"'}


async def _red_health(_production: AnyProduction) -> dict[str, str]:
    return {"health": '[[health]]\nname = "data"\npath = "/api/nothing"\nexpect = ["status == `200`"]\n'}


async def _wrong_expectation(_production: AnyProduction) -> dict[str, str]:
    return {"health": '[[health]]\nname = "data"\npath = "/api/data"\nexpect = ["status ==="]\n'}


async def _no_repository(_production: Production) -> dict[str, str]:
    return {"top": 'repository = "nowhere"'}


async def _malformed(_production: AnyProduction) -> dict[str, str]:
    return {"budget": 'total = "soon"', "limits": "git_push = 0"}


async def _no_secrets(production: AnyProduction) -> dict[str, str]:
    production.settings = {"VERCEL_TOKEN": "", "SITE_AUTH_TOKEN": ""}
    return {}


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (_dirty, 3, ["not clean", "contract.sql", "Commit", "#checkout-not-ready"]),
        (_untracked, 3, ["not clean", "forgotten.sql"]),
        (_diverged, 3, ["not an ancestor", "rebase", "#branch-diverged"]),
        (_nothing_new, 3, ["already has every commit", "#nothing-to-release"]),
        (_other_branch, 3, ["feature is checked out", "Check out main", "#checkout-not-ready"]),
        (_no_git, 3, ["git repository", "#git-access"]),
        (_unreachable_database, 3, ["127.0.0.1:9", "#connection"]),
        (_no_database, 3, ["libSQL", "#database-access"]),
        (_no_repository, 2, ["nowhere"]),
    ],
)
@pytest.mark.on("process")
async def test_unmet_precondition_is_named(production: Production, spoil: Spoil, code: int, words: list[str]) -> None:
    """Each precondition of a release is named when it is not met, with what to do and the section that helps."""
    before = await production.state()
    ending = await production.release(react=None, **await spoil(production))
    _is_clear(ending, code, words)
    assert await production.state() == before


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (_bad_scheme, 2, ["turso.url", "libsql"]),
        (_bad_token, 3, ["403", "VERCEL_TOKEN", "#vercel-access"]),
        (_no_project, 3, ["404", "vercel.project", "#vercel-access"]),
        (_red_health, 3, ["failed before anything changed", "no such route", "#health-check-failed"]),
        (_wrong_expectation, 2, ["health.0", "status ==="]),
        (_malformed, 2, ["budget.total", "limits.git_push"]),
        (_no_secrets, 2, ["VERCEL_TOKEN", "SITE_AUTH_TOKEN"]),
    ],
)
async def test_wrong_setting_is_named(
    production: AnyProduction, spoil: Callable[[AnyProduction], Awaitable[dict[str, str]]], code: int, words: list[str]
) -> None:
    """Each setting that is wrong, or does not fit platform or site, is named, with the section that helps."""
    before = await production.state()
    ending = await production.release(react=None, **await spoil(production))
    _is_clear(ending, code, words)
    assert await production.state() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CREATE TABLE a (b);\n\nSELEC 1;\n", ["migrate.sql line 3", "SELEC", "#syntax-error"]),
        ("CREATE TABLE a (b", ["migrate.sql line 1"]),
    ],
)
@pytest.mark.on("process")
async def test_statement_that_the_server_cannot_parse_is_refused(
    production: Production, tmp_path: Path, text: str, words: list[str]
) -> None:
    """A mistake that only the server finds is refused before anything is touched, naming file and line."""
    await _is_refused(production, tmp_path, "migrate.sql", text, 3, words)


@pytest.mark.parametrize(
    ("script", "text", "code", "words"),
    [
        ("migrate.sql", ".bail on\nCREATE TABLE a (b);\n", 2, ["migrate.sql line 1", "shell command"]),
        ("migrate.sql", "CREATE TABLE a (b);\nCOMMIT;\nCREATE TABLE c (d);\n", 2, ["migrate.sql line 2", "COMMIT"]),
        (
            "migrate.sql",
            "CREATE TABLE a (b);\nINSERT INTO a VALUES ('REPLACE_ME');\n",
            2,
            ["migrate.sql line 2", "REPLACE_ME"],
        ),
        ("migrate.sql", "CREATE TABLE a (b);\nINSERT INTO a VALUES (:owner);\n", 2, ["migrate.sql line 2", ":owner"]),
        ("verify.sql", "DELETE FROM readings;\n", 2, ["verify.sql line 1"]),
        ("rollback.sql", None, 2, ["rollback.sql", "missing"]),
    ],
)
async def test_faulty_sql_folder_is_refused(
    production: AnyProduction, tmp_path: Path, script: str, text: str | None, code: int, words: list[str]
) -> None:
    """A SQL folder with a mistake is refused before anything is touched, naming file and line."""
    await _is_refused(production, tmp_path, script, text, code, words)


async def _is_refused(
    production: AnyProduction, tmp_path: Path, script: str, text: str | None, code: int, words: list[str]
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(ROOT / "sql", folder)
    (folder / script).unlink()
    if text is not None:
        (folder / script).write_text(text)
    production.change(folder)
    before = await production.state()
    _is_clear(await production.release(), code, words)
    assert await production.state() == before


async def test_applied_migration_is_refused(production: AnyProduction) -> None:
    """The same change is not released twice; its first run is named."""
    first = await production.release()
    assert first.code == 0, first.report
    await production.commit_more()
    before = await production.state()
    _is_clear(await production.release(), 3, [first.report["run_id"], "applied", "#already-applied"])
    assert await production.state() == before


def _is_clear(ending: RunResult, code: int, words: list[str]) -> None:
    keys = ("cause", "next_action", "runbook")
    said = ending.said + "".join(f" {ending.report[key]}" for key in keys if ending.report)
    assert ending.code == code, said
    assert "Traceback" not in said
    for word in words:
        assert word in said
