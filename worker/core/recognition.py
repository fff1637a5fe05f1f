"""What is stored, known again by the history where its gateway tells little more than when it ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from worker.core.bundle import Leaf
from worker.core.past import Placed, lasting
from worker.core.planning import Observed, Stored
from worker.core.snapshot import Snapshot

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def recognised(observed: Observed, past: Sequence[Placed], leaf: Leaf, snapshot: Snapshot) -> Observed:
    """With the beginnings of what the history knows to be there, and to be no `leaf`. Oldest first.

    Where it knows nothing, other names tell another certificate. That something is the leaf its gateway has to show.
    """
    there = lasting(past)
    known = {stored: _recognised(stored, there, leaf, snapshot) for stored in _all_in(observed)}
    stored = None if observed.stored is None else known[observed.stored]
    bound = tuple(one if one.stored is None else replace(one, stored=known[one.stored]) for one in observed.bound)
    return replace(observed, stored=stored, bound=bound, leftovers=tuple(known[one] for one in observed.leftovers))


def _all_in(observed: Observed) -> frozenset[Stored]:
    bound = {one.stored for one in observed.bound if one.stored is not None}
    return frozenset({*bound, *observed.leftovers, *(() if observed.stored is None else (observed.stored,))})


def _recognised(stored: Stored, there: Sequence[Placed], leaf: Leaf, snapshot: Snapshot) -> Stored:
    if stored.serial_number is not None or stored.not_before is not None:
        return stored
    if stored.fingerprint_prefix is None and not there:
        return _by_names(stored, leaf, snapshot)
    one = _by_name(stored, there) if stored.fingerprint_prefix else _by_end(stored, there, leaf, snapshot)
    if one is None or one.fingerprint_sha256 == leaf.fingerprint_sha256:
        return stored
    return replace(stored, known_not_before=one.not_before)


def _by_names(stored: Stored, leaf: Leaf, snapshot: Snapshot) -> Stored:
    """A certificate to which a name is added is often issued with the end of the one before."""
    is_alike = stored.not_after == leaf.not_after and not _may_be_ours(stored, snapshot)
    is_other = is_alike and stored.names not in (None, frozenset(leaf.names))
    return replace(stored, known_not_before=_LONG_AGO) if is_other else stored


def _by_name(stored: Stored, there: Sequence[Placed]) -> Placed | None:
    """Of an upload of our own, whose name tells."""
    prefix = stored.fingerprint_prefix or ""
    return next((one for one in reversed(there) if one.fingerprint_sha256.startswith(prefix)), None)


def _by_end(stored: Stored, there: Sequence[Placed], leaf: Leaf, snapshot: Snapshot) -> Placed | None:
    """What was put everywhere last, or begun since then, where that is what ends so."""
    if _may_be_ours(stored, snapshot):
        return None
    told = [number for number, one in enumerate(there) if one.is_told]
    alike = [one for one in there[told[-1] if told else 0 :] if one.not_after == stored.not_after]
    if any(one.is_told and one.fingerprint_sha256 == leaf.fingerprint_sha256 for one in alike):
        return None
    others = [one for one in alike if one.fingerprint_sha256 != leaf.fingerprint_sha256]
    return others[-1] if others else None


def _may_be_ours(stored: Stored, snapshot: Snapshot) -> bool:
    """Whether an earlier attempt of this renewal was to write there, and somebody has written since."""
    if not snapshot.is_replaced:
        return False
    is_told = snapshot.replaced_at is not None and stored.issued_before is not None
    return not is_told or stored.issued_before != snapshot.replaced_at
