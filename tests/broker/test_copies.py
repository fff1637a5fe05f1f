"""What is copied, and believed of what was copied, without a broker. What a real one makes of it: `test_rabbitmq`."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from worker.broker.base import BrokerError, BrokerLostError, Message
from worker.broker.copies import again, dead_letter, id_among, opened, redeliveries
from worker.broker.rabbitmq import RabbitDelivery
from worker.core.message import LONGEST_BODY

WORKER = "worker"


@dataclass(frozen=True)
class Incoming:
    """Of a message that comes from RabbitMQ, what is read."""

    headers: Mapping[str, Any] = field(default_factory=dict)
    user_id: str | None = "acme"
    redelivered: bool = False
    body: bytes = b"{}"
    content_type: str | None = "application/cloudevents+json"
    message_id: str | None = "m1"
    priority: int | None = None
    content_encoding: str | None = None
    timestamp: datetime | None = None
    log: list[str] = field(default_factory=list)

    async def ack(self) -> None:
        self.log.append("ack")


def read(**fields: Any) -> Message:
    incoming: Any = Incoming(**fields)
    return opened(incoming, WORKER)


def count(**fields: Any) -> int:
    incoming: Any = Incoming(**fields)
    return redeliveries(incoming)


OURS = {"x-rotation-attempt": 7, "x-rotation-producer": "acme-1"}


def test_the_workers_headers_count_only_where_the_worker_itself_has_published() -> None:
    forged, ours = read(headers=OURS, user_id="mallory"), read(headers=OURS, user_id=WORKER)
    assert (forged.attempt, forged.user_id) == (1, "mallory")
    assert (ours.attempt, ours.user_id) == (7, "acme-1")


def test_when_a_renewal_was_opened_is_believed_of_the_worker_only() -> None:
    headers = {**OURS, "x-rotation-opened-at": "2026-11-20T18:00:00+00:00"}
    assert read(headers=headers, user_id="mallory").opened_at is None
    ours = read(headers=headers, user_id=WORKER)
    assert ours.opened_at == datetime(2026, 11, 20, 18, tzinfo=UTC)
    assert again(ours, attempt=7).headers == headers
    for odd in ("soon", 5, None):
        assert read(headers={**headers, "x-rotation-opened-at": odd}, user_id=WORKER).opened_at is None


@pytest.mark.parametrize("attempt", [0, -1, "7", None, 2.5])
def test_what_is_no_attempt_is_a_first_one(attempt: object) -> None:
    assert read(headers={"x-rotation-attempt": attempt}, user_id=WORKER).attempt == 1


@pytest.mark.parametrize("producer", ["", None, 5])
def test_a_copy_of_what_nobody_vouched_for_is_nobodys(producer: object) -> None:
    assert read(headers={"x-rotation-producer": producer}, user_id=WORKER).user_id is None


def test_a_copy_says_whose_it_is_and_brings_no_header_along() -> None:
    came = read(headers={**OURS, "x-death": [{"reason": "expired"}], "x-delivery-count": 3}, user_id="mallory")
    copy = again(came, attempt=4)
    assert copy.headers == {"x-rotation-attempt": 4, "x-rotation-producer": "mallory"}
    assert again(read(user_id=None)).headers == {"x-rotation-attempt": 1, "x-rotation-producer": ""}


def test_a_first_delivery_has_no_count_whatever_its_header_says() -> None:
    assert count(headers={"x-delivery-count": 19}) == 0
    assert count(headers={"x-delivery-count": 19}, redelivered=True) == 19
    assert count(headers={"x-delivery-count": "19"}, redelivered=True) == 0


KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
QUOTED = f"build-{KEY.private_numbers().private_value.to_bytes(32).hex()[20:52]}"
PLAIN = {"kind": "plain", "chain_pem": "", "private_key_pem": PEM}
DOCUMENT = {"id": "a build", "data": {"certificate": "shop", "material": PLAIN}}
BODIES = {
    "plain": json.dumps(DOCUMENT).encode(),
    "signed": b".".join(urlsafe_b64encode(part) for part in (b"{}", json.dumps(DOCUMENT).encode(), b"?")),
    "no message": PEM.encode(),
    "too large to be compared": b" " * LONGEST_BODY + b"{}",
}


def names_of(letter: Any) -> tuple[str | None, str | None, str]:
    """By which it can be put back, of the message id and what `dead list` says; and that."""
    told = dead_letter(letter, WORKER).id
    return id_among(letter, [letter.message_id]), id_among(letter, [told]), told


@pytest.mark.parametrize("how", BODIES)
def test_a_dead_letter_is_not_named_by_a_message_id_that_quotes_the_key_that_comes_with_it(how: str) -> None:
    digest = sha256(BODIES[how]).hexdigest()[:32]
    assert names_of(Incoming(body=BODIES[how], message_id=QUOTED)) == (None, digest, digest)


@pytest.mark.parametrize("body", [*list(BODIES.values())[:3], b"{}", b"", b"news"])
def test_a_dead_letter_is_named_by_a_message_id_that_quotes_nothing(body: bytes) -> None:
    name = "7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f"
    assert names_of(Incoming(body=body, message_id=name)) == (name, name, name)


def test_a_dead_letter_is_not_named_by_a_piece_of_a_key_whose_others_stand_in_the_message() -> None:
    """Of another key, of which nothing more is known."""
    number = urlsafe_b64encode(bytes(range(100, 164))).decode()
    pieces = number[:30], number[30:60], number[60:]
    body = json.dumps({**DOCUMENT, "one": pieces[0], "other": pieces[1]}).encode()
    assert names_of(Incoming(body=body, message_id=pieces[2]))[2] == sha256(body).hexdigest()[:32]
    assert names_of(Incoming(body=BODIES["plain"], message_id=pieces[2]))[2] == pieces[2]


@dataclass
class Exchange:
    """Takes copies, or does not; and a session with it, which may be lost."""

    log: list[str]
    refuses: bool = False
    is_lost: bool = False
    parking_seconds = (30.0, 120.0)
    timeout = 5.0
    settled = 0

    async def copy(self, routing_key: str, _copy: object) -> None:
        self.log.append(f"copy to {routing_key}")
        if self.refuses:
            raise BrokerError("no queue took the message")

    def check(self) -> None:
        if self.is_lost:
            raise BrokerLostError("the connection was closed")

    async def fence(self) -> None:
        self.log.append("fence")


def delivery(**fields: bool) -> tuple[RabbitDelivery, list[str]]:
    log: list[str] = []
    exchange: Any = Exchange(log, **fields)
    incoming: Any = Incoming(log=log)
    return RabbitDelivery(exchange, exchange, incoming, opened(incoming, WORKER)), log


async def test_what_is_moved_is_acked_only_once_its_copy_is_confirmed() -> None:
    one, log = delivery()
    await one.park(31, attempt=2)
    assert log == ["fence", "copy to 120", "ack"]
    one, log = delivery(refuses=True)
    with pytest.raises(BrokerError):
        await one.bury("forbidden", certificate=None, renewal_id=None, keep_body=True)
    assert log == ["fence", "copy to dead"]


async def test_what_is_delivered_elsewhere_by_now_is_not_copied() -> None:
    one, log = delivery(is_lost=True)
    with pytest.raises(BrokerLostError):
        await one.park(0, attempt=2)
    with pytest.raises(BrokerLostError):
        await one.ack()
    assert log == []
