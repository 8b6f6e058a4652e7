"""The rehearsal as a command: what it shows, what it leaves, and that it needs nothing."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from steps.support.sql.script import split
from tests.support.production.base import ROOT
from tests.support.production.rehearsal import rehearse, reports

pytestmark = pytest.mark.slow

STEPS = ["git_push", "vercel_deployment", "activation", "turso_migration", "verification_query", "health_checks"]

CODE = {"git_push", "vercel_deployment", "activation", "health_checks"}


@pytest.mark.usefixtures("sqld_binary")
def test_rehearsal_shows_a_good_run_and_a_rollback(tmp_path: Path) -> None:
    """One run arrives, one fails after the migration and is rolled back; only their reports are left."""
    ran = rehearse(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    well, back = reports(tmp_path)
    assert (well["verdict"], well["mode"], [step["name"] for step in well["steps"]]) == ("rehearsed", "dry-run", STEPS)
    assert (back["verdict"], {step["status"] for step in back["undo"]}) == ("rolled_back", {"done"})
    assert [step["name"] for step in back["undo"]] == ["turso_migration", "activation", "vercel_deployment", "git_push"]
    assert "REHEARSED" in ran.stdout
    assert "ROLLED BACK: schema, live deployment and files are as before, verified" in ran.stdout
    assert "as expected" in ran.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"temporary", "orchestrate.toml", "runs"}
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.usefixtures("sqld_binary")
def test_staged_rehearsal_switches_at_the_activation(tmp_path: Path, sampled: Path) -> None:
    """With --staged the activation switches production, forward and in the rollback."""
    ran = rehearse(tmp_path, "--staged", "--copy", str(sampled / "small.db"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    well, back = reports(tmp_path)
    assert next(step["detail"] for step in well["steps"] if step["name"] == "vercel_deployment").endswith(
        "is built and staged"
    )
    assert "is live again" in next(step["detail"] for step in back["undo"] if step["name"] == "activation")


@pytest.mark.parametrize(
    ("fault", "code", "verdict"),
    [
        ("git_push", 3, "refused"),
        ("vercel_deployment:fail", 1, "rolled_back"),
        ("turso_migration:lost", 1, "rolled_back"),
        ("health_checks:lost", 1, "rolled_back"),
    ],
)
@pytest.mark.usefixtures("sqld_binary")
def test_exit_code_is_the_one_of_production(tmp_path: Path, sampled: Path, fault: str, code: int, verdict: str) -> None:
    """A step that is broken on request ends one run, with the exit code that production would give."""
    ran = rehearse(tmp_path, "--fail", fault, "--copy", str(sampled / "small.db"))
    assert ran.returncode == code, ran.stdout + ran.stderr
    (report,) = reports(tmp_path)
    assert (report["verdict"], report["exit_code"]) == (verdict, code)


@pytest.mark.usefixtures("sqld_binary")
def test_kill(tmp_path: Path) -> None:
    """STEP:kill sends a real SIGKILL while the step waits, and --rollback restores the previous state."""
    ran = rehearse(tmp_path, "--fail", "verification_query:kill")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told, end = ran.stdout.splitlines()
    assert told.split()[:3] == ["ok", "verification_query", "killed_during"]
    assert told.endswith("rolled_back, -9 then 0, as before")
    assert (end, ran.returncode) == ("1 drilled, 0 not as expected", 0)


def test_rehearsal_without_a_libsql_server_runs_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the server can still rehearse; what that lacks, and how to get it, is reported."""
    monkeypatch.setattr("steps.support.proof.rehearsal.sqld.CACHE", tmp_path / "nothing")
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    from orchestrate import parse, rehearse
    from steps.support.proof.rehearsal.sqld import FETCH

    (tmp_path / "orchestrate.toml").write_text(f'sql = "{ROOT / "sql"}"\n')
    assert asyncio.run(rehearse(parse(["--dry-run", "--config", str(tmp_path / "orchestrate.toml")]))) == 0
    well, back = reports(tmp_path)
    assert (well["verdict"], back["verdict"]) == ("rehearsed", "rolled_back")
    assert FETCH in well["warnings"][0]


