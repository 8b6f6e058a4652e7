"""The errors that can stop an operation.

    Problem
    +-- NotSent      the request did not reach the other side: it is safe to send the request again
    |   +-- Busy     the other side got the request, but did nothing for now: it is just as safe to send it again
    +-- Rejected     the other side refused the request: nothing was done
    +-- Unknown      there is no usable answer: the request may have been carried out, or may still be

    A step turns these into one of the following:

    Problem
    +-- Refused      the step was not started
    +-- Failed       the step was started but not completed
    |   +-- Stalled  something did not answer in time: trying again may help
    +-- NeedsHuman   a person must decide what to do

If a call is cancelled because its time is up, its outcome is unknown, too, although the call does not raise Unknown.
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
    "other-engine",
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
    """An error that stopped an operation.

    `operation` and `subject`: what was being done, and to what. `cause`: why it failed. `remedy`: what to do next.
    `code`: the anchor of the section of runbook.md that helps.
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
        """Return an error of this class with the same code and texts as `error`."""
        return cls(
            code=error.code,
            operation=error.operation,
            subject=error.subject,
            cause=error.cause,
            remedy=error.remedy,
        )

    def __str__(self) -> str:
        """Return the operation, the subject, the cause and the remedy as one text.

        The remedy is on a line of its own if the cause has several lines.
        """
        return f"{self.operation} {self.subject}: {self.cause}{chr(10) if chr(10) in self.cause else '. '}{self.remedy}"


class NotSent(Problem):
    """The request did not reach the other side, so it is safe to send it again."""

    after = 0.0  # seconds that the other side asks us to wait before the next request


class Busy(NotSent):
    """The other side received the request, but did nothing, because it is busy. It is safe to send it again."""


class Rejected(Problem):
    """The other side read the request and refused it, and changed nothing."""


class Unknown(Problem):
    """The request may have been carried out, or may still be. Read the state before acting again."""

    after = 0.0  # seconds that the other side asks us to wait before the next request


class Refused(Problem):
    """The operation was not started.

    If `preflight` raises this, nothing at all was touched. If `apply` raises it, this step changed nothing.
    """


class Failed(Problem):
    """The operation was started but not completed; any part that took effect is rolled back."""


class Stalled(Failed):
    """Something did not answer in time, or does not say what must be known. Trying again may help."""


class NeedsHuman(Problem):
    """A person must act: something was not rolled back, or it is not known whether everything was."""
