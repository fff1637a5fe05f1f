"""The calls that a plan makes at APIG where all goes well: told by the paths that its rights are told by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from worker.core.calls import NEW, CallStep, PlannedCall, one_after_another, pages, parcels
from worker.core.deployment import Binding, Deployment
from worker.core.planning import Create, Keep, Modify, Observed, Plan, Stored, UploadEach, distinct
from worker.core.uploads import fingerprint_in
from worker.gateways.huawei_apig import rights
from worker.gateways.huawei_apig.client import PAGE
from worker.gateways.huawei_apig.per_domain import mark_in, mark_of, place_of, prefix_of
from worker.gateways.rights import Probe

_Part = Sequence[PlannedCall]
_NOTHING: Final = Observed(None, ())


def planned(project_id: str, domains_per_attach: int, deployment: Deployment, todo: Plan) -> Sequence[PlannedCall]:
    """`domains_per_attach`: most domains in a call."""
    if todo.is_nothing:
        return ()
    called = _Calling(f"/v2/{project_id}", domains_per_attach, deployment, todo)
    return one_after_another(list(_per_domain(called) if deployment.strategy == "per_domain" else _shared(called)))


@dataclass(frozen=True, slots=True)
class _Calling:
    """One plan's calls, made."""

    root: str
    size: int
    deployment: Deployment
    todo: Plan

    @property
    def seen(self) -> Observed:
        return self.todo.seen or _NOTHING

    @property
    def wanted(self) -> Sequence[Binding]:
        return self.deployment.bindings or (*self.todo.attach, *self.todo.unchanged)

    def one(
        self,
        operation: str,
        probe: Probe,
        step: CallStep,
        wave: int | None = None,
        *,
        of: str = "",
        at: Sequence[Binding] = (),
    ) -> PlannedCall:
        """`of`: the certificate's id. `at`: the bindings; the path is that of the first."""
        path = probe.path.replace("/v2/{project}", self.root).replace("{id}", of)
        if at and "{group}" in path:
            for place, value in zip(("{instance}", "{group}", "{domain}"), place_of(at[0]), strict=True):
                path = path.replace(place, value or "")
        return PlannedCall(operation, probe.method, path, step, wave, at)

    def listed(self, step: CallStep, wave: int | None, rows: int) -> _Part:
        return (self.one("list_certificates", rights.LIST, step, wave),) * pages(rows, PAGE)

    def shown(self, certificate_id: str, step: CallStep, wave: int | None = None, *, rows: int = 0) -> _Part:
        """The certificate and what is bound to it."""
        show = self.one("show_certificate", rights.SHOW, step, wave, of=certificate_id)
        return (show, *self.bound(certificate_id, step, wave, rows))

    def bound(self, certificate_id: str, step: CallStep, wave: int | None, rows: int) -> _Part:
        return (self.one("list_domains", rights.BOUND, step, wave, of=certificate_id),) * pages(rows, PAGE)

    def deleted(self, certificate_id: str, left: int = 0) -> _Part:
        """`left`: how many are bound to it all the same, so that it stays."""
        delete = self.one("delete_certificate", rights.DELETE, "retire", of=certificate_id)
        return (*self.bound(certificate_id, "retire", None, left), *(() if left else (delete,)))


def _shared(called: _Calling) -> Iterator[_Part]:
    """Of `in_place` and `blue_green`: one stored certificate for all bindings."""
    todo, target = called.todo, NEW
    match todo.replacement:
        case Create():
            yield (called.one("create_certificate", rights.CREATE, "replace"),)
        case Modify(stored):
            target = stored.certificate_id
            yield (called.one("modify_certificate", rights.MODIFY, "replace", of=target),)
        case Keep(stored):
            target = stored.certificate_id
        case UploadEach():
            return
    counting = _Counting(todo, called.seen, target)
    for number, bindings in enumerate(todo.rounds, start=1):
        wave = number if todo.waves else None
        counting.moved += len(bindings)
        yield parcels(bindings, called.size, _Attached(called, target, wave))
        if called.deployment.strategy == "blue_green":
            yield from _read_own(called, counting, wave)
        else:
            yield from _read_one(called, counting, wave)
    for one in todo.retire:
        yield called.deleted(one.certificate_id, counting.rows(one.certificate_id))


@dataclass(frozen=True, slots=True)
class _Attached:
    """Makes the call for a chunk."""

    called: _Calling
    target: str
    wave: int | None

    def __call__(self, chunk: Sequence[Binding]) -> PlannedCall:
        return self.called.one("attach_domains", rights.ATTACH, "attach", self.wave, of=self.target, at=chunk)


