"""What happened around a broken promise: logs, calls, changes and faults of one certificate, in order of time."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from tests.soak.accounts import Broken, Evidence, changes_of, fields_of
from tests.soak.run import Scene

_BEFORE: Final = 45.0
_BEHIND: Final = 15.0
_NEAR: Final = 3.0
Line = tuple[float, str]


def story(one: Broken, evidence: Evidence, scene: Scene) -> Sequence[str]:
    """The lines of its certificate; where its renewal is known, only those around it."""
    lines = sorted([*_logged(one, evidence), *_called(one, evidence), *_broke(scene), *_ordered(one, evidence)])
    mine = [at for at, text in lines if one.renewal_id and one.renewal_id in text]
    mine += [] if one.at is None else [one.at]
    begins, ends = (min(mine) - _BEFORE, max(mine) + _BEHIND) if mine else (0.0, float("inf"))
    return [f"{_clock(at)} {text}" for at, text in lines if begins <= at <= ends]


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def _logged(one: Broken, evidence: Evidence) -> Iterator[Line]:
    for name, text in evidence.texts.items():
        for line in text.splitlines() if name.startswith("worker-") else ():
            told = dict(fields_of(line))
            about = {told.get("certificate"), told.get("renewal_id")} & {one.certificate, one.renewal_id} - {None}
            general = "certificate" not in told and told.get("timestamp")
            if told.get("timestamp") and (about or general):
                at = datetime.fromisoformat(str(told.pop("timestamp"))).timestamp()
                yield at, f"{name}: {json.dumps(told)}"


def _called(one: Broken, evidence: Evidence) -> Iterator[Line]:
    item = next((item for item in evidence.items if item.name == one.certificate), None)
    if item is None:
        near = (call for call in evidence.calls if one.at is not None and abs(call.at - one.at) < _NEAR)
        yield from ((call.at, f"cloud: {call.operation} {call.status} {call.path}") for call in near)
        return
    for call in evidence.calls:
        if any(key in call.path for key in item.stored) or item.name in json.dumps(call.facts, default=str):
            yield call.at, f"cloud: {call.operation} {call.status}"
    serials = {order.serial: order.renewal_id for order in evidence.orders if order.certificate == one.certificate}
    for change in changes_of(evidence, item):
        told = f"{change.place} begins {change.not_before:%H:%M:%S}, {serials.get(change.serial, 'the past')}"
        yield change.at, f"changed: {told}"


def _broke(scene: Scene) -> Iterator[Line]:
    offset = time.time() - time.monotonic()
    for done in scene.breaker.done:
        yield done.began + offset, f"fault: {done.step.actor} {done.step.kind} begins, {done.step.seconds:.1f} s"
        yield done.ended + offset, f"fault: {done.step.actor} {done.step.kind} ended"


def _ordered(one: Broken, evidence: Evidence) -> Iterator[Line]:
    for order in evidence.orders:
        if order.certificate == one.certificate or order.renewal_id == one.renewal_id:
            told = f"{order.sort} {order.reason} begins {order.begins:%H:%M:%S}, accepted {order.accepted}"
            yield order.at.timestamp(), f"sent: {order.renewal_id} {told}, in doubt {order.in_doubt}"
