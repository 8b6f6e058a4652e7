"""The plan says what was shown, and marks what was not checked: never as running, or as lossless."""

import io
from typing import Any

import pytest

from steps.support.console import plan
from steps.support.console.lines import Lines
from steps.support.console.report import fold, page
from tests.support.journals.runs import opened, parsed, planned, state, tell

OLD, NEW, VERIFY, WRITES = "contract/old.sql", "contract/new.sql", "verify.sql", "writes.sql"
PLACES = [f"{code} code on the {schema} schema" for code in ("old", "new") for schema in ("old", "new")]


def _planned(*unasked: str, **fields: Any) -> dict[str, Any]:
    """Return a plan in which nothing fails, and these files checked or wrote nothing."""
    rehearsal = {**planned()["rehearsal"], "unasked": list(unasked), "lossless": WRITES not in unasked, "not_shown": []}
    folder = {"folder": "runs/r", "budget": opened()["budget"]}
    return planned(rehearsal=rehearsal, contract={place: [] for place in PLACES}, **folder, **fields)


def _lines(event: dict[str, Any]) -> str:
    stream = io.StringIO()
    tell(Lines(stream), event)
    return stream.getvalue()


def _of(text: str, words: str) -> list[str]:
    return [line for line in text.splitlines() if words in line]


@pytest.mark.parametrize(("code", "file"), [("old", OLD), ("new", NEW)])
@pytest.mark.parametrize("order", ["CODE_FIRST", "DATA_FIRST"])
def test_code_without_queries_is_not_shown_to_run(code: str, file: str, order: str) -> None:
    """Its plan says `not shown`, on both schemas and in the reason for the order; the other code `runs`."""
    text = _lines(_planned(file, order=order, ruled_out={}))
    other = "new" if code == "old" else "old"
    for schema in ("old", "new"):
        assert _of(text, f"{code} code on the {schema} schema: not shown: {file} holds no statement")
        assert _of(text, f"{other} code on the {schema} schema: runs")
    assert not _of(text, f"the {code} code reads both schemas, so")
    rests_on_it = (order == "CODE_FIRST") == (code == "new")
    assert bool(_of(text, f"not shown that the {code} code reads both schemas")) == rests_on_it


def test_complete_proof_is_reported_as_shown() -> None:
    """If all was checked the plan says what runs, that it is lossless, and why the code goes first."""
    text = _lines(_planned())
    assert len(_of(text, "schema: runs")) == 4
    assert _of(text, " s, lossless")
    assert _of(text, "order     code first, then schema: the new code reads both schemas, so it goes live first")
    assert "not shown" not in text


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (VERIFY, "not shown that the change did what it should: verify.sql checks nothing"),
        (WRITES, "not shown that a rollback keeps what the app writes meanwhile: writes.sql writes nothing"),
    ],
)
def test_empty_checks_and_writes_are_reported(file: str, words: str) -> None:
    """A verify.sql without checks, and a writes.sql without writes, have a line that says what is not shown."""
    assert _of(_lines(_planned(file)), words)


def test_rollback_without_writes_is_not_called_lossless() -> None:
    """Neither screen nor page claims that a rollback loses nothing if nothing was written."""
    text = _lines(_planned(WRITES))
    assert _of(text, " s, not shown to be lossless")
    assert " s, lossless" not in text
    shown = _page(_planned(WRITES))
    assert "loses nothing" not in shown
    assert "not shown to be" in shown


def test_page_names_files_without_queries() -> None:
    """The page names the files, and shows `not shown` for code without queries, not `all of it runs`."""
    shown = _page(_planned(OLD, NEW, VERIFY))
    assert shown.count("not shown: nothing was tried") == 4
    assert "all of it runs" not in shown
    assert "contract/old.sql, contract/new.sql, verify.sql" in shown
    assert "so it goes live first" not in shown


def test_code_alone_without_a_contract_claims_nothing() -> None:
    """If nothing is migrated and nothing was checked, the order says code alone, and what is not shown."""
    nothing = dict.fromkeys(("rehearsal", "backup", "contract", "changes"))
    event = planned(ruled_out={}, folder="runs/r", budget=opened()["budget"], **nothing)
    text = _lines(event)
    assert _of(
        text, "code only: the schema does not change; not shown that the new code runs on it: contract/old.sql and"
    )
    assert "reads both schemas" not in text + _page(event)
    assert "backup" not in text + _page(event)
    assert "runs" not in text.replace("runs/r", "").replace("code runs on it", "")


def test_code_alone_with_a_contract_has_no_schema_order() -> None:
    """If nothing is migrated but both codes were tried, no schema change is said to follow."""
    rehearsal = {**_planned()["rehearsal"], "migrate_seconds": None, "rollback_seconds": None}
    assert plan.order_words("CODE_FIRST", rehearsal) == "code only: the schema does not change"


def _page(event: dict[str, Any]) -> str:
    events = [opened(dry_run=True), event]
    return " ".join(page.html(fold.report(state(events)), parsed(events)).split())


def test_plan_says_which_hosts_are_reached_through_a_proxy() -> None:
    """The words about the network are a line of their own, and there is none without a proxy."""
    words = "through http://proxy.example:3128 (HTTPS_PROXY): api.vercel.com"
    assert _of(_lines(_planned(network=words)), f"network   {words}")
    assert not _of(_lines(_planned()), "network")
