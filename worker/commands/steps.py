"""A plan step by step, as `plan` prints it: the calls of each, and the handshakes that prove what came of it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from worker.core.calls import PlannedCall
from worker.core.deployment import Binding
from worker.core.errors import RotationError
from worker.core.planning import Plan, UploadEach
from worker.core.proof import Served
from worker.core.waiting import Step
from worker.proving import Proving

Described = dict[str, object]
Asked = Callable[[Served], Sequence[tuple[str, str]]]
"""Which endpoints are shaken hands with, and for which names."""
_MOST_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class Proofs:
    """What one certificate's rotation proves, and when."""

    proving: Proving
    asked: Asked

    @property
    def steps(self) -> Sequence[Step]:
        """Of all its deployments."""
        return self.proving.steps

    def of_wave(self, todo: Plan, number: int) -> Sequence[tuple[str, str]]:
        moved = [one for wave in todo.rounds[:number] for one in wave]
        is_last = number == len(todo.waves)
        return self.asked(self.proving.served_in_wave(todo, [*todo.unchanged, *moved], is_last=is_last))

    def of_all(self) -> Sequence[tuple[str, str]]:
        """Once for all deployments, of what their waves have not proven."""
        plans = [one for one in self.steps if isinstance(one, Plan)]
        if len(self.steps) == 1 and all(one.waves for one in plans):
            return ()
        bindings = [binding for todo in plans for binding in self._left(todo)]
        moving = [(todo, (*todo.unchanged, *todo.attach)) for todo in plans if todo.waves]
        proven = [one for todo, moved in moving for one in self.proving.proven_in(todo, moved)]
        return self.asked(Served(self.proving.certificate.name, self.proving.bundle, bindings, proven=proven))

    def _left(self, todo: Plan) -> Sequence[Binding]:
        """What its waves have not proven."""
        bindings = (*todo.unchanged, *todo.attach)
        return self.proving.shared_in(todo, bindings) if todo.waves else bindings

    @property
    def is_asked_for(self) -> bool:
        """Whether it comes to that: what fails, or is superseded, leaves nothing to prove."""
        return all(isinstance(one, Plan) and one.superseded_by is None for one in self.steps)

    def may_retire(self, todo: Plan) -> bool:
        """Where another deployment cannot be rotated, only what is no use to any other goes."""
        is_failed = any(isinstance(one, RotationError) for one in self.steps)
        return not is_failed or isinstance(todo.replacement, UploadEach)


def described_steps(todo: Plan, calls: Sequence[PlannedCall], proofs: Proofs) -> Sequence[Described]:
    """In order; the calls of one step go together."""
    found: list[Described] = []
    proven = 0
    for (step, wave), group in groupby(calls, key=lambda one: (one.step, one.wave)):
        if step == "retire":
            found += _verified(None, proofs.of_all()) if proofs.is_asked_for else ()
            proven += 1
        found.append({"step": step, "wave": wave, "calls": [_described(one) for one in group]})
        if step == "read_back" and wave is not None:
            found += _verified(wave, proofs.of_wave(todo, wave))
    if not proven and proofs.is_asked_for:
        found += _verified(None, proofs.of_all())
    return found


def _verified(wave: int | None, endpoints: Sequence[tuple[str, str]]) -> Iterator[Described]:
    if endpoints:
        asked = [{"endpoint": endpoint, "server_name": name} for endpoint, name in endpoints]
        yield {"step": "verify", "wave": wave, "calls": [], "endpoints": asked}


def _described(call: PlannedCall) -> Described:
    told: Described = {"operation": call.operation, "method": call.method, "path": call.path}
    return {**told, "bindings": [name_of(one) for one in call.bindings]}


def name_of(binding: Binding) -> str:
    return binding.name if binding.instance_id is None else f"{binding.name} on {binding.instance_id}"


def few(names: Sequence[str]) -> str:
    """The first of them, and how many there are."""
    if len(names) <= _MOST_NAMES + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])}, … ({len(names):,})"


def lines_of_steps(steps: Sequence[Described], waves: int) -> Iterator[str]:
    """A line for each kind of change, one for all that a step reads, and one before each wave."""
    told = 0
    for one in steps:
        wave, calls = one["wave"], _calls(one)
        if isinstance(wave, int) and wave > told:
            told = wave
            yield f"  wave {wave} of {waves}: {few([name for call in calls for name in _names(call)])}"
        head = f"{'    ' if wave else '  '}{str(one['step']).replace('_', ' ')}: "
        endpoints = one.get("endpoints")
        if isinstance(endpoints, list):
            yield f"{head}TLS handshakes with {few([_endpoint(one) for one in endpoints])}"
        yield from (f"{head}{line}" for line in _lines_of(calls))


def _lines_of(calls: Sequence[Described]) -> Iterator[str]:
    reads = Counter(str(one["operation"]) for one in calls if one["method"] == "GET")
    if reads:
        yield ", ".join(f"{_times(number)}{word}" for word, number in reads.items())
    changes = dict[str, list[str]]()
    for one in calls:
        if one["method"] != "GET":
            changes.setdefault(f"{one['operation']}: {one['method']}", []).append(str(one["path"]))
    for word, paths in changes.items():
        yield f"{_times(len(paths))}{word} {paths[0]}{', …' if len(set(paths)) > 1 else ''}"


def _endpoint(asked: Mapping[str, str]) -> str:
    endpoint, name = asked["endpoint"], asked["server_name"]
    return endpoint if endpoint.startswith(f"{name}:") else f"{endpoint} as {name}"


def _times(number: int) -> str:
    return f"{number:,} x " if number > 1 else ""


def _calls(step: Described) -> Sequence[Described]:
    calls = step["calls"]
    return calls if isinstance(calls, list) else ()


def _names(call: Described) -> Sequence[str]:
    names = call["bindings"]
    return names if isinstance(names, list) else ()
