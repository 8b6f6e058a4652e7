"""Statements that a server parses and must not run: nothing of it stays, and nobody waits for it.

To describe a statement is not only to read it. While libSQL describes a CREATE INDEX of a vector index it makes the
index's tables, and while it describes the DROP of the index or of its table it drops them, as statements of their own
(measured on sqld 0.24.32). So everything is described inside a transaction that the same request rolls back. What is
known to write is not described at all: it takes the write lock, and takes it from a writer who holds it for 5 seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from steps.support.core.errors import Unknown
from steps.support.gateways.database import hrana_wire
from steps.support.gateways.database.frame import bound_parameters, syntax_error
from steps.support.gateways.database.hrana_wire import statement_json
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import tokenize

Json = dict[str, Any]

BEGIN = Statement("BEGIN", name="beginning a transaction for parsing")
ROLLBACK = Statement("ROLLBACK", name="rolling it back")
_VECTOR = frozenset({"LIBSQL_VECTOR_IDX", "USING"})  # what makes an index of vectors, now and in older servers
_ENDED = "the transaction in which statements are parsed ended before its ROLLBACK"


def requests(statements: Sequence[Statement]) -> list[Json]:
    """Write what has a server parse statements: a step that never runs for each, and a description where it is safe."""
    described = [{"type": "describe", "sql": each.sql} for each in statements if is_described(each.sql)]
    return [_run(BEGIN), *map(_never, statements), *described, _run(ROLLBACK)]


def verdicts(results: Sequence[Mapping[str, Any]], statements: Sequence[Statement], address: str) -> list[str | None]:
    """Read what the server has against each statement, None for nothing.

    Raises what the failure of BEGIN means, or Unknown where the transaction did not last until its ROLLBACK.
    """
    begun, *found, rolled_back = results
    if begun["type"] == "error":
        raise hrana_wire.failed(begun["error"], BEGIN, address)
    if rolled_back["type"] == "error":
        cause = f"{_ENDED} ({rolled_back['error']['message']})"
        raise Unknown("parsing", address, cause, "Compare its schema with the one you know before you go on.")
    descriptions = iter(found[len(statements) :])
    return [
        _verdict(parsed, next(descriptions) if is_described(each.sql) else None)
        for each, parsed in zip(statements, found, strict=False)
    ]


def is_described(sql: str) -> bool:
    """Say whether a server can describe a statement without writing."""
    words = [token.text.strip("\"'`[]").upper() for token in tokenize(sql) if token.kind != "comment"]
    if words[:1] == ["EXPLAIN"]:
        words = words[3:] if words[1:3] == ["QUERY", "PLAN"] else words[1:]
    makes_an_index = words[:1] == ["CREATE"] and "INDEX" in words[1:3]
    return words[:1] != ["DROP"] and not (makes_an_index and not _VECTOR.isdisjoint(words))


def _run(statement: Statement) -> Json:
    return {"type": "execute", "stmt": statement_json(statement)}


def _never(statement: Statement) -> Json:
    """Write a batch whose one step never runs: the server parses it, and that is all."""
    step = {"stmt": {"sql": statement.sql}, "condition": {"type": "or", "conds": []}}
    return {"type": "batch", "batch": {"steps": [step]}}


def _verdict(parsed: Mapping[str, Any], described: Mapping[str, Any] | None) -> str | None:
    if parsed["type"] == "error":
        return str(parsed["error"]["message"])
    if described is None:
        return None
    if described["type"] == "error":
        return syntax_error(str(described["error"]["message"]))
    return bound_parameters([parameter["name"] for parameter in described["response"]["result"]["params"]])
