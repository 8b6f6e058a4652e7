"""What must be true of the world and of what the tool said, after every run of it."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx

from steps.support.sql.change import DatabaseChange
from steps.support.sql.statement import Value
from steps.support.standin.world import TOKEN
from tests.campaign.contents import Contents, contents, differences
from tests.campaign.story import Run, Story
from tests.world.database import MemoryStore

VERDICTS = {
    "deployed": {0}, "rolled_back": {0, 1, 130}, "refused": {3, 130}, "needs_human": {4}, "rehearsed": {0},
}  # fmt: skip
NAMES = {
    "branch": {"git_push"},
    "live": {"vercel_deployment", "activation"},
    "schema": {"turso_migration"},
    "crons": {"pause_crons"},
}
TOLERATED = 0.5  # seconds: an undo is cut off when its time is up, and gets a moment to end what it began


@dataclass(frozen=True, slots=True)
class Facts:
    """The world at a moment. `state`: of the newest marker row."""

    tip: str
    tree: str
    production: str | None
    served: str | None
    live: str | None
    auto_assign: bool
    crons: bool
    deployments: int
    markers: tuple[tuple[Value, ...], ...]
    contents: Contents

    @property
    def is_applied(self) -> bool:
        """Say whether the change is in the database."""
        return any(state == "applied" for _, state, _ in self.markers)


def facts(story: Story) -> Facts:
    """Look at the world."""
    made = story.production
    platform, remote = made.world.platform, made.remote
    live = platform.live_sha()
    return Facts(
        remote.tip, remote.history.commits[remote.tip].tree, platform.production, platform.served, live,
        platform.auto_assign, platform.crons, len(platform.known), _markers(made.store), contents(made.store),
    )  # fmt: skip


def _markers(store: MemoryStore) -> tuple[tuple[Value, ...], ...]:
    exists = "SELECT count(*) FROM sqlite_schema WHERE name = '_orchestrate_migrations'"
    if not store.connection.execute(exists).fetchone()[0]:
        return ()
    return tuple(store.connection.execute("SELECT attempt, state, at FROM _orchestrate_migrations ORDER BY attempt"))


@dataclass
class Oracle:
    """Holds each run against the world before the first of them."""

    story: Story
    change: DatabaseChange
    first: Facts

    async def after(self, run: Run, before: Facts) -> list[str]:
        """Say what is not as it must be, the run having just ended or died."""
        now = facts(self.story)
        wrong = [*self._database(now), *(await self._serves(now))]
        if run.line.life.dead:
            return wrong
        wrong += [*self._told(run), *self._journalled(run), *self._in_time(run)]
        return [*wrong, *self._true(run, before, now)]

    async def in_the_end(self, run: Run) -> list[str]:
        """Say what is not as it must be, all that was under way having come."""
        now = facts(self.story)
        wrong = [*self._database(now), *(await self._serves(now))]
        if run.code in (0, 1, 130, 3) and not self.story.done_by_others and not run.line.life.dead:
            new = run.report.get("verdict") == "deployed"
            tree = self._tree(now.live)
            right = self._released_tree if new else self.first.tree
            if tree != right:
                wrong.append(f"in the end {now.live} is live, which is not the {'new' if new else 'old'} code")
            if now.tree != right:
                wrong.append(f"in the end the branch is at {now.tip[:8]}")
            if now.is_applied != new:
                wrong.append(f"in the end the schema is {'old' if new else 'new'}")
        return wrong

    def _database(self, now: Facts) -> Iterator[str]:
        """Hold the database against what there is to be: all of before or all of the change, and each row written."""
        book, sample = self.story.book, self.story.sample
        if now.is_applied:
            committed = next(at for _, state, at in now.markers if state == "applied")
            expected = book.as_new(sample, self.change, float(str(committed)))
        else:
            expected = book.as_old(sample)
        with closing(expected):
            yield from differences(contents(expected), now.contents)
        if not now.is_applied:
            yield from self._kept()

    def _kept(self) -> Iterator[str]:
        """Hold what the old schema cannot hold against what waits for the next migration."""
        run = self.story.production.store.connection.execute
        exists = run("SELECT count(*) FROM sqlite_schema WHERE name = '_orchestrate_kept_user_systems'").fetchone()[0]
        if not exists:
            return
        waiting = {user for (user,) in run("SELECT clerk_user_id FROM _orchestrate_kept_user_systems")}
        gone = {each.args[0] for each in self._written("DELETE FROM systems")}
        guests = {each.args[1] for each in self._written("SELECT ?2, id, 'viewer'") if each.args[0] not in gone}
        if lost := guests - waiting:
            yield f"memberships of {lost} do not wait in _orchestrate_kept_user_systems"

    def _written(self, text: str) -> list[Any]:
        news = [each for write in self.story.book.writes if write.is_new for each in write.new]
        return [each for each in news if text in each.sql]

    async def _serves(self, now: Facts) -> list[str]:
        """Ask the site what its users ask: the code that is live runs on the schema that is there.

        Where somebody else put the old code back on the new schema, that is theirs to answer for.
        """
        if "return" in self.story.done_by_others and now.live == self.first.live and now.is_applied:
            return []
        troubles, self.story.production.world.site.troubles = self.story.production.world.site.troubles, ()
        async with self.story.production.visitor(Cookie=f"auth-token={TOKEN}") as client:
            status = (await client.get("/api/data")).status_code
        self.story.production.world.site.troubles = troubles
        schema = "new" if now.is_applied else "old"
        return [] if status == httpx.codes.OK else [f"{now.live} answers {status} on the {schema} schema"]

    def _told(self, run: Run) -> Iterator[str]:
        """Hold verdict, exit code and report against each other."""
        if not run.report:
            yield f"there is no report; {run.said!r}"
            return
        if run.code != run.report["exit_code"] or run.code not in VERDICTS.get(run.report["verdict"], set()):
            yield f"exit code {run.code}, but the report says {run.report['verdict']}, {run.report['exit_code']}"
        if run.code == 130 and not run.line.struck["interrupted"]:
            yield "exit code 130, and nobody interrupted it"
        if "Traceback" in run.said or "defect" in f"{run.report['next_action']} {run.report['cause']}":
            yield f"a defect: {run.report['cause']}"

    def _journalled(self, run: Run) -> Iterator[str]:
        """Hold the journal on disk against what was heard: each line whole, each end begun, each begun undone."""
        lines = (self.story.production.folder / "runs" / run.id / "journal.jsonl").read_bytes().splitlines()
        torn = [line for line in lines if not _is_event(line)]
        if torn and not run.line.filled:
            yield f"{len(torn)} lines of the journal are torn"
        if len(lines) - len(torn) < len(run.events) and not run.line.filled:
            yield f"{len(lines)} lines of the journal for {len(run.events)} events"
        yield from self._unbegun(run)
        turned = [each["event"] for each in run.events if each["event"] in ("turned_back", "resumed")]
        undone = {each["step"] for each in run.events if each["event"] == "undo_done"}
        left = [name for name in _begun(run) if name not in undone]
        if turned and left and run.code != 4:
            yield f"{', '.join(left)} begun and not undone, and exit code {run.code}"

    def _unbegun(self, run: Run) -> Iterator[str]:
        for kind in ("", "undo_"):
            open_now = set[str]()
            for event in run.events:
                if event["event"] == f"{kind}begun":
                    open_now.add(event["step"])
                elif event["event"] in (f"{kind}done", f"{kind}failed"):
                    if event["step"] not in open_now:
                        yield f"{event['event']} of {event['step']}, which was not begun"
                    open_now.discard(event["step"])
            if open_now:
                yield f"{kind}begun of {', '.join(sorted(open_now))} has no end"

    def _in_time(self, run: Run) -> Iterator[str]:
        """Hold the run against its budget; after a suspend there is a whole reserve more."""
        budget = run.report.get("budget", {})
        used, slept = budget.get("used_seconds"), run.line.slept
        most = budget.get("total", 0.0) + (slept + budget.get("reserve", 0.0) if slept else 0.0)
        if used is not None and used > most + TOLERATED:
            yield f"it used {used} s of {most:g}"

    def _true(self, run: Run, before: Facts, now: Facts) -> Iterator[str]:
        """Hold what the exit code says against the world."""
        verdict, differing = run.report.get("verdict"), self._differing(now)
        if verdict == "deployed":
            yield from self._new(run, now)
        elif verdict == "refused":
            yield from self._untouched(before, now)
        elif verdict == "rolled_back" and (wrong := differing - self._theirs()):
            yield f"said to be put back, and {', '.join(sorted(wrong))} differs"
        elif verdict == "needs_human":
            yield from self._remains(run, differing)
        pinned = now.auto_assign != self.first.auto_assign and "switch" not in self.story.done_by_others
        if verdict == "rolled_back" and pinned and not self._unpin():
            yield f"auto-assign is {now.auto_assign}, and nobody is told"

    def _unpin(self) -> bool:
        return any("curl" in str(event.get("unpin")) for run in self.story.runs for event in run.events)

    def _theirs(self) -> set[str]:
        return {"live"} if {"return", "push", "switch"} & set(self.story.done_by_others) else set()

    def _new(self, run: Run, now: Facts) -> Iterator[str]:
        others = set(self.story.done_by_others)
        head = self.story.production.checkout.head
        if head not in set(self.story.production.remote.history.below(now.tip)):
            yield f"deployed, and the branch is at {now.tip[:8]}"
        if now.live != head and not (others and run.report["warnings"]):
            yield f"deployed, and {now.live} is live"
        if not now.is_applied:
            yield "deployed, and the schema is the old one"
        if now.crons != self.first.crons:
            yield f"deployed, and the crons are {'on' if now.crons else 'off'}"
        if now.auto_assign != self.first.auto_assign and not others:
            yield f"deployed, and auto-assign is {now.auto_assign}"

    def _untouched(self, before: Facts, now: Facts) -> Iterator[str]:
        if self.story.done_by_others:
            return
        for name in ("tip", "production", "served", "auto_assign", "crons", "deployments", "markers"):
            if getattr(before, name) != getattr(now, name):
                yield f"refused, and {name} was {getattr(before, name)} and is {getattr(now, name)}"

    def _remains(self, run: Run, differing: set[str]) -> Iterator[str]:
        verified = [event["remains"] for event in run.events if event["event"] == "verified"]
        undone = {event["step"] for event in run.events if event["event"] == "undo_done"}
        named = {*(verified[-1] if verified else {}), *(name for name in _begun(run) if name not in undone)}
        if not run.report["remains"]:
            yield f"needs a human, and nothing remains: {run.report['cause']}"
        unnamed = {aspect for aspect in differing if not NAMES[aspect] & named}
        if unnamed - self._theirs():
            yield f"{', '.join(sorted(unnamed))} differs, and only {', '.join(sorted(named))} is named"

    def _differing(self, now: Facts) -> set[str]:
        first = self.first
        differs = {
            "branch": now.tree != first.tree,
            "live": (now.production, now.served) != (first.production, first.served),
            "schema": now.is_applied,
            "crons": now.crons != first.crons,
        }
        return {aspect for aspect, does in differs.items() if does}

    def _tree(self, sha: str | None) -> str:
        return self.story.production.remote.history.commits[sha].tree if sha else ""

    @property
    def _released_tree(self) -> str:
        return self._tree(self.story.production.checkout.head)


def _begun(run: Run) -> list[str]:
    refused = {each["step"] for each in run.events if each["event"] == "failed" and each["refused"]}
    begins = [each["begins"] for each in run.events if "begins" in each and each.get("step") not in refused]
    return list(dict.fromkeys(name for names in begins for name in names))


def _is_event(line: bytes) -> bool:
    try:
        return "event" in json.loads(line)
    except ValueError:
        return not line
