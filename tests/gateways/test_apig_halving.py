"""A chunk of domains that ends in 500 or 403: one domain may be the cause, or the gateway, or the account."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

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


def fault(name: str = "", *, status: int = 500, times: int = 999, **overrides: Any) -> Fault:
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


OF_EITHER = pytest.mark.parametrize("told", [{"status": 500}, {"status": 403, "error_code": "APIG.1005"}])
"""May come of one domain, or be said of any."""


@pytest.mark.parametrize(("size", "expected"), [(64, 1 + 4 * 6), (16, 4 + 4 * 4), (1, 64)])
async def test_where_every_attach_is_refused_one_chunk_alone_is_followed_and_some_single_ones(
    tmp_path: Path, size: int, expected: int
) -> None:
    async with shop(tmp_path, domains_per_attach=size) as one:
        assert len(await failed(one, MANY, fault())) == 64
        assert calls(one) == expected


@pytest.mark.parametrize(("size", "expected"), [(64, 1 + 2 * 6 + 62), (4, 16 + 2 * 2 + 2 * 4), (1, 64)])
async def test_an_account_that_may_attach_nothing_is_asked_for_more_single_ones(
    tmp_path: Path, size: int, expected: int
) -> None:
    async with shop(tmp_path, domains_per_attach=size) as one:
        assert len(await failed(one, MANY, fault(status=403, error_code="APIG.1005"))) == 64
        assert calls(one) == expected


@pytest.mark.parametrize("good", [0, 15, 16, 31])
async def test_one_good_domain_among_those_that_may_not_be_attached_is_found(tmp_path: Path, good: int) -> None:
    """A 403 is final: what is not found now is never attached."""
    bad = {*MANY[:32]} - {MANY[good]}
    async with shop(tmp_path, domains_per_attach=32) as one:
        faults = [fault(name, status=403, error_code="APIG.1005") for name in bad]
        assert set(await failed(one, MANY[:32], *faults)) == bad


async def test_bad_domains_side_by_side_do_not_hide_the_good_ones_of_other_chunks(tmp_path: Path) -> None:
    bad = {*MANY[:8], MANY[9], MANY[17], MANY[30]}
    async with shop(tmp_path, domains_per_attach=8) as one:
        faults = [fault(name, status=403, error_code="APIG.1005") for name in bad]
        assert set(await failed(one, MANY[:32], *faults)) == bad
        assert calls(one) <= 4 + 2 * len(bad) * 3


@OF_EITHER
@pytest.mark.parametrize(
    ("count", "bad"),
    [(40, {*range(20), 30}), (20, {*range(10), 15}), (20, {0, 1, 2, 3, 5, 10}), (60, {*range(40), 59})],
)
async def test_good_domains_are_found_beside_a_chunk_that_is_bad_as_a_whole(
    tmp_path: Path, count: int, bad: Collection[int], told: Mapping[str, Any]
) -> None:
    async with shop(tmp_path, domains_per_attach=20) as one:
        names = {MANY[place] for place in bad}
        assert set(await failed(one, MANY[:count], *(fault(name, **told) for name in names))) == names
        assert calls(one) <= ceil(count / 20) + 2 * len(bad) * 5


@OF_EITHER
async def test_a_bad_domain_in_every_chunk_fails_alone(tmp_path: Path, told: Mapping[str, Any]) -> None:
    bad = MANY[7], MANY[27], MANY[47]
    async with shop(tmp_path, domains_per_attach=20) as one:
        results = await failed(one, MANY[:60], *(fault(name, **told) for name in bad))
        assert set(results) == set(bad)
        assert {result.failure and result.failure.status for result in results.values()} == {told["status"]}
        assert calls(one) <= 3 + 2 * 3 * 5


@OF_EITHER
async def test_halves_that_both_fail_are_halved_one_after_the_other(tmp_path: Path, told: Mapping[str, Any]) -> None:
    """The first half is bound; in the second one nothing tells two bad domains from a gateway that fell sick."""
    async with shop(tmp_path) as one:
        bad = MANY[8], MANY[15]
        assert set(await failed(one, MANY[:16], *(fault(name, **told) for name in bad))) == set(bad)
        assert calls(one) <= 1 + 2 * 2 * 4


@OF_EITHER
async def test_a_probe_that_ends_at_bad_domains_goes_on_beside_them(tmp_path: Path, told: Mapping[str, Any]) -> None:
    async with shop(tmp_path) as one:
        bad = MANY[0], MANY[1], MANY[3]
        assert set(await failed(one, MANY[:4], *(fault(name, **told) for name in bad))) == set(bad)


async def test_probes_are_counted_anew_once_something_was_accepted(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=8) as one:
        good = {MANY[1], MANY[7]}
        told = await failed(one, MANY[:8], *(fault(name) for name in MANY[:8] if name not in good))
        assert good.isdisjoint(told)


async def test_a_probe_goes_down_to_single_domains_however_big_the_chunk_is(tmp_path: Path) -> None:
    """Else the next attempt would send the same again, and none would ever be attached."""
    bad = [MANY[1], *(MANY[2**power] for power in range(1, 6))]
    async with shop(tmp_path, domains_per_attach=64) as one:
        assert MANY[0] not in await failed(one, MANY, *(fault(name) for name in bad))


async def test_a_gateway_that_falls_sick_gets_no_storm_of_calls(tmp_path: Path) -> None:
    """What is accepted speaks for what was sent with it. Once nothing is, one chunk alone is followed again.

    Of what waits then, four are sent alone, which leaves four others alone.
    """
    async with shop(tmp_path, domains_per_attach=4) as one:
        assert set(await failed(one, MANY, *(fault(name) for name in MANY[4:]))) == set(MANY[4:])
        assert calls(one) == 16 + 2 * 15 + 2 * 2 + 2 * 4


async def test_what_an_account_may_not_is_halved_on_once_it_was_allowed_anything(tmp_path: Path) -> None:
    """A 403 is final: what is left with another one's would never be attached."""
    bad = {*MANY[4:12], *MANY[13:64]}
    async with shop(tmp_path, domains_per_attach=4) as one:
        faults = [fault(name, status=403, error_code="APIG.1005") for name in bad]
        assert set(await failed(one, MANY, *faults)) == bad


async def test_a_quota_is_no_domains_doing(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=16) as one:
        results = await failed(one, MANY, fault(status=403, error_code="APIG.3100"))
        assert {result.failure and result.failure.reason for result in results.values()} == {"quota"}
        assert calls(one) == 4


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


async def test_a_big_chunk_is_followed_to_its_bad_domain(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=64) as one:
        assert set(await failed(one, MANY, fault(MANY[63]))) == {MANY[63]}
        assert calls(one) == 1 + 2 * 6
