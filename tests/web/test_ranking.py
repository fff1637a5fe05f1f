"""Which certificates come first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fleet.told import NOW, Outside, event, model_of, told_deployment
from tests.support.fleets import sample_fleet
from tests.support.turns import counted
from tests.support.values import certificate as settings_entry
from tests.support.values import deployment
from worker.fleet.grouping import GROUPS, Group
from worker.fleet.model import FleetModel
from worker.fleet.standing import CertificateStanding, DeploymentStanding, State
from worker.web.query import PageQuery
from worker.web.ranking import Ranked, Ranking, find, graded


def certificate(state: State, days: float | None) -> CertificateStanding:
    begins = NOW - timedelta(days=90 - (days or 0))
    ends = None if days is None else NOW + timedelta(days=days)
    place = DeploymentStanding("a/1", "a", "in_place", not_before=begins, not_after=ends)
    return CertificateStanding("shop", [place], state=state)


@pytest.mark.parametrize(
    ("state", "days", "group"),
    [
        ("served", 60, "well"),
        ("served", 20, "expiring"),
        ("served", -1, "expiring"),
        ("served", None, "well"),
        ("unknown", None, "unknown"),
        ("unknown", 3, "expiring"),
        ("parked", 60, "parked"),
        ("parked", 20, "parked"),
        ("parked", 3, "expiring"),
        ("rotating", -1, "rotating"),
        ("failed", 60, "failed"),
        ("dead", -1, "dead"),
    ],
)
def test_a_certificates_group_is_what_an_operator_wants_to_know_first(
    state: State, days: float | None, group: Group
) -> None:
    assert graded(certificate(state, days), NOW).group == group


async def test_what_has_not_changed_is_not_worked_out_again_and_time_that_passes_is() -> None:
    outside = Outside()
    model, ranking = fleet_of(outside), Ranking()

    async def ranked(seconds: float = 0) -> Ranked:
        outside.now = NOW + timedelta(seconds=seconds)
        fleet = await model.fleet()
        return await ranking.ranked(fleet.certificates, fleet.at)

    first = await ranked()
    assert [one.group for one in first.order] == ["well"] * 3
    assert await ranked(20) is first, "whatever was asked for, and whoever asks"
    model.recall(event("r2", "failed", certificate="b"))
    second = await ranked(20)
    worst = second.order[0]
    assert (worst.standing.name, worst.group) == ("b", "dead")
    assert [one for one in second.order if all(one is not other for other in first.order)] == [worst]
    assert (second.sizes["dead"], second.sizes["well"], set(second.names)) == (1, 2, {"a", "b", "c"})
    later = await ranked(90 * 86400)
    assert [one.level for one in later.order] == ["expired"] * 3


async def test_certificates_that_are_gone_leave_the_order() -> None:
    model, ranking = fleet_of(Outside()), Ranking()
    fleet = await model.fleet()
    await ranking.ranked(fleet.certificates, fleet.at)
    model.keep_to({name: one for name, one in model.certificates.items() if name != "b"})
    fleet = await model.fleet()
    ranked = await ranking.ranked(fleet.certificates, fleet.at)
    assert ([one.standing.name for one in ranked.order], set(ranked.names)) == (["a", "c"], {"a", "c"})


async def test_others_have_their_turns_while_ten_thousand_certificates_are_ranked_and_searched() -> None:
    fleet = sample_fleet(10_000)
    async with counted() as turns:
        ranked = await Ranking().ranked(fleet.certificates, fleet.at)
        while_ranked = turns.had
        found = await find(ranked, PageQuery("shop-0999"))
    assert (while_ranked >= 40, turns.had - while_ranked >= 40) == (True, True)
    assert {one.standing.name for one in found.shown} == {f"shop-0999{number}" for number in range(10)}


async def test_a_group_stands_together_and_is_the_whole_of_it() -> None:
    fleet = sample_fleet(500)
    ranked = await Ranking().ranked(fleet.certificates, fleet.at)
    for group in GROUPS:
        found = await find(ranked, PageQuery(group=group))
        wanted = [one for one in ranked.order if one.group == group]
        assert (found.number, list(found.shown)) == (len(wanted), wanted[:50])


def fleet_of(outside: Outside) -> FleetModel:
    """Three certificates."""
    model = model_of(outside, **{name: replace(settings_entry(deployment()), name=name) for name in "abc"})
    for name in "abc":
        model.recall(event(f"r-{name}", "succeeded", NOW - timedelta(days=2), told_deployment(), certificate=name))
    return model
