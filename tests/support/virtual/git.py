"""Git in memory: a remote that reports pushes, and a checkout that pushes to it."""

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
class StoredCommit:
    """A commit: the id of its tree, its parent, and its message."""

    tree: str
    parent: str | None
    message: str

    @property
    def subject(self) -> str:
        """Return the first line of the message."""
        return self.message.partition("\n")[0]


@dataclass(slots=True)
class History:
    """Every commit and every tree ever created."""

    commits: dict[str, StoredCommit] = field(default_factory=dict)
    files: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def store(self, files: Mapping[str, str]) -> str:
        """Store some files; return the id of their tree."""
        tree = _id(*(f"{path}\0{text}" for path, text in sorted(files.items())))
        self.files[tree] = files
        return tree

    def commit(self, tree: str, parent: str | None, message: str) -> str:
        """Create a commit; return its id."""
        sha = _id(tree, parent or "", message, str(len(self.commits)))
        self.commits[sha] = StoredCommit(tree, parent, message)
        return sha

    def ancestry(self, sha: str | None) -> Iterator[str]:
        """Yield a commit and its ancestors, newest first."""
        while sha:
            yield sha
            sha = self.commits[sha].parent


class MemoryRemote:
    """A remote with one branch; `on_push` is called when it has moved, before the client that moved it gets an answer."""

    def __init__(self, history: History, tip: str, faults: Faults, on_push: OnPush) -> None:
        self.history, self.tip = history, tip
        self.rules: Callable[[StoredCommit], str] = lambda _: ""  # why a commit may not be pushed; empty if it may
        self._faults, self._on_push = faults, on_push

    async def show(self, sha: str, path: str) -> str:
        """Return the text of a file in a commit."""
        return self.history.files[self.history.commits[sha].tree][path]

    async def exchange(self, operation: str) -> None:
        """Accept a request, or fail as the current fault demands."""
        await asyncio.sleep(TAKES)
        kind = self._faults.kind_for("git_push")
        if kind == "hang":
            await asyncio.Event().wait()
        if kind == "fail":
            cause = f"fatal: unable to access '{ADDRESS}/': The requested URL returned error: 403"
            raise Rejected(
                code="push-refused" if operation == "pushing to" else "git-access",
                operation=operation,
                subject=f"branch {MAIN} at {ADDRESS}",
                cause=cause,
                remedy="Fix what it says, then start again.",
            )

    def check_fast_forward(self, sha: str) -> None:
        """Raise Rejected if the push is not a fast-forward."""
        if self.tip not in self.history.ancestry(sha):
            remedy = "Fix what it says, then start again."
            raise Rejected(
                code="push-refused",
                operation="pushing to",
                subject=f"branch {MAIN} at {ADDRESS}",
                cause="[rejected] (fetch first)",
                remedy=remedy,
            )

    def check_rules(self, sha: str) -> None:
        """Raise Rejected if the branch's rules do not let this commit in; a dry run does not ask them."""
        if why := self.rules(self.history.commits[sha]):
            raise Rejected(
                code="push-refused",
                operation="pushing to",
                subject=f"branch {MAIN} at {ADDRESS}",
                cause=f"[remote rejected] ({why})",
                remedy="Fix what it says, then start again.",
            )

    def advance(self, sha: str) -> None:
        """Move the branch, and report it to `on_push`."""
        if sha != self.tip:
            self.tip = sha
            self._on_push(sha, MAIN, self.history.commits[sha].subject)

    def answer_push(self) -> None:
        """Answer a push. Raise Unknown if the answer is lost."""
        if self._faults.kind_for("git_push") == "lost":
            cause = "error: RPC failed; the connection was reset; fatal: the remote end hung up unexpectedly"
            raise Unknown(
                code="push-refused",
                operation="pushing to",
                subject=f"branch {MAIN} at {ADDRESS}",
                cause=cause,
                remedy="Look at the remote branch.",
            )


