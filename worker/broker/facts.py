"""The gist of what was told and noted before, of every certificate: what decides is kept, in so many bytes at most.

A renewal that comes again may have had its outcome, and died on the way to being settled; or a worker died in the
middle of it, and had noted what it was about to change; or something else was put in its place meanwhile.
"""

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from sys import intern
from typing import Final, Generic, TypeVar

from worker.core.exposed import exposed_in
from worker.core.note import is_note, note_in
from worker.core.past import Placed, deployments_in, least_needed, placed_in
from worker.core.reporting import ROLLED_BACK
from worker.core.snapshot import Snapshot

FOR: Final = 3 * 86400.0
"""Seconds: how long ago an outcome or a note at most, for what comes again. A machine may be down over a weekend."""
EACH: Final = 8
"""Of what was put in one certificate's places, the latest. What only comes again takes no further place.

Whichever renewal brings it: what was taken back would be forgotten otherwise, and come back.
"""
_IN_ALL: Final = 40_000
_TOLD: Final = 10_000
_REFUSED: Final = 5_000
_NOTED: Final = 1_000
"""A note may name every domain of an account."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome that the world has heard of."""

    outcome: str
    reason: str
    at: str = ""
    """When, as its event has it: no clock is asked for what only has to be told apart."""
    withholds_id: bool = False
    """Its event tells none: there was a key in it, or may have been."""


@dataclass(frozen=True, slots=True)
class _Noted:
    """Of one leaf of a certificate."""

    snapshots: Mapping[str, Snapshot]
    """By deployment."""
    by: frozenset[str | None]
    """The messages, by their digests, that have noted it and have no outcome; None of older workers'."""

    def without(self, digest: str | None) -> "_Noted | None":
        left = self.by - {digest, None}
        return replace(self, by=left) if left and digest is not None else None


@dataclass(slots=True)
class _Latest(Generic[K, V]):
    """The `most` that came last, of the last days."""

    most: int
    seconds: float = FOR
    _kept: dict[K, tuple[float, V]] = field(default_factory=dict)

    def get(self, key: K) -> V | None:
        at, value = self._kept.get(key, (0.0, None))
        return value if at >= time.time() - self.seconds else None

    def put(self, key: K, value: V, at: float) -> None:
        self._kept.pop(key, None)
        self._kept[key] = at, value
        while self._kept and (len(self._kept) > self.most or self._oldest < time.time() - self.seconds):
            del self._kept[next(iter(self._kept))]

    @property
    def _oldest(self) -> float:
        return next(iter(self._kept.values()))[0]

    def replace(self, key: K, value: V) -> None:
        """It came when what is kept came."""
        self._kept[key] = self._kept[key][0], value

    def drop(self, key: K) -> None:
        self._kept.pop(key, None)


@dataclass(slots=True)
class _Places:
    """What was put where; of every certificate the latest, as many as there is room for."""

    each: int = EACH
    in_all: int = _IN_ALL
    _placed: dict[str, dict[bytes, Placed]] = field(default_factory=dict)
    """By certificate, then by what comes again; what came last is last."""
    _count: int = 0

    def of(self, certificate: str) -> Sequence[Placed]:
        return tuple(self._placed.get(certificate, {}).values())

    def put(self, certificate: str, placed: Placed) -> None:
        known = self._placed[certificate] = self._placed.pop(certificate, {})
        key, last = _short(placed.place), next(reversed(known), None)
        came = placed if last is None else _knowing(placed, known[last])
        before = known.pop(key, None)
        known[key] = came if before is None else came.after(before, is_next=last == key)
        self._count += before is None
        self._trim(known)
        while self._count > self.in_all:
            self._make_room()

    def _trim(self, known: dict[bytes, Placed]) -> None:
        while len(known) > self.each:
            del known[_short(least_needed(tuple(known.values())).place)]
            self._count -= 1

    def _make_room(self) -> None:
        """Half for each: none is forgotten for another's sake while it has more than one."""
        if self.each > 1:
            self.each //= 2
            # Here: whoever only publishes does not wait for it.
            import structlog  # noqa: PLC0415 - as above

            structlog.get_logger().warning("history.shortened", each=self.each)
            for known in self._placed.values():
                self._trim(known)
        else:
            self._count -= len(self._placed.pop(next(iter(self._placed))))


