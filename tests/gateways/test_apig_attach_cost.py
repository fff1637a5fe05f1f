"""What attaching many domains costs where some are bad: a bound for any number, any chunk, any bad ones."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import takewhile
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.gateways.test_transport_repeats import FarEnd, transport
from tests.support.gateways import unheard
from tests.support.values import bundle, certificate, deployment, domain, leaf, stored
from tests.support.virtual_time import run_virtual
from worker.core.outcome import BindingResult, Report
from worker.gateways.exchange import AmbiguousError, HttpClient
from worker.gateways.huawei_apig import HuaweiApig
from worker.limits import Limits, Window
from worker.rotation import Rotator

REFUSED = 404, json.dumps({"error_code": "APIG.3020", "error_msg": "no such domain"}).encode()
CONFLICT = 409, json.dumps({"error_code": "APIG.3333", "error_msg": "bound already"}).encode()
FORBIDDEN = 403, json.dumps({"error_code": "APIG.1005", "error_msg": "no permission"}).encode()
BROKEN = 500, json.dumps({"error_code": "APIG.9999", "error_msg": "System error"}).encode()
BUSY = 409, json.dumps({"error_code": "APIG.3711", "error_msg": "once a minute"}).encode()


@dataclass
class Cloud:
    """One stored certificate and its domains; refuses an attach that names a bad one."""

    good: frozenset[str]
    applies_in_part: bool = False
    stops_at_bad: bool = False
    """What comes before the first bad one is applied."""
    again: tuple[int, bytes] | None = None
    """What it answers for what is bound, where that is refused."""
    refused: tuple[int, bytes] = REFUSED
    lost: int = 0
    """So many answers do not arrive."""
    repeats: int = 0
    """Attaches that are the same as the one before: what is busy is asked again until its deadline."""
    serial: int = 1
    not_before: str = "2026-01-01T00:00:00Z"
    not_after: str = "2026-01-11T00:00:00Z"
    attached: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    _sent: list[list[str]] = field(default_factory=list)

    def alone(self) -> set[str]:
        """What was sent in a call of its own."""
        return {names[0] for names in self._sent if len(names) == 1}

    async def exchange(
        self, _client: HttpClient, method: str, url: URL, _headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        await asyncio.sleep(0.01)
        sent = json.loads(body) if body else {}
        if url.path.endswith("/attach"):
            self.calls.append("attach")
            names = [one["domain"] for one in sent["domains"]]
            self.repeats += names in self._sent
            self._sent.append(names)
            return self._attach(names)
        if url.path.endswith("/attached-domains"):
            self.calls.append("page")
            return 200, {}, self._page(int(url.query["offset"]), int(url.query["limit"]))
        if url.path.endswith("/certificates"):
            self.calls.append("list")
            return 200, {}, b'{"total": 1, "certs": [%s]}' % self._certificate()
        self.calls.append("put" if method == "PUT" else "show")
        if method == "PUT":
            self.serial, self.not_before, self.not_after = 4660, "2026-01-10T00:00:00Z", "2026-01-20T00:00:00Z"
        return 200, {}, self._certificate()

    def _attach(self, names: Sequence[str]) -> tuple[int, Mapping[str, str], bytes]:
        if self.again is not None and not self.attached.isdisjoint(names):
            return self.again[0], {}, self.again[1]
        known = self.good.intersection(names)
        if self.stops_at_bad:
            self.attached.update(takewhile(self.good.__contains__, names))
        if len(known) == len(names) or self.applies_in_part:
            self.attached |= known
        if len(known) == len(names) and self.lost:
            self.lost -= 1
            raise AmbiguousError("gateway_unavailable", "the connection broke, or the answer is no HTTP")
        status, body = (204, b"") if len(known) == len(names) else self.refused
        return status, {}, body

    def _page(self, offset: int, limit: int) -> bytes:
        rows = [{"url_domain": name, "instance_id": "i1"} for name in sorted(self.attached)]
        page = rows[offset : offset + limit]
        return json.dumps({"size": len(page), "total": len(rows), "bound_domains": page}).encode()

    def _certificate(self) -> bytes:
        facts = {"serial_number": str(self.serial), "not_before": self.not_before, "not_after": self.not_after}
        return json.dumps({"id": "c1", "name": "shop", "type": "global", "instance_id": "common", **facts}).encode()


def names(count: int) -> list[str]:
    return [f"d{number}.example.com" for number in range(count)]


def rotated(
    cloud: Cloud, wanted: Sequence[str], chunk: int, *, calls_a_second: int = 1000, chance: float = 0.0
) -> Report:
    async def scenario() -> Report:
        sending = transport(FarEnd([]), limits=Limits([Window(calls_a_second, 1)], 8), exchange=cloud.exchange)
        gateway = HuaweiApig("apig", sending, "p1", chunk, lambda: chance)
        target = deployment(bindings=tuple(domain(name) for name in wanted))
        brought = bundle(leaf=leaf(names=("*.example.com",)))
        report = await Rotator({"apig": gateway}, settle_seconds={"apig": 0}).rotate(certificate(target), brought)
        await gateway.close()
        return report

    return run_virtual(scenario())


def most_calls(count: int, chunk: int, bad: int) -> tuple[int, int]:
    """Attaches, and all calls. Bound domains are listed twice: before the change, and to read it back.

    The other four: show, list certificates (where a listed domain is not bound yet), PUT, show again.
    """
    attaches = ceil(count / chunk) + 2 * bad * (ceil(log2(chunk)) if chunk > 1 else 0)
    return attaches, attaches + 2 * ceil(count / 500) + 4


@settings(deadline=None)
@given(st.data(), st.integers(1, 600), st.integers(1, 40), st.booleans())
def test_each_bad_domain_costs_two_calls_a_halving_and_no_more(
    data: st.DataObject, count: int, chunk: int, applies_in_part: bool
) -> None:
    wanted = names(count)
    bad = data.draw(st.sets(st.sampled_from(wanted), max_size=min(count, 12)), label="bad")
    cloud = Cloud(frozenset(wanted) - bad, applies_in_part, attached=set(wanted[::2]) - bad)
    report = rotated(cloud, wanted, chunk)
    attaches, calls = most_calls(count, chunk, len(bad))
    assert cloud.calls.count("attach") <= attaches
    assert len(cloud.calls) <= calls
    assert cloud.attached == set(wanted) - bad
    states = {one.binding.name: one.state for one in report.deployments[0].bindings}
    assert {name for name, state in states.items() if state == "failed"} == bad


@settings(deadline=None, max_examples=50)
@given(st.data(), st.integers(2, 120), st.integers(2, 32), st.sampled_from([FORBIDDEN, BROKEN]))
def test_a_bad_domain_in_each_chunk_costs_no_more_where_it_says_what_a_sick_gateway_says(
    data: st.DataObject, count: int, chunk: int, refused: tuple[int, bytes]
) -> None:
    wanted = names(count)
    chunks = [wanted[start : start + chunk] for start in range(0, count, chunk)]
    bad = {data.draw(st.sampled_from(one), label="bad") for one in chunks}
    cloud = Cloud(frozenset(wanted) - bad, refused=refused)
    report = rotated(cloud, wanted, chunk)
    assert cloud.calls.count("attach") - cloud.repeats <= most_calls(count, chunk, len(bad))[0]
    assert cloud.attached == set(wanted) - bad
    assert {name for name, state in bound(report).items() if state == "failed"} == bad


def bound(report: Report) -> Mapping[str, str]:
    return {one.binding.name: one.state for one in report.deployments[0].bindings}


@settings(deadline=None)
@given(st.data(), st.integers(1, 100), st.integers(2, 40), st.sampled_from([CONFLICT, BUSY]))
def test_what_a_gateway_applied_in_part_and_does_not_take_again_costs_one_list_more(
    data: st.DataObject, count: int, chunk: int, again: tuple[int, bytes]
) -> None:
    wanted = names(count)
    bad = data.draw(st.sets(st.sampled_from(wanted), max_size=min(count, 12)), label="bad")
    cloud = Cloud(frozenset(wanted) - bad, applies_in_part=True, again=again)
    report = rotated(cloud, wanted, chunk)
    attaches, calls = most_calls(count, chunk, len(bad))
    distinct = len(cloud.calls) - cloud.repeats
    assert cloud.calls.count("attach") - cloud.repeats <= attaches
    assert distinct <= calls + 1
    assert cloud.attached == set(wanted) - bad
    assert {name for name, state in bound(report).items() if state == "failed"} == bad


@pytest.mark.parametrize("again", [CONFLICT, BUSY])
def test_a_chunk_that_was_applied_by_a_lost_call_is_no_failure(again: tuple[int, bytes]) -> None:
    """Before it is sent again all of it is bound: nothing is left to send."""
    wanted = names(20)
    cloud = Cloud(frozenset(wanted), again=again, lost=1)
    report = rotated(cloud, wanted, 20)
    assert report.outcome == "succeeded"
    assert cloud.calls.count("attach") - cloud.repeats == 1


@settings(deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(2, 20))
def test_a_gateway_that_applies_what_comes_before_the_bad_one_is_survived(
    data: st.DataObject, count: int, chunk: int
) -> None:
    wanted = names(count)
    bad = data.draw(st.sets(st.sampled_from(wanted), max_size=min(count, 6)), label="bad")
    cloud = Cloud(frozenset(wanted) - bad, stops_at_bad=True, again=CONFLICT)
    report = rotated(cloud, wanted, chunk)
    assert cloud.attached == set(wanted) - bad
    assert {name for name, state in bound(report).items() if state == "failed"} == bad
    attaches, calls = most_calls(count, chunk, len(bad))
    assert cloud.calls.count("attach") <= attaches
    assert len(cloud.calls) <= calls + most_lists(wanted, bad, chunk)


def most_lists(wanted: Sequence[str], bad: AbstractSet[str], chunk: int) -> int:
    """Lists more: one for each bad domain of a chunk, at most one for each halving of it; and chunks share them."""
    chunks = (wanted[start : start + chunk] for start in range(0, len(wanted), chunk))
    return min(max(len(bad & set(one)) for one in chunks), ceil(log2(chunk)))


@settings(deadline=None, max_examples=30)
@given(st.data(), st.integers(501, 1500), st.integers(2, 40), st.sampled_from([20, 1000]), st.booleans())
def test_chunks_that_were_applied_in_part_share_one_list_however_long_it_is(
    data: st.DataObject, count: int, chunk: int, calls_a_second: int, stops: bool
) -> None:
    wanted = names(count)
    bad = data.draw(st.sets(st.sampled_from(wanted), max_size=8), label="bad")
    cloud = Cloud(frozenset(wanted) - bad, applies_in_part=not stops, stops_at_bad=stops, again=CONFLICT)
    report = rotated(cloud, wanted, chunk, calls_a_second=calls_a_second)
    assert cloud.attached == set(wanted) - bad
    assert {name for name, state in bound(report).items() if state == "failed"} == bad
    lists = most_lists(wanted, bad, chunk) if stops else min(len(bad), 1)
    attaches, calls = most_calls(count, chunk, len(bad))
    assert cloud.calls.count("attach") <= attaches
    assert len(cloud.calls) <= calls + lists * ceil(count / 500)


@pytest.mark.parametrize("again", [CONFLICT, BUSY])
def test_ten_thousand_domains_with_bad_ones_here_and_there_are_listed_once_more(again: tuple[int, bytes]) -> None:
    """Those that are busy are asked again, each chunk from another moment on."""
    wanted = names(10_000)
    bad = {wanted[7], wanted[3_350], wanted[6_673]}
    cloud = Cloud(frozenset(wanted) - bad, stops_at_bad=True, again=again)
    report = rotated(cloud, wanted, 20, calls_a_second=20)
    assert {name for name, state in bound(report).items() if state == "failed"} == bad
    pages = cloud.calls[cloud.calls.index("put") :].count("page")
    assert pages == 2 * 20


def test_a_conflict_that_is_about_one_domain_is_looked_into_once() -> None:
    wanted = names(64)
    cloud = Cloud(frozenset(wanted[1:]), refused=CONFLICT)
    report = rotated(cloud, wanted, 64)
    assert [name for name, state in bound(report).items() if state == "failed"] == wanted[:1]
    attaches, calls = most_calls(64, 64, 1)
    assert cloud.calls.count("attach") == attaches
    assert len(cloud.calls) <= calls + 1


def test_thousands_of_bound_domains_are_listed_twice_before_the_change_and_to_read_it_back() -> None:
    wanted = names(2_600)
    bad = set(wanted[::1000])
    cloud = Cloud(frozenset(wanted) - bad, attached=set(wanted) - bad)
    report = rotated(cloud, wanted, 20)
    assert {one.binding.name for one in report.deployments[0].bindings if one.state == "failed"} == bad
    pages = ceil((len(wanted) - len(bad)) / 500)
    changed = cloud.calls.index("put")
    assert [cloud.calls[:changed].count("page"), cloud.calls[changed:].count("page")] == [pages, pages]
    assert len(cloud.calls) <= most_calls(len(wanted), 20, len(bad))[1]


@settings(deadline=None)
@given(st.data(), st.integers(1, 40), st.sampled_from([FORBIDDEN, BROKEN]))
def test_of_one_chunk_every_good_domain_is_attached_however_few_an_account_may_attach(
    data: st.DataObject, count: int, refused: tuple[int, bytes]
) -> None:
    wanted = names(count)
    good = data.draw(st.sets(st.sampled_from(wanted), min_size=1), label="good")
    cloud = Cloud(frozenset(good), refused=refused)
    rotated(cloud, wanted, count)
    assert refused == BROKEN or cloud.attached == good
    assert cloud.calls.count("attach") - cloud.repeats <= most_calls(count, count, count - len(good))[0]


@pytest.mark.parametrize(("chunk", "deadline"), [(20, 300), (100, 120), (100, 600), (1000, 120), (1000, 500)])
def test_however_big_a_chunk_that_ends_in_500_is_one_time_slice_comes_to_its_good_domains(
    chunk: int, deadline: float
) -> None:
    """The probe ends at bad ones, which lie side by side, and so the good ones are found last."""
    wanted = names(chunk)
    bad = {*wanted[: chunk // 8 + 1], wanted[chunk // 4], wanted[chunk // 2]}
    cloud = Cloud(frozenset(wanted) - bad, refused=BROKEN)

    async def time_slice() -> Sequence[BindingResult]:
        limits = Limits([Window(20, 1)], 8)
        sending = transport(FarEnd([]), limits=limits, exchange=cloud.exchange, deadline=deadline)
        gateway = HuaweiApig("apig", sending, "p1", chunk, lambda: 0.5)
        bindings = [domain(name) for name in wanted]
        async with asyncio.timeout(900):
            told = await gateway.attach(deployment(), stored(), bindings, bundle(), unheard)
        await gateway.close()
        return told

    told = run_virtual(time_slice())
    assert cloud.attached == set(wanted) - bad
    assert {one.binding.name for one in told if one.state == "failed"} == bad


def test_what_ends_in_500_is_sent_alone_at_other_places_each_time() -> None:
    wanted = names(100)
    cloud = Cloud(frozenset(), refused=BROKEN)
    rotated(cloud, wanted, 20)
    before = cloud.alone()
    rotated(cloud, wanted, 20, chance=0.9)
    assert cloud.alone() > before
