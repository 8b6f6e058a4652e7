"""Values, statements and rows as Hrana writes them in JSON."""

import base64
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from steps.support.gateways.database import Rows, Statement, Value

Kind = TypeVar("Kind")

_MOST = 1e15  # of a figure that is shown


def statement_json(statement: Statement) -> dict[str, Any]:
    """Write a statement with its positional arguments."""
    return {"sql": statement.sql, "args": [_encoded(value) for value in statement.args]}


def rows_of(result: Mapping[str, Any]) -> Rows:
    """Read a statement's result. Raises KeyError, TypeError or ValueError where it is none."""
    columns = tuple(of(str, column["name"] or "") for column in of(list, result["cols"]))
    rows = tuple(tuple(_decoded(value) for value in row) for row in of(list, result["rows"]))
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("a row of another width than its columns")
    seconds, written = _measured(result.get("query_duration_ms")) / 1000, _measured(result.get("rows_written"))
    return Rows(columns, rows, of(int, result["affected_row_count"]), seconds, int(written))


def of(kind: type[Kind], value: Any) -> Kind:
    """Give the value, where it is of this kind. Raises TypeError where it is not."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _measured(value: Any) -> float:
    """Return a figure that is only shown, 0 if it is none: a strange one must not make an answer unreadable."""
    return value if isinstance(value, int | float) and 0 <= value < _MOST else 0


def _encoded(value: Value) -> dict[str, Any]:
    match value:
        case None:
            return {"type": "null"}
        case int():
            return {"type": "integer", "value": str(int(value))}
        case float():
            return {"type": "float", "value": value}
        case str():
            return {"type": "text", "value": value}
        case _:
            return {"type": "blob", "base64": base64.b64encode(value).decode().rstrip("=")}


def _decoded(value: Mapping[str, Any]) -> Value:
    match value["type"]:
        case "null":
            return None
        case "integer":
            return int(of(str, value["value"]))
        case "float":
            return math.inf if value["value"] is None else float(value["value"])  # of infinity the sign is not sent
        case "text":
            return of(str, value["value"])
        case "blob":
            return base64.b64decode(value["base64"] + "=" * (-len(value["base64"]) % 4))
        case other:
            raise ValueError(f"a value of type {other}")
