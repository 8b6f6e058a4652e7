"""Queries: which statements only read, and how to run one without its rows."""

from collections.abc import Sequence
from dataclasses import replace

from steps.support.sql.statement import Statement
from steps.support.sql.tokens import tokenize

READING = frozenset({"SELECT", "WITH", "VALUES"})


def written_by(words: Sequence[str]) -> str | None:
    """Return the verb by which a statement that begins with WITH changes rows; None if it only reads."""
    depth = 0
    for word, following in zip(words, (*words[1:], ""), strict=True):
        depth += {"(": 1, ")": -1}.get(word, 0)
        replaces = (word, following) == ("REPLACE", "INTO")  # otherwise a function or a name
        if not depth and (replaces or word in {"INSERT", "UPDATE", "DELETE"}):
            return word
    return None


def as_count(statement: Statement) -> Statement:
    """Return a query that computes the same rows and answers their number; any other statement as it is.

    A server cannot answer with text that is not UTF-8, nor with too many rows.
    """
    words = [token.text.upper() for token in tokenize(statement.sql) if token.kind != "comment"]
    if not words or words[0] not in READING or written_by(words):
        return statement
    query = f"WITH _orchestrate_rows AS MATERIALIZED (\n{statement.sql.rstrip().rstrip(';')}\n)"
    return replace(statement, sql=f"{query} SELECT count(*) FROM _orchestrate_rows")
