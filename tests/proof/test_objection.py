"""Objections: which of them a reason accepts, and what is said then."""

import pytest

from steps.support.proof.objection import Objection, Weight, accepted

ALLOWED = {"column-lost": "it lives on in another", "other-rule": "something else"}


@pytest.mark.parametrize(
    ("rule", "weight", "after"),
    [
        ("column-lost", Weight.ERROR, Weight.ACCEPTED),
        ("column-lost", Weight.WARNING, Weight.ACCEPTED),
        ("column-lost", Weight.NOTE, Weight.NOTE),
        ("column-lost", Weight.ACCEPTED, Weight.ACCEPTED),
        ("column-los", Weight.ERROR, Weight.ERROR),
        ("Column-Lost", Weight.ERROR, Weight.ERROR),
        ("no-where", Weight.ERROR, Weight.ERROR),
        ("no-where", Weight.WARNING, Weight.WARNING),
        ("", Weight.ERROR, Weight.ERROR),
        ("", Weight.WARNING, Weight.WARNING),
        ("", Weight.NOTE, Weight.NOTE),
    ],
)
def test_a_reason_accepts_errors_and_warnings_of_its_rule(rule: str, weight: Weight, after: Weight) -> None:
    """What only notes, what has no rule and what has another rule stays as heavy as it was."""
    (found,) = accepted([Objection(rule, "t.v", "3 values are lost", "Keep them.", weight)], ALLOWED)
    assert found.weight is after
    assert (found.rule, found.place, found.cause) == (rule, "t.v", "3 values are lost")


def test_the_reason_is_said_in_place_of_the_remedy() -> None:
    """One line tells place, cause and reason, and no longer how to accept it; another one is told as before."""
    one, other = (Objection(rule, "t.v", "it is lost", "Keep it.") for rule in ("column-lost", "no-where"))
    assert [*map(str, accepted([one, other], ALLOWED))] == [
        "t.v: it is lost. Accepted: it lives on in another.",
        "t.v: it is lost. Keep it. To accept it: -- allow: no-where <reason>",
    ]


def test_all_are_given_back_in_their_order() -> None:
    """Accepting adds none and leaves none out, also where nothing is allowed or nothing was found."""
    found = [Objection(rule, "t", "cause", "Mend it.") for rule in ("no-where", "column-lost", "", "other-rule")]
    assert [each.rule for each in accepted(found, ALLOWED)] == [each.rule for each in found]
    assert accepted(found, {}) == found
    assert accepted(accepted(found, ALLOWED), ALLOWED) == accepted(found, ALLOWED)
    assert accepted([], ALLOWED) == []