@pytest.mark.usefixtures("sqld_binary")
def test_release_of_code_alone_needs_no_folder(tmp_path: Path) -> None:
    """Without any SQL the code is released and rolled back, no database step runs, and no backup is claimed or made."""
    health = '[[health]]\nname = "up"\npath = "/api/data"\nexpect = ["status == `401`"]\n'
    (tmp_path / "orchestrate.toml").write_text(f'sql = "nowhere"\n{health}')
    ran = rehearse(tmp_path, config=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    well, back = reports(tmp_path)
    assert [step["name"] for step in well["steps"]] == [name for name in STEPS if name in CODE]
    assert (well["verdict"], back["verdict"]) == ("rehearsed", "rolled_back")
    assert [well[key] for key in ("backup", "rehearsal", "contract", "changes")] == [None] * 4
    assert "backup" not in ran.stdout
    assert not [*tmp_path.glob("runs/*/backup*")]


def _without_sample(folder: Path) -> None:
    """Remove sample.sql from the change of `rehearse`."""
    shutil.copytree(ROOT / "sql", folder / "sql", ignore=shutil.ignore_patterns("sample.sql"))
    (folder / "orchestrate.toml").write_text(f'sql = "{folder / "sql"}"\n')


@pytest.mark.usefixtures("sqld_binary")
@pytest.mark.parametrize("words", [[], ["--fail", "git_push"], ["--drill"], ["--fail", "git_push:kill"]])
def test_missing_sample_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    """Without the database for the stand-ins there is no rehearsal: one message, exit code 2, no run."""
    _without_sample(tmp_path)
    ran = rehearse(tmp_path, *words, config=False)
    assert (ran.returncode, ran.stderr.count("orchestrate: ")) == (2, 1), ran.stderr
    assert (
        "sample.sql: the file is missing. Write SQL that creates a small database as it is before the change, or"
        in ran.stderr
    )
    assert "defect" not in ran.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("sqld_binary")
def test_copy_replaces_the_sample(tmp_path: Path, sampled: Path) -> None:
    """With --copy the operator's own database takes its place."""
    _without_sample(tmp_path)
    ran = rehearse(tmp_path, "--fail", "git_push", "--copy", str(sampled / "small.db"), config=False)
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "git_push" in ran.stdout


@pytest.fixture
def own_database(tmp_path: Path) -> Path:
    """Return a SQLite file with the schema before the change, as an operator would have it."""
    file = tmp_path / "own.db"
    text = (ROOT / "sql" / "sample.sql").read_text().replace("n < 20159", "n < 119")
    with closing(sqlite3.connect(file)) as database:
        for statement in split(text, "sample.sql"):
            database.execute(statement.sql)
        database.commit()
    return file


@pytest.mark.usefixtures("sqld_binary")
@pytest.mark.parametrize("kind", ["file", "dump"])
def test_rehearsal_on_the_operators_own_copy(tmp_path: Path, own_database: Path, kind: str) -> None:
    """With --copy the rehearsal runs on a copy of the operator's own file, which is not touched."""
    given = own_database
    if kind == "dump":
        given = tmp_path / "own.sql"
        with closing(sqlite3.connect(own_database)) as database:
            given.write_text("\n".join(database.iterdump()))
    before = given.read_bytes()
    ran = rehearse(tmp_path, "--copy", str(given))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    well, back = reports(tmp_path)
    assert (well["verdict"], back["verdict"]) == ("rehearsed", "rolled_back")
    assert well["backup"]["rows"] == back["backup"]["rows"] < 1000
    assert given.read_bytes() == before


@pytest.mark.usefixtures("sqld_binary")
def test_unexpected_copy_is_refused(tmp_path: Path, own_database: Path) -> None:
    """A difference that the change was not written for is found on the copy: here, an unknown index."""
    with closing(sqlite3.connect(own_database)) as database:
        database.execute("CREATE UNIQUE INDEX by_serial ON systems (serial)")
    ran = rehearse(tmp_path, "--copy", str(own_database))
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "the indexes of systems are not the ones before this change" in ran.stdout


@pytest.mark.parametrize("words", [("--copy", "nowhere.db"), ("--prod", "--copy", "own.db")])
def test_invalid_copy_is_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A missing file, and a copy for a release, are usage errors: exit code 2."""
    ran = rehearse(tmp_path, *words)
    assert ran.returncode == 2
    assert "--copy" in ran.stderr


@pytest.mark.parametrize("words", [["--fail", "nothing"], ["--fail", "git_push:explode"], ["--config", "missing.toml"]])
def test_invalid_fault_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    """An unknown step, an unknown kind of fault and a missing file are usage errors: exit code 2, one message."""
    ran = rehearse(tmp_path, *words)
    assert (ran.returncode, ran.stderr.count("orchestrate: ")) == (2, 1)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("words", [[], ["--prod", "--fail", "git_push"], ["--prod", "--staged"], ["--unknown"]])
def test_invalid_options_are_a_usage_error(words: list[str]) -> None:
    """Neither --prod nor --dry-run, or options that exclude each other: usage, exit code 2."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "orchestrate.py"), *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: orchestrate.py")


