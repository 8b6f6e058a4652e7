"""Git in memory, compared with real git and a real remote over HTTP: a run observes the same on both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.gateways.git import Git
from steps.support.standin import git_remote
from steps.support.standin.faults import Faults, Kind
from steps.support.standin.git_remote import GitRemote
from steps.support.standin.servers import serve
from steps.support.standin.site import CONTRACT
from steps.support.standin.world import LIVE, add_remote, create_app
from tests.support.virtual.git import MAIN, Checkout, History, MemoryGit, MemoryRemote

pytestmark = pytest.mark.anyio

NEXT = "The code that is to be released"


@dataclass(frozen=True)
class Desk:
    """A checkout that is one commit ahead of its remote, and the pushes that the remote reported."""

    git: Git
    faults: Faults
    pushes: list[tuple[str, str, str]]
    show: Callable[[str, str], Awaitable[str]]


@asynccontextmanager
async def _of_git(folder: Path) -> AsyncIterator[Desk]:
    faults, pushes = Faults(), list[tuple[str, str, str]]()
    bare = await git_remote.create(folder / "remote.git")
    await create_app(folder / "app", bare, "old", "new")
    remote = GitRemote(bare, faults, lambda *push: pushes.append(push))
    async with serve(await remote.application()) as url:
        await add_remote(folder / "app", f"{url}/remote.git")
        yield Desk(Git(folder / "app", "origin", MAIN), faults, pushes, remote.show)


@asynccontextmanager
async def _of_memory(folder: Path) -> AsyncIterator[Desk]:
    faults, pushes, history = Faults(), list[tuple[str, str, str]](), History()
    live = history.commit(history.store({CONTRACT: "old"}), None, LIVE)
    head = history.commit(history.store({CONTRACT: "new"}), live, NEXT)
    remote = MemoryRemote(history, live, faults, lambda *push: pushes.append(push))
    yield Desk(MemoryGit(folder, "origin", MAIN, Checkout(head, {live, head}), remote), faults, pushes, remote.show)


@pytest.fixture(params=[_of_git, _of_memory], ids=["git", "memory"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    """Yield a desk of each kind in turn."""
    async with request.param(tmp_path) as made:
        yield made


async def test_a_push_and_its_rollback(desk: Desk) -> None:
    """The commit ahead is listed, arrives and is reported once; the commit that restores the files follows it."""
    git = desk.git
    head, before = await git.head(), await git.fetch()
    assert (await git.branch_checked_out(), await git.uncommitted()) == (MAIN, ())
    assert [each.subject for each in await git.commits(before, head)] == [NEXT]
    assert [await git.is_ancestor(*pair) for pair in ((before, head), (head, before), (head, head))] == [
        True,
        False,
        True,
    ]
    await git.push(head, rehearse=True)
    assert (await git.remote_head(), desk.pushes) == (before, [])
    await git.push(head)
    await git.push(head)
    restoring = await git.commit_tree(await git.tree(before), head, "Put back\n\nIt did not end well.")
    await git.push(restoring, hooks=False)
    assert await git.remote_head() == await git.fetch() == restoring
    assert await git.tree(restoring) == await git.tree(before) != await git.tree(head)
    assert [await git.had_tree(await git.tree(before), base, restoring) for base in (head, restoring)] == [True, False]
    assert desk.pushes == [(head, MAIN, NEXT), (restoring, MAIN, "Put back")]
    assert [await desk.show(sha, CONTRACT) for sha in (before, head, restoring)] == ["old", "new", "old"]


async def test_no_push_is_forced(desk: Desk) -> None:
    """A push that would move the branch back is refused, also as a rehearsal, and is not reported."""
    head, before = await desk.git.head(), await desk.git.fetch()
    beside = await desk.git.commit_tree(await desk.git.tree(head), before, "beside")
    await desk.git.push(head)
    for rehearse in (True, False):
        with pytest.raises(Rejected):
            await desk.git.push(beside, rehearse=rehearse)
    assert (await desk.git.remote_head(), len(desk.pushes)) == (head, 1)


async def test_an_unfetched_commit_is_unknown(desk: Desk) -> None:
    """A commit that was never fetched is a local problem."""
    with pytest.raises(Problem) as trouble:
        await desk.git.tree("f" * 40)
    assert not isinstance(trouble.value, Rejected | NotSent | Unknown)


async def _outcome(action: Awaitable[object], limit: float | None) -> str:
    try:
        async with asyncio.timeout(limit):
            await action
    except (Problem, TimeoutError) as error:
        return type(error).__name__
    return "done"


@pytest.mark.parametrize(
    ("kind", "asked", "rehearsed", "pushed", "moved"),
    [
        ("fail", "Rejected", "Rejected", "Rejected", False),
        ("hang", "TimeoutError", "TimeoutError", "TimeoutError", False),
        ("lost", "done", "done", "Unknown", True),
    ],
)
async def test_a_broken_remote(
    desk: Desk,
    kind: Kind,
    asked: str,
    rehearsed: str,
    pushed: str,
    moved: bool,  # noqa: FBT001 - a column
) -> None:
    """A remote refuses, never answers, or loses the answer to a completed push; then it works again."""
    head, before = await desk.git.head(), await desk.git.fetch()
    limit = 1.0 if kind == "hang" else None  # seconds: an answer that comes may take as long as the machine needs
    desk.faults.arm("git_push", kind)
    assert await _outcome(desk.git.remote_head(), limit) == await _outcome(desk.git.fetch(), limit) == asked
    assert await _outcome(desk.git.push(head, rehearse=True), limit) == rehearsed
    assert await _outcome(desk.git.push(head), limit) == pushed
    desk.faults.disarm()
    assert await desk.git.remote_head() == (head if moved else before)
    assert bool(desk.pushes) == moved
