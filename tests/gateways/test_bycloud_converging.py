"""ByCloud where something is stuck: each rotation comes to an end, in few calls, and leaves nothing more behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.gateways.test_bycloud_reading import Place, issued, leaf_of, opened
from tests.support.bycloud_cloud import PATIENCE, Cloud, attach, raised, reasons
from tests.support.bycloud_cloud import opened as opened_at
from tests.support.gateways import AUTHORITY, bycloud, checked, unheard
from tests.support.values import bundle, deployment, leaf, listener, stored
from tests.support.virtual_time import run_virtual
from worker.core.bundle import Bundle
from worker.core.deployment import Deployment
from worker.core.errors import PermanentError, TransientError
from worker.core.outcome import BindingResult
from worker.core.planning import Create, Plan
from worker.core.strategies import plan
from worker.core.uploads import uploaded_name

GONE = "550e8400-e29b-41d4-a716-446655440000"
STUCK = [f"l{number}" for number in range(8)]


# Stuck load balancers


@pytest.mark.parametrize(
    ("cloud", "reason", "breaks_at"),
    [
        (Cloud(stuck=set(STUCK)), "busy", []),
        (Cloud(binding_statuses=dict.fromkeys(STUCK, "pending")), "binding_failed", []),
        (Cloud(binding_statuses=dict.fromkeys(STUCK, "pending")), "binding_failed", range(50, 500, 50)),
    ],
)
def test_a_stuck_load_balancer_costs_the_patience_once_however_many_listeners_it_has(
    cloud: Cloud, reason: str, breaks_at: Sequence[float]
) -> None:
    cloud.add()
    there = [listener(name, load_balancer="lb1") for name in STUCK]

    async def scenario() -> tuple[Sequence[BindingResult], float]:
        for seconds in breaks_at:
            cloud.settle(seconds, "error")
        results = await attach(cloud, *there, listener("elsewhere", load_balancer="lb2"))
        return results, asyncio.get_running_loop().time()

    results, seconds = run_virtual(scenario())
    assert reasons(results) == [reason] * len(STUCK) + [None]
    assert seconds < 1.5 * PATIENCE
    assert len(cloud.calls_made) < 60


def test_a_listener_that_waits_in_vain_leaves_the_others_time_enough_to_be_bound() -> None:
    cloud = Cloud(stuck={"sick"}, binding_statuses={"l1": "pending", "l2": "pending"})
    cloud.add()

    async def scenario() -> Sequence[BindingResult]:
        for seconds in (PATIENCE - 5, 1.5 * PATIENCE):
            cloud.settle(seconds, "active")
        return await attach(cloud, *[listener(name, load_balancer="lb1") for name in ("sick", "l1", "l2")])

    # The second of them takes longer than what the sick one left: one that was bound gives the whole patience back.
    assert reasons(run_virtual(scenario())) == ["busy", None, None]


def test_a_bug_that_binding_meets_is_raised_as_it_is() -> None:
    cloud = Cloud()
    cloud.add()

    def heard(_result: BindingResult) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        run_virtual(opened_at(cloud).attach(deployment(), stored(), [listener()], None, heard))


def test_listeners_that_share_a_look_share_its_failure() -> None:
    names = [f"l{number}" for number in range(20)]
    cloud = Cloud(
        binding_statuses=dict.fromkeys(names, "pending"), failing_reads=[TransientError("gateway_unavailable")] * 20
    )
    cloud.add()
    assert reasons(run_virtual(attach(cloud, *map(listener, names)))) == ["gateway_unavailable"] * 20
    assert cloud.count("show_certificate") == 1


# Uploads that the platform gives up


@pytest.mark.parametrize("has_unique_names", [True, False])
def test_an_upload_that_ends_in_error_is_not_made_again_by_the_next_attempts(*, has_unique_names: bool) -> None:
    cloud = Cloud(activation=5, ends="error", has_unique_names=has_unique_names)
    cloud.add(name="shop")
    gateway = opened_at(cloud)
    wanted = deployment(strategy="replace", bindings=(listener(),))

    async def attempt() -> None:
        todo = plan(wanted, await gateway.observe(wanted, leaf()), leaf())
        assert isinstance(todo, Plan)
        assert isinstance(todo.replacement, Create)
        await gateway.replace(wanted, todo.replacement, bundle())

    for _ in range(3):
        error = raised(attempt())
        assert isinstance(error, PermanentError)
        assert error.reason == "certificate_not_active"
    assert cloud.count("create_certificate") == 1


@pytest.mark.parametrize("status", ["error", "revoked"])
async def test_an_upload_of_this_leaf_that_is_given_up_counts_only_where_there_is_no_other(
    tmp_path: Path, status: str
) -> None:
    async with opened(tmp_path) as place:
        renewed = issued()
        name = uploaded_name("shop", leaf_of(renewed))
        spoilt = place.world.add_upload(renewed, name, status=status)
        with pytest.raises(PermanentError, match=f"status is {status}") as caught:
            await place.gateway.observe(place.deployment(strategy="replace"), leaf_of(renewed))
        assert caught.value.reason == "certificate_not_active"
        sound = place.world.add_upload(renewed, name)
        observed = await place.gateway.observe(place.deployment(strategy="replace"), leaf_of(renewed))
        assert observed.stored is not None
        assert observed.stored.certificate_id == sound != spoilt


# Few lists


async def replaced(place: Place, wanted: Deployment, renewed: Bundle) -> str:
    """The id of the new upload, bound and read back again and again."""
    await place.gateway.observe(wanted, renewed.leaf)
    name = wanted.name or uploaded_name("shop", renewed.leaf)
    made = await place.gateway.replace(wanted, Create(name), renewed)
    await place.gateway.attach(wanted, made, [place.listener], renewed, unheard)
    for _ in range(3):
        observed = await place.gateway.observe(wanted, renewed.leaf)
        assert observed.stored is not None
        assert observed.stored.certificate_id == made.certificate_id
        assert [one.stored for one in observed.bound] == [observed.stored]
    return made.certificate_id


async def test_the_account_is_listed_once_a_rotation(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        await replaced(place, place.deployment(strategy="replace"), checked(issued()))
        assert len(place.world.calls("list_uploads")) == 1
        assert len(place.world.calls("show_upload")) == 1 + 1 + 3  # the original; until active; each read-back


async def test_nothing_is_listed_where_no_name_can_be_looked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        gone = place.deployment(strategy="replace", certificate_id=GONE)
        assert (await place.gateway.observe(gone, leaf_of(issued()))).stored is None
        assert not place.world.calls("list_uploads")


async def test_what_is_remembered_of_an_upload_is_believed_only_as_far_as_it_is_seen_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        wanted, renewed = place.deployment(strategy="replace"), checked(issued())
        made = await replaced(place, wanted, renewed)
        another = AUTHORITY.issue(["a.example.com"], not_after=datetime.now(UTC) + timedelta(days=120))
        of_another = place.world.add_upload(another, uploaded_name("shop", leaf_of(another)))
        observed = await place.gateway.observe(wanted, leaf_of(another))
        assert observed.stored is not None
        assert observed.stored.certificate_id == of_another
        del place.world.uploads[of_another]
        await place.gateway.observe(wanted, renewed.leaf)
        place.world.uploads[made].status = "error"
        with pytest.raises(PermanentError, match="status is error"):
            await place.gateway.observe(wanted, renewed.leaf)
        place.world.listeners[place.listener.name].bindings.clear()
        del place.world.uploads[made]
        observed = await place.gateway.observe(wanted, renewed.leaf)
        assert observed.stored is not None
        assert observed.stored.certificate_id == place.certificate_id


# In place, where the stored certificate has vanished


async def test_a_certificate_made_in_place_of_a_vanished_one_is_found_by_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as place, bycloud(place.sandbox, tmp_path) as restarted:
        wanted = place.deployment(strategy="in_place", certificate_id=GONE, name="front")
        renewed = checked(issued())
        assert (await place.gateway.observe(wanted, renewed.leaf)).stored is None
        made = await replaced(place, wanted, renewed)
        assert len(place.world.calls("list_uploads")) == 2  # no read-back listed
        observed = await restarted.observe(wanted, renewed.leaf)
        assert observed.stored is not None
        assert observed.stored.certificate_id == made
        assert [one.stored for one in observed.bound] == [observed.stored]


async def test_several_certificates_of_the_deployments_name_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        for _ in range(2):
            place.world.add_upload(issued(10), "front")
        wanted = place.deployment(strategy="in_place", certificate_id=GONE, name="front")
        with pytest.raises(PermanentError) as caught:
            await place.gateway.observe(wanted, leaf_of(issued()))
        assert caught.value.reason == "ambiguous_name"


async def test_a_certificate_to_be_bound_again_is_never_taken_for_another_of_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        observed = await place.gateway.observe(replace(place.deployment(), certificate_id=GONE, name="shop"), None)
        assert observed.stored is None
