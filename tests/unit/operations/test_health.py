"""Asking one health question and judging its answer; and how many answers make a verdict, in virtual time."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from steps.health_checks import FIX, KEY, HealthChecks, Observed
from steps.support.core.deadline import listening, waited_for
from steps.support.core.errors import Failed, NotSent, Refused, Unknown
from steps.support.gateways.site import Answer, Request, Site
from steps.support.operations import health
from steps.support.operations.health import CALM, PATIENCE, Comparison, away
from steps.support.run.release import Demands, Gateways, HealthCheck, Release
from steps.support.run.step import Done
from tests.support.virtual.loop import run

JSON, HTML = "application/json", "text/html"
KEYED = Request("/api/data", headers={"Cookie": "auth-token=key"})
FULL = ("status == `200`", "body.error == `null`", "body.latest")
DATA = HealthCheck("data", KEYED, FULL)
CRON = HealthCheck("cron", Request("/api/cron", headers={"Authorization": "Bearer key"}), FULL, writes=True)
RESET = Unknown(
    code="connection",
    operation="reading the answer of",
    subject="the site",
    cause="the connection was reset (ReadError)",
    remedy="Look.",
)

GOOD = Answer(200, JSON, {"latest": 1})
BROKEN = Answer(500, JSON, {"error": "Internal server error"})
COLLIDED = Answer(200, JSON, {"results": [{"error": "UNIQUE constraint failed: readings.system_id"}]})
STARTING = Answer(503, HTML, None)
LIMITED = Answer(429, JSON, {"error": "slow down"}, retry_after=7.0)
CHALLENGE = Answer(403, HTML, None, is_challenge=True)
PREVIOUS = Answer(200, JSON, {"error": "no such column"}, deployment="dpl_old")
CACHED = replace(GOOD, cached="HIT, 33 s old")
CACHED_BROKEN = replace(BROKEN, cached="STALE")
HANGS = None
PROTECTED = "Let the public address through in the project's Deployment Protection; VERCEL_AUTOMATION_BYPASS_SECRET opens deployments."


class _Site:
    """A site that gives these answers in turn and the last one forever; a problem is raised."""

    def __init__(self, *answers: Answer | Exception | None) -> None:
        self._answers = list(answers)
        self.past_cache: list[bool] = []
        self.asked: list[tuple[str, str, float]] = []  # path, host, seconds on the loop's clock

    async def ask(self, request: Request, host: str = "", *, past_cache: bool = False) -> Answer:
        """Answer at once, or never."""
        self.past_cache.append(past_cache)
        self.asked.append((request.path, host, asyncio.get_running_loop().time() - 1000))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is HANGS:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return cast("Answer", answer)


@pytest.fixture(autouse=True)
def _in_mid_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    _it_is(monkeypatch, 30.0)


def _it_is(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(health, "time", SimpleNamespace(time=lambda: now))


def _asked(site: _Site, check: HealthCheck, host: str = "", **compared: Any) -> tuple[Answer | None, str]:
    found = run(health.ask_once(cast("Site", site), check, Comparison(**compared), host))
    return found.answer, found.wrong


def _stage(site: _Site) -> Gateways:
    async def served() -> str:
        return "dpl_new"

    async def marker(_run: str) -> dict[str, str]:
        return {"at": "1756518360"}

    return cast(
        "Gateways",
        SimpleNamespace(site=site, turso=SimpleNamespace(marker=marker), vercel=SimpleNamespace(served=served)),
    )


def _checks(*checks: HealthCheck) -> HealthChecks:
    return HealthChecks(Release("r", cast("Any", None), checks, Demands(), cast("Any", None)))


def _looked(site: _Site, *checks: HealthCheck) -> Observed:
    return run(_checks(*checks).preflight(_stage(site)))


def _acted(site: _Site, *checks: HealthCheck, seconds: float | None = None) -> Done:
    observed = Observed({check.name: {} for check in checks})

    async def within() -> Done:
        async with asyncio.timeout(seconds):
            return await _checks(*checks).apply(_stage(site), observed)

    return run(within())


@pytest.mark.parametrize(
    ("now", "wait"), [(0, 3), (2.5, 0.5), (3, 0), (30, 0), (57, 0), (58, 5), (59.5, 3.5), (120, 3)]
)
def test_cron_is_asked_away_from_the_full_minute(now: float, wait: float) -> None:
    """Within three seconds of the platform's own call the tool waits until that is over."""
    assert away(now) == pytest.approx(wait)


