"""What is read of APIG before anything is changed: every page, every binding, by id or by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.apig_shop import NAMES, NEW, NEW_ISSUED, OLD, shop
from tests.support.gateways import unheard
from worker.core.deployment import Binding
from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.planning import Observed, Stored
from worker.gateways.huawei_apig.paging import all_pages
from worker.sandbox.world import Fault


def places(observed: Observed) -> list[tuple[str, str | None, bool]]:
    """Name, instance, and whether the stored certificate is bound there."""
    return [(one.binding.name, one.binding.instance_id, one.stored is not None) for one in observed.bound]


async def test_attached_domains_are_read_with_their_instances_and_flags(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.domains[one.domains[0][1]].client_verification = True
        observed = await one.observe()
    assert observed.stored is not None
    assert observed.stored.serial_number == OLD.serial_number
    assert places(observed) == [(name, one.instances[0], True) for name in NAMES]
    assert [bound.client_verification for bound in observed.bound] == [False, True, False]


async def test_every_page_is_read(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        many = [one.world.add_domain(one.groups[1], f"n{number}.example.com") for number in range(1100)]
        one.world.bind(one.certificate_id, *many)
        observed = await one.observe()
        assert len(observed.bound) == 1103
        assert [call.facts["offset"] for call in one.world.calls("list_domains")] == ["0", "500", "1000"]


async def test_a_domain_with_several_ports_is_one_binding(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        rows = [
            {"url_domain": name, "instance_id": "i1", "ingress_https_port": port, "id": " d1"}
            for name, port in (("a.example.com", 443), ("A.example.com", 8443), ("b.example.com", 443))
        ]
        one.world.faults.append(Fault("list_domains", status=200, body={"total": 3, "bound_domains": rows}))
        assert places(await one.observe()) == [("a.example.com", "i1", True), ("b.example.com", "i1", True)]


async def test_a_stored_certificate_is_found_by_its_exact_name(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.add_certificate(OLD, "shop_2")
        observed = await one.observe(certificate_id=None, name="shop")
        assert observed.stored is not None
        assert (observed.stored.certificate_id, observed.stored.serial_number) == (
            one.certificate_id,
            OLD.serial_number,
        )


async def test_where_the_id_is_gone_the_name_is_looked_for(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        observed = await one.observe(certificate_id="gone", name="shop")
        assert observed.stored is not None
        assert observed.stored.certificate_id == one.certificate_id


async def test_where_nothing_is_stored_nothing_is_bound(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        wanted = (Binding("domain", "new.example.com"),)
        observed = await one.observe(certificate_id="gone", name="fresh", bindings=wanted)
    assert (observed.stored, places(observed)) == (None, [("new.example.com", None, False)])


async def test_a_stored_certificate_that_is_gone_is_told_in_the_gateways_words(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        with pytest.raises(PermanentError) as caught:
            await one.observe(certificate_id="gone")
    assert (caught.value.reason, caught.value.status, caught.value.code) == ("not_found", 404, "APIG.3021")


async def test_two_of_one_name_are_one_too_many(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.add_certificate(OLD, "shop")
        with pytest.raises(PermanentError) as caught:
            await one.observe(certificate_id=None, name="shop")
    assert caught.value.reason == "ambiguous_name"


async def test_an_answer_about_another_certificate_is_not_believed(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.faults.append(Fault("show_certificate", status=200, body={"id": "another", "name": "shop"}))
        with pytest.raises(PermanentError) as caught:
            await one.observe()
    assert caught.value.reason == "provider_mismatch"


async def test_a_listed_domain_is_every_place_where_its_name_is_bound(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.bind(one.certificate_id, one.domains[1][0])
        wanted = tuple(Binding("domain", name) for name in ("a.example.com", "b.example.com", "new.example.com"))
        first, second = one.instances
        assert places(await one.observe(bindings=wanted)) == [
            ("a.example.com", first, True),
            ("a.example.com", second, True),
            ("b.example.com", first, True),
            ("new.example.com", None, False),
        ]


async def test_what_is_attached_and_shown_with_two_certificates_is_one_binding(tmp_path: Path) -> None:
    """With the renewed one first, as what is listed is."""
    async with shop(tmp_path) as one:
        one.world.attach_adds = True
        green = one.world.add_certificate(NEW_ISSUED, f"shop_{NEW.leaf.fingerprint_sha256[:12]}")
        await one.gateway.attach(one.deployment(), Stored(green, ""), one_of(one.instances[0]), None, unheard)
        seen = await one.observe(strategy="blue_green", certificate_id=None, name="shop")
        shown = [(it.binding.name, it.stored and it.stored.certificate_id, tuple(it.others)) for it in seen.bound]
        assert sorted(shown) == [
            (NAMES[0], green, (one.certificate_id,)),
            (NAMES[1], one.certificate_id, ()),
            (NAMES[2], one.certificate_id, ()),
        ]


def one_of(instance: str) -> tuple[Binding, ...]:
    return (Binding("domain", NAMES[0], instance, client_verification=False),)


async def test_a_domain_listed_with_its_instance_is_that_one_alone(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        first, second = one.instances
        wanted = (Binding("domain", "a.example.com", first), Binding("domain", "a.example.com", second, True))
        observed = await one.observe(bindings=wanted)
        assert places(observed) == [("a.example.com", first, True), ("a.example.com", second, False)]
        assert [bound.binding.client_verification for bound in observed.bound] == [None, True]


async def test_a_listed_domain_that_another_certificate_has_is_told_with_its_id(tmp_path: Path) -> None:
    """Also where the settings tell all of it: it may have to be known afterwards."""
    async with shop(tmp_path) as one:
        strangers = one.world.add_certificate(OLD, "by_hand")
        wanted = Binding("domain", "a.example.com", one.instances[1], True)
        [before] = (await one.observe(bindings=(wanted,))).bound
        one.world.bind(strangers, one.domains[1][0])
        [after] = (await one.observe(bindings=(wanted,))).bound
        assert [(row.stored, row.others) for row in (before, after)] == [(None, ()), (None, (strangers,))]


async def test_a_certificate_of_one_instance_reaches_no_other(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        stored = one.world.certificates[one.certificate_id]
        stored.type, stored.instance_id = "instance", one.instances[0]
        observed = await one.observe(bindings=(Binding("domain", "new.example.com"),))
        assert places(observed) == [("new.example.com", one.instances[0], False)]


async def test_all_that_is_stored_is_discovered_with_its_bindings(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.add_certificate(OLD, "spare")
        found = {each.stored.name: each.bindings for each in await one.gateway.discover()}
        assert [binding.name for binding in found["shop"]] == list(NAMES)
        assert found["spare"] == ()


async def test_per_domain_names_each_domain_and_what_it_serves(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.domains[one.domains[0][2]].certificate_id = None
        observed = await one.gateway.observe(one.per_domain(), NEW.leaf)
        assert places(observed) == [
            ("a.example.com", one.instances[0], True),
            ("b.example.com", one.instances[0], True),
            ("c.example.com", one.instances[0], False),
        ]
        assert len(one.world.calls("show_group")) == 1
        assert len(one.world.calls("show_certificate")) == 1


async def test_a_domain_or_group_that_does_not_exist_harms_no_other(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        good, *_ = one.single()
        strays = replace(good, name="gone", domain_id="gone"), replace(good, name="lost", group_id="gone")
        observed = await one.gateway.observe(one.per_domain(good, *strays), NEW.leaf)
        assert [bound.stored is not None for bound in observed.bound] == [True, False, False]
        results = await one.gateway.attach(one.per_domain(), None, [good, *strays], NEW, unheard)
        told = [(result.state, result.failure and result.failure.code) for result in results]
        assert told == [("attached", None), ("failed", "APIG.3020"), ("failed", "APIG.3001")]


async def test_where_the_group_does_not_tell_the_uploads_do(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        good, *_ = one.single()
        await one.gateway.attach(one.per_domain(), None, [good], NEW, unheard)
        silent = {"url_domains": [{"id": good.domain_id, "domain": "A.example.com"}]}
        one.world.faults.append(Fault("show_group", status=200, body=silent))
        [bound] = (await one.gateway.observe(one.per_domain(good), NEW.leaf)).bound
        assert bound.binding.name == "a.example.com"
        assert bound.stored is not None
        assert bound.stored.serial_number == NEW.leaf.serial_number


async def test_only_our_unbound_uploads_of_other_leaves_are_left_over(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        ours, leaf = "shop_single_0123abcd_89abcdef", NEW.leaf.fingerprint_sha256[:8]
        left = one.world.add_certificate(OLD, ours)
        for name in ("shop_single", "shop_single_spare", "shop_singles_0123abcd_89abcdef"):
            one.world.add_certificate(OLD, name)
        one.world.add_certificate(OLD, f"shop_single_{leaf}_89abcdef")
        elsewhere = one.world.add_certificate(OLD, "shop_single_0123abcd_00000000")
        one.world.bind(elsewhere, one.domains[1][0])
        observed = await one.gateway.observe(one.per_domain(), NEW.leaf)
        assert [stored.certificate_id for stored in observed.leftovers] == [left]


@dataclass
class Page:
    total: int
    rows: Sequence[int]


async def read(*pages: Page) -> tuple[Sequence[int], list[int]]:
    asked: list[int] = []
    told = list(pages)

    async def page_at(offset: int) -> Page:
        asked.append(offset)
        return told.pop(0) if len(told) > 1 else told[0]

    return await all_pages(page_at), asked


async def test_a_list_that_changes_while_it_is_read_is_read_again() -> None:
    rows, asked = await read(Page(3, [1, 2]), Page(4, [4]), Page(4, [1, 2, 3, 4]))
    assert (rows, asked) == ([1, 2, 3, 4], [0, 2, 0])


@pytest.mark.parametrize("pages", [[Page(3, [])], [Page(3, [1]), Page(2, [])] * 9])
async def test_a_list_that_is_never_whole_is_not_taken_for_the_whole(pages: list[Page]) -> None:
    with pytest.raises(TransientError) as caught:
        await read(*pages)
    assert caught.value.reason == "busy"


async def test_the_account_is_checked_with_one_read(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        await one.gateway.check()
        assert [call.operation for call in one.world.journal] == ["obtain_token", "list_certificates"]
        one.world.faults.append(Fault("list_certificates", status=403, body={"error_code": "APIG.1005"}))
        with pytest.raises(RotationError) as caught:
            await one.gateway.check()
    assert caught.value.reason == "forbidden"