def _knowing(placed: Placed, last: Placed) -> Placed:
    """With the exposed keys of all before, which the last one has: its own event may not tell them.

    While the history cannot be read, no worker knows them. Never is the last one forgotten while another is known.
    """
    if not last.exposed_keys or placed.exposed_keys == last.exposed_keys:
        return placed
    return replace(placed, exposed_keys=exposed_in((last, placed)))


def _short(*parts: str | None) -> bytes:
    """Stands for all of them: tens of thousands are kept, and each would be a few hundred bytes."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def _key(event_id: str, certificate: str | None, digest: str | None) -> bytes:
    """With the digest of the message: nobody keeps producers from giving several renewals one id."""
    return _short(event_id, certificate, digest)


@dataclass(slots=True)
class Facts:
    """The gist of events and notes, taken in oldest first. However many there are, it has a size."""

    _told: _Latest[bytes, Told] = field(default_factory=lambda: _Latest(_TOLD))
    _refused: _Latest[bytes, Told] = field(default_factory=lambda: _Latest(_REFUSED))
    """Those whose leaf nobody looked at: whoever may send anything at all makes as many as he likes."""
    _noted: _Latest[tuple[str, str | None], _Noted] = field(default_factory=lambda: _Latest(_NOTED))
    """By certificate and leaf."""
    _condemned: _Latest[tuple[str, str | None], Mapping[str, Snapshot]] = field(
        default_factory=lambda: _Latest(_NOTED, float("inf"))
    )
    """Alike, by deployment: what was found bad and has not gone back yet, as far as the history goes.

    Its renewal may be a dead letter by now, and is put back when somebody has given the right that was missing.
    """
    _client_cas: _Latest[str, frozenset[str]] = field(default_factory=lambda: _Latest(_NOTED, float("inf")))
    """By certificate, the deployments that had a client CA which a write may have lost, as far as the history goes.

    Of whichever leaf: what comes next finds nothing there that tells of it, and would take it for meant so.
    """
    _places: _Places = field(default_factory=_Places)

    def find(
        self, event_ids: Collection[str], certificate: str | None, but: str | None, digest: str | None
    ) -> Told | None:
        """The outcome of this very message under one of these ids, not that of the time `but`.

        Older workers told no digests: what has none may be any message's.
        """
        for event_id in event_ids:
            for key in (_key(event_id, certificate, digest), _key(event_id, certificate, None)):
                for known in (self._told, self._refused):
                    told = known.get(key)
                    if told is not None and told.at != but:
                        return told
        return None

    def noted(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        """By deployment."""
        known, bad = self._noted.get((certificate, leaf)), self._condemned.get((certificate, leaf)) or {}
        found = {**bad, **({} if known is None else known.snapshots)}
        with_ca = self._client_cas.get(certificate) or ()
        return found | {one: replace(found.get(one, Snapshot()), has_client_ca=True) for one in with_ca}

    def past(self, certificate: str) -> Sequence[Placed]:
        """Oldest first."""
        return self._places.of(certificate)

    def take_in(self, entry: Mapping[str, object], at: float | None = None) -> None:
        """`at`: when it was published, in seconds since the epoch; now, where nobody says."""
        at = time.time() if at is None else at
        if is_note(entry):
            self._take_in_note(entry, at)
        else:
            self._take_in_event(entry, at)

    def _take_in_note(self, entry: Mapping[str, object], at: float) -> None:
        found = note_in(entry)
        if found is None:
            return
        certificate, note = found
        before = self._noted.get((certificate, note.leaf)) or _Noted({}, frozenset())
        snapshot = before.snapshots.get(note.deployment, Snapshot()).followed_by(note.snapshot)
        if (bad := self._condemned.get((certificate, note.leaf)) or {}).get(note.deployment) is not None:
            snapshot = bad[note.deployment].followed_by(snapshot)
        if snapshot.bad is not None:
            self._condemned.put((certificate, note.leaf), {**bad, note.deployment: snapshot}, at)
        if snapshot.has_client_ca:
            with_ca = self._client_cas.get(certificate) or frozenset()
            self._client_cas.put(certificate, with_ca | {note.deployment}, at)
        snapshots = {**before.snapshots, note.deployment: snapshot}
        self._noted.put((certificate, note.leaf), _Noted(snapshots, before.by | {note.message_sha256}), at)

    def _take_in_event(self, event: Mapping[str, object], at: float) -> None:
        """Later ones of the same message replace earlier ones."""
        data, certificate = event.get("data"), event.get("subject")
        if not isinstance(data, dict) or not isinstance(certificate, str | None):
            return
        leaf, told_of = leaf_in(event), data.get("message_sha256")
        digest = told_of if isinstance(told_of, str) else None
        key = _key(str(event.get("id")), certificate, digest)
        outcome, reason = intern(str(data.get("outcome"))), intern(str(data.get("reason")))
        told = Told(outcome, reason, str(event.get("time")), data.get("renewal_id", "") is None)
        (self._refused if leaf is None else self._told).put(key, told, at)
        if certificate is None:
            return
        self._forget_condemned((certificate, leaf), data)
        self._forget_client_cas(certificate, data)
        self._forget_notes((certificate, leaf), None if told.outcome == "succeeded" else digest, at)
        placed = placed_in(event)
        if placed is not None:
            self._places.put(certificate, placed)

    def _forget_condemned(self, key: tuple[str, str | None], data: Mapping[str, object]) -> None:
        """Where all is well, or nothing of it is left: at each gateway of which the outcome tells that."""
        known = self._condemned.get(key)
        if known is None:
            return
        done = _gateways_without(data, _is_left)
        left = {name: one for name, one in known.items() if name.partition("/")[0] not in done}
        if data.get("outcome") == "succeeded" or not left:
            self._condemned.drop(key)
        else:
            self._condemned.replace(key, left)

    def _forget_client_cas(self, certificate: str, data: Mapping[str, object]) -> None:
        """Where a success, or a whole way back, has shown that it is there. Who takes it away after that means it."""
        known = self._client_cas.get(certificate)
        if known is None:
            return
        done = _gateways_without(data, _is_unproven)
        left = frozenset(name for name in known if name.partition("/")[0] not in done)
        if data.get("outcome") == "succeeded" or not left:
            self._client_cas.drop(certificate)
        else:
            self._client_cas.replace(certificate, left)

    def _forget_notes(self, key: tuple[str, str | None], digest: str | None, at: float) -> None:
        """They end with the outcome of the message that left them: another one of the same leaf may fail meanwhile.

        No digest: of whichever message, as when all that was to be done is done.
        """
        known = self._noted.get(key)
        left = None if known is None else known.without(digest)
        if left is None:
            self._noted.drop(key)
        else:
            self._noted.put(key, left, at)


def _gateways_without(data: Mapping[str, object], is_so: Callable[[Mapping[str, object]], bool]) -> Collection[str]:
    """Of which the outcome tells, where that is so of no deployment."""
    told = deployments_in(data)
    return {str(one.get("gateway")) for one in told} - {str(one.get("gateway")) for one in told if is_so(one)}


def _is_left(deployment: Mapping[str, object]) -> bool:
    """Whether anything may have stayed there that should have gone back."""
    return deployment.get("outcome") == "failed" and deployment.get("reason") != ROLLED_BACK


def _is_unproven(deployment: Mapping[str, object]) -> bool:
    """Whether it ended otherwise than with what is renewed, or what was before, in its place: superseded, say."""
    return deployment.get("outcome") != "succeeded" and deployment.get("reason") != ROLLED_BACK


def leaf_in(event: Mapping[str, object]) -> str | None:
    """The fingerprint; None where the outcome came before the leaf was known."""
    data = event.get("data")
    leaf = data.get("leaf") if isinstance(data, dict) else None
    return str(leaf.get("fingerprint_sha256")) if isinstance(leaf, dict) else None
