"""A message that cannot be looked into yet waits in a queue, unless it may bring a key in the open."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import Message
from worker.core.secret import Secret
from worker.trust.keys import Signers, made, read_key
from worker.trust.sealing import seal
from worker.trust.signing import CONTENT_TYPE, Signing, sign


def plain(**attributes: Any) -> bytes:
    return json.dumps({**json.loads(renewal(AUTHORITY.issue(NAMES)).body), **attributes}).encode()


def sealed(**attributes: Any) -> bytes:
    one, event = AUTHORITY.issue(NAMES), json.loads(plain(**attributes))
    jwe = seal(Secret(one.private_key_pem), "shop", event["id"], ECKey.generate_key("P-256", private=True))
    event["data"]["material"] = {"kind": "sealed", "chain_pem": one.chain_pem, "private_key_jwe": jwe}
    return json.dumps(event).encode()


async def came_of(body: bytes, folder: Path, why: str, *, allowed: bool = False) -> Inbox:
    """A signed message that is ahead of this worker's clock, or whose producer's key cannot be read now."""
    private, public = made(folder, "acme", signs=True)
    key = read_key(private, is_private=True, signs=True)
    at = datetime.now(UTC) + (timedelta(hours=1) if why == "ahead" else timedelta())
    if why == "unreadable":
        public.unlink()
    signed = sign(body, Signing("acme", key, "rotation-worker", 7200), at)
    return await settled(message(signed, content_type=CONTENT_TYPE), Signers.at({"acme": public}), allowed=allowed)


async def settled(sent: Message, signers: Signers, *, allowed: bool) -> Inbox:
    inbox = Inbox(sent, asyncio.Event())
    usual = consumer_of(inbox, FakeGateway(stored(), {}))
    trust = replace(usual.attempts.intake.trust, allow_plain_keys=allowed, signers=signers)
    await changed(usual, intake=replace(usual.attempts.intake, trust=trust)).run()
    return inbox


@pytest.mark.parametrize("why", ["ahead", "unreadable"])
@pytest.mark.parametrize("make", [plain, lambda: sealed(note=AUTHORITY.issue(NAMES).private_key_pem)])
async def test_what_cannot_be_looked_into_yet_is_not_parked_with_a_key_in_the_open(
    make: Callable[[], bytes], why: str, tmp_path: Path
) -> None:
    inbox = await came_of(make(), tmp_path, why)
    assert inbox.log == ["event", "bury plain_key_refused of shop withheld"]
    told: Any = inbox.events[0]["data"]
    assert (told["reason"], "exposed" in told["message"]) == ("plain_key_refused", True)


@pytest.mark.parametrize("why", ["ahead", "unreadable"])
async def test_what_is_sealed_waits_until_it_can_be_looked_into(why: str, tmp_path: Path) -> None:
    assert (await came_of(sealed(), tmp_path, why)).log == ["park 30 as 2"]


async def test_where_plain_keys_are_allowed_they_wait_too(tmp_path: Path) -> None:
    assert (await came_of(plain(), tmp_path, "ahead", allowed=True)).log == ["park 30 as 2"]
