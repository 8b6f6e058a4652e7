"""Whether the statements of a contract run does not depend on the rows that they find."""

from contextlib import aclosing
from pathlib import Path

import pytest

from steps.support.gateways.database.connect import connect
from steps.support.proof.rehearsal import sqld
from steps.support.proof.rehearsal.contract import NEW, OLD, Contracts, ask_contracts
from steps.support.sql.contract import read_contract
from steps.support.sql.statement import Statement

NOT_UTF8 = "INSERT INTO notes VALUES (1, CAST(x'ff41' AS TEXT), 0)"
MUCH = """INSERT INTO notes WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
SELECT i, hex(zeroblob(50000)), 0 FROM n"""


@pytest.mark.anyio
@pytest.mark.parametrize("rows", [NOT_UTF8, MUCH])
async def test_statement_runs_although_no_answer_can_hold_its_rows(
    sqld_binary: Path, tmp_path: Path, rows: str
) -> None:
    """Text that is not UTF-8, or too much of it: what runs is told from what does not."""
    code = read_contract(
        "SELECT id, body FROM notes;\n-- either\nSELECT body, gone FROM notes;\n-- or\nSELECT body FROM notes;\n-- end",
        "new.sql",
    )
    wrong = read_contract("SELECT id, body FROM notes;\nSELECT body, gone FROM notes;", "old.sql")
    async with sqld.serve(sqld_binary, tmp_path / "server") as url, aclosing(connect(url, None)) as database:
        await database.transaction(
            [Statement("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, n)"), Statement(rows)]
        )
        answers = await ask_contracts(database, Contracts(wrong, code))
    assert answers.holds(NEW)
    (error,) = answers.failing[OLD]
    assert error.startswith("old.sql line 2: ")
    assert "no such column: gone" in error
