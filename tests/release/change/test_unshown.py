"""A release whose files check nothing: what plan, steps and report say, and that a contract is asked for."""

from pathlib import Path

import pytest

from tests.support.production.base import AnyProduction
from tests.support.production.changes import EXPANDING, UNTOUCHED, changed, refused

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # each is proved on a real server

OLD, NEW, VERIFY, WRITES = "contract/old.sql", "contract/new.sql", "verify.sql", "writes.sql"
NOTHING = "-- nothing\n"
ALLOWED = {**EXPANDING, "migrate.sql": f"-- allow: no-contract nobody sends it\n{EXPANDING['migrate.sql']}"}
SILENT = {**ALLOWED, VERIFY: NOTHING, WRITES: NOTHING}


def _without(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).write_text(NOTHING)
    return folder


async def test_change_without_a_contract_is_refused(production: AnyProduction, tmp_path: Path) -> None:
    """It is refused before anything is touched, naming both files and what accepts it."""
    production.change(_without(changed(tmp_path / "sql", EXPANDING), OLD, NEW))
    await refused(production, f"{OLD} and {NEW}: no statements", "-- allow: no-contract")


@pytest.mark.on("virtual", "process")
async def test_unchecked_properties_are_not_claimed(production: AnyProduction, tmp_path: Path) -> None:
    """Released with a reason, plan, steps and report say of contract, checks and writes that nothing was shown."""
    production.change(_without(changed(tmp_path / "sql", SILENT), OLD, NEW))
    ending = await production.release()
    assert ending.code == 0, ending.report
    assert ending.report["rehearsal"]["unasked"] == [OLD, NEW, VERIFY, WRITES]
    assert ending.report["rehearsal"]["lossless"] is False
    plan = {step["name"]: step for step in ending.report["plan"]}
    assert "5 statements, no checks" in plan["turso_migration"]["plan"]
    assert plan["turso_migration"]["way_back"].startswith(
        "rollback.sql in one transaction; not shown that it keeps the rows written since: writes.sql writes nothing; "
    )
    words = "not shown that the change did what it should: verify.sql asks nothing"
    assert plan["verification_query"]["plan"] == f"{words}; then write once"
    details = {step["name"]: step["detail"] for step in ending.report["steps"]}
    assert details["verification_query"] == f"{words}; the database takes writes"


async def test_checks_that_cannot_fail_count_as_none(production: AnyProduction, tmp_path: Path) -> None:
    """They are asked and shown, and reported as unable to fail."""
    shown = "-- check: systems\n-- expect: any\nSELECT count(*) AS n FROM systems;\n"
    production.change(changed(tmp_path / "sql", {**EXPANDING, VERIFY: shown}))
    ending = await production.release()
    assert ending.code == 0, ending.report
    words = "not shown that the change did what it should: no check of verify.sql can fail"
    details = {step["name"]: step["detail"] for step in ending.report["steps"]}
    assert details["verification_query"].startswith(f"{words}; systems: n=")
    assert f"run checks: systems; {words}; then write once" in [step["plan"] for step in ending.report["plan"]]


@pytest.mark.parametrize(
    ("empty", "said"),
    [
        ((OLD,), f"nothing to migrate; not shown that the old code runs: {OLD} holds no statement; "),
        ((NEW,), f"; not shown that the new code runs: {NEW} holds no statement"),
    ],
    ids=["old", "new"],
)
async def test_code_alone_names_the_untried_code(
    production: AnyProduction, tmp_path: Path, empty: tuple[str, ...], said: str
) -> None:
    """If nothing is migrated a contract is optional, and code without queries is not called tried."""
    production.change(_without(changed(tmp_path / "sql", UNTOUCHED), *empty))
    ending = await production.release()
    assert ending.code == 0, ending.report
    (plan,) = (step["plan"] for step in ending.report["plan"] if step["name"] == "schema_contract")
    assert said in plan
    assert "0 statements" not in plan


async def test_code_alone_needs_no_contract(production: AnyProduction, tmp_path: Path) -> None:
    """Without any contract nothing is tried, no step says that it was, and the release proceeds."""
    production.change(_without(changed(tmp_path / "sql", UNTOUCHED), OLD, NEW))
    ending = await production.release()
    assert ending.code == 0, ending.report
    assert "schema_contract" not in ending.steps()
    assert ending.report["contract"] is None
