"""What moves first: bindings that endpoints prove, so that the first wave is no leap in the dark."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Final

from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.moving import waves
from worker.core.planning import Plan
from worker.core.proof import NOT_LOOKED, Asked, Reach, unverified
from worker.core.waiting import Step
from worker.in_parts import give_way
from worker.proving import Proving

_AskedAfter = Callable[[Sequence[Binding]], Collection[Binding]]
"""Which have an endpoint that can tell, when these have the certificate, and others are yet to move."""
_MOST_TRIED: Final = 20


async def arranged(
    certificate: Certificate, steps: Sequence[Step], asked: Asked, reach: Reach = NOT_LOOKED
) -> list[Step]:
    """The same steps, of each what can be proven first; and whether anything can.

    What was looked at and did not answer can prove nothing.
    """
    proving = Proving(unverified, certificate, None, steps)
    deployments = zip(certificate.deployments, steps, strict=True)
    return [await _arranged(step, one, partial(_asked_after, asked, reach, proving, step)) for one, step in deployments]


def _asked_after(
    asked: Asked, reach: Reach, proving: Proving, step: Step, moved: Sequence[Binding]
) -> Collection[Binding]:
    if not isinstance(step, Plan):
        return ()
    found = asked(proving.served_in_wave(step, moved, is_last=False))
    return frozenset(chain.from_iterable(behind for one, behind in found.items() if not reach.is_dead(one)))


async def _arranged(step: Step, deployment: Deployment, asked_after: _AskedAfter) -> Step:
    if not isinstance(step, Plan) or not step.waves or step.moved:
        return step  # what has moved already was the canary
    await give_way(len(step.attach))
    provable = frozenset(asked_after([*step.unchanged, *step.attach]))
    names = dict.fromkeys(one.name for one in step.attach if one in provable)
    for name in (None, *islice(names, _MOST_TRIED)):
        await give_way(len(step.attach))
        found = _begun_with(name, provable, step, deployment)
        if _is_proven(found, asked_after):
            return replace(found, is_canary_asked=True)
    return replace(step, is_canary_asked=False)


def _is_proven(todo: Plan, asked_after: _AskedAfter) -> bool:
    """By its first wave. While others wait, an endpoint that could be theirs as well is not asked."""
    first = todo.rounds[0]
    return not frozenset(first).isdisjoint(asked_after([*todo.unchanged, *first]))


def _begun_with(name: str | None, provable: Collection[Binding], todo: Plan, deployment: Deployment) -> Plan:
    """Those of this name, if any, then all that can be proven, then the others; each in the order that they have."""
    attach = tuple(sorted(todo.attach, key=lambda one: (one.name != name, one not in provable)))
    total = len(attach) + len(todo.unchanged)
    planned = tuple(waves(deployment.waves, [one.name for one in attach], total))
    front = sum(one.name == name or one in provable for one in attach)
    return replace(todo, attach=attach, waves=planned, provable=front if front < len(attach) else 0)