@pytest.mark.parametrize(("check", "waits"), [(CRON, 5.0), (DATA, 0.0)])
def test_only_writing_checks_wait(monkeypatch: pytest.MonkeyPatch, check: HealthCheck, waits: float) -> None:
    """Two seconds before the full minute a writing check is asked five seconds later, any other at once."""
    _it_is(monkeypatch, 58.0)
    site = _Site(GOOD)
    assert _asked(site, check, host="dpl.example") == (GOOD, "")
    ((path, host, at),) = site.asked
    assert (path, host, round(at, 3)) == (check.request.path, "dpl.example", waits)


@pytest.mark.parametrize(
    ("answer", "expect", "wrong"),
    [
        (GOOD, FULL, ""),
        (BROKEN, FULL, "answered 500 application/json, not status == `200` (it says 'Internal server error')"),
        (Answer(500, HTML, None), FULL, "answered 500 text/html, not status == `200`"),
        (Answer(503, "", None), FULL, "answered 503: no function of the app answered: it starts, or the switch of production is not everywhere yet"),
        (Answer(200, HTML, None), FULL, "answered 200 text/html, which is not JSON"),
        (Answer(200, JSON, None), FULL, "answered 200 application/json, which is not JSON"),
        (Answer(200, HTML, None), ("body.error == `null`",), "answered 200 text/html, which is not JSON"),
        (Answer(200, HTML, None), ("status == `200`",), ""),
        (Answer(200, HTML, None), ("status == `200`", "baseline.body == `null`"), ""),
        (Answer(200, JSON, {"error": "x"}), FULL, "answered 200 application/json, not body.error == `null`, not body.latest (it says 'x')"),
        (Answer(200, JSON, {}), ("length(body.rows[?status == 'ok']) > `0`",), "answered 200 application/json, not length(body.rows[?status == 'ok']) > `0`"),
        (Answer(401, JSON, {}), FULL, "answered 401: the site does not accept its key"),
        (Answer(403, JSON, {}), FULL, "answered 403: the site does not accept its key"),
        (Answer(401, HTML, None), FULL, "answered 401: the site does not accept its key, or a deployment protection stands before it"),
        (Answer(404, HTML, None), FULL, "answered 404: there is no such route, or the site does not accept its key"),
        (Answer(401, JSON, {}), ("body.latest",), "answered 401: the site does not accept its key"),
        (Answer(404, JSON, {}), ("status == `404`", "body.gone"), "answered 404 application/json, not body.gone"),
        (Answer(302, HTML, None, "vercel.com"), FULL, "answered 302: it redirects to vercel.com: Deployment Protection wants a login at Vercel"),
        (Answer(307, HTML, None, "www.liveone.example", host="liveone.example"), FULL, "answered 307: it redirects to www.liveone.example: the site has another address"),
        (Answer(308, HTML, None, "liveone.example", host="www.liveone.example"), FULL, "answered 308: it redirects to liveone.example: the site has another address"),
        (Answer(307, HTML, None, "/sign-in", host="liveone.example"), FULL, "answered 307: it redirects to /sign-in: a login"),
        (Answer(302, HTML, None, "elsewhere.example", host="liveone.example"), FULL, "answered 302: it redirects to elsewhere.example: a login, a deployment protection, or another address of the site"),
        (Answer(304, "", None), FULL, "answered 304: it redirects: a login, a deployment protection, or another address of the site"),
        (Answer(401, JSON, {}), ("status == `401` || status == `404`",), ""),
        (RESET, FULL, "gave no answer: the connection was reset (ReadError)"),
        (NotSent(code="connection", operation="reaching", subject="the site", cause="no connection", remedy="Check."), FULL, "gave no answer: no connection"),
    ],
)  # fmt: skip
def test_complaints_of_a_check(answer: Answer | Exception, expect: tuple[str, ...], wrong: str) -> None:
    """Wrong keys and routes differ from bad health, a wrong status hides the rest, else all unmet expectations count."""
    said = f"/api/data {wrong}" if wrong else ""
    given = None if isinstance(answer, Exception) else answer
    assert _asked(_Site(answer), HealthCheck("data", KEYED, expect)) == (given, said)


