"""A cloud that refuses calls and does not say how many it takes: in virtual time."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from yarl import URL

from tests.gateways.test_transport_repeats import GET, GOOD, FarEnd, Told, refusal, told, transport
from tests.support.virtual_time import run_virtual
from worker.core.errors import RotationError
from worker.gateways.exchange import HttpClient
from worker.gateways.transport import Transport
from worker.limits import Limits, Window


@dataclass
class Counting:
    """Takes so many calls in any span, and tells that by refusing alone."""

    window: Window
    refuses: str
    latency: float = 0.03
    counts_refused: bool = False
    taken_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    _counted: deque[float] = field(default_factory=deque)

    async def exchange(
        self, _client: HttpClient, _method: str, _url: URL, _headers: Mapping[str, str], _body: bytes
    ) -> Told:
        await asyncio.sleep(self.latency / 2)
        answer = self._answer(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency / 2)
        return answer

    def _answer(self, now: float) -> Told:
        while self._counted and self._counted[0] <= now - self.window.seconds:
            self._counted.popleft()
        if len(self._counted) < self.window.calls:
            self._counted.append(now)
            self.taken_at.append(now)
            return GOOD
        self.refused_at.append(now)
        refused = self._refusal(self._counted[0] + self.window.seconds - now)
        if self.counts_refused:
            self._counted.append(now)
        return refused

    def _refusal(self, seconds: float) -> Told:
        match self.refuses:
            case "code":
                return refusal(500, "APIG.9008")
            case "status":
                return refusal(429)
            case "seconds":
                return refusal(429, retry_after=f"{seconds + 0.001:.3f}")
            case _:
                return refusal(429, retry_after=self.refuses)


def sent(cloud: Counting, calls: int, limits: Limits) -> tuple[list[RotationError], float]:
    """Errors of so many calls that are all made at once by one rotation, and when all has ended."""

    async def call(one: Transport) -> None:
        await one.send(GET)

    async def scenario() -> tuple[list[RotationError], float]:
        one = transport(FarEnd([]), exchange=cloud.exchange, limits=limits)
        found = await asyncio.gather(*(call(one) for _ in range(calls)), return_exceptions=True)
        await one.close()
        return [error for error in found if isinstance(error, RotationError)], asyncio.get_running_loop().time()

    return run_virtual(scenario())


FIVE = [GOOD] * 5
AS_SET = [Window(20, 1), Window(3000, 300)]


@pytest.mark.parametrize("counts_refused", [False, True])
@pytest.mark.parametrize("refuses", ["code", "status", "seconds", "1"])
def test_a_cloud_that_tells_no_figure_is_found_out_with_a_handful_of_refusals(
    refuses: str, *, counts_refused: bool
) -> None:
    """Eight calls are under way when the first is refused; the others look for the span, and for the rate."""
    cloud = Counting(Window(20, 10), refuses, counts_refused=counts_refused)
    errors, took = sent(cloud, 423, Limits(AS_SET, 8))
    assert not errors
    assert len(cloud.refused_at) <= 8 + 4 + 5
    assert len([at for at in cloud.refused_at if at > 120]) <= 2
    assert took <= 1.2 * 423 / 2


@pytest.mark.parametrize("window", [Window(5, 1), Window(60, 60), Window(200, 300)])
@pytest.mark.parametrize("refuses", ["code", "seconds"])
def test_that_holds_for_short_windows_and_for_long_ones(window: Window, refuses: str) -> None:
    cloud = Counting(window, refuses)
    errors, _ = sent(cloud, 500, Limits(AS_SET, 8))
    assert not errors
    assert len(cloud.refused_at) <= 8 + 8 + 8


def learned(answers: list[Told | RotationError], calls: int) -> tuple[list[tuple[str, int, float]], float]:
    """What is logged of it, and when the last call was sent."""
    far = FarEnd(answers, lasts=0.1)
    with capture_logs() as logs:
        told(transport(far, limits=Limits([Window(100, 1)], 1)), *[GET] * calls)
    lines = [line for line in logs if line["event"].startswith("limit.")]
    return [(line["event"], line["calls"], line["seconds"]) for line in lines], far.sent_at[-1]


def test_what_is_guessed_is_told_apart_from_what_was_told() -> None:
    stated = refusal(429, text="limit:2,time:3 second")
    assert learned([*FIVE, refusal(500, "APIG.9008"), GOOD], 6)[0] == [("limit.guessed", 5, 1.6)]
    assert learned([*FIVE, refusal(429, retry_after="9"), GOOD], 6)[0] == [("limit.guessed", 5, 10.0)]
    found = learned([*FIVE, *[refusal(429)] * 5, GOOD], 6)[0]
    assert found[-1] == ("limit.guessed", 5, 5.0), "how long it held was our own idea"
    assert learned([*FIVE, stated, GOOD], 6)[0] == [("limit.learned", 2, 3)]


@pytest.mark.parametrize("taken", [1, 2, 4])
@pytest.mark.parametrize("refused", [refusal(429, retry_after="60"), refusal(429, retry_after="300")])
def test_one_refusal_after_a_few_calls_is_waited_for_and_slows_down_nothing_after_it(taken: int, refused: Told) -> None:
    """The account was emptied by others; five calls a minute would be the guess that lasts."""
    hold = float(refused[1]["retry-after"])
    lines, ended = learned([*[GOOD] * taken, refused, GOOD], taken + 16)
    assert not lines
    assert hold <= ended < hold + (taken + 16) * 0.1 + 1


def test_calls_that_were_under_way_when_one_was_refused_end_no_row_of_refusals() -> None:
    """Of eight together every other one is refused: that is one refusal, whatever the others are answered."""
    refused = refusal(500, "APIG.9008")
    far = FarEnd([*[GOOD] * 20, *[refused, GOOD] * 4, GOOD], lasts=1.0)

    async def scenario() -> None:
        one = transport(far, limits=Limits([Window(100, 1)], 20))
        await asyncio.gather(*(one.send(GET) for _ in range(20)))
        await asyncio.gather(*(one.send(GET) for _ in range(8)))
        await one.close()

    with capture_logs() as logs:
        run_virtual(scenario())
    assert [line["event"] for line in logs] == ["gateway.throttled", "limit.guessed"]


def test_a_window_that_is_told_goes_before_one_that_was_guessed() -> None:
    guessed, stated = refusal(429, retry_after="60"), refusal(429, text="limit:90,time:1 second")
    lines, ended = learned([*FIVE, guessed, stated, GOOD], 26)
    assert [event for event, *_ in lines] == ["limit.guessed", "limit.learned"]
    assert ended < 60 + 5, "at the guessed pace it takes four minutes"


@pytest.mark.parametrize(
    "refused",
    [
        refusal(429, retry_after="1800"),
        refusal(429, x_ratelimit_remaining="0", x_ratelimit_reset="1000000000", date="Sun, 09 Sep 2001 01:46:30 GMT"),
    ],
)
def test_nothing_is_guessed_from_a_penalty_or_where_the_cloud_says_what_is_left(refused: Told) -> None:
    assert learned([*FIVE, refused, GOOD], 6)[0] == []


def test_where_nothing_was_taken_yet_nothing_can_be_guessed() -> None:
    assert learned([refusal(429), GOOD], 3)[0] == []


def test_what_is_asked_for_again_and_again_is_believed_less_each_time() -> None:
    far = FarEnd([*[refusal(429, retry_after="3")] * 4, GOOD])
    told(transport(far, limits=Limits([], 1)), GET)
    assert far.sent_at == [0, 3, 9, 21, 45]
