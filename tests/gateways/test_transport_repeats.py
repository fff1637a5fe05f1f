"""When a call is sent again, when it waits and when it gives up: in virtual time, with a far end in memory."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from yarl import URL

from tests.limits.sending import are_free
from tests.support.virtual_time import run_virtual
from worker.core.errors import NotAskedError, PermanentError, RotationError, TransientError
from worker.effort import Effort, Refusal, spending
from worker.gateways.exchange import HttpClient
from worker.gateways.huawei_apig.wire import ApigDialect
from worker.gateways.transport import AmbiguousError, Answer, Request, Transport
from worker.limits import Limits, Used, Window

GET = Request("show", "GET", "/v1/a", repeatable=True)
POST = Request("create", "POST", "/v1/a", body={"a": 1})
LOST = AmbiguousError("gateway_unavailable", "no answer in time")
UNREACHED = TransientError("gateway_unavailable", "no connection to the gateway")
Told = tuple[int, Mapping[str, str], bytes]


def refusal(status: int, code: str = "", text: str = "", **headers: str) -> Told:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error_code": code, "error_msg": text}).encode()


GOOD: Told = (200, {}, b'{"a": 1}')
THROTTLED = refusal(429, "APIGW.0308", "policy user over ratelimit,limit:200,time:5 minute")
THROTTLED_UNTOLD = refusal(429)
AWAY = refusal(503, "APIGW.0613")
STALE = refusal(401, "APIGW.0307")


@dataclass
class FarEnd:
    """Answers in this order, and then as at last; every answer takes `lasts` seconds."""

    answers: list[Told | RotationError]
    lasts: float = 0.0
    sent_at: list[float] = field(default_factory=list)

    async def exchange(
        self, _client: HttpClient, _method: str, _url: URL, _headers: Mapping[str, str], _body: bytes
    ) -> Told:
        self.sent_at.append(round(asyncio.get_running_loop().time(), 3))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(self.lasts)
        if isinstance(answer, RotationError):
            raise answer
        return answer


@dataclass
class Keyring:
    """Credentials that are renewed, or cannot be had."""

    refusals: list[RotationError] = field(default_factory=list)
    made_at: list[float] = field(default_factory=list)
    renewals: int = 0
    lasts: float = 0.0

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        self.made_at.append(round(asyncio.get_running_loop().time(), 3))
        await asyncio.sleep(self.lasts)
        if self.refusals:
            raise self.refusals.pop(0)
        return {"X-Auth-Token": "t"}

    def is_stale(self, status: int, _code: str | None) -> bool:
        return status == 401

    async def renew(self) -> None:
        await asyncio.sleep(1)
        self.renewals += 1


def transport(far: FarEnd, keyring: Keyring | None = None, **overrides: Any) -> Transport:
    fields: dict[str, Any] = {
        "gateway": "apig",
        "endpoint": "http://127.0.0.1:9",
        "limits": Limits([Window(100, 1)], 8),
        "authenticator": keyring or Keyring(),
        "dialect": ApigDialect(lambda: datetime.now(UTC)),
        "timeout": 30,
        "deadline": 60,
        "ca_file": None,
        "chance": lambda: 0.0,
        "wall_clock": lambda: datetime.now(UTC),
        "exchange": far.exchange,
    }
    return Transport(**{**fields, **overrides})


def told(one: Transport, *requests: Request) -> tuple[list[Answer | RotationError], float]:
    """What comes of the requests, sent together, and when all has come."""

    async def send(request: Request) -> Answer | RotationError:
        try:
            return await one.send(request)
        except RotationError as error:
            return error

    async def scenario() -> tuple[list[Answer | RotationError], float]:
        answers = await asyncio.gather(*(send(request) for request in requests))
        ended = round(asyncio.get_running_loop().time(), 3)
        await one.close()
        return list(answers), ended

    return run_virtual(scenario())


@pytest.mark.parametrize("passing", [AWAY, LOST, UNREACHED, refusal(409, "APIG.3711"), (200, {}, b"<html>")])
def test_a_repeatable_request_outlives_what_passes(passing: Told | RotationError) -> None:
    far = FarEnd([passing, passing, GOOD])
    [answer], _ = told(transport(far), GET)
    assert isinstance(answer, Answer)
    assert answer.body == {"a": 1}
    assert far.sent_at == [0, 0.5, 1.5]


def test_what_is_refused_in_passing_stands_until_that_operation_is_answered_otherwise() -> None:
    effort, now = Effort(), datetime(2026, 1, 1, tzinfo=UTC)
    gone = refusal(404, "APIG.3006", "no such domain")
    far = FarEnd([AWAY, GOOD, LOST, GOOD, AWAY, gone, AWAY])
    clock = count()
    one = transport(far, wall_clock=lambda: now + timedelta(seconds=next(clock)), deadline=0.1)
    stood: list[Refusal | None] = []

    async def scenario() -> None:
        for request in (POST, GET, POST, POST, POST, POST, GET):
            with suppress(RotationError):
                await one.send(request)
            stood.append(effort.refusal("apig"))
        await one.close()

    with spending(effort):
        run_virtual(scenario())
    away = Refusal("create", "gateway_unavailable", 503, now)
    lost, again = replace(away, status=None), replace(away, since=now + timedelta(seconds=2))
    show = replace(away, operation="show", since=now + timedelta(seconds=3))
    assert stood == [away, away, lost, None, again, None, show]
    assert effort.refusal("other") is None


def test_it_gives_up_when_the_deadline_would_pass() -> None:
    far = FarEnd([AWAY], lasts=1)
    [error], ended = told(transport(far, deadline=10), GET)
    assert isinstance(error, TransientError)
    assert (error.reason, error.status, error.attempts) == ("gateway_unavailable", 503, len(far.sent_at))
    assert ended <= 10


@pytest.mark.parametrize(
    "passing", [AWAY, LOST, refusal(500, "APIG.9999"), (200, {}, b'{"a":1,"a":2}'), (202, {}, b"")]
)
def test_a_change_whose_effect_is_unknown_is_not_repeated(passing: Told | RotationError) -> None:
    far = FarEnd([passing])
    [error], _ = told(transport(far), POST)
    assert isinstance(error, AmbiguousError)
    assert len(far.sent_at) == 1


@pytest.mark.parametrize("passing", [UNREACHED, THROTTLED, refusal(500, "APIG.9008"), refusal(409, "APIC.7701")])
def test_a_change_that_surely_had_no_effect_is_repeated(passing: Told | RotationError) -> None:
    far = FarEnd([passing, GOOD])
    [answer], _ = told(transport(far), POST)
    assert isinstance(answer, Answer)
    assert len(far.sent_at) == 2


@pytest.mark.parametrize(
    ("throttled", "seconds"),
    [
        (THROTTLED, 300),
        (refusal(429, text="limit:5,time:1 second", retry_after="7"), 7),
        (refusal(429, text="limit:200,time:5 minute", retry_after="-5"), 300),
        (refusal(429, text="limit:200,time:5 minute", x_ratelimit_reset="1000000000"), 300),
        (refusal(500, "APIG.9008", "limit:5,time:2 minute"), 120),
        (refusal(429, retry_after="600"), 600),
        (refusal(429, retry_after="soon"), 1),
    ],
)
def test_one_refusal_holds_every_call_for_as_long_as_it_says(throttled: Told, seconds: float) -> None:
    far = FarEnd([throttled, GOOD])
    one = transport(far, deadline=5, limits=Limits([Window(100, 1)], 1))
    answers, ended = told(one, GET, GET, GET)
    assert [type(answer) for answer in answers] == [Answer, Answer, Answer], "waiting is not counted"
    assert far.sent_at == [0, seconds, seconds, seconds]
    assert ended == seconds


@pytest.mark.parametrize("left", [0, 1])
def test_a_good_answer_that_says_what_is_left_is_kept_to_until_its_window_ends(left: int) -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    spoken = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": str(left)}
    said = {**spoken, "x-ratelimit-reset": str(int(now.timestamp()) + 40)}
    far = FarEnd([(200, said, b'{"a": 1}'), GOOD])
    one = transport(far, deadline=5, limits=Limits([Window(100, 1)], 1), wall_clock=lambda: now)
    answers, _ = told(one, GET, GET, GET)
    assert [type(answer) for answer in answers] == [Answer, Answer, Answer], "waiting is not counted"
    assert far.sent_at == [0, 40 if left == 0 else 0, 40]


def test_without_a_figure_the_hold_doubles_and_then_the_call_gives_up() -> None:
    far = FarEnd([THROTTLED_UNTOLD])
    [error], _ = told(transport(far), GET)
    assert isinstance(error, TransientError)
    assert (error.reason, error.hold) == ("throttled", 32)
    assert far.sent_at == [0, 1, 3, 7, 15, 31]


def test_calls_that_are_refused_together_are_one_refusal() -> None:
    far = FarEnd([*[THROTTLED_UNTOLD] * 8, GOOD], lasts=0.1)
    answers, ended = told(transport(far), *[GET] * 8)
    assert {type(answer) for answer in answers} == {Answer}
    assert ended == pytest.approx(1.3)  # a second after it, four at a time


def test_a_hold_that_is_longer_than_the_deadline_is_handed_on() -> None:
    far = FarEnd([refusal(503, retry_after="600")])
    [error], ended = told(transport(far), GET)
    assert isinstance(error, TransientError)
    assert (error.hold, ended) == (600, 0)


def test_stale_credentials_are_renewed_once_for_everybody() -> None:
    far = FarEnd([*[STALE] * 5, GOOD], lasts=1)
    keyring = Keyring()
    answers, _ = told(transport(far, keyring), *[GET, POST, GET, GET, POST])
    assert {type(answer) for answer in answers} == {Answer}
    assert keyring.renewals == 1


def test_credentials_that_are_refused_again_are_wrong() -> None:
    keyring = Keyring()
    [error], _ = told(transport(FarEnd([STALE]), keyring), GET)
    assert isinstance(error, PermanentError)
    assert (error.reason, error.attempts, keyring.renewals) == ("auth_failed", 2, 1)


def test_credentials_that_cannot_be_had_are_not_renewed_and_nothing_is_sent() -> None:
    keyring, far = Keyring([PermanentError("auth_failed", status=401)]), FarEnd([GOOD])
    [error], _ = told(transport(far, keyring), GET)
    assert isinstance(error, PermanentError)
    assert (keyring.renewals, far.sent_at) == (0, [])


def test_for_credentials_whose_file_is_away_no_call_waits() -> None:
    keyring, far = Keyring([TransientError("auth_failed")]), FarEnd([GOOD])
    [error], _ = told(transport(far, keyring), GET)
    assert isinstance(error, TransientError)
    assert (error.reason, error.attempts, keyring.renewals, far.sent_at) == ("auth_failed", 1, 0, [])


def test_where_credentials_are_throttled_the_call_waits_as_asked() -> None:
    keyring, far = Keyring([TransientError("throttled", hold=9, status=429)]), FarEnd([GOOD])
    [answer], _ = told(transport(far, keyring), POST)
    assert isinstance(answer, Answer)
    assert far.sent_at == [9]


def test_credentials_are_made_after_the_wait_for_a_signature_ages() -> None:
    keyring, far = Keyring(), FarEnd([GOOD])
    limits = Limits([Window(1, 1)], 1)

    async def scenario() -> None:
        limits.hold(500)
        one = transport(far, keyring, limits=limits)
        await one.send(GET)
        await one.close()

    run_virtual(scenario())
    assert keyring.made_at == [500]


def test_a_hold_that_comes_while_a_call_waits_for_credentials_is_kept() -> None:
    keyring, far = Keyring(lasts=3), FarEnd([THROTTLED, GOOD])

    async def scenario() -> None:
        one = transport(far, keyring)

        async def send(after: float) -> Answer:
            await asyncio.sleep(after)
            return await one.send(GET)

        answers = await asyncio.gather(*(send(number / 10) for number in range(8)))
        assert {type(answer) for answer in answers} == {Answer}
        await one.close()

    run_virtual(scenario())
    assert len(far.sent_at) == 9
    assert [at for at in far.sent_at if at < 303] == [3]


def test_whoever_has_waited_for_credentials_when_a_hold_of_hours_comes_is_not_kept_waiting() -> None:
    keyring, far = Keyring(lasts=3), FarEnd([GOOD])
    limits = Limits([Window(100, 1)], 8)

    async def scenario() -> tuple[RotationError, float]:
        one = transport(far, keyring, limits=limits)
        sending = asyncio.create_task(one.send(GET))
        await asyncio.sleep(1)
        limits.hold(3000)
        with pytest.raises(NotAskedError) as caught:
            await sending
        ended = asyncio.get_running_loop().time()
        await asyncio.sleep(3000)
        assert await are_free(limits, 8)
        await one.close()
        return caught.value, ended

    error, ended = run_virtual(scenario())
    assert (error.reason, ended, far.sent_at) == ("throttled", 3, [])


def test_every_try_is_counted_and_told() -> None:
    heard: list[tuple[str, int | str, float]] = []
    one = transport(FarEnd([AWAY, LOST, THROTTLED, GOOD]), on_call=lambda *call: heard.append(call))
    told(one, GET)
    assert [(operation, status) for operation, status, _ in heard] == [
        ("show", 503),
        ("show", "gateway_unavailable"),
        ("show", 429),
        ("show", 200),
    ]
    assert [round(waited) for _, _, waited in heard] == [0, 0, 0, 300]


def test_a_gateway_that_wants_to_be_left_alone_for_long_is_not_waited_for() -> None:
    far = FarEnd([refusal(429, retry_after="1800")])
    [error], _ended = told(transport(far), GET)
    assert isinstance(error, TransientError)
    assert (error.reason, error.hold, far.sent_at) == ("throttled", 1800, [0])


def test_credentials_that_die_again_while_others_wait_are_renewed_again() -> None:
    """A hundred calls wait for one place a second; the token dies before the first and after the third is answered."""
    keyring = Keyring()
    far = FarEnd([STALE, GOOD, GOOD, GOOD, STALE, GOOD])
    limits = Limits([Window(1, 1)], 1)
    answers, _ = told(transport(far, keyring, limits=limits), *[GET] * 12)
    assert {type(answer) for answer in answers} == {Answer}
    assert keyring.renewals == 2


def test_nobody_waits_for_a_hold_of_hours() -> None:
    far = FarEnd([refusal(429, retry_after="3000"), GOOD])
    limits = Limits([Window(2, 1)], 1)
    answers, ended = told(transport(far, limits=limits), *[GET] * 5)
    assert ended < 2
    assert [type(one) for one in answers].count(NotAskedError) >= 3
    assert all(one.hold > 2990 for one in answers if isinstance(one, TransientError))


@pytest.mark.parametrize(
    ("whole", "used"), [("60", (60, 58)), ("", (2, 0)), ("1", (2, 0)), ("-5", (2, 0)), ("60;w=60", (2, 0))]
)
def test_how_many_calls_are_left_and_of_how_many_is_read_where_the_answer_says_so(
    whole: str, used: tuple[int, int]
) -> None:
    """In the ten seconds before a minute is over."""
    headers = {"x-ratelimit-limit": whole, "x-ratelimit-remaining": "2", "x-ratelimit-reset": "1000000000"}
    far = FarEnd([(200, {**headers, "date": "Sun, 09 Sep 2001 01:46:30 GMT"}, b'{"a": 1}')])

    async def scenario() -> Sequence[Used]:
        one = transport(far)
        await one.send(GET)
        await one.close()
        return one.usage().windows

    assert run_virtual(scenario())[1:] == [Used(60, *used, "told")]
