"""Use an SQL parser to find what tokens do not show: which columns a WHERE compares, and which columns are divided."""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce

import sqlglot
from sqlglot import exp

logging.getLogger("sqlglot").disabled = True  # sqlglot logs a line for every statement that it cannot parse in detail

WHOLE = re.compile("[0-9]{1,18}")  # the engine may read a longer number as a real one

_EQUALITIES = (exp.EQ, exp.NullSafeEQ, exp.Is)
_ARITHMETIC = (exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Abs, exp.Coalesce, exp.Max, exp.Min)


@dataclass(frozen=True, slots=True)
class Compared:
    """The columns of the changed table in one alternative of a WHERE, that is, on one side of its ORs.

    `equal`: the columns that are compared for equality. `mentioned`: all columns that occur.
    """

    equal: frozenset[str]
    mentioned: frozenset[str]


@dataclass(frozen=True, slots=True)
class Division:
    """A division of a column by a whole number, unless the column is converted to a real number first."""

    column: str
    divisor: int


@lru_cache(maxsize=256)
def parse(sql: str) -> exp.Expr | None:
    """Parse one statement in SQLite's dialect; return None if the parser cannot."""
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite")
    except Exception:  # noqa: BLE001 - the parser fails in many ways, even by recursion; none may stop a release
        return None
    return None if tree.find(exp.Command) else tree


def comparisons(tree: exp.Expr) -> set[Compared]:
    """Return the alternatives in the WHERE of an UPDATE or DELETE: one for each combination of the sides of its ORs."""
    where = tree.args.get("where")
    if where is None or not isinstance(tree, exp.Update | exp.Delete):
        return set()
    return _alternatives(where.this, tree.this.alias_or_name.lower())


def divisions(tree: exp.Expr) -> Iterator[Division]:
    """Yield each division of a column by a whole number, unless the statement also uses the remainder, with %."""
    remainders = {found for node in tree.find_all(exp.Mod) for found in _divided(node)}
    for node in tree.find_all(exp.Div):
        yield from (found for found in _divided(node) if found not in remainders)


def _alternatives(node: exp.Expr, own: str) -> set[Compared]:
    node = node.unnest()
    if isinstance(node, exp.Or):
        return set[Compared]().union(*(_alternatives(part, own) for part in node.flatten()))
    if isinstance(node, exp.And):
        return reduce(_both, (_alternatives(part, own) for part in node.flatten()))
    mentioned = frozenset(column.name.lower() for column in node.find_all(exp.Column) if _is_own(column, node, own))
    equal = frozenset(column.name.lower() for column in _equated(node) if _is_own(column, node, own))
    return {Compared(equal, mentioned)}


def _both(left: Iterable[Compared], right: Iterable[Compared]) -> set[Compared]:
    return {Compared(one.equal | other.equal, one.mentioned | other.mentioned) for one in left for other in right}


def _equated(node: exp.Expr) -> Iterator[exp.Column]:
    """Yield each column that is compared with = or IS, on either side, or with IN, on its left."""
    sides = [side for found in node.find_all(*_EQUALITIES) for side in (found.this, found.expression)]
    sides += [found.this for found in node.find_all(exp.In)]
    for side in (side.unnest() for side in sides):
        parts = side.expressions if isinstance(side, exp.Tuple) else [side]
        yield from (part for part in parts if isinstance(part, exp.Column))


def _is_own(column: exp.Column, condition: exp.Expr, own: str) -> bool:
    """Return True if a column belongs to the changed table, whose name is `own`.

    In a subquery, the column must be qualified with that name, and no FROM of the subquery may introduce the name.
    """
    name, selects = column.table.lower(), list(_selects(column, condition))
    return name in ({own} if selects else {own, ""}) and not any(own in _sources(select) for select in selects)


def _selects(node: exp.Expr | None, condition: exp.Expr) -> Iterator[exp.Select]:
    while node and node is not condition:
        node = node.parent
        if isinstance(node, exp.Select):
            yield node


def _sources(select: exp.Select) -> set[str]:
    clauses = [select.args.get("from_"), *(select.args.get("joins") or ())]
    return {clause.this.alias_or_name.lower() for clause in clauses if clause}


