"""What must be true of the world and of the tool's report, after every run."""

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
from tests.support.virtual.database import MemoryStore

VERDICTS = {
    "deployed": {0}, "rolled_back": {0, 1, 130}, "refused": {3, 130}, "needs_human": {4}, "rehearsed": {0},
}  # fmt: skip
NAMES = {
    "branch": {"git_push"},
    "live": {"vercel_deployment", "activation"},
    "schema": {"turso_migration"},
    "crons": {"pause_crons"},
}
TOLERATED = 0.5  # seconds: a rollback step is cancelled when its time is up, and gets a moment to finish what it began


@dataclass(frozen=True, slots=True)
class Facts:
    """The world at a moment. `markers`: attempt, state and time of each marker row."""

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
        """Return True if the change is in the database."""
        return any(state == "applied" for _, state, _ in self.markers)


def facts(story: Story) -> Facts:
    """Inspect the world."""
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
    """Compares each run with the world before the first of them."""

    story: Story
    change: DatabaseChange
    first: Facts

    async def after(self, run: Run, before: Facts) -> list[str]:
        """Return the errors found right after the run has ended or died."""
        now = facts(self.story)
        wrong = [*self._database(now), *(await self._serves(now))]
        if run.line.life.dead:
            return wrong
        wrong += [*self._consistent(run), *self._journalled(run), *self._in_time(run)]
        return [*wrong, *self._truthful(run, before, now)]

    async def at_the_end(self, run: Run) -> list[str]:
        """Return the errors found once everything under way has finished."""
        now = facts(self.story)
        wrong = [*self._database(now), *(await self._serves(now))]
        if run.code in (0, 1, 130, 3) and not self.story.done_by_others and not run.line.life.dead:
            new = run.report.get("verdict") == "deployed"
            tree = self._tree(now.live)
            right = self._released_tree if new else self.first.tree
            if tree != right:
                wrong.append(f"at the end {now.live} is live, not the {'new' if new else 'old'} code")
            if now.tree != right and not self._followed_up(run, now):
                wrong.append(f"at the end the branch is at {now.tip[:8]}")
            if now.is_applied != new:
                wrong.append(f"at the end the schema is {'old' if new else 'new'}")
        return wrong

    def _database(self, now: Facts) -> Iterator[str]:
        """Compare the database with the expected one: all of the old or all of the new, plus every row written."""
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
        """Check that rows the old schema cannot hold are kept for the next migration."""
        run = self.story.production.store.connection.execute
        exists = run("SELECT count(*) FROM sqlite_schema WHERE name = '_orchestrate_kept_user_systems'").fetchone()[0]
        if not exists:
            return
        waiting = {user for (user,) in run("SELECT clerk_user_id FROM _orchestrate_kept_user_systems")}
        gone = {each.args[0] for each in self._written("DELETE FROM systems")}
        guests = {each.args[1] for each in self._written("SELECT ?2, id, 'viewer'") if each.args[0] not in gone}
        if lost := guests - waiting:
            yield f"memberships of {lost} are not kept in _orchestrate_kept_user_systems"

    def _written(self, text: str) -> list[Any]:
        news = [each for write in self.story.book.writes if write.is_new for each in write.new]
        return [each for each in news if text in each.sql]

    async def _serves(self, now: Facts) -> list[str]:
        """Request what the site's users request: the live code must work on the present schema.

        If another person activated the old code on the new schema, the tool is not to blame.
        """
        if "return" in self.story.done_by_others and now.live == self.first.live and now.is_applied:
            return []
        troubles, self.story.production.world.site.troubles = self.story.production.world.site.troubles, ()
        async with self.story.production.visitor(Cookie=f"auth-token={TOKEN}") as client:
            status = (await client.get("/api/data")).status_code
        self.story.production.world.site.troubles = troubles
        schema = "new" if now.is_applied else "old"
        return [] if status == httpx.codes.OK else [f"{now.live} answers {status} on the {schema} schema"]

    def _consistent(self, run: Run) -> Iterator[str]:
        """Compare verdict, exit code and report with each other."""
        if not run.report:
            yield f"there is no report; {run.said!r}"
            return
        if run.code != run.report["exit_code"] or run.code not in VERDICTS.get(run.report["verdict"], set()):
            yield f"exit code {run.code}, but the report says {run.report['verdict']}, {run.report['exit_code']}"
        if run.code == 130 and not run.line.struck["interrupted"]:
            yield "exit code 130, but no one interrupted it"
        if "Traceback" in run.said or "defect" in f"{run.report['next_action']} {run.report['cause']}":
            yield f"a defect: {run.report['cause']}"

    def _journalled(self, run: Run) -> Iterator[str]:
        """Compare the journal on disk with the events received: lines whole, ends begun, begun steps rolled back."""
        lines = (self.story.production.folder / "runs" / run.id / "journal.jsonl").read_bytes().splitlines()
        torn = [line for line in lines if not _is_event(line)]
        if torn and not run.line.filled:
            yield f"{len(torn)} lines of the journal are torn"
        if len(lines) - len(torn) < len(run.events) and not run.line.filled:
            yield f"{len(lines)} lines of the journal for {len(run.events)} events"
        yield from self._unbegun(run)
        turned_back = [each["event"] for each in run.events if each["event"] in ("turned_back", "resumed")]
        undone = {each["step"] for each in run.events if each["event"] == "undo_done"}
        left = [name for name in _begun(run) if name not in undone]
        if turned_back and left and run.code != 4:
            yield f"{', '.join(left)} begun and not rolled back, but exit code {run.code}"

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
        """Compare the run with its budget; after a suspend it gets one more reserve."""
        budget = run.report.get("budget", {})
        used, suspended = budget.get("used_seconds"), run.line.suspended_seconds
        most = budget.get("total", 0.0) + (suspended + budget.get("reserve", 0.0) if suspended else 0.0)
        if used is not None and used > most + TOLERATED:
            yield f"it used {used} s; the limit is {most:g} s"

    def _truthful(self, run: Run, before: Facts, now: Facts) -> Iterator[str]:
        """Compare the exit code's claim with the world."""
        verdict, differing = run.report.get("verdict"), self._differing(now)
        if verdict == "deployed":
            yield from self._new(run, now)
        elif verdict == "refused":
            yield from self._unchanged(before, now)
        elif verdict == "rolled_back" and (wrong := differing - self._theirs() - self._followed_up(run, now)):
            yield f"reported as rolled back, but {', '.join(sorted(wrong))} differs"
        elif verdict == "needs_human":
            yield from self._remains(run, differing - self._followed_up(run, now))
        pinned = now.auto_assign != self.first.auto_assign and "switch" not in self.story.done_by_others
        if verdict == "rolled_back" and pinned and not self._unpin():
            yield f"auto-assign is {now.auto_assign}, but the report does not say how to unpin"

    def _followed_up(self, run: Run, now: Facts) -> set[str]:
        """Return what may differ because a follow-up names it: the branch, if nothing of it goes live by itself."""
        return {"branch"} if run.report["follow_ups"] and not now.auto_assign else set()

    def _unpin(self) -> bool:
        return any("curl" in str(event.get("unpin")) for run in self.story.runs for event in run.events)

    def _theirs(self) -> set[str]:
        return {"live"} if {"return", "push", "switch"} & set(self.story.done_by_others) else set()

    def _new(self, run: Run, now: Facts) -> Iterator[str]:
        others = set(self.story.done_by_others)
        head = self.story.production.checkout.head
        if head not in set(self.story.production.remote.history.ancestry(now.tip)):
            yield f"deployed, but the branch is at {now.tip[:8]}"
        if now.live != head and not (others and run.report["warnings"]):
            yield f"deployed, but {now.live} is live"
        if not now.is_applied:
            yield "deployed, but the schema is the old one"
        if now.crons != self.first.crons:
            yield f"deployed, but the crons are {'on' if now.crons else 'off'}"
        if now.auto_assign != self.first.auto_assign and not others:
            yield f"deployed, but auto-assign is {now.auto_assign}"

    def _unchanged(self, before: Facts, now: Facts) -> Iterator[str]:
        if self.story.done_by_others:
            return
        for name in ("tip", "production", "served", "auto_assign", "crons", "deployments", "markers"):
            if getattr(before, name) != getattr(now, name):
                yield f"refused, but {name} was {getattr(before, name)} and is {getattr(now, name)}"

    def _remains(self, run: Run, differing: set[str]) -> Iterator[str]:
        verified = [event["remains"] for event in run.events if event["event"] == "verified"]
        undone = {event["step"] for event in run.events if event["event"] == "undo_done"}
        named = {*(verified[-1] if verified else {}), *(name for name in _begun(run) if name not in undone)}
        if not run.report["remains"]:
            yield f"needs a human, but nothing remains: {run.report['cause']}"
        unnamed = {aspect for aspect in differing if not NAMES[aspect] & named}
        if unnamed - self._theirs():
            yield f"{', '.join(sorted(unnamed))} differs, but only {', '.join(sorted(named))} is named"

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
