"""The page as a browser shows it: a real Chromium opens the file, and whatever it complains of or asks for is told."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from steps.support.console.report import fold
from steps.support.console.report import page as written
from tests.console.runs import RUNS, Event, parsed, state
from tests.console.test_page import HOSTILE, poisoned
from tests.world import npm

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = {"axe-core": "4.14.1"}
SHOWN = ["deployed", "rolled_back", "refused without a plan", "needs_human", "a clock for the build", "rollback"]


@dataclass
class Seen:
    """An open page, what the browser had to say of it, and what else it asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give the browser that the machine has; none is downloaded, and no test is skipped for want of it."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail("There is no Chromium on PATH: install it, such as with `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Give the text of axe-core, which looks for what keeps people from reading a page."""
    return (npm.install("npm-axe", AXE) / "axe-core" / "axe.min.js").read_text()


@contextmanager
def opened(chromium: Browser, folder: Path, events: list[Event], **options: Any) -> Iterator[Seen]:
    """Write a run's page, and have the browser open the file."""
    file = folder / "report.html"
    file.write_text(written.html(fold.report(state(events)), parsed(events)))
    with chromium.new_context(**options) as context:
        yield _visit(context, file.as_uri())


def _visit(context: BrowserContext, address: str) -> Seen:
    seen = Seen(context.new_page())

    def passes(route: Route) -> None:
        if route.request.url == address:
            return route.continue_()
        seen.asked.append(route.request.url)
        return route.abort()

    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.said.append(dialog.message))
    seen.page.route("**/*", passes)
    seen.page.goto(address)
    return seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("run", SHOWN)
def test_it_is_shown_without_a_complaint(chromium: Browser, tmp_path: Path, run: str, scheme: Any) -> None:
    """Nothing on the console, no breach of the policy, no request, nothing wider than the screen; light and dark."""
    with opened(chromium, tmp_path, RUNS[run], color_scheme=scheme, viewport={"width": 1000, "height": 800}) as seen:
        assert (seen.said, seen.asked) == ([], [])
        assert seen.page.title() == f"{fold.verdict(state(RUNS[run]))} - run {RUNS[run][0]['run']}"
        paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
        assert _style(seen.page, "body", "backgroundColor") == paper
        assert len(seen.page.screenshot(full_page=True)) > 20_000  # bytes; an empty one has less than a third of that


def test_an_empty_screen_would_be_noticed(chromium: Browser) -> None:
    """The measure for a picture that shows something is well above one that shows nothing."""
    with chromium.new_context(viewport={"width": 1000, "height": 800}) as context:
        assert len(context.new_page().screenshot()) < 7_000


@pytest.mark.parametrize("width", [360, 380, 768, 1440])
@pytest.mark.parametrize("run", SHOWN)
def test_it_fits_the_screen(chromium: Browser, tmp_path: Path, run: str, width: int) -> None:
    """From 360 pixels on nothing is wider than the screen; a table that is scrolls in its own frame."""
    with opened(chromium, tmp_path, RUNS[run], viewport={"width": width, "height": 800}) as seen:
        seen.page.locator("summary").click()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_what_others_have_written_does_nothing(chromium: Browser, tmp_path: Path, text: str) -> None:
    """Hostile text in every place that others can write to is shown as it is: nothing runs, nothing is loaded."""
    with opened(chromium, tmp_path, poisoned(RUNS["needs_human"], text)) as seen:
        seen.page.locator("summary").click()
        shown = seen.page.locator("main").inner_text()
        assert seen.page.evaluate("window.ran") is None
        assert (seen.said, seen.asked) == ([], [])
        assert not re.search("[\x00-\x09\x0b-\x1f\u200b\u202a-\u202e\u2066-\u2069]", shown.replace("\t", ""))
        assert ("49" in shown) == ("49" in seen.page.locator("main").inner_html())
        for start in re.findall(r"<script>|<img src=x|{{ 7 \* 7 }}|&lt;b&gt;", text):
            assert start in shown


def test_the_policy_would_stop_a_script(chromium: Browser, tmp_path: Path) -> None:
    """Were an element ever to slip through, the browser refuses to run it, or to style or load anything for it."""
    with opened(chromium, tmp_path, RUNS["deployed"]) as seen:
        with seen.page.expect_console_message(lambda message: "x.png" in message.text):
            seen.page.evaluate("""document.body.insertAdjacentHTML('beforeend',
            '<img src="https://example.com/x.png" onerror="window.ran = 1"><p style="color: red">x</p>')""")
        assert seen.page.evaluate("window.ran") is None
        assert seen.asked == []
        assert len([said for said in seen.said if "Content Security Policy" in said]) >= 2


def test_it_is_read_with_the_keyboard(chromium: Browser, tmp_path: Path) -> None:
    """Tab comes to the skip link, then to the tables and the journal; Enter skips, and opens the journal."""
    with opened(chromium, tmp_path, RUNS["rolled_back"]) as seen:
        keyboard, focused = seen.page.keyboard, "document.activeElement"
        keyboard.press("Tab")
        assert seen.page.evaluate(f"{focused}.textContent") == "Skip to the result"
        assert _is_in_sight(seen.page, ".skip")
        keyboard.press("Enter")
        assert seen.page.evaluate(f"{focused}.id") == "main"
        reached = [_next(seen.page) for _ in range(2)]
        assert reached == ["DIV", "SUMMARY"]
        assert _style(seen.page, "summary", "outlineStyle") == "solid"
        assert not seen.page.locator(".journal").is_visible()
        keyboard.press("Enter")
        assert seen.page.locator(".journal").is_visible()


def _is_in_sight(page: Page, selector: str) -> bool:
    box = page.locator(selector).bounding_box()
    return box is not None and min(box["x"], box["y"]) >= 0


def _next(page: Page) -> str:
    page.keyboard.press("Tab")
    return str(page.evaluate("document.activeElement.tagName"))


def _style(page: Page, selector: str, name: str) -> str:
    return str(page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{name}"))


@pytest.mark.parametrize(("run", "scheme"), [*((run, "light") for run in RUNS), *((run, "dark") for run in SHOWN)])
def test_nothing_keeps_anybody_from_reading_it(
    chromium: Browser, tmp_path: Path, axe: str, run: str, scheme: Any
) -> None:
    """axe-core finds no fault with the page of any ending, on a telephone, with the journal open."""
    options = {"color_scheme": scheme, "bypass_csp": True, "viewport": {"width": 380, "height": 800}}
    with opened(chromium, tmp_path, RUNS[run], **options) as seen:
        seen.page.locator("summary").click()
        seen.page.add_script_tag(content=axe)
        found = seen.page.evaluate("axe.run()")
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert len(found["passes"]) > 15


@pytest.mark.parametrize("run", ["rolled_back", "refused without a plan"])
def test_it_prints(chromium: Browser, tmp_path: Path, run: str) -> None:
    """Printed it is pages, black on white whatever the screen is, without the link that is for keyboards."""
    with opened(chromium, tmp_path, RUNS[run], color_scheme="dark") as seen:
        printed = seen.page.pdf(format="A4")
        assert printed.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 2
        seen.page.emulate_media(media="print")
        assert _style(seen.page, "body", "backgroundColor") == "rgb(255, 255, 255)"
        assert not seen.page.locator(".skip").is_visible()
