"""How real teams have set up their platform and their branch, as data, and how a release must end there."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from steps.support.standin.vercel.quirks import Answer, Build, Listing, Origin, Quirks, Trouble
from steps.support.standin.vercel.state import AliasJob, Checks, JobStatus, State
from tests.release.platform.situations import (
    LIVE,
    OFF,
    OLD,
    ON,
    OTHER,
    RED,
    RESTORING,
    Auto,
    End,
    arrived,
    back,
    refused,
)
from tests.support.virtual.clock import START
from tests.support.virtual.production import VirtualProduction

Deed = Callable[[VirtualProduction], Awaitable[None]]

HELD = Build(held=True)  # deployed with --skip-domain
E2E = ("E2E", "Lighthouse")
ENCRYPTED = {"turso": 'url = "https://database.example"'}  # a token goes to no other address
WEEKS = 3 * 7 * 24 * 3_600_000  # milliseconds


@dataclass(frozen=True, slots=True)
class Setup:
    """One row.

    `says`: words that the report must contain. `build` and `again`: what becomes of the commit's deployment, and of the
    one after it. `merged`: how many
    seconds before the run the commit was merged; None if the run pushes it. `prepare`: what else happens before the run, and
    `settles`: how many seconds before it.
    `late`: the new code is unhealthy on the new schema. `seconds`: how long a build takes, and an alias to move.
    `tables`: lines of the settings, by table. `secrets`: variables of the environment. `most`: the most seconds that the
    run may use.
    """

    name: str
    end: End
    says: tuple[str, ...] = ()
    auto: Auto = ON
    quirks: Quirks = field(default_factory=Quirks)
    build: Build = field(default_factory=Build)
    again: Build = field(default_factory=Build)
    merged: float | None = None
    prepare: Deed | None = None
    settles: float = 0.0
    late: bool = False
    seconds: tuple[float, float] = (0.5, 0.1)
    tables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    most: float = 60.0


def _denied(where: str) -> Quirks:
    return Quirks(troubles=(Trouble(Answer.FORBIDDEN, where),))


def _jwt(expires: float) -> str:
    body = urlsafe_b64encode(json.dumps({"a": "rw", "exp": expires}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJFZERTQSJ9.{body}.c2ln"


async def _dead_target(production: VirtualProduction) -> None:
    platform = production.world.platform
    made = platform.created("e" * 40, "main", "Regretted", platform.catch_up())
    made.state, platform.production = State.CANCELED, made.id


async def _dead_job(production: VirtualProduction) -> None:
    platform = production.world.platform
    requested = platform.agenda.milliseconds(platform.catch_up()) - WEEKS
    platform.job = AliasJob("promote", LIVE, "dpl_99", requested, JobStatus.IN_PROGRESS)


async def _shares(production: VirtualProduction) -> None:
    production.world.platform.shared_env = ("FLAGS",)


async def _redeployed(production: VirtualProduction) -> None:
    platform = production.world.platform
    platform.pushed(production.checkout.head, "main", "the same commit, again")


async def _protected(production: VirtualProduction) -> None:
    production.remote.rules = lambda _: "remote: error: GH006: Protected branch update failed for refs/heads/main."


async def _another_head(production: VirtualProduction) -> None:
    await production.commit_more()


async def _dirty(production: VirtualProduction) -> None:
    production.checkout.uncommitted = ("package-lock.json",)


DEPLOYMENTS = (
    Setup("GitLab, on", arrived(), quirks=Quirks(origin=Origin.GITLAB)),
    Setup("GitLab, off, red", back(RED), auto=OFF, quirks=Quirks(origin=Origin.GITLAB), late=True),
    Setup("GitLab with an unfiltered list", arrived(), quirks=Quirks(Listing.UNFILTERED, origin=Origin.GITLAB)),
    Setup("Bitbucket, on, red", back(RED, auto=False), quirks=Quirks(origin=Origin.BITBUCKET), late=True),
    Setup("Bitbucket, off", arrived(), auto=OFF, quirks=Quirks(origin=Origin.BITBUCKET)),
    Setup(
        "an Action that needs 45 s, and is given 60",
        arrived(),
        auto=OFF,
        quirks=Quirks(origin=Origin.CLI, branch=""),
        build=Build(appears=45),
        tables={"limits": "deployment_appears = 60\nvercel_deployment = 70", "budget": "total = 120\nreserve = 30"},
        most=90,
    ),
    Setup(
        "an Action that needs 45 s, and is given 20",
        back("shows none after 20 s"),
        ("The project has no Git connection", "limits.deployment_appears"),
        auto=OFF,
        quirks=Quirks(origin=Origin.CLI, branch=""),
        build=Build(appears=45),
        tables={"limits": "vercel_deployment = 30"},
    ),
    Setup(
        "an Action that deploys files that were not committed",
        back("with files that were not committed"),
        ("without uncommitted files",),
        quirks=Quirks(origin=Origin.CHANGED),
        auto=OFF,
        tables={"limits": "deployment_appears = 3"},
    ),
    Setup(
        "an Action, beside a Git connection to another branch",
        arrived(),
        auto=OFF,
        quirks=Quirks(origin=Origin.CLI, branch="release"),
    ),
)

BEFORE = (
    Setup(
        "the production branch is another",
        refused("its production branch is release: what is on main becomes a preview"),
        ("Set `branch` to release", "#platform-not-ready"),
        quirks=Quirks(branch="release"),
    ),
    Setup(
        "rolling releases are configured",
        refused("rolling releases are configured"),
        ("Disable them",),
        auto=OFF,
        quirks=Quirks(gradual=True),
    ),
    Setup(
        "the production target is dead",
        refused("the production target is dpl_2, which is CANCELED, but 127.0.0.1 serves dpl_1", OLD, OTHER),
        ("Make dpl_1 the production target again",),
        prepare=_dead_target,
    ),
    Setup(
        "the domain redirects",
        refused("127.0.0.1 serves nothing: it redirects to www.liveone.example"),
        ("Set `site` to https://www.liveone.example",),
        quirks=Quirks(redirect="www.liveone.example"),
    ),
    Setup(
        "the domain is covered by a wildcard",
        refused("only through the wildcard *.0.0.1"),
        ("Set `site` to a domain of the project itself",),
        quirks=Quirks(wildcard=True),
    ),
    Setup(
        "the token expires in a minute",
        refused("it expires in 60 s, and a release with its rollback may take 84 s"),
        ("Set VERCEL_TOKEN", "#vercel-access"),
        quirks=Quirks(token_lasts=60),
    ),
    Setup("the token expires in three days", arrived(), quirks=Quirks(token_lasts=3 * 24 * 3600)),
    Setup("the token may not tell when it expires", arrived(), quirks=_denied("/v5/user/tokens/")),
    Setup(
        "the database token has expired",
        refused("it has expired"),
        ("Set TURSO_AUTH_TOKEN", "#database-access"),
        secrets={"TURSO_AUTH_TOKEN": _jwt(START - 5)},
        tables=ENCRYPTED,
    ),
    Setup(
        "the database token expires in a minute",
        refused("and a release with its rollback may take 84 s"),
        ("Set TURSO_AUTH_TOKEN",),
        secrets={"TURSO_AUTH_TOKEN": _jwt(START + 60)},
        tables=ENCRYPTED,
    ),
    Setup(
        "the database token lasts", arrived(), secrets={"TURSO_AUTH_TOKEN": _jwt(START + 9_000_000)}, tables=ENCRYPTED
    ),
    Setup(
        "the database token is no JWT", arrived(), secrets={"TURSO_AUTH_TOKEN": "secret.of-some.kind"}, tables=ENCRYPTED
    ),
    Setup("a token that may not name its user", arrived(), quirks=_denied("/v2/user")),
    Setup("an alias job of three weeks ago", arrived(), prepare=_dead_job),
    Setup("an alias job of three weeks ago, off, red", back(RED), auto=OFF, prepare=_dead_job, late=True),
    Setup("a shared variable", arrived(), prepare=_shares, tables={"vercel": 'required_env = ["FLAGS"]'}),
    Setup(
        "a shared variable of another project",
        refused("production has no OF_ANOTHER"),
        ("Set them on the platform",),
        tables={"vercel": 'required_env = ["OF_ANOTHER"]'},
    ),
    Setup(
        "shared variables that the token may not read",
        refused("production has no FLAGS"),
        prepare=_shares,
        quirks=_denied("/v1/env"),
        tables={"vercel": 'required_env = ["FLAGS"]'},
    ),
)

CHECKS = (
    Setup("checks that succeed, on", arrived(), build=Build(checks=Checks(E2E, 4))),
    Setup("checks that succeed, off", arrived(), auto=OFF, build=Build(checks=Checks(E2E, 4))),
    Setup(
        "checks that fail, on",
        back("its checks failed: E2E, Lighthouse", later=RESTORING),
        ("Look at these checks",),
        build=Build(checks=Checks(E2E, 2, "failed")),
        most=8,
    ),
    Setup(
        "checks that fail, off",
        back("its checks failed: E2E, Lighthouse"),
        auto=OFF,
        build=Build(checks=Checks(E2E, 2, "failed")),
        most=8,
    ),
    Setup(
        "checks that were canceled, on",
        back("its checks failed: E2E", later=RESTORING),
        build=Build(checks=Checks(("E2E",), 2, "canceled")),
        most=8,
    ),
    Setup(
        "checks that begin late and fail, on",
        back("its checks failed", later=RESTORING),
        build=Build(checks=Checks(("E2E",), 4, "failed", unseen=2)),
        most=12,
    ),
    Setup(
        "checks that take longer than the limit",
        back("dpl_2 is READY, and its checks run: E2E"),
        auto=OFF,
        build=Build(checks=Checks(("E2E",), 40)),
    ),
    Setup(
        "checks that the token may not read",
        back("its checks failed: not named by the platform"),
        auto=OFF,
        quirks=_denied("check-runs"),
        build=Build(checks=Checks(E2E, 2, "failed")),
    ),
)

NONE = 'release = "none"'
ALREADY = (
    Setup("merged, and staged", arrived(), ("the platform has built", "waits, staged"), OFF, merged=60),
    Setup("merged, and staged, red", back(RED), auto=OFF, merged=60, late=True),
    Setup("merged, and building, off", arrived(), auto=OFF, merged=5, seconds=(10, 0.1)),
    Setup("merged, and building, on", arrived(), ("goes live by itself",), merged=5, seconds=(10, 0.1)),
    Setup("merged, and building, on, red", back(RED, auto=False), merged=5, seconds=(10, 0.1), late=True),
    Setup("merged, and live", arrived(), ("live already; before it, dpl_1 was live",), merged=60),
    Setup("merged, and live, red", back(RED, auto=False), merged=60, late=True),
    Setup("deployed with --skip-domain, on", arrived(), ("without the production domains",), merged=60, build=HELD),
    Setup("deployed with --skip-domain, on, red", back(RED, auto=False), merged=60, build=HELD, late=True),
    Setup(
        "deployed with --skip-domain by an Action, off",
        arrived(),
        auto=OFF,
        merged=60,
        build=HELD,
        quirks=Quirks(origin=Origin.CLI, branch=""),
    ),
    Setup(
        "merged, and promoting fails, on",
        back("402", auto=False),
        merged=60,
        build=HELD,
        quirks=Quirks(troubles=(Trouble(Answer.PAYMENT_REQUIRED, "/promote/"),)),
    ),
    Setup(
        "merged, and nothing deploys it",
        refused("the platform shows none after 5 s; the newest is dpl_1"),
        ("vercel.deploy", "limits.deployment_appears", "#deployment-not-found"),
        merged=60,
        build=Build(None),
        tables={"limits": "deployment_appears = 5"},
    ),
    Setup(
        "merged, and an Action needs 45 s more",
        arrived(),
        auto=OFF,
        merged=5,
        build=Build(appears=50),
        tables={"limits": "deployment_appears = 60"},
    ),
    Setup("merged, and the build failed", refused("its build failed"), auto=OFF, merged=60, build=Build("ERROR")),
    Setup(
        "merged, and deployed twice",
        refused("it has several: dpl_3, dpl_2"),
        ("Delete all but one",),
        OFF,
        merged=60,
        prepare=_redeployed,
    ),
    Setup(
        "merged, and built again, in vain",
        arrived(),
        auto=OFF,
        merged=60,
        again=Build("ERROR"),
        prepare=_redeployed,
        settles=5,
    ),
    Setup(
        "nothing merged, only what is live",
        refused("is live already, and no deployment was live before it"),
        tables={"top": NONE},
    ),
    Setup("merged, and a rolling release", refused("are configured"), auto=OFF, merged=60, quirks=Quirks(gradual=True)),
    Setup(
        "a push that a protected branch refuses",
        refused("GH006: Protected branch update failed"),
        ('release = "none"', "#push-refused"),
        prepare=_protected,
    ),
)


def _command(words: str) -> dict[str, str]:
    return {"vercel": f'deploy = "{words}"', "limits": "deploy_command = 15\nvercel_deployment = 20"}


COMMANDS = (
    Setup(
        "a command that deploys, off",
        arrived(),
        ("deploy ", "with `works --prod`", "the command deployed dpl_2"),
        auto=OFF,
        merged=60,
        tables=_command("works --prod"),
    ),
    Setup(
        "a command that deploys, on",
        arrived(),
        merged=60,
        tables=_command("works"),
    ),
    Setup("a command that deploys, off, red", back(RED), auto=OFF, merged=60, tables=_command("works"), late=True),
    Setup("a command that deploys, on, red", back(RED, auto=False), merged=60, tables=_command("works"), late=True),
    Setup(
        "a command that fails",
        back("it exited with code 1: Error: no access", auto=False),
        ("this run did not push them", "autoAssignCustomDomains"),
        merged=60,
        tables=_command("fails"),
    ),
    Setup(
        "a command that deploys another commit",
        back("the command deployed dpl_2, which is of dddddddd"),
        ("gitCommitSha=$COMMIT_SHA",),
        auto=OFF,
        merged=60,
        tables=_command("another"),
    ),
    Setup(
        "a command, and another commit checked out",
        refused("is checked out, and main is at"),
        ("Pull first", "#checkout-not-ready"),
        merged=60,
        prepare=_another_head,
        tables=_command("works"),
    ),
    Setup(
        "a command, and files that are not committed",
        refused("it is not clean: package-lock.json, and the command would deploy it"),
        merged=60,
        prepare=_dirty,
        tables=_command("works"),
    ),
    Setup(
        "a command, and the commit is live already",
        refused("dpl_2 is already a deployment of"),
        ("Unset vercel.deploy",),
        merged=60,
        prepare=_redeployed,
        tables=_command("works"),
    ),
)

SETUPS = (*DEPLOYMENTS, *BEFORE, *CHECKS, *ALREADY, *COMMANDS)
