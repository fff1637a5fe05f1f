"""What ByCloud is seen to hold, over real sockets: by strategy, over all pages, with whatever credentials."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import AUTHORITY, bycloud, checked
from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import PermanentError, TransientError
from worker.core.uploads import uploaded_name
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox
from worker.sandbox.ca import Issued
from worker.sandbox.world import Fault, World

NAMES = ("a.example.com",)


def issued(days_ago: int = 0) -> Issued:
    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago, hours=1)
    return AUTHORITY.issue(NAMES, not_before=begins)


def leaf_of(one: Issued) -> Leaf:
    return checked(one).leaf


@dataclass
class Place:
    """One load balancer's listener, and the certificate that it once served."""

    sandbox: Sandbox
    gateway: Gateway
    listener: Binding
    certificate_id: str

    @property
    def world(self) -> World:
        return self.sandbox.world

    def deployment(self, **overrides: Any) -> Deployment:
        fields = {
            "gateway": "bycloud",
            "strategy": "rebind",
            "certificate_id": self.certificate_id,
            "name": None,
            "bindings": (self.listener,),
        }
        return Deployment(**{**fields, **overrides})


@asynccontextmanager
async def opened(folder: Path, **overrides: Any) -> AsyncIterator[Place]:
    async with Sandbox() as sandbox, bycloud(sandbox, folder, **overrides) as gateway:
        listener = Binding("listener", sandbox.world.add_listener())
        yield Place(sandbox, gateway, listener, sandbox.world.add_upload(issued(days_ago=60), "shop"))


# By strategy


async def test_what_is_bound_is_seen_as_bound(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        other = Binding("listener", place.world.add_listener())
        place.world.bind_listener(place.certificate_id, place.listener.name)
        observed = await place.gateway.observe(place.deployment(bindings=(place.listener, other)), None)
        assert [one.stored for one in observed.bound] == [observed.stored, None]


async def test_a_listener_bound_for_other_names_only_is_not_seen_as_bound(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.world.bind_listener(place.certificate_id, place.listener.name, sni=True)
        observed = await place.gateway.observe(place.deployment(), None)
        assert [one.stored for one in observed.bound] == [None]


async def test_a_certificate_that_is_gone_is_seen_as_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        gone = place.deployment(certificate_id="550e8400-e29b-41d4-a716-446655440000")
        observed = await place.gateway.observe(gone, None)
        assert observed.stored is None
        assert [one.stored for one in observed.bound] == [None]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("pending_dns", TransientError),
        ("pending_issuance", TransientError),
        ("expired", PermanentError),
        ("error", PermanentError),
        ("revoked", PermanentError),
    ],
)
async def test_a_certificate_that_is_not_active_is_not_bound_again(
    tmp_path: Path, status: str, kind: type[Exception]
) -> None:
    async with opened(tmp_path) as place:
        place.world.uploads[place.certificate_id].status = status
        with pytest.raises(kind, match=f"status is {status}") as caught:
            await place.gateway.observe(place.deployment(), None)
        assert getattr(caught.value, "reason", None) == "certificate_not_active"


