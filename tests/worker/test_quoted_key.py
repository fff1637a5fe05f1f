"""A renewal's own key in its id, which all who hear events are told: it is refused, and the id told to nobody."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from tests.fleet.told import model_of
from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from tests.worker.test_told_before import Remembering
from worker.admission import Admission
from worker.core.renewal import InFiles
from worker.effort import Effort
from worker.sandbox.ca import Issued
from worker.tracing.exporting import exporting

KEY: Final = ec.generate_private_key(ec.SECP256R1())
D: Final = KEY.private_numbers().private_value.to_bytes(32).hex()
DIGEST: Final = sha256(b"a build").hexdigest()
SHOP: Final = InFiles("chain.pem", "key.pem")


CURVE: Final = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
"""As openssl's ecparam writes it in front of the key."""


def issued() -> Issued:
    return AUTHORITY.issue(NAMES, key=KEY)


def told_as(renewal_id: str, **overrides: Any) -> bytes:
    """Of files: the message itself has no key in it."""
    material = {"kind": "file", "chain": SHOP.chain, "private_key": SHOP.private_key}
    return json.dumps({**json.loads(renewal(issued(), material=material, **overrides).body), "id": renewal_id}).encode()


async def came_of(
    body: bytes,
    folder: Path,
    *,
    user_id: str = "acme",
    events: Sequence[Mapping[str, Any]] = (),
    redeliveries: int = 0,
    **parts: Any,
) -> tuple[Inbox, list[Any]]:
    """`parts`: of the consumer's attempts."""
    one = issued()
    (folder / SHOP.chain).write_text(one.chain_pem)
    (folder / SHOP.private_key).touch(mode=0o600)
    (folder / SHOP.private_key).write_text(CURVE + one.private_key_pem)
    sent = message(body, user_id=user_id, redeliveries=redeliveries)
    inbox = Remembering(sent, asyncio.Event(), events=list(events))
    usual = consumer_of(inbox, FakeGateway(stored(), {NAMES[0]: False}))
    trust = replace(usual.attempts.intake.trust, allow_plain_keys=False)
    with capture_logs() as log:
        await changed(usual, intake=replace(usual.attempts.intake, trust=trust, roots=(folder,)), **parts).run()
    return inbox, log


QUOTED: Final = {
    "whole": D,
    "its half": D[:32],
    "in a word": f"build-{D[20:52]}",
    "in decimal": f"order-{int(D, 16)}"[:46],
}


OTHER: Final = ec.generate_private_key(ec.SECP384R1()).private_numbers().private_value.to_bytes(48)
OTHER_PEM: Final = (
    ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
)
OTHERS: Final = {"in hex": OTHER.hex(), "in base64": urlsafe_b64encode(OTHER).decode()}
"""No renewal's own key."""


@pytest.mark.parametrize("how", QUOTED)
async def test_an_id_in_which_the_renewals_own_key_stands_is_refused_and_told_nowhere(how: str, tmp_path: Path) -> None:
    quoted = QUOTED[how]
    inbox, log = await came_of(told_as(quoted), tmp_path)
    [event] = inbox.events
    data: Any = event["data"]
    assert (data["reason"], data["renewal_id"], "causationid" in event) == ("plain_key_refused", None, False)
    assert inbox.log == ["event", "bury plain_key_refused of shop withheld"]
    assert quoted not in repr((event, log))


@pytest.mark.parametrize("how", QUOTED)
async def test_neither_is_it_told_nor_its_body_kept_when_only_the_settlement_is_left(how: str, tmp_path: Path) -> None:
    """The process died between the event and the broker's answer: the message comes again, and is known as told."""
    body = told_as(QUOTED[how])
    before, _log = await came_of(body, tmp_path)
    inbox, log = await came_of(body, tmp_path, events=before.events, redeliveries=1)
    assert (inbox.log, inbox.buried_as) == (["bury plain_key_refused of shop withheld"], None)
    assert QUOTED[how] not in repr(log)


async def traced(renewal_id: str, folder: Path, **sent: Any) -> tuple[Inbox, list[object]]:
    """And the renewal's id, or None, of every span."""
    inbox, _log, spans = await traced_and_logged(told_as(renewal_id), folder, **sent)
    return inbox, spans


async def traced_and_logged(body: bytes, folder: Path, **sent: Any) -> tuple[Inbox, list[Any], list[object]]:
    exporter = InMemorySpanExporter()
    tracing = exporting(exporter)
    inbox, log = await came_of(body, folder, tracing=tracing, **sent)
    tracing.close()
    return inbox, log, [(one.attributes or {}).get("rotation.renewal_id") for one in exporter.get_finished_spans()]


@pytest.mark.parametrize("how", QUOTED)
async def test_neither_does_a_trace_tell_it_in_the_first_life_or_the_second(how: str, tmp_path: Path) -> None:
    before, spans = await traced(QUOTED[how], tmp_path)
    _inbox, again = await traced(QUOTED[how], tmp_path, events=before.events, redeliveries=1)
    assert (spans, again) == ([None], [None])


@pytest.mark.parametrize("how", QUOTED)
async def test_neither_is_it_told_in_the_second_life_where_another_key_stands_in_the_open_beside_it(
    how: str, tmp_path: Path
) -> None:
    body = json.dumps({**json.loads(told_as(QUOTED[how])), "note": OTHER_PEM}).encode()
    before, _log, spans = await traced_and_logged(body, tmp_path)
    again, log, spans_again = await traced_and_logged(body, tmp_path, events=before.events, redeliveries=1)
    assert (before.buried_as, again.buried_as, spans, spans_again) == (None, None, [None], [None])
    assert (again.log, again.is_exposed) == (["bury plain_key_refused of shop withheld"], True)
    assert QUOTED[how] not in repr(log)


@pytest.mark.parametrize("producer", ["acme", "mallory"])
async def test_a_trace_tells_the_id_that_the_event_tells(producer: str, tmp_path: Path) -> None:
    before, spans = await traced(DIGEST, tmp_path, user_id=producer)
    _inbox, again = await traced(DIGEST, tmp_path, user_id=producer, events=before.events, redeliveries=1)
    assert (spans, again) == ([DIGEST], [DIGEST])


@pytest.mark.parametrize("how", OTHERS)
async def test_a_trace_does_not_tell_an_id_that_may_be_another_key_though_it_was_compared(
    how: str, tmp_path: Path
) -> None:
    inbox, spans = await traced(OTHERS[how], tmp_path)
    data: Any = inbox.events[0]["data"]
    assert (data["outcome"], data["renewal_id"], spans) == ("succeeded", None, [None])


async def test_no_page_shows_the_id_of_what_waits_for_a_place_before_its_key_was_read(tmp_path: Path) -> None:
    model, admission = model_of(), Admission(1)
    async with asyncio.TaskGroup() as tasks, admission.place(Effort(), frozenset()):
        tasks.create_task(came_of(told_as(D), tmp_path, onlooker=model, admission=admission))
        while "shop" not in model.progress:
            await asyncio.sleep(0)
        [running] = (await model.fleet()).running
        assert running.renewal_id is None


@pytest.mark.parametrize("producer", ["acme", "mallory"])
async def test_an_id_that_looks_like_a_digest_is_told_and_what_it_names_can_be_replayed(
    producer: str, tmp_path: Path
) -> None:
    inbox, _log = await came_of(told_as(DIGEST), tmp_path, user_id=producer)
    assert inbox.events[0]["causationid"] == DIGEST
    assert inbox.log[-1] == ("ack" if producer == "acme" else "bury unauthorized_producer of shop kept")
