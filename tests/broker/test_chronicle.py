"""What is told while the chronicle is read is in it once, and in its order; what is read is not kept for ever."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.broker.test_contract_past import placed, put
from tests.support.virtual_time import run_virtual
from worker.broker.base import BrokerError
from worker.broker.chronicle import _MOST, Chronicle, Entry, entry_in


@dataclass
class Slow:
    """A history that is read as it was when reading began; `failures` times it cannot be."""

    entries: list[Entry] = field(default_factory=list)
    failures: int = 0
    reads: int = 0
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Sequence[Entry]:
        entries = tuple(self.entries)
        self.reads += 1
        self.reading.set()
        await self.may_end.wait()
        self.failures -= 1
        if self.failures >= 0:
            raise BrokerError("away")
        return entries


async def test_what_is_told_while_it_is_read_comes_after_what_is_read() -> None:
    slow = Slow([("shop", placed("aa"))])
    chronicle = Chronicle(slow)
    chronicle.learn(put("00"))
    asking = [asyncio.create_task(chronicle.of("shop")) for _ in range(3)]
    await slow.reading.wait()
    for one in (put("bb"), put("aa")):
        chronicle.learn(one)
    slow.may_end.set()
    assert await asyncio.gather(*asking) == [(placed("bb"), placed("aa"))] * 3
    chronicle.learn(put("cc"))
    assert (await chronicle.of("shop"), slow.reads) == ((placed("bb"), placed("aa"), placed("cc")), 1)


def test_what_could_not_be_read_is_not_asked_for_by_each_who_waits_but_later() -> None:
    async def scenario() -> None:
        slow = Slow([("shop", placed("aa"))], failures=2)
        slow.may_end.set()
        chronicle = Chronicle(slow)
        for seconds in (0.0, 29.0, 2.0):
            await asyncio.sleep(seconds)
            refusals = await asyncio.gather(*(chronicle.of("shop") for _ in range(3)), return_exceptions=True)
            assert [(type(one), str(one)) for one in refusals] == [(BrokerError, "away")] * 3
        assert slow.reads == 2
        chronicle.forget()
        assert await chronicle.of("shop") == (placed("aa"),)

    run_virtual(scenario())


async def test_another_turn_begins_with_another_look() -> None:
    slow = Slow([("shop", placed("aa"))])
    slow.may_end.set()
    chronicle = Chronicle(slow)
    await chronicle.of("shop")
    slow.entries.append(("shop", placed("bb")))
    chronicle.forget()
    assert await chronicle.of("shop") == (placed("aa"), placed("bb"))


async def test_of_one_certificate_no_more_than_so_much_is_kept_and_what_comes_again_takes_no_place() -> None:
    slow = Slow([("shop", placed("aa"))])
    slow.may_end.set()
    chronicle = Chronicle(slow)
    for _ in range(_MOST):
        chronicle.learn(put("bb"))
    await chronicle.of("shop")
    for _ in range(2 * _MOST):
        chronicle.learn(put("bb"))
    assert await chronicle.of("shop") == (placed("aa"), placed("bb"))
    slow.entries += [("shop", replace(placed("cc"), renewal_id=f"r{number}")) for number in range(_MOST)]
    chronicle.forget()
    assert len(await chronicle.of("shop")) == _MOST


def test_what_tells_no_certificate_is_nobodys() -> None:
    assert entry_in(put("aa") | {"subject": None}) is None
    assert entry_in(put("aa") | {"subject": []}) is None
