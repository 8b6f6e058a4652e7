"""The stand-in for the git host, with real git on the other end."""

import asyncio
import gzip
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from steps.support.core.errors import Problem
from steps.support.standin import git_remote
from steps.support.standin.faults import Faults
from steps.support.standin.git_remote import GitRemote
from steps.support.standin.servers import serve

pytestmark = pytest.mark.anyio

PATIENCE = 10.0  # seconds
QUICK = 5  # seconds; the library alone waits for 60


@dataclass
class Desk:
    """A developer's machine and the remote they push to."""

    home: Path
    remote: GitRemote
    faults: Faults
    pushes: list[tuple[str, str, str]]
    url: str = ""

    async def git(self, *arguments: str, folder: str = "work") -> tuple[int, str]:
        """Run git in the checkout; return its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=self.home / folder,
            env=_environment(self.home),
            stdout=PIPE,
            stderr=PIPE,
            process_group=0,
        )
        try:
            output, complaint = await process.communicate()
        except asyncio.CancelledError:
            os.killpg(process.pid, signal.SIGTERM)
            await process.communicate()
            raise
        return process.returncode or 0, (output + complaint).decode().strip()

    async def commit(self, text: str, subject: str) -> str:
        """Commit a new text of contract.sql; return the commit's id."""
        (self.home / "work" / "contract.sql").write_text(text)
        await self.git("add", "-A")
        assert (await self.git("commit", "--quiet", "-m", subject))[0] == 0
        return (await self.git("rev-parse", "HEAD"))[1]

    async def head(self) -> str:
        """Return the remote's main, read from its own files."""
        return (await self.git("--git-dir", "../liveone.git", "for-each-ref", "--format=%(objectname)"))[1]


def _environment(home: Path) -> dict[str, str]:
    names = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
    alone = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C", **alone, **dict.fromkeys(names, "a@b.c")}


@asynccontextmanager
async def _desk(home: Path, token: str = "") -> AsyncIterator[Desk]:
    """Set up a checkout without commits, and an empty remote."""
    faults, pushes = Faults(), list[tuple[str, str, str]]()
    repository = await git_remote.create(home / "liveone.git")
    remote = GitRemote(repository, faults, lambda *push: pushes.append(push), token=token)
    desk = Desk(home, remote, faults, pushes)
    (home / "work").mkdir()
    async with serve(await remote.application()) as url:
        desk.url = f"{url}/liveone.git"
        await desk.git("init", "--quiet", "--initial-branch=main")
        await desk.git("remote", "add", "origin", desk.url.replace("//", f"//any:{token}@" if token else "//"))
        yield desk


async def test_push_arrives_and_is_reported(tmp_path: Path) -> None:
    """The remote has the commit, its files can be read, and the listener was called once."""
    async with _desk(tmp_path) as desk:
        sha = await desk.commit("SELECT 1;\n", "Read: one thing")
        code, said = await desk.git("push", "origin", "main")
        assert (code, await desk.head()) == (0, sha), said
        assert desk.pushes == [(sha, "main", "Read: one thing")]
        assert await desk.remote.show(sha, "contract.sql") == "SELECT 1;\n"
        with pytest.raises(Problem, match=r"missing\.sql"):
            await desk.remote.show(sha, "missing.sql")


async def test_large_packs_pass_in_both_directions(tmp_path: Path) -> None:
    """Several megabytes, sent chunked, come back in a clone bit for bit."""
    async with _desk(tmp_path) as desk:
        (tmp_path / "work" / "large").write_bytes(large := os.urandom(3_000_000))
        await desk.commit("SELECT 1;\n", "a large file")
        code, said = await desk.git("push", "origin", "main")
        assert code == 0, said
        code, said = await desk.git("clone", "--quiet", desk.url, "copy", folder=".")
        assert code == 0, said
        assert (tmp_path / "copy" / "large").read_bytes() == large


async def test_gzipped_request_is_understood(tmp_path: Path) -> None:
    """Git compresses its longer requests; a compressed request for the branches is answered."""
    headers = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
    async with _desk(tmp_path) as desk, httpx.AsyncClient(headers=headers) as client:
        sha = await desk.commit("SELECT 1;\n", "one")
        await desk.git("push", "origin", "main")
        question = gzip.compress(b"0014command=ls-refs\n0000")
        answer = await client.post(
            f"{desk.url}/git-upload-pack", content=question, headers={"Content-Encoding": "gzip"}
        )
        assert (answer.status_code, sha in answer.text) == (200, True)


async def test_existing_commits_are_not_reported(tmp_path: Path) -> None:
    """A remote opened on a repository with commits, fetched from and pushed to without changes, reports nothing."""
    async with _desk(tmp_path) as desk:
        await desk.commit("SELECT 1;\n", "one")
        await desk.git("push", "origin", "main")
        heard: list[tuple[str, str, str]] = []
        again = GitRemote(tmp_path / "liveone.git", Faults(), lambda *push: heard.append(push))
        async with serve(await again.application()) as url:
            assert (await desk.git("fetch", f"{url}/liveone.git", "main"))[0] == 0
            assert (await desk.git("push", f"{url}/liveone.git", "main"))[0] == 0
        assert heard == []


