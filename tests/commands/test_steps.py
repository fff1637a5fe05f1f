"""A plan as it is printed: step by step, with what is proven when, and short however long it is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.values import bound as bound_as
from tests.support.values import bundle, certificate, day, deployment, domain, leaf, observed, stored
from worker.commands.plan import lines_of
from worker.commands.steps import Proofs, described_steps
from worker.core.calls import Calls
from worker.core.deployment import Deployment
from worker.core.errors import TransientError
from worker.core.planning import Plan, Superseded
from worker.core.proof import Served, unverified
from worker.core.strategies import plan
from worker.core.waiting import Step
from worker.gateways.huawei_apig.planned import planned
from worker.proving import Proving
from worker.verification.looking import Probe
from worker.verification.places import Places, probes_of

MANY = 10_000
PROJECT = "p1"


def moving(size: int, **overrides: Any) -> tuple[Deployment, Plan]:
    """All of them bound to an old certificate of the deployment's own name."""
    bindings = tuple(domain(f"d{number}.example.com") for number in range(size))
    blue = stored(name="shop", not_before=day(1))
    target = deployment(
        **{"strategy": "blue_green", "certificate_id": None, "name": "shop", "bindings": bindings, **overrides}
    )
    seen = observed(stored=blue, bound=tuple(bound_as(one, stored=blue) for one in bindings))
    todo = plan(target, seen, leaf(names=("*.example.com",)))
    assert isinstance(todo, Plan)
    return target, todo


def asked(served: Served) -> list[tuple[str, str]]:
    """What is asked of it, told by how much of it there is."""
    whole = [("shop.example.com:443", "shop.example.com")] if served.is_whole else []
    return [("10.0.0.7:443", f"{len(served.bindings)} of them"), *whole]


def proofs(*targets: Deployment, steps: list[Step]) -> Proofs:
    return Proofs(Proving(unverified, certificate(*targets), bundle(), steps), asked)


def _names(step: Mapping[str, Any]) -> list[list[str]]:
    return [[one["server_name"] for one in step["endpoints"]]] if "endpoints" in step else []


def told(target: Deployment, todo: Plan, of: Proofs) -> list[tuple[object, ...]]:
    steps = described_steps(todo, planned(PROJECT, 20, target, todo), of)
    return [(one["step"], one["wave"], *_names(one)) for one in steps]


def test_each_wave_is_proven_before_the_next_and_the_old_goes_at_the_end() -> None:
    target, todo = moving(30)
    assert told(target, todo, proofs(target, steps=[todo])) == [
        ("replace", None),
        ("attach", 1), ("read_back", 1), ("verify", 1, ["1 of them"]),
        ("attach", 2), ("read_back", 2), ("verify", 2, ["3 of them"]),
        ("attach", 3), ("read_back", 3), ("verify", 3, ["30 of them", "shop.example.com"]),
        ("retire", None),
    ]  # fmt: skip


def test_what_belongs_to_no_deployment_alone_is_proven_once_all_have_moved_and_before_anything_goes() -> None:
    target, todo = moving(2)
    other = deployment(gateway="other", bindings=())
    for attach, number in (([domain("elsewhere.example.com")], 1), (todo.attach, 4)):
        steps = told(target, todo, proofs(target, other, steps=[todo, Plan(todo.replacement, attach, ())]))
        ends = [("verify", None, [f"{number} of them", "shop.example.com"]), ("retire", None)]
        assert steps[-2:] == ends, "what both deployments have is proven of both, and only then"


@pytest.mark.parametrize("is_broken", [True, False])
def test_nothing_as_a_whole_is_proven_where_another_deployment_cannot_be_rotated(*, is_broken: bool) -> None:
    target, todo = moving(2)
    newer: Step = Superseded(stored(name="newer"))
    broken: Step = TransientError("gateway_unavailable", "gone")
    of = proofs(target, deployment(), steps=[todo, broken if is_broken else newer])
    assert ("verify", None) not in {one[:2] for one in told(target, todo, of)}
    assert of.may_retire(todo) is not is_broken


@pytest.mark.parametrize("strategy", ["blue_green", "per_domain"])
def test_a_plan_of_ten_thousand_domains_can_be_read(strategy: Any) -> None:
    target, todo = moving(MANY)
    if strategy == "per_domain":
        each = tuple(replace(one, domain_id=one.name, group_id="g1", instance_id="i1") for one in todo.attach)
        target = replace(target, strategy=strategy, bindings=each)
        todo = replace(todo, attach=each, waves=())
    calls = planned(PROJECT, 20, target, todo)
    assert isinstance(calls, Calls)
    elsewhere = {"serial_number": None, "not_after": None}
    described = {
        "gateway": "apig",
        "strategy": strategy,
        "does": "rotates",
        "attach": [one.name for one in todo.attach],
        "waves": list(todo.waves),
        "steps": described_steps(todo, calls, proofs(target, steps=[todo])),
        "calls": len(calls),
        "seconds": 600.0,
        "stored": None,
        "bound": [{"name": one.name, "to": {"certificate_id": one.name, **elsewhere}} for one in todo.attach],
    }
    lines = list(lines_of(described))
    assert len(lines) < 40
    assert max(map(len, lines)) < 160
    assert "    verify: TLS handshakes with 10.0.0.7:443 as 1 of them" in lines or strategy == "per_domain"
    assert "  attach: d0.example.com, d1.example.com, d2.example.com, … (10,000)" in lines
    assert any("450 x attach_domains: POST" in line or "10,000 x add_certificate: POST" in line for line in lines)


def test_what_waves_prove_is_not_told_again_as_what_belongs_to_no_binding() -> None:
    target, todo = moving(2)
    other = deployment(gateway="other", bindings=())
    places = Places(endpoints=(Probe("d0.example.com", 443, "d0.example.com"),))

    def endpoints(served: Served) -> list[tuple[str, str]]:
        return [(probe.endpoint, probe.server_name) for probe in probes_of(places, served)]

    steps = [todo, Plan(todo.replacement, (), ())]
    of = Proofs(Proving(unverified, certificate(target, other), bundle(), steps), endpoints)
    assert of.of_wave(todo, 1) == [("d0.example.com:443", "d0.example.com")]
    assert of.of_all() == []
