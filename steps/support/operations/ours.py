"""Find out whose deployments are in production, even while the platform's list of deployments does not answer."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from steps.support.core.errors import NotSent, Problem, Rejected, Unknown
from steps.support.core.limits import LIST_READ, OWNER_KNOWN
from steps.support.core.retry import retry
from steps.support.gateways.git import Git
from steps.support.gateways.vercel import Deployment, Project, Vercel
from steps.support.operations.foreign_moves import NEWEST


@dataclass(slots=True)
class Ours:
    """The deployments that are known to be of one release, or to have the files that were live before it.

    `sha`: the release's commit. `before` and `before_sha`: the deployment that was live before it, and its commit.
    `mine`: the ids of the release's deployments. `known`: those, the previous one, and those of a commit that restores
    it. `listed`: whether the platform's list has answered.
    """

    vercel: Vercel
    git: Git
    sha: str
    before: str
    before_sha: str
    mine: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    listed: bool = False
    _foreign: set[str] = field(default_factory=set)

    async def list(self) -> None:
        """Learn from the platform's list, if it answers within LIST_READ seconds."""
        self.known.add(self.before)
        with suppress(TimeoutError, Rejected, NotSent, Unknown):
            async with asyncio.timeout(LIST_READ + self.vercel.round_trip):
                mine, newest = await asyncio.gather(
                    retry(self.vercel.production_deployments, self.sha),
                    retry(partial(self.vercel.production_deployments, most=NEWEST)),
                )
                since = max((each.created for each in mine), default=0)
                self._are_mine({each.id for each in mine})
                self.listed = True
                for each in newest:
                    if each.created > since and await self._is_restoring(each.sha):
                        self.known.add(each.id)

    async def judge(self, project: Project, served: str | None, since: int | None) -> None:
        """Learn whose the deployments are that production serves, moves to, or was moved to since then.

        Raise Unknown if the platform does not tell whose one of them is: what others did must not be undone.
        """
        for identifier in _involved(project, served, since):
            if identifier not in self.known | self._foreign:
                await self._judge(identifier, project)

    async def is_mine(self, identifier: str, project: Project) -> bool:
        """Return True if a deployment is of the release. Raise Unknown if the platform does not tell."""
        if identifier not in self.known | self._foreign:
            await self._judge(identifier, project)
        return identifier in self.mine

    async def _judge(self, identifier: str, project: Project) -> None:
        sha = project.production_sha if identifier == project.production_id else ""
        sha = sha or await self._sha(identifier)
        if sha == self.sha:
            self._are_mine({identifier})
        elif await self._is_restoring(sha):
            self.known.add(identifier)
        else:
            self._foreign.add(identifier)

    async def _sha(self, identifier: str) -> str:
        """Return the commit of a deployment. If the list has answered and did not name it, it need not be known."""
        found: Deployment | None = None
        with suppress(TimeoutError, Rejected, NotSent, Unknown):
            async with asyncio.timeout(OWNER_KNOWN + self.vercel.round_trip):
                found = await retry(self.vercel.deployment, identifier)
        if found is None and not self.listed:
            raise Unknown(
                code="connection",
                operation="waiting for",
                subject="an answer",
                cause=f"the platform does not say whose {identifier} is",
                remedy="Look at the deployment on the platform.",
            )
        return found.sha if found else ""

    def _are_mine(self, identifiers: set[str]) -> None:
        self.mine |= identifiers
        self.known |= identifiers

    async def _is_restoring(self, commit: str) -> bool:
        """Return True if a commit is on top of the release's and has the previous files."""
        if commit in ("", self.sha, self.before_sha):
            return False
        with suppress(Problem):
            return await self.git.is_ancestor(self.sha, commit) and await self.git.same_files(commit, self.before_sha)
        return False


def _involved(project: Project, served: str | None, since: int | None) -> Iterator[str]:
    """Yield the deployments that decide whose production is."""
    move = project.move
    is_recent = move is not None and not move.had_no_effect and since is not None and move.requested > since
    ends = (move.to, move.source) if move and is_recent else ()
    yield from filter(None, (project.production_id, served, project.moving_to, *ends))
