"""`rotation-worker plan`: what a rotation would do, by reading only."""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from worker.building import certificates_of, intake_of
from worker.commands.exits import FAILED, OK
from worker.commands.loading import log_level, settings_of
from worker.commands.material import Material, add_material, certificate_named, material_of_lineage, named_material
from worker.commands.next_steps import next_step
from worker.commands.output import print_json, remaining, shown
from worker.commands.refusals import in_json, say_next
from worker.commands.remembered import Remembered, remembered
from worker.commands.steps import Asked, Described, Proofs, described_steps, few, lines_of_steps, name_of
from worker.commands.supposing import described_stored, is_supposed, supposed
from worker.core.bundle import Bundle
from worker.core.deployment import Certificate, Deployment
from worker.core.errors import RotationError
from worker.core.events import rfc3339
from worker.core.planning import Create, Keep, Modify, Observed, Plan, Replacement, Superseded, UploadEach
from worker.core.uploads import base_name
from worker.core.waiting import Step, held_back
from worker.effort import Effort, spending
from worker.gateways.base import Gateway
from worker.generations import rotator_of
from worker.proving import Proving
from worker.rotation import Rotator
from worker.settings import Settings
from worker.telemetry import Metrics, configure_logs
from worker.verification import Probing
from worker.wall_clock import utc_now

_MOST_LINES: Final = 10


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("certificate", help="its name in the settings")
    add_material(parser, is_required=False)
    parser.epilog = "example: rotation-worker plan shop --chain fullchain.pem --key privkey.pem"


def execute(args: argparse.Namespace) -> int:
    configure_logs(log_level(args))
    with in_json(args):
        settings = settings_of(args)
        certificate_named(settings, args.certificate)
        named = named_material(args)
    try:
        with in_json(args):
            material = named or material_of_lineage(settings, args.certificate)
            with spending(effort := Effort()):
                described = asyncio.run(_plan(settings, args.certificate, material, is_own=named is None))
    except RotationError as error:
        if not args.json:
            print(shown(f"refused: {error.reason}: {error.message}"))
        say_next(next_step(error))
        return FAILED
    if args.json:
        print_json(described)
    else:
        print("\n".join(shown(line) for one in described for line in lines_of(one)))
        print(f"costs besides: the {effort.calls} calls that have just read all this; a rotation makes them first")
    _say_next_where_one_fails(described)
    return OK


def _say_next_where_one_fails(described: Sequence[Described]) -> None:
    """By what fails first. It was planned as well as can be: that is no failure of this command."""
    for one in described:
        if one["does"] == "fails":
            say_next(str(one["next"]))
            return


async def _plan(settings: Settings, name: str, material: Material | None, *, is_own: bool) -> Sequence[Described]:
    """`is_own`: what lies on disk, as the sweep would bring it."""
    certificate = certificates_of(settings)[name]
    bundle = None if material is None else await intake_of(settings).checked(*material)
    asked = Probing.of(settings, utc_now).asked
    async with rotator_of(settings, Metrics()) as rotator:
        if bundle is None:
            return await _without_leaf(rotator, certificate, asked)
        known = await remembered(settings, name, bundle.leaf)
        is_told = rotator.tells_beginnings(certificate)
        objection = known.objection(name, bundle.leaf, tells_beginnings=is_told, is_own=is_own)
        if objection is not None:
            return [
                {**_head(one), "does": "nothing: superseded", "reason": objection} for one in certificate.deployments
            ]
        return await _with_leaf(rotator, certificate, bundle, known, asked)


async def _with_leaf(
    rotator: Rotator, certificate: Certificate, bundle: Bundle, known: Remembered, asked: Asked
) -> Sequence[Described]:
    rotator.recall(bundle.leaf, known.notes)
    steps = await rotator.plans(certificate, bundle.leaf, past=known.past)
    proofs = Proofs(Proving(rotator.verify, certificate, bundle, steps), asked)
    beside = {**_beside(bundle, known), **_waiting(certificate, steps)}
    return [
        {**_described(rotator.gateways[deployment.gateway], deployment, step, proofs), **beside}
        for deployment, step in zip(certificate.deployments, steps, strict=True)
    ]


def _beside(bundle: Bundle, known: Remembered) -> Described:
    """Of the certificate as a whole, where there is any of it."""
    told: Described = {
        "warnings": list(bundle.warnings),
        "was_rolled_back": known.was_rolled_back(bundle.leaf),
        "history_unread": known.unread,
    }
    return {name: value for name, value in told.items() if value}


async def _without_leaf(rotator: Rotator, certificate: Certificate, asked: Asked) -> Sequence[Described]:
    """What is stored and bound, and what a renewed certificate would cause."""
    found = await supposed(rotator.gateways, certificate, utc_now(), rotator.claimed)
    steps = await rotator.arranged(certificate, [one.step for one in found])
    proofs = Proofs(Proving(rotator.verify, certificate, None, steps), asked)
    waits = _waiting(certificate, steps)
    return [
        {
            **_described(rotator.gateways[deployment.gateway], deployment, step, proofs),
            **waits,
            "is_supposed": deployment.strategy != "rebind",
            **({} if one.observed is None else _as_it_is(one.observed)),
        }
        for deployment, one, step in zip(certificate.deployments, found, steps, strict=True)
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
        "bound": [{"name": name_of(one.binding), "to": described_stored(one.stored)} for one in observed.bound],
    }