@dataclass(slots=True)
class _Counting:
    """How many rows the list of a certificate's domains has, once `moved` bindings are attached to `target`."""

    todo: Plan
    seen: Observed
    target: str
    moved: int = 0

    def rows(self, certificate_id: str) -> int:
        before = self.seen.lists.get(certificate_id, 0)
        if certificate_id == self.target:
            # Most lists have one page whatever joins them: then it is not looked at more closely.
            return before + (self._joining() if before + self.moved > PAGE else self.moved)
        return before - self._of(certificate_id) if before else 0

    def _joining(self) -> int:
        return self.moved - self._of(self.target)

    def _of(self, certificate_id: str) -> int:
        """Of those that are attached, how many were bound to it before."""
        there = {
            (bound.binding.name, bound.binding.instance_id)
            for bound in self.seen.bound
            if bound.stored is not None and bound.stored.certificate_id == certificate_id
        }
        return sum((one.name, one.instance_id) in there for one in self.todo.attach[: self.moved])


def _read_one(called: _Calling, counting: _Counting, wave: int | None) -> Iterator[_Part]:
    """As `observe_in_place` does: by id, and where there is none of that id by name."""
    known, target = called.deployment.certificate_id, counting.target
    if known not in (None, target):
        yield called.shown(str(known), "read_back", wave)
    if known != target:
        rows = called.seen.lists.get(called.deployment.name or "", 0) + (target == NEW)
        yield called.listed("read_back", wave, rows)
    yield called.shown(target, "read_back", wave, rows=counting.rows(target))


def _read_own(called: _Calling, counting: _Counting, wave: int | None) -> Iterator[_Part]:
    """As `observe_blue_green` does: what its name says is the renewed one, else all of the deployment's own."""
    seen, is_new = called.seen, counting.target == NEW
    yield called.listed("read_back", wave, seen.lists.get(called.deployment.name or "", 0) + is_new)
    own = distinct([*(() if seen.stored is None else (seen.stored,)), *seen.leftovers])
    is_told = is_new or any(one.certificate_id == counting.target and fingerprint_in(one.name, "_") for one in own)
    for one in (counting.target,) if is_told else [stored.certificate_id for stored in own]:
        yield called.shown(one, "read_back", wave, rows=counting.rows(one))


def _per_domain(called: _Calling) -> Iterator[_Part]:
    uploads = {mark_in(one.name): one for one in called.seen.uploads}
    yield called.listed("attach", None, len(uploads))
    attach = called.todo.attach
    held = [one for one in attach if mark_of(one) in uploads] if uploads else []
    fresh = [one for one in attach if mark_of(one) not in uploads] if uploads else attach
    flagged = [one for one in fresh if one.client_verification]
    yield parcels(held, 1, lambda at: _show_upload(called, uploads, at))
    yield parcels(flagged, 1, lambda at: called.one("create_certificate", rights.CREATE, "attach", at=at))
    plain = [one for one in fresh if not one.client_verification] if flagged else fresh
    yield parcels(plain, 1, lambda at: called.one("add_certificate", rights.ADD, "attach", at=at))
    again = [*held, *flagged]
    yield parcels(again, 1, lambda at: called.one("attach_to_domain", rights.ATTACH_ONE, "attach", at=at))
    yield from _read_each(called, len(fresh))
    for one in called.todo.retire:
        yield called.deleted(one.certificate_id)


def _show_upload(called: _Calling, uploads: dict[str, Stored], at: Sequence[Binding]) -> PlannedCall:
    stored = uploads[mark_of(at[0])]
    return called.one("show_certificate", rights.SHOW, "attach", of=stored.certificate_id, at=at)


def _read_each(called: _Calling, fresh: int) -> Iterator[_Part]:
    """As `observe_per_domain` does: each group, the list of uploads, and one certificate of each leaf."""
    seen, wanted = called.seen, called.wanted
    groups = {place_of(one)[:2]: one for one in wanted}
    yield [called.one("show_group", rights.GROUP, "read_back", at=(one,)) for one in groups.values()]
    name = prefix_of(called.deployment.name or "")
    yield called.listed("read_back", None, seen.lists.get(name, 0) + fresh)
    for one, rows in seen.lists.items():
        if one != name:
            yield called.bound(one, "read_back", None, rows)
    for one in _of_each_leaf(called):
        yield (called.one("show_certificate", rights.SHOW, "read_back", of=one),)


def _of_each_leaf(called: _Calling) -> Iterator[str]:
    """Ids: of the renewed leaf that of the first domain, of newer ones that are left alone one each."""
    todo, uploads = called.todo, {mark_in(one.name): one.certificate_id for one in called.seen.uploads}
    ours = {mark_of(one) for one in (*todo.attach, *todo.unchanged)}
    first = next((mark_of(one) for one in called.wanted if mark_of(one) in ours), None)
    if first is not None:
        yield uploads.get(first, NEW)
    if todo.superseded_by is not None:
        others = [one.stored for one in called.seen.bound if mark_of(one.binding) not in ours]
        yield from {one.serial_number: one.certificate_id for one in others if one is not None}.values()