def test_check_without_a_key_is_told_that_one_is_missing() -> None:
    """If the check sends no key, the complaint is a missing key, not a rejected one."""
    _, wrong = _asked(_Site(Answer(404, HTML, None)), HealthCheck("data", Request("/api/data"), FULL))
    assert wrong == "/api/data answered 404: there is no such route, or the site wants a key, and this check sends none"


def test_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time as a database writes it means the same everywhere, and is compared with the commit in UTC."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    committed = "2026-01-01T12:00:00+00:00"
    later, earlier = ("2026-01-01 12:00:05", "2026-01-01 11:59:00")
    judged = [health.fresh(later, earlier, committed), health.fresh(earlier, None, committed)]
    monkeypatch.undo()
    time.tzset()
    assert judged == [True, False]


def test_answer_is_compared_with_the_baseline() -> None:
    """Expectations see the baseline and the time of the commit; the first answer is its own baseline."""
    check = HealthCheck("data", KEYED, ("body.latest == baseline.latest", "committed_at == 'then'"))
    assert _asked(_Site(GOOD), check, committed="then")[1] == ""
    assert _asked(_Site(GOOD), check, baseline={"latest": 1}, committed="then")[1] == ""
    assert "not body.latest" in _asked(_Site(GOOD), check, baseline={"latest": 2}, committed="then")[1]
    assert "not committed_at" in _asked(_Site(GOOD), check)[1]


def test_hanging_reading_check_is_asked_again() -> None:
    """A hanging read counts as a missing answer; a writing check is waited for as long as its scope allows."""
    assert _asked(_Site(HANGS), DATA) == (None, f"/api/data gave no answer: none within {PATIENCE:.0f} s")
    with pytest.raises(TimeoutError):
        _acted(_Site(HANGS), CRON, seconds=3 * PATIENCE)


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ([GOOD], [0, 0.5]),
        ([BROKEN, GOOD], [0, 0.5, 1]),
        ([GOOD, BROKEN, GOOD], [0, 0.5, 1, 1.5]),
        ([BROKEN, BROKEN, BROKEN, BROKEN, GOOD], [0, 0.5, 1, 1.5, 2, 2.5]),
        ([BROKEN, BROKEN, GOOD, BROKEN, BROKEN, BROKEN, BROKEN, GOOD], [0.5 * n for n in range(9)]),
        ([RESET, GOOD], [0, 0.5, 1]),
        ([HANGS, GOOD], [0, 10.5, 11]),
        ([*9 * [STARTING], GOOD], [0.5 * n for n in range(11)]),
        ([BROKEN, *6 * [STARTING], GOOD], [0.5 * n for n in range(9)]),
        ([LIMITED, GOOD], [0, 7, 7.5]),
        ([CHALLENGE, CHALLENGE, GOOD], [0, 0.5, 1, 1.5]),
        ([*12 * [PREVIOUS], GOOD], [0.5 * n for n in range(14)]),
    ],
)
def test_site_that_gets_well_is_well(answers: Sequence[Answer | Exception | None], times: list[float]) -> None:
    """Wrong answers for less than two seconds, and any number that are not the new code's, are followed by others."""
    site = _Site(*answers)
    _acted(site, DATA)
    assert [at for _, _, at in site.asked] == pytest.approx(times)


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [
        ([BROKEN], 2.0),
        ([GOOD, BROKEN], 2.5),
        ([BROKEN, STARTING, RESET, STARTING, LIMITED, BROKEN], 9.0),
        ([PREVIOUS, PREVIOUS, BROKEN], 3.0),
        ([Answer(503, JSON, {"error": "no readings"})], 2.0),
        ([Answer(401, JSON, {})], 2.0),
    ],
)
def test_two_wrong_answers_of_the_new_code_are_proof(answers: Sequence[Answer | Exception], seconds: float) -> None:
    """They must be two seconds apart, with no good answer between them; the check then ends before its limit."""
    site = _Site(*answers)
    with pytest.raises(Failed, match=f"answered {cast('Answer', answers[-1]).status}"):
        _acted(site, DATA)
    assert site.asked[-1][2] == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (STARTING, ["answered 503: no function of the app answered", "read the deployment's logs"]),
        (LIMITED, ["answered 429: too many requests, and asks to wait 7 s", "set probe_rate lower"]),
        (CHALLENGE, ["answered 403: the firewall challenges visitors", "In the project's Firewall"]),
        (RESET, ["gave no answer: the connection was reset"]),
        (PREVIOUS, ["answered by dpl_old, not by dpl_new"]),
    ],
)
def test_what_is_not_the_app_is_asked_until_the_limit(answer: Answer | Exception, words: list[str]) -> None:
    """When the time ends, the report names what answered, and what to do if it stays."""
    said = _reported_when_cut_off(_Site(answer), DATA, seconds=30)
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ([CACHED, GOOD], ""),
        ([CACHED_BROKEN, GOOD], ""),
        ([CACHED, BROKEN], "the CDN's cache (HIT, 33 s old) still answers as expected"),
        ([CACHED_BROKEN, BROKEN], "the CDN's cache (STALE) is wrong too"),
    ],
)
def test_cached_answer_is_asked_for_again_past_the_cache(answers: Sequence[Answer], wrong: str) -> None:
    """What the app itself answers counts; a complaint tells both answers."""
    site = _Site(*answers)
    _, said = _asked(site, DATA)
    assert (site.past_cache, wrong in said, bool(said)) == ([False, True], True, bool(wrong))


