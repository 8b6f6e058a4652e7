"""The one place that takes secrets out."""

import pytest

from steps.support.redaction import Redactor

REDACT = Redactor(["s3cr3t/with slash", "hunter22", "hunter22-longer", "abc"])


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ("nothing to hide", "nothing to hide"),
        ("token hunter22 in the middle", "token *** in the middle"),
        ("the longer of two: hunter22-longer", "the longer of two: ***"),
        ("quoted s3cr3t%2Fwith%20slash in a URL", "quoted *** in a URL"),
        ("as it is: s3cr3t/with slash", "as it is: ***"),
        ("too short to be one: abc", "too short to be one: abc"),
        ("Authorization: Bearer whatever-it-is", "Authorization: Bearer ***"),
        ("https://user:pa/ss@example.com/x", "https://***@example.com/x"),
        ("https://oauth2:tok@git.example/x.git", "https://***@git.example/x.git"),
        ("eyJhbGciOiJF.eyJhIjoicnci.c2lnbmF0dXJl is a token", "*** is a token"),
        ("libsql://db.turso.io?authToken=abcdef&tls=1", "libsql://db.turso.io?authToken=***&tls=1"),
        ({"deep": [{"hunter22": ("x", "hunter22")}], "n": 1}, {"deep": [{"***": ["x", "***"]}], "n": 1}),
    ],
)
def test_secrets_are_masked(shown: object, kept: object) -> None:
    """Known secrets, as they are and as a URL spells them, and whatever looks like one, are masked everywhere."""
    assert REDACT(shown) == kept
