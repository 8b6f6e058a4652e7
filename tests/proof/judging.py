"""What of a list of objections refuses a run, once some rules are accepted."""

from collections.abc import Collection, Iterable

from steps.support.sql.findings import Objection, Weight


def refusing(objections: Iterable[Objection], allowed: Collection[str]) -> list[Objection]:
    """Return those that are still errors when these rules are accepted wherever they found something."""
    open_to = [each for each in objections if each.weight is Weight.ERROR]
    return [each for each in open_to if not each.rule or each.rule not in allowed]