@pytest.mark.parametrize(
    ("check", "answers", "times"),
    [
        (DATA, [STARTING, RESET, GOOD], [0, 0.5, 1]),
        (DATA, [LIMITED, GOOD], [0, 7]),
        (DATA, [STARTING], [0.5 * n for n in range(21)]),
        (DATA, [replace(LIMITED, retry_after=CALM + 1)], [0]),
        (DATA, [BROKEN, GOOD], [0]),
        (CRON, [LIMITED, CHALLENGE, GOOD], [0, 7, 7.5]),
        (CRON, [STARTING, GOOD], [0]),
        (CRON, [RESET, GOOD], [0]),
    ],
)
def test_site_is_given_time_before_the_change(
    check: HealthCheck, answers: Sequence[Answer | Exception], times: list[float]
) -> None:
    """What stands before the app may go away for ten seconds; a request that may have written is not repeated."""
    site = _Site(*answers)
    if answers[-1] is GOOD and len(times) == len(answers):
        _looked(site, check)
    else:
        with pytest.raises(Refused):
            _looked(site, check)
    assert [at for _, _, at in site.asked] == pytest.approx(times)


def test_obstacle_before_the_change_says_what_to_do() -> None:
    """The refusal's remedy is the obstacle's, not one about the app."""
    with pytest.raises(Refused) as refused:
        _looked(_Site(CHALLENGE), DATA)
    assert refused.value.remedy.startswith("In the project's Firewall, let the checks through")


@pytest.mark.parametrize(
    ("answers", "times"), [([GOOD], [0.0]), ([BROKEN], [0.0]), ([RESET], [0.0]), ([STARTING], [0.0]), ([LIMITED, GOOD], [0.0, 7.0]), ([CHALLENGE, CHALLENGE, GOOD], [0.0, 0.5, 1.0]), ([COLLIDED, GOOD], [0.0, 5.0]), ([COLLIDED], [0.0, 5.0])]
)  # fmt: skip
def test_writing_check_is_asked_once(answers: Sequence[Answer | Exception | None], times: list[float]) -> None:
    """Only a collision with the platform's own run, and a request that did not reach the app, are followed by another."""
    site = _Site(*answers)
    if answers[-1] is GOOD:
        _acted(site, CRON)
    else:
        with pytest.raises(Failed):
            _acted(site, CRON)
    assert [at for _, _, at in site.asked] == pytest.approx(times)


def test_success_names_each_check() -> None:
    """It reports how many expectations held, and the seconds it took."""
    assert _acted(_Site(GOOD), CRON, DATA).detail == "cron: 3 of 3 as expected, 0.0 s; data: 3 of 3 as expected, 0.5 s"


