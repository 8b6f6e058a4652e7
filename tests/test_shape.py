"""Rules of the tree that no single module can enforce."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from steps.orders import CODE_FIRST, DATA_FIRST
from steps.support.proof.rows import declared
from steps.support.run.release import Gateways
from steps.support.run.step import Done, ReversibleStep
from steps.support.schema.comparison import diff
from steps.support.sql.findings import RULES
from tests.support.paths import ROOT

SOURCES = sorted([ROOT / "orchestrate.py", *(ROOT / "steps").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
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


LAYERS = (  # a module imports from rows above its own, and from its own package
    {"core"},
    {"config", "sql"},
    {"schema"},
    {"gateways", "change", "console"},
    {"proof"},
    {"run"},
    {"operations", "standin"},
    {"steps"},
    {"orchestrate"},
)
LEVELS = {package: level for level, packages in enumerate(LAYERS) for package in packages}


def _package(module: str) -> str:
    """Return the table's word for a module: a package of steps/support, `steps` for a step, or orchestrate."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["steps", "support"] and len(parts) > 2 else parts[0]


def _climbs(module: str, imported: str) -> bool:
    own, other = _package(module), _package(imported)
    return other in LEVELS and own != other and LEVELS[other] >= LEVELS[own]


def test_every_module_has_a_layer() -> None:
    """No file lies directly in steps/support, and no package is missing from the table."""
    packages = {_package(_module(path)) for path in SOURCES if path.parent.name != "support"}
    assert packages == LEVELS.keys()
    assert [path.name for path in (ROOT / "steps/support").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_imports_go_one_way(path: Path) -> None:
    """A module imports only its own package and the layers below it."""
    assert [name for name in _imports(path) if _climbs(_module(path), name)] == []


def test_no_step_imports_another() -> None:
    """Only steps/orders.py, which puts them in order, imports steps; only orchestrate.py imports the orders."""
    for path in (ROOT / "steps").glob("*.py"):
        others = [name for name in _imports(path) if _package(name) == "steps"]
        assert path.name == "orders.py" or not others, path


def test_production_needs_no_stand_in() -> None:
    """Stand-ins are imported by stand-ins, and by orchestrate.py for a rehearsal; the product reads no test."""
    for path in SOURCES:
        names = _imports(path)
        assert not [name for name in names if name.startswith("tests")], path
        if _package(_module(path)) not in {"standin", "orchestrate"}:
            assert not [name for name in names if _package(name) == "standin"], path


BELOW = {  # the packages that each may load, and the libraries that it must not load
    "steps.support.sql.tokens": ({"core", "sql"}, {"httpx", "pydantic", "sqlglot", "apsw", "aiohttp"}),
    "steps.support.run.budget": ({"core", "run"}, {"httpx", "pydantic", "sqlglot", "apsw", "aiohttp"}),
    "steps.support.gateways.vercel": ({"core", "gateways"}, {"pydantic", "sqlglot", "apsw", "aiohttp"}),
    "steps.pause_crons": (
        {"core", "sql", "config", "schema", "gateways", "change", "proof", "run", "operations", "steps"},
        {"pydantic", "sqlglot", "aiohttp", "jinja2"},  # apsw compares two schemas by meaning
    ),
}


@pytest.mark.parametrize(("module", "bounds"), BELOW.items(), ids=BELOW)
def test_importing_a_module_loads_only_lower_layers(module: str, bounds: tuple[set[str], set[str]]) -> None:
    """A tokenizer needs no network, a budget no gateway, a gateway no proof, a step no stand-in and no screen."""
    allowed, unwanted = bounds
    script = f"import {module}, sys; print(*sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = said.stdout.split()
    packages = {_package(name) for name in loaded if name.startswith(("steps.support.", "steps."))} - {"support"}
    assert packages - {"steps"} <= allowed
    assert not unwanted & set(loaded)


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_steps_and_gateways_do_not_import_settings(path: Path) -> None:
    """No step and no gateway reads the configuration."""
    reads = any(
        name.startswith(("steps.support.config.settings", "steps.support.config.loading")) for name in _imports(path)
    )
    assert not reads or _module(path) in MAY_IMPORT_SETTINGS


def test_both_orders_have_the_same_steps() -> None:
    """The two orders differ in order only."""
    assert set(CODE_FIRST) == set(DATA_FIRST)
    assert len(set(CODE_FIRST)) == len(CODE_FIRST) == len(DATA_FIRST)


def test_reversible_step_requires_a_rollback() -> None:
    """A change without a rollback cannot be instantiated."""

    class Forgetful(ReversibleStep[None]):
        name = "forgetful"

        async def preflight(self, gateways: Gateways) -> None: ...

        async def apply(self, gateways: Gateways, seen: None) -> Done:
            return Done("")

        def plan(self, seen: None) -> str:
            return ""

    with pytest.raises(TypeError, match="rollback"):
        Forgetful()  # type: ignore[abstract]


def test_every_rule_can_be_waived_and_is_documented() -> None:
    """Each rule of the proof can be waived; the runbook says what it finds, and documents no others."""
    speaking = [*(ROOT / "steps/support/proof").rglob("*.py"), ROOT / "steps/support/schema/broken.py"]
    used = {rule for path in speaking for rule in re.findall(r'(?<!code=)"([a-z]+-[a-z-]+)"', path.read_text())}
    section = (ROOT / "runbook.md").read_text().partition("\n## findings\n")[2].partition("\n# During\n")[0]
    told = {
        rule for row in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE) for rule in re.findall(r"`([^`]+)`", row)
    }
    assert {"drop-parent", "by-hand", "written-lost"} <= used
    assert used | {declared.RETYPED, *diff.RULES} == RULES == told


def test_repository_names_no_package_registry() -> None:
    """No file names a package registry's host."""
    hosts = re.compile(r"https?://[\w.]*(?:pypi|pythonhosted|npmjs)")
    texts = [path for pattern in ("*.md", "*.toml", "steps/**/*.py", "sql/**/*.sql") for path in ROOT.glob(pattern)]
    assert [path for path in texts if hosts.search(path.read_text())] == []


def test_no_asynchronous_fixture_outlives_its_module() -> None:
    """A longer-lived one keeps its event loop, and tests in virtual time would run on it, in real time."""
    for path in TESTS:
        assert not re.search(r'scope="(session|package)"[^\n]*\)\nasync def', path.read_text()), path


def test_no_test_imports_another() -> None:
    """A test file can move or go without breaking another: what tests share is in tests/support or a conftest.py."""
    for path in TESTS:
        assert [name for name in _imports(path) if re.match(r"tests\.(\w+\.)*test_", name)] == [], path


def test_every_module_of_the_support_is_used() -> None:
    """Each module of tests/support is imported by another file: none outlives the tests that it was written for."""
    imported = {path: {f"{name}." for name in _imports(path)} for path in TESTS}
    for path in (ROOT / "tests/support").rglob("*.py"):
        users = {
            user for user, names in imported.items() if any(name.startswith(f"{_module(path)}.") for name in names)
        }
        assert path.name.startswith("test_") or users - {path}, path
