"""Every end and every refusal of the tool has its place in the runbook, and every link leads somewhere."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from typing import get_args

from steps.support.config.settings import Settings
from steps.support.console.report import fold
from steps.support.core.errors import Code
from steps.support.core.events import event_of
from steps.support.core.run_state import state_of
from tests.docs.runbook.page import TEXT, sections
from tests.support.paths import ROOT

SOURCES = sorted([ROOT / "orchestrate.py", *(ROOT / "steps").rglob("*.py")])
ROW = r"^\| ([^|]+) \| ([^|]+) \| \[[\w-]+\]\(#([\w-]+)\) \| [^|]+ \|$"
SETTING = r"`(budget|limits|rehearsal|vercel|turso)\.(\w+)"
STEPS = set(Settings().limits.of_steps) | {"branch_head", "schema_contract"}
NOT_WORDS: dict[str, set[str]] = {  # operations that are not written as a word, and what they are
    "self.name": STEPS, "step.name": STEPS, "step": STEPS,
    "error.operation": set(),  # handed on
    "operation": set(),  # what git is asked for, in the words of whoever asks
}  # fmt: skip
CODES = set(get_args(Code))
ANCHORS = Counter([*sections(TEXT), *re.findall(r'<a id="([\w-]+)"></a>', TEXT)])
DECLARED = ROOT / "steps/support/core/errors.py"
EARLIER = {  # anchors of earlier versions: of operations, and of titles
    "on-accepting", "on-activation", "on-asking", "on-asking-for", "on-asking-the-staged-deployment-on",
    "on-asking-vercel-for", "on-breaking", "on-building", "on-checking", "on-comparing", "on-confirming",
    "on-connecting-to", "on-copying", "on-creating", "on-drilling", "on-fetching", "on-forecasting", "on-git-push",
    "on-health-checks", "on-looking", "on-looking-at", "on-looking-for", "on-looking-up", "on-opening",
    "on-ordering", "on-parsing", "on-pause-crons", "on-planning", "on-probing-the-push-to", "on-promoting",
    "on-proving", "on-pushing", "on-pushing-to", "on-putting-back", "on-reaching", "on-reading",
    "on-reading-the-answer-of", "on-reading-the-dump-of", "on-reading-vercel-s", "on-rehearsing",
    "on-releasing-after", "on-rolling-back", "on-running", "on-running-git", "on-schema-contract", "on-staging",
    "on-starting", "on-taking", "on-taking-over", "on-turso-migration", "on-unlocking", "on-using",
    "on-vercel-deployment", "on-verification-query", "on-verifying", "on-waiting-for", "on-writing",
    "on-writing-after-the-commit-to", "on-writing-to",
    "checking", "comparing", "copying", "disk", "forecasting", "git", "going-back", "looked-again", "looking",
    "looking-at", "looking-for", "ordering", "parsing", "planning", "platform", "proving", "reading",
    "releasing-after", "running", "settling", "taking-over", "taking-the-lock",
}  # fmt: skip


def test_every_link_has_a_target() -> None:
    """Each title is unique; links to one from here, the README, the code or a workflow find it."""
    own, readme = sections(TEXT), (ROOT / "README.md").read_text(encoding="utf-8")
    assert [title for title, times in Counter(own).items() if times > 1] == []
    texts = [readme, *(path.read_text(encoding="utf-8") for path in SOURCES)]
    linked = {name for text in texts for name in re.findall(r"runbook\.md#([\w-]+)", text)}
    assert {*linked, *re.findall(r"\(#([\w-]+)\)", TEXT)} <= set(own)
    assert set(re.findall(r"README\.md#([\w-]+)", TEXT)) <= set(sections(readme))


def test_every_verdict_has_a_row_and_a_section() -> None:
    """The first table has each verdict with its exit code, and every code; each row leads to a section."""
    rows = re.findall(ROW, TEXT, re.MULTILINE)
    codes = {int(code) for told, _, _ in rows for code in re.findall(r"\d+", told)}
    assert codes == {0, 2, fold.INTERRUPTED, *fold.EXIT_CODES.values()}
    for verdict, code in fold.EXIT_CODES.items():
        own = [told for told, name, at in rows if verdict in name and at == fold.anchor(verdict, code)]
        assert [told for told in own if str(code) in told], verdict
    signalled = fold.anchor("rolled_back", fold.INTERRUPTED)
    assert [at for told, _, at in rows if told == str(fold.INTERRUPTED)] == [signalled]


def test_every_cause_has_a_row() -> None:
    """Each beginning of a cause, in any source, has a row that leads to its code's section; no row is without a cause."""
    made = {each for path in SOURCES for each in _problems(path.read_text(encoding="utf-8"))}
    assert {("reading", "usage"), ("running", "migration-failed"), ("asking Vercel for", "")} <= made
    rows = _rows()
    assert [each for each in made if not any(_fits(each, row) for row in rows)] == []
    assert [row for row in rows if not any(_fits(each, row) for each in made)] == []


