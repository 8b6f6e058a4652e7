"""The tables of ours in which a migration keeps what its rollback needs, by the text of that rollback."""

from collections.abc import Iterator

from steps.support.sql_owned import KEPT, lowered
from steps.support.sql_text import Piece, scan
from steps.support.sql_tokens import spelled


def named_in(rollback: str) -> set[str]:
    """Return the tables of ours that a rollback names, in lower case; those in its comments and texts are not named."""
    return {name for piece in scan(rollback, "rollback.sql").pieces for name in _names(piece)}


def needed_by(rollback: str) -> set[str]:
    """Return those that have to be there when a rollback begins: it names them, and does not make them itself."""
    needed, made = set[str](), set[str]()
    for piece in scan(rollback, "rollback.sql").pieces:
        names = [*_names(piece)]
        if _makes_a_table(piece) and names and names[0] not in needed:
            made.add(names[0])
        needed.update(name for name in names if name not in made)
    return needed


def _names(piece: Piece) -> Iterator[str]:
    names = (lowered(spelled(token.text)) for token in piece.tokens if token.kind in {"word", "name"})
    return (name for name in names if name.startswith(KEPT))


def _makes_a_table(piece: Piece) -> bool:
    words = piece.words(3)
    return words[:2] == ("CREATE", "TABLE") and words[2:] != ("IF",)
