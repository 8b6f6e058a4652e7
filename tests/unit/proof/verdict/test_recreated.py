"""Virtual tables that a change recreates with other options: they pass once they are refilled with the same content."""

from pathlib import Path

import pytest

from tests.support.proof.proofs import OF_ANY, Tried, tried

pytestmark = pytest.mark.anyio

BEFORE = """
CREATE TABLE docs (id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT);
INSERT INTO docs VALUES (1, 'Apples', 'red ones'), (2, 'Pears', 'green'), (5, 'Figs', NULL);
CREATE TABLE others (id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT);
INSERT INTO others SELECT * FROM docs;
"""
FILL = "INSERT INTO found (rowid, title, body) SELECT id, title, body FROM docs;\n"
REBUILD = "INSERT INTO found (found) VALUES ('rebuild');\n"
OWN, LESS, OF_DOCS, OF_FTS4 = (
    "USING fts5(title, body)",
    "USING fts5(title, body, content='')",
    "USING fts5(title, body, content='docs', content_rowid='id')",
    'USING fts4(title, body, content="docs")',
)
AREAS = "USING rtree(id, low, high)"
FILL_AREAS = "INSERT INTO found (id, low, high) SELECT id, id, id + 1 FROM docs;\n"

SAME = {  # the definition before and after, and how each is filled
    "another tokenizer": (OWN, "USING fts5(title, body, tokenize='trigram')", FILL),
    "a prefix index": (OF_DOCS, "USING fts5(title, body, content='docs', content_rowid='id', prefix='2')", REBUILD),
    "FTS4": (OF_FTS4, 'USING fts4(title, body, content="docs", tokenize=porter)', REBUILD),
    "no content, a prefix index": (LESS, "USING fts5(title, body, content='', prefix='2 3')", FILL),
    "one more column to search": ("USING fts5(title, body UNINDEXED)", OWN, FILL),
    "one more column of a box": (AREAS, "USING rtree(id, low, high, +label)", FILL_AREAS),
}
OTHER = {  # the same, and what the refusal says
    "not refilled": (OWN, "USING fts5(title, body, prefix='2')", FILL, "", "found: 3 rows removed"),
    "not rebuilt": (OF_DOCS, f"{OF_DOCS[:-1]}, prefix='2')", REBUILD, "", "its own check fails"),
    "a column that is not searched": (OWN, "USING fts5(title, body UNINDEXED)", FILL, FILL, "table-lost"),
    "no phrases": (OWN, "USING fts5(title, body, detail=none)", FILL, FILL, "table-lost"),
    "another module": (OWN, "USING fts4(title, body)", FILL, FILL, "table-lost"),
    "another content": (OF_DOCS, OF_DOCS.replace("docs", "others"), REBUILD, REBUILD, "table-lost"),
    "words that cannot be compared": (LESS, f"{LESS[:-1]}, tokenize='trigram')", FILL, FILL, "table-lost"),
    "other words": (OWN, "USING fts5(title, body, prefix='2')", FILL, FILL.replace("title, body FROM", "body, title FROM"),
                    "found: 3 rows"),
}  # fmt: skip


async def _proved(binary: Path, folder: Path, before: str, after: str, fills: tuple[str, str]) -> Tried:
    old, new = (f"CREATE VIRTUAL TABLE found {each};\n" for each in (before, after))
    files = {
        "migrate.sql": f"DROP TABLE found;\n{new}{fills[1]}",
        "rollback.sql": f"DROP TABLE found;\n{old}{fills[0]}",
    }
    return await tried(binary, folder, BEFORE + old + fills[0], {**OF_ANY, **files})


@pytest.mark.parametrize("case", SAME)
async def test_the_same_content_passes_with_a_warning(case: str, sqld_binary: Path, tmp_path: Path) -> None:
    """A virtual table that has other options and the same content passes; a warning names the options."""
    before, after, fill = SAME[case]
    came = await _proved(sqld_binary, tmp_path, before, after, (fill, fill))
    assert came.proof, came.said
    (warning,) = came.proof.warnings
    assert "found: " in warning
    assert "Its content is the same" in warning
    assert "-- allow: table-lost found:" in warning


@pytest.mark.parametrize("case", OTHER)
async def test_other_content_or_fewer_answers_are_refused(case: str, sqld_binary: Path, tmp_path: Path) -> None:
    """A virtual table that lost content, answers fewer searches, or cannot be compared is refused."""
    before, after, *fills, words = OTHER[case]
    came = await _proved(sqld_binary, tmp_path, before, after, (fills[0], fills[1]))
    assert came.proof is None
    assert words in came.said
