"""Requests that the stand-in platform answers badly: how, which, and how often."""

import asyncio
from email.utils import parsedate_to_datetime
from time import time

import httpx
import pytest

from steps.support.standin.vercel.quirks import Answer, Quirks, Trouble
from tests.support.servers.vercel_project import ALIAS, BUILD, NEW, Project, api, project, served

pytestmark = pytest.mark.anyio

PROJECT, PROMOTE = "/v9/projects/liveone", "/v10/projects/liveone/promote/dpl_2"


def _staged(*troubles: Trouble) -> Project:
    made = project(auto_assign=False, quirks=Quirks(troubles=troubles))
    made.platform.pushed(NEW, "main", "a change")
    made.pass_time(BUILD)
    return made


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer.PAYMENT_REQUIRED, 402, "payment_required"),
        (Answer.CONFLICT, 409, "conflict"),
        (Answer.GONE, 410, "gone"),
        (Answer.UNPROCESSABLE, 422, "unprocessable_entity"),
        (Answer.LIMITED, 429, "rate_limited"),
        (Answer.LIMITED_UNTIL, 429, "rate_limited"),
        (Answer.ERROR, 500, "internal_server_error"),
    ],
)
async def test_refusal_has_the_documented_form_and_no_effect(answer: Answer, status: int, code: str) -> None:
    """The status, the code, and no promotion; all other requests are answered."""
    made = _staged(Trouble(answer, "POST .*/promote/"))
    async with api(made) as client:
        refused = await client.post(PROMOTE)
        made.pass_time(ALIAS)
        assert await served(client) == "dpl_1"
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


async def test_undocumented_forms_of_error() -> None:
    """Plain text, a web page with 200, and an error under another name."""
    made = _staged()
    answers = []
    async with api(made) as client:
        for answer in (Answer.ERROR_IN_TEXT, Answer.HTML, Answer.MISSPELT):
            made.platform.quirks = Quirks(troubles=(Trouble(answer),))
            answers.append(await client.get(PROJECT))
    assert [each.status_code for each in answers] == [500, 200, 400]
    kinds = [each.headers["Content-Type"].partition(";")[0] for each in answers]
    assert kinds == ["text/plain", "text/html", "application/json"]
    assert list(answers[2].json()) == ["err"]


@pytest.mark.parametrize(("times", "statuses"), [(1, [500, 200, 200]), (2, [500, 500, 200]), (None, [500, 500, 500])])
async def test_trouble_happens_a_number_of_times_or_always(times: int | None, statuses: list[int]) -> None:
    """Each trouble has its own counter; unaffected requests are not counted."""
    troubles = (Trouble(Answer.ERROR, "GET /v9/", times), Trouble(Answer.CONFLICT, "POST", 1))
    async with api(_staged(*troubles)) as client:
        assert (await client.get("/v7/deployments")).status_code == 200
        assert [(await client.get(PROJECT)).status_code for _ in range(3)] == statuses
        assert [(await client.post(PROMOTE)).status_code for _ in range(2)] == [409, 201]


async def test_too_many_requests_say_when_to_retry() -> None:
    """In seconds or as a date, and in the body as the moment of the reset."""
    waits = []
    for answer in (Answer.LIMITED, Answer.LIMITED_UNTIL):
        async with api(_staged(Trouble(answer, seconds=30))) as client:
            refused = await client.get(PROJECT)
        limit = refused.json()["error"]["limit"]
        assert (limit["remaining"], abs(limit["reset"] - time() - 30) < 5) == (0, True)
        assert abs(limit["resetMs"] - limit["reset"] * 1000) <= 500
        waits.append(refused.headers["Retry-After"])
    assert waits[0] == "30"
    assert abs(parsedate_to_datetime(waits[1]).timestamp() - time() - 30) < 5


@pytest.mark.parametrize("answer", [Answer.DRIP, Answer.HANG])
async def test_answer_can_be_endless(answer: Answer) -> None:
    """A byte now and then, or none: no answer comes in the time of many."""
    async with api(_staged(Trouble(answer))) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.get(PROJECT)


async def test_dripping_bytes_do_arrive() -> None:
    """A client that only waits for the next byte never times out."""
    async with api(_staged(Trouble(Answer.DRIP))) as client, client.stream("GET", PROJECT) as dripping:
        arriving = dripping.aiter_raw()
        assert [await anext(arriving) for _ in range(3)] == [b" "] * 3


@pytest.mark.parametrize(("answer", "live"), [(Answer.RESET, "dpl_1"), (Answer.LOST, "dpl_2")])
async def test_connection_is_reset_before_or_after_the_effect(answer: Answer, live: str) -> None:
    """The client sees the same; the promotion has begun in one case only."""
    made = _staged(Trouble(answer, "POST", 1))
    async with api(made) as client:
        with pytest.raises(httpx.ReadError):
            await client.post(PROMOTE)
        made.pass_time(ALIAS)
        assert await served(client) == live
