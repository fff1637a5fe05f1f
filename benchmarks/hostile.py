"""Keys made to cost much: how soon each is refused, and whether the loop stands still meanwhile."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from benchmarks.lag import loop_lags
from benchmarks.report import Row, at_most
from tests.bad_inputs.crafted import crafted
from tests.bad_inputs.forging import Forged
from worker.core.certificate import Rules
from worker.core.errors import RefusedError
from worker.core.secret import Secret
from worker.intake import Intake
from worker.trust.opening import TrustPolicy

_GROUP: Final = "hostile"
_LONGEST_LAG: Final = 50.0
_LONGEST: Final = 1000.0


def run(*, quick: bool) -> list[Row]:
    rounds = 1 if quick else 20
    found = {name: make() for name, (make, _reason, _loads) in crafted().items()}
    lags, longest = asyncio.run(_refused(found, rounds))
    note = f"{len(found)} keys, {rounds} times each"
    return [
        at_most(_GROUP, "the longest until a crafted key is refused", longest * 1000, "ms", _LONGEST, note),
        at_most(_GROUP, "the loop's longest lag meanwhile", max(lags) * 1000, "ms", _LONGEST_LAG, f"{len(lags)} looks"),
    ]


async def _refused(found: Mapping[str, Forged], rounds: int) -> tuple[list[float], float]:
    """Lags, and the longest that one took."""
    intake = Intake(TrustPolicy({}), Rules(), (), lambda: datetime.now(UTC))
    longest = 0.0
    async with loop_lags() as lags:
        for one in [*found.values()] * rounds:
            began = time.monotonic()
            await _refuse(intake, one)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
    return lags, longest


async def _refuse(intake: Intake, one: Forged) -> None:
    try:
        await intake.checked(one.chain_pem, Secret(one.private_key_pem))
    except RefusedError:
        return
    raise AssertionError("a crafted key was taken")
