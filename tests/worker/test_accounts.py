"""An account keeps its limits, whatever its gateway is called and however often the settings are read."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.limits.sending import keeps_to, together
from tests.settings.files import APIG, BYCLOUD, loaded
from tests.support.virtual_time import run_virtual
from worker.accounts import Accounts
from worker.generations import Generation, Generations, first_of, next_of
from worker.limits import Limits, Window
from worker.settings.gateways import HuaweiApig
from worker.telemetry import Metrics

LEARNED = Window(5, 60)
OTHER = APIG.replace("apig-main", "apig-two").replace('"p1"', '"p2"')
TWIN = APIG.replace("apig-main", "apig-two")
LOCAL = APIG.replace("https://apig.example.com", "http://127.0.0.1")
READINGS: dict[str, tuple[Sequence[str], str]] = {
    "out and in again": ((APIG, BYCLOUD, APIG), "apig-main"),
    "out and in by another name": ((APIG, BYCLOUD, TWIN), "apig-two"),
    "names are swapped": ((APIG + OTHER, APIG.replace('"p1"', '"p2"') + TWIN), "apig-two"),
    "a slash at its end": ((APIG, APIG.replace("example.com", "example.com/")), "apig-main"),
    "a path, and a slash": ((APIG.replace(".com", ".com/v"), APIG.replace(".com", ".com/v/")), "apig-main"),
    "letter case of its scheme": ((APIG, APIG.replace("https:", "HTTPS:")), "apig-main"),
    "letter case of its host": ((APIG, APIG.replace("apig.example", "APIG.Example")), "apig-main"),
    "its port": ((APIG, APIG.replace("example.com", "example.com:443")), "apig-main"),
    "its port without TLS": ((LOCAL, LOCAL.replace("127.0.0.1", "127.0.0.1:80")), "apig-main"),
}
OTHERS = {
    "letter case of its path": (APIG.replace(".com", ".com/v"), APIG.replace(".com", ".com/V")),
    "another port": (APIG, APIG.replace("example.com", "example.com:80")),
    "without TLS": (LOCAL, LOCAL.replace("http:", "https:")),
    "another project": (APIG, APIG.replace('"p1"', '"p2"')),
}
LONG = APIG.replace("auth", "limits = [{calls = 5, seconds = 86400}]\nauth")
AWAY = {
    "under an hour": (APIG, 3599.0, 0.0, True),
    "over an hour": (APIG, 3601.0, 0.0, False),
    "a window of a day": (LONG, 86_399.0, 0.0, True),
    "over a day": (LONG, 86_401.0, 0.0, False),
    "a hold of two hours": (APIG, 7199.0, 7200.0, True),
    "over two hours": (APIG, 7201.0, 7200.0, False),
}


def begun(folder: Path, text: str) -> Generations:
    return Generations(first_of(loaded(folder, text), Metrics()))


def turned(generations: Generations, folder: Path, text: str) -> Generation:
    """Another reading; what was in force before it."""
    old = generations.today
    generations.turn_to(next_of(old, loaded(folder, text), Metrics()))
    return old


def limits(generations: Generations, name: str = "apig-main") -> Limits:
    return generations.today.gateways[name].limits


@pytest.mark.parametrize("what", READINGS)
def test_an_account_is_never_asked_more_often_than_it_allows_whoever_asks_it_now(tmp_path: Path, what: str) -> None:
    texts, name = READINGS[what]

    async def readings() -> None:
        generations = begun(tmp_path, texts[0])
        before = limits(generations)
        before.learn(LEARNED)
        for text in texts[1:]:
            turned(generations, tmp_path, text)
        after = limits(generations, name)
        assert LEARNED in after.windows
        sent = await asyncio.gather(together(before, 5), together(after, 5))
        assert keeps_to(LEARNED, sorted([*sent[0], *sent[1]]))

    run_virtual(readings())


@pytest.mark.parametrize("what", OTHERS)
async def test_another_account_has_limits_of_its_own(tmp_path: Path, what: str) -> None:
    before, after = OTHERS[what]
    generations = begun(tmp_path, before)
    known = limits(generations)
    turned(generations, tmp_path, after)
    assert limits(generations) is not known


@pytest.mark.parametrize("what", AWAY)
def test_limits_are_kept_while_something_of_them_may_count(tmp_path: Path, what: str) -> None:
    text, seconds, hold, are_kept = AWAY[what]

    async def readings() -> None:
        generations = begun(tmp_path, text)
        known = limits(generations)
        known.hold(hold)
        await generations.let_go(turned(generations, tmp_path, BYCLOUD))
        await asyncio.sleep(seconds)
        turned(generations, tmp_path, text)
        assert (limits(generations) is known) is are_kept

    run_virtual(readings())


def test_limits_are_kept_for_as_long_as_a_rotation_is_under_way_and_an_hour(tmp_path: Path) -> None:
    async def readings() -> None:
        generations = begun(tmp_path, APIG)
        known = limits(generations)
        with generations.today.in_use():
            letting_go = asyncio.create_task(generations.let_go(turned(generations, tmp_path, BYCLOUD)))
            await asyncio.sleep(7200)
        await letting_go
        await asyncio.sleep(3599)
        turned(generations, tmp_path, APIG)
        assert limits(generations) is known

    run_virtual(readings())


def test_limits_that_are_used_again_are_not_forgotten_later(tmp_path: Path) -> None:
    async def readings() -> None:
        generations = begun(tmp_path, APIG)
        known = limits(generations)
        for text in (BYCLOUD, APIG):
            await generations.let_go(turned(generations, tmp_path, text))
        await asyncio.sleep(7200)
        turned(generations, tmp_path, TWIN)
        assert limits(generations, "apig-two") is known

    run_virtual(readings())


async def test_gateways_of_one_account_have_their_own_each_and_know_them_by_name(tmp_path: Path) -> None:
    generations = begun(tmp_path, APIG + TWIN)
    first, second = limits(generations), limits(generations, "apig-two")
    assert first is not second
    turned(generations, tmp_path, TWIN)
    turned(generations, tmp_path, APIG + TWIN.replace("apig-two", "apig-three"))
    assert (limits(generations), limits(generations, "apig-three")) == (first, second)


async def test_of_very_many_accounts_that_nobody_uses_the_first_is_forgotten(tmp_path: Path) -> None:
    [settings] = loaded(tmp_path, APIG).gateways.values()
    assert isinstance(settings, HuaweiApig)
    accounts, own = Accounts(), [settings.model_copy(update={"project_id": str(number)}) for number in range(1001)]
    for one in own:
        known = Limits([LEARNED], 1)
        accounts.use("apig", one, known)
        accounts.leave(known)
    assert [bool(accounts.limits_for({"apig": one})) for one in (own[0], own[1], own[-1])] == [False, True, True]
