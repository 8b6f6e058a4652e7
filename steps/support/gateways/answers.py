"""The three ways in which the outside world says anything but yes.

    Problem
    +-- NotSent    nothing reached the other side: safe to send again
    |   +-- Busy   it reached the other side, which did nothing of it for now: safe to send again
    +-- Rejected   the other side answered no: it was not done
    +-- Unknown    sent, and no usable answer: it may have been done, or may still be

A cancelled call (its time was up) is Unknown by nature, without saying so.
"""

from steps.support.problem import Problem


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
