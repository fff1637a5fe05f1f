"""Listed domains that are bound to another certificate: their instances and their flags are read before they move."""

from pathlib import Path

import pytest

from tests.support.apig_shop import OLD, Shop, shop
from tests.support.gateways import AUTHORITY
from worker.core.deployment import Binding
from worker.core.errors import PermanentError
from worker.core.planning import Observed
from worker.sandbox.world import Fault

A, B, NEW_NAME = (Binding("domain", name) for name in ("a.example.com", "b.example.com", "new.example.com"))


def told(observed: Observed) -> list[tuple[str, str | None, bool, bool | None]]:
    """Name, instance, whether ours is bound there, and the flag."""
    return [
        (one.binding.name, one.binding.instance_id, one.stored is not None, one.client_verification)
        for one in observed.bound
    ]


def moved(one: Shop, *places: tuple[int, int], flag: bool = True) -> str:
    """Binds domains, by instance and number, to a certificate of another name."""
    other = one.world.add_certificate(OLD, f"other_{len(one.world.certificates)}")
    for instance, number in places:
        domain = one.domains[instance][number]
        one.world.bind(other, domain)
        one.world.domains[domain].client_verification = flag
    return other


def reads(one: Shop) -> tuple[int, int]:
    """Lists of certificates, and of domains."""
    return len(one.world.calls("list_certificates")), len(one.world.calls("list_domains"))


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_listed_domain_bound_to_another_certificate_keeps_its_flag(tmp_path: Path, is_named: bool) -> None:
    async with shop(tmp_path) as one:
        moved(one, (0, 0))
        first, _ = one.instances
        listed = Binding("domain", "a.example.com", first) if is_named else A
        assert told(await one.observe(bindings=(listed, B))) == [
            ("a.example.com", first, False, True),
            ("b.example.com", first, True, False),
        ]


async def test_it_is_looked_for_also_where_nothing_of_ours_is_stored_yet(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.domains[one.domains[0][0]].client_verification = True
        observed = await one.observe(certificate_id=None, name="fresh", bindings=(A,))
        assert told(observed) == [("a.example.com", one.instances[0], False, True)]


async def test_a_domain_without_an_instance_is_found_on_all_where_it_is_bound(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved(one, (0, 0))
        moved(one, (1, 0), flag=False)
        first, second = one.instances
        assert told(await one.observe(bindings=(A,))) == [
            ("a.example.com", first, False, True),
            ("a.example.com", second, False, False),
        ]


async def test_one_that_is_bound_to_ours_on_one_instance_is_found_on_the_others_too(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved(one, (1, 0))
        first, second = one.instances
        assert told(await one.observe(bindings=(A,))) == [
            ("a.example.com", first, True, False),
            ("a.example.com", second, False, True),
        ]


async def test_what_is_shown_with_two_certificates_on_one_instance_is_ours(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.domains[one.domains[0][0]].former.add(one.world.add_certificate(OLD, "other"))
        assert told(await one.observe(bindings=(A,))) == [("a.example.com", one.instances[0], True, False)]


async def test_what_the_settings_say_of_a_flag_stands(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved(one, (0, 0))
        [bound] = (await one.observe(bindings=(Binding("domain", "a.example.com", None, False),))).bound
        assert (bound.binding.client_verification, bound.client_verification) == (False, True)


async def test_a_certificate_of_one_instance_is_not_meant_for_another(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        stored = one.world.certificates[one.certificate_id]
        stored.type, stored.instance_id = "instance", one.instances[0]
        one.world.domains[one.domains[0][0]].certificate_id = None
        moved(one, (1, 0))
        assert told(await one.observe(bindings=(A,))) == [("a.example.com", one.instances[0], False, None)]


async def test_nothing_more_is_read_where_nothing_is_to_be_learnt(tmp_path: Path) -> None:
    """All is bound where it is listed, or is attached; or nothing is stored, and the settings say all of it."""
    async with shop(tmp_path) as one:
        told = Binding("domain", "a.example.com", one.instances[0], True)
        await one.observe(bindings=(A.at(one.instances[0]), B.at(one.instances[0])))
        await one.observe()
        assert reads(one) == (0, 2)
        await one.observe(certificate_id=None, name="fresh", bindings=(told,))
        assert reads(one) == (1, 2), "one look for the name"


async def test_what_is_bound_to_nothing_of_ours_is_looked_for_whatever_the_settings_say(tmp_path: Path) -> None:
    """It is to have again what it had, should the renewed certificate be bad."""
    async with shop(tmp_path) as one:
        other = moved(one, (0, 0))
        told = Binding("domain", "a.example.com", one.instances[0], True)
        observed = await one.observe(bindings=(told, B))
        assert observed.bound[0].others == (other,)


async def test_only_certificates_that_cover_what_is_missing_are_asked(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        for number in range(9):
            one.world.add_certificate(AUTHORITY.issue((f"n{number}.example.org",)), f"unrelated_{number}")
        wild = one.world.add_certificate(AUTHORITY.issue(("*.example.com",)), "wild")
        one.world.bind(wild, one.world.add_domain(one.groups[0], "new.example.com", client_verification=True))
        assert told(await one.observe(bindings=(B, NEW_NAME)))[1:] == [
            ("new.example.com", one.instances[0], False, True)
        ]
        assert reads(one) == (1, 2)


async def test_a_certificate_whose_names_are_not_told_is_asked_too(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        other = moved(one, (0, 0))
        row = {"id": other, "name": "other", "type": "global"}
        one.world.faults.append(Fault("list_certificates", status=200, body={"total": 1, "certs": [row]}))
        assert told(await one.observe(bindings=(A,))) == [("a.example.com", one.instances[0], False, True)]


async def test_the_search_ends_when_all_is_found(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        moved(one, (0, 0))
        for _ in range(5):
            moved(one)
        await one.observe(bindings=(Binding("domain", "a.example.com", one.instances[0]),))
        assert reads(one) == (1, 2)


async def test_a_certificate_that_is_deleted_meanwhile_binds_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        other, _ = moved(one), moved(one, (0, 0))
        gone = {"error_code": "APIG.3021", "error_msg": "gone"}
        one.world.faults.append(Fault("list_domains", status=404, body=gone, match=other))
        assert told(await one.observe(bindings=(A,))) == [("a.example.com", one.instances[0], False, True)]


async def test_a_flag_that_may_not_be_read_is_not_guessed(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        other = moved(one, (0, 0))
        one.world.faults.append(Fault("list_domains", status=403, body={"error_code": "APIG.1005"}, match=other))
        with pytest.raises(PermanentError) as caught:
            await one.observe(bindings=(A,))
    assert caught.value.reason == "forbidden"
