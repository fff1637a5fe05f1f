"""Whether a certificate was taken back, and shall stay away.

An older one was put in its place, as an urgent renewal may, or what clients were served of it was bad.
"""

from collections.abc import Sequence
from datetime import datetime

from worker.core.bundle import Leaf
from worker.core.past import Placed, lasting
from worker.core.planning import is_previous
from worker.core.renewal import Renewal


def taken_back(past: Sequence[Placed], leaf: Leaf) -> Placed | None:
    """What took it back last, or keeps its place. Oldest first.

    While it was served, an older one could only be `superseded`: one that succeeded after it has taken its place.
    """
    by: Placed | None = None
    was_there = False
    for one in lasting(past):
        if one.is_told and one.fingerprint_sha256 == leaf.fingerprint_sha256:
            by, was_there = None, True
        elif one.not_before < leaf.not_before:
            has_followed = was_there and one.is_told
            by = one if has_followed or _has_taken(one, leaf) else by
    return by


def is_withdrawn(past: Sequence[Placed], renewal: Renewal, leaf: Leaf, now: datetime, *, is_again: bool) -> bool:
    """Whether the renewal would put back what was taken back, and was made before that. Oldest first.

    Who makes one later knows what was done, and may want it back: then it goes on to its end, however often it comes
    again. `is_again`: a worker had it in hand before, which says enough of one that does not say when it was made.
    """
    by = taken_back(past, leaf)
    if by is None or _goes_on(lasting(past)[-1], renewal, leaf):
        return False
    made = renewal.signed_at or renewal.time
    if made is None or made > now or by.at is None:
        return is_again
    return made <= by.at


def _goes_on(last: Placed, renewal: Renewal, leaf: Leaf) -> bool:
    """Whether it is the renewal's own next attempt: others brought the same before what was taken back."""
    return (last.renewal_id, last.fingerprint_sha256) == (renewal.known_as, leaf.fingerprint_sha256)


def was_rolled_back(past: Sequence[Placed], leaf: Leaf) -> bool:
    """Whether it went back at a deployment when it was put there last, because of what clients were served."""
    last = next((one for one in reversed(past) if one.fingerprint_sha256 == leaf.fingerprint_sha256), None)
    return last is not None and last.went_back


def _has_taken(one: Placed, leaf: Leaf) -> bool:
    return any(is_previous(leaf, previous) for previous in one.took)
