"""Git in memory: a remote that tells of pushes, and a checkout that pushes to it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha1

from steps.support.core.errors import Problem, Rejected, Unknown
from steps.support.gateways.git import Commit, Git
from steps.support.standin.faults import Faults

TAKES = 0.02  # seconds of an exchange with the remote
ADDRESS = "memory:remote.git"
MAIN = "main"

OnPush = Callable[[str, str, str], object]  # commit, branch, the commit's subject


@dataclass(frozen=True, slots=True)
class Made:
    """A commit: the id of its files, the commit below it, and its message."""

    tree: str
    parent: str | None
    message: str

    @property
    def subject(self) -> str:
        """Give the first line of the message."""
        return self.message.partition("\n")[0]


@dataclass(slots=True)
class History:
    """Every commit and every set of files that anybody has made."""

    commits: dict[str, Made] = field(default_factory=dict)
    files: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def stored(self, files: Mapping[str, str]) -> str:
        """Keep some files; gives the id of their tree."""
        tree = _id(*(f"{path}\0{text}" for path, text in sorted(files.items())))
        self.files[tree] = files
        return tree

    def commit(self, tree: str, parent: str | None, message: str) -> str:
        """Make a commit; gives its id."""
        sha = _id(tree, parent or "", message, str(len(self.commits)))
        self.commits[sha] = Made(tree, parent, message)
        return sha

    def below(self, sha: str | None) -> Iterator[str]:
        """Give a commit and all that it contains, newest first."""
        while sha:
            yield sha
            sha = self.commits[sha].parent


class MemoryRemote:
    """A remote with one branch; `on_push` is told when it has moved, before whoever moved it gets an answer."""

    def __init__(self, history: History, tip: str, faults: Faults, on_push: OnPush) -> None:
        self.history, self.tip = history, tip
        self._faults, self._on_push = faults, on_push

    async def show(self, sha: str, path: str) -> str:
        """Read a file of a commit."""
        return self.history.files[self.history.commits[sha].tree][path]

    async def asked(self, operation: str) -> None:
        """Let a request come in, or go wrong as the fault of the moment wants it."""
        await asyncio.sleep(TAKES)
        kind = self._faults.kind_for("git_push")
        if kind == "hang":
            await asyncio.Event().wait()
        if kind == "fail":
            cause = f"fatal: unable to access '{ADDRESS}/': The requested URL returned error: 403"
            raise Rejected(operation, f"branch {MAIN} at {ADDRESS}", cause, "Settle what it says, then start again.")

    def refuse(self, sha: str) -> None:
        """Raise Rejected where the branch would not move forward."""
        if self.tip not in self.history.below(sha):
            remedy = "Settle what it says, then start again."
            raise Rejected("pushing to", f"branch {MAIN} at {ADDRESS}", "[rejected] (fetch first)", remedy)

    def take(self, sha: str) -> None:
        """Move the branch, and tell of it."""
        if sha != self.tip:
            self.tip = sha
            self._on_push(sha, MAIN, self.history.commits[sha].subject)

    def answer(self) -> None:
        """Answer a push. Raises Unknown where the answer is lost."""
        if self._faults.kind_for("git_push") == "lost":
            cause = "error: RPC failed; the connection was reset; fatal: the remote end hung up unexpectedly"
            raise Unknown("pushing to", f"branch {MAIN} at {ADDRESS}", cause, "Look at the remote branch.")


@dataclass(slots=True)
class Checkout:
    """What is here: the commit that is checked out, the branch, files that are not committed, and commits known."""

    head: str
    known: set[str]
    branch: str | None = MAIN
    uncommitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryGit(Git):
    """The gateway, on a checkout and a remote in memory; its promises are those of Git."""

    checkout: Checkout
    upstream: MemoryRemote

    async def branch_checked_out(self) -> str | None:
        """Name the branch; see Git."""
        return self.checkout.branch

    async def head(self) -> str:
        """Give the commit that is checked out; see Git."""
        return self.checkout.head

    async def tree(self, sha: str) -> str:
        """Give the id of a commit's tree; see Git."""
        return self._known(sha).tree

    async def uncommitted(self) -> tuple[str, ...]:
        """Name the files that differ; see Git."""
        return self.checkout.uncommitted

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Say whether `newer` contains `older`; see Git."""
        return bool(self._known(older) and self._known(newer)) and older in self._history.below(newer)

    async def commits(self, base: str, tip: str) -> tuple[Commit, ...]:
        """List commits, newest first; see Git."""
        there = set(self._history.below(base))
        return tuple(Commit(sha, self._known(sha).subject) for sha in self._history.below(tip) if sha not in there)

    async def had_tree(self, tree: str, base: str, tip: str) -> bool:
        """Say whether a commit on top of `base` has this tree; see Git."""
        return tree in {self._known(commit.sha).tree for commit in await self.commits(base, tip)}

    async def commit_tree(self, tree: str, parent: str, message: str) -> str:
        """Make a commit; see Git."""
        self.checkout.known.add(sha := self._history.commit(tree, parent, message))
        return sha

    async def url(self) -> str:
        """Give the remote's address; see Git."""
        return ADDRESS

    async def remote_head(self) -> str:
        """Ask the remote where its branch is; see Git."""
        await self.upstream.asked("asking for")
        return self.upstream.tip

    async def fetch(self) -> str:
        """Bring the branch's commits here; see Git."""
        await self.upstream.asked("fetching")
        self.checkout.known.update(self._history.below(self.upstream.tip))
        return self.upstream.tip

    async def push(self, sha: str, *, rehearse: bool = False, hooks: bool = True) -> None:
        """Move the remote branch to this commit; see Git."""
        self._known(sha)
        await self.upstream.asked("pushing to")
        self.upstream.refuse(sha)
        if not rehearse:
            self.upstream.take(sha)
            self.upstream.answer()

    async def end_pushes(self, sha: str) -> None:
        """End what a run of before left behind: here nothing outlives its run."""

    @property
    def _history(self) -> History:
        return self.upstream.history

    def _known(self, sha: str) -> Made:
        if sha not in self.checkout.known:
            cause = f"fatal: bad object {sha}"
            raise Problem("using", f"repository {self.repository}", cause, "Check that it is the right checkout.")
        return self._history.commits[sha]


def _id(*parts: str) -> str:
    return sha1("\n".join(parts).encode(), usedforsecurity=False).hexdigest()
