"""A note of a snapshot: what a worker leaves to the one that takes over from it. No secret is in it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from worker.core.outcome import Previous
from worker.core.proof import Reach
from worker.core.snapshot import Condemned, Flags, Origin, Origins, Place, Snapshot, Verdict

TYPE: Final = "certificate.rotation.note"


@dataclass(frozen=True, slots=True)
class Note:
    """Of one deployment (its key), before the leaf (its fingerprint) is put there."""

    deployment: str
    leaf: str
    snapshot: Snapshot
    message_sha256: str | None = None
    """Whose: others may bring the same leaf meanwhile. None in notes of older workers."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class _FlagsThere(_Model):
    """Domains by their flag; of one instance, for there are many domains and few instances."""

    instance_id: str | None
    on: list[str]
    off: list[str]


class _Places(_Model):
    """Bindings of one instance."""

    instance_id: str | None
    sni: bool
    names: list[str]


class _CameFrom(_Model):
    """Bindings by where they were."""

    certificate_id: str | None
    flag: bool | None
    instance_id: str | None
    sni: bool
    names: list[str]


class _Verdict(_Model):
    """Why so many bindings were bad; null for what belongs to none."""

    reason: str
    message: str
    places: list[_Places] | None


class _Condemned(_Model):
    verdicts: list[_Verdict]
    moved: list[_Places]


class _Previous(_Model):
    serial_number: str | None
    not_after: Annotated[AwareDatetime, Field(strict=False)] | None


class _Entry(_Model):
    type: Literal["certificate.rotation.note"] = TYPE
    certificate: str
    deployment: str
    leaf: str
    flags: list[_FlagsThere]
    previous: _Previous | None
    is_replaced: bool
    origins: list[_CameFrom] = Field(default=[])
    """Not in notes of older workers."""
    bad: _Condemned | None = None
    """Nor is this."""
    answered: list[str] = Field(default=[])
    """Nor is this."""
    replaced_at: Annotated[AwareDatetime, Field(strict=False)] | None = None
    """Nor is this."""
    message_sha256: str | None = None
    """Nor is this."""
    unreached: list[str] = Field(default=[])
    """Nor is this."""
    has_client_ca: bool = False
    """Nor is this."""


def entry_of(certificate: str, note: Note) -> dict[str, object]:
    """As JSON has it."""
    previous = note.snapshot.previous
    entry = _Entry(
        certificate=certificate,
        deployment=note.deployment,
        leaf=note.leaf,
        flags=list(_by_instance(note.snapshot.flags)),
        previous=None if previous is None else _told(previous),
        is_replaced=note.snapshot.is_replaced,
        origins=list(_by_origin(note.snapshot.origins)),
        bad=None if note.snapshot.bad is None else _condemned(note.snapshot.bad),
        answered=sorted(note.snapshot.reach.answered),
        unreached=sorted(note.snapshot.reach.unreached),
        replaced_at=note.snapshot.replaced_at,
        message_sha256=note.message_sha256,
        has_client_ca=note.snapshot.has_client_ca,
    )
    return entry.model_dump(mode="json")


def note_in(entry: Mapping[str, object]) -> tuple[str, Note] | None:
    """The certificate's name and the note; None for what is none."""
    try:
        found = _Entry.model_validate(entry)
    except ValidationError:
        return None
    told = found.previous
    previous = None if told is None else Previous(told.serial_number, told.not_after)
    snapshot = Snapshot(
        _flags(found),
        previous,
        found.is_replaced,
        found.replaced_at,
        origins=_origins(found),
        bad=_bad(found),
        reach=Reach(frozenset(found.answered), frozenset(found.unreached)),
        has_client_ca=found.has_client_ca,
    )
    return found.certificate, Note(found.deployment, found.leaf, snapshot, found.message_sha256)


def is_note(entry: Mapping[str, object]) -> bool:
    """Also of one that cannot be read: it is no outcome in any case."""
    return entry.get("type") == TYPE


def _told(previous: Previous) -> _Previous:
    return _Previous(serial_number=previous.serial_number, not_after=previous.not_after)


def _by_instance(flags: Flags) -> Iterator[_FlagsThere]:
    names: defaultdict[str | None, dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for (name, instance_id), flag in flags.items():
        names[instance_id][flag].append(name)
    for instance_id, there in names.items():
        yield _FlagsThere(instance_id=instance_id, on=there[True], off=there[False])


def _by_origin(origins: Origins) -> Iterator[_CameFrom]:
    names: defaultdict[tuple[Origin, str | None, bool], list[str]] = defaultdict(list)
    for (name, instance_id, sni), origin in origins.items():
        names[origin, instance_id, sni].append(name)
    for (origin, instance_id, sni), there in names.items():
        yield _CameFrom(
            certificate_id=origin.certificate_id, flag=origin.flag, instance_id=instance_id, sni=sni, names=there
        )


def _origins(entry: _Entry) -> Origins:
    return {
        (name, there.instance_id, there.sni): Origin(there.certificate_id, there.flag)
        for there in entry.origins
        for name in there.names
    }


def _flags(entry: _Entry) -> Flags:
    return {
        (name, there.instance_id): flag
        for there in entry.flags
        for flag, names in ((True, there.on), (False, there.off))
        for name in names
    }


def _condemned(bad: Condemned) -> _Condemned:
    places: defaultdict[tuple[str, str], list[Place]] = defaultdict(list)
    verdicts = []
    for one in bad.verdicts:
        if one.place is None:
            verdicts.append(_Verdict(reason=one.reason, message=one.message, places=None))
        else:
            places[one.reason, one.message].append(one.place)
    for (reason, message), there in places.items():
        verdicts.append(_Verdict(reason=reason, message=message, places=list(_places(there))))
    return _Condemned(verdicts=verdicts, moved=list(_places(sorted(bad.moved, key=repr))))


def _places(places: Iterable[Place]) -> Iterator[_Places]:
    names: defaultdict[tuple[str | None, bool], list[str]] = defaultdict(list)
    for name, instance_id, sni in places:
        names[instance_id, sni].append(name)
    for (instance_id, sni), there in names.items():
        yield _Places(instance_id=instance_id, sni=sni, names=there)


def _bad(entry: _Entry) -> Condemned | None:
    if entry.bad is None:
        return None
    verdicts = (
        Verdict(place, one.reason, one.message)
        for one in entry.bad.verdicts
        for place in ([None] if one.places is None else _each(one.places))
    )
    return Condemned(tuple(verdicts), frozenset(_each(entry.bad.moved)))


def _each(places: Iterable[_Places]) -> Iterator[Place]:
    return ((name, one.instance_id, one.sni) for one in places for name in one.names)
