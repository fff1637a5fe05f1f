"""Which fault begins when, and for how long: by seed alone, so that a run can be had again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault that lasts between `shortest` and `longest` seconds; `weight`: how often, beside its siblings."""

    name: str
    shortest: float
    longest: float
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever breaks one thing, a fault after the other; between two faults so many seconds of peace."""

    name: str
    peace: tuple[float, float]
    kinds: Sequence[Kind]


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One fault. `chance` seeds what is left to choose when it is carried out."""

    at: float
    actor: str
    kind: str
    seconds: float
    chance: int


# A frozen cloud is woken before its callers give up: an effect that comes after that would be nobody's fault.
ACTORS: Final = (
    Actor(
        "worker",
        (6, 20),
        (Kind("kill", 0, 4, 3), Kind("term", 0, 4, 2), Kind("freeze", 1, 12, 3), Kind("replace", 0, 1)),
    ),
    Actor(
        "broker",
        (15, 40),
        (
            Kind("kill", 0, 6, 2),
            Kind("stop", 0, 6, 2),
            Kind("freeze", 1, 12, 2),
            Kind("alarm", 2, 10, 2),
            Kind("rights", 1, 6, 2),
        ),
    ),
    Actor(
        "link",
        (8, 25),
        (Kind("cut", 0, 0, 3), Kind("mute", 1, 12), Kind("deaf", 1, 12), Kind("dumb", 1, 12), Kind("drip", 2, 8)),
    ),
    Actor("cloud", (2, 10), (Kind("answers", 1, 8, 8), Kind("late", 2, 8, 2), Kind("expire", 0, 0))),
    Actor("way", (10, 30), (Kind("refuse", 1, 10, 2), Kind("cut", 0, 0, 2), Kind("freeze", 0.5, 3, 2))),
)


def schedule(seed: int, seconds: float, actors: Sequence[Actor] = ACTORS) -> Sequence[Step]:
    """All steps in order of their beginning; every one ends within `seconds`."""
    return sorted(chain.from_iterable(_of(actor, seed, seconds) for actor in actors))


def _of(actor: Actor, seed: int, seconds: float) -> Sequence[Step]:
    chance, steps, at = Random(f"{seed} {actor.name}"), list[Step](), 0.0  # noqa: S311 - to be had again
    while True:
        at += chance.uniform(*actor.peace)
        [kind] = chance.choices(actor.kinds, [one.weight for one in actor.kinds])
        step = Step(at, actor.name, kind.name, chance.uniform(kind.shortest, kind.longest), chance.getrandbits(32))
        at += step.seconds
        if at > seconds:
            return steps
        steps.append(step)


def counted(steps: Sequence[Step]) -> Mapping[str, int]:
    """How many of each."""
    names = [f"{step.actor} {step.kind}" for step in steps]
    return {name: names.count(name) for name in sorted(set(names))}