def test_missing_libraries_are_a_usage_error() -> None:
    """On a Python without the libraries: usage, exit code 2, with the way to run it; no traceback."""
    words = [sys.executable, "-I", "-S", str(ROOT / "orchestrate.py"), "--dry-run"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert "uv run" in ran.stderr


def test_help_imports_only_the_standard_library() -> None:
    """--help imports nothing but the standard library, which is why it answers at once."""
    code = (
        "import runpy, sys\n"
        "sys.argv = ['orchestrate.py', '--help']\n"
        "try:\n    runpy.run_path('orchestrate.py', run_name='__main__')\n"
        "except SystemExit as ended:\n    sys.exit(ended.code or int(any(name in sys.modules for name in ('httpx', 'pydantic', 'rich', 'aiohttp', 'steps'))))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "--prod" in ran.stdout


def test_closed_stderr_keeps_report_and_exit_code(tmp_path: Path) -> None:
    """With --verbose and a closed stderr a refused run still ends with its report and its exit code."""
    (tmp_path / "bad.sql").write_text("no SQL at all;")
    (tmp_path / "orchestrate.toml").write_text(f'sql = "{ROOT / "sql"}"\n')
    tool = [sys.executable, str(ROOT / "orchestrate.py"), "--dry-run", "--verbose", "--fail", "git_push"]
    words = [*tool, "--copy", str(tmp_path / "bad.sql"), "--config", str(tmp_path / "orchestrate.toml")]
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=writing, check=False, text=True, cwd=tmp_path)
    os.close(writing)
    (report,) = reports(tmp_path)
    assert (ran.returncode, report["verdict"]) == (3, "refused")
    assert "REFUSED" in ran.stdout


def test_broken_pipe_only_silences_the_screen(tmp_path: Path, sampled: Path, sqld_binary: Path) -> None:
    """Closing the pipe to the screen changes neither how the run ends nor its report."""
    (tmp_path / "orchestrate.toml").write_text(f'sql = "{ROOT / "sql"}"\n[rehearsal]\nsqld = "{sqld_binary}"\n')
    command = [
        sys.executable,
        str(ROOT / "orchestrate.py"),
        "--dry-run",
        "--fail",
        "git_push",
        "--copy",
        str(sampled / "small.db"),
        "--config",
        str(tmp_path / "orchestrate.toml"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        said = process.stderr.read()
    assert (process.returncode, said) == (3, "")
    assert [report["verdict"] for report in reports(tmp_path)] == ["refused"]
