"""A chunk of domains that ends in 500: one domain may be the cause, or the gateway is sick."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.apig_shop import Shop, shop
from tests.support.gateways import AUTHORITY, checked, unheard
from worker.core.deployment import Binding
from worker.core.outcome import BindingResult
from worker.core.planning import Create
from worker.sandbox.world import Fault

MANY = tuple(f"n{number:02}.example.com" for number in range(64))
WIDE = checked(AUTHORITY.issue(MANY))
BROKEN = {"error_code": "APIG.9999", "error_msg": "System error"}


def fault(name: str = "", *, status: int = 500, times: int = 999, **overrides: object) -> Fault:
    """Calls that name the domain end so, however often they are repeated."""
    return Fault("attach_domains", status=status, body={**BROKEN, **overrides}, times=times, match=name)


async def failed(one: Shop, names: Sequence[str], *faults: Fault) -> Mapping[str, BindingResult]:
    """The bindings that failed; the rest is bound."""
    for name in names:
        one.world.add_domain(one.groups[0], name)
    to = await one.gateway.replace(one.deployment(certificate_id=None, name="wide"), Create("wide"), WIDE)
    one.world.faults += faults
    bindings = [Binding("domain", name, one.instances[0], False) for name in names]
    results = await one.gateway.attach(one.deployment(), to, bindings, WIDE, unheard)
    assert [result.binding for result in results] == bindings
    told = {result.binding.name: result for result in results if result.state == "failed"}
    assert {domain.name for domain in one.world.bound_to(to.certificate_id)} == set(names) - set(told)
    return told


def calls(one: Shop) -> int:
    return len(one.world.calls("attach_domains"))


async def test_a_domain_that_breaks_the_gateway_is_found_by_halving(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        told = await failed(one, MANY[:20], fault(MANY[7]))
        assert set(told) == {MANY[7]}
        failure = told[MANY[7]].failure
        assert failure is not None
        assert (failure.reason, failure.status, failure.transient) == ("gateway_unavailable", 500, True)
        assert calls(one) <= 1 + 2 * 5


async def test_one_of_several_chunks_is_halved_at_once(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=8) as one:
        assert set(await failed(one, MANY[:16], fault(MANY[15]))) == {MANY[15]}
        assert calls(one) == 2 + 2 * 3


@pytest.mark.parametrize(("size", "expected"), [(64, 3), (16, 4)])
async def test_a_gateway_that_is_sick_gets_no_storm_of_calls(tmp_path: Path, size: int, expected: int) -> None:
    async with shop(tmp_path, domains_per_attach=size) as one:
        assert len(await failed(one, MANY, fault())) == 64
        assert calls(one) == expected


async def test_halves_that_both_fail_are_left_to_the_next_attempt(tmp_path: Path) -> None:
    """The first half is bound; in the second one nothing tells two bad domains from a gateway that fell sick."""
    async with shop(tmp_path) as one:
        assert set(await failed(one, MANY[:16], fault(MANY[8]), fault(MANY[15]))) == set(MANY[8:16])
        assert calls(one) == 1 + 2 + 2


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_that_is_away_is_not_asked_in_halves(tmp_path: Path, status: int) -> None:
    async with shop(tmp_path) as one:
        assert set(await failed(one, MANY[:20], fault(MANY[0], status=status))) == set(MANY[:20])
        assert calls(one) == 1


async def test_a_connection_that_breaks_is_no_domains_doing(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        lost = Fault("attach_domains", kind="reset", times=999)
        assert set(await failed(one, MANY[:20], lost)) == set(MANY[:20])
        assert calls(one) == 1


async def test_a_throttle_that_says_500_is_no_domains_doing(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        throttled = replace(fault(error_code="APIG.9008"), headers={"Retry-After": "0.001"})
        told = await failed(one, MANY[:20], throttled)
        assert {result.failure and result.failure.reason for result in told.values()} == {"throttled"}
        assert {call.status for call in one.world.calls("attach_domains")} == {500}
        assert len({str(call.facts["domains"]) for call in one.world.calls("attach_domains")}) == 1


async def test_a_big_chunk_is_halved_so_often_and_no_more(tmp_path: Path) -> None:
    """Each further call takes another deadline: what is left, the next attempt goes on with."""
    async with shop(tmp_path, domains_per_attach=64) as one:
        assert set(await failed(one, MANY, fault(MANY[63]))) == set(MANY[62:])
        assert calls(one) == 1 + 2 * 5
