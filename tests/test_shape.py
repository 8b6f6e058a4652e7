"""Rules of the tree that no single module can keep."""

import ast
import re
from pathlib import Path

import pytest

from steps.orders import CODE_FIRST, DATA_FIRST
from steps.support.proof.rows import declared
from steps.support.run.release import Stage
from steps.support.run.step import Change, Done
from steps.support.schema import diff
from steps.support.sql.known_names import RULES

ROOT = Path(__file__).parents[1]
SOURCES = sorted([ROOT / "orchestrate.py", *(ROOT / "steps").rglob("*.py")])
MAY_IMPORT_SETTINGS = {
    "steps.support.config.loading",
    "orchestrate",
    "steps.support.run.wiring",
    "steps.support.run.session",
    "steps.support.standin.rehearsal",
}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def _forbidden(module: str, imported: str) -> bool:
    """Say whether this import goes against the grain: orchestrate -> steps -> support, and gateways know of no run."""
    own = imported.startswith(("steps", "orchestrate"))
    to_support = imported.startswith("steps.support.")
    if not own or module == "orchestrate":
        return False
    if module.startswith("steps.support.gateways"):
        return (
            imported.startswith(("steps.support.engine", "steps.support.proof", "steps.support.console"))
            or not to_support
        )
    if module.startswith("steps.support"):
        return not to_support
    return imported.startswith("orchestrate") or (module != "steps" and not to_support)


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_imports_go_one_way(path: Path) -> None:
    """Orchestrate imports steps, steps import support, support imports neither; gateways know nothing of a run."""
    assert [name for name in _imports(path) if _forbidden(_module(path), name)] == []


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_settings_are_seen_only_by_whoever_builds(path: Path) -> None:
    """No step, gateway or engine part reads the configuration."""
    reads = any(
        name.startswith(("steps.support.config.settings", "steps.support.config.loading")) for name in _imports(path)
    )
    assert not reads or _module(path) in MAY_IMPORT_SETTINGS


def test_both_orders_hold_the_same_steps() -> None:
    """The two orders differ in order only."""
    assert set(CODE_FIRST) == set(DATA_FIRST)
    assert len(set(CODE_FIRST)) == len(CODE_FIRST) == len(DATA_FIRST)


def test_a_change_cannot_be_made_without_its_undo() -> None:
    """A change that forgets to say how it is put back is no object at all."""

    class Forgetful(Change[None]):
        name = "forgetful"

        async def look(self, stage: Stage) -> None: ...

        async def act(self, stage: Stage, seen: None) -> Done:
            return Done("")

        def plan(self, seen: None) -> str:
            return ""

    with pytest.raises(TypeError, match="undo"):
        Forgetful()  # type: ignore[abstract]


def test_every_rule_is_known_by_name_and_told() -> None:
    """Each rule by which the proof objects can be waived, and the runbook says what it finds, and tells of no other."""
    speaking = [path for path in (ROOT / "steps/support/proof").glob("*.py") if not path.match("schema_[dkrt]*.py")]
    used = {rule for path in speaking for rule in re.findall(r'"([a-z]+-[a-z-]+)"', path.read_text())}
    section = (ROOT / "runbook.md").read_text().partition("\n## findings\n")[2].partition("\n# During\n")[0]
    told = {
        rule for row in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE) for rule in re.findall(r"`([^`]+)`", row)
    }
    assert {"drop-parent", "by-hand", "written-lost"} <= used
    assert used | {declared.RETYPED, *diff.RULES} == RULES == told


def test_the_repository_names_no_place_of_its_making() -> None:
    """No file names a package registry's host."""
    hosts = re.compile(r"https?://[\w.]*(?:pypi|pythonhosted|npmjs)")
    texts = [path for pattern in ("*.md", "*.toml", "steps/**/*.py", "sql/**/*.sql") for path in ROOT.glob(pattern)]
    assert [path for path in texts if hosts.search(path.read_text())] == []


def test_no_asynchronous_fixture_outlives_its_module() -> None:
    """One that did would keep its event loop, and tests in virtual time would run on that one, in real time."""
    for path in (ROOT / "tests").rglob("*.py"):
        assert not re.search(r'scope="(session|package)"[^\n]*\)\nasync def', path.read_text()), path