def test_every_code_has_one_section_and_is_used() -> None:
    """The runbook has each anchor once; each code is one of them, is used in the product, and has a row."""
    assert [name for name, times in ANCHORS.items() if times > 1] == []
    assert ANCHORS.keys() >= CODES
    nodes = [node for path in SOURCES if path != DECLARED for node in ast.walk(ast.parse(path.read_text()))]
    assert {node.value for node in nodes if isinstance(node, ast.Constant)} >= CODES
    assert {code for _, code in _rows()} == CODES


def test_every_earlier_anchor_is_still_there() -> None:
    """Reports of earlier versions name these anchors."""
    assert ANCHORS.keys() >= EARLIER


def _problems(source: str) -> Iterator[tuple[str, str]]:
    """Yield the operation and the code of each problem made; no code if it is decided elsewhere."""
    for node in ast.walk(ast.parse(source)):
        named = {each.arg: each.value for each in node.keywords} if isinstance(node, ast.Call) else {}
        if {"code", "operation"} <= named.keys():
            codes = CODES & {each.value for each in ast.walk(named["code"]) if isinstance(each, ast.Constant)}
            for operation in _operations(named["operation"]):
                yield from ((operation, code) for code in codes or {""})


def _operations(node: ast.expr) -> set[str]:
    """Return the words of an operation: the names of all steps for a step's name, none if it is handed on."""
    return {str(node.value)} if isinstance(node, ast.Constant) else NOT_WORDS[ast.unparse(node)]


def _rows() -> list[tuple[str, str]]:
    """Return each beginning of a cause in the table of causes, with the code of each section that its row links to."""
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", TEXT.partition("| the cause begins with ")[2], re.MULTILINE)
    return [
        (words, code)
        for beginnings, links in rows
        for words in re.findall(r"`([^`]+)`", beginnings)
        for code in re.findall(r"\]\(#([\w-]+)\)", links)
    ]


def _fits(problem: tuple[str, str], row: tuple[str, str]) -> bool:
    """Return True if a problem's cause can begin as a row says, and the row leads to its section."""
    return f"{row[0]} ".startswith(f"{problem[0]} ") and problem[1] in ("", row[1])


def test_every_named_setting_exists() -> None:
    """Settings to raise or switch are named as the settings spell them."""
    named = set(re.findall(SETTING, TEXT)) - {("limits", "NAME")}
    assert len(named) > 8
    settings = Settings()
    assert [f"{table}.{key}" for table, key in named if not hasattr(getattr(settings, table), key)] == []


def test_every_named_field_of_the_report_exists() -> None:
    """Each part of the report that a section points to is in every report."""
    opened = {"event": "opened", "run": "r", "mode": "prod", "at": "", "clock": 0.0, "budget": {}, "change": {}}
    parts = {"cause", "next_action", "remains", "runbook", "undo", "kept", "unpin", "warnings", "deployment", "steps"}
    assert parts <= fold.report(state_of([event_of(opened)])).keys()
    assert [part for part in sorted(parts) if not re.search(rf"`{part}\b", TEXT)] == []
