"""The git gateway against real git: local folders, and small HTTP remotes that each fail in one way."""

import asyncio
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.core.process import KEPT
from steps.support.core.process import Answer as Answered
from steps.support.gateways.git import Commit, Git, _message
from tests.support.paths import ROOT

pytestmark = pytest.mark.anyio

IDENTITY = "[user]\n\tname = A Developer\n\temail = dev@example.org\n[init]\n\tdefaultBranch = main\n"
NOWHERE = "f" * 40
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home for this test alone: neither the developer's git configuration nor a proxy plays a part."""
    for name in [*os.environ]:
        if name.startswith("GIT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".gitconfig").write_text(IDENTITY)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return folder


@pytest.fixture
def remote(home: Path) -> Path:
    """Return an empty bare repository."""
    run(home, "init", "--quiet", "--bare", "../remote.git")
    return home.parent / "remote.git"


@pytest.fixture
def gateway(remote: Path) -> Git:
    """Return the gateway on a checkout whose one commit is on the remote's main."""
    work = remote.parent / "work"
    run(remote, "clone", "--quiet", str(remote), str(work))
    commit(work, "first")
    run(work, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    return Git(work, "origin", "main")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Return the process groups of all git commands that the gateway ran; none of them outlives the test."""
    log = tmp_path / "groups"
    log.touch()
    program(tmp_path / "bin" / "git", f'echo $PPID >> "{log}"\nexec "{shutil.which("git")}" "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return lambda: [int(line) for line in log.read_text().split()]


def run(folder: Path, *arguments: str, **extra: str) -> str:
    """Run git and return its output."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | extra)
    return done.stdout.strip()


def commit(work: Path, subject: str, **extra: str) -> str:
    """Commit a change of one file, and return the commit's id."""
    (work / "file").write_text(subject)
    run(work, "add", "--all")
    run(work, "commit", "--quiet", "-m", subject, **extra)
    return run(work, "rev-parse", "HEAD")


def program(path: Path, script: str) -> str:
    """Write an executable shell script and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def main_of(remote: Path) -> str:
    """Return the commit of a bare repository's main."""
    return run(remote, "rev-parse", "refs/heads/main")


def everything_but_objects(work: Path) -> dict[str, bytes]:
    """Return every file of a checkout and its git folder, except the object store."""
    objects = work / ".git" / "objects"
    files = (path for path in work.rglob("*") if path.is_file() and objects not in path.parents)
    return {str(path): path.read_bytes() for path in files}


def alive(group: int) -> bool:
    """Return True if any process of a group is alive; on Linux zombies do not count."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, 0)
        return sys.platform != "linux" or any(member == group for member in living())
    return False


def living() -> Iterator[int]:
    """Return the process group of each process that is not a zombie, as Linux lists them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if state != "Z":
                yield int(group)


async def test_branch_is_read_from_the_push_url(gateway: Git, remote: Path) -> None:
    """With a `pushurl`, every read asks the repository that is pushed to, not the one that git would fetch from."""
    elsewhere, work = remote.parent / "elsewhere.git", gateway.repository
    run(remote, "clone", "--quiet", "--bare", str(remote), str(elsewhere))
    run(work, "config", "remote.origin.pushurl", str(elsewhere))
    sha = commit(work, "second")
    await Git(work, "origin", "main").push(sha)
    pushed_to = Git(work, "origin", "main")
    assert (await pushed_to.remote_head(), await pushed_to.fetch()) == (sha, sha)
    assert main_of(remote) != sha


@pytest.mark.parametrize(
    ("pushed_to", "settings"),
    [
        ("one/x.git", ["remote.origin.pushurl = {here}/one/x.git"]),
        ("one/x.git", ["remote.origin.pushurl = ../one/x.git"]),
        ("one/x.git", ["url.{here}/one/x.git.pushInsteadOf = {here}/remote.git"]),
        ("one/x.git", ["remote.origin.pushurl = short:x.git", "url.{here}/one/.insteadOf = short:"]),
        ("one/x.git", ["remote.origin.pushurl = {here}/x.git", "url.{here}/one/.insteadOf = {here}/"]),
        ("one/x.git", ["remote.origin.pushurl = short:x.git", "url.{here}/one/.insteadOf = short:", "url.{here}/two/.insteadOf = {here}/one/"]),
        ("one/x.git", ["url.{here}/one/x.git.pushInsteadOf = {here}/remote.git", "url.{here}/two/x.git.insteadOf = {here}/one/x.git"]),
        ("one/x.git", ["remote.origin.pushurl = ci:x.git"]),
        ("a=b/x.git", ["remote.origin.pushurl = {here}/a=b/x.git"]),
    ],
    ids=["pushurl", "relative", "pushInsteadOf", "insteadOf", "matches its result", "a chain", "exactly its result", "from the environment", "equals sign"],
)  # fmt: skip
async def test_rewritten_push_url_is_rewritten_once(
    gateway: Git, remote: Path, monkeypatch: pytest.MonkeyPatch, pushed_to: str, settings: list[str]
) -> None:
    """An address that git's settings rewrite is rewritten once, as for a push."""
    here, work = remote.parent, gateway.repository
    real = here / pushed_to
    run(here, "clone", "--quiet", "--bare", str(remote), str(real))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{here}/one/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "ci:")
    for setting in settings:
        run(work, "config", "--add", *setting.replace("{here}", str(here)).split(" = "))
    sha = commit(work, "second")
    await Git(work, "origin", "main").push(sha)
    assert main_of(real) == sha
    fresh = Git(work, "origin", "main")
    assert (await fresh.remote_head(), await fresh.fetch()) == (sha, sha)


async def test_remote_with_several_push_urls_is_refused(gateway: Git, remote: Path) -> None:
    """A push to two repositories may reach only one, which cannot be rolled back, so it is refused."""
    work = gateway.repository
    for name in ("one", "two"):
        run(work, "config", "--add", "remote.origin.pushurl", str(remote.parent / name))
    several = Git(work, "origin", "main")
    for ask in (several.remote_head(), several.fetch(), several.push(await several.head())):
        with pytest.raises(Problem, match="pushes to 2 addresses"):
            await ask


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait for a condition; fail if it is not met in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def gone(groups: list[int], seconds: float = 0.2) -> None:
    """Fail unless there were process groups and all are empty; a kill may take a moment."""
    assert groups
    await until(lambda: not any(map(alive, groups)), seconds)


@asynccontextmanager
async def http(answer: Answer) -> AsyncIterator[str]:
    """Serve every connection by `answer` and yield the URL; a connection that `answer` leaves open is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/app.git"


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Accept, listen, and say nothing."""
    await reader.read()


def saying(status: str) -> Answer:
    """Answer each request with only a status line, asking for a password if it is 401."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        challenge = 'WWW-Authenticate: Basic realm="app"\r\n' if status.startswith("401") else ""
        writer.write(f"HTTP/1.1 {status}\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()

    return answer


def resetting(bare: Path, *, stores: bool) -> Answer:
    """Speak git's protocol until a push has been sent; then reset the connection, with the push stored or not."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("get"):
            listed = await receive_pack(bare, "--advertise-refs")
            kind = "Content-Type: application/x-git-receive-pack-advertisement\r\nConnection: close\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + kind.encode() + b"001f# service=git-receive-pack\n0000" + listed)
            await writer.drain()
            return
        body = await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        if stores:
            await receive_pack(bare, sent=body)
        reset(writer)

    return answer


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off so that the peer sees a reset, not an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def receive_pack(bare: Path, *options: str, sent: bytes = b"") -> bytes:
    """Run the real receiving side of a push."""
    receiving = await asyncio.create_subprocess_exec(
        "git", "receive-pack", "--stateless-rpc", *options, bare,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return (await receiving.communicate(sent))[0]


async def test_branch_and_head(gateway: Git) -> None:
    """The checked-out branch is named without its prefix, and HEAD is a full commit id."""
    assert await gateway.branch_checked_out() == "main"
    assert await gateway.head() == run(gateway.repository, "rev-parse", "HEAD")


async def test_detached_head(gateway: Git) -> None:
    """A detached HEAD is on no branch, and still at a commit."""
    run(gateway.repository, "checkout", "--quiet", "--detach")
    assert await gateway.branch_checked_out() is None
    assert len(await gateway.head()) == 40


async def test_tree_of_a_commit(gateway: Git) -> None:
    """A commit's tree is the one that git records."""
    second = commit(gateway.repository, "second")
    assert await gateway.tree(second) == run(gateway.repository, "rev-parse", "HEAD^{tree}")


async def test_uncommitted_files_are_listed(gateway: Git) -> None:
    """Changed, staged, renamed and untracked files are named once each, whatever the user's status settings hide."""
    work = gateway.repository
    (work / "old").write_text("a file to be renamed\n" * 9)
    commit(work, "second")
    assert await gateway.uncommitted() == ()
    run(work, "config", "status.showUntrackedFiles", "no")
    run(work, "mv", "old", "new")
    (work / "file").write_text("changed")
    (work / "untracked").touch()
    assert sorted(await gateway.uncommitted()) == ["file", "new", "old", "untracked"]


async def test_listing_uncommitted_files_writes_nothing(gateway: Git) -> None:
    """Listing uncommitted files does not even refresh the index."""
    os.utime(gateway.repository / "file", (1, 1))
    before = everything_but_objects(gateway.repository)
    await gateway.uncommitted()
    assert everything_but_objects(gateway.repository) == before


async def test_names_are_printable(gateway: Git) -> None:
    """Control characters in file names and subjects, and invalid bytes, come out escaped."""
    base = await gateway.head()
    tip = commit(gateway.repository, "red \x1b[31m and \x85 déjà vu")
    (gateway.repository / "new\nline\x1b").touch()
    (gateway.repository / os.fsdecode(b"odd\xff")).touch()
    assert await gateway.commits(base, tip) == (Commit(tip, r"red \x1b[31m and \x85 déjà vu"),)
    assert set(await gateway.uncommitted()) == {r"new\nline\x1b", r"odd\xff"}


async def test_commits_are_listed_newest_first(gateway: Git) -> None:
    """The order holds even if clocks went backwards; between equal commits there are none."""
    base = await gateway.head()
    second = commit(gateway.repository, "second")
    third = commit(gateway.repository, "third", GIT_COMMITTER_DATE="2001-01-01T00:00:00Z")
    assert await gateway.commits(base, third) == (Commit(third, "third"), Commit(second, "second"))
    assert await gateway.commits(third, third) == ()


async def test_ancestor_relation(gateway: Git) -> None:
    """A commit is an ancestor of its child and of itself, not the other way round."""
    first = await gateway.head()
    second = commit(gateway.repository, "second")
    asked = [(first, second), (first, first), (second, first)]
    assert [await gateway.is_ancestor(*pair) for pair in asked] == [True, True, False]


async def test_earlier_tree_is_found_above_the_base(gateway: Git) -> None:
    """A tree is found in every commit above the base, whatever is on top of it; the base itself is not searched."""
    base = await gateway.head()
    (gateway.repository / "more").write_text("more")
    run(gateway.repository, "add", "more")
    second = commit(gateway.repository, "second")
    back = await gateway.commit_tree(await gateway.tree(base), second, "Put back")
    top = await gateway.commit_tree(await gateway.tree(second), back, "third")
    tree = await gateway.tree(base)
    asked = [(base, top), (base, back), (back, top), (base, second), (top, top)]
    assert [await gateway.had_tree(tree, *pair) for pair in asked] == [True, True, False, False, False]


async def test_truncated_output_is_a_problem(gateway: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was cut at its bound is a Problem, never a shorter answer."""
    monkeypatch.setitem(KEPT, 1, 40)
    monkeypatch.setitem(KEPT, 2, 1000)
    with pytest.raises(Problem, match="more than 40 bytes"):
        await gateway.head()


async def test_commit_tree_makes_exactly_that_commit(gateway: Git) -> None:
    """The commit has the given tree, parent, message and the configured identity, and nothing else changes."""
    first = await gateway.head()
    tip = commit(gateway.repository, "second")
    (gateway.repository / "untracked").touch()
    before = everything_but_objects(gateway.repository)
    made = await gateway.commit_tree(await gateway.tree(first), tip, "Put back\n\nthe first")
    shown = run(gateway.repository, "show", "--no-patch", "--format=%T %P %an <%ae> %cn%n%B", made)
    tree = run(gateway.repository, "rev-parse", f"{first}^{{tree}}")
    assert shown == f"{tree} {tip} A Developer <dev@example.org> A Developer\nPut back\n\nthe first"
    assert everything_but_objects(gateway.repository) == before


@pytest.mark.parametrize("configured", ["", "[user]\n\temail = dev@example.org\n"])
async def test_commit_tree_uses_a_fallback_identity(gateway: Git, home: Path, configured: str) -> None:
    """If git has no identity configured, a fallback is used, never a guessed one."""
    (home / ".gitconfig").write_text(configured)
    first = await gateway.head()
    made = await gateway.commit_tree(await gateway.tree(first), first, "Put back")
    by = run(gateway.repository, "show", "--no-patch", "--format=%an <%ae> %cn <%ce>", made)
    assert by == "orchestrate <orchestrate@localhost> orchestrate <orchestrate@localhost>"


@pytest.mark.parametrize("signs", [True, False])
async def test_commit_tree_is_signed_if_git_is_told_to(gateway: Git, home: Path, signs: bool) -> None:  # noqa: FBT001
    """With commit.gpgsign the commit is signed by git's own program; without it, it is not."""
    program = home / "signs"
    program.write_text('#!/bin/sh\ncat >/dev/null; echo "signed" ; echo "[GNUPG:] SIG_CREATED " >&2\n')
    program.chmod(0o755)
    run(gateway.repository, "config", "gpg.program", str(program))
    run(gateway.repository, "config", "commit.gpgsign", str(signs).lower())
    first = await gateway.head()
    made = await gateway.commit_tree(await gateway.tree(first), first, "Put back")
    assert ("gpgsig signed" in run(gateway.repository, "cat-file", "commit", made)) == signs


async def test_commit_that_cannot_be_signed_is_a_problem(gateway: Git) -> None:
    """If git is told to sign and cannot, no commit is created without a signature."""
    run(gateway.repository, "config", "gpg.program", "false")
    run(gateway.repository, "config", "commit.gpgsign", "true")
    first = await gateway.head()
    with pytest.raises(Problem, match="failed to sign"):
        await gateway.commit_tree(await gateway.tree(first), first, "Put back")


async def test_remote_head_is_read_afresh(gateway: Git, remote: Path) -> None:
    """The remote is asked each time for the head of its branch."""
    elsewhere = run(remote, "commit-tree", f"{main_of(remote)}^{{tree}}", "-m", "elsewhere")
    run(remote, "update-ref", "refs/heads/main", elsewhere)
    assert await gateway.remote_head() == elsewhere


async def test_fetch_changes_no_ref_or_file(gateway: Git, remote: Path) -> None:
    """Fetching brings the branch's commits, returns its head, and leaves refs, index and files unchanged."""
    first = await gateway.head()
    theirs = run(remote, "commit-tree", f"{first}^{{tree}}", "-p", first, "-m", "theirs")
    run(remote, "update-ref", "refs/heads/main", theirs)
    run(remote, "tag", "unwanted", theirs)
    before = everything_but_objects(gateway.repository)
    assert await gateway.fetch() == theirs
    assert await gateway.commits(first, theirs) == (Commit(theirs, "theirs"),)
    assert everything_but_objects(gateway.repository) == before


async def test_push_moves_only_that_branch(gateway: Git, remote: Path) -> None:
    """A push moves the remote branch to that commit and nothing else, whatever the user's settings would push."""
    wanted = commit(gateway.repository, "wanted")
    run(gateway.repository, "tag", "--annotate", "-m", "v1", "v1")
    commit(gateway.repository, "not yet")
    run(gateway.repository, "config", "push.followTags", "true")
    await gateway.push(wanted)
    assert run(remote, "for-each-ref", "--format=%(refname) %(objectname)") == f"refs/heads/main {wanted}"


async def test_repeated_push_succeeds(gateway: Git, remote: Path) -> None:
    """Pushing a commit that is already there succeeds and changes nothing."""
    await gateway.push(await gateway.head())
    assert main_of(remote) == await gateway.head()


async def test_dry_run_push_moves_nothing(gateway: Git, remote: Path) -> None:
    """A dry-run push says yes or no and moves nothing."""
    first = await gateway.head()
    second = commit(gateway.repository, "second")
    await gateway.push(second, rehearse=True)
    assert main_of(remote) == first
    await gateway.push(second)
    with pytest.raises(Rejected, match="non-fast-forward"):
        await gateway.push(first, rehearse=True)


async def test_push_is_never_forced(gateway: Git, remote: Path) -> None:
    """A push that is not a fast-forward is rejected, though the refspec or the settings ask for force."""
    first = await gateway.head()
    second = commit(gateway.repository, "second")
    await gateway.push(second)
    run(gateway.repository, "config", "remote.origin.push", "+refs/heads/*:refs/heads/*")
    with pytest.raises(Rejected, match="non-fast-forward"):
        await gateway.push(first)
    for disguised in (f"+{first}", first[:12], "HEAD~1"):
        with pytest.raises(Problem) as raised:
            await gateway.push(disguised)
        assert type(raised.value) is Problem
    assert main_of(remote) == second


async def test_push_declined_by_the_remote(gateway: Git, remote: Path) -> None:
    """A remote hook that declines is Rejected with the last of its words, made safe to print."""
    program(remote / "hooks" / "pre-receive", "yes noise | head -n 50000; printf 'frozen \\033[31mtoday\\n'; exit 1")
    with pytest.raises(Rejected, match="pre-receive hook declined") as raised:
        await gateway.push(commit(gateway.repository, "second"))
    assert r"frozen \x1b[31mtoday" in raised.value.cause
    assert len(raised.value.cause) <= 600


async def test_long_output_of_a_remote_is_bounded(gateway: Git, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last part of a remote's output, up to the bound, is kept, and the push is still Rejected."""
    monkeypatch.setitem(KEPT, 1, 1000)
    monkeypatch.setitem(KEPT, 2, 200)
    program(remote / "hooks" / "pre-receive", "yes noise | head -n 1000; exit 1")
    with pytest.raises(Rejected) as raised:
        await gateway.push(commit(gateway.repository, "second"))
    assert len(raised.value.cause) < 300


async def test_push_declined_by_a_local_hook(gateway: Git, remote: Path) -> None:
    """A pre-push hook that declines is Rejected in its own words: nothing was sent, and a retry will not help."""
    program(gateway.repository / ".git" / "hooks" / "pre-push", "echo tests are red >&2; exit 1")
    first = await gateway.head()
    with pytest.raises(Rejected, match="tests are red"):
        await gateway.push(commit(gateway.repository, "second"))
    assert main_of(remote) == first


@pytest.mark.parametrize(("hook", "lands"), [("pre-receive", False), ("post-receive", True)])
async def test_push_to_a_dying_remote_is_unknown(gateway: Git, remote: Path, hook: str, lands: bool) -> None:  # noqa: FBT001 - a table's column
    """A remote that dies while it stores a push leaves it Unknown, whether or not the push has landed."""
    program(remote / "hooks" / hook, "kill -9 $PPID")
    second = commit(gateway.repository, "second")
    with pytest.raises(Unknown):
        await gateway.push(second)
    assert (main_of(remote) == second) is lands


@pytest.mark.parametrize("lands", [False, True])
async def test_reset_push_is_unknown(gateway: Git, remote: Path, lands: bool) -> None:  # noqa: FBT001 - a table's column
    """A connection reset after the push was sent leaves it Unknown, whether or not the push has landed."""
    second = commit(gateway.repository, "second")
    async with http(resetting(remote, stores=lands)) as url:
        run(gateway.repository, "remote", "set-url", "origin", url)
        with pytest.raises(Unknown):
            await gateway.push(second)
    assert (main_of(remote) == second) is lands


@pytest.mark.parametrize(
    ("status", "kind"),
    [("401 Unauthorized", Rejected), ("403 Forbidden", Rejected), ("404 Not Found", Rejected), ("503 Busy", NotSent)],
)
async def test_refused_access_is_recognised(gateway: Git, status: str, kind: type[Problem]) -> None:
    """A remote that refuses access is recognised quickly, without a prompt, without showing the password."""
    started = time.monotonic()
    async with http(saying(status)) as url:
        address = url.replace("://", "://dev:s3cret@")
        run(gateway.repository, "remote", "set-url", "origin", address)
        with pytest.raises(kind) as raised:
            await gateway.push(await gateway.head())
    assert "s3cret" not in f"{raised.value!s}{raised.value!r}"
    assert url.replace("://", "://***@") in str(raised.value)
    assert time.monotonic() - started < 20


async def test_missing_password_prompts_no_one(gateway: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no password is known there is no prompt: not on the terminal, not in a configured askpass window."""
    asked = tmp_path / "asked"
    window = program(tmp_path / "window", f"touch '{asked}'; echo secret")
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, window)
    run(gateway.repository, "config", "core.askPass", window)
    async with http(saying("401 Unauthorized")) as url:
        run(gateway.repository, "remote", "set-url", "origin", url)
        for call in (gateway.remote_head(), gateway.fetch(), gateway.push(await gateway.head(), rehearse=True)):
            with pytest.raises(Rejected, match="could not read Username"):
                await call
    assert not asked.exists()


@pytest.mark.parametrize("scheme", ["http", "git", "ssh"])
async def test_unreachable_remote_is_not_sent(gateway: Git, scheme: str) -> None:
    """A remote that cannot be reached is NotSent, over any protocol."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{bound.getsockname()[1]}/app.git"
        run(gateway.repository, "remote", "set-url", "origin", address)
        with pytest.raises(NotSent):
            await gateway.push(await gateway.head())


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("ssh: connect to host example.org port 22: Connection timed out", NotSent),
        ("Host key verification failed.", NotSent),
        ("git@example.org: Permission denied (publickey).", Rejected),
        ("ERROR: Repository not found.", Rejected),
    ],
)
async def test_ssh_failures_are_recognised(
    gateway: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, kind: type[Problem]
) -> None:
    """The words of a failed ssh are recognised; a configured ssh command is the one that is used."""
    run(gateway.repository, "remote", "set-url", "origin", "git@example.org:app.git")
    monkeypatch.setenv("GIT_SSH_COMMAND", program(tmp_path / "myssh", f"echo '{words}' >&2; exit 255"))
    with pytest.raises(kind) as raised:
        await gateway.push(await gateway.head())
    assert words in raised.value.cause


@pytest.mark.parametrize(("setting", "used"), [("user.name", "ssh -oBatchMode=yes"), ("core.sshCommand", "myssh ")])
async def test_ssh_runs_in_batch_mode(
    gateway: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, used: str
) -> None:
    """Plain ssh is run so that it never prompts; an ssh command from git's configuration is not changed."""
    for name in ("ssh", "myssh"):
        program(tmp_path / "bin" / name, f'echo "{name} $1" >> "{tmp_path}/used"; exit 255')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    run(gateway.repository, "remote", "set-url", "origin", "git@example.org:app.git")
    run(gateway.repository, "config", setting, "myssh")
    with pytest.raises(NotSent):
        await gateway.remote_head()
    assert (tmp_path / "used").read_text().startswith(used)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://dev:s3cret@example.org/app.git", "https://***@example.org/app.git"),
        ("https://s3cret@example.org/app.git", "https://***@example.org/app.git"),
        ("https://dev:s3/cr@et@example.org/app.git", "https://***@example.org/app.git"),
        ("https://example.org/app.git", "https://example.org/app.git"),
        ("git@example.org:app.git", "git@example.org:app.git"),
    ],
)
async def test_url_hides_its_credential(gateway: Git, address: str, shown: str) -> None:
    """The push address is returned without its credential, whatever characters that consists of."""
    run(gateway.repository, "remote", "set-url", "--push", "origin", address)
    assert await gateway.url() == shown


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda git: replace(git, repository=git.repository / "none"), "none'?: No such file or directory"),
        (lambda git: replace(git, repository=git.repository.parent), "not a git repository"),
        (lambda git: replace(git, remote="upstream"), "remote upstream: there is no such remote"),
        (lambda git: replace(git, branch="trunk"), "branch trunk: .*remote.git has no such branch"),
    ],
)
async def test_missing_repository_remote_or_branch_is_named(
    gateway: Git, broken: Callable[[Git], Git], said: str
) -> None:
    """Each is one plain Problem that says so, even if something has a similar name."""
    run(gateway.repository, "push", "--quiet", "origin", "HEAD:refs/heads/refs/heads/trunk")
    with pytest.raises(Problem, match=said) as raised:
        await broken(gateway).fetch()
    assert type(raised.value) is Problem


