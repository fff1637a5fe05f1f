"""Does any step block the loop? Renewals with RSA-4096 keys: opened, checked and rotated in a loop that is watched."""

import asyncio
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import quantiles
from typing import Final

import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.report import Row, at_most
from benchmarks.standin import Standin, running
from benchmarks.subject import PRODUCER, Account, bundle_of, certificate, gateway, issue, renewal, rotated
from worker.broker.base import Message
from worker.core.certificate import Rules
from worker.cycles import spared
from worker.effort import Effort, spending
from worker.gateways.base import Gateway
from worker.intake import Intake
from worker.rotation import Rotator
from worker.sandbox.ca import Authority, Issued, key_pem
from worker.telemetry import quiet_logs
from worker.trust.opening import TrustPolicy

_GROUP: Final = "lag"
_IN_FLIGHT: Final = 32
_KEYS: Final = 4
_NAP: Final = 0.005
_AT_MOST: Final = 50.0
_MANY: Final = 10_000


def run(*, quick: bool) -> list[Row]:
    quiet_logs()
    rounds = 1 if quick else 4
    issued = _issued(2 if quick else _KEYS)
    rows: list[Row] = []
    for name, loop in (("asyncio", None), ("uvloop", uvloop.new_event_loop)):
        with running(latency=0.03) as standin:
            rows += _watched(name, loop, standin, issued, rounds)
    with running(latency=0.03) as standin:
        lags = asyncio.run(_big(standin))
    many, p99 = f"one rotation with {_MANY:,} domains, the longest lag", quantiles(lags, n=100)[98] * 1000
    note = f"{len(lags)} looks; p99 {p99:.1f} ms"
    return [*rows, at_most(_GROUP, many, max(lags) * 1000, "ms", _AT_MOST, note)]


def _issued(count: int) -> Sequence[Issued]:
    """Few keys, each for several renewals: one takes seconds to be made."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        pems = list(pool.map(_new_key, range(count)))
    authority = Authority.create()
    return [issue(authority, _loaded(pem)) for pem in pems]


def _new_key(_number: int) -> str:
    return key_pem(rsa.generate_private_key(65537, 4096))


def _loaded(pem: str) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _watched(
    name: str,
    loop: Callable[[], asyncio.AbstractEventLoop] | None,
    standin: Standin,
    issued: Sequence[Issued],
    rounds: int,
) -> list[Row]:
    with asyncio.Runner(loop_factory=loop) as runner:
        lags, seconds = runner.run(_rotations(standin, issued, rounds))
    p50, p99 = (quantiles(lags, n=100)[one] * 1000 for one in (49, 98))
    count = rounds * _IN_FLIGHT
    note = f"{name}: {count} renewals in {seconds:.1f} s, {len(lags)} looks; p50 {p50:.1f} ms"
    return [
        at_most(_GROUP, f"the loop's lag, p99 ({name})", p99, "ms", _AT_MOST, note),
        Row(_GROUP, f"the loop's lag, most ({name})", max(lags) * 1000, "ms"),
    ]


async def _rotations(standin: Standin, issued: Sequence[Issued], rounds: int) -> tuple[list[float], float]:
    """The lags while 32 renewals are in flight, and how long all took."""
    names = [f"c{number}" for number in range(_IN_FLIGHT)]
    trust = TrustPolicy({name: frozenset({PRODUCER}) for name in names}, allow_plain_keys=True)
    intake = Intake(trust, Rules(), (), lambda: datetime.now(UTC))
    async with gateway(standin, Account(concurrency=_IN_FLIGHT)) as opened:
        began = time.monotonic()
        with spared():  # as in the service when it has started
            async with loop_lags() as lags:
                for number in range(rounds):
                    messages = [renewal(name, issued[at % len(issued)]) for at, name in enumerate(names)]
                    await asyncio.gather(*(_rotated(intake, opened, one, number) for one in messages))
        return lags, time.monotonic() - began


async def _big(standin: Standin) -> list[float]:
    """Lags while one certificate with very many domains is rotated, by a gateway that was used before.

    The collector is spared as the service spares it: what was loaded is nothing that a rotation leaves.
    """
    bundle = bundle_of(issue(Authority.create()))
    async with gateway(standin, Account()) as opened:
        await rotated(opened, certificate("small", "d1-small"), bundle)
        with spared():
            async with loop_lags() as lags:
                await rotated(opened, certificate("big", f"d{_MANY}-big"), bundle)
    return lags


async def _rotated(intake: Intake, opened: Gateway, message: Message, number: int) -> None:
    one = intake.renewal_of(message)
    bundle = await intake.bundle_of(one)
    with spending(Effort()):
        certificate_id = f"d20-{one.certificate}-{number}"
        report = await Rotator({opened.name: opened}).rotate(certificate(one.certificate, certificate_id), bundle)
    assert report.outcome == "succeeded", report.reason


@asynccontextmanager
async def loop_lags() -> AsyncIterator[list[float]]:
    """How much later than it asked for a sleeper wakes, look by look, by a clock that is not the loop's."""
    lags: list[float] = []

    async def look() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_NAP)
            lags.append(time.monotonic() - began - _NAP)

    task = asyncio.create_task(look())
    try:
        yield lags
    finally:
        task.cancel()
