"""Whatever a message is refused for: where it held a key in the open, it is told that the key is exposed."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.support.calls import counted
from tests.support.clouds import message, renewal
from tests.support.consumers import changed
from tests.support.fake_gateway import FakeGateway
from tests.support.values import stored
from tests.worker.test_consumer import AUTHORITY, NAMES, Inbox, consumer_of
from worker.broker.base import EXPOSED, Message
from worker.trust.exposure import holds_open_key

ISSUED: Final = AUTHORITY.issue(NAMES)
SEALED: Final = {"kind": "sealed", "chain_pem": ISSUED.chain_pem, "private_key_jwe": ISSUED.private_key_pem}


async def settled(sent: Message, *, allowed: bool = False) -> Inbox:
    inbox = Inbox(sent, asyncio.Event())
    usual = consumer_of(inbox, FakeGateway(stored(), {}))
    trust = replace(usual.attempts.intake.trust, allow_plain_keys=allowed)
    await changed(usual, intake=replace(usual.attempts.intake, trust=trust)).run()
    return inbox


def told(inbox: Inbox) -> Mapping[str, Any]:
    data: Mapping[str, Any] = inbox.events[0]["data"]
    return data


REFUSED: Final = {
    "unknown_certificate": renewal(ISSUED, "nobody"),
    "unauthorized_producer": replace(renewal(ISSUED), user_id="mallory"),
    "cannot_decrypt": renewal(ISSUED, material=SEALED),
    "malformed": message(ISSUED.private_key_pem.encode()),
    "too_large": message(renewal(ISSUED).body + b" " * 300_000),
    "delivery_limit": replace(renewal(ISSUED), is_last_delivery=True),
}


@pytest.mark.parametrize("reason", REFUSED)
async def test_whatever_it_was_refused_for_a_key_in_the_open_is_told_as_exposed(reason: str) -> None:
    inbox = await settled(REFUSED[reason])
    assert told(inbox)["reason"] == reason
    assert told(inbox)["message"].startswith(f"{EXPOSED}; ")
    assert inbox.is_exposed
    assert inbox.log[-1].endswith("withheld")


async def test_what_was_wrong_otherwise_is_told_too() -> None:
    assert told(await settled(REFUSED["unknown_certificate"]))["message"].endswith("no certificate of that name")


async def test_a_message_is_searched_for_keys_once() -> None:
    """All of it is read, and it may be long."""
    with counted() as calls:
        await settled(message(b"garbage " * 60_000))
    assert calls[holds_open_key.__code__] == 1


async def test_of_a_refused_plain_key_it_is_told_once() -> None:
    inbox = await settled(renewal(ISSUED))
    assert (told(inbox)["reason"], told(inbox)["message"].count("exposed"), inbox.is_exposed) == (
        "plain_key_refused",
        1,
        True,
    )


@pytest.mark.parametrize("body", [b"garbage", json.dumps({"kid": "a" * 64}).encode()])
async def test_of_what_holds_no_key_none_is_told(body: bytes) -> None:
    inbox = await settled(message(body))
    assert (told(inbox)["reason"], "exposed" in told(inbox)["message"], inbox.is_exposed) == ("malformed", False, False)
    assert inbox.log[-1].endswith("withheld"), "it is not kept all the same"


async def test_where_keys_may_come_in_the_open_nothing_is_told_of_it() -> None:
    inbox = await settled(REFUSED["unknown_certificate"], allowed=True)
    assert ("exposed" in told(inbox)["message"], inbox.is_exposed) == (False, False)
