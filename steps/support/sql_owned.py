"""Names in a database that are not its user's: the engine's, libSQL's, the platform's and the tool's own.

No comparison looks at them, and no guard. Every other name is the user's, however it begins: libSQL reserves no prefix.
"""

import sqlite3
from string import ascii_lowercase, ascii_uppercase

OURS = "_orchestrate_"
KEPT = f"{OURS}kept_"  # what a rollback needs, and what waits for the next migration
PREFIXES = (OURS, "sqlite_")  # the engine itself refuses to let a user take the second
NAMES = ("libsql_vector_meta_shadow", "libsql_wasm_func_table", "_litestream_seq", "_litestream_lock")

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_VECTORS = "SELECT name FROM {}.sqlite_schema WHERE type = 'index' AND instr(lower(sql), 'libsql_vector_idx')"

IS_USERS = " AND ".join(  # an SQL condition on the column `name`
    [
        *(f"lower(name) NOT GLOB '{prefix}*'" for prefix in PREFIXES),
        f"lower(name) NOT IN ({', '.join(map(repr, NAMES))})",
    ]
)


def lowered(name: str) -> str:
    """Return a name with the letters of ASCII in lower case, as the engine compares names."""
    return name.translate(_LOWER)


def is_owned(name: str) -> bool:
    """Return whether a name is not the user's."""
    lower = lowered(name)
    return lower.startswith(PREFIXES) or lower in NAMES


def vector_shadows(connection: sqlite3.Connection, schema: str = "main") -> set[str]:
    """Return the table and the index behind each vector index, in lower case: libSQL makes, fills and drops them."""
    indexes = [lowered(str(name)) for (name,) in connection.execute(_VECTORS.format(schema))]
    return {f"{name}{end}" for name in indexes for end in ("_shadow", "_shadow_idx")}
