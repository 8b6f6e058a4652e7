"""A branch that a rollback may not restore: production is back, and the branch is a follow-up with its commands."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from tests.support.production.base import FAILING, Event
from tests.support.virtual.git import StoredCommit
from tests.support.virtual.production import VirtualProduction

pytestmark = pytest.mark.anyio

PROTECTED = "protected branch hook declined: GH006: Changes must be made through a pull request"
UNSIGNED = "GH013: Repository rule violations found: Commits must have verified signatures"
CHECKS = 'GH006: Required status check "test" is expected'
HOOK = "pre-receive hook declined"
LINT = "GH013: Commit message must match a given regex pattern: ^(feat|fix|revert): "
NO_KEY = "error: gpg failed to sign the data; fatal: failed to write commit object"
REVERT = "revert: {released:.8} of {run}"


def _always(why: str) -> Callable[[StoredCommit], str]:
    return lambda _: why


def _unless_conventional(commit: StoredCommit) -> str:
    return "" if commit.subject.startswith("revert: ") else LINT


def _allowed(_: StoredCommit) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Row:
    """A branch from the moment of the rollback on, and how the run must end.

    `rules`: what refuses a commit. `unsigned`: why none can be signed. `says`: words of the follow-up, which is missing
    if empty. `command`: words of its command.
    """

    name: str
    says: str
    command: str = ":refs/heads/rollback-"
    rules: Callable[[StoredCommit], str] = _allowed
    unsigned: str = ""
    overtaken: bool = False
    staged: bool = False
    message: str = ""


ROWS = (
    Row("protected", "GH006", rules=_always(PROTECTED)),
    Row("protected, staged", "GH006", rules=_always(PROTECTED), staged=True),
    Row("checks required", "status check", rules=_always(CHECKS)),
    Row("signatures required", "verified signatures", "commit-tree -S -p", rules=_always(UNSIGNED)),
    Row("signatures required, staged", "verified signatures", "commit-tree -S", rules=_always(UNSIGNED), staged=True),
    Row("a hook of the server", "pre-receive", rules=_always(HOOK)),
    Row("a rule for messages", "must match", rules=_unless_conventional),
    Row("a rule for messages that the setting meets", "", rules=_unless_conventional, message=REVERT),
    Row("no key", "failed to sign", "commit-tree -S", unsigned=NO_KEY),
    Row("others on top", "someone else pushed", "revert --no-edit", overtaken=True),
    Row("others on top, staged", "someone else pushed", "revert --no-edit", overtaken=True, staged=True),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_branch_that_may_not_be_restored_is_a_follow_up(production: VirtualProduction, row: Row) -> None:
    """Production is back and verified, nothing goes live by itself, and the follow-up has the commands; exit code 1."""
    platform, before = production.world.platform, await production.state()
    platform.auto_assign = not row.staged

    async def react(event: Event) -> None:
        if event["event"] == "turned_back":
            production.remote.rules, production.checkout.unsigned = row.rules, row.unsigned
            if row.overtaken:
                platform.build_seconds = 600.0
                await production.overtake()

    production.settings = {"ORCHESTRATE_ROLLBACK_MESSAGE": row.message} if row.message else {}
    ending = await production.release(react=react, health=FAILING)
    after = await production.state()
    assert (ending.code, ending.report["verdict"], ending.report["remains"]) == (1, "rolled_back", []), ending.report
    assert (after.schema, after.rows, after.live) == (before.schema, before.rows, before.live)
    assert not platform.auto_assign
    assert (after.tree == before.tree) == (not row.says)
    assert bool(ending.report["follow_ups"]) == bool(row.says)
    if row.says:
        (follow_up,) = ending.report["follow_ups"]
        assert row.says in follow_up["what"]
        assert row.command in follow_up["commands"][0]
        assert "Production is well" in ending.report["next_action"]


async def test_failed_build_and_a_protected_branch_pin_the_project(production: VirtualProduction) -> None:
    """If nothing was live yet, auto-assign is switched off before the branch is left, and the command to unpin is told."""
    platform, before = production.world.platform, await production.state()
    production.remote.rules = lambda commit: PROTECTED if commit.subject.startswith("Roll back") else ""
    platform.builds[await production.head()] = "ERROR"
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert (platform.auto_assign, platform.served) == (False, before.live)
    assert "autoAssignCustomDomains" in ending.report["unpin"]
    assert ending.report["follow_ups"]


async def test_branch_that_may_go_live_needs_a_human(production: VirtualProduction) -> None:
    """If the branch cannot be restored and auto-assign cannot be switched off, production is not safe: exit code 4."""
    production.remote.rules = lambda commit: PROTECTED if commit.subject.startswith("Roll back") else ""
    production.world.platform.builds[await production.head()] = "ERROR"
    production.world.platform.quirks = Quirks(troubles=(Trouble(Answer.UNPROCESSABLE, "PATCH /v9"),))
    ending = await production.release(budget="total = 60\nreserve = 12")
    assert (ending.code, ending.report["follow_ups"]) == (4, []), ending.report
    assert production.world.platform.auto_assign


async def test_rule_that_is_lifted_lets_a_later_rollback_restore_the_branch(production: VirtualProduction) -> None:
    """`--rollback` of a run with a follow-up tries the branch again; exit code 1 while it is refused, then 0."""
    before = await production.state()
    production.remote.rules = lambda commit: PROTECTED if commit.subject.startswith("Roll back") else ""
    assert (await production.release(health=FAILING)).code == 1
    again = await production.release("--rollback")
    assert (again.code, again.report["verdict"], bool(again.report["follow_ups"])) == (1, "rolled_back", True)
    production.remote.rules = _allowed
    assert (await production.release("--rollback")).code == 0
    assert await production.state() == before
