"""What another reading of the settings makes anew, what it keeps, and when the rest is closed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.settings.files import APIG, BYCLOUD, VAULT, certificate, in_place, loaded, written
from worker.building import chance
from worker.generations import Generation, Generations, first_of, next_of
from worker.limits import Window
from worker.settings import Settings
from worker.telemetry import Metrics

SHOP = certificate(in_place())
TOKEN = 'auth = {kind = "token", token_file = "token"}'
SIGNED = 'auth = {kind = "ak_sk", access_key = "k", secret_key_file = "sk"}'
CHANGES: dict[str, tuple[Callable[[str], str], str, bool, bool]] = {
    "nothing": (lambda text: text, "apig-main", True, True),
    "its limits": (
        lambda text: text.replace(TOKEN, f"limits = [{{calls = 3, seconds = 1}}]\nconcurrency = 2\n{TOKEN}"),
        "apig-main",
        True,
        True,
    ),
    "its credentials": (lambda text: text.replace(TOKEN, SIGNED), "apig-main", False, True),
    "its deadline": (lambda text: f"[retry]\ndeadline_seconds = 7\n{text}", "apig-main", False, True),
    "its name": (lambda text: text.replace("apig-main", "apig-new"), "apig-new", False, True),
    "its endpoint": (lambda text: text.replace("apig.example.com", "b.example.com"), "apig-main", False, False),
    "its project": (lambda text: text.replace('"p1"', '"p2"'), "apig-main", False, False),
}


def test_what_moves_next_is_drawn_by_chance_whenever_settings_are_read(tmp_path: Path) -> None:
    before = first_of(settings := loaded(tmp_path, APIG + SHOP), Metrics())
    assert [one.rotator.chance for one in (before, next_of(before, settings, Metrics()))] == [chance, chance]


@pytest.mark.parametrize("what", CHANGES)
def test_a_gateway_stays_as_far_as_it_can_and_its_limits_as_long_as_the_account_is_the_same(
    tmp_path: Path, what: str
) -> None:
    change, name, is_same_gateway, are_same_limits = CHANGES[what]
    before = first_of(loaded(tmp_path, APIG + SHOP), Metrics())
    after = next_of(before, loaded(tmp_path, change(APIG + SHOP)), Metrics())
    old, new = before.gateways["apig-main"], after.gateways[name]
    assert (new.gateway is old.gateway, new.limits is old.limits) == (is_same_gateway, are_same_limits)
    assert after.rotator.gateways[name] is new.gateway
    assert after.rotator.forecast is before.rotator.forecast
    assert after.rotator._snapshots is before.rotator._snapshots


def test_a_ca_file_that_is_another_one_is_read_again(tmp_path: Path) -> None:
    text = APIG.replace(TOKEN, f'ca_file = "ca.pem"\n{TOKEN}')
    written(tmp_path, "CA", "ca.pem")
    before = first_of(loaded(tmp_path, text), Metrics())
    assert next_of(before, before.settings, Metrics()).gateways["apig-main"].gateway is _gateway(before)
    written(tmp_path, "another CA", "ca.pem")
    assert next_of(before, before.settings, Metrics()).gateways["apig-main"].gateway is not _gateway(before)


def _gateway(generation: Generation) -> object:
    return generation.gateways["apig-main"].gateway


def test_vault_stays_until_its_settings_are_others(tmp_path: Path) -> None:
    text = VAULT.replace("AUTH", '{kind = "token", token_file = "t"}')
    before = first_of(loaded(tmp_path, text), Metrics())
    same = next_of(before, loaded(tmp_path, text + APIG), Metrics())
    other = next_of(same, loaded(tmp_path, text.replace("8200", "8201")), Metrics())
    assert before.vault is not None
    assert same.vault is before.vault
    assert same.intake.vault is before.vault.vault
    assert other.vault is not before.vault
    assert next_of(other, loaded(tmp_path, APIG), Metrics()).intake.vault is None


async def test_limits_change_when_it_is_turned_to_and_not_before(tmp_path: Path) -> None:
    generations = Generations(first_of(loaded(tmp_path, APIG), Metrics()))
    limits = generations.today.gateways["apig-main"].limits
    limits.learn(Window(7, 1))
    changed = APIG.replace(TOKEN, f"limits = [{{calls = 3, seconds = 1}}]\n{TOKEN}")
    after = next_of(generations.today, loaded(tmp_path, changed), Metrics())
    assert Window(7, 1) in limits.windows
    generations.turn_to(after)
    assert set(limits.windows) == {Window(3, 1)}
    generations.turn_to(next_of(after, loaded(tmp_path, changed + BYCLOUD), Metrics()))
    assert set(limits.windows) == {Window(3, 1)}


def watched(settings: Settings, closed: list[str], before: Generation | None = None) -> Generation:
    """Its gateways note when they are closed."""
    generation = first_of(settings, Metrics()) if before is None else next_of(before, settings, Metrics())
    for name, one in generation.gateways.items():

        async def close(name: str = name) -> None:
            closed.append(name)

        one.gateway.close = close  # type: ignore[method-assign]
    return generation


async def test_what_is_used_no_more_is_closed_with_the_last_rotation_that_began_with_it(tmp_path: Path) -> None:
    closed: list[str] = []
    both, one = loaded(tmp_path, APIG + BYCLOUD), loaded(tmp_path, APIG)
    first = watched(both, closed)
    generations = Generations(first)
    with first.in_use():
        second = watched(loaded(tmp_path, APIG + BYCLOUD + SHOP), closed, first)
        generations.turn_to(second)
        third = watched(one, closed, second)
        generations.turn_to(third)
        await generations.let_go(second)
        letting_go = asyncio.create_task(generations.let_go(first))
        await asyncio.sleep(0)
        assert closed == [], "the first still has it in use"
    await letting_go
    assert closed == ["bycloud-sp"]
    await generations.close()
    assert closed == ["bycloud-sp", "apig-main"]


async def test_at_the_end_everything_is_closed_once(tmp_path: Path) -> None:
    closed: list[str] = []
    generations = Generations(watched(loaded(tmp_path, APIG + BYCLOUD), closed))
    with generations.today.in_use():
        generations.turn_to(watched(loaded(tmp_path, APIG), closed, generations.today))
        await generations.close()
    assert sorted(closed) == ["apig-main", "bycloud-sp"]
