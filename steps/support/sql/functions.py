"""Find functions and virtual tables that no script may use: they run SQL from a text, or reach outside the database.

`sha3_query('COMMIT')` commits in the middle of a transaction, and `readfile` reads the server's own files (measured on
sqld 0.24.32). The lists also contain functions that sqld lacks, because a server built with SQLite's shell has them.
"""

from collections.abc import Iterator, Sequence

from steps.support.sql.tokens import Token, folded, unquoted_name

_RUNS_SQL = "runs any SQL that a text contains, even COMMIT"
_REACHES_FILES = "reads or writes files of the server"
_RAW_PAGES = "reads or writes the pages of the database file"
_SETTINGS = "changes how the server works"

FUNCTIONS = {  # in lower case
    "sha3_query": _RUNS_SQL,
    "eval": _RUNS_SQL,
    "readfile": _REACHES_FILES,
    "writefile": _REACHES_FILES,
    "edit": _REACHES_FILES,
    "zipfile": _REACHES_FILES,
    "fsdir": _REACHES_FILES,
    "load_extension": "loads a program into the server",
    "fts3_tokenizer": _SETTINGS,
    "sqlite3mc_config": _SETTINGS,
    "sqlite3mc_config_table": _SETTINGS,
    "sqlite_dbpage": _RAW_PAGES,
    "sqlite_dbdata": _RAW_PAGES,
    "sqlite_dbptr": _RAW_PAGES,
}
MODULES = {
    "csv": _REACHES_FILES,
    "vsv": _REACHES_FILES,
    "fsdir": _REACHES_FILES,
    "zipfile": _REACHES_FILES,
    "unionvtab": _REACHES_FILES,
    "swarmvtab": _REACHES_FILES,
    "statement": _RUNS_SQL,
    "statement_vtab": _RUNS_SQL,
    "sqlite_dbpage": _RAW_PAGES,
    "sqlite_dbdata": _RAW_PAGES,
    "sqlite_dbptr": _RAW_PAGES,
}
_READ_AS_TABLES = frozenset({"fsdir", "sqlite_dbpage", "sqlite_dbdata", "sqlite_dbptr"})  # also without arguments
_TABLE_FOLLOWS = frozenset({"FROM", "JOIN", "INTO", "UPDATE", ","})
_NAMES_AN_OBJECT = frozenset({"TABLE", "INTO", "REFERENCES", "VIEW", "EXISTS"})
_QUERY_FOLLOWS = (("AS", "("), ("AS", "MATERIALIZED", "("), ("AS", "NOT", "MATERIALIZED", "("))


def forbidden(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """Yield the name of each forbidden function or virtual table that a statement uses, and what that does."""
    words = [*map(_word, tokens)]
    for index, token in enumerate(tokens):
        name = folded(unquoted_name(token.text)) if token.kind in {"word", "name"} else ""
        first = index - 2 if words[index - 1 : index] == ["."] else index  # where a name with its schema begins
        before = words[first - 1] if first > 0 else ""
        if name in MODULES and before == "USING" and words[1:2] == ["VIRTUAL"]:
            yield name, MODULES[name]
        elif name in _READ_AS_TABLES and before in _TABLE_FOLLOWS:
            yield name, FUNCTIONS[name]
        elif name in FUNCTIONS and words[index + 1 : index + 2] == ["("] and before not in _NAMES_AN_OBJECT:
            called = not _is_indexed(words, first) and not _names_a_query(words, index)
            if called and (name != "fts3_tokenizer" or "," in words[index : _closing(words, index + 1)]):
                yield name, FUNCTIONS[name]


def _word(token: Token) -> str:
    """Return a token in upper case if it may be a keyword or a sign; empty for a quoted name, a string or a number."""
    return token.text.upper() if token.kind in {"word", "other"} else ""


def _is_indexed(words: Sequence[str], index: int) -> bool:
    """Return True if the word at `index` is the table in CREATE INDEX ... ON table (...)."""
    makes_index = words[0] == "CREATE" and "INDEX" in words[1:3]
    return makes_index and words[index - 1] == "ON" and "ON" not in words[: index - 1]


def _names_a_query(words: Sequence[str], index: int) -> bool:
    """Return True if the word at `index` names a common table expression: name (columns) AS (SELECT ...)."""
    after = _closing(words, index + 1) + 1
    return any(tuple(words[after : after + len(follows)]) == follows for follows in _QUERY_FOLLOWS)


def _closing(words: Sequence[str], opening: int) -> int:
    """Return the position of the parenthesis that closes the one at `opening`; the number of words if none does."""
    depth = 0
    for index in range(opening, len(words)):
        depth += {"(": 1, ")": -1}.get(words[index], 0)
        if not depth:
            return index
    return len(words)
