"""Everything that can stop an operation.

    Problem
    +-- NotSent    nothing reached the other side: safe to send again
    |   +-- Busy   it reached the other side, which did nothing for now: safe to send again
    +-- Rejected   the other side answered no: it was not done
    +-- Unknown    sent, but no usable answer: it may have been done, or may still be
    +-- Refused, Failed, NeedsHuman   what a step makes of it: not begun; begun and not done; a person must decide

A call that was cancelled because its time was up is Unknown in effect, although it does not raise Unknown.
"""

from typing import Literal, Self

Code = Literal[  # each is the anchor of one section of runbook.md; choose the section that the operator needs next
    "accept-refused",
    "already-applied",
    "blocking-findings",
    "branch-diverged",
    "build-failed",
    "checkout-not-ready",
    "connection",
    "copy-failed",
    "database-access",
    "deployment-not-found",
    "forecast-too-long",
    "git-access",
    "health-check-failed",
    "journal-version",
    "lock-held",
    "migration-failed",
    "no-safe-order",
    "no-writes",
    "not-confirmed",
    "nothing-to-release",
    "platform-not-ready",
    "preflight-timeout",
    "production-changed",
    "program-missing",
    "promotion-failed",
    "push-refused",
    "rollback-failed",
    "rollback-refused",
    "run-alive",
    "run-not-found",
    "runs-folder",
    "stand-ins",
    "step-timeout",
    "syntax-error",
    "unlock-refused",
    "unresolved-run",
    "usage",
    "vercel-access",
]


class Problem(Exception):  # noqa: N818 - the operator reads this word; it need not be an error of ours
    """What stopped an operation: what was done, to what, why it failed, and what to do next.

    `code` is the anchor of the section of runbook.md that helps.
    """

    def __init__(self, *, code: Code, operation: str, subject: str, cause: str, remedy: str) -> None:
        super().__init__(operation, subject, cause, remedy)
        self.code: Code = code
        self.operation = operation
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    @classmethod
    def because(cls, error: "Problem") -> Self:
        """Return an error of this class with the same code and texts, which are chosen where the error is found."""
        return cls(
            code=error.code,
            operation=error.operation,
            subject=error.subject,
            cause=error.cause,
            remedy=error.remedy,
        )

    def __str__(self) -> str:
        """Return it as one sentence; if the cause has several lines, the remedy follows on a line of its own."""
        return f"{self.operation} {self.subject}: {self.cause}{chr(10) if chr(10) in self.cause else '. '}{self.remedy}"


class NotSent(Problem):
    """Nothing reached the other side; sending again is safe."""

    after = 0.0  # seconds that the other side asks us to wait before the next request


class Busy(NotSent):
    """The other side cannot do it right now, and did nothing; sending again is safe."""


class Rejected(Problem):
    """The other side read the request and answered no; nothing was done."""


class Unknown(Problem):
    """The request may have been carried out, or may still be: read the state before acting again."""

    after = 0.0  # seconds that the other side asks us to wait before the next request


class Refused(Problem):
    """Not begun. From `preflight`: nothing at all was touched. From `apply`: nothing of this step was done."""


class Failed(Problem):
    """Begun and not done; any part that took effect is rolled back."""


class NeedsHuman(Problem):
    """Something is not rolled back, or it is not known whether it is."""
