"""Values, statements and rows as Hrana writes them in JSON."""

import base64
import math
from collections.abc import Mapping
from typing import Any

from steps.support.gateways.database import Rows, Statement, Value


def statement_json(statement: Statement) -> dict[str, Any]:
    """Write a statement with its positional arguments."""
    return {"sql": statement.sql, "args": [_encoded(value) for value in statement.args]}


def rows_of(result: Mapping[str, Any]) -> Rows:
    """Read a statement's result. Raises KeyError, TypeError or ValueError where it is none."""
    return Rows(
        tuple(str(column["name"] or "") for column in result["cols"]),
        tuple(tuple(_decoded(value) for value in row) for row in result["rows"]),
        int(result["affected_row_count"]),
    )


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
            return int(value["value"])
        case "float":
            return math.inf if value["value"] is None else float(value["value"])  # of infinity the sign is not sent
        case "text":
            return str(value["value"])
        case "blob":
            return base64.b64decode(value["base64"] + "=" * (-len(value["base64"]) % 4))
        case other:
            raise ValueError(f"a value of type {other}")
