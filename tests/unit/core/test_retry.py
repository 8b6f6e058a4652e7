"""Retrying a read, and retrying a change until it is done, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from steps.support.core.deadline import deadline_known, listening, waited_for
from steps.support.core.errors import Busy, NotSent, Problem, Rejected, Unknown
from steps.support.core.retry import ensure, retry
from tests.support.virtual.loop import run

LOST = Unknown(code="connection", operation="asking", subject="it", cause="the answer was lost", remedy="Look.")
BUSY = Busy(code="connection", operation="asking", subject="it", cause="not now", remedy="Again.")
NO = Rejected(code="connection", operation="asking", subject="it", cause="no", remedy="Stop.")


def _answering(*answers: object) -> Callable[[], Awaitable[object]]:
    """Return a question that gets these answers, one after the other."""
    left = list(answers)

    async def ask() -> object:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@pytest.mark.parametrize(
    "passing",
    [LOST, BUSY, NotSent(code="connection", operation="asking", subject="it", cause="no connection", remedy="Look.")],
)
def test_passing_failures_are_retried(passing: Exception) -> None:
    """A lost answer, a busy server and a refused connection are not answers."""
    assert run(retry(_answering(passing, passing, "yes"))) == "yes"


def test_refusal_is_not_retried() -> None:
    """A refusal is an answer, and the question is not repeated."""
    with pytest.raises(Rejected):
        run(retry(_answering(NO, "never asked")))


def test_hanging_try_is_abandoned() -> None:
    """A single hung request does not use up the whole time: it is sent again."""
    asked: list[float] = []

    async def ask() -> str:
        asked.append(asyncio.get_running_loop().time())
        if len(asked) == 1:
            await asyncio.Event().wait()
        return "yes"

    assert run(retry(ask, patience=2.0)) == "yes"
    assert asked[1] - asked[0] == pytest.approx(2.5)


def test_last_failure_is_known_when_the_scope_ends() -> None:
    """When the scope ends the retries, its owner can name the answer that was missing."""
    heard: list[str] = []

    async def within() -> str:
        with listening(heard.append):
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await retry(_answering(*[LOST] * 100))
            return waited_for()

    assert run(within()) == str(LOST)
    assert heard == [str(LOST)]


def test_passed_failure_does_not_explain_a_later_timeout() -> None:
    """An error that passed is not given as the reason for a later delay."""

    async def scenario() -> str:
        with listening(lambda _: None):
            await retry(_answering(LOST, "yes"))
            return waited_for()

    assert run(scenario()) == ""


def _limited(after: float) -> Busy:
    error = Busy(code="connection", operation="asking", subject="it", cause="too many requests", remedy="Wait.")
    error.after = after
    return error


def test_requested_pause_is_respected() -> None:
    """If the peer says how long to wait, the next request does not come sooner."""

    async def scenario() -> float:
        begun = asyncio.get_running_loop().time()
        await retry(_answering(_limited(7), "yes"))
        return asyncio.get_running_loop().time() - begun

    assert run(scenario()) == pytest.approx(7)


@pytest.mark.parametrize("ask", [retry, lambda send: ensure(_never, send)], ids=["read", "write"])
def test_pause_that_does_not_fit_ends_the_step_at_once(ask: Callable[..., Awaitable[object]]) -> None:
    """There is no waiting for an answer that can only come after the end of the scope."""

    async def scenario() -> float:
        begun = asyncio.get_running_loop().time()
        with deadline_known(begun + 5), pytest.raises(Busy):
            await ask(_answering(_limited(7)))
        return asyncio.get_running_loop().time() - begun

    assert run(scenario()) == 0


async def _never() -> bool:
    return False


@pytest.mark.parametrize(
    ("reads", "answers", "sent"),
    [
        ([True], [], 0),
        ([False, True], [None], 1),
        ([False, False, False, True], [None], 1),
        ([False, True], [LOST], 1),
        ([False, False, True], [LOST, None], 2),
        ([False, False, True], [BUSY, None], 2),
    ],
)
def test_state_is_read_before_a_write_is_repeated(reads: list[bool], answers: list[object], sent: int) -> None:
    """An accepted write is sent once; a lost or delayed one is repeated only while the state has not changed."""
    told: list[object] = []
    tell = _answering(*answers)

    async def send() -> None:
        told.append(None)
        await tell()

    async def is_so() -> bool:
        return reads.pop(0)

    run(ensure(is_so, send))
    assert len(told) == sent


def test_final_refusal_ends_the_retries() -> None:
    """After a final refusal there is no further try."""

    async def send() -> None:
        raise NO

    with pytest.raises(Rejected):
        run(ensure(_never, send))


@pytest.mark.parametrize(
    ("reads", "is_done"),
    [([False, False, True], True), ([False, False, False, True], True), ([False] * 99, False)],
    ids=["it was done", "it was done a moment later", "it was not done"],
)
def test_refusal_of_a_repeated_write_is_checked(reads: list[bool], is_done: bool) -> None:  # noqa: FBT001
    """A write whose answer was lost may be refused the second time because it was done: the state decides."""

    async def is_so() -> bool:
        return reads.pop(0)

    done = ensure(is_so, _answering(LOST, NO))  # type: ignore[arg-type]
    if is_done:
        run(done)
    else:
        with pytest.raises(Rejected):
            run(done)


@pytest.mark.parametrize(
    ("reads", "answers", "problem"),
    [
        ([NO], [], Rejected),
        ([False, NO], [None], Unknown),
        ([False, NO], [LOST], Unknown),
        ([False, False, NO], [LOST, None], Unknown),
        ([False, False, NO], [LOST, NO], Unknown),
        ([False, False, False, NO], [LOST, NO], Unknown),
    ],
)
def test_refused_read_after_a_write_is_not_its_refusal(
    reads: list[object], answers: list[object], problem: type[Problem]
) -> None:
    """Rejected says that nothing was done; after a write was sent, no refused read can say so."""
    with pytest.raises(Problem) as raised:
        run(ensure(_answering(*reads), _answering(*answers)))  # type: ignore[arg-type]
    assert type(raised.value) is problem


def test_first_polls_after_a_write_are_closer_together() -> None:
    """A quick move is noticed quickly; a slow one is not polled more often than agreed."""
    reads: list[float] = []

    async def is_so() -> bool:
        reads.append(asyncio.get_running_loop().time())
        return len(reads) == 7

    async def timed() -> list[float]:
        await ensure(is_so, _answering(None), every=1.0)  # type: ignore[arg-type]
        return [round(look - reads[0], 3) for look in reads]

    assert run(timed()) == [0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0]


def test_lost_write_is_polled_after_the_whole_pause() -> None:
    """If it may still land, the next read comes after the whole pause: sent sooner, it might be sent twice."""
    reads: list[float] = []

    async def is_so() -> bool:
        reads.append(asyncio.get_running_loop().time())
        return len(reads) == 2

    run(ensure(is_so, _answering(LOST), every=1.0))  # type: ignore[arg-type]
    assert reads[1] - reads[0] >= 1.0
