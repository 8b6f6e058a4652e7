"""The runbook's commands are real: each is parsed by its own program, and run if that does no harm."""

import re
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest
from anyio import to_thread

from orchestrate import parse
from steps.support.gateways import marker
from steps.support.gateways.vercel import Vercel
from steps.support.sql.script import split
from steps.support.standin.servers import serve
from steps.support.standin.vercel.api import application
from tests.docs.runbook.page import RUN, TEXT, block, blocks, commands, shell, words
from tests.support.paths import ROOT
from tests.support.production.sample import SQL
from tests.support.servers.vercel_project import TOKEN, project

PROGRAMS = {"cp", "curl", "df", "export", "git", "grep", "gunzip", "set", "sqlite3", "turso", "uv", "vercel"}
MARKER = "INSERT INTO _orchestrate_migrations (attempt, name, state, rollback_sql) VALUES (?, 'x', 'applied', 'y')"
SOMEBODY = (
    "git clone -q remote other && cd other && echo theirs > own && git add own && git commit -qm own && git push -q"
)


def test_every_command_is_valid_shell() -> None:
    """Each block is valid bash, and each line begins with a program that the runbook is known to use."""
    for each in blocks("sh"):
        shell("bash -n <<'END OF BLOCK'\n" + each + "\nEND OF BLOCK", ROOT)
    assert {words(command)[0] for command in commands()} <= PROGRAMS


def test_every_call_of_the_tool_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line itself parses each call, in blocks and in the text."""
    monkeypatch.chdir(tmp_path)
    backup = Path("runs/$RUN/backup.sql.gz")
    backup.parent.mkdir(parents=True)
    backup.touch()
    calls = [command.partition("orchestrate.py ")[2] for command in commands() if "orchestrate.py" in command]
    modes = [parse(words(call)) for call in calls]
    assert {(mode.prod, mode.dry_run) for mode in modes} == {(True, False), (False, True), (True, True)}
    assert {mode.rollback for mode in modes} == {None, "", "$RUN"}
    for options in re.findall(r"`(--(?:prod|dry-run) ?[^`]*)`", TEXT):
        parse(words(options.replace("FILE", str(backup))))


def test_no_block_mixes_decisions() -> None:
    """Copying a whole block never rolls back, accepts and unlocks at once."""
    settling = [len(re.findall(r"--(?:rollback|accept|unlock)\b|--prod$", each, re.MULTILINE)) for each in blocks("sh")]
    assert max(settling) == 1


def test_every_sql_example_finds_the_run() -> None:
    """The SQL of the shell examples runs beside the sample and the tool's own tables, and finds the run."""
    shown = [*commands("turso"), *re.findall(r"`(turso db shell [^`]+)`", TEXT)]
    asked = [words(call)[4].replace("$RUN", RUN) for call in shown if words(call)[2] == "shell"]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for statement in (*split((SQL / "sample.sql").read_text(encoding="utf-8"), "sample.sql"), *marker.CREATE):
            database.execute(statement.sql)
        database.execute("CREATE TABLE _orchestrate_kept_notes (id INTEGER, note TEXT)")
        database.execute(MARKER, (RUN,))
        database.execute("INSERT INTO _orchestrate_lock VALUES ('production', ?, 'anna', 'laptop', 1, 1, 1)", (RUN,))
        before = database.total_changes
        applied, lock, kept, one, written, rollback = [database.execute(question).fetchall() for question in asked]
        changes = database.total_changes
    assert applied[0][:3] == (RUN, "x", "applied")
    assert (lock[0][0], lock[0][-1]) == (RUN, 0)
    assert (kept, one, rollback) == ([("_orchestrate_kept_notes",)], [(1,)], [("y",)])
    assert (written, changes) == ([], before)


@pytest.mark.anyio
async def test_every_curl_command_works_on_the_stand_in() -> None:
    """The curl commands read and change what they say, as the tool's own requests do."""
    ours = [call for call in commands("curl") if "$API" in call]
    made = project(auto_assign=False)
    async with serve(application(made.platform)) as url:
        env = {"API": url, "SITE": "127.0.0.1", "PROJECT": "liveone", "TEAM": "standin", "VERCEL_TOKEN": TOKEN}
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            vercel = Vercel(client, "liveone", "standin", "127.0.0.1")
            await vercel.set_crons(on=False)
            before = await vercel.project()
            env["PROJECT_ID"] = before.id
            said = [await to_thread.run_sync(partial(shell, call, ROOT, no_proxy="127.0.0.1", **env)) for call in ours]
            after = await vercel.project()
            own = [vercel.unpin_command, vercel.resume_crons_command]
    changing = [_expanded(call, env) for call in ours if "PATCH" in call]
    assert changing == [_expanded(call, env) for call in own]
    assert (before.auto_assign, before.crons, after.auto_assign, after.crons) == (False, False, True, True)
    assert '"deploymentId": "dpl_1"' in said[0]
    assert {"autoAssignCustomDomains", "disabledAt"} <= set(re.findall(r"\w+", said[1]))


