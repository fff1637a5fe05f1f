"""`per_domain`: an upload that is there already is bound, not made again; what cannot be read harms no other domain."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.apig_shop import NAMES, NEW, NEW_ISSUED, OLD, Shop, shop
from tests.support.gateways import AUTHORITY, unheard
from worker.core.deployment import Binding
from worker.core.errors import PermanentError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Bound
from worker.gateways.huawei_apig.per_domain import upload_name
from worker.sandbox.world import Fault

FORBIDDEN = {"error_code": "APIG.1005", "error_msg": "no"}
GONE = {"error_code": "APIG.3021", "error_msg": "gone"}
OTHER = AUTHORITY.issue(NAMES, not_before=NEW.leaf.not_before, not_after=NEW.leaf.not_after)
"""Of another serial number, and else as NEW."""
AWAY = {"error_code": "APIGW.0613", "error_msg": "away"}


async def add(one: Shop, *bindings: Binding) -> Sequence[BindingResult]:
    return await one.gateway.attach(one.per_domain(), None, bindings or one.single(), NEW, unheard)


def journal(one: Shop, since: int = 0) -> dict[str, int]:
    """How often each operation was asked for, tokens apart."""
    operations = [call.operation for call in one.world.journal[since:] if call.operation != "obtain_token"]
    return {name: operations.count(name) for name in operations}


async def test_a_first_rotation_costs_one_list_and_one_call_a_domain(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        await add(one)
        assert journal(one) == {"list_certificates": 1, "add_certificate": 3}


@pytest.mark.parametrize("is_bound", [True, False])
async def test_what_was_uploaded_before_is_bound_and_not_uploaded_once_more(tmp_path: Path, is_bound: bool) -> None:
    async with shop(tmp_path) as one:
        await add(one)
        uploads = {domain: one.world.domains[domain].certificate_id for domain in one.domains[0]}
        for domain in one.domains[0]:
            one.world.domains[domain].client_verification = False
            one.world.domains[domain].certificate_id = uploads[domain] if is_bound else None
        since = len(one.world.journal)
        results = await add(one, *(replace(binding, client_verification=True) for binding in one.single()))
        assert [result.state for result in results] == ["attached"] * 3
        assert journal(one, since) == {"list_certificates": 1, "show_certificate": 3, "attach_to_domain": 3}
        assert {domain: one.world.domains[domain].certificate_id for domain in one.domains[0]} == uploads
        assert all(one.world.domains[domain].client_verification for domain in one.domains[0])


async def test_an_upload_of_that_name_with_another_leaf_is_not_taken_for_ours(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        first, *_ = one.single()
        other = one.world.add_certificate(OLD, upload_name("shop_single", first, NEW.leaf))
        [result] = await add(one, first)
        assert result.failure is not None
        assert result.failure.reason == "conflict"
        assert one.world.bound_to(other) == []


async def test_an_upload_that_is_gone_when_it_is_looked_at_is_made_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        first, *_ = one.single()
        row = {"id": "gone", "name": upload_name("shop_single", first, NEW.leaf)}
        one.world.faults.append(Fault("list_certificates", status=200, body={"total": 1, "certs": [row]}))
        [result] = await add(one, first)
        assert result.state == "attached"
        assert journal(one)["add_certificate"] == 1


async def test_without_the_list_nothing_is_uploaded(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.faults.append(Fault("list_certificates", status=503, body=AWAY, times=9))
        results = await add(one)
        assert [result.failure and result.failure.transient for result in results] == [True] * 3
        assert journal(one) == {"list_certificates": 1}


def two_groups(one: Shop) -> tuple[Binding, Binding]:
    """The same name on both instances, bound to the old certificate."""
    one.world.bind(one.certificate_id, one.domains[1][0])
    places = zip(one.instances, one.groups, one.domains, strict=True)
    first, second = (
        Binding("domain", domains[0], instance, None, group, domains[0]) for instance, group, domains in places
    )
    return first, second


async def observe(one: Shop, *bindings: Binding) -> Sequence[Bound]:
    return (await one.gateway.observe(one.per_domain(*bindings), NEW.leaf)).bound


@pytest.mark.parametrize(("status", "body"), [(403, FORBIDDEN), (404, {"error_code": "APIG.3001"}), (400, {})])
async def test_a_group_that_cannot_be_read_harms_no_other(tmp_path: Path, status: int, body: dict[str, object]) -> None:
    async with shop(tmp_path) as one:
        first, second = two_groups(one)
        one.world.faults.append(Fault("show_group", status=status, body=body, match=one.groups[1]))
        bound = await observe(one, first, second)
        assert [each.stored is not None for each in bound] == [True, False]
        assert [each.binding.name for each in bound] == [NAMES[0], second.name]


async def test_what_ours_is_bound_to_is_known_without_its_group(tmp_path: Path) -> None:
    """So a newer certificate is not undone, and what was attached is seen when it is read back."""
    async with shop(tmp_path) as one:
        first, second = two_groups(one)
        await add(one, first, replace(second, client_verification=True))
        one.world.faults.append(Fault("show_group", status=403, body=FORBIDDEN, match=one.groups[1]))
        stray = replace(second, group_id="another")
        *_, known, unknown = await observe(one, first, second, stray)
        assert known.stored is not None
        assert known.stored.serial_number == NEW.leaf.serial_number
        assert (known.binding.name, known.client_verification) == (NAMES[0], True)
        assert unknown.stored is None, "it is bound in another group than the settings say"


@pytest.mark.parametrize(("status", "body"), [(403, FORBIDDEN), (404, GONE)])
async def test_a_certificate_that_cannot_be_read_harms_no_other_domain(
    tmp_path: Path, status: int, body: dict[str, object]
) -> None:
    async with shop(tmp_path) as one:
        other = one.world.add_certificate(NEW_ISSUED, "other")
        one.world.bind(other, one.domains[0][1])
        one.world.faults.append(Fault("show_certificate", status=status, body=body, match=other))
        bound = await observe(one)
        assert [each.stored is not None for each in bound] == [True, False, True]
        assert [each.binding.name for each in bound] == list(NAMES)


async def test_of_uploads_of_one_leaf_one_is_looked_at(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        await add(one)
        bound = await observe(one)
        assert [each.stored and each.stored.serial_number for each in bound] == [NEW.leaf.serial_number] * 3
        assert len({each.stored and each.stored.certificate_id for each in bound}) == 3
        assert journal(one)["show_certificate"] == 1


async def test_where_the_one_that_is_looked_at_cannot_be_read_the_others_are(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        await add(one)
        first = one.world.domains[one.domains[0][0]].certificate_id or ""
        one.world.faults.append(Fault("show_certificate", status=403, body=FORBIDDEN, match=first))
        bound = await observe(one)
        assert [each.stored and each.stored.serial_number for each in bound] == [None, *[NEW.leaf.serial_number] * 2]
        assert journal(one)["show_certificate"] == 3


async def test_an_upload_that_somebody_has_changed_is_looked_at(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        await add(one)
        changed = one.world.certificates[one.world.domains[one.domains[0][2]].certificate_id or ""]
        changed.updated_at += timedelta(minutes=1)
        changed.leaf = OTHER.certificate
        *_, last = await observe(one)
        assert last.stored is not None
        assert last.stored.serial_number == OTHER.serial_number


@pytest.mark.parametrize("trouble", ["too long", "never at rest"])
async def test_where_no_list_tells_what_is_unchanged_all_is_read_again(tmp_path: Path, trouble: str) -> None:
    async with shop(tmp_path) as one:
        for domain in one.domains[0]:
            one.world.bind(one.world.add_certificate(OLD, f"other_{domain}"), domain)
        await observe(one)
        uploads: dict[str, object] = {"total": 0, "certs": []}
        one.world.faults.append(Fault("list_certificates", status=200, body=uploads))
        if trouble == "too long":
            one.world.faults.append(Fault("list_certificates", status=200, body={"total": 5000, "certs": []}))
        else:
            one.world.faults.append(Fault("list_certificates", status=200, body={"total": 4, "certs": []}, times=9))
        bound = await observe(one)
        assert [each.stored is not None for each in bound] == [True] * 3
        assert journal(one)["show_certificate"] == 6


@pytest.mark.parametrize(("status", "body"), [(403, FORBIDDEN), (404, GONE)])
async def test_an_upload_whose_domains_cannot_be_read_is_not_left_over(
    tmp_path: Path, status: int, body: dict[str, object]
) -> None:
    async with shop(tmp_path) as one:
        left, other = (one.world.add_certificate(OLD, f"shop_single_0123abcd_0000000{number}") for number in range(2))
        one.world.faults.append(Fault("list_domains", status=status, body=body, match=other))
        observed = await one.gateway.observe(one.per_domain(), NEW.leaf)
        assert [stored.certificate_id for stored in observed.leftovers] == [left]


@pytest.mark.parametrize("operation", ["show_group", "show_certificate"])
@pytest.mark.parametrize("status", [503, 401])
async def test_what_passes_or_is_about_the_account_fails_the_whole(tmp_path: Path, operation: str, status: int) -> None:
    async with shop(tmp_path) as one:
        one.world.faults.append(Fault(operation, status=status, body=AWAY, times=9))
        with pytest.raises(TransientError if status == 503 else PermanentError):
            await observe(one)
