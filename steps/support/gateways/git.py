"""The checkout and its remote, used through the `git` command, without policy, time limits or retries.

When a call ends, even by cancellation, git and every process in its group are stopped within 0.4 s.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from steps.support.core import process
from steps.support.core.addresses import direct_loopback
from steps.support.core.errors import Code, NotSent, Problem, Rejected, Unknown
from steps.support.core.process import KEPT, Answer
from steps.support.core.text import printable

_NO_PROMPTS = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": "", "GCM_INTERACTIVE": "never"}
_SETTINGS = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"} | _NO_PROMPTS
# Without these, a repository from elsewhere could run a program when it is read, or through a remote's address.
_HARMLESS = ("core.fsmonitor=false", "protocol.ext.allow=never", "safe.bareRepository=explicit",
             "i18n.logOutputEncoding=UTF-8")  # fmt: skip
_WITHOUT_HOOKS = ("-c", "core.hooksPath=/dev/null")
# What a checkout's own configuration may name as a program, and the value that runs none, or git's own.
_OWN_PROGRAMS = (
    r"^(filter\..*\.(clean|smudge|process|required)|remote\..*\.(uploadpack|receivepack)|core\.alternaterefscommand)$"
)
_HARMLESS_VALUES = {"clean": "", "smudge": "", "process": "", "required": "false", "uploadpack": "git-upload-pack",
                    "receivepack": "git-receive-pack", "alternaterefscommand": ":"}  # fmt: skip
_OF_A_REMOTE = "remote."
_OF_THE_CHECKOUT = {"local", "worktree"}  # scopes; what the operator has set elsewhere is used
_CHECKED = {"check", "on-demand", "only", "true"}  # push.recurseSubmodules; nothing but our commit is pushed
_REDIRECTING = {f"GIT_{x}" for x in ("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "OBJECT_DIRECTORY", "NAMESPACE")}
_FALLBACK_AUTHOR = ("-c", "user.name=orchestrate", "-c", "user.email=orchestrate@localhost")
_REMEDY = {
    NotSent: "Nothing was sent. Check the network and the remote's address, then try again.",
    Rejected: "The remote did not change. Fix what it reports, then start again.",
    Unknown: "Check the remote branch before trying again.",
}

_ADDRESS = re.compile(r"://([^\s'\"]*+)")  # of a credential, all before the last @
_QUOTED = 600  # characters of what git said that a message quotes
_SEARCHED = 20 * _QUOTED  # characters at its end in which credentials are searched for

_PLACEHOLDER = "orchestrate-pushes-to:"  # placeholder for the push address

_SUBMODULES = "The following submodule paths contain changes that can"
SUBJECT = 200  # characters kept of a commit message's first line

_GIT_PREFIXES = ("fatal: ", "error: ", "send-pack: ", "Everything up-to-date")
_FIRST_CONTACT = ("unable to access '", "unable to connect to", "unable to look up", "upon initial contact",
                  "read from remote repository", "Authentication failed", "could not read Username",
                  "could not read Password", "' not found", "' not allowed")  # fmt: skip
_REFUSALS = ("Authentication failed", "could not read Username", "could not read Password", "denied", "not found",
       "returned error: 4", "not allowed", "does not appear to be a git repository")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its id and the first line of its message, with control characters escaped."""

    sha: str
    subject: str


