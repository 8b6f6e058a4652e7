"""Nothing in a foreign directory, configuration or checkout is run, and our keys do not leave."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from steps.support.config.loading import Misconfigured, load
from steps.support.core import process
from steps.support.core.errors import Problem, Rejected
from steps.support.gateways.git import Git
from steps.support.proof.rehearsal import sqld
from steps.support.run.wiring import proof_settings
from tests.support.paths import ROOT

SECRETS = {name: f"{name.lower()}-in-the-environment" for name in sorted(process.WITHHELD)}
SETTING = {"ORCHESTRATE_HEALTH": '[{"name": "x", "path": "/", "headers": {"Cookie": "auth-token=in-a-setting"}}]'}
IDENTITY = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a writer of programs that leave a trace when run; the developer's git settings play no part."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)

    def written(name: str) -> Path:
        program = tmp_path / "evil" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho $0 >> {tmp_path}/sprung\nexit 1\n")
        program.chmod(0o755)
        return program

    return written


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *IDENTITY, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _children(parent: int) -> list[bytes]:
    """Return environment and command line of all processes below this one, including a fork before its exec."""
    found, below, own = [], {parent}, b""
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        with suppress(OSError):  # the process has ended
            own = own or Path(f"/proc/{parent}/cmdline").read_bytes()
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[1]) in below:
                below.add(int(folder.name))
                environment, words = ((folder / name).read_bytes() for name in ("environ", "cmdline"))
                found += [environment + words] if words != own else []
    return found


@pytest.fixture
def checkout(tmp_path: Path, trap: Callable[[str], Path]) -> Path:  # noqa: ARG001 - it sets git's home
    """Return a checkout of one commit whose remote is a folder."""
    _git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote")
    _git(tmp_path, "clone", "--quiet", "remote", "work")
    _git(tmp_path / "work", "checkout", "--quiet", "-b", "main")
    _git(tmp_path / "work", "commit", "--quiet", "--allow-empty", "-m", "first")
    _git(tmp_path / "work", "push", "--quiet", "origin", "main")
    return tmp_path / "work"


@pytest.mark.anyio
async def test_hostile_directory_runs_nothing(tmp_path: Path, trap: Callable[[str], Path], sqld_binary: Path) -> None:
    """A whole rehearsal in a folder of traps, also on PATH, springs none; no key is seen or kept."""
    evil = trap("git").parent
    for name in ("sqld", "npm", "ssh", "sleep", "git-upload-pack"):
        trap(name)
    for name in ("sitecustomize", "usercustomize", "httpx", "steps", "json"):
        (evil / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write(__file__)\n")
    (evil / "pyproject.toml").write_text('[tool.orchestrate]\nbranch = "evil"\nnonsense = 1\n')
    (evil / ".env").write_text("VERCEL_TOKEN=$(touch sprung)\nORCHESTRATE_NONSENSE=1\n")
    ours = tmp_path / "orchestrate.toml"
    ours.write_text(f'sql = "{ROOT / "sql"}"\n')
    environment = {"PATH": f".:{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), **SECRETS, **SETTING}
    environment["ORCHESTRATE_REHEARSAL__SQLD"] = str(sqld_binary)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o777)
    words = [str(ROOT / "orchestrate.py"), "--dry-run", "--fail", "git_push", "--verbose", "--config", str(ours)]
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=evil,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        umask=0,
    )
    telling, seen = asyncio.ensure_future(run.communicate()), set[bytes]()
    while not telling.done():
        seen.update(_children(run.pid))
        await asyncio.sleep(0.05)
    said, _ = await telling
    kept = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert (run.returncode, bool(seen), {path.name for path in kept} >= {"journal.jsonl", "report.json"}) == (
        3,
        True,
        True,
    ), said
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    folders = [path for path in (tmp_path / "runs", *(tmp_path / "runs").rglob("*")) if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert not (tmp_path / "sprung").exists()
    for value in (*SECRETS.values(), "in-a-setting"):
        assert not [each for each in (*seen, said, *(path.read_bytes() for path in kept)) if value.encode() in each]


@pytest.mark.anyio
@pytest.mark.parametrize("entry", ["", ".", "bin", "./bin"])
async def test_programs_are_not_run_from_the_current_directory(
    checkout: Path, trap: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """With any relative entry in PATH, neither git nor the server nor their children come from here."""
    there = trap("git").parent
    for name in ("sqld", "ssh", "git-upload-pack"):
        trap(name)
    (there / "bin").symlink_to(there)
    monkeypatch.chdir(there)
    monkeypatch.setenv("PATH", f"{entry}{os.pathsep}{os.environ['PATH']}")
    git = Git(checkout, "origin", "main")
    assert await git.remote_head() == await git.head()
    assert sqld.find() != Path("sqld")
    assert (process.find_program("git") or "").startswith("/")
    assert not (there.parent / "sprung").exists()


TRAPS = {
    "core.fsmonitor": ("core.fsmonitor", "{evil}"),
    "an ext remote": ("remote.origin.url", "ext::{evil} %S"),
    "an ext remote in disguise": ("remote.origin.vcs", "ext"),
    "an alias": ("alias.status", "!{evil}"),
    "a pager": ("core.pager", "{evil}"),
    "an editor": ("core.editor", "{evil}"),
    "an external diff": ("diff.external", "{evil}"),
    "a signing program": ("gpg.program", "{evil}"),
    "a filter": ("filter.evil.clean", "{evil}"),
    "a required filter": ("filter.evil.required", "true"),
    "a filter's process": ("filter.evil.process", "{evil}"),
    "a filter with a strange name": ("filter.evil.x=y.clean", "{evil}"),
    "the remote's way to read": ("remote.origin.uploadpack", "{evil}"),
    "the remote's way to write": ("remote.origin.receivepack", "{evil}"),
    "a list of other refs": ("core.alternateRefsCommand", "{evil}"),
    "a folder of hooks": ("core.hooksPath", "{hooks}"),
}


HOOKS = ("pre-push", "reference-transaction", "post-index-change", "pre-auto-gc", "fsmonitor-watchman")


@pytest.mark.anyio
@pytest.mark.parametrize(("key", "value"), TRAPS.values(), ids=TRAPS)
async def test_reading_a_checkout_runs_nothing_of_it(
    checkout: Path, trap: Callable[[str], Path], key: str, value: str
) -> None:
    """Reading a checkout and its remote runs no program that the checkout's own configuration names."""
    hooks = [trap(name) for name in HOOKS]
    (checkout / ".gitattributes").write_text("big filter=evil\n")
    (checkout / "big").write_text("big\n")
    _git(checkout, "add", ".")
    _git(checkout, "commit", "--quiet", "-m", "second")
    for name, setting in {
        "protocol.ext.allow": "always",
        "log.showSignature": "true",
        key: value.format(evil=trap("program"), hooks=hooks[0].parent),
    }.items():
        _git(checkout, "config", name, setting)
    (checkout / "big").touch()
    git = Git(checkout, "origin", "main")
    await git.branch_checked_out()
    await git.uncommitted()
    head = await git.head()
    await git.commits(head, head)
    await git.commit_tree(await git.tree(head), head, "a message")
    if "ext" in value:
        for call in (git.remote_head(), git.fetch(), git.push(head, rehearse=True)):
            with pytest.raises((Rejected, Problem), match="ext"):
                await call
    else:
        assert await git.fetch() == _git(checkout, "rev-parse", "HEAD~1")
        await git.push(head, rehearse=True)
        assert not await git.uncommitted()
    assert not (checkout.parent / "sprung").exists()