def test_every_check_is_reported_if_the_first_fails() -> None:
    """Failed and successful checks are reported together."""
    with pytest.raises(Failed) as failed:
        _acted(_Site(BROKEN, GOOD), CRON, DATA)
    assert failed.value.cause == (
        "cron: /api/cron answered 500 application/json, not status == `200` (it says 'Internal server error'); data: 3 of 3 as expected, 0.5 s"
    )


def _reported_when_cut_off(site: _Site, *checks: HealthCheck, seconds: float = 4) -> str:
    """Return what is reported if the checks are ended after so many seconds."""

    async def cut_off() -> str:
        with listening(lambda _: None):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await _checks(*checks).apply(_stage(site), Observed({check.name: {} for check in checks}))
            return waited_for()

    return run(cut_off())


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([HANGS], "/api/cron has not answered"),
        ([BROKEN, HANGS], "cron: /api/cron answered 500 application/json, not status == `200` (it says 'Internal server error'); /api/data has not answered"),
        ([COLLIDED], "/api/cron collided with the platform's own run, and is repeated"),
    ],
)  # fmt: skip
def test_interrupted_checks_report_what_is_known(answers: Sequence[Answer | None], said: str) -> None:
    """The report names the open question, and the results of those before it."""
    assert _reported_when_cut_off(_Site(*answers), CRON, DATA) == said


def test_interruption_before_the_cron_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the full minute to pass is reported, too."""
    _it_is(monkeypatch, 58.0)
    assert _reported_when_cut_off(_Site(GOOD), CRON) == "/api/cron is asked once the full minute is over"


def test_baseline_is_taken_in_order() -> None:
    """Each check is asked once, in order, the way the old code is asked, and its body is kept."""
    earlier = HealthCheck("data", Request("/api/earlier"), FULL)
    site = _Site(GOOD)
    assert _looked(site, CRON, HealthCheck("data", KEYED, FULL, before=earlier)) == Observed(
        {"cron": GOOD.body, "data": GOOD.body}
    )
    assert [path for path, _, _ in site.asked] == ["/api/cron", "/api/earlier"]


@pytest.mark.parametrize(
    ("answers", "subject", "words", "remedy"),
    [
        ([BROKEN, GOOD], "cron", ["/api/cron answered 500"], FIX),
        ([Answer(401, JSON, {}), GOOD], "cron", ["/api/cron answered 401"], KEY),
        ([GOOD, Answer(302, HTML, None, "vercel.com")], "data", ["/api/data answered 302", "vercel.com"], PROTECTED),
        ([GOOD, Answer(302, HTML, None, "login.example")], "data", ["/api/data answered 302", "login.example: a login"], KEY),
        ([GOOD, Answer(308, HTML, None, "www.a.example", host="a.example")], "data", ["/api/data answered 308"], "Set `site` to the address that serves it: https://www.a.example."),
        ([Answer(401, JSON, {}), Answer(404, JSON, {})], "cron, data", ["/api/cron answered 401", "/api/data answered 404"], KEY),
        ([Answer(401, JSON, {}), Answer(200, HTML, None)], "cron, data", ["/api/cron answered 401", "which is not JSON"], f"{KEY} {FIX}"),
        ([RESET, RESET], "cron, data", ["/api/cron gave no answer", "/api/data gave no answer"], FIX),
    ],
)  # fmt: skip
def test_every_failing_check_before_is_named_at_once(
    answers: Sequence[Answer | Exception], subject: str, words: list[str], remedy: str
) -> None:
    """One refusal names all of them, and mentions keys only if a key was rejected."""
    with pytest.raises(Refused) as refused:
        _looked(_Site(*answers), CRON, DATA)
    assert (refused.value.subject, refused.value.remedy) == (subject, remedy)
    assert refused.value.cause.startswith("failed before anything changed: /api/")
    for word in words:
        assert word in refused.value.cause


def test_missing_route_is_not_a_missing_key() -> None:
    """If a check sends no key there is none to set."""
    with pytest.raises(Refused) as refused:
        _looked(_Site(Answer(404, HTML, None)), HealthCheck("data", Request("/nowhere"), FULL))
    assert refused.value.remedy == FIX
