"""The stage a run plays on: the four open gateways. A plan cannot tell which stage it is on."""

from dataclasses import dataclass

from steps.support.gateways.git import Git
from steps.support.gateways.site import Site
from steps.support.gateways.turso import Turso
from steps.support.gateways.vercel import Vercel


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything outside that a step may look at or change."""

    git: Git
    vercel: Vercel
    turso: Turso
    site: Site

    @property
    def target(self) -> dict[str, str]:
        """Name what is released to."""
        return {
            "branch": f"{self.git.remote}/{self.git.branch}",
            "project": self.vercel.name,
            "database": self.turso.address,
            "site": self.vercel.host,
        }
