"""An empty contract, checks that cannot fail and an app that writes nothing prove nothing, and the proof says so."""

from pathlib import Path

import pytest

from steps.support.proof.result import Proof
from tests.support.proof.failure_modes import ADD, ADDED, LIVEONE, Files
from tests.support.proof.proofs import NOTHING, lacking, tried_in_process

pytestmark = pytest.mark.anyio

OLD, NEW, VERIFY, WRITES = "contract/old.sql", "contract/new.sql", "verify.sql", "writes.sql"
CHECK = "-- check: each has a vendor\nSELECT id FROM systems WHERE vendor_type IS NULL;\n"
CHANGE = {**ADDED, VERIFY: CHECK}
ALLOWED = {"migrate.sql": f"-- allow: no-contract the app only reads through views\n{ADD}"}


async def _proved(folder: Path, files: Files) -> Proof:
    came = await tried_in_process(folder, LIVEONE, files)
    assert came.proof, came.said
    assert came.untouched
    return came.proof


@pytest.mark.parametrize("empty", [(OLD,), (NEW,), (OLD, NEW)], ids=" and ".join)
@pytest.mark.parametrize("nothing", ["", NOTHING, "-- SELECT id FROM systems;\n"])
async def test_empty_contract_refuses_a_change(tmp_path: Path, empty: tuple[str, ...], nothing: str) -> None:
    """The refusal names contracts without a statement, what to write and how to accept it; nothing is touched."""
    came = await tried_in_process(tmp_path, LIVEONE, {**CHANGE, **dict.fromkeys(empty, nothing)})
    assert came.proof is None
    codes = " and the ".join(f"{name[9:12]} code" for name in empty)
    words = [f"{' and '.join(empty)}: no statements, so nothing shows that the {codes} can run"]
    more = ["Write every statement that this code sends", "To accept it: -- allow: no-contract <reason>"]
    assert lacking(came.said, [*words, *more]) == [], came.said
    assert came.said.count("no-contract") == 1
    assert came.untouched


@pytest.mark.parametrize("empty", [(OLD,), (NEW,), (OLD, NEW)], ids=" and ".join)
async def test_empty_contract_can_be_accepted(tmp_path: Path, empty: tuple[str, ...]) -> None:
    """A reason in migrate.sql accepts it, and the proof records that nothing was tried for that code."""
    proof = await _proved(tmp_path, {**CHANGE, **ALLOWED, **dict.fromkeys(empty, NOTHING)})
    assert proof.unasked == empty
    accepted = [line for line in proof.accepted if line.endswith("Accepted: the app only reads through views.")]
    assert [line.partition(":")[0] for line in accepted] == [" and ".join(empty)]


async def test_complete_change_has_nothing_unasked(tmp_path: Path) -> None:
    """A change with contracts, a check that can fail and an app that writes leaves nothing unasked."""
    proof = await _proved(tmp_path, CHANGE)
    assert (proof.unasked, proof.lossless) == ((), True)


@pytest.mark.parametrize(
    "checks", [NOTHING, "-- expect: any\nSELECT count(*) FROM systems;\n"], ids=["no check", "none that can fail"]
)
async def test_checks_that_cannot_fail_prove_nothing(tmp_path: Path, checks: str) -> None:
    """A verify.sql without a check, or with queries that accept any answer, is recorded as having asked nothing."""
    proof = await _proved(tmp_path, {**CHANGE, VERIFY: checks})
    assert proof.unasked == (VERIFY,)


@pytest.mark.parametrize(
    "writes",
    [NOTHING, "UPDATE users SET default_system_id = 1 WHERE 0;\n", "UPDATE systems SET user_id = user_id;\n"],
    ids=["no statement", "no row", "no other value"],
)
async def test_app_that_writes_nothing_proves_nothing(tmp_path: Path, writes: str) -> None:
    """If writes.sql changes no row, the rollback is not proved to keep what the app writes."""
    proof = await _proved(tmp_path, {**CHANGE, WRITES: writes})
    assert (proof.unasked, proof.lossless) == ((WRITES,), False)


async def test_code_only_change_needs_no_contract(tmp_path: Path) -> None:
    """Without a migration an empty contract refuses nothing; the proof still records that nothing was asked."""
    proof = await _proved(tmp_path, {OLD: NOTHING, NEW: NOTHING})
    assert proof.unasked == (OLD, NEW)