@pytest.mark.anyio
async def test_bare_repository_inside_a_checkout_is_ignored(checkout: Path, trap: Callable[[str], Path]) -> None:
    """A folder of a checkout that looks like a bare repository, with its own configuration, is not used as one."""
    inner = checkout / "inner"
    _git(checkout, "init", "--quiet", "--bare", str(inner))
    _git(inner, "config", "core.sshCommand", str(trap("program")))
    _git(inner, "config", "remote.origin.url", "ssh://example.invalid/x.git")
    with pytest.raises(Problem, match=r"safe\.bareRepository"):
        await Git(inner, "origin", "main").remote_head()
    assert not (checkout.parent / "sprung").exists()


@pytest.mark.parametrize("named", ["sqld", "./bin/sqld", "bin/../sqld"])
def test_program_beside_its_configuration_is_not_run(tmp_path: Path, named: str) -> None:
    """A configuration that names a program in its own folder is refused, with the places to name one."""
    config = tmp_path / "orchestrate.toml"
    config.write_text(f'[rehearsal]\nsqld = "{named}"\n')
    with pytest.raises(Misconfigured, match="ORCHESTRATE_REHEARSAL__SQLD"):
        load(config)


def test_program_of_the_operator_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named by path or environment is used; a relative path is relative to the file."""
    (tmp_path / "conf").mkdir()
    config = tmp_path / "conf" / "orchestrate.toml"
    config.write_text('[rehearsal]\nsqld = "../bin/sqld"\n')
    assert proof_settings(load(config)).binary == tmp_path / "conf" / ".." / "bin" / "sqld"
    monkeypatch.setenv("ORCHESTRATE_REHEARSAL__SQLD", "/opt/sqld")
    assert proof_settings(load(config)).binary == Path("/opt/sqld")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows processes as files")
@pytest.mark.anyio
async def test_children_get_no_keys(checkout: Path, monkeypatch: pytest.MonkeyPatch, sqld_binary: Path) -> None:
    """While a push waits and a server runs, no process of theirs has a key in environment or arguments."""
    for name, value in (SECRETS | SETTING | {"GIT_AUTHOR_NAME": "kept-for-git"}).items():
        monkeypatch.setenv(name, value)
    hook = checkout / ".git" / "hooks" / "pre-push"
    hook.write_text("#!/bin/sh\nsleep 30\n")
    hook.chmod(0o755)
    git = Git(checkout, "origin", "main")
    pushing = asyncio.create_task(git.push(await git.head()))
    try:
        async with sqld.serve(sqld_binary, checkout.parent / "db"), asyncio.timeout(10):
            seen = _children(os.getpid())
            while not any(b"sleep\x0030" in each for each in seen):
                await asyncio.sleep(0.02)
                seen = _children(os.getpid())
    finally:
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    assert any(b"--http-listen-addr" in each for each in seen)
    assert any(b"kept-for-git" in each for each in seen)
    for value in (*SECRETS.values(), "in-a-setting"):
        assert not [each for each in seen if value.encode() in each]


@pytest.mark.anyio
async def test_command_gets_only_the_given_environment() -> None:
    """The shell that leads a command's process group adds no key to the given environment."""
    answered = await process.run(["/usr/bin/env"], {"ONLY": "this"})
    assert "ONLY=this" in answered.out
    assert not [line for line in answered.out.splitlines() if line.partition("=")[0] in SECRETS]
