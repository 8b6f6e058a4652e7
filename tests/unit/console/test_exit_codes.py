"""The outermost handler: any uncaught error becomes one harmless line without a key."""

import pytest

from steps.support.console.exit_codes import exit_code_of
from steps.support.core.errors import Problem
from steps.support.core.process import WITHHELD

KEY = "v1c1_AbCdEf0123456789ghIJ"


def _raising(error: BaseException) -> int:
    raise error


ERRORS: dict[str, tuple[BaseException, int]] = {
    "a problem": (
        Problem(
            code="usage",
            operation="reading",
            subject="\x1b]0;title\x07",
            cause=f"it says {KEY} \x1b[2J\u202e",
            remedy="Mend it.",
        ),
        2,
    ),
    "a defect": (RuntimeError(f"\x1b[31m{KEY}"), 4),
    "a header that cannot be sent": (UnicodeEncodeError("ascii", f"auth-token={KEY}\xe9", 36, 37, "no"), 4),
    "a signal": (KeyboardInterrupt(), 130),
}


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", sorted(WITHHELD - {"TURSO_DATABASE_URL"}))
@pytest.mark.parametrize(("error", "code"), ERRORS.values(), ids=ERRORS)
def test_uncaught_error_has_its_exit_code_and_no_key(
    error: BaseException,
    code: int,
    name: str,
    verbose: bool,  # noqa: FBT001 - a column of the table
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither line nor traceback shows a key of the environment, or moves the cursor."""
    monkeypatch.setenv(name, KEY)
    assert exit_code_of(lambda: _raising(error), verbose) == code
    said = capsys.readouterr().err
    assert KEY not in said
    assert all(char.isprintable() or char == "\n" for char in said)
    assert ("Traceback" in said) == verbose
    assert said.count("\n") == 1 or verbose
