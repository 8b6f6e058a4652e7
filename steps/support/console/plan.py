"""Print the plan before the clock starts: what is released where, in which order, and how each step is rolled back."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any

from steps.support.console.printer import SHORT, Line, cut, named
from steps.support.core.events import Planned
from steps.support.sql.findings import NEW_CODE, OLD_CODE, VERIFY, WRITES

CODE = {"old": OLD_CODE, "new": NEW_CODE}
WORDS = {  # the order in words, the code that must run on both schemas, and what follows from that
    "CODE_FIRST": ("code first, then schema", "new", "so it goes live first"),
    "DATA_FIRST": ("schema first, then code", "old", "so the schema changes first"),
}
ALONE = "code only: the schema does not change"
UNSHOWN = {
    VERIFY: f"that the change did what it should: {VERIFY} checks nothing",
    WRITES: f"that a rollback keeps what the app writes meanwhile: {WRITES} writes nothing",
}
INDENT = "    "


def plan_lines(event: Planned) -> list[Line]:
    """Return the lines of the plan."""
    ruled_out = [cut(f"not {order}: {why}", SHORT) for order, why in event.ruled_out.items()]
    return [
        Line(),
        *_target(event),
        *named("commits", *(f"{commit['sha'][:8]} {commit['subject']}" for commit in event.facts.get("commits", ()))),
        Line(),
        *(line for number, step in enumerate(event.steps, 1) for line in _step(number, step)),
        Line(),
        *named("order", order_words(event.order or "", event.facts.get("rehearsal")), *ruled_out),
        *_changes(event),
        *_writes(event),
        *named("time", _time(event)),
        Line(),
    ]


def order_words(name: str, rehearsal: Mapping[str, Any] | None) -> str:
    """Return in which order code and schema are released, and why.

    `rehearsal`: the report's part about the rehearsal, or None if the contract has no statement.
    """
    if rehearsal is None:
        return f"{ALONE}; not shown that the new code runs on it: {OLD_CODE} and {NEW_CODE} hold no statement"
    if rehearsal["migrate_seconds"] is None:
        return ALONE
    order, code, so = WORDS[name]
    if CODE[code] in unasked_words(rehearsal):
        return f"{order}; not shown that the {code} code reads both schemas: {CODE[code]} holds no statement"
    return f"{order}: the {code} code reads both schemas, {so}"


def unasked_words(rehearsal: Mapping[str, Any]) -> Collection[str]:
    """Return the files that check or write nothing.

    The list is empty if the report is from an earlier version of this tool, which did not record these files.
    """
    return list(rehearsal.get("unasked", ()))


def _target(event: Planned) -> list[Line]:
    target, now = event.target or {}, event.facts.get("production")
    live = f", live now {now['id']} of {now['sha'][:8]}" if now else ""
    project = f"{target['project']} at {target['site']}{live}"
    network = [event.facts["network"]] if "network" in event.facts else []
    names = [*named("project", project), *named("database", target["database"]), *named("branch", target["branch"])]
    return [*names, *(named("network", *network) if network else [])]


def _step(number: int, step: Mapping[str, Any]) -> list[Line]:
    seconds = f"about {step['expected_seconds']:.0f} s, at most {step['limit_seconds']:g} s"
    rollback = f"rollback: {step['way_back']} (about {step['undo_seconds']:.0f} s)" if "way_back" in step else ""
    return [
        Line(f"{number} {step['name']:<20}", seconds, "bold"),
        *(Line(INDENT, words) for words in (step["plan"], rollback) if words),
    ]


def _changes(event: Planned) -> list[Line]:
    changes, kept = event.facts.get("changes"), event.facts.get("backup")
    if not changes or not kept:
        return []
    rehearsal, size = event.facts["rehearsal"], f"{kept['rows']:,} rows, {kept['bytes'] / 1e6:,.1f} MB"
    took = f"migration {rehearsal['migrate_seconds'] or 0:.2f} s, rollback {rehearsal['rollback_seconds'] or 0:.2f} s"
    silent = unasked_words(rehearsal)
    contract = (line for place, fails in event.facts["contract"].items() for line in _contract(place, fails, silent))
    return [
        Line(),
        *named("schema", *changes["schema"]),
        *named("rows", *(f"{name}: {counts_words(counts)}" for name, counts in changes["rows"].items())),
        *named("contract", *contract),
        *named("rehearsed", f"on {rehearsal['engine']}, on a copy of all rows: {took}, {_losses(rehearsal)}"),
        *named("not shown", *(words for file, words in UNSHOWN.items() if file in silent)),
        *named("warning", *rehearsal["warnings"]),
        *named("accepted", *rehearsal["accepted"]),
        *named("note", *rehearsal["notes"]),
        *named("backup", f"{kept['path']}: {size}"),
        Line(),
    ]


def _losses(rehearsal: Mapping[str, Any]) -> str:
    if rehearsal["lossless"]:
        return "lossless" + (f"; not shown for {', '.join(rehearsal['not_shown'])}" if rehearsal["not_shown"] else "")
    return "not shown to be lossless" if WRITES in unasked_words(rehearsal) else "with losses"


def _contract(place: str, fails: Sequence[str], silent: Collection[str]) -> Iterator[str]:
    """Yield a line that says whether a version of the code runs on a schema, then one for each statement that fails."""
    file = CODE[place.split(" ", 1)[0]]
    if file in silent:
        yield f"{place}: not shown: {file} holds no statement"
        return
    yield f"{place}: {len(fails)} statement(s) fail" if fails else f"{place}: runs"
    yield from (INDENT + cut(why, SHORT) for why in fails)


def _writes(event: Planned) -> list[Line]:
    """Return the lines that say what the run writes, and where."""
    outside = [f"{step['name']}: {step['writes']}" for step in event.steps if "writes" in step]
    lock = "the lock: one row in the database, while the run lasts"
    backup = "; the backup in it is a copy of production" if event.facts.get("backup") else ""
    return named("writes", *outside, lock, f"locally: {event.folder}/, readable by you alone{backup}")


def _time(event: Planned) -> str:
    forecast, budget = event.forecast or {}, event.budget
    is_late = budget["starts"] == "live"
    after = [*dropwhile(lambda step: step.get("prepares"), event.steps)] if is_late else event.steps
    seconds = sum(step["expected_seconds"] for step in after)
    build = f"about {forecast['seconds'] - seconds:.0f} s of {budget['build']:g} s for the build; then "
    first = build if is_late else ""
    forward = f"about {seconds:.0f} s of {budget['total'] - budget['reserve']:g} s to go forward"
    return f"{first}{forward}, about {forecast['undo_seconds']:.0f} s of {budget['reserve']:g} s kept to roll back"


def counts_words(counts: Mapping[str, Any]) -> str:
    """Return, in words, how many rows of a table are added, removed and changed."""
    rows = [f"{counts[what]:,} {what}" for what in ("added", "removed", "changed") if counts[what]]
    columns = ", ".join(f"{name} {count:,}" for name, count in counts["columns"].items())
    return f"{', '.join(rows) or 'none'} of {counts['before'] or 0:,}" + (f" ({columns})" if columns else "")
