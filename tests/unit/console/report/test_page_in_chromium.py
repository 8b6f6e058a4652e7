"""The page in a browser: a real Chromium opens the file, and all its complaints and requests are checked."""

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
from tests.support import npm
from tests.support.journals.hostile_text import HOSTILE, poisoned
from tests.support.journals.runs import RUNS, Event, parsed, state

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = {"axe-core": "4.14.1"}
SHOWN = ["deployed", "rolled_back", "refused without a plan", "needs_human", "a clock for the build", "rollback"]


@dataclass
class Seen:
    """An open page, the browser's messages about it, and its other requests."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return the installed browser; none is downloaded, and no test is skipped for lack of it."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail("There is no Chromium on PATH: install it, such as with `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the source of axe-core, which checks accessibility."""
    return (npm.install("npm-axe", AXE) / "axe-core" / "axe.min.js").read_text()


@contextmanager
def opened(chromium: Browser, folder: Path, events: list[Event], **options: Any) -> Iterator[Seen]:
    """Write a run's page, and open the file in the browser."""
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
def test_page_opens_without_complaints(chromium: Browser, tmp_path: Path, run: str, scheme: Any) -> None:
    """No console message, policy breach or request, and nothing wider than the screen; light and dark."""
    with opened(chromium, tmp_path, RUNS[run], color_scheme=scheme, viewport={"width": 1000, "height": 800}) as seen:
        assert (seen.said, seen.asked) == ([], [])
        assert seen.page.title() == f"{fold.verdict(state(RUNS[run]))} - run {RUNS[run][0]['run']}"
        paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
        assert _style(seen.page, "body", "backgroundColor") == paper
        assert len(seen.page.screenshot(full_page=True)) > 20_000  # bytes; an empty page has less than a third of that


def test_empty_screen_would_be_noticed(chromium: Browser) -> None:
    """The size of a screenshot with content is well above that of an empty one."""
    with chromium.new_context(viewport={"width": 1000, "height": 800}) as context:
        assert len(context.new_page().screenshot()) < 7_000


@pytest.mark.parametrize("width", [360, 380, 768, 1440])
@pytest.mark.parametrize("run", SHOWN)
def test_page_fits_the_screen(chromium: Browser, tmp_path: Path, run: str, width: int) -> None:
    """From 360 pixels on nothing is wider than the screen; a wide table scrolls in its own frame."""
    with opened(chromium, tmp_path, RUNS[run], viewport={"width": width, "height": 800}) as seen:
        seen.page.locator("summary").click()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_foreign_text_has_no_effect(chromium: Browser, tmp_path: Path, text: str) -> None:
    """Hostile text in every foreign field is shown as it is: nothing runs, nothing is loaded."""
    with opened(chromium, tmp_path, poisoned(RUNS["needs_human"], text)) as seen:
        seen.page.locator("summary").click()
        shown = seen.page.locator("main").inner_text()
        assert seen.page.evaluate("window.ran") is None
        assert (seen.said, seen.asked) == ([], [])
        assert not re.search("[\x00-\x09\x0b-\x1f\u200b\u202a-\u202e\u2066-\u2069]", shown.replace("\t", ""))
        assert ("49" in shown) == ("49" in seen.page.locator("main").inner_html())
        for start in re.findall(r"<script>|<img src=x|{{ 7 \* 7 }}|&lt;b&gt;", text):
            assert start in shown


def test_policy_would_stop_a_script(chromium: Browser, tmp_path: Path) -> None:
    """If an element ever slipped through, the browser would refuse to run it, or to style or load anything."""
    with opened(chromium, tmp_path, RUNS["deployed"]) as seen:
        with seen.page.expect_console_message(lambda message: "x.png" in message.text):
            seen.page.evaluate("""document.body.insertAdjacentHTML('beforeend',
            '<img src="https://example.com/x.png" onerror="window.ran = 1"><p style="color: red">x</p>')""")
        assert seen.page.evaluate("window.ran") is None
        assert seen.asked == []
        assert len([said for said in seen.said if "Content Security Policy" in said]) >= 2


def test_page_is_usable_with_the_keyboard(chromium: Browser, tmp_path: Path) -> None:
    """Tab reaches the skip link, then the tables and the journal; Enter skips, and opens the journal."""
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
def test_axe_finds_no_accessibility_problem(chromium: Browser, tmp_path: Path, axe: str, run: str, scheme: Any) -> None:
    """axe-core finds no problem on the page of any ending, at phone size, with the journal open."""
    options = {"color_scheme": scheme, "bypass_csp": True, "viewport": {"width": 380, "height": 800}}
    with opened(chromium, tmp_path, RUNS[run], **options) as seen:
        seen.page.locator("summary").click()
        seen.page.add_script_tag(content=axe)
        found = seen.page.evaluate("axe.run()")
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert len(found["passes"]) > 15


@pytest.mark.parametrize("run", ["rolled_back", "refused without a plan"])
def test_page_can_be_printed(chromium: Browser, tmp_path: Path, run: str) -> None:
    """Printed, it has pages, black on white whatever the screen, without the skip link."""
    with opened(chromium, tmp_path, RUNS[run], color_scheme="dark") as seen:
        printed = seen.page.pdf(format="A4")
        assert printed.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 2
        seen.page.emulate_media(media="print")
        assert _style(seen.page, "body", "backgroundColor") == "rgb(255, 255, 255)"
        assert not seen.page.locator(".skip").is_visible()
