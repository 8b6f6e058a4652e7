"""How anything in here says that something went wrong."""


class Problem(Exception):  # noqa: N818 - a problem is what the operator reads; it need not be an error of ours
    """What stopped an operation: what was done, to what, why it failed, and what to do next."""

    def __init__(self, operation: str, subject: str, cause: str, remedy: str) -> None:
        super().__init__(operation, subject, cause, remedy)
        self.operation = operation
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        """Give the one sentence that an operator needs; the remedy has a line of its own below a cause of several."""
        return f"{self.operation} {self.subject}: {self.cause}{chr(10) if chr(10) in self.cause else '. '}{self.remedy}"
