"""The outermost edge: what no run could catch becomes one line and an exit code."""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

from steps.support.core import process
from steps.support.core.errors import Problem
from steps.support.core.redaction import Redactor
from steps.support.core.text import printable_lines

CONFIGURATION, DEFECT = 2, 4


def exit_code_of(work: Callable[[], int], verbose: bool) -> int:  # noqa: FBT001 - it is the option --verbose
    """Do the work and give its exit code; a problem before any run began is a matter of configuration."""
    try:
        return work()
    except Problem as problem:
        return _said(str(problem), CONFIGURATION, verbose)
    except KeyboardInterrupt:
        return _said("interrupted before anything began", 130, verbose)
    except Exception as error:  # noqa: BLE001 - an operator gets a sentence, --verbose the traceback
        return _said(f"a defect of the orchestrator: {error!r}; see --verbose", DEFECT, verbose)


def _said(text: str, code: int, verbose: bool) -> int:  # noqa: FBT001
    shown = (traceback.format_exc() if verbose else "") + f"orchestrate: {text}\n"
    with suppress(OSError, ValueError):  # whoever would read it may be gone
        sys.stderr.write(printable_lines(Redactor(process.secrets_in_environment()).text(shown)))
    return code