async def test_push_to_another_branch_is_not_reported(tmp_path: Path) -> None:
    """Only the branch that is built counts."""
    async with _desk(tmp_path) as desk:
        await desk.commit("SELECT 1;\n", "one")
        assert (await desk.git("push", "origin", "main:topic"))[0] == 0
        assert desk.pushes == []


async def test_push_that_is_not_a_fast_forward_changes_nothing(tmp_path: Path) -> None:
    """Git itself rejects it, and it is not reported."""
    async with _desk(tmp_path) as desk:
        first = await desk.commit("SELECT 1;\n", "one")
        await desk.git("push", "origin", "main")
        await desk.git("commit", "--quiet", "--amend", "-m", "another one")
        code, said = await desk.git("push", "origin", "main")
        assert (code, await desk.head()) == (1, first), said
        assert len(desk.pushes) == 1


async def test_token_is_required(tmp_path: Path) -> None:
    """Basic and bearer are both accepted; without the token nothing is visible."""
    async with _desk(tmp_path, token="t0ken") as desk, httpx.AsyncClient() as client:  # noqa: S106 - worth nothing
        sha = await desk.commit("SELECT 1;\n", "one")
        assert (await desk.git("push", desk.url, "main"))[0] == 128
        assert await desk.head() == ""
        assert (await desk.git("push", "origin", "main"))[0] == 0
        assert await desk.head() == sha
        bearer = {"Authorization": "Bearer t0ken"}
        path = f"{desk.url}/info/refs?service=git-upload-pack"
        assert (await client.get(path, headers=bearer)).status_code == 200
        assert (await client.get(path, headers={"Authorization": "Basic !"})).status_code == 401


async def test_nothing_beside_the_repository_is_served(tmp_path: Path) -> None:
    """A neighbouring repository is not found, nor a file outside."""
    await git_remote.create(tmp_path / "other.git")
    async with _desk(tmp_path) as desk, httpx.AsyncClient() as client:
        for path in ("other.git/HEAD", "liveone.git/%2e%2e/other.git/HEAD", "liveone.git/no"):
            answer = await client.get(f"{desk.url.removesuffix('liveone.git')}{path}")
            assert answer.status_code >= 400


async def test_fail_forbids_the_push(tmp_path: Path) -> None:
    """The answer is 403, and the remote is unchanged."""
    async with _desk(tmp_path) as desk:
        await desk.commit("SELECT 1;\n", "one")
        desk.faults.arm("git_push", "fail")
        code, said = await desk.git("push", "origin", "main")
        assert (code, await desk.head(), desk.pushes) == (128, "", [])
        assert "403" in said


async def test_lost_pushes_and_loses_the_answer(tmp_path: Path) -> None:
    """Git reports failure, the remote has the commit, and the push is reported once."""
    async with _desk(tmp_path) as desk:
        sha = await desk.commit("SELECT 1;\n", "one")
        desk.faults.arm("git_push", "lost")
        code, said = await desk.git("push", "origin", "main")
        assert code != 0, said
        assert await desk.head() == sha
        assert desk.pushes == [(sha, "main", "one")]


async def test_hang_answers_nothing(tmp_path: Path) -> None:
    """Git waits until it is stopped; the remote is unchanged, and ends quickly."""
    async with _desk(tmp_path) as desk:
        await desk.commit("SELECT 1;\n", "one")
        desk.faults.arm("git_push", "hang")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await desk.git("push", "origin", "main")
        assert (await desk.head(), desk.pushes) == ("", [])
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < QUICK


async def test_git_ends_with_the_request(tmp_path: Path) -> None:
    """A client that leaves in the middle of a push leaves no process and no lock behind; the next push works."""
    async with _desk(tmp_path) as desk, asyncio.timeout(PATIENCE):
        sha = await desk.commit("SELECT 1;\n", "one")
        await _half_a_push(desk.url, tmp_path)
        while _at_work(tmp_path):
            await asyncio.sleep(0.01)
        code, said = await desk.git("push", "origin", "main")
        assert (code, await desk.head()) == (0, sha), said


async def _half_a_push(url: str, home: Path) -> None:
    """Begin a push, wait until git works on it, and disconnect."""
    address = httpx.URL(url)
    _, writer = await asyncio.open_connection(address.host, address.port)
    lines = (
        f"POST {address.path}/git-receive-pack HTTP/1.1",
        f"Host: {address.host}",
        "Content-Type: application/x-git-receive-pack-request",
        "Content-Length: 1000000",
    )
    writer.write("\r\n".join((*lines, "", "00")).encode())
    while not _at_work(home):
        await asyncio.sleep(0.01)
    writer.transport.abort()


def _at_work(home: Path) -> list[Path]:
    """Return the processes that work for the remote in this folder, whatever their parent is."""
    sign = f"GIT_PROJECT_ROOT={home}\0".encode()
    return [process for process in Path("/proc").glob("[0-9]*") if sign in _surroundings(process)]


def _surroundings(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # it has ended since, or belongs to another user
        return b""
