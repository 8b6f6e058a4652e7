"""Text that others might write, and a way to put it wherever an event has foreign text."""

from typing import Any

HOSTILE = [
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">',
    "'--></title></style></svg><iframe src=https://example.com>",
    "{{ 7 * 7 }}{% raw %}{# no #}",
    "&lt;b&gt; &amp; &#x3C;",
    "right\u202eto left \u2066 and \u200b",
    "\x1b[31mred\x1b[0m \x00 \x07 \ud800",
    "line\nline\r\nline\u2028line",
    "x" * 1_000_000,
]
NAMES = {"event", "step", "at", "name", "begins", "mode", "order", "run", "of"}  # values that the tool itself writes


def poisoned(value: Any, text: str, key: str = "") -> Any:
    """Replace every foreign text, at any depth, by this one; names and times that the tool writes stay."""
    if isinstance(value, dict):
        return {name: poisoned(each, text, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, text, key) for each in value]
    return text if isinstance(value, str) and key not in NAMES else value
