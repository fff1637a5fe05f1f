"""A certificate that was issued again with the same end, at a gateway that tells no more than when things end."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.clouds import renewal
from tests.support.consumers import changed
from tests.support.gateways import AUTHORITY, bycloud
from tests.worker.test_consumer import NAMES, Inbox, consumer_of
from worker.broker.base import Message
from worker.consumer import Consumer
from worker.core.deployment import Binding, Certificate, Deployment
from worker.rotation import Rotator
from worker.sandbox import Sandbox, SandboxConfig
from worker.sandbox.ca import Issued
from worker.sandbox.world import Fault

NOW = datetime.now(UTC).replace(microsecond=0)
END = NOW + timedelta(days=60)


def issued(*more: str, days_ago: int) -> Issued:
    return AUTHORITY.issue([*NAMES, *more], not_before=NOW - timedelta(days=days_ago), not_after=END)


@dataclass(frozen=True, slots=True)
class Place:
    """One certificate at ByCloud, bound to one of its two listeners, and a worker that renews it."""

    sandbox: Sandbox
    rotator: Rotator
    target: Certificate

    @property
    def stored(self) -> Any:
        return next(iter(self.sandbox.world.uploads.values()))

    @property
    def puts(self) -> int:
        return len(self.sandbox.world.calls("modify_upload"))

    async def came(self, sent: Message) -> Mapping[str, Any]:
        """The outcome of one delivery; `parked` where it has none yet."""
        inbox = Inbox(sent, asyncio.Event())
        usual: Consumer = consumer_of(inbox, None)  # type: ignore[arg-type] # replaced right here
        await changed(usual, rotator=self.rotator, certificates={"shop": self.target}).run()
        if not inbox.events:
            return {"outcome": "parked"}
        data: Any = inbox.events[0]["data"]
        return dict(data)


@asynccontextmanager
async def placed(folder: Path, there: Issued, *, written: timedelta) -> AsyncIterator[Place]:
    """`written`: how long ago what is there was put there."""
    async with Sandbox(SandboxConfig(has_put=True)) as sandbox, bycloud(sandbox, folder) as gateway:
        at = datetime.now(UTC) - written
        one = sandbox.world.add_upload(there, "shop", updated_at=at)
        listeners = [sandbox.world.add_listener() for _ in range(2)]
        sandbox.world.bind_listener(one, listeners[0])
        target = Deployment("bycloud", "in_place", one, None, tuple(Binding("listener", name) for name in listeners))
        rotator = Rotator({"bycloud": gateway}, settle_seconds={"bycloud": 0})
        yield Place(sandbox, rotator, Certificate("shop", (target,)))


async def test_what_was_issued_after_the_stored_one_was_written_takes_its_place_though_they_end_alike(
    tmp_path: Path,
) -> None:
    old, new = issued(days_ago=30), issued(days_ago=1)
    async with placed(tmp_path, old, written=timedelta(days=29)) as place:
        came = await place.came(renewal(new))
        assert (came["outcome"], came["reason"]) == ("succeeded", "rotated")
        assert place.stored.leaf.serial_number == new.serial_number
        assert (await place.came(renewal(new)))["reason"] == "already_current"
        assert place.puts == 1


async def test_what_was_issued_again_with_one_name_more_takes_its_place_though_nobody_has_told_what_is_there(
    tmp_path: Path,
) -> None:
    async with placed(tmp_path, issued(days_ago=30), written=timedelta(hours=1)) as place:
        sent = renewal(issued("more.example.com", days_ago=30))
        assert [(await place.came(sent))["reason"] for _ in range(2)] == ["rotated", "already_current"]
        assert place.puts == 1


@pytest.mark.parametrize("time", ["now", None, "2999-01-01T00:00:00Z"])
async def test_after_a_compromise_what_only_ends_alike_is_written_over_once(tmp_path: Path, time: str | None) -> None:
    """Also where the CA has kept the beginning, so that nothing tells the two apart; and over several attempts."""
    old, new = issued(days_ago=30), issued(days_ago=30)
    async with placed(tmp_path, old, written=timedelta(hours=1)) as place:
        event = json.loads(renewal(new, reason="key_compromise").body)
        if time != "now":
            event = {name: value for name, value in event.items() if name != "time"} | ({"time": time} if time else {})
        sent = replace(renewal(new), body=json.dumps(event).encode())
        place.sandbox.world.faults.append(Fault("create_binding", status=503, times=99))
        assert (await place.came(sent))["outcome"] == "parked"
        assert place.stored.leaf.serial_number == new.serial_number
        place.sandbox.world.faults.clear()
        assert (await place.came(replace(sent, redeliveries=1)))["outcome"] == "succeeded"
        assert (place.puts, place.stored.leaf.serial_number) == (1, new.serial_number)


async def test_a_first_attempt_in_vain_does_not_make_the_old_key_pass_for_the_new_one(tmp_path: Path) -> None:
    old, new = issued(days_ago=30), issued(days_ago=30)
    async with placed(tmp_path, old, written=timedelta(hours=1)) as place:
        sent = renewal(new, reason="key_compromise")
        place.sandbox.world.faults.append(Fault("modify_upload", status=503, times=20))
        assert (await place.came(sent))["outcome"] == "parked"
        assert place.stored.leaf.serial_number == old.serial_number
        place.sandbox.world.faults.clear()
        assert (await place.came(replace(sent, redeliveries=1)))["reason"] == "rotated"
        assert place.stored.leaf.serial_number == new.serial_number
