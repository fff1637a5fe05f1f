"""What is changed at APIG: a PUT that keeps what must stay, chunks that are halved, uploads that are not made twice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.apig_shop import NEW, NEW_ISSUED, OLD, Shop, shop
from tests.support.gateways import AUTHORITY, checked, unheard
from worker.core.deployment import Binding
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Modify, Stored
from worker.gateways.huawei_apig.per_domain import upload_name
from worker.sandbox.world import Fault


async def stored_in(one: Shop) -> Stored:
    stored = (await one.observe()).stored
    assert stored is not None
    return stored


async def modify(one: Shop, **overrides: Any) -> Stored:
    return await one.gateway.replace(one.deployment(**overrides), Modify(await stored_in(one)), NEW)


async def create(one: Shop, name: str = "fresh", **overrides: Any) -> Stored:
    return await one.gateway.replace(one.deployment(certificate_id=None, name=name, **overrides), Create(name), NEW)


def count(one: Shop, operation: str) -> int:
    return len(one.world.calls(operation))


async def test_a_modification_keeps_name_scope_and_client_ca(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        before = one.world.certificates[one.certificate_id]
        before.type, before.instance_id, before.trusted_root_ca = "instance", one.instances[0], AUTHORITY.root_pem
        answer = await modify(one, trusted_root_ca=AUTHORITY.root_pem)
        after = one.world.certificates[one.certificate_id]
        assert (after.name, after.type, after.instance_id) == ("shop", "instance", one.instances[0])
        assert after.trusted_root_ca == AUTHORITY.root_pem
        assert after.leaf.serial_number == answer.serial_number == NEW.leaf.serial_number


async def test_a_modification_adds_no_client_ca_where_none_was(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        await modify(one, trusted_root_ca=AUTHORITY.root_pem)
        assert one.world.certificates[one.certificate_id].trusted_root_ca is None


@pytest.mark.parametrize(
    ("kind", "after_effect", "tries"),
    [("reset", False, 2), ("garbage", False, 2), ("reset", True, 1), ("truncate", True, 1), ("garbage", True, 1)],
)
@pytest.mark.parametrize("change", [modify, create])
async def test_after_a_lost_answer_reading_decides(
    tmp_path: Path, change: Any, kind: Any, after_effect: bool, tries: int
) -> None:
    operation = f"{change.__name__}_certificate"
    async with shop(tmp_path) as one:
        if kind == "garbage" and not after_effect:
            fault = Fault(operation, status=200, body={"certificate": "of another form"})
        else:
            fault = Fault(operation, kind=kind, after_effect=after_effect, status=500)
        one.world.faults.append(fault)
        answer = await change(one)
        assert one.world.certificates[answer.certificate_id].leaf.serial_number == NEW.leaf.serial_number
        assert count(one, operation) == tries
        assert len(one.world.certificates) == (1 if change is modify else 2)


async def test_a_cloud_that_stays_away_is_told_as_passing(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        stored = replace(await stored_in(one), certificate_id="gone")
        one.world.faults.append(Fault("modify_certificate", kind="reset", times=9))
        one.world.faults.append(Fault("show_certificate", kind="reset", times=9))
        with pytest.raises(TransientError) as caught:
            await one.gateway.replace(one.deployment(), Modify(stored), NEW)
        assert caught.value.reason == "gateway_unavailable"
        assert count(one, "modify_certificate") == 1, "nothing is written without having read"


async def test_an_answer_that_shows_another_leaf_is_no_proof(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        told = {"id": one.certificate_id, "name": "shop", "serial_number": str(OLD.serial_number)}
        one.world.faults.append(Fault("modify_certificate", status=200, body=told))
        assert (await modify(one)).serial_number == NEW.leaf.serial_number
        assert count(one, "modify_certificate") == 2


async def test_an_answer_about_another_certificate_is_an_error(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        told = {"id": "another", "name": "shop", "serial_number": str(NEW.leaf.serial_number)}
        one.world.faults.append(Fault("modify_certificate", status=200, body=told))
        with pytest.raises(PermanentError) as caught:
            await modify(one)
    assert caught.value.reason == "provider_mismatch"


async def test_a_new_certificate_is_global_and_has_the_client_ca(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        answer = await create(one, trusted_root_ca=AUTHORITY.root_pem)
        made = one.world.certificates[answer.certificate_id]
        assert (made.name, made.type, made.trusted_root_ca) == ("fresh", "global", AUTHORITY.root_pem)
        assert (answer.scope, answer.instance_id, answer.has_trusted_root_ca) == ("global", None, True)


async def test_what_is_created_already_is_not_created_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        first = await create(one)
        assert await create(one) == first


async def test_a_name_that_another_certificate_has_is_a_conflict(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        with pytest.raises(PermanentError) as caught:
            await create(one, "shop")
        assert (caught.value.reason, caught.value.code) == ("conflict", "APIG.3325")


MANY = tuple(f"n{number}.example.com" for number in range(64))
WIDE = checked(AUTHORITY.issue(MANY))


async def attach(one: Shop, names: Sequence[str], **overrides: Any) -> Mapping[str, BindingResult]:
    """To a certificate that covers 64 names; the first instance has them unless they begin with `gone`."""
    for name in names:
        if not name.startswith("gone"):
            one.world.add_domain(one.groups[0], name)
    fields = {"instance_id": one.instances[0], "client_verification": True, **overrides}
    bindings = [replace(Binding("domain", name), **fields) for name in names]
    to = await create_wide(one)
    heard: list[BindingResult] = []
    results = await one.gateway.attach(one.deployment(), to, bindings, WIDE, heard.append)
    assert [result.binding for result in results] == bindings
    assert sorted(map(repr, heard)) == sorted(map(repr, results))
    return {result.binding.name: result for result in results}


async def create_wide(one: Shop) -> Stored:
    return await one.gateway.replace(one.deployment(certificate_id=None, name="wide"), Create("wide"), WIDE)


def failures(results: Mapping[str, BindingResult]) -> dict[str, str]:
    return {name: result.failure.reason for name, result in results.items() if result.failure is not None}


async def test_domains_are_attached_a_chunk_a_call_with_instance_and_flag(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=20) as one:
        assert failures(await attach(one, MANY)) == {}
        calls = one.world.calls("attach_domains")
        sent = [domain for call in calls for domain in call.facts["domains"]]  # type: ignore[attr-defined]
        assert len(calls) == 4
        assert {domain["domain"] for domain in sent} == set(MANY)
        assert {tuple(domain["instance_ids"]) for domain in sent} == {(one.instances[0],)}
        assert {domain["verified_client_certificate_enabled"] for domain in sent} == {True}


async def test_bad_domains_are_found_by_halving(tmp_path: Path) -> None:
    names = [*MANY[:30], "gone-1.example.com", *MANY[30:], "gone-2.example.com"]
    async with shop(tmp_path, domains_per_attach=1000) as one:
        results = await attach(one, names)
        assert failures(results) == {"gone-1.example.com": "not_found", "gone-2.example.com": "not_found"}
        assert len(one.world.bound_to(next(iter(set(one.world.certificates) - {one.certificate_id})))) == 64
        assert count(one, "attach_domains") < 4 * 7


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(409, "APIG.3708", "certificate_rejected"), (404, "APIG.3021", "not_found"), (403, "APIG.3100", "quota")],
)
async def test_a_refusal_of_all_is_not_halved(tmp_path: Path, status: int, code: str, reason: str) -> None:
    async with shop(tmp_path) as one:
        body = {"error_code": code, "error_msg": "no"}
        one.world.faults.append(Fault("attach_domains", status=status, body=body, times=99))
        results = await attach(one, MANY)
        assert set(failures(results).values()) == {reason}
        assert len(failures(results)) == 64
        assert count(one, "attach_domains") == 4


async def test_a_chunk_that_stays_unanswered_fails_alone_and_may_be_tried_again(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=32) as one:
        one.world.faults.append(Fault("attach_domains", status=502, times=99, match=f'"{MANY[0]}"'))
        results = await attach(one, MANY)
        assert set(failures(results)) == set(MANY[:32])
        assert all(result.failure is None or result.failure.transient for result in results.values())


async def test_nothing_is_attached_to_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        with pytest.raises(PermanentError) as caught:
            await one.gateway.attach(one.deployment(), None, one.single(), NEW, unheard)
        assert await one.gateway.attach(one.deployment(), await stored_in(one), [], NEW, unheard) == []
    assert caught.value.reason == "not_found"


async def add(one: Shop, *bindings: Binding) -> Sequence[BindingResult]:
    return await one.gateway.attach(one.per_domain(), None, bindings or one.single(), NEW, unheard)


async def test_each_domain_gets_an_upload_of_its_own(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        assert [result.state for result in await add(one)] == ["attached"] * 3
        bound = [one.world.domains[domain].certificate_id or "" for domain in one.domains[0]]
        assert len({one.world.certificates[key].name for key in bound}) == 3
        assert {one.world.certificates[key].leaf.serial_number for key in bound} == {NEW.leaf.serial_number}
        assert count(one, "attach_to_domain") == 0


async def test_client_verification_is_put_back_after_an_upload(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        flags = (True, False, None)
        wanted = [replace(each, client_verification=flag) for each, flag in zip(one.single(), flags, strict=True)]
        await add(one, *wanted)
        assert [one.world.domains[domain].client_verification for domain in one.domains[0]] == [True, False, False]
        [call] = one.world.calls("attach_to_domain")
        assert call.facts["verified_client_certificate_enabled"] is True


@pytest.mark.parametrize(("after_effect", "uploads"), [(True, 1), (False, 2)])
@pytest.mark.parametrize(("flag", "operation"), [(False, "add_certificate"), (True, "create_certificate")])
async def test_an_upload_whose_answer_is_lost_is_not_made_twice(
    tmp_path: Path, after_effect: bool, uploads: int, flag: bool, operation: str
) -> None:
    """Where clients are verified it is bound by the call that says so, and at no moment without."""
    async with shop(tmp_path) as one:
        domain = replace(one.single()[0], client_verification=flag)
        one.world.faults.append(Fault(operation, status=502, after_effect=after_effect))
        [result] = await add(one, domain)
        assert result.state == "attached"
        assert count(one, operation) == uploads
        assert len(one.world.certificates) == 2
        assert one.world.domains[domain.domain_id or ""].client_verification is flag


async def test_an_upload_that_an_earlier_try_left_is_bound(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        domain = one.single()[0]
        left = one.world.add_certificate(NEW_ISSUED, upload_name("shop_single", domain, NEW.leaf))
        [result] = await add(one, domain)
        assert result.state == "attached"
        assert one.world.domains[domain.domain_id or ""].certificate_id == left


async def test_one_refused_upload_stops_no_other(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        body = {"error_code": "APIG.2103", "error_msg": "not covered"}
        one.world.faults.append(Fault("add_certificate", status=400, body=body, match=one.domains[0][1]))
        results = await add(one)
        assert [result.state for result in results] == ["attached", "failed", "attached"]
        assert results[1].failure is not None
        assert results[1].failure.reason == "certificate_rejected"


@pytest.mark.parametrize("base", ["shop", "a_very_long_name_of_fifty_characters_that_is_legal"])
def test_the_name_of_an_upload_is_legal_and_tells_the_place(base: str) -> None:
    places = [Binding("domain", "a", "i1", None, "g1", domain) for domain in ("d1", "d2")]
    names = {upload_name(base, place, NEW.leaf) for place in places}
    assert len(names) == 2
    assert all(4 <= len(name) <= 50 and name.replace("_", "a").isalnum() for name in names)


async def test_only_what_nothing_is_bound_to_is_retired(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        bound = await stored_in(one)
        spare = replace(bound, certificate_id=one.world.add_certificate(OLD, "spare"))
        assert [await one.gateway.retire(each) for each in (bound, spare, spare)] == [False, True, True]
        assert list(one.world.certificates) == [one.certificate_id]


async def test_a_deletion_that_is_refused_is_told(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        spare = replace(await stored_in(one), certificate_id=one.world.add_certificate(OLD, "spare"))
        one.world.faults.append(Fault("delete_certificate", status=403, body={"error_code": "APIG.1005"}))
        with pytest.raises(RotationError) as caught:
            await one.gateway.retire(spare)
    assert caught.value.reason == "forbidden"


async def test_the_limits_of_the_account_are_never_exceeded(tmp_path: Path) -> None:
    async with shop(tmp_path, domains_per_attach=1, limits=({"calls": 20, "seconds": 0.2},), concurrency=8) as one:
        await attach(one, MANY)
        starts = sorted(call.at for call in one.world.journal if call.operation != "obtain_token")
        assert len(starts) >= 64
        assert all(later - first >= 0.2 for first, later in zip(starts, starts[20:], strict=False))
