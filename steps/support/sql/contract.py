"""Read a contract: the statements that one version of the app sends, and the alternatives that it tries in turn."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steps.support.sql.findings import BadSql, Finding, place
from steps.support.sql.script import Piece, Script, read_script_text, require_whole
from steps.support.sql.statement import Statement

_MARK = re.compile(r"--\s*(either|or|end)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that the app does, in one way or in several alternative ways.

    The app can do this thing if every statement of at least one alternative runs.
    """

    alternatives: tuple[tuple[Statement, ...], ...]


@dataclass(frozen=True, slots=True)
class _Mark:
    word: str
    start: int
    place: str


def statements_of(blocks: Iterable[Block]) -> list[Statement]:
    """Return all statements of a contract, including those of every alternative."""
    return [statement for block in blocks for statements in block.alternatives for statement in statements]


def read_contract(text: str, name: str) -> tuple[Block, ...]:
    """Read the blocks of a contract. A statement that is not between `-- either` and `-- end` is a block of its own.

    Raise BadSql, with file and line, if `-- either`, `-- or` and `-- end` do not match.
    """
    return contract_in(require_whole(read_script_text(text, name)))


def contract_in(script: Script) -> tuple[Block, ...]:
    """Return the blocks of a contract that was already split into statements. Raise BadSql as read_contract does."""
    items: list[Piece | _Mark] = [*script.pieces, *_marks(script)]
    items.sort(key=lambda item: item.start)
    return tuple(_blocks(iter(items)))


def _marks(script: Script) -> Iterator[_Mark]:
    for comment in script.comments:
        if match := _MARK.fullmatch(comment.text):
            mark = _Mark(match[1].lower(), comment.start, place(script.name, comment.line))
            if any(piece.start < mark.start < piece.end for piece in script.pieces):
                raise _bad(mark, cause="is inside a statement", remedy="End the statement before it with a semicolon.")
            yield mark


def _blocks(items: Iterator[Piece | _Mark]) -> Iterator[Block]:
    for item in items:
        if isinstance(item, Piece):
            yield Block(((item.statement,),))
        elif item.word == "either":
            yield Block(_alternatives(item, items))
        else:
            raise _bad(item, cause="has no matching `-- either`", remedy="Begin the block with `-- either`.")


def _alternatives(opening: _Mark, items: Iterator[Piece | _Mark]) -> tuple[tuple[Statement, ...], ...]:
    alternatives: list[tuple[Statement, ...]] = [()]
    for item in items:
        if isinstance(item, Piece):
            alternatives[-1] += (item.statement,)
        elif item.word == "either":
            raise _bad(
                item, cause="is inside another block", remedy=f"End the block at {opening.place} with `-- end` first."
            )
        elif not alternatives[-1]:
            raise _bad(item, cause="closes an alternative without a statement", remedy="Write a statement above it.")
        elif item.word == "or":
            alternatives.append(())
        else:
            return _require_several(opening, alternatives)
    raise _bad(opening, cause="is never closed", remedy="End the block with `-- end`.")


def _require_several(opening: _Mark, alternatives: list[tuple[Statement, ...]]) -> tuple[tuple[Statement, ...], ...]:
    if len(alternatives) == 1:
        raise _bad(
            opening,
            cause="has only one alternative",
            remedy="Add another alternative after `-- or`, or remove `-- either` and `-- end`.",
        )
    return tuple(alternatives)


def _bad(mark: _Mark, *, cause: str, remedy: str) -> BadSql:
    return BadSql(subject="a contract", findings=[Finding(mark.place, f"`-- {mark.word}` {cause}", remedy)])
