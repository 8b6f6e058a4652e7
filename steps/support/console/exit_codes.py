"""Choose the exit code of the process; an error that no run caught becomes one line on stderr and an exit code.

The exit code of a run that began comes from its events: see report/fold.py.
"""

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
    """Run the work, and return its exit code.

    A Problem that gets here was raised before any run began, so the usage or the configuration is wrong: code 2.
    """
    try:
        return work()
    except Problem as problem:
        return _report(str(problem), CONFIGURATION, verbose)
    except KeyboardInterrupt:
        return _report("interrupted before anything began", 130, verbose)
    except Exception as error:  # noqa: BLE001 - an operator gets one sentence; --verbose adds the traceback
        return _report(f"a defect of the orchestrator: {error!r}; see --verbose", DEFECT, verbose)


def _report(text: str, code: int, verbose: bool) -> int:  # noqa: FBT001
    shown = (traceback.format_exc() if verbose else "") + f"orchestrate: {text}\n"
    with suppress(OSError, ValueError):  # stderr may be closed
        sys.stderr.write(printable_lines(Redactor(process.secrets_in_environment()).text(shown)))
    return code
