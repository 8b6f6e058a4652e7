"""A version's queries, read as blocks of alternatives."""

import pytest

from steps.support.sql.contract import read_contract
from steps.support.sql.findings import BadSql

CONTRACT = """-- what the app runs
SELECT 1;
-- either
SELECT new FROM t;
SELECT newer FROM t;
-- or
SELECT old FROM t -- the last; of all
;
-- END
INSERT INTO t VALUES (1)
"""


def test_contract_is_read_as_blocks() -> None:
    """A single statement is one block; between the marks are the alternatives, each with all its statements."""
    blocks = [
        [[(each.sql, each.name) for each in alternative] for alternative in block.alternatives]
        for block in read_contract(CONTRACT, "new.sql")
    ]
    assert blocks == [
        [[("SELECT 1", "new.sql line 2")]],
        [
            [("SELECT new FROM t", "new.sql line 4"), ("SELECT newer FROM t", "new.sql line 5")],
            [("SELECT old FROM t", "new.sql line 7")],
        ],
        [[("INSERT INTO t VALUES (1)", "new.sql line 10")]],
    ]


NO_CONTRACT = {
    "SELECT 1;\n-- or\nSELECT 2;": (2, "`-- or` has no matching `-- either`"),
    "SELECT 1;\n-- end": (2, "`-- end` has no matching `-- either`"),
    "-- either\nSELECT 1;\n-- or\nSELECT 2;": (1, "`-- either` is never closed"),
    "-- either\nSELECT 1;\n-- either\nSELECT 2;\n-- end": (3, "`-- either` is inside another block"),
    "-- either\n-- or\nSELECT 2;\n-- end": (2, "`-- or` closes an alternative without a statement"),
    "-- either\nSELECT 1;\n-- or\n-- end": (4, "`-- end` closes an alternative without a statement"),
    "-- either\nSELECT 1;\n-- end": (1, "`-- either` has only one alternative"),
    "-- either\nSELECT 1\n-- or\nSELECT 2;\n-- end": (3, "`-- or` is inside a statement"),
    "SELECT 'half": (1, "a string begins here"),
}


@pytest.mark.parametrize(("text", "line", "cause"), [(text, *what) for text, what in NO_CONTRACT.items()])
def test_mismatched_marks_are_refused(text: str, line: int, cause: str) -> None:
    """Marks without partners, without statements, or nested are a Problem with file and line."""
    with pytest.raises(BadSql, match=f"new.sql line {line}: {cause}"):
        read_contract(text, "new.sql")