@dataclass(slots=True)
class Checkout:
    """The local state: the commit checked out, the branch, uncommitted files, and the known commits.

    `unsigned`: why a commit cannot be signed; empty if it can.
    """

    head: str
    known: set[str]
    branch: str | None = MAIN
    unsigned: str = ""
    uncommitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryGit(Git):
    """The gateway on a checkout and a remote in memory; it keeps the promises of Git."""

    checkout: Checkout
    upstream: MemoryRemote

    async def branch_checked_out(self) -> str | None:
        """Return the branch; see Git."""
        return self.checkout.branch

    async def head(self) -> str:
        """Return the commit that is checked out; see Git."""
        return self.checkout.head

    async def tree(self, sha: str) -> str:
        """Return the id of a commit's tree; see Git."""
        return self._known(sha).tree

    async def uncommitted(self) -> tuple[str, ...]:
        """Return the files that differ; see Git."""
        return self.checkout.uncommitted

    async def own_filters(self) -> tuple[str, ...]:
        """Return no filter; see Git."""
        return ()

    async def has_push_hook(self) -> bool:
        """Return False; see Git."""
        return False

    async def is_shallow(self) -> bool:
        """Return False; see Git."""
        return False

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Return True if `newer` contains `older`; see Git."""
        return bool(self._known(older) and self._known(newer)) and older in self._history.ancestry(newer)

    async def commits(self, base: str, tip: str) -> tuple[Commit, ...]:
        """Return the commits, newest first; see Git."""
        known = set(self._history.ancestry(base))
        return tuple(Commit(sha, self._known(sha).subject) for sha in self._history.ancestry(tip) if sha not in known)

    async def had_tree(self, tree: str, base: str, tip: str) -> bool:
        """Return True if a commit on top of `base` has this tree; see Git."""
        return tree in {self._known(commit.sha).tree for commit in await self.commits(base, tip)}

    async def signs(self) -> bool:
        """Return False: no commit is signed here."""
        return False

    async def commit_tree(self, tree: str, parent: str, message: str) -> str:
        """Create a commit; see Git."""
        if self.checkout.unsigned:
            raise Problem(
                code="git-access",
                operation="using",
                subject=f"repository {self.repository}",
                cause=self.checkout.unsigned,
                remedy="Check that it is the right checkout.",
            )
        self.checkout.known.add(sha := self._history.commit(tree, parent, message))
        return sha

    async def url(self) -> str:
        """Return the remote's address; see Git."""
        return ADDRESS

    async def remote_head(self) -> str:
        """Return the tip of the remote branch; see Git."""
        await self.upstream.exchange("asking for")
        return self.upstream.tip

    async def fetch(self) -> str:
        """Fetch the branch's commits; return its tip; see Git."""
        await self.upstream.exchange("fetching")
        self.checkout.known.update(self._history.ancestry(self.upstream.tip))
        return self.upstream.tip

    async def push(self, sha: str, *, rehearse: bool = False, hooks: bool = True) -> None:
        """Move the remote branch to this commit; see Git."""
        self._known(sha)
        await self.upstream.exchange("pushing to")
        self.upstream.check_fast_forward(sha)
        if not rehearse:
            self.upstream.check_rules(sha)
            self.upstream.advance(sha)
            self.upstream.answer_push()

    async def end_pushes(self, sha: str) -> None:
        """Do nothing: here no push outlives its run; see Git."""

    @property
    def _history(self) -> History:
        return self.upstream.history

    def _known(self, sha: str) -> StoredCommit:
        if sha not in self.checkout.known:
            cause = f"fatal: bad object {sha}"
            raise Problem(
                code="git-access",
                operation="using",
                subject=f"repository {self.repository}",
                cause=cause,
                remedy="Check that it is the right checkout.",
            )
        return self._history.commits[sha]


def _id(*parts: str) -> str:
    return sha1("\n".join(parts).encode(), usedforsecurity=False).hexdigest()
