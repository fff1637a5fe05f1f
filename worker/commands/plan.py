"""`rotation-worker plan`: what a rotation would do, by reading only."""

import argparse
import asyncio
from collections.abc import Sequence
from typing import assert_never

from worker.app import certificates_of, intake_of, rotator_of
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import add_material, certificate_named, read_material
from worker.commands.output import print_json, remaining, shown
from worker.commands.refusals import in_json
from worker.core.bundle import Leaf
from worker.core.deployment import Binding, Deployment
from worker.core.errors import RotationError
from worker.core.planning import Create, Keep, Modify, Plan, Replacement, Superseded, UploadEach
from worker.gateways.base import Gateway
from worker.rotation import Step
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", help="its name in the settings")
    add_material(parser, is_required=False)


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    try:
        with in_json(args):
            settings = settings_of(args)
            certificate_named(settings, args.certificate)
            described = asyncio.run(_plan(settings, args))
    except RotationError as error:
        if not args.json:
            print(shown(f"refused: {error.reason}: {error.message}"))
        return FAILED
    if args.json:
        print_json(described)
    else:
        print("\n".join(shown(line) for one in described for line in _lines(one)))
    return OK


async def _plan(settings: Settings, args: argparse.Namespace) -> Sequence[dict[str, object]]:
    leaf = await _leaf(settings, args)
    certificate = certificates_of(settings)[args.certificate]
    async with rotator_of(settings, Metrics()) as rotator:
        steps = await rotator.plans(certificate, leaf)
        return [
            _described(rotator.gateways[deployment.gateway], deployment, step)
            for deployment, step in zip(certificate.deployments, steps, strict=True)
        ]


async def _leaf(settings: Settings, args: argparse.Namespace) -> Leaf | None:
    """Of the files named, else of the certificate's lineage; None where the platform holds it."""
    material = read_material(settings, args)
    return None if material is None else (await intake_of(settings).checked(*material)).leaf


def _described(gateway: Gateway, deployment: Deployment, step: Step) -> dict[str, object]:
    head: dict[str, object] = {"gateway": deployment.gateway, "strategy": deployment.strategy}
    match step:
        case RotationError() as error:
            return {**head, "does": "fails", "reason": error.reason, "message": error.message}
        case Superseded(stored):
            return {**head, "does": "nothing: superseded", "certificate_id": stored.certificate_id}
        case Plan():
            calls = gateway.calls_for(deployment, step)
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
            return f"create {name}"
        case UploadEach():
            return "upload to each domain"
        case _:
            assert_never(how)


def _name(binding: Binding) -> str:
    return binding.name if binding.instance_id is None else f"{binding.name} on {binding.instance_id}"


def _lines(described: dict[str, object]) -> Sequence[str]:
    head = f"{described['gateway']} ({described['strategy']}): {described['does']}"
    if described["does"] == "fails":
        return [f"{head}: {described['reason']}: {described['message']}"]
    details = []
    for step in ("replacement", "attach", "retire"):
        value = described.get(step)
        if value:
            details.append(f"  {step}: {', '.join(value) if isinstance(value, list) else value}")
    if calls := described.get("calls"):
        details.append(f"  costs: {calls} calls, {remaining(float(str(described['seconds'])))}")
    return [head, *details]
