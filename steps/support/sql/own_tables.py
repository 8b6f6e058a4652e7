"""Names in a database that are not its user's: the engine's, libSQL's, the platform's and the tool's own.

No comparison looks at them, and no guard. Every other name is the user's, however it begins: libSQL reserves no prefix.
The tool's own keep, among others, what a rollback needs; its text says which.
"""

import sqlite3
from collections.abc import Iterator

from steps.support.sql.script import Piece, read_script_text
from steps.support.sql.tokens import folded, unquoted_name

OURS = "_orchestrate_"
KEPT = f"{OURS}kept_"  # what a rollback needs, and what waits for the next migration
PREFIXES = (OURS, "sqlite_")  # the engine itself refuses to let a user take the second
NAMES = ("libsql_vector_meta_shadow", "libsql_wasm_func_table", "_litestream_seq", "_litestream_lock")

_VECTORS = "SELECT name FROM {}.sqlite_schema WHERE type = 'index' AND instr(lower(sql), 'libsql_vector_idx')"

IS_USERS = " AND ".join(  # an SQL condition on the column `name`
    [
        *(f"lower(name) NOT GLOB '{prefix}*'" for prefix in PREFIXES),
        f"lower(name) NOT IN ({', '.join(map(repr, NAMES))})",
    ]
)


def is_owned(name: str) -> bool:
    """Return whether a name is not the user's."""
    lower = folded(name)
    return lower.startswith(PREFIXES) or lower in NAMES


def vector_shadows(connection: sqlite3.Connection, schema: str = "main") -> set[str]:
    """Return the table and the index behind each vector index, in lower case: libSQL makes, fills and drops them."""
    indexes = [folded(str(name)) for (name,) in connection.execute(_VECTORS.format(schema))]
    return {f"{name}{end}" for name in indexes for end in ("_shadow", "_shadow_idx")}


def named_in(rollback: str) -> set[str]:
    """Return the tables of ours that a rollback names, in lower case; those in its comments and texts are not named."""
    return {name for piece in read_script_text(rollback, "rollback.sql").pieces for name in _names(piece)}


def needed_by(rollback: str) -> set[str]:
    """Return those that have to be there when a rollback begins: it names them, and does not make them itself."""
    needed, made = set[str](), set[str]()
    for piece in read_script_text(rollback, "rollback.sql").pieces:
        names = [*_names(piece)]
        if _makes_a_table(piece) and names and names[0] not in needed:
            made.add(names[0])
        needed.update(name for name in names if name not in made)
    return needed


def _names(piece: Piece) -> Iterator[str]:
    names = (folded(unquoted_name(token.text)) for token in piece.tokens if token.kind in {"word", "name"})
    return (name for name in names if name.startswith(KEPT))


def _makes_a_table(piece: Piece) -> bool:
    words = piece.words(3)
    return words[:2] == ("CREATE", "TABLE") and words[2:] != ("IF",)
