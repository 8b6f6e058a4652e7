"""Let a server parse statements without running them.

Parsing leaves no trace in the database, and no writer waits for it. But a server that describes a statement does more
than read it. When libSQL describes a CREATE INDEX of a vector index, it creates the index's tables, and when it
describes the DROP of the index or of its table, it drops them, in separate statements (measured on sqld 0.24.32).
Everything is therefore described inside a transaction that the same request rolls back. Statements that are known to
write when described are not described at all: the description would take the write lock, even from a writer that has
held it for 5 seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from steps.support.core.errors import Unknown
from steps.support.gateways.database import hrana_wire
from steps.support.gateways.database.hrana_wire import statement_json
from steps.support.gateways.database.protocol import bound_parameters, syntax_error
from steps.support.sql.statement import Statement
from steps.support.sql.tokens import tokenize

Json = dict[str, Any]

BEGIN = Statement("BEGIN", name="beginning a transaction for parsing")
ROLLBACK = Statement("ROLLBACK", name="rolling it back")
_VECTOR = frozenset({"LIBSQL_VECTOR_IDX", "USING"})  # words that mark a vector index, on current and on older servers
_ENDED = "the transaction in which statements are parsed ended before its ROLLBACK"


def requests(statements: Sequence[Statement]) -> list[Json]:
    """Build the requests that parse statements.

    Each statement becomes a step that never runs, and is also described if that is safe.
    """
    described = [{"type": "describe", "sql": each.sql} for each in statements if is_described(each.sql)]
    return [_execute(BEGIN), *map(_parse_only, statements), *described, _execute(ROLLBACK)]


def verdicts(results: Sequence[Mapping[str, Any]], statements: Sequence[Statement], address: str) -> list[str | None]:
    """Return the server's syntax error for each statement, or None.

    Raise the error of BEGIN if it failed, or Unknown if the transaction ended before its ROLLBACK.
    """
    begun, *parsed_or_described, rolled_back = results
    if begun["type"] == "error":
        raise hrana_wire.failed(begun["error"], BEGIN, address)
    if rolled_back["type"] == "error":
        cause = f"{_ENDED} ({rolled_back['error']['message']})"
        raise Unknown(
            code="syntax-error",
            operation="parsing",
            subject=address,
            cause=cause,
            remedy="Compare its schema with the one you know, then run again.",
        )
    descriptions = iter(parsed_or_described[len(statements) :])
    return [
        _verdict(parsed, next(descriptions) if is_described(each.sql) else None)
        for each, parsed in zip(statements, parsed_or_described, strict=False)
    ]


def is_described(sql: str) -> bool:
    """Return True if a server can describe a statement without writing anything."""
    words = [token.text.strip("\"'`[]").upper() for token in tokenize(sql) if token.kind != "comment"]
    if words[:1] == ["EXPLAIN"]:
        words = words[3:] if words[1:3] == ["QUERY", "PLAN"] else words[1:]
    makes_an_index = words[:1] == ["CREATE"] and "INDEX" in words[1:3]
    return words[:1] != ["DROP"] and not (makes_an_index and not _VECTOR.isdisjoint(words))


def _execute(statement: Statement) -> Json:
    return {"type": "execute", "stmt": statement_json(statement)}


def _parse_only(statement: Statement) -> Json:
    """Build a batch whose only step never runs, so that the server just parses it."""
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