def _expanded(call: str, environment: dict[str, str]) -> list[str]:
    return words(re.sub(r"\$(\w+)", lambda found: environment[found[1]], call))


@pytest.fixture
def app(tmp_path: Path) -> dict[str, str]:
    """Return a checkout with its remote: one earlier commit, and two that a run pushed."""
    names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.invalid"}
    env = names | {key.replace("AUTHOR", "COMMITTER"): value for key, value in names.items()}
    env |= {"APP": str(tmp_path / "app"), "REMOTE": "origin", "BRANCH": "main"}
    shell("git init -q --bare -b main remote && git init -q -b main app", tmp_path)
    shell("git remote add origin ../remote", tmp_path / "app")
    for content in ("before", "half", "released"):
        shell(f"echo {content} > file && git add file && git commit -q -m {content}", tmp_path / "app", **env)
    shell("git push -q -u origin main", tmp_path / "app", **env)
    before, _, released = shell("git rev-list --reverse HEAD", tmp_path / "app", **env).split()
    return env | {"BEFORE": before, "RELEASED": released}


def _remote_has(app: dict[str, str], file: str) -> str:
    return shell(f"git -C app fetch -q && git -C app show origin/main:{file}", Path(app["APP"]).parent, **app).strip()


def test_branch_can_be_reverted_and_released_again(app: dict[str, str], tmp_path: Path) -> None:
    """The needs-human commands restore the previous files; those of rolled-back bring the release back on top."""
    assert shell(block("log --oneline"), tmp_path, **app).count("\n") == 3
    shell(block("commit-tree"), tmp_path, **app)
    assert _remote_has(app, "file") == "before"
    restoring = shell("git -C app rev-parse origin/main", tmp_path, **app).strip()
    again = [line for line in block("RESTORING", "orchestrate.py").splitlines() if line.startswith("git")]
    shell("\n".join(again), tmp_path, RESTORING=restoring, **app)
    assert (tmp_path / "app/file").read_text().strip() == "released"
    assert shell("git -C app rev-list --count origin/main..main", tmp_path, **app).strip() == "1"
    assert "refs/heads/main" in shell(block("push --dry-run"), tmp_path, **app)
    shell(block("--amend"), tmp_path, **app)


def test_candidate_can_be_rebased_after_a_revert(app: dict[str, str], tmp_path: Path) -> None:
    """After a job that reverted the branch, the candidate is ahead of it again, with the files to release."""
    shell("git push -q origin main:refs/heads/release", tmp_path / "app", **app)
    shell(block("commit-tree"), tmp_path, **app)
    shell("git fetch -q && git branch release origin/release", tmp_path / "app", **app)
    restoring = shell("git rev-parse origin/main", tmp_path / "app", **app).strip()
    shell(block("CANDIDATE"), tmp_path, RESTORING=restoring, CANDIDATE="release", **app)
    ahead = shell("git fetch -q && git rev-list --count origin/main..origin/release", tmp_path / "app", **app).strip()
    assert (ahead, shell("git show origin/release:file", tmp_path / "app", **app).strip()) == ("1", "released")


def test_branch_can_be_reverted_below_foreign_commits(app: dict[str, str], tmp_path: Path) -> None:
    """The run's commits are reverted, and those of others stay."""
    shell(SOMEBODY, tmp_path, **app)
    shell(block("revert --no-edit", "$BEFORE..$RELEASED"), tmp_path, **app)
    assert (_remote_has(app, "file"), _remote_has(app, "own")) == ("before", "theirs")


def test_branch_that_is_behind_can_be_rebased(app: dict[str, str], tmp_path: Path) -> None:
    """If someone pushed first, the commits to release come on top of theirs."""
    shell(SOMEBODY, tmp_path, **app)
    shell("echo mine > file && git commit -qam mine", tmp_path / "app", **app)
    shell(block("rebase"), tmp_path, **app)
    shell("git -C app merge-base --is-ancestor origin/main main", tmp_path, **app)