@dataclass(frozen=True, slots=True)
class Git:
    """A checkout and one branch of one of its remotes.

    Every method raises Problem for a local cause: git is not installed, or the repository, remote, branch or commit
    does not exist. Methods that contact the remote also raise NotSent, Rejected or Unknown. No message shows a
    credential.
    """

    repository: Path
    remote: str
    branch: str
    _configured: dict[str, str] = field(default_factory=dict, init=False, compare=False, repr=False)  # read only once

    async def branch_checked_out(self) -> str | None:
        """Return the name of the branch that is checked out, or None if HEAD is detached."""
        ref = (await self._local("symbolic-ref", "--quiet", "HEAD", accepted=1)).out.strip()
        return ref.removeprefix("refs/heads/") or None

    async def head(self) -> str:
        """Return the id of the commit that is checked out, 40 characters."""
        return await self._field("%H", "HEAD")

    async def tree(self, sha: str) -> str:
        """Return the id of a commit's tree."""
        return await self._field("%T", sha)

    async def same_files(self, sha: str, other: str) -> bool:
        """Return True if two commits hold the same files.

        Return False if they do not, or if one of them is not in this repository.
        """
        with suppress(Problem):
            return await self.tree(sha) == await self.tree(other)
        return False

    async def uncommitted(self) -> tuple[str, ...]:
        """Return the files that differ from HEAD, including untracked ones, with control characters escaped."""
        status = ("status", "--porcelain", "-z", "--untracked-files=normal", "--no-renames")
        listed = (await self._local(*status)).out
        return tuple(printable(entry[3:]) for entry in listed.split("\0") if entry)

    async def own_filters(self) -> tuple[str, ...]:
        """Return the filters that only the checkout's own configuration defines. They are not run."""
        unset = [key.removeprefix("filter.") for key, value in (await self._replaced()).items() if not value]
        return tuple(dict.fromkeys(key.rpartition(".")[0] for key in unset))

    async def has_push_hook(self) -> bool:
        """Return True if a local pre-push hook will run in the push."""
        place = (await self._local("rev-parse", "--git-path", "hooks/pre-push", hooks=True)).out.rstrip("\n")
        return await asyncio.to_thread(os.access, self.repository / place, os.X_OK)

    async def is_shallow(self) -> bool:
        """Return True if the checkout has only the newest commits of its branch, as CI systems fetch it."""
        return (await self._local("rev-parse", "--is-shallow-repository")).out.strip() == "true"

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Return True if `newer` contains `older`; a commit contains itself."""
        return (await self._local("merge-base", "--is-ancestor", older, newer, accepted=1)).code == 0

    async def commits(self, base: str, tip: str) -> tuple[Commit, ...]:
        """Return the commits that `tip` contains and `base` does not, newest first."""
        lines = (await self._listed("%H %s", f"{base}..{tip}")).split("\n")
        pairs = (line.partition(" ") for line in lines if line)
        return tuple(Commit(sha, printable(subject[:SUBJECT])) for sha, _, subject in pairs)

    async def had_tree(self, tree: str, base: str, tip: str) -> bool:
        """Return True if this tree is that of a commit which `tip` contains and `base` does not."""
        return tree in (await self._listed("%T", f"{base}..{tip}")).split("\n")

    async def signs(self) -> bool:
        """Return True if commit.gpgsign is set."""
        return (await self._local("config", "--type=bool", "commit.gpgsign", accepted=1)).out.strip() == "true"

    async def commit_tree(self, tree: str, parent: str, message: str) -> str:
        """Create a commit that no ref points to yet, and return its id. It is signed if commit.gpgsign is set.

        Its author is git's configured user, or `orchestrate` if none is configured.
        """
        command = ("commit-tree", *(["-S"] if await self.signs() else []), "-p", parent, "-m", message, tree)
        made = await self._local("-c", "user.useConfigOnly=true", *command, accepted=128)
        return (made if made.code == 0 else await self._local(*_FALLBACK_AUTHOR, *command)).out.strip()

    async def url(self) -> str:
        """Return the push address, with any credential masked."""
        return _masked(await self._address())

    async def _address(self) -> str:
        """Return the push address. Raise Problem if the remote has several push addresses."""
        if "url" not in self._configured:
            self._configured["url"] = await self._addresses("--push")
        first, *others = self._configured["url"].splitlines()
        if others:
            cause = f"it pushes to {len(others) + 1} addresses, and a rollback could reach one of them and miss another"
            raise Problem(
                code="git-access",
                operation="looking up",
                subject=f"remote {self.remote}",
                cause=cause,
                remedy="Keep one `pushurl`, or choose another remote.",
            )
        return first

    async def _addresses(self, *options: str) -> str:
        answer = await self._local("remote", "get-url", "--all", *options, "--", self.remote, accepted=2)
        if answer.code:
            remedy = f"Choose one that `git remote` lists in {self.repository}."
            raise Problem(
                code="git-access",
                operation="looking up",
                subject=f"remote {self.remote}",
                cause="there is no such remote",
                remedy=remedy,
            )
        return answer.out

    async def _read_from(self) -> tuple[str, dict[str, str]]:
        """Return the address from which to read the branch, and the settings that git needs for that.

        The branch is read from the push address. git rewrites every address by its `insteadOf` settings, and it has
        already rewritten this one. So git gets a placeholder that no setting matches, and one more setting that turns
        the placeholder into this address.
        """
        pushed_to = await self._address()
        if "fetch" not in self._configured:
            self._configured["fetch"] = await self._addresses()
        if pushed_to == self._configured["fetch"].strip():
            return self.remote, {}
        return _PLACEHOLDER, {f"url.{pushed_to}.insteadOf": _PLACEHOLDER}

    async def remote_head(self) -> str:
        """Return the id of the commit that the remote branch is at now."""
        program = await self._program("--upload-pack", "uploadpack")
        address, settings = await self._read_from()
        listed = await self._exchange(
            "ls-remote",
            *program,
            "--",
            address,
            self._ref,
            code="git-access",
            operation="asking for",
            settings=settings,
        )
        heads = {ref: sha for sha, _, ref in (line.partition("\t") for line in listed.splitlines())}
        if self._ref not in heads:
            cause = f"{await self.url()} has no such branch"
            raise Problem(
                code="git-access",
                operation="asking for",
                subject=f"branch {self.branch}",
                cause=cause,
                remedy="Choose an existing branch.",
            )
        return heads[self._ref]

    async def fetch(self) -> str:
        """Fetch the remote branch's commits and nothing else. No ref, index or file changes.

        Return the id of the commit that the branch was at just before. No ref points to it, so git prunes it some weeks
        later.
        """
        sha = await self.remote_head()
        quiet = ("--no-write-fetch-head", "--refmap=", "--no-tags", "--no-prune", "--no-recurse-submodules")
        address, settings = await self._read_from()
        program = await self._program("--upload-pack", "uploadpack")
        options = ("--no-auto-maintenance", *quiet, *program, "--", address, self._ref)
        await self._exchange("fetch", *options, code="git-access", operation="fetching", settings=settings)
        return await self._field("%H", sha)

    async def push(self, sha: str, *, rehearse: bool = False, hooks: bool = True) -> None:
        """Move the remote branch to exactly this commit, without force.

        `rehearse`: do not move the branch, and only find out whether access is granted and whether the branch would
        move forward. No hook and no branch rule runs then, neither here nor on the remote. `hooks`: run the local ones,
        and honour push.recurseSubmodules: raise Rejected if the remote of a submodule lacks its commit.
        """
        if await self._field("%H", sha) != sha:
            raise Problem(
                code="git-access",
                operation="pushing",
                subject=sha,
                cause="it is not a full commit id",
                remedy="Use all 40 characters.",
            )
        runs_hooks = hooks and not rehearse
        switches = {"--dry-run": rehearse, "--no-verify": not runs_hooks}
        submodules = f"--recurse-submodules={await self._submodules() if hooks else 'no'}"
        options = ("--no-follow-tags", submodules, *(option for option, on in switches.items() if on))
        program = await self._program("--receive-pack", "receivepack")
        words = ("push", "--porcelain", *options, *program, "--", self.remote, f"{sha}:{self._ref}")
        await self._exchange(*words, code="push-refused", operation="pushing to", hooks=runs_hooks)

    async def end_pushes(self, sha: str) -> None:
        """Stop every push of this commit that an earlier run left running in this checkout, and its children."""
        words = {str(self.repository), "push", f"{sha}:{self._ref}"}
        await asyncio.to_thread(process.end_all, lambda command: words <= set(command))

    async def _submodules(self) -> str:
        """Return what to do about submodules: `check`, or `no` if the configuration does not ask for it."""
        for key in ("push.recurseSubmodules", "submodule.recurse"):
            if value := (await self._local("config", key, accepted=1)).out.strip().lower():
                return "check" if value in _CHECKED else "no"
        return "no"

    async def _replaced(self) -> dict[str, str]:
        """Return the settings with which the checkout would run a program of its own, each with a harmless value."""
        if "own" not in self._configured:
            read = ("config", "--show-scope", "--null", "--get-regexp", _OWN_PROGRAMS)
            answer = await self._git(*read)  # fails if there is none
            self._configured["own"] = answer.out if answer.code == 0 else ""
        words = self._configured["own"].split("\0")
        settings = [(scope, *entry.partition("\n")[::2]) for scope, entry in zip(words[::2], words[1::2], strict=False)]
        outside = {key: value for scope, key, value in settings if scope not in _OF_THE_CHECKOUT}
        own = {key for scope, key, _ in settings if scope in _OF_THE_CHECKOUT}
        return {key: outside.get(key, _HARMLESS_VALUES[key.rpartition(".")[2]]) for key in sorted(own)}

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    async def _field(self, placeholder: str, commit: str) -> str:
        return (await self._listed(placeholder, commit, "--max-count=1")).strip()

    async def _listed(self, shown: str, revision: str, *options: str) -> str:
        listing = ("rev-list", "--no-commit-header", f"--format={shown}", *options, "--end-of-options", revision, "--")
        return (await self._local(*listing)).out

    async def _local(self, *arguments: str, accepted: int = 0, hooks: bool = False) -> "Answer":
        """Run a git command that needs no remote.

        Raise Problem unless the exit code is 0 or `accepted`, and the output is complete.
        """
        answer = await self._git(*arguments, hooks=hooks, **await self._harmless({}))
        if answer.code in (0, accepted) and answer.whole:
            return answer
        cause = _message(answer) if answer.whole else f"git printed more than {KEPT[1]} bytes"
        raise Problem(
            code="git-access",
            operation="using",
            subject=f"repository {self.repository}",
            cause=cause,
            remedy="Check that it is the right checkout.",
        )

    async def _exchange(
        self,
        *arguments: str,
        code: Code,
        operation: str,
        hooks: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> str:
        """Run a git command that contacts the remote, with these settings added to git's own, and return its output."""
        address = await self._address()
        environment = {**await self._harmless(settings or {}), **await self._ssh()}
        answer = await self._git(*arguments, hooks=hooks, **environment)
        if answer.code == 0:
            return answer.out
        kind = _problem_class(answer)
        raise kind(
            code=code,
            operation=operation,
            subject=f"branch {self.branch} at {_masked(address)}",
            cause=_message(answer),
            remedy=_REMEDY[kind],
        )

    async def _ssh(self) -> dict[str, str]:
        """Return the environment that keeps ssh from prompting; empty if the user has chosen an ssh command."""
        if os.environ.keys() & {"GIT_SSH_COMMAND", "GIT_SSH"}:
            return {}
        if "ssh" not in self._configured:
            self._configured["ssh"] = (await self._local("config", "core.sshCommand", accepted=1)).out
        return {} if self._configured["ssh"] else {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}

    async def _harmless(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for these settings and those that keep the checkout's own programs from running."""
        own = {key: value for key, value in (await self._replaced()).items() if not key.startswith(_OF_A_REMOTE)}
        return _with_settings({**settings, **own})

    async def _program(self, option: str, key: str) -> tuple[str, ...]:
        """Return the option that replaces a remote's own program; nothing if the checkout configures none."""
        value = (await self._replaced()).get(
            f"{_OF_A_REMOTE}{self.remote}.{key}"
        )  # of two settings, git uses the first
        return (f"{option}={value}",) if value else ()

    async def _git(self, *arguments: str, hooks: bool = False, **environment: str) -> "Answer":
        if not (git := process.find_program("git")):
            raise Problem(
                code="program-missing",
                operation="running",
                subject="git",
                cause="it is not installed",
                remedy="Install git, or put it on PATH.",
            )
        inherited = {name: value for name, value in process.child_environment().items() if name not in _REDIRECTING}
        inherited |= direct_loopback()
        harmless = (word for setting in _HARMLESS for word in ("-c", setting))
        command = [git, "-C", str(self.repository), *harmless, *(() if hooks else _WITHOUT_HOOKS), *arguments]
        return await process.run(command, inherited | _SETTINGS | environment)


def _with_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that adds git settings to those already in our environment.

    The option `-c` would not do: it ends the key at the first `=` in an address, and shows the address in the process
    list.
    """
    added, first = dict[str, str](), int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(settings.items(), first):
        added |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return added | ({"GIT_CONFIG_COUNT": str(first + len(settings))} if settings else {})


def _message(answer: "Answer") -> str:
    """Return the last 600 characters of what git and the remote reported, on one line and without hints."""
    refusals = re.findall(r"^!\t.*\t(.*)", answer.out, re.MULTILINE)
    lines = (line.strip() for line in [*answer.err.splitlines(), *refusals])
    text = "; ".join(line for line in lines if line and not line.startswith("hint:"))
    return _masked(_end_of(text)).rstrip(".")[-_QUOTED:] or f"it exited with code {answer.code} and no message"


def _end_of(text: str) -> str:
    """Return the end of a text, cut before a word, so that no credential loses what it is known by."""
    return text if len(text) <= _SEARCHED else text[-_SEARCHED:].partition(" ")[2]


def _problem_class(answer: "Answer") -> type[NotSent | Rejected | Unknown]:
    """Return the error class for a failed exchange with the remote.

    The status lines and the exit code decide. If they do not, the words of the message do.
    """
    if refused := re.findall(r"^[ +*=!-]\t\S+\t(?:(\[(?:remote )?rejected\])|.)", answer.out, re.MULTILINE):
        return Rejected if all(refused) else Unknown
    if _SUBMODULES in answer.err:
        return Rejected  # by git itself, before it sent anything
    match [line for line in answer.err.splitlines() if line.startswith(_GIT_PREFIXES)]:
        case [only] if answer.code == 1 and only.startswith("error: failed to push some refs"):
            return Rejected  # by the local pre-push hook
        case [*_, last] if last.startswith("fatal: ") and _contains_any(last, _FIRST_CONTACT):
            return Rejected if _contains_any(answer.err, _REFUSALS) else NotSent
    return Unknown


def _contains_any(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in text for phrase in phrases)


def _masked(text: str) -> str:
    return printable(_ADDRESS.sub(_without_user, text.strip()))


def _without_user(found: re.Match[str]) -> str:
    user, _, rest = found[1].rpartition("@")
    return f"://***@{rest}" if user or rest != found[1] else found[0]