async def test_unknown_commit_is_named(gateway: Git) -> None:
    """A commit that the repository lacks is a Problem that names it, for every operation."""
    head = await gateway.head()
    asked = (
        gateway.tree(NOWHERE),
        gateway.is_ancestor(NOWHERE, head),
        gateway.commits(NOWHERE, head),
        gateway.had_tree(NOWHERE, head, NOWHERE),
        gateway.commit_tree(head, NOWHERE, "Put back"),
        gateway.push(NOWHERE),
    )
    for call in asked:
        with pytest.raises(Problem, match=NOWHERE) as raised:
            await call
        assert type(raised.value) is Problem


async def test_missing_remote_repository_is_rejected(gateway: Git, remote: Path) -> None:
    """A remote whose repository does not exist has refused: Rejected."""
    shutil.rmtree(remote)
    with pytest.raises(Rejected, match="does not appear to be a git repository"):
        await gateway.remote_head()


async def test_missing_git_is_a_problem(gateway: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If git is not installed, that is the Problem."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match="running git: it is not installed"):
        await gateway.head()


async def test_repository_in_the_environment_is_ignored(
    gateway: Git, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The given repository is used, also if a git hook that runs us has named its own."""
    monkeypatch.setenv("GIT_DIR", str(remote))
    assert await gateway.branch_checked_out() == "main"
    assert await gateway.uncommitted() == ()


HOOK = "trap '' TERM\nsleep 60 &\nwait\nwait"


def hang_in_a_hook(gateway: Git, _: str) -> None:
    """Make each push wait for a hook whose child sleeps on, both ignoring SIGTERM."""
    program(gateway.repository / ".git" / "hooks" / "pre-push", HOOK)


def hang_in_ssh(gateway: Git, _: str) -> None:
    """Make ssh, and a child of it, never return."""
    run(gateway.repository, "config", "core.sshCommand", program(gateway.repository.parent / "myssh", HOOK))
    run(gateway.repository, "remote", "set-url", "origin", "git@example.org:app.git")


def hang_in_http(gateway: Git, url: str) -> None:
    """Make the remote accept, and say nothing."""
    run(gateway.repository, "remote", "set-url", "origin", url)


HANGS = [hang_in_a_hook, hang_in_ssh, hang_in_http]
Hang = Callable[[Git, str], None]


@pytest.mark.parametrize("hang", HANGS)
async def test_timeout_ends_all_processes(gateway: Git, groups: Callable[[], list[int]], hang: Hang) -> None:
    """When the caller's time is up the call returns at once, and no process of any git it ran is left."""
    head = await gateway.head()
    async with http(never) as url:
        hang(gateway, url)
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await gateway.push(head)
        assert 0.3 <= time.monotonic() - started < 10
        await gone(groups())


@pytest.mark.parametrize("moment", range(10))
async def test_cancellation_during_start_leaves_no_process(
    gateway: Git, tmp_path: Path, groups: Callable[[], list[int]], moment: int
) -> None:
    """A call cancelled at any moment of git's start, on a busy loop, leaves no process."""
    program(tmp_path / "bin" / "git", f'echo $PPID >> "{tmp_path}/groups"\nsleep 60 &\nwait')
    call = asyncio.create_task(gateway.head())
    for _ in range(moment):
        await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 - the busy loop is what is tested
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not any(map(alive, groups())), 0.2)


async def test_second_cancellation_is_obeyed_at_once(gateway: Git, groups: Callable[[], list[int]]) -> None:
    """A second cancellation is obeyed at once, and the processes are still ended."""
    hang_in_a_hook(gateway, "")
    head = await gateway.head()
    call = asyncio.create_task(gateway.push(head))
    await asyncio.sleep(0.2)
    call.cancel()
    await asyncio.sleep(0.05)
    call.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert time.monotonic() - started < 0.1
    await gone(groups())


async def test_background_process_of_a_hook_is_ended(
    gateway: Git, remote: Path, groups: Callable[[], list[int]]
) -> None:
    """A successful push is over when git is, though its hook left a process behind, which is ended too."""
    program(gateway.repository / ".git" / "hooks" / "pre-push", "sleep 60 &")
    second = commit(gateway.repository, "second")
    async with asyncio.timeout(20):
        await gateway.push(second)
    assert main_of(remote) == second
    await gone(groups())


@pytest.fixture
def daemon(gateway: Git, tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Make a pre-push hook leave a process in its own session, holding the hook's output open; return its id."""
    log = tmp_path / "daemon"
    code = f"import os, time; os.setsid(); open('{log}', 'w').write(f'{{os.getpid()}} '); time.sleep(60)"
    script = f'"{sys.executable}" -c "{code}" &\nwhile [ ! -s "{log}" ]; do sleep 0.01; done'
    program(gateway.repository / ".git" / "hooks" / "pre-push", script)
    yield lambda: int(log.read_text())
    os.kill(int(log.read_text()), signal.SIGKILL)


async def test_daemon_holding_the_pipes_delays_nothing(gateway: Git, remote: Path, daemon: Callable[[], int]) -> None:
    """A process outside git's session that holds its output open, like ssh's shared connections, delays nothing."""
    second = commit(gateway.repository, "second")
    async with asyncio.timeout(20):
        await gateway.push(second)
    assert main_of(remote) == second
    assert alive(daemon())


CALLER = """
import asyncio, sys
from pathlib import Path
from steps.support.gateways.git import Git
asyncio.run(Git(Path(sys.argv[1]), "origin", "main").push(sys.argv[2]))
"""


@pytest.mark.parametrize("hang", [hang_in_http, hang_in_ssh, hang_in_a_hook] if sys.platform == "linux" else [])
async def test_git_dies_with_its_parent(gateway: Git, groups: Callable[[], list[int]], hang: Hang) -> None:
    """When the process that uses the gateway is killed, git ends with it (the Linux kernel sees to that)."""
    head = await gateway.head()
    async with http(never) as url:
        hang(gateway, url)
        before = len(groups())
        caller = await asyncio.create_subprocess_exec(sys.executable, "-c", CALLER, gateway.repository, head, cwd=ROOT)
        await until(lambda: len(groups()) - before >= 3)
        await asyncio.sleep(0.3)
        assert any(map(alive, groups()))
        caller.kill()
        await caller.wait()
        await gone(groups(), seconds=2)


async def test_left_over_push_of_an_earlier_run_is_ended(gateway: Git) -> None:
    """A push of this commit is ended with all its processes; other commits' and other checkouts' are left alone."""
    sha, here = await gateway.head(), gateway.repository
    pushes = [_left_behind(where, each) for where, each in ((here, sha), (here, NOWHERE), (here.parent, sha))]
    try:
        await asyncio.sleep(0.2)  # until the shell has become what it runs
        await gateway.end_pushes(sha)
        assert (pushes[0].wait(5), pushes[1].poll(), pushes[2].poll()) == (-signal.SIGKILL, None, None)
    finally:
        for each in pushes:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


def _left_behind(where: Path, sha: str) -> "subprocess.Popen[bytes]":
    """Start a process with the words of a push, in its own group like the gateway's commands."""
    words = ["/bin/sh", "-c", "sleep 60 & wait", "git", "-C", str(where), "push", f"{sha}:refs/heads/main"]
    return subprocess.Popen(words, start_new_session=True)


async def test_remote_on_this_machine_is_reached_past_a_proxy(gateway: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the shell, which would not reach it, gets no request for a remote on loopback."""
    async with http(saying("500 Internal Server Error")) as proxy, http(saying("403 Forbidden")) as url:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        run(gateway.repository, "remote", "set-url", "origin", url)
        with pytest.raises(Rejected, match="403"):
            await gateway.remote_head()


def test_hostile_words_of_a_remote_are_searched_once() -> None:
    """What a remote says is cut and read once, and a credential at its end is masked as ever."""
    said = "remote: " + "://x" * 16_000 + " fatal: https://user:hid/den@host/app.git"
    message = _message(Answered(128, "", said, whole=True))
    assert message.endswith("fatal: https://***@host/app.git")
    assert len(message) <= 600


async def test_local_hook_runs_once_in_the_push(gateway: Git, remote: Path) -> None:
    """Rehearsing a push runs no hook, the push runs the pre-push hook once, and the push of a rollback none."""
    log = remote.parent / "hooks"
    program(gateway.repository / ".git" / "hooks" / "pre-push", f"echo ran >> {log}; cat > /dev/null")
    assert await gateway.has_push_hook()
    second = commit(gateway.repository, "second")
    await gateway.push(second, rehearse=True)
    assert not log.exists()
    await gateway.push(second)
    assert log.read_text() == "ran\n"
    await gateway.push(await gateway.commit_tree(await gateway.tree(second), second, "back"), hooks=False)
    assert log.read_text() == "ran\n"


async def test_hook_is_found_where_it_is_configured(gateway: Git, remote: Path) -> None:
    """A hook in the folder of core.hooksPath counts, and a file that cannot be executed does not."""
    assert not await gateway.has_push_hook()
    (hooks := remote.parent / "husky").mkdir()
    (hooks / "pre-push").write_text("exit 1")
    run(gateway.repository, "config", "core.hooksPath", str(hooks))
    assert not await gateway.has_push_hook()
    (hooks / "pre-push").chmod(0o755)
    assert await gateway.has_push_hook()


async def test_filter_of_the_operator_is_run(gateway: Git) -> None:
    """A filter in the operator's own configuration is run for a look, as git-lfs must be; the checkout's own is named."""
    work = gateway.repository
    run(work, "config", "--global", "filter.upper.clean", "tr a-z A-Z")
    run(work, "config", "filter.mine.clean", "tr a-z A-Z")
    (work / ".gitattributes").write_text("big filter=upper\nown filter=mine\n")
    (work / "big").write_text("big\n")
    (work / "own").write_text("own\n")
    run(work, "add", ".")
    commit(work, "filtered")
    for name in ("big", "own"):
        os.utime(work / name, (1, 1))
    assert await gateway.uncommitted() == ("own",)
    assert await gateway.own_filters() == ("mine",)
    run(work, "config", "--global", "filter.mine.clean", "tr a-z A-Z")
    fresh = Git(work, "origin", "main")
    assert (await fresh.uncommitted(), await fresh.own_filters()) == ((), ())


@pytest.fixture
def nested(gateway: Git, remote: Path) -> Git:
    """Return the gateway on a checkout with a submodule, whose newest commit is nowhere else."""
    work, here = gateway.repository, remote.parent
    run(here, "init", "--quiet", "--bare", "part.git")
    run(here, "clone", "--quiet", "part.git", "part")
    commit(here / "part", "first")
    run(here / "part", "push", "--quiet", "origin", "HEAD:refs/heads/main")
    run(work, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(here / "part.git"), "part")
    commit(work / "part", "not pushed")
    run(work, "add", "part")
    commit(work, "with a submodule")
    return gateway


@pytest.mark.parametrize(
    ("key", "value"),
    [("push.recurseSubmodules", "check"), ("push.recurseSubmodules", "on-demand"), ("submodule.recurse", "true")],
)
async def test_unpushed_submodule_is_checked_where_that_is_configured(nested: Git, key: str, value: str) -> None:
    """A push is refused, in the rehearsal too, if the remote of a submodule lacks its commit; nothing of it is pushed."""
    run(nested.repository, "config", key, value)
    head, before = await nested.head(), await nested.remote_head()
    for rehearse in (True, False):
        with pytest.raises(Rejected, match="part") as refused:
            await nested.push(head, rehearse=rehearse)
        assert "not be found on any remote" in refused.value.cause
    assert await nested.remote_head() == before
    await nested.push(await nested.commit_tree(await nested.tree(before), before, "back"), hooks=False)
    run(nested.repository / "part", "push", "--quiet", "origin", "HEAD:refs/heads/main")


@pytest.mark.parametrize("value", ["", "no"])
async def test_submodules_are_not_checked_otherwise(nested: Git, value: str) -> None:
    """Without the setting, or with `no`, the push goes as git's would."""
    if value:
        run(nested.repository, "config", "push.recurseSubmodules", value)
    await nested.push(await nested.head())
    assert await nested.remote_head() == await nested.head()


async def test_shallow_checkout_is_recognized(gateway: Git, remote: Path) -> None:
    """A clone of depth 1 does not reach back to the remote's commit, and says so."""
    run(remote.parent, "clone", "--quiet", "--depth", "1", f"file://{remote}", "shallow")
    shallow = Git(remote.parent / "shallow", "origin", "main")
    assert (await gateway.is_shallow(), await shallow.is_shallow()) == (False, True)
