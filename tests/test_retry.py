"""Asking again and bringing about, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from steps.support.core.deadline import deadline_known, listening, waited_for
from steps.support.core.errors import Busy, NotSent, Problem, Rejected, Unknown
from steps.support.core.retry import ensure, retry
from tests.virtual import run

LOST = Unknown("asking", "it", "the answer was lost", "Look.")
BUSY = Busy("asking", "it", "not now", "Again.")
NO = Rejected("asking", "it", "no", "Stop.")


def _says(*answers: object) -> Callable[[], Awaitable[object]]:
    """Give a question that is answered so, one answer after the other."""
    left = list(answers)

    async def ask() -> object:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


@pytest.mark.parametrize("passing", [LOST, BUSY, NotSent("asking", "it", "no connection", "Look.")])
def test_what_may_pass_is_asked_again(passing: Exception) -> None:
    """A lost answer, a busy server and a refused connection are no answers."""
    assert run(retry(_says(passing, passing, "yes"))) == "yes"


def test_a_refusal_is_an_answer() -> None:
    """What the other side refuses is not asked again."""
    with pytest.raises(Rejected):
        run(retry(_says(NO, "never asked")))


def test_one_try_that_hangs_is_given_up() -> None:
    """A single hung request does not eat the whole time: it is sent again."""
    asked: list[float] = []

    async def ask() -> str:
        asked.append(asyncio.get_running_loop().time())
        if len(asked) == 1:
            await asyncio.Event().wait()
        return "yes"

    assert run(retry(ask, patience=2.0)) == "yes"
    assert asked[1] - asked[0] == pytest.approx(2.5)


def test_what_was_heard_last_is_known() -> None:
    """When the scope ends the asking, whoever drew the scope can say what it was that did not come."""
    heard: list[str] = []

    async def within() -> str:
        with listening(heard.append):
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await retry(_says(*[LOST] * 100))
            return waited_for()

    assert run(within()) == str(LOST)
    assert heard == [str(LOST)]


def test_what_came_in_the_end_is_waited_for_no_more() -> None:
    """An error that passed is no reason for whatever takes long afterwards."""

    async def scenario() -> str:
        with listening(lambda _: None):
            await retry(_says(LOST, "yes"))
            return waited_for()

    assert run(scenario()) == ""


def _limited(after: float) -> Busy:
    error = Busy("asking", "it", "too many requests", "Wait.")
    error.after = after
    return error


def test_a_pause_that_is_asked_for_is_given() -> None:
    """Where the other side says how long it wants to be left alone, it is asked no sooner."""

    async def scenario() -> float:
        begun = asyncio.get_running_loop().time()
        await retry(_says(_limited(7), "yes"))
        return asyncio.get_running_loop().time() - begun

    assert run(scenario()) == pytest.approx(7)


@pytest.mark.parametrize("ask", [retry, lambda send: ensure(_never, send)], ids=["read", "write"])
def test_a_pause_that_does_not_fit_ends_it_at_once(ask: Callable[..., Awaitable[object]]) -> None:
    """Nobody waits for an answer that can only come after the end of the scope."""

    async def scenario() -> float:
        begun = asyncio.get_running_loop().time()
        with deadline_known(begun + 5), pytest.raises(Busy):
            await ask(_says(_limited(7)))
        return asyncio.get_running_loop().time() - begun

    assert run(scenario()) == 0


async def _never() -> bool:
    return False


@pytest.mark.parametrize(
    ("looks", "answers", "sent"),
    [
        ([True], [], 0),
        ([False, True], [None], 1),
        ([False, False, False, True], [None], 1),
        ([False, True], [LOST], 1),
        ([False, False, True], [LOST, None], 2),
        ([False, False, True], [BUSY, None], 2),
    ],
)
def test_the_world_is_looked_at_before_it_is_told_again(looks: list[bool], answers: list[object], sent: int) -> None:
    """What was taken is told once; what was lost or put off is told again only while the world is not yet so."""
    told: list[object] = []
    tell = _says(*answers)

    async def send() -> None:
        told.append(None)
        await tell()

    async def is_so() -> bool:
        return looks.pop(0)

    run(ensure(is_so, send))
    assert len(told) == sent


def test_a_refusal_ends_it() -> None:
    """Where the other side says no for good, nobody goes on."""

    async def send() -> None:
        raise NO

    with pytest.raises(Rejected):
        run(ensure(_never, send))


@pytest.mark.parametrize(
    ("looks", "is_done"),
    [([False, False, True], True), ([False, False, False, True], True), ([False] * 99, False)],
    ids=["it was done", "it was done a moment later", "it was not done"],
)
def test_a_refusal_of_a_repeated_write_is_looked_into(looks: list[bool], is_done: bool) -> None:  # noqa: FBT001
    """A write whose answer was lost may be refused the second time because it was done: the world decides."""

    async def is_so() -> bool:
        return looks.pop(0)

    done = ensure(is_so, _says(LOST, NO))  # type: ignore[arg-type]
    if is_done:
        run(done)
    else:
        with pytest.raises(Rejected):
            run(done)


@pytest.mark.parametrize(
    ("looks", "answers", "problem"),
    [
        ([NO], [], Rejected),
        ([False, NO], [None], Unknown),
        ([False, NO], [LOST], Unknown),
        ([False, False, NO], [LOST, None], Unknown),
        ([False, False, NO], [LOST, NO], Unknown),
        ([False, False, False, NO], [LOST, NO], Unknown),
    ],
)
def test_a_refused_look_after_a_write_is_no_refusal_of_it(
    looks: list[object], answers: list[object], problem: type[Problem]
) -> None:
    """Rejected says that nothing was done; once something was sent, no look that is refused can say so."""
    with pytest.raises(Problem) as raised:
        run(ensure(_says(*looks), _says(*answers)))  # type: ignore[arg-type]
    assert type(raised.value) is problem


def test_what_was_just_set_off_is_looked_at_sooner_at_first() -> None:
    """A move of a moment is known in a moment; one that takes long is not asked after more often than agreed."""
    looks: list[float] = []

    async def is_so() -> bool:
        looks.append(asyncio.get_running_loop().time())
        return len(looks) == 7

    async def timed() -> list[float]:
        await ensure(is_so, _says(None), every=1.0)  # type: ignore[arg-type]
        return [round(look - looks[0], 3) for look in looks]

    assert run(timed()) == [0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0]


def test_a_write_whose_answer_was_lost_is_not_hurried() -> None:
    """Where it may yet land, the next look comes after the whole pause: sent sooner, it might be sent twice."""
    looks: list[float] = []

    async def is_so() -> bool:
        looks.append(asyncio.get_running_loop().time())
        return len(looks) == 2

    run(ensure(is_so, _says(LOST), every=1.0))  # type: ignore[arg-type]
    assert looks[1] - looks[0] >= 1.0
