"""The checkout and its remote, through the `git` command: no policy, no limit of time, no retry.

However a call ends, by cancellation too, git and every process of its group have been ended, within 0.4 s.
"""

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.core import process
from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.core.process import KEPT, Answer
from steps.support.core.text import printable

_ASKS_NOBODY = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "GCM_INTERACTIVE": "never"}
_SETTINGS = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"} | _ASKS_NOBODY
# What a folder that came from elsewhere could have run by merely being looked at, or by standing in a remote's address.
_HARMLESS = ("core.fsmonitor=false", "protocol.ext.allow=never", "safe.bareRepository=explicit",
             "i18n.logOutputEncoding=UTF-8")  # fmt: skip
_ELSEWHERE = {f"GIT_{x}" for x in ("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "OBJECT_DIRECTORY", "NAMESPACE")}
_NOBODY = ("-c", "user.name=orchestrate", "-c", "user.email=orchestrate@localhost")
_REMEDY = {
    NotSent: "Nothing was sent: check the network and the remote's address, then try again.",
    Rejected: "Nothing was changed there: settle what it says, then start again.",
    Unknown: "Look at the remote branch before trying again.",
}

_PUSHED_TO = "orchestrate-pushes-to:"  # stands for the address that is pushed to

SUBJECT = 200  # characters of the first line of a commit's message that are kept

_GIT_SPEAKS = ("fatal: ", "error: ", "send-pack: ", "Everything up-to-date")
_FIRST_CONTACT = ("unable to access '", "unable to connect to", "unable to look up", "upon initial contact",
                  "read from remote repository", "Authentication failed", "could not read Username",
                  "could not read Password", "' not found", "' not allowed")  # fmt: skip
_NO = ("Authentication failed", "could not read Username", "could not read Password", "denied", "not found",
       "returned error: 4", "not allowed", "does not appear to be a git repository")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its id, and the first line of its message with control characters escaped."""

    sha: str
    subject: str


@dataclass(frozen=True, slots=True)
class Git:
    """A checkout, and one branch of one of its remotes.

    Every method raises Problem for trouble on this side: git is not installed, no such repository, remote, branch or
    commit. Those that speak to the remote also raise NotSent, Rejected or Unknown. No message shows a credential.
    """

    repository: Path
    remote: str
    branch: str
    _configured: dict[str, str] = field(default_factory=dict, init=False, compare=False, repr=False)  # asked once

    async def branch_checked_out(self) -> str | None:
        """Name the local branch that is checked out; None where HEAD is detached."""
        ref = (await self._local("symbolic-ref", "--quiet", "HEAD", no=1)).out.strip()
        return ref.removeprefix("refs/heads/") or None

    async def head(self) -> str:
        """Give the id of the commit that is checked out, 40 characters."""
        return await self._field("%H", "HEAD")

    async def tree(self, sha: str) -> str:
        """Give the id of a commit's tree."""
        return await self._field("%T", sha)

    async def same_files(self, sha: str, other: str) -> bool:
        """Say whether two commits hold the same files; no where one of them is not known here."""
        with suppress(Problem):
            return await self.tree(sha) == await self.tree(other)
        return False

    async def uncommitted(self) -> tuple[str, ...]:
        """Name the files that differ from HEAD, untracked ones too, with control characters escaped."""
        status = ("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
        listed = (await self._local(*status)).out
        return tuple(printable(entry[3:]) for entry in listed.split("\0") if entry)

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Say whether `newer` contains `older`; a commit contains itself."""
        return (await self._local("merge-base", "--is-ancestor", older, newer, no=1)).code == 0

    async def commits(self, base: str, tip: str) -> tuple[Commit, ...]:
        """List the commits that `tip` contains and `base` does not, newest first."""
        lines = (await self._listed("%H %s", f"{base}..{tip}")).split("\n")
        pairs = (line.partition(" ") for line in lines if line)
        return tuple(Commit(sha, printable(subject[:SUBJECT])) for sha, _, subject in pairs)

    async def had_tree(self, tree: str, base: str, tip: str) -> bool:
        """Return True if a commit that `tip` contains and `base` does not has this tree."""
        return tree in (await self._listed("%T", f"{base}..{tip}")).split("\n")

    async def commit_tree(self, tree: str, parent: str, message: str) -> str:
        """Make a commit that nothing refers to yet, and give its id.

        Its author is whoever git is configured for, or `orchestrate` where git is configured for nobody.
        """
        making = ("commit-tree", "-p", parent, "-m", message, tree)
        made = await self._local("-c", "user.useConfigOnly=true", *making, no=128)
        return (made if made.code == 0 else await self._local(*_NOBODY, *making)).out.strip()

    async def url(self) -> str:
        """Give the address that is pushed to, with any credential masked."""
        return _readable(await self._address())

    async def _address(self) -> str:
        """Return the one address that is pushed to."""
        if "url" not in self._configured:
            self._configured["url"] = await self._addresses("--push")
        first, *others = self._configured["url"].splitlines()
        if others:
            cause = (
                f"it is pushed to {len(others) + 1} addresses, and one of them could be put back while another is not"
            )
            raise Problem(
                "looking up", f"remote {self.remote}", cause, "Leave one `pushurl`, or choose another remote."
            )
        return first

    async def _addresses(self, *which: str) -> str:
        found = await self._local("remote", "get-url", "--all", *which, "--", self.remote, no=2)
        if found.code:
            remedy = f"Choose one that `git remote` lists in {self.repository}."
            raise Problem("looking up", f"remote {self.remote}", "there is no such remote", remedy)
        return found.out

    async def _read_from(self) -> tuple[str, dict[str, str]]:
        """Return where the branch is read, and the environment that needs: it is read where it is pushed to.

        git rewrites each address that it is given by its `insteadOf` settings, and it has rewritten this one already.
        So it is given a name that none of them is about, and a setting that makes this address of it.
        """
        pushed_to = await self._address()
        if "fetch" not in self._configured:
            self._configured["fetch"] = await self._addresses()
        if pushed_to == self._configured["fetch"].strip():
            return self.remote, {}
        return _PUSHED_TO, _with_setting(f"url.{pushed_to}.insteadOf", _PUSHED_TO)

    async def remote_head(self) -> str:
        """Ask the remote which commit its branch is at right now."""
        where, environment = await self._read_from()
        listed = await self._exchange("asking for", "ls-remote", "--", where, self._ref, **environment)
        heads = {ref: sha for sha, _, ref in (line.partition("\t") for line in listed.splitlines())}
        if self._ref not in heads:
            cause = f"{await self.url()} has no such branch"
            raise Problem("asking for", f"branch {self.branch}", cause, "Choose a branch that it has.")
        return heads[self._ref]

    async def fetch(self) -> str:
        """Bring the remote branch's commits here, and nothing else: no ref, index or file changes.

        Returns the commit that the branch was at just before. Nothing refers to it, so git will prune it some weeks on.
        """
        sha = await self.remote_head()
        quietly = ("--no-write-fetch-head", "--refmap=", "--no-tags", "--no-prune", "--no-recurse-submodules")
        where, environment = await self._read_from()
        asked = ("--no-auto-maintenance", *quietly, "--", where, self._ref)
        await self._exchange("fetching", "fetch", *asked, **environment)
        return await self._field("%H", sha)

    async def push(self, sha: str, *, rehearse: bool = False, hooks: bool = True) -> None:
        """Move the remote branch to exactly this commit, without force.

        `rehearse` asks for everything but the move: it shows whether we are let in and whether the branch would move
        forward. The remote's hooks and branch rules are not asked then. `hooks`: the local pre-push hook is asked.
        """
        if await self._field("%H", sha) != sha:
            raise Problem("pushing", sha, "it is not the full id of a commit", "Give all 40 characters.")
        asked = {"--dry-run": rehearse, "--no-verify": not hooks}
        only = ("--no-follow-tags", "--recurse-submodules=no", *(option for option, on in asked.items() if on))
        await self._exchange("pushing to", "push", "--porcelain", *only, "--", self.remote, f"{sha}:{self._ref}")

    async def end_pushes(self, sha: str) -> None:
        """End every push of this commit from this checkout that a run of before left behind, and all it started."""
        words = {str(self.repository), "push", f"{sha}:{self._ref}"}
        await asyncio.to_thread(process.end_all, lambda command: words <= set(command))

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    async def _field(self, placeholder: str, commit: str) -> str:
        return (await self._listed(placeholder, commit, "--max-count=1")).strip()

    async def _listed(self, shown: str, revision: str, *options: str) -> str:
        listing = ("rev-list", "--no-commit-header", f"--format={shown}", *options, "--end-of-options", revision, "--")
        return (await self._local(*listing)).out

    async def _local(self, *arguments: str, no: int = 0) -> "Answer":
        """Run git where no remote is involved; exit code `no` is an answer as good as 0."""
        answer = await self._git(*arguments)
        if answer.code in (0, no) and answer.whole:
            return answer
        cause = _words(answer) if answer.whole else f"git answered with more than {KEPT[1]} bytes"
        raise Problem("using", f"repository {self.repository}", cause, "Check that it is the right checkout.")

    async def _exchange(self, operation: str, *arguments: str, **environment: str) -> str:
        address = await self.url()
        answer = await self._git(*arguments, **environment, **await self._ssh())
        if answer.code == 0:
            return answer.out
        kind = _kind(answer)
        raise kind(operation, f"branch {self.branch} at {address}", _words(answer), _REMEDY[kind])

    async def _ssh(self) -> dict[str, str]:
        """Keep ssh from asking, unless the user has chosen an ssh command: then that is respected."""
        if os.environ.keys() & {"GIT_SSH_COMMAND", "GIT_SSH"}:
            return {}
        if "ssh" not in self._configured:
            self._configured["ssh"] = (await self._local("config", "core.sshCommand", no=1)).out
        return {} if self._configured["ssh"] else {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}

    async def _git(self, *arguments: str, **environment: str) -> "Answer":
        if not (git := process.find_program("git")):
            raise Problem("running", "git", "it is not installed", "Install git, or put it on PATH.")
        inherited = {name: value for name, value in process.child_environment().items() if name not in _ELSEWHERE}
        harmless = (word for setting in _HARMLESS for word in ("-c", setting))
        command = [git, "-C", str(self.repository), *harmless, *arguments]
        return await process.run(command, inherited | _SETTINGS | environment)


def _with_setting(key: str, value: str) -> dict[str, str]:
    """Return the environment that gives git one setting more than our own environment does.

    `-c` would end the key at the first `=` of an address, and show the address in the list of processes.
    """
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    return {f"GIT_CONFIG_KEY_{count}": key, f"GIT_CONFIG_VALUE_{count}": value, "GIT_CONFIG_COUNT": str(count + 1)}


def _words(answer: "Answer") -> str:
    """Give what git and the remote had to say, on one line: the last 600 characters, without hints."""
    refusals = re.findall(r"^!\t.*\t(.*)", answer.out, re.MULTILINE)
    said = (line.strip() for line in [*answer.err.splitlines(), *refusals])
    words = "; ".join(line for line in said if line and not line.startswith("hint:"))
    return _readable(words).rstrip(".")[-600:] or f"it ended with code {answer.code} and no word"


def _kind(answer: "Answer") -> type[NotSent | Rejected | Unknown]:
    """Tell what a failed exchange left behind: by status lines and exit code, by words only where those are silent."""
    if refused := re.findall(r"^[ +*=!-]\t\S+\t(?:(\[(?:remote )?rejected\])|.)", answer.out, re.MULTILINE):
        return Rejected if all(refused) else Unknown
    match [line for line in answer.err.splitlines() if line.startswith(_GIT_SPEAKS)]:
        case [only] if answer.code == 1 and only.startswith("error: failed to push some refs"):
            return Rejected  # by the local pre-push hook
        case [*_, last] if last.startswith("fatal: ") and _says(last, _FIRST_CONTACT):
            return Rejected if _says(answer.err, _NO) else NotSent
    return Unknown


def _says(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _readable(text: str) -> str:
    return printable(re.sub(r"://[^\s'\"]*@", "://***@", text.strip()))
