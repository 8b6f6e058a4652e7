"""The report as a page: complete for every way in which a run can end, harmless whatever others wrote into it."""

import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from steps.support.console.report import fold, page
from steps.support.core.text import printable_lines
from tests.support.journals.hostile_text import HOSTILE, poisoned
from tests.support.journals.runs import RUNS, Event, parsed, state
from tests.support.paths import ROOT

IN_OTHER_WORDS = {
    "order", "started_at", "starts", "build", "code", "schema", "mode", "dry_run", "status", "lossless", "auto_assign",
    "median_seconds", "max_seconds", "first_failure", "last_failure",
}  # fmt: skip


class Parsed(HTMLParser):
    """A page's elements in order, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)

    def of(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of that name which have at least these."""
        return [held for name, held in self.elements if name == tag and attributes.items() <= held.items()]

    @property
    def text(self) -> str:
        """Return all of the text."""
        return "".join(self.texts)


def rendered(events: list[Event]) -> str:
    """Make the page of a run from its events."""
    return page.html(fold.report(state(events)), parsed(events))


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Return each plain value in it, with its name."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, key)
    else:
        yield key, value


@pytest.mark.parametrize("events", RUNS.values(), ids=RUNS)
def test_every_ending_has_its_page(events: list[Event]) -> None:
    """However a run ended: verdict and exit code, what is live, rolled back and left, next action and runbook."""
    told, parsed = fold.report(state(events)), Parsed(rendered(events))
    text = " ".join(parsed.text.split())
    assert f"{told['verdict']} - run {told['run_id']}" in text
    assert f"exit code {told['exit_code']}" in text
    labels = ("Live at the end", "Rolled back", "Remains", "Downtime", "Time used", "Next action", "Runbook")
    places = [text.index(label) for label in labels]
    assert places == sorted(places)
    for said in (told["next_action"], told["runbook"], *told["remains"], *told["warnings"]):
        assert said in text
    assert not re.search(r"\bNone\b(?!:|\.)|Undefined|nan", text)


def test_page_contains_every_fact_of_the_report() -> None:
    """Every text and number in a report stands on the page."""
    events = RUNS["rolled_back on purpose"]
    told, text = fold.report(state(events)), " ".join(" ".join(Parsed(rendered(events)).texts).split())
    facts = [(key, value) for key, value in leaves(told) if key not in IN_OTHER_WORDS and value not in (None, "")]
    assert len(facts) > 150
    assert [(key, value) for key, value in facts if not _stands(value, text)] == []


def _stands(value: Any, text: str) -> bool:
    words = value if isinstance(value, str) else page.exact(value)
    return re.search(rf"(?<![\w.]){re.escape(words)}(?![\w])", text) is not None


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_foreign_text_stays_text(text: str) -> None:
    """Commit messages, error bodies, table names: none becomes an element or an attribute."""
    events = RUNS["needs_human"]
    parsed, plain = Parsed(rendered(poisoned(events, text))), Parsed(rendered(poisoned(events, "plain")))
    assert [tag for tag, _ in parsed.elements] == [tag for tag, _ in plain.elements]
    assert [held.keys() for _, held in parsed.elements] == [held.keys() for _, held in plain.elements]
    assert printable_lines(text)[:300] in parsed.text
    assert all(char.isprintable() or char == "\n" for char in parsed.text)
    assert len(parsed.text) < 2_000_000


def test_megabyte_is_truncated_with_a_note() -> None:
    """Very long text shows its beginning, and how much more there is."""
    events = poisoned(RUNS["refused without a plan"], "y" * 1_000_000)
    assert "y... (990,000 more characters)" in Parsed(rendered(events)).text