async def test_an_expired_certificate_may_be_modified_in_place(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.world.uploads[place.certificate_id].status = "expired"
        observed = await place.gateway.observe(place.deployment(strategy="in_place"), leaf_of(issued()))
        assert observed.stored is not None


async def test_before_its_first_upload_the_original_is_what_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        observed = await place.gateway.observe(place.deployment(strategy="replace"), leaf_of(issued()))
        assert observed.stored is not None
        assert (observed.stored.certificate_id, observed.stored.fingerprint_prefix) == (place.certificate_id, None)


async def test_the_upload_of_this_very_leaf_is_found_by_its_name_with_its_bindings(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        renewed = issued()
        leaf = leaf_of(renewed)
        mine = place.world.add_upload(renewed, uploaded_name("shop", leaf))
        place.world.add_upload(issued(), uploaded_name("shop", leaf_of(issued())))
        place.world.bind_listener(mine, place.listener.name)
        observed = await place.gateway.observe(place.deployment(strategy="replace"), leaf)
        assert observed.stored is not None
        assert (observed.stored.certificate_id, observed.stored.not_after) == (mine, leaf.not_after)
        assert observed.stored.fingerprint_prefix == leaf.fingerprint_sha256[:12]
        assert [one.stored for one in observed.bound] == [observed.stored]


async def test_of_earlier_uploads_the_one_stored_last_is_what_is_replaced(tmp_path: Path) -> None:
    """Also where certificates live shorter and shorter, and an earlier one expires last."""
    async with opened(tmp_path) as place:
        now, uploads = datetime.now(UTC), {}
        place.world.uploads[place.certificate_id].created_at = now - timedelta(days=90)
        for days_ago in (40, 10, 30):
            one = AUTHORITY.issue(["a.example.com"], not_after=now + timedelta(days=days_ago))
            name = uploaded_name("shop", leaf_of(one))
            uploads[days_ago] = place.world.add_upload(one, name, created_at=now - timedelta(days=days_ago))
        place.world.add_upload(issued(5), uploaded_name("other", leaf_of(issued(5))))
        observed = await place.gateway.observe(place.deployment(strategy="replace"), leaf_of(issued()))
        assert observed.stored is not None
        assert observed.stored.certificate_id == uploads[10]


async def test_uploads_go_by_the_deployments_name_where_it_has_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        one = issued(10)
        mine = place.world.add_upload(one, uploaded_name("front", leaf_of(one)))
        named = place.deployment(strategy="replace", certificate_id=None, name="front")
        observed = await place.gateway.observe(named, leaf_of(issued()))
        assert observed.stored is not None
        assert observed.stored.certificate_id == mine


async def test_an_upload_that_ended_in_error_is_not_what_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        one = issued(5)
        place.world.add_upload(one, uploaded_name("shop", leaf_of(one)), status="error")
        observed = await place.gateway.observe(place.deployment(strategy="replace"), leaf_of(issued()))
        assert observed.stored is not None
        assert observed.stored.certificate_id == place.certificate_id


# All of it


async def test_everything_is_discovered_page_after_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        one = issued()
        for number in range(250):
            place.world.add_upload(one, f"many{number}")
        place.world.bind_listener(place.certificate_id, place.listener.name, sni=True)
        found = await place.gateway.discover()
        assert len({entry.stored.certificate_id for entry in found}) == 251
        assert [entry.bindings for entry in found if entry.bindings] == [
            (Binding("listener", place.listener.name, sni=True),)
        ]
        assert len(place.world.journal) == 3


async def test_an_answer_that_lists_nothing_in_the_documented_form_is_not_an_empty_list(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        place.world.faults.append(Fault("list_uploads", status=200, body={"items": []}, times=100))
        with pytest.raises(TransientError) as caught:
            await place.gateway.discover()
        assert caught.value.reason == "gateway_unavailable"


async def test_pages_that_go_round_in_a_circle_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        page = {"certificates": [{"id": "c1", "status": "active", "bindings": []}], "meta": {"has_more": True}}
        place.world.faults.append(Fault("list_uploads", status=200, body=page, times=100))
        with pytest.raises(PermanentError) as caught:
            await place.gateway.discover()
        assert caught.value.reason == "provider_mismatch"


async def test_an_answer_about_another_certificate_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        body = {"certificate": {"id": "another", "status": "active"}}
        place.world.faults.append(Fault("show_upload", status=200, body=body))
        with pytest.raises(PermanentError) as caught:
            await place.gateway.observe(place.deployment(), None)
        assert caught.value.reason == "provider_mismatch"


async def test_unknown_and_empty_fields_of_an_answer_do_no_harm(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        rows = [{"resource_id": place.listener.name.upper(), "options": None, "status": "ACTIVE", "new": 1}, {}]
        certificate = {"id": place.certificate_id, "status": "active", "expires_at": "", "new": {}, "bindings": rows}
        place.world.faults.append(Fault("show_upload", status=200, body={"certificate": certificate}))
        observed = await place.gateway.observe(place.deployment(), None)
        assert observed.stored is not None
        assert observed.stored.not_after is None
        assert [one.stored for one in observed.bound] == [observed.stored]


# Credentials and limits


async def test_a_bearer_token_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("an-old-token\n")
    async with opened(tmp_path, auth={"kind": "bearer", "token_file": token}) as place:
        with pytest.raises(PermanentError) as caught:
            await place.gateway.check()
        assert (caught.value.reason, caught.value.status) == ("auth_failed", 401)
        token.write_text(f"{place.sandbox.config.token}\n")
        await place.gateway.check()


async def test_a_secret_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path) -> None:
    auth = {"kind": "api_key", "key_id": "k", "secret_file": tmp_path / "missing"}
    async with opened(tmp_path, auth=auth) as place:
        with pytest.raises(TransientError, match=r"auth\.secret_file") as caught:
            await place.gateway.check()
        assert (caught.value.reason, caught.value.attempts) == ("auth_failed", 1)
        assert not place.world.journal


async def test_a_wrong_region_is_refused_by_the_cloud(tmp_path: Path) -> None:
    async with opened(tmp_path, region="elsewhere") as place:
        with pytest.raises(PermanentError) as caught:
            await place.gateway.check()
        assert (caught.value.reason, caught.value.status) == ("bad_request", 400)


async def test_no_secret_is_told_even_when_the_cloud_quotes_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        quoted = f"bad key {place.sandbox.config.key_id}:{place.sandbox.config.secret}"
        place.world.faults.append(Fault("list_uploads", status=401, body={"error": {"code": 401, "message": quoted}}))
        with pytest.raises(PermanentError) as caught:
            await place.gateway.check()
        assert place.sandbox.config.secret not in f"{caught.value}{caught.value!r}{caught.value.message}"


async def test_a_throttled_call_waits_as_long_as_it_is_told_and_is_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        fault = Fault("list_uploads", status=429, body={"error": {"code": 429}}, headers={"Retry-After": "0.05"})
        place.world.faults.append(fault)
        await place.gateway.check()
        assert len(place.world.journal) == 2


async def test_a_certificate_id_that_is_none_is_never_put_into_a_path(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        with pytest.raises(PermanentError) as caught:
            await place.gateway.observe(place.deployment(certificate_id="../v2/accounts"), None)
        assert caught.value.reason == "bad_request"
        assert not place.world.journal


async def test_when_what_a_listener_is_served_instead_ends_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as one:
        elsewhere, ending = issued(days_ago=80), issued(days_ago=85)
        one.world.bind_listener(one.world.add_upload(elsewhere, "elsewhere"), one.listener.name)
        one.world.add_upload(ending, "bound nowhere")
        assert await one.gateway.served_until([one.listener]) == leaf_of(elsewhere).not_after
        assert await one.gateway.served_until([Binding("listener", one.world.add_listener())]) is None
