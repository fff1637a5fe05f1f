"""The calls that a plan makes at ByCloud where all goes well: told by the paths that its rights are told by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from worker.core.calls import NEW, CallStep, PlannedCall, one_after_another, pages, parcels
from worker.core.deployment import Binding, Deployment
from worker.core.planning import Create, Keep, Modify, Observed, Plan, UploadEach
from worker.gateways.bycloud import rights
from worker.gateways.bycloud.client import PAGE

ALL: Final = ""
"""Names the list of all that is stored."""
_Part = Sequence[PlannedCall]
_NOTHING: Final = Observed(None, ())


def planned(deployment: Deployment, todo: Plan) -> Sequence[PlannedCall]:
    return () if todo.is_nothing else one_after_another(list(_parts(deployment, todo)))


def _parts(deployment: Deployment, todo: Plan) -> Iterator[_Part]:
    target = NEW
    match todo.replacement:
        case Create():
            create = PlannedCall("create_certificate", rights.CREATE.method, rights.CREATE.path, "replace")
            yield (create, _shown(target, "replace"))
        case Modify(stored):
            target = stored.certificate_id
            modify = PlannedCall(
                "modify_certificate", rights.MODIFY.method, _path(rights.MODIFY.path, target), "replace"
            )
            yield (modify, _shown(target, "replace"))
        case Keep(stored):
            target = stored.certificate_id
        case UploadEach():
            return
    for number, listeners in enumerate(todo.rounds, start=1):
        wave = number if todo.waves else None
        is_whole = number == len(todo.rounds) and todo.superseded_by is None
        yield parcels(listeners, 1, _Bound(target, wave))
        if isinstance(todo.replacement, Modify) and any(
            one.stored is not None for one in (todo.seen or _NOTHING).bound
        ):
            # What is bound already is refused, and looked at: once for all that are refused at a time.
            yield (_shown(target, "attach", wave),)
        yield from _read_back(deployment, todo, target, wave, is_whole=is_whole)


def _path(path: str, certificate_id: str) -> str:
    return path.replace("{id}", certificate_id)


def _shown(certificate_id: str, step: CallStep, wave: int | None = None) -> PlannedCall:
    return PlannedCall("show_certificate", rights.SHOW.method, _path(rights.SHOW.path, certificate_id), step, wave)


@dataclass(frozen=True, slots=True)
class _Bound:
    """Makes the call for a listener."""

    target: str
    wave: int | None

    def __call__(self, listener: Sequence[Binding]) -> PlannedCall:
        path = _path(rights.BIND.path, self.target)
        return PlannedCall("create_binding", rights.BIND.method, path, "attach", self.wave, listener)


def _read_back(deployment: Deployment, todo: Plan, target: str, wave: int | None, *, is_whole: bool) -> Iterator[_Part]:
    """As `Finder` does: what was found or made last is shown, and the account listed while listeners are elsewhere."""
    known = deployment.certificate_id
    if deployment.strategy != "replace":
        if known not in (None, target):
            yield (_shown(str(known), "read_back", wave),)
        yield (_shown(target, "read_back", wave),)
        return
    yield (_shown(target, "read_back", wave),)
    if is_whole:
        return
    if known is not None:
        yield (_shown(known, "read_back", wave),)
    seen, is_new = todo.seen or _NOTHING, target == NEW
    listed = PlannedCall("list_certificates", rights.LIST.method, rights.LIST.path, "read_back", wave)
    yield (listed,) * pages(seen.lists.get(ALL, 0) + is_new, PAGE)
    yield (_shown(target, "read_back", wave),)
    former = seen.stored if is_new else next(iter(seen.leftovers), None)
    if former is not None:
        yield (_shown(former.certificate_id, "read_back", wave),)
