"""`rotation-worker plan`: what a rotation would do, by reading only."""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from typing import assert_never

from worker.app import certificates_of, intake_of, rotator_of, utc_now
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import Material, add_material, certificate_named, material_of_lineage, named_material
from worker.commands.output import print_json, remaining, shown
from worker.commands.refusals import in_json
from worker.commands.supposing import described_stored, is_supposed, supposed
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.errors import RotationError
from worker.core.events import rfc3339
from worker.core.planning import Create, Keep, Modify, Observed, Plan, Replacement, Superseded, UploadEach
from worker.core.uploads import base_name
from worker.core.waiting import Step, held_back
from worker.gateways.base import Gateway
from worker.rotation import Rotator
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs

Described = dict[str, object]
"""A step as it is printed."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", help="its name in the settings")
    add_material(parser, is_required=False)


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        certificate_named(settings, args.certificate)
        named = named_material(args)
    try:
        with in_json(args):
            material = named or material_of_lineage(settings, args.certificate)
            described = asyncio.run(_plan(settings, args.certificate, material))
    except RotationError as error:
        if not args.json:
            print(shown(f"refused: {error.reason}: {error.message}"))
        return FAILED
    if args.json:
        print_json(described)
    else:
        print("\n".join(shown(line) for one in described for line in _lines(one)))
    return OK


async def _plan(settings: Settings, name: str, material: Material | None) -> Sequence[Described]:
    certificate = certificates_of(settings)[name]
    bundle = None if material is None else await intake_of(settings).checked(*material)
    async with rotator_of(settings, Metrics()) as rotator:
        if bundle is None:
            return await _without_leaf(rotator, certificate)
        steps = await rotator.plans(certificate, bundle.leaf)
        warned = {"warnings": list(bundle.warnings)} if bundle.warnings else {}
        waits = _waiting(certificate, steps)
        return [
            {**_described(rotator.gateways[deployment.gateway], deployment, step), **warned, **waits}
            for deployment, step in zip(certificate.deployments, steps, strict=True)
        ]


async def _without_leaf(rotator: Rotator, certificate: Certificate) -> Sequence[Described]:
    """What is stored and bound, and what a renewed certificate would cause."""
    found = await supposed(rotator.gateways, certificate, utc_now())
    waits = _waiting(certificate, [one.step for one in found])
    return [
        {
            **_described(rotator.gateways[deployment.gateway], deployment, one.step),
            **waits,
            "is_supposed": deployment.strategy != "rebind",
            **({} if one.observed is None else _as_it_is(one.observed)),
        }
        for deployment, one in zip(certificate.deployments, found, strict=True)
    ]


def _waiting(certificate: Certificate, steps: Sequence[Step]) -> Described:
    """For what an ordinary renewal would wait: its window, and its share of the spread, which depends on its id.

    Empty where it would run at once.
    """
    now, schedule = utc_now(), certificate.schedule
    first, last = (held_back(schedule.wait(share, now, now), steps, schedule, now) for share in (0, 1))
    until: Described = {} if first is None else {"waits_until": rfc3339(first.until)}
    return until if last is None or last == first else {**until, "begins_by": rfc3339(last.until)}


def _as_it_is(observed: Observed) -> Described:
    return {
        "stored": described_stored(observed.stored),
        "bound": [{"name": _name(one.binding), "to": described_stored(one.stored)} for one in observed.bound],
    }


def _described(gateway: Gateway, deployment: Deployment, step: Step) -> Described:
    head: Described = {"gateway": deployment.gateway, "strategy": deployment.strategy}
    match step:
        case RotationError() as error:
            return {**head, "does": "fails", "reason": error.reason, "message": error.message}
        case Superseded(stored):
            return {**head, "does": "nothing: superseded", "certificate_id": stored.certificate_id}
        case Plan():
            calls = len(gateway.calls(deployment, step))
            return {
                **head,
                "does": "nothing: already current" if step.is_nothing else "rotates",
                "replacement": _replacement(step.replacement),
                "attach": [_name(binding) for binding in step.attach],
                "unchanged": [_name(binding) for binding in step.unchanged],
                "retire": [stored.certificate_id for stored in step.retire],
                "calls": calls,
                "seconds": round(gateway.account.seconds_for(calls), 1),
            }
        case _:
            assert_never(step)


def _replacement(how: Replacement) -> str:
    match how:
        case Keep(stored):
            return f"keep {stored.certificate_id}"
        case Modify(stored):
            return f"modify {stored.certificate_id}"
        case Create(name):
            return f"create {base_name(name) if is_supposed(name) else name}"
        case UploadEach():
            return "upload to each domain"
        case _:
            assert_never(how)


def _name(binding: Binding) -> str:
    return binding.name if binding.instance_id is None else f"{binding.name} on {binding.instance_id}"


def _lines(described: Described) -> Iterator[str]:
    head = f"{described['gateway']} ({described['strategy']}): "
    head += "supposing a renewed certificate: " if described.get("is_supposed") else ""
    if described["does"] == "fails":
        yield f"{head}fails: {described['reason']}: {described['message']}"
    else:
        yield f"{head}{described['does']}"
    yield from _lines_of_what_is(described)
    for step in ("warnings", "replacement", "attach", "retire"):
        value = described.get(step)
        if value:
            yield f"  {step}: {', '.join(value) if isinstance(value, list) else value}"
    if until := described.get("waits_until"):
        yield f"  waits until {until}, when its window opens"
    if latest := described.get("begins_by"):
        yield f"  begins by {latest}: it is spread"
    if calls := described.get("calls"):
        yield f"  costs: {calls} calls, {remaining(float(str(described['seconds'])))}"


def _lines_of_what_is(described: Described) -> Iterator[str]:
    """What is bound to something else than what is stored has a line of its own."""
    stored, bound = described.get("stored"), described.get("bound")
    if not isinstance(bound, list):
        return
    yield f"  stored now: {_told(stored)}"
    if same := [one["name"] for one in bound if stored and one["to"] == stored]:
        yield f"  bound to it: {', '.join(same)}"
    for one in bound:
        if one["name"] not in same:
            yield f"  {one['name']}: bound to {_told(one['to'])}"


def _told(stored: object) -> str:
    if not isinstance(stored, dict):
        return "nothing of this deployment's"
    serial = f", serial {stored['serial_number']}" if stored["serial_number"] else ""
    return f"{stored['certificate_id']}{serial}, expires {stored['not_after'] or 'unknown'}"