def _divided(node: exp.Div | exp.Mod) -> set[Division]:
    divisor, parts = node.expression.unnest(), list(_parts(node.this))
    columns = [part for part in parts if isinstance(part, exp.Column)]
    whole = all(isinstance(part, exp.Column) or _is_whole(part) for part in parts)
    return {Division(column.name.lower(), int(divisor.name)) for column in columns if whole and _is_whole(divisor)}


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the innermost operands of an expression whose operations all keep whole numbers whole."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if within := _within(node):
            waiting += within
        else:
            yield node


def _within(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Cast):
        return [node.this] if node.is_type(*exp.DataType.INTEGER_TYPES) else []
    if isinstance(node, exp.Subquery):
        return [part.unalias() for part in node.selects]
    return list(node.iter_expressions()) if isinstance(node, _ARITHMETIC) else []


def _is_whole(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and WHOLE.fullmatch(node.name) is not None


def assignments(sql: str) -> dict[str, bool]:
    """Return the columns that an UPDATE sets, each with True if the new value follows from the previous one.

    The new value follows if its expression reads the same column, or if WHERE compares that column with constants only.
    """
    tree = parse(sql)
    if not isinstance(tree, exp.Update):
        return {}
    where = tree.args.get("where")
    own = tree.this.alias_or_name.lower()
    pinned = _pinned(where.this, own) if where else set()
    found: dict[str, bool] = {}
    for column, value in (pair for each in tree.expressions for pair in _set(each)):
        reads = any(each.name.lower() == column and _is_own(each, value, own) for each in value.find_all(exp.Column))
        found[column] = found.get(column, True) and (reads or column in pinned)
    return found


def emptied(sql: str) -> set[str]:
    """Return the columns that an UPDATE sets to an expression that names NULL, or calls NULLIF."""
    tree = parse(sql)
    both = (pair for each in tree.expressions for pair in _set(each)) if isinstance(tree, exp.Update) else ()
    return {column for column, value in both if any(map(_names_null, value.find_all(exp.Null, exp.Nullif)))}


def _names_null(node: exp.Expr) -> bool:
    return not isinstance(node.parent, exp.Is)  # IS NULL only tests for NULL


def carried(sql: str) -> set[str]:
    """Return the columns that an INSERT ... SELECT computes from a column with the same name."""
    tree = parse(sql)
    if not isinstance(tree, exp.Insert) or not isinstance(tree.this, exp.Schema):
        return set()
    query = tree.args.get("expression")
    if not isinstance(query, exp.Select):
        return set()
    both = zip(tree.this.expressions, query.expressions, strict=False)
    return {
        target.name.lower()
        for target, value in both
        if any(each.name.lower() == target.name.lower() for each in value.find_all(exp.Column))
    }


def _set(assignment: exp.Expr) -> Iterator[tuple[str, exp.Expr]]:
    """Yield each column that an assignment of an UPDATE sets, with the expression of its value.

    If a row of columns is set from one expression, such as a subquery, each of the columns has that expression.
    """
    target, value = assignment.this, assignment.expression
    if not isinstance(target, exp.Tuple | exp.Paren):
        yield target.name.lower(), value
        return
    targets = target.expressions if isinstance(target, exp.Tuple) else [target.this]
    values = value.expressions if isinstance(value, exp.Tuple) else [value.unnest()] * len(targets)
    for each, own in zip(targets, values, strict=False):
        yield each.name.lower(), own


def _pinned(condition: exp.Expr, own: str) -> set[str]:
    """Return the columns that a condition compares with constants only, so that it names their previous values."""
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        return set[str]().union(*(_pinned(part, own) for part in condition.flatten()))
    column, constants = condition.this, [condition.expression]
    if isinstance(condition, exp.In):
        constants = condition.expressions or [exp.Null()]
    elif not isinstance(condition, exp.EQ | exp.Is):
        return set()
    is_constant = all(isinstance(each, exp.Literal) for each in constants)
    return (
        {column.name.lower()}
        if isinstance(column, exp.Column) and is_constant and _is_own(column, condition, own)
        else set()
    )