@pytest.mark.parametrize("events", RUNS.values(), ids=RUNS)
def test_page_loads_nothing_and_runs_nothing(events: list[Event]) -> None:
    """The policy allows only the one style; no script, no inline style, no external address."""
    text = rendered(events)
    parsed = Parsed(text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    (policy,) = parsed.of("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy["content"] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert {tag for tag, _ in parsed.elements}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    names = {name for _, held in parsed.elements for name in held}
    assert not [name for name in names if name in {"style", "src", "srcset"} or name.startswith("on")]
    assert [held["href"] for _, held in parsed.elements if "href" in held] == ["#main"]
    assert not re.search(r"url\(|@import", style)


def test_drawing_matches_the_report() -> None:
    """Each bar, limit, reserve and outage is drawn at the place and width that its seconds in the report give."""
    events = RUNS["rolled_back"]
    told, parsed = fold.report(state(events)), Parsed(rendered(events))
    rows = [*told["steps"], *told["undo"]]
    drawn = [
        held for name, held in parsed.elements if name == "rect" and str(held["class"]).split()[0] in ("forward", "back") and "%" in str(held["x"])
    ]  # fmt: skip
    assert _spans(drawn) == _percents(*((row["began_seconds"], row["seconds"]) for row in rows))
    limits = [held for held in parsed.of("rect", **{"class": "limit"}) if "%" in str(held["x"])]
    assert _spans(limits) == _percents(*((row["began_seconds"], row["limit_seconds"]) for row in rows))
    reserve = [held for held in parsed.of("rect", **{"class": "reserve"}) if "%" in str(held["x"])]
    assert _spans(reserve) == _percents((90, 30))
    assert _spans(parsed.of("rect", **{"class": "down refused"})) == _percents((66.5, 1.5), (69.0, 0.4))


def _spans(drawn: list[dict[str, str | None]]) -> list[tuple[float, float]]:
    return [(float(str(held["x"])[:-1]), float(str(held["width"])[:-1])) for held in drawn]


def _percents(*spans: tuple[float, float]) -> list[tuple[float, float]]:
    return [(round(at / 1.2, 3), round(max(0.4, seconds / 1.2), 3)) for at, seconds in spans]


def test_table_beside_the_drawing_has_the_same_numbers() -> None:
    """The table gives from, to, took and limit of each bar, and which steps never began."""
    events = RUNS["needs_human"]
    table = rendered(events).split('<table class="times">')[1].split("</table>")[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in table.split("<tr>")[2:]]
    assert rows[0] == ["budget", "0", "120", "", "120", "reserve from 90"]
    assert ["vercel_deployment", "0.5", "62.75", "62.25", "75", "done"] in rows
    assert ["undo turso_migration", "71", "72", "1", "10", "failed"] in rows
    assert ["undo git_push", "", "", "", "", "not tried"] in rows


def test_journal_is_listed_without_observations() -> None:
    """Each event is a row with its second, truncated if long; the schemas that steps observed are left out."""
    events = [*RUNS["rolled_back"], {**RUNS["unlocked"][-1], "text": "z" * 400}]
    events[4] = {**events[4], "saw": {"git_push": {"schema": "CREATE TABLE secret_shape"}}}
    text = rendered(events).split("<details>")[1]
    assert text.count("<tr>") == len(events) + 1
    assert f"{'z' * 300}... (100 more characters)" in text
    assert "secret_shape" not in text
    assert '<td class="number">70.500</td><td>turned_back</td>' in text


def test_page_has_an_accessible_outline() -> None:
    """One first heading, no level skipped, every table header has a scope, every drawing a description."""
    parsed = Parsed(rendered(RUNS["rolled_back"]))
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h\d", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert max(after - before for before, after in pairwise(levels)) == 1
    assert all(held.get("scope") in ("row", "col") for held in parsed.of("th"))
    (drawing,) = parsed.of("svg", role="img")
    named = str(drawing["aria-labelledby"]).split()
    assert [held["id"] for tag, held in parsed.elements if tag in ("title", "desc") and "id" in held] == named
    assert parsed.of("html", lang="en")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "behind", "least"),
    [
        *((front, behind, 4.5) for front in ("ink", "quiet") for behind in ("paper", "raised", "budget")),
        ("ink", "reserve", 4.5),
        ("link", "paper", 4.5),
        *((front, "raised", 4.5) for front in ("good", "warn", "bad")),
        ("bad", "paper", 4.5),
        *((front, behind, 3.0) for front in ("forward", "back", "bad", "quiet") for behind in ("budget", "reserve")),
    ],
)
def test_contrast_meets_wcag_aa(scheme: str, front: str, behind: str, least: float) -> None:
    """Text and bars have the contrast that WCAG 2 requires at level AA, light and dark."""
    text = (ROOT / "steps/support/console/report/page.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in text.split("prefers-color-scheme: dark"))
    colours = light if scheme == "light" else dark
    assert _contrast(colours[front], colours[behind]) >= least


def _contrast(one: str, other: str) -> float:
    low, high = sorted(_luminance(each) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_template_engine_is_imported_late() -> None:
    """What only the page needs is not imported before a run has ended."""
    code = "import orchestrate, sys; sys.exit(int('jinja2' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
