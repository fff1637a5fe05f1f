"""A client CA that a write drops is told: without it the gateway asks clients for no certificate."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.apig_shop import NEW, NEW_ISSUED, Shop, shop
from tests.support.gateways import AUTHORITY
from worker.core.errors import PermanentError
from worker.core.planning import Create, Modify, Stored
from worker.sandbox.world import Fault

CA = AUTHORITY.root_pem


async def modify(one: Shop) -> Stored:
    one.world.certificates[one.certificate_id].trusted_root_ca = CA
    stored = (await one.observe()).stored
    assert stored is not None
    return await one.gateway.replace(one.deployment(trusted_root_ca=CA), Modify(stored), NEW)


async def create(one: Shop) -> Stored:
    deployment = one.deployment(certificate_id=None, name="shop", trusted_root_ca=CA)
    del one.world.certificates[one.certificate_id]
    return await one.gateway.replace(deployment, Create("shop"), NEW)


def answer(one: Shop, **told: Any) -> dict[str, object]:
    """What a gateway says that stores another thing than it was sent."""
    return {"id": one.certificate_id, "name": "shop", "serial_number": str(NEW.leaf.serial_number), **told}


@pytest.mark.parametrize("change", [modify, create])
async def test_a_client_ca_that_a_write_drops_is_told(tmp_path: Path, change: Any) -> None:
    async with shop(tmp_path) as one:
        told = answer(one, is_has_trusted_root_ca=False)
        one.world.faults.append(Fault(f"{change.__name__}_certificate", status=200, body=told))
        with pytest.raises(PermanentError) as caught:
            await change(one)
    assert caught.value.reason == "client_verification_changed"
    assert str(caught.value) == "the stored certificate shop has lost its client CA"


@pytest.mark.parametrize(("is_bound", "is_refused"), [(False, False), (False, True), (True, False)])
async def test_what_is_created_without_its_client_ca_is_deleted_unless_anything_is_bound_to_it(
    tmp_path: Path, is_bound: bool, is_refused: bool
) -> None:
    """That it cannot be deleted hides nothing."""
    async with shop(tmp_path) as one:
        fresh = one.world.add_certificate(NEW_ISSUED, "fresh")
        if is_bound:
            one.world.bind(fresh, one.domains[0][0])
        if is_refused:
            one.world.faults.append(Fault("delete_certificate", status=403))
        told = answer(one, id=fresh, name="fresh", is_has_trusted_root_ca=False)
        one.world.faults.append(Fault("create_certificate", status=200, body=told))
        with pytest.raises(PermanentError) as caught:
            await one.gateway.replace(one.deployment(trusted_root_ca=CA), Create("fresh"), NEW)
        assert caught.value.reason == "client_verification_changed"
        assert (fresh in one.world.certificates) is (is_bound or is_refused)


async def test_an_answer_that_is_silent_about_the_client_ca_is_asked_for_by_reading(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.certificates[one.certificate_id].trusted_root_ca = CA
        stored = (await one.observe()).stored
        assert stored is not None
        one.world.faults += [
            Fault("modify_certificate", status=200, body=answer(one)),
            Fault("show_certificate", status=200, body=answer(one, is_has_trusted_root_ca=False)),
        ]
        with pytest.raises(PermanentError) as caught:
            await one.gateway.replace(one.deployment(trusted_root_ca=CA), Modify(stored), NEW)
    assert caught.value.reason == "client_verification_changed"


async def test_a_gateway_that_tells_nothing_of_client_cas_is_believed(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        one.world.certificates[one.certificate_id].trusted_root_ca = CA
        stored = (await one.observe()).stored
        assert stored is not None
        one.world.faults += [
            Fault(operation, status=200, body=answer(one)) for operation in ("modify_certificate", "show_certificate")
        ]
        written = await one.gateway.replace(one.deployment(trusted_root_ca=CA), Modify(stored), NEW)
    assert written.serial_number == NEW.leaf.serial_number


async def test_what_is_found_without_its_client_ca_after_a_lost_answer_is_written_again(tmp_path: Path) -> None:
    """It may be what was there before: the same certificate, which had lost its client CA."""
    async with shop(tmp_path) as one:
        one.world.certificates[one.certificate_id].trusted_root_ca = CA
        stored = (await one.observe()).stored
        assert stored is not None
        one.world.faults += [
            Fault("modify_certificate", kind="reset", after_effect=True),
            *(Fault("show_certificate", status=200, body=answer(one, is_has_trusted_root_ca=False)) for _ in range(2)),
        ]
        written = await one.gateway.replace(one.deployment(trusted_root_ca=CA), Modify(stored), NEW)
        assert (written.has_trusted_root_ca, len(one.world.calls("modify_certificate"))) == (True, 2)


async def test_where_no_client_ca_was_none_is_missed_and_nothing_more_is_read(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        stored = (await one.observe()).stored
        assert stored is not None
        one.world.faults.append(Fault("modify_certificate", status=200, body=answer(one)))
        await one.gateway.replace(one.deployment(trusted_root_ca=CA), Modify(stored), NEW)
        assert len(one.world.calls("show_certificate")) == 1