def _head(deployment: Deployment) -> Described:
    return {"gateway": deployment.gateway, "strategy": deployment.strategy}


def _described(gateway: Gateway, deployment: Deployment, step: Step, proofs: Proofs) -> Described:
    head = _head(deployment)
    match step:
        case RotationError() as error:
            told = {"reason": error.reason, "message": error.message, "next": next_step(error)}
            return {**head, "does": "fails", **told}
        case Superseded(stored):
            return {**head, "does": "nothing: superseded", "certificate_id": stored.certificate_id}
        case Plan() if step.bad:
            why = step.bad[0].failure
            return {**head, "does": "goes back", "reason": why.reason, "message": why.message}
        case Plan():
            may_retire = proofs.may_retire(step)
            calls = [one for one in gateway.calls(deployment, step) if may_retire or one.step != "retire"]
            return {
                **head,
                "does": "nothing: already current" if step.is_nothing else "rotates",
                "replacement": _replacement(step.replacement),
                "attach": [name_of(binding) for binding in step.attach],
                "unchanged": [name_of(binding) for binding in step.unchanged],
                **_left_alone(step),
                "retire": [stored.certificate_id for stored in step.retire if may_retire],
                "waves": list(step.waves),
                **({} if step.is_canary_asked is None else {"is_canary_asked": step.is_canary_asked}),
                "steps": described_steps(step, calls, proofs),
                "calls": len(calls),
                "seconds": round(gateway.account.seconds_for(len(calls)), 1),
            }
        case _:
            assert_never(step)


def _left_alone(step: Plan) -> Described:
    left = () if step.seen is None else step.seen.left_alone
    return {"left_alone": [name_of(binding) for binding in left]} if left else {}


def _replacement(how: Replacement) -> str:
    match how:
        case Keep(stored):
            return f"keep {stored.certificate_id}"
        case Modify(stored):
            return f"modify {stored.certificate_id}"
        case Create(name):
            return f"create {base_name(base_name(name), '_') if is_supposed(name) else name}"
        case UploadEach():
            return "upload to each domain"
        case _:
            assert_never(how)


def lines_of(described: Described) -> Iterator[str]:
    head = f"{described['gateway']} ({described['strategy']}): "
    head += "supposing a renewed certificate: " if described.get("is_supposed") else ""
    yield ": ".join(
        [f"{head}{described['does']}", *(str(described[it]) for it in ("reason", "message") if it in described)]
    )
    yield from _lines_of_what_is(described)
    for fact in ("warnings", "replacement", "attach", "left_alone", "retire"):
        value = described.get(fact)
        if value:
            told = ", ".join if fact == "warnings" else few
            yield f"  {fact}: {told(value) if isinstance(value, list) else value}"
    if until := described.get("waits_until"):
        yield f"  waits until {until}, when its window opens"
    if latest := described.get("begins_by"):
        yield f"  begins by {latest}: it is spread"
    if described.get("was_rolled_back"):
        yield "  was rolled back before: the sweep does not bring it again"
    if unread := described.get("history_unread"):
        yield f"  not known: what the history says of it: {unread}"
    steps, waves = described.get("steps"), described.get("waves")
    if described.get("is_canary_asked") is False:
        yield "  unproven: no endpoint is asked for anything of the first wave"
    if isinstance(steps, list) and isinstance(waves, list):
        yield from lines_of_steps(steps, len(waves))
    if calls := described.get("calls"):
        yield f"  costs: {calls} calls, {remaining(float(str(described['seconds'])))}"


def _lines_of_what_is(described: Described) -> Iterator[str]:
    """What is bound to something else than what is stored has a line of its own."""
    stored, bound = described.get("stored"), described.get("bound")
    if not isinstance(bound, list):
        return
    yield f"  stored now: {_told(stored)}"
    names = defaultdict[str, list[str]](list)
    for one in bound:
        to = "" if stored and one["to"] == stored else _told(one["to"])
        names[to].append(one["name"])
    if same := names.pop("", None):
        yield f"  bound to it: {few(same)}"
    for to in list(names)[:_MOST_LINES]:
        yield f"  {few(names[to])}: bound to {to}"
    if left := sum(len(names[to]) for to in list(names)[_MOST_LINES:]):
        yield f"  … ({left:,} more, bound to others)"


def _told(stored: object) -> str:
    if not isinstance(stored, dict):
        return "nothing of this deployment's"
    serial = f", serial {stored['serial_number']}" if stored["serial_number"] else ""
    return f"{stored['certificate_id']}{serial}, expires {stored['not_after'] or 'unknown'}"
