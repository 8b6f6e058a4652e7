"""Every end and every refusal of the tool has its place in the runbook, and every link leads somewhere."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

from steps.support.config.settings import Settings
from steps.support.console.report import fold
from steps.support.core.events import event_of
from steps.support.core.run_state import state_of
from tests.runbook.page import ROOT, TEXT, sections

SOURCES = sorted([ROOT / "orchestrate.py", *(ROOT / "steps").rglob("*.py")])
ROW = r"^\| ([^|]+) \| ([^|]+) \| \[[\w-]+\]\(#([\w-]+)\) \| [^|]+ \|$"
LOOKED_UP = r"^\| (`[^|]+`) \| \[([\w-]+)\]\(#\2\) \|$"
SETTING = r"`(budget|limits|rehearsal|vercel|turso)\.(\w+)"
STEPS = set(Settings().limits.of_steps) | {"schema_contract"}
NOT_WORDS = {  # operations that are not written as a word, and what they are
    "self.name": "a step's name", "step.name": "a step's name", "step": "a step's name",
    "error.operation": "handed on",
    "operation": "what git is asked for, in the words of whoever asks",
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


def test_every_operation_has_a_row() -> None:
    """Each word that a problem's cause can begin with, in any source, has a row that leads to a section."""
    found = [each for path in SOURCES for each in _operations(path.read_text(encoding="utf-8"))]
    said = {each.value for each in found if isinstance(each, ast.Constant)}
    assert {ast.unparse(each) for each in found if not isinstance(each, ast.Constant)} == set(NOT_WORDS)
    rows = re.findall(LOOKED_UP, TEXT, re.MULTILINE)
    told = {word for words, _ in rows for word in re.findall(r"`([^`]+)`", words)}
    assert {"reading", "running", "proving", "fetching", "asking Vercel for"} <= said
    assert said - told == set()
    assert told - said == STEPS


def test_refusal_leads_to_the_section_of_its_command() -> None:
    """The anchor that a refused run's report names stands directly above the section for its command."""
    for words, section in re.findall(LOOKED_UP, TEXT, re.MULTILINE):
        (anchors,) = re.findall(rf"^(<a id=.+)\n\n### {section}$", TEXT, re.MULTILINE)
        ids = [f"on-{name}" for name in re.findall(r'id="on-([\w-]+)"', anchors)]
        refused = fold.EXIT_CODES["refused"]
        assert ids == [fold.anchor("refused", refused, word) for word in re.findall(r"`([^`]+)`", words)]


def _operations(source: str) -> Iterator[ast.expr]:
    """Return the operation of every problem made: no other call has an argument of that name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from (each.value for each in node.keywords if each.arg == "operation")


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
