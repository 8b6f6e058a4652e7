"""Compare the options of virtual tables: which words an index takes from a row, and which searches it can answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from steps.support.sql.tokens import Token, folded, tokenize, unquoted_name

_DETAILS = ("none", "column", "full")  # of FTS5, ascending
_NOT_SEARCHED = "unindexed"


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The arguments of a module. `columns`: the words after each column's name. `options`: the value of each option."""

    module: str
    columns: Mapping[str, tuple[str, ...]]
    options: Mapping[str, str]

    @classmethod
    def of(cls, sql: str) -> "_Arguments":
        """Read the arguments from a CREATE VIRTUAL TABLE, or from its text after the name. All are in lower case."""
        tokens = [token for token in tokenize(sql) if token.kind != "comment"]
        using = next(at for at, token in enumerate(tokens) if folded(token.text) == "using")
        columns, options = dict[str, tuple[str, ...]](), dict[str, str]()
        for argument in _split(tokens[using + 3 : -1]):
            name, *rest = [folded(unquoted_name(token.text)) for token in argument]
            if rest[:1] == ["="]:
                options[name] = " ".join(rest[1:])
            else:
                columns[name] = tuple(rest)
        return cls(folded(unquoted_name(tokens[using + 1].text)), columns, options)

    @property
    def searched(self) -> set[str]:
        """The columns that the index searches, or that hold its numbers."""
        without = self.options.get("notindexed", "")
        return {name for name, words in self.columns.items() if _NOT_SEARCHED not in words and name != without}


def makes_same_words(one: str, other: str) -> bool:
    """Return True if two indexes take the same words from a row. `one`, `other`: texts as in `answers_fewer`."""
    first, second = _Arguments.of(one), _Arguments.of(other)
    parts = ((each.module, each.columns, each.options.get("tokenize")) for each in (first, second))
    return next(parts) == next(parts) and first.searched == second.searched


def answers_fewer(before: str, after: str) -> bool:
    """Return True if an index can no longer answer every statement that it answered with its previous options.

    That is so if it has another module, if a column is gone or no longer searched, or if an option makes it store less.
    `before` and `after` are CREATE VIRTUAL TABLE statements, or their texts after the name.
    """
    old, new = _Arguments.of(before), _Arguments.of(after)
    details = [_DETAILS.index(each.options.get("detail", "full")) for each in (old, new)]
    may_delete = [each.options.get("contentless_delete", "0") != "0" for each in (old, new)]
    is_less = not (old.columns.keys() <= new.columns.keys() and old.searched <= new.searched)
    return old.module != new.module or is_less or details[1] < details[0] or may_delete == [True, False]


def content(sql: str) -> str | None:
    """Return the table or view that an index reads; None if it stores rows itself, empty if it stores none."""
    return _Arguments.of(sql).options.get("content")


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the arguments, which are separated by commas outside of parentheses."""
    depth, argument = 0, list[Token]()
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and not depth:
            yield from [argument] * bool(argument)
            argument = []
        else:
            argument.append(token)
    yield from [argument] * bool(argument)
