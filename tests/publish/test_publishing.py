"""From renewed files to a confirmed message."""

import asyncio
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.publish.lineages import Inbox, material, renewed, settings
from tests.support.virtual_time import run_virtual
from worker.core.errors import RefusedError
from worker.core.message import parse
from worker.publishing import Published, Wish, publish
from worker.sandbox.ca import Authority
from worker.settings import Settings, SettingsError
from worker.spool import Spool, SpoolError


async def sent(wish: Wish, to: Inbox, by: Settings, now: datetime | None = None) -> Published:
    return await publish(wish, by, to, now or datetime.now(UTC))


async def test_a_renewal_reaches_the_broker_and_leaves_the_spool(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox()
    published = await sent(lineage.wish(), inbox, settings(tmp_path))
    assert published == Published("shop", inbox.ids[0], sent=(inbox.ids[0],))
    assert Spool(tmp_path / "spool").waiting() == []


async def test_the_message_is_the_event_that_the_worker_reads(tmp_path: Path) -> None:
    inbox, now = Inbox(), datetime.now(UTC)
    await sent(renewed(tmp_path).wish(reason="manual"), inbox, settings(tmp_path), now)
    (message,) = inbox.taken
    event = parse(message.body)
    assert (message.content_type, message.priority) == ("application/cloudevents+json", 0)
    assert (event.subject, event.data.certificate, event.data.reason) == ("shop", "shop", "manual")
    assert event.source.startswith("/rotation-worker/publish/")
    assert event.time == now.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_key_below_a_root_is_named_and_never_leaves_the_disk(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox()
    await sent(lineage.wish(), inbox, settings(tmp_path, roots=[tmp_path], plain=True))
    assert material(inbox.taken[0]) == {
        "kind": "file",
        "chain": "live/shop/fullchain.pem",
        "private_key": "live/shop/privkey.pem",
    }
    assert b"PRIVATE KEY" not in inbox.taken[0].body


async def test_of_two_roots_that_hold_alike_names_the_other_ones_files_are_not_named(tmp_path: Path) -> None:
    renewed(tmp_path / "first")
    lineage, inbox = renewed(tmp_path / "second"), Inbox()
    roots = [tmp_path / "first", tmp_path / "second"]
    await sent(lineage.wish(), inbox, settings(tmp_path, roots=roots, plain=True))
    assert material(inbox.taken[0])["kind"] == "plain"


async def test_a_root_that_is_a_symlink_is_a_root(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path / "letsencrypt"), Inbox()
    (tmp_path / "root").symlink_to(tmp_path / "letsencrypt")
    await sent(lineage.wish(), inbox, settings(tmp_path, roots=[tmp_path / "root"]))
    assert material(inbox.taken[0])["kind"] == "file"


async def test_a_key_travels_in_the_open_only_where_that_is_wanted(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox()
    await sent(lineage.wish(), inbox, settings(tmp_path))
    assert material(inbox.taken[0]) == {
        "kind": "plain",
        "chain_pem": lineage.issued.chain_pem,
        "private_key_pem": lineage.issued.private_key_pem,
    }


async def test_where_neither_way_is_open_the_settings_are_to_blame(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"publish\.recipient_key: missing"):
        await sent(renewed(tmp_path).wish(), Inbox(), settings(tmp_path, plain=False))
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(
    ("reason", "priority"), [("renewal", 0), ("manual", 0), ("key_compromise", 9), ("ca_incident", 9)]
)
async def test_what_is_urgent_goes_first_at_the_broker(tmp_path: Path, reason: str, priority: int) -> None:
    inbox = Inbox()
    await sent(renewed(tmp_path).wish(reason=reason, allow_shorter_validity=True), inbox, settings(tmp_path))
    assert inbox.taken[0].priority == priority
    assert parse(inbox.taken[0].body).data.allow_shorter_validity


@pytest.mark.parametrize("client_names", [("www.example.com",), ("www", "a.example.com", "www.example.com")])
async def test_the_clients_name_is_translated(tmp_path: Path, client_names: tuple[str, ...]) -> None:
    inbox = Inbox()
    names = {"www.example.com": "shop"}
    await sent(renewed(tmp_path).wish(*client_names), inbox, settings(tmp_path, names=names))
    assert inbox.certificates == ["shop"]


async def test_the_clients_own_name_is_asked_for_before_its_domains(tmp_path: Path) -> None:
    inbox = Inbox()
    names = {"a.example.com": "other", "www": "shop"}
    await sent(renewed(tmp_path).wish("www", "a.example.com"), inbox, settings(tmp_path, names=names))
    assert inbox.certificates == ["shop"]


async def test_a_name_that_can_be_no_certificates_needs_a_translation(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"publish\.names"):
        await sent(renewed(tmp_path).wish("*.example.com"), Inbox(), settings(tmp_path))


async def test_bad_files_are_refused_with_their_reason_and_nothing_is_written(tmp_path: Path) -> None:
    lineage, other, inbox = renewed(tmp_path / "a"), renewed(tmp_path / "b"), Inbox()
    over = datetime.now(UTC) - timedelta(days=1)
    expired = renewed(tmp_path / "c", not_before=over - timedelta(days=90), not_after=over)
    for wish, reason in [
        (lineage.wish(private_key=other.private_key), "key_mismatch"),
        (lineage.wish(chain=lineage.private_key, private_key=lineage.chain), "pem_label"),
        (lineage.wish(chain=tmp_path / "none"), "file_not_found"),
        (lineage.wish(chain=tmp_path), "file_not_regular"),
        (expired.wish(), "expired"),
    ]:
        with pytest.raises(RefusedError) as caught:
            await sent(wish, inbox, settings(tmp_path))
        assert caught.value.reason == reason
    assert inbox.taken == []
    assert not (tmp_path / "spool").exists()


async def test_a_key_that_the_worker_would_not_take_from_disk_is_refused_at_once(tmp_path: Path) -> None:
    lineage = renewed(tmp_path)
    lineage.private_key.chmod(0o644)
    with pytest.raises(RefusedError) as caught:
        await sent(lineage.wish(), Inbox(), settings(tmp_path, roots=[tmp_path]))
    assert caught.value.reason == "file_permissions"


async def test_what_only_the_worker_can_judge_is_left_to_it(tmp_path: Path) -> None:
    """Its roots, whether it takes test CAs, and what else its settings may allow."""
    extra, key = [x509.TLSFeature([x509.TLSFeatureType.status_request])], ec.generate_private_key(ec.SECP521R1())
    issued = Authority.create("Pebble").issue(["shop.example.com"], extra=extra, key=key)
    lineage, inbox = renewed(tmp_path), Inbox()
    lineage.chain.write_text(issued.chain_pem)
    lineage.private_key.write_text(issued.private_key_pem)
    await sent(lineage.wish(), inbox, settings(tmp_path))
    assert len(inbox.taken) == 1


async def test_without_a_broker_it_waits_and_the_next_call_sends_it_first(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=1)
    early = await sent(lineage.wish("first"), inbox, settings(tmp_path))
    assert (early.sent, early.waiting, early.problem) == ((), 1, "the broker cannot be reached")
    late = await sent(lineage.wish("second"), inbox, settings(tmp_path))
    assert inbox.certificates == ["first", "second"]
    assert (late.sent, late.waiting) == ((early.renewal_id, late.renewal_id), 0)


async def test_the_oldest_goes_first_and_the_first_failure_ends_the_call(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=3)
    for name in ("first", "second", "third"):
        published = await sent(lineage.wish(name), inbox, settings(tmp_path))
    assert published.waiting == 3
    await sent(lineage.wish("fourth"), inbox, settings(tmp_path))
    assert inbox.certificates == ["first", "second", "third", "fourth"]


async def test_what_the_broker_refuses_keeps_no_other_back_and_is_tried_again(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(refuses=frozenset({"first", "third"}))
    refused = [await sent(lineage.wish(name), inbox, settings(tmp_path)) for name in ("first", "second", "third")]
    assert inbox.certificates == ["second"]
    assert refused[1].problem == f"renewal {refused[0].renewal_id} is refused: no queue took the message"
    assert refused[2].refused == (refused[0].renewal_id, refused[2].renewal_id)
    assert refused[2].waiting == 2
    inbox.refuses = frozenset()
    last = await sent(lineage.wish("fourth"), inbox, settings(tmp_path))
    assert inbox.certificates == ["second", "first", "third", "fourth"]
    assert (last.refused, last.waiting, last.problem) == ((), 0, "")


async def test_a_broker_that_is_lost_behind_a_refusal_ends_the_call(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=9, refuses=frozenset({"first"}))
    for name in ("first", "second", "third"):
        published = await sent(lineage.wish(name), inbox, settings(tmp_path))
    assert inbox.losses == 7
    assert (published.sent, published.waiting, len(published.refused)) == ((), 3, 1)
    assert published.problem.endswith("is refused: no queue took the message; the broker cannot be reached")


async def test_a_lost_confirm_is_repeated_with_the_very_same_message(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=1, is_confirm_lost=True)
    published = await sent(lineage.wish("first"), inbox, settings(tmp_path))
    await sent(lineage.wish("second"), inbox, settings(tmp_path))
    assert inbox.ids[:2] == [published.renewal_id] * 2
    assert inbox.taken[0] == inbox.taken[1]


async def test_a_spooled_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    await sent(renewed(tmp_path).wish(), Inbox(losses=1), settings(tmp_path))
    (path,) = Spool(tmp_path / "spool").waiting()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_damaged_file_does_not_keep_the_others_back(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=1)
    await sent(lineage.wish("first"), inbox, settings(tmp_path))
    (path,) = Spool(tmp_path / "spool").waiting()
    path.write_bytes(path.read_bytes()[:100])
    published = await sent(lineage.wish("second"), inbox, settings(tmp_path))
    assert inbox.certificates == ["second"]
    assert [one.name for one in published.bad] == [f"{path.name}.bad"]


async def test_what_cannot_be_written_down_is_sent_at_once(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox()
    spool = lineage.chain / "spool"
    published = await sent(lineage.wish(), inbox, settings(tmp_path, spool=spool))
    assert inbox.ids == [published.renewal_id]
    assert published.waiting == 0
    assert "without having been written down" in published.problem


@pytest.mark.parametrize("is_confirm_lost", [True, False])
def test_what_cannot_be_written_down_and_is_lost_on_the_way_is_repeated_under_the_same_id(
    tmp_path: Path, is_confirm_lost: bool
) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=2, is_confirm_lost=is_confirm_lost)
    published = run_virtual(sent(lineage.wish(), inbox, settings(tmp_path, spool=lineage.chain / "spool")))
    assert inbox.ids == [published.renewal_id] * (3 if is_confirm_lost else 1)
    assert published.sent == (published.renewal_id,)


def test_what_can_neither_be_written_down_nor_sent_is_an_error(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(losses=100)
    with pytest.raises(SpoolError, match=r"neither be written down .* nor sent .*: repeat the call"):
        run_virtual(sent(lineage.wish(), inbox, settings(tmp_path, spool=lineage.chain / "spool")))
    assert inbox.losses == 96


def test_what_can_neither_be_written_down_nor_is_taken_is_told_at_once(tmp_path: Path) -> None:
    lineage, inbox = renewed(tmp_path), Inbox(refuses=frozenset({"shop"}))
    spool = lineage.chain / "spool"

    async def seconds() -> float:
        with pytest.raises(SpoolError, match="no queue took the message"):
            await sent(lineage.wish(), inbox, settings(tmp_path, spool=spool))
        return asyncio.get_running_loop().time()

    assert run_virtual(seconds()) == 0


async def test_a_mistake_in_the_settings_does_not_cost_the_renewal(tmp_path: Path) -> None:
    mistaken = settings(tmp_path, producer_key=tmp_path / "none.jwk")
    lineage, inbox = renewed(tmp_path), Inbox()
    published = await sent(lineage.wish("first"), inbox, mistaken)
    assert (published.sent, published.waiting) == ((), 1)
    assert published.mistakes == ("publish.producer_key: No such file or directory",)
    await sent(lineage.wish("second"), inbox, settings(tmp_path))
    assert inbox.certificates == ["first", "second"]


async def test_no_result_and_no_error_shows_the_key(tmp_path: Path) -> None:
    lineage = renewed(tmp_path)
    secret = lineage.issued.private_key_pem.splitlines()[1]
    published = await sent(lineage.wish(), Inbox(losses=1), settings(tmp_path))
    waiting = Spool(tmp_path / "spool").read(Spool(tmp_path / "spool").waiting()[0])
    for shown in (repr(published), repr(waiting), json.dumps(str(lineage.wish()))):
        assert secret not in shown
