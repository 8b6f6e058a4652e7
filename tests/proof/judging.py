"""What of a list of objections refuses a run, once some rules are accepted."""

from collections.abc import Iterable

from steps.support.proof.objection import Objection, Weight, accepted


def refusing(objections: Iterable[Objection], allowed: Iterable[str]) -> list[Objection]:
    """Give those that are still errors when these rules are accepted."""
    return [each for each in accepted(objections, dict.fromkeys(allowed, "it is meant")) if each.weight is Weight.ERROR]
