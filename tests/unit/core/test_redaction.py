"""The one place that removes secrets."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from steps.support.core.redaction import Redactor

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
    """Known secrets, plain or URL-encoded, and everything that looks like one, are masked everywhere."""
    assert REDACT(shown) == kept


LONG = 'a "long/secret" with\\all+of it~ünd?more>'


def _packed(encode: Callable[[bytes], bytes], before: str, after: str = "") -> Callable[[str], str]:
    return lambda secret: encode(f"{before}{secret}{after}".encode()).decode()


WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": lambda secret: quote(secret, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in JSON as UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False),
    "as Python shows it": repr,
    "in Basic authentication": _packed(b64encode, "user:"),
    "in Basic authentication, after a longer name": _packed(b64encode, "users:"),
    "in Basic authentication, without a name": _packed(b64encode, ":"),
    "in base64 for URLs": _packed(urlsafe_b64encode, "", ">>"),
    "in base64 for URLs, in the middle": _packed(urlsafe_b64encode, "??", ">>"),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("secret", [LONG, "v1c1_AbCdEf0123456789ghIJ", "0123456789abcdef-0123456789abcdef"])
def test_every_spelling_is_masked(written: Callable[[str], str], secret: str) -> None:
    """In any encoding of a secret, only the characters that it shares with its neighbours remain."""
    shown = Redactor([secret]).text(f"it said: {written(secret)} and no more")
    left = shown.removeprefix("it said: ").removesuffix(" and no more")
    assert len(left) < len("***") + 13
    assert "***" in left


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_truncated_secret_is_masked(cut: int) -> None:
    """If a message ends or begins in the middle of a secret, less than half of the secret remains."""
    secret = "".join(f"{number:02x}" for number in range(40, 70))
    redact = Redactor([secret])
    for shown in (redact.text(f"said {secret[:-cut]}... next"), redact.text(f"...{secret[cut:]}, he said")):
        parts = (secret[at : at + size] for size in range(len(secret)) for at in range(len(secret) - size))
        longest = max(len(part) for part in parts if part in shown)
        assert longest <= max(12, len(secret) // 2)


def test_words_that_begin_like_a_secret_are_kept() -> None:
    """A sentence is not masked because a secret happens to begin with one of its words."""
    assert Redactor(["production-2024-secret"]).text("production is ready") == "production is ready"


@pytest.mark.parametrize(
    "shown",
    [
        "tgram://123456789:AAbbCCdd99/@channel",
        "123456789",
        "AAbbCCdd99",
        "slack://T1JJ3T3L2/A1BRTD4JD/#alerts",
        "https://elsewhere.example/A1BRTD4JD",
        "pa@ss",
        "pa%40ss",
        "{'-token': 'xoxb99zz'}",
    ],
)
def test_redaction_masks_each_secret_part_of_a_url(shown: str) -> None:
    """A token may stand anywhere in a URL: none of these is shown, neither whole nor in its parts."""
    urls = "tgram://123456789:AAbbCCdd99/@channel, slack://T1JJ3T3L2/A1BRTD4JD/#alerts\njsons://me:pa%40ss@hook.example.org:8443/in?-token=xoxb99zz"
    secrets = {"123456789", "AAbbCCdd99", "T1JJ3T3L2", "A1BRTD4JD", "pa@ss", "pa%40ss", "xoxb99zz"}
    assert not any(secret in Redactor([urls]).text(shown) for secret in secrets)


@pytest.mark.parametrize(
    "shown", ["hook.example.org:8443", "https://hook.example.org", "alerts", "json", "127.0.0.1:8080"]
)
def test_redaction_keeps_the_public_part_of_a_url(shown: str) -> None:
    """Host names and plain words also name other things, so they are shown."""
    assert Redactor(["json://hook.example.org:8443/alerts json://127.0.0.1:8080"]).text(shown) == shown


SHA, DEPLOYMENT = "3f786850e387550fdab836ed7e6dc881de23001b", "dpl_5WJWYSyB7BpgTj3EuwF37WMRBXBQ"
SHORT = Redactor(["8685", "BpgTj3", "live_"])


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        (SHA, SHA),
        (f"main is at {SHA}, 8685 files", f"main is at {SHA}, *** files"),
        ({"sha": SHA, "live": DEPLOYMENT}, {"sha": SHA, "live": DEPLOYMENT}),
        (f"{DEPLOYMENT} and BpgTj3", f"{DEPLOYMENT} and ***"),
        (f"key{SHA}", "key3f7***0e387550fdab836ed7e6dc881de23001b"),
        ({"live_": "x8685"}, {"live_": "x***"}),
    ],
)
def test_short_secret_leaves_ids_and_names_of_fields_alone(shown: object, kept: object) -> None:
    """A sha or a deployment's id that happens to contain it is needed whole to recover; elsewhere it is masked."""
    assert SHORT(shown) == kept


def test_long_secret_is_masked_in_an_id_too() -> None:
    """A secret that could not stand in an id by chance is masked wherever it is, also if it looks like an id."""
    assert Redactor([SHA]).text(f"key {SHA}") == "key ***"
    assert Redactor([SHA[5:30]]).text(SHA) == f"{SHA[:5]}***{SHA[30:]}"


@pytest.mark.parametrize("piece", ["eyJ", "://", "://a:", "eyJa.", "a.", "bearer Bearer ", "token=", "eyJ.eyJ-"])
def test_hostile_text_is_searched_once(piece: str) -> None:
    """A text of 600,000 characters that begins like a secret everywhere is read once: again and again would take hours."""
    assert len(Redactor(["s3cr3t-and-much-longer"]).text(piece * (600_000 // len(piece)))) > 3


def test_secret_is_masked_among_many_that_are_cut_off() -> None:
    """Each of 50,000 pieces of a secret is masked, and what stands between them stays."""
    secret = "0123456789abcdefghijklmnopqrstuvwxyz"  # noqa: S105 - worth nothing
    assert Redactor([secret]).text(f"{secret[:20]} and " * 50_000) == "*** and " * 50_000


@pytest.mark.parametrize("before", ["", "authToken=", "x", "a.b.", "https://host/"])
def test_token_is_masked_after_anything(before: str) -> None:
    """A JSON Web Token is masked, whatever stands before it without a space."""
    assert "c2lnbmF0" not in Redactor().text(f"{before}eyJhbGciOiJF.eyJhIjoicnci.c2lnbmF0dXJl is one")
