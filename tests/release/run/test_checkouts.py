"""Checkouts as teams and CI systems have them: what runs in them, when, and what a release says if one is not ready."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.production.base import RunResult
from tests.support.production.process import Production

pytestmark = pytest.mark.anyio

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")

Prepare = Callable[[Production], Awaitable[None]]


def _hook(production: Production, script: str) -> Path:
    """Install a pre-push hook that logs each of its runs, then does this; return the log."""
    log, hook = production.folder / "ran", production.world.checkout / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho ran >> {log}\n{script}\n")
    hook.chmod(0o755)
    return log


async def _shallow(production: Production) -> None:
    (production.world.checkout / ".git" / "shallow").write_text(f"{await production.head()}\n")


async def _detached(production: Production) -> None:
    await production.git("checkout", "--quiet", "--detach", where=production.world.checkout)


async def _own_filter(production: Production) -> None:
    here = production.world.checkout
    (here / ".gitattributes").write_text("contract.sql filter=lfs\n")
    await production.git("config", "filter.lfs.clean", "sed s/a/b/", where=here)
    await production.git("add", ".gitattributes", "contract.sql", where=here)
    await production.git(*AUTHOR, "commit", "--quiet", "-am", "filtered", where=here)
    os.utime(here / "contract.sql", (1, 1))


async def _unpushed_submodule(production: Production) -> None:
    here, part = production.world.checkout, production.world.checkout / "part"
    await production.git("init", "--quiet", "part", where=here)
    for subject in ("pushed", "not pushed"):
        await production.git(*AUTHOR, "commit", "--quiet", "--allow-empty", "-m", subject, where=part)
    await production.git("update-ref", "refs/remotes/origin/main", "HEAD~1", where=part)
    (here / ".gitmodules").write_text('[submodule "part"]\n\tpath = part\n\turl = ../part.git\n')
    await production.git("-c", "advice.addEmbeddedRepo=false", "add", ".gitmodules", "part", where=here)
    await production.git(*AUTHOR, "commit", "--quiet", "-m", "with a submodule", where=here)
    await production.git("config", "push.recurseSubmodules", "check", where=here)


@pytest.mark.on("process")
@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_shallow, ["the checkout is shallow", "Run `git fetch --unshallow`", "`fetch-depth: 0`"]),
        (_detached, ["HEAD is detached: no branch is checked out", "Run `git switch main`", "`ref` (the branch)"]),
        (_own_filter, ["it is not clean: contract.sql", "Filter lfs of the checkout's own configuration is not run"]),
        (_unpushed_submodule, ["probing the push to main", "part", "not be found on any remote"]),
    ],
    ids=["shallow", "detached", "filter", "submodule"],
)
async def test_unready_checkout_is_refused_by_name(production: Production, prepare: Prepare, words: list[str]) -> None:
    """The refusal says what the checkout is, and what to do; nothing is touched."""
    await prepare(production)
    before, tip = await production.state(), await production.main()
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    for word in words:
        assert word in f"{ending.report['cause']} {ending.report['next_action']}"
    assert (await production.state(), await production.main()) == (before, tip)


@pytest.mark.on("process")
async def test_look_runs_no_hook_and_the_push_one(production: Production) -> None:
    """A dry run runs no hook; a release runs the pre-push hook once, and its plan says so beforehand."""
    log = _hook(production, "sleep 1; cat > /dev/null")
    looked = await production.release("--dry-run")
    assert (looked.code, log.exists()) == (0, False), looked.report
    assert "the pre-push hook runs once, in the push" in _push(looked)["plan"]
    ending = await production.release()
    assert (ending.code, log.read_text()) == (0, "ran\n"), ending.report
    assert _push(ending)["undo_seconds"] < 3  # of a push that takes a second longer than its dry run


@pytest.mark.on("process")
async def test_hook_that_refuses_ends_a_release_before_anything(production: Production) -> None:
    """A hook that declines is quoted; nothing was sent, and nothing has to be rolled back."""
    log = _hook(production, "echo tests are red >&2; exit 1")
    before, tip = await production.state(), await production.main()
    ending = await production.release()
    assert (ending.code, ending.report["verdict"]) == (3, "refused"), ending.report
    assert "tests are red" in ending.report["cause"]
    assert log.read_text() == "ran\n"
    assert (await production.state(), await production.main()) == (before, tip)


@pytest.mark.on("process")
async def test_hook_that_takes_too_long_is_named(production: Production) -> None:
    """A hook beyond the limit of the push is stopped and named; the branch did not move, and no hook runs again."""
    log = _hook(production, "exec sleep 60")
    before, tip = await production.state(), await production.main()
    ending = await production.release(limits="git_push = 2\nhealth_checks = 5\nvercel_deployment = 20")
    assert (ending.code, ending.report["verdict"]) == (1, "rolled_back"), ending.report
    assert "last: the pre-push hook, or the remote" in ending.report["cause"]
    assert log.read_text() == "ran\n"
    assert (await production.state(), await production.main()) == (before, tip)


def _push(ending: RunResult) -> dict[str, Any]:
    """Return what the plan says about the push."""
    (planned,) = (event for event in ending.events if event["event"] == "planned")
    return next(step for step in planned["steps"] if step["name"] == "git_push")
