"""An assertion inside a transaction: a statement that fails unless something holds.

It is an expression that raises, because a batch condition sees only ok or error, never a value.
"""

from steps.support.gateways.database import Statement


def assertion(name: str, condition: str, otherwise: str, *args: str | int, gives: str = "1") -> Statement:
    """Build a statement that fails unless `condition` holds; `otherwise` is an SQL expression that says why."""
    # a text that is NULL, or begins with a dollar sign, would be no error, and the assertion would pass
    failure = f"json_extract('{{}}', coalesce({otherwise}, 'it cannot be told'))"
    return Statement(f"SELECT CASE WHEN {condition} THEN {gives} ELSE {failure} END", args, name)
