"""Everything that can stop an operation.

    Problem
    +-- NotSent    nothing reached the other side: safe to send again
    |   +-- Busy   it reached the other side, which did nothing of it for now: safe to send again
    +-- Rejected   the other side answered no: it was not done
    +-- Unknown    sent, and no usable answer: it may have been done, or may still be
    +-- Refused, Failed, NeedsHuman   what a step makes of it: not begun; begun and not done; a person must decide

A cancelled call (its time was up) is Unknown by nature, without saying so.
"""

from typing import Self


class Problem(Exception):  # noqa: N818 - a problem is what the operator reads; it need not be an error of ours
    """What stopped an operation: what was done, to what, why it failed, and what to do next."""

    def __init__(self, operation: str, subject: str, cause: str, remedy: str) -> None:
        super().__init__(operation, subject, cause, remedy)
        self.operation = operation
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    @classmethod
    def because(cls, error: "Problem") -> Self:
        """Return the same problem as one of this kind: what stopped an operation is told once, where it was met."""
        return cls(error.operation, error.subject, error.cause, error.remedy)

    def __str__(self) -> str:
        """Give the one sentence that an operator needs; the remedy has a line of its own below a cause of several."""
        return f"{self.operation} {self.subject}: {self.cause}{chr(10) if chr(10) in self.cause else '. '}{self.remedy}"


class NotSent(Problem):
    """Nothing reached the other side; sending again is safe."""

    after = 0.0  # seconds that the other side wants to be left alone


class Busy(NotSent):
    """The other side cannot do it right now, and did nothing of it; sending again is safe."""


class Rejected(Problem):
    """The other side read the request and answered no; nothing was done."""


class Unknown(Problem):
    """The request may have been carried out, or may still be: look before acting again."""

    after = 0.0  # seconds that the other side wants to be left alone


class Refused(Problem):
    """Not begun: from `look` nothing at all was touched; from `act` it is certain that nothing of this step was."""


class Failed(Problem):
    """Begun and not done; whatever of it took effect is put back."""


class NeedsHuman(Problem):
    """Something is not put back, or it is not known whether it is."""
