"""What is planned is what is done: a plan's calls, one by one, against what the simulated clouds were asked."""

from collections.abc import Sequence
from itertools import groupby, takewhile
from pathlib import Path
from typing import Final

import pytest

from tests.rotation.scenes import GONE, NEW, SCENES, Scene, laid_out
from worker.core.calls import NEW as NEW_ID
from worker.core.calls import PlannedCall
from worker.core.deployment import Certificate
from worker.core.planning import Plan
from worker.forecast import Forecast
from worker.rotation import Rotator
from worker.sandbox.world import Call

Asked = tuple[str, str, str, tuple[str, ...]]
"""Operation, method, path, names of bindings."""
_AT_BYCLOUD: Final = {
    "show_upload": "show_certificate",
    "list_uploads": "list_certificates",
    "create_upload": "create_certificate",
    "modify_upload": "modify_certificate",
}
"""The sandbox has words of its own for calls that are called alike in metrics."""


def asked_of(scene: Scene) -> Sequence[Asked]:
    calls = [_asked(call) for call in scene.world.journal if call.operation != "obtain_token"]
    scene.world.journal.clear()
    return calls


def _asked(call: Call) -> Asked:
    named = call.facts.get("domains") if call.operation == "attach_domains" else None
    rows = [str(one["domain"]) for one in named] if isinstance(named, list) else []
    listener = [str(call.facts["resource_id"])] if call.operation == "create_binding" else []
    word = _AT_BYCLOUD.get(call.operation, call.operation)
    return word, call.method, call.path, (*rows, *listener)


def _planned(call: PlannedCall) -> Asked:
    is_told = call.operation in ("attach_domains", "create_binding")
    return call.operation, call.method, call.path, tuple(one.name for one in call.bindings) if is_told else ()


async def shown_to_be(scene: Scene) -> Sequence[PlannedCall]:
    """Planned and rotated, compared: the calls that were planned."""
    certificate = Certificate("shop", [scene.deployment()])
    name = certificate.deployments[0].gateway
    async with scene.opened() as gateway:
        [todo] = await Rotator({name: gateway}).plans(certificate, NEW.leaf, past=scene.past)
        assert isinstance(todo, Plan)
        planned = gateway.calls(certificate.deployments[0], todo)
        told = list(planned)
        assert (len(planned), list(planned[:]), [planned[-1]]) == (len(told), told, told[-1:])
        with Forecast().of(gateway, certificate.deployments[0], todo) as work:
            closing = takewhile(lambda one: one.step in ("read_back", "retire"), reversed(told))
            assert work.closing == len(list(closing)) > 0
    observing, before = asked_of(scene), {*scene.world.certificates, *scene.world.uploads}
    assert {method for _, method, _, _ in observing} == {"GET"}
    async with scene.opened() as gateway:
        report = await Rotator({name: gateway}).rotate(certificate, NEW, past=scene.past)
    assert report.outcome == ("succeeded" if todo.superseded_by is None else "superseded"), report
    made = [_with_placeholder(one, before) for one in asked_of(scene)]
    assert sorted(made[: len(observing)]) == sorted(observing)
    done = made[len(observing) :]
    for together, calls in groupby(told, key=lambda one: (one.step, one.wave)):
        wanted = sorted(map(_planned, calls))
        assert sorted(done[: len(wanted)]) == wanted, together
        done = done[len(wanted) :]
    assert done == []
    assert report.gateway_calls == len(made)
    return told


def _with_placeholder(call: Asked, before: set[str]) -> Asked:
    """An id that nobody knew before is one of a new certificate."""
    operation, method, path, names = call
    parts = path.split("/")
    at = parts.index("certificates") + 1 if "certificates" in parts else len(parts)
    if at < len(parts) and parts[at] != "attach" and parts[at] not in (*before, GONE):
        parts[at] = NEW_ID
    return operation, method, "/".join(parts), names


@pytest.mark.parametrize("name", SCENES)
async def test_a_rotation_makes_the_calls_that_were_planned_and_no_others(name: str, tmp_path: Path) -> None:
    async with laid_out(name, tmp_path) as scene:
        assert await shown_to_be(scene)
