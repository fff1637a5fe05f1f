"""What was read of stored certificates is remembered while somebody asks for it, and a list says it is unchanged."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.virtual_time import run_virtual
from worker.core.errors import TransientError
from worker.effort import Effort, spending
from worker.gateways.huawei_apig.facts import Facts
from worker.gateways.huawei_apig.wire import Certificate, CertificatePage

BEGAN = "2026-01-01T00:00:00Z"


def other(key: str, **overrides: Any) -> Certificate:
    """One that somebody else has stored."""
    return Certificate(
        **{"id": key, "name": key, "not_after": "2026-01-11T00:00:00Z", "update_time": BEGAN, **overrides}
    )


@dataclass
class Account:
    """Counts how often each is shown."""

    stored: dict[str, Certificate] = field(default_factory=lambda: {key: other(key) for key in ("c1", "c2", "c3")})
    shown: list[str] = field(default_factory=list)
    refusal: TransientError | None = None

    async def show(self, key: str) -> Certificate:
        self.shown.append(key)
        return self.stored[key]

    async def page(self, _offset: int, _limit: int) -> CertificatePage:
        return CertificatePage(total=len(self.stored))

    async def listed(self) -> list[Certificate]:
        if self.refusal is not None:
            raise self.refusal
        return list(self.stored.values())


def twice(account: Any, *, after: float) -> Effort:
    """What the second time costs and brings."""

    async def scenario() -> Effort:
        facts, effort = Facts(account), Effort()
        await facts.of(["c1", "c2", "c3"], {})
        account.shown.clear()
        await asyncio.sleep(after)
        with spending(effort):
            assert set(await facts.of(["c1", "c2", "c3"], {})) == {"c1", "c2", "c3"}
        return effort

    return run_virtual(scenario())


@pytest.mark.parametrize(("after", "shown"), [(3599, 0), (3601, 3)])
def test_what_nobody_asked_for_in_an_hour_is_forgotten(after: float, shown: int) -> None:
    account = Account()
    assert twice(account, after=after).learned == shown
    assert len(account.shown) == shown


def test_what_does_not_tell_when_it_was_changed_is_read_each_time_and_counts_for_nothing() -> None:
    account = Account({key: other(key, update_time=None) for key in ("c1", "c2", "c3")})
    assert twice(account, after=1).learned == 0
    assert len(account.shown) == 3


def test_reading_the_same_again_is_no_progress() -> None:
    account = Account(refusal=TransientError("busy"))
    assert twice(account, after=1).learned == 0
    assert len(account.shown) == 3


def test_a_gateway_that_is_away_is_told() -> None:
    with pytest.raises(TransientError):
        twice(Account(refusal=TransientError("gateway_unavailable")), after=1)
