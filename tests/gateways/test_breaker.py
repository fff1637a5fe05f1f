"""A gateway that is down: left alone but for one probe at a time, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.gateways.test_transport_repeats import GET, GOOD, POST, FarEnd, Keyring, Told, refusal, transport
from tests.support.virtual_time import run_virtual
from worker.core.backoff import RetryPolicy
from worker.core.errors import Failure, NotAskedError, PermanentError, RotationError, TransientError
from worker.core.outcome import ParkFor, Report, dispose
from worker.gateways.transport import AmbiguousError, Request, Transport

LOST = AmbiguousError("gateway_unavailable", "no answer in time")
READS = [replace(GET, path=f"/v1/{number}") for number in range(20)]


async def outcome(one: Transport, request: Request = GET) -> RotationError | None:
    try:
        await one.send(request)
    except RotationError as error:
        return error
    return None


async def is_attempt(one: Transport) -> bool:
    error = await outcome(one)
    assert isinstance(error, NotAskedError)
    return Failure.of(error).is_attempt


def played(far: FarEnd, scenario: Callable[[Transport], Awaitable[None]]) -> None:
    async def play() -> None:
        one = transport(far)
        await scenario(one)
        await one.close()

    run_virtual(play())


@pytest.mark.parametrize("down", [LOST, TransientError("gateway_unavailable"), refusal(503), refusal(500)])
def test_what_answers_nothing_for_a_while_is_left_alone(
    down: Told | RotationError,
) -> None:
    far = FarEnd([down])

    async def scenario(one: Transport) -> None:
        first = await asyncio.gather(*(outcome(one, read) for read in READS))
        assert one.is_down
        assert {type(error) for error in first} <= {NotAskedError, TransientError, AmbiguousError}
        sent = len(far.sent_at)
        assert [type(await outcome(one)) for _ in range(50)] == [NotAskedError] * 50
        assert len(far.sent_at) == sent

    played(far, scenario)


def test_probes_go_one_at_a_time_and_ever_more_seldom_and_an_answer_ends_it() -> None:
    far = FarEnd([LOST], lasts=2)

    async def knock(one: Transport, until: float) -> None:
        """Twenty rotations that would go on, every half second."""
        while asyncio.get_running_loop().time() < until:
            await asyncio.gather(*(outcome(one) for _ in range(20)))
            await asyncio.sleep(0.5)

    async def scenario(one: Transport) -> None:
        await knock(one, 30)
        assert one.is_down
        far.sent_at.clear()
        await knock(one, 600)
        gaps = [later - earlier for earlier, later in zip(far.sent_at, far.sent_at[1:], strict=False)]
        assert min(gaps) >= 10
        assert gaps[-1] == pytest.approx(62, abs=1)
        far.answers[:] = [GOOD]
        await asyncio.sleep(61)
        assert await asyncio.gather(*(outcome(one) for _ in range(5))) == [None] * 5
        assert not one.is_down

    played(far, scenario)


def test_what_nothing_has_needed_for_hours_is_not_told_to_be_down_and_is_still_asked_by_a_probe_alone() -> None:
    far = FarEnd([LOST])

    async def scenario(one: Transport) -> None:
        await asyncio.gather(*(outcome(one, read) for read in READS))
        for _ in range(3):
            await asyncio.sleep(3660)
            assert one.is_down, "what is parked for an hour comes back and needs it"
            assert one.outage is not None
            assert one.outage.probe_in == 0
            await outcome(one)
        await asyncio.sleep(7320)
        assert (one.is_down, one.outage) == (False, None)
        sent = len(far.sent_at)
        await asyncio.gather(*(outcome(one) for _ in range(5)))
        assert len(far.sent_at) == sent + 1
        assert one.is_down

    played(far, scenario)


def test_a_short_break_is_no_outage() -> None:
    far = FarEnd([*[LOST] * 40, GOOD])

    async def scenario(one: Transport) -> None:
        assert await asyncio.gather(*(outcome(one) for _ in range(20))) == [None] * 20
        assert not one.is_down

    played(far, scenario)


@pytest.mark.parametrize("stumbles", [refusal(500), refusal(503), LOST])
def test_a_change_that_the_gateway_stumbles_over_is_no_outage(stumbles: Told | RotationError) -> None:
    far = FarEnd([stumbles])

    async def scenario(one: Transport) -> None:
        change = replace(POST, repeatable=True)
        for _ in range(20):
            assert not isinstance(await outcome(one, change), NotAskedError)
            await asyncio.sleep(5)
        assert not one.is_down

    played(far, scenario)


@pytest.mark.parametrize("sick", [refusal(500), refusal(503), (200, {}, b"<html>")])
def test_one_read_that_stays_sick_is_no_outage_and_two_are(sick: Told) -> None:
    far = FarEnd([sick])

    async def scenario(one: Transport) -> None:
        assert not isinstance(await outcome(one), NotAskedError)
        assert len(far.sent_at) > 5
        assert not one.is_down
        await outcome(one, READS[0])
        assert one.is_down

    played(far, scenario)


def test_failures_that_are_minutes_apart_are_not_in_a_row() -> None:
    far = FarEnd([LOST])

    async def scenario(one: Transport) -> None:
        for _ in range(20):
            await outcome(one, replace(GET, repeatable=False))
            await asyncio.sleep(61)
        assert not one.is_down

    played(far, scenario)


def test_a_gateway_that_asks_for_minutes_and_is_away_after_them_is_down() -> None:
    far = FarEnd([refusal(503, retry_after="90")])

    async def scenario(one: Transport) -> None:
        for read in READS[:5]:
            assert not one.is_down
            await outcome(one, read)
            await asyncio.sleep(90)
        assert one.is_down

    played(far, scenario)


def test_a_refusal_of_who_gives_credentials_does_not_show_that_the_gateway_is_there() -> None:
    far, keyring = FarEnd([LOST]), Keyring()

    async def scenario() -> None:
        one = transport(far, keyring)
        await asyncio.gather(*(outcome(one) for _ in range(20)))
        keyring.refusals = [PermanentError("auth_failed", status=401)]
        await asyncio.sleep(60)
        error = await outcome(one)
        assert error is not None
        assert (error.reason, one.is_down) == ("auth_failed", True)
        await one.close()

    run_virtual(scenario())


def test_calls_that_wait_for_a_probe_keep_to_the_hold_that_it_brings() -> None:
    far = FarEnd([refusal(500)], lasts=2)

    async def scenario(one: Transport) -> None:
        await asyncio.gather(*(outcome(one, read) for read in READS))
        await asyncio.sleep(60)
        far.sent_at.clear()
        far.answers[:] = [refusal(429, text="limit:200,time:5 minute"), GOOD]
        began = asyncio.get_running_loop().time()
        assert await asyncio.gather(*(outcome(one) for _ in range(8))) == [None] * 8
        assert not one.is_down
        assert len(far.sent_at) == 9
        assert [at - began for at in far.sent_at if at - began < 302] == [0]

    played(far, scenario)


def test_any_answer_shows_that_it_is_there() -> None:
    far = FarEnd([LOST, LOST, LOST, LOST, refusal(404)])

    async def scenario(one: Transport) -> None:
        for _ in range(20):
            far.answers[:] = [LOST] * 4 + [refusal(404)]
            await outcome(one)
        assert not one.is_down

    played(far, scenario)


def test_what_was_not_asked_is_no_attempt_of_the_renewal() -> None:
    asked, not_asked = (Failure.of(kind("gateway_unavailable", hold=7)) for kind in (TransientError, NotAskedError))
    policy = RetryPolicy(parking=(5, 100), attempts=3)
    assert dispose(Report.refused(not_asked), attempt=3, policy=policy) == ParkFor(7, counted=False)
    assert dispose(Report.refused(asked), attempt=2, policy=policy) == ParkFor(100)


def test_after_a_day_attempts_count_again() -> None:
    far = FarEnd([LOST])

    async def scenario(one: Transport) -> None:
        await asyncio.gather(*(outcome(one) for _ in range(20)))
        assert not await is_attempt(one)
        while asyncio.get_running_loop().time() < 87000:
            await outcome(one)
            await asyncio.sleep(600)
        await outcome(one)
        assert await is_attempt(one)

    played(far, scenario)
