"""Values in a report: short, on one line, and without secrets or personal data."""

import pytest

from steps.support.proof.rows.result import SampleValue, sample_value
from steps.support.sql.statement import Value


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("v", None, "NULL"),
        ("v", 1, "1"),
        ("v", 1.0, "1.0"),
        ("v", float("inf"), "inf"),
        ("v", "1", "'1'"),
        ("v", "", "''"),
        ("v", b"\0" * 12, "<12 bytes>"),
        ("v", b"\0" * 1200, "<1,200 bytes>"),
        ("v", "a\nb\t\0\x1b[31m\u202e\x7f", "'a\\nb\\t\\x00\\x1b[31m\\u202e\\x7f'"),
        ("v", "Größe 日本", "'Größe 日本'"),
        ("v", "x" * 40, f"'{'x' * 40}'"),
        ("v", "x " * 25_000_000, f"'{'x ' * 19}x…'"),
        ("v", "\n" * 41, "'" + "\\n" * 39 + "…'"),
    ],
)
def test_values_are_short_and_on_one_line(column: str, value: Value, text: str) -> None:
    """A value is written as SQL writes it, cut to forty characters, control characters escaped."""
    assert sample_value(column, value) == text


@pytest.mark.parametrize(
    "column",
    ["token", "auth_token", "clientSecret", "PASSWORD", "passwd", "api_key", "email", "E-Mail", "home_address", "Phone", "credentials"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["x", "", 5551234, 1.5])
def test_columns_that_sound_private_are_masked(column: str, value: Value) -> None:
    """The values of such a column are never shown."""
    assert sample_value(column, value) == "***"


def test_harmless_facts_of_a_private_column_are_shown() -> None:
    """NULL, the length of a blob and a numeric primary key are shown; a text key is masked even there."""
    assert (sample_value("token", None), sample_value("token", b"abc")) == ("NULL", "<3 bytes>")
    assert (sample_value("key_id", 7, is_key=True), sample_value("email", "x", is_key=True)) == ("7", "***")


@pytest.mark.parametrize(
    "value",
    [
        "someone@example.com",
        "Someone <some.one+tag@mail.example.co.uk>",
        "eyJhbGciOiJFZERTQSJ9.eyJhIjoicnciLCJpYXQiOjF9.c2ln",
        "d41d8cd98f00b204e9800998ecf8427e",
        "sha256:9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
        "sk_live_4eC39HqLyjWDarjtT1zdP7dc",
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU=",
        '{"accessToken": "abc"}',
        '{"user": 1, "password":"x"}',
        "api_key=abc",
        "Authorization: Bearer abc",
        "https://user:pass@example.com/",
        "user_2abCdEfGhIjKlMnOpQrStUvWxYz",
    ],
)
def test_values_that_look_private_are_masked_in_any_column(value: str) -> None:
    """An address, a token, a key or a password is masked in a column of any name."""
    assert sample_value("v", value) == "***"
    assert sample_value("v", f"{'plain words ' * 2}{value}") == "***"


@pytest.mark.parametrize(
    "value",
    [
        "readings_system_inverter_time_unique",
        "2025-08-30T11:46:00+10:00",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "select.live",
        "7.5kW, 48V",
        '{"item_count":21,"now":1755000000}',
        "one @ two",
    ],
)
def test_ordinary_values_are_shown(value: str) -> None:
    """Names, times, ids and settings are what samples are for."""
    assert sample_value("v", value) == f"'{value}'"


def test_change_shows_both_values() -> None:
    """Both values stay visible within a line, even if they look the same."""
    assert str(SampleValue("v", ("1", "'1'"))) == "v 1 -> '1'"
    assert str(SampleValue("token", ("***", "***"))) == "token *** -> ***"
    assert str(SampleValue("id", ("7",))) == "id 7"
