"""The list of all certificates of an account: one for all rotations of ten minutes, a new one where it alone tells."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.test_apig_elsewhere import A, B, moved, reads, told
from tests.support.apig_shop import shop
from tests.support.virtual_time import run_virtual
from worker.gateways.huawei_apig.listing import Listing
from worker.gateways.huawei_apig.wire import Certificate


def stored(key: str, *names: str) -> Certificate:
    return Certificate.model_validate({"id": key, "name": key, "san": list(names)})


@dataclass
class Account:
    certificates: Sequence[Certificate]
    lists: int = 0

    async def listed(self) -> Sequence[Certificate]:
        self.lists += 1
        return self.certificates


def test_it_is_read_again_after_ten_minutes() -> None:
    account: Any = Account([stored("c1", "a.example.com")])

    async def scenario() -> None:
        listing = Listing(account)
        for seconds, lists in ((0, 1), (599, 1), (1, 2), (599, 2)):
            await asyncio.sleep(seconds)
            assert [one.id for one in await listing.of_late({"a.example.com"})] == ["c1"]
            assert account.lists == lists
        await listing.now({"a.example.com"})
        await listing.of_late({"a.example.com"})
        assert account.lists == 4, "what a list of now has seen is not overlooked by an older one"

    run_virtual(scenario())


@pytest.mark.parametrize("how", [Listing.now, Listing.of_late])
async def test_what_tells_no_names_may_serve_any(how: Any) -> None:
    account: Any = Account(
        [stored("c1", "A.example.com", "b.example.com"), stored("c2"), stored("c3", "*.example.com")]
    )
    found = {one.id: one for one in await how(Listing(account), {"a.example.com", "b.example.com"})}
    assert sorted(found) == ["c1", "c2"]
    assert found["c1"].names == {"a.example.com", "b.example.com"}
    assert [found[one].may_serve({"c.example.com"}) for one in ("c1", "c2")] == [False, True]
    assert {one.id for one in await how(Listing(account), {"*.example.com"})} == {"c2", "c3"}


async def test_rotations_of_what_is_bound_share_one_list(tmp_path: Path) -> None:
    async with shop(tmp_path) as one:
        for _ in range(3):
            await one.observe(bindings=(A, B))
        assert reads(one) == (1, 3)


async def test_what_is_bound_nowhere_is_looked_for_by_a_new_list(tmp_path: Path) -> None:
    """Somebody may have stored what it is bound to just now."""
    async with shop(tmp_path) as one:
        await one.observe(bindings=(A, B))
        moved(one, (0, 0))
        assert told(await one.observe(bindings=(A, B)))[0] == ("a.example.com", one.instances[0], False, True)
        assert reads(one)[0] == 2
