"""Recognize names that do not belong to the user of a database, but to the engine, libSQL, the platform or the tool.

Comparisons and guards ignore these names. Every other name is the user's, even if it begins with libsql_, because
libSQL reserves no prefix. In some of the tool's own tables a migration keeps what its rollback needs; rollback.sql
names these tables.
"""

from collections.abc import Iterator

from steps.support.schema.connection import Connection
from steps.support.sql.script import Piece, read_script_text
from steps.support.sql.tokens import folded, unquoted_name

OURS = "_orchestrate_"
KEPT = f"{OURS}kept_"  # tables that keep data for the rollback, or for the next migration
PREFIXES = (OURS, "sqlite_")  # the engine refuses to create tables named sqlite_*
NAMES = ("libsql_vector_meta_shadow", "libsql_wasm_func_table", "_litestream_seq", "_litestream_lock")

_VECTORS = "SELECT name FROM {}.sqlite_schema WHERE type = 'index' AND instr(lower(sql), 'libsql_vector_idx')"

IS_USERS = " AND ".join(  # an SQL condition on the column `name`
    [
        *(f"lower(name) NOT GLOB '{prefix}*'" for prefix in PREFIXES),
        f"lower(name) NOT IN ({', '.join(map(repr, NAMES))})",
    ]
)


def is_owned(name: str) -> bool:
    """Return True if a name belongs to the engine, libSQL, the platform or the tool, and not to the user."""
    lower = folded(name)
    return lower.startswith(PREFIXES) or lower in NAMES


def vector_shadows(connection: Connection, schema: str = "main") -> set[str]:
    """Return the names, in lower case, of the table and the index that libSQL creates behind each vector index."""
    indexes = [folded(str(name)) for (name,) in connection.execute(_VECTORS.format(schema))]
    return {f"{name}{end}" for name in indexes for end in ("_shadow", "_shadow_idx")}


def named_in(rollback: str) -> set[str]:
    """Return the names, in lower case, of the `_orchestrate_kept_` tables that the text of a rollback mentions.

    Names in comments and strings do not count.
    """
    return {name for piece in read_script_text(rollback, "rollback.sql").pieces for name in _names(piece)}


def needed_by(rollback: str) -> set[str]:
    """Return the names of the `_orchestrate_kept_` tables that must exist before a rollback, in lower case.

    The rollback reads them before it creates them, or does not create them at all.
    """
    needed, created = set[str](), set[str]()
    for piece in read_script_text(rollback, "rollback.sql").pieces:
        names = [*_names(piece)]
        if _creates_a_table(piece) and names and names[0] not in needed:
            created.add(names[0])
        needed.update(name for name in names if name not in created)
    return needed


def _names(piece: Piece) -> Iterator[str]:
    names = (folded(unquoted_name(token.text)) for token in piece.tokens if token.kind in {"word", "name"})
    return (name for name in names if name.startswith(KEPT))


def _creates_a_table(piece: Piece) -> bool:
    words = piece.words(3)
    return words[:2] == ("CREATE", "TABLE") and words[2:] != ("IF",)
