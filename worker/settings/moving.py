"""What may be wrong with how bindings move to a new stored certificate."""

from collections.abc import Iterator, Sequence
from typing import Final

from worker.core.uploads import LONGEST_BASE
from worker.settings.model import Deployment

_MOVING: Final = frozenset({"blue_green", "replace"})
_WAVES: Final = Deployment.model_fields["waves"].default


def moving_problems(place: str, deployment: Deployment) -> Iterator[str]:
    strategy = deployment.strategy
    if strategy == "blue_green":
        yield from _names(place, deployment)
    if deployment.waves != _WAVES and strategy not in _MOVING:
        yield f"{place}.waves: {strategy} has none; blue_green and replace have"
    if deployment.retire_after_seconds and strategy != "blue_green":
        yield f"{place}.retire_after_seconds: {strategy} keeps no old certificate that it could delete; blue_green does"
    yield from _idle(place, deployment.waves)


def _names(place: str, deployment: Deployment) -> Iterator[str]:
    """Its stored certificates come and go: what stays is the beginning of their names."""
    if deployment.name is None:
        yield f"{place}.name: blue_green needs it"
    elif len(deployment.name) > LONGEST_BASE:
        yield f"{place}.name: {LONGEST_BASE} characters at most, because a fingerprint follows"
    if deployment.certificate_id is not None:
        yield f"{place}.certificate_id: blue_green finds its stored certificates by name"


def _idle(place: str, waves: Sequence[float]) -> Iterator[str]:
    """Each wave counts those before it: one that is no larger moves nothing."""
    for number, wave in enumerate(waves):
        before = [one for one in waves[:number] if isinstance(one, int) == isinstance(wave, int)]
        are_all = any(not isinstance(one, int) and one == 1 for one in waves[:number])
        if are_all or (before and wave <= max(before)):
            yield f"{place}.waves.{number}: moves nothing, because as many have moved before"
