"""What was put in a certificate's places before, as its outcome events tell it: what comes late undoes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.core.bundle import Leaf


@dataclass(frozen=True, slots=True)
class Placed:
    """A leaf that a renewal has put in its place, or at some of its places."""

    renewal_id: str
    fingerprint_sha256: str
    not_before: datetime
    not_after: datetime
    is_told: bool = True
    """As succeeded."""

    def is_of(self, renewal_id: str, leaf: Leaf) -> bool:
        return (self.renewal_id, self.fingerprint_sha256) == (renewal_id, leaf.fingerprint_sha256)


def placed_in(event: Mapping[str, Any]) -> Placed | None:
    """None where the outcome is of nothing that was put anywhere, or of what is no event of ours."""
    told = event.get("data")
    leaf = told.get("leaf") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(leaf, dict):
        return None
    begins, ends, is_told = moment(leaf.get("not_before")), moment(leaf.get("not_after")), told.get("outcome")
    if begins is None or ends is None or not (is_told == "succeeded" or _has_changed(told.get("deployments"))):
        return None
    return Placed(
        str(told.get("renewal_id")), str(leaf.get("fingerprint_sha256")), begins, ends, is_told == "succeeded"
    )


def all_placed(events: Iterable[Mapping[str, Any]]) -> Sequence[Placed]:
    """In the order of the events."""
    return tuple(placed for event in events if (placed := placed_in(event)) is not None)


def is_replayed(past: Sequence[Placed], renewal_id: str, leaf: Leaf) -> bool:
    """Whether this very renewal has succeeded before, and another certificate was put in its place since.

    Oldest first. The leaf is compared too: nobody keeps a careless producer from giving every renewal one id.
    """
    if not past or past[-1].fingerprint_sha256 == leaf.fingerprint_sha256:
        return False
    return any(one.is_told and one.is_of(renewal_id, leaf) for one in past)


def is_overtaken(past: Sequence[Placed], leaf: Leaf, undo_until: datetime | None) -> bool:
    """Whether what was put there last is newer than the leaf, and nothing that may be undone. Oldest first.

    What an urgent renewal took back is no longer what was put there last.
    """
    if not past:
        return False
    last = past[-1]
    is_newer = (last.not_before, last.not_after) > (leaf.not_before, leaf.not_after)
    return is_newer and (undo_until is None or last.not_before > undo_until)


def moment(text: object) -> datetime | None:
    """None for what is no time, or of nowhere."""
    with suppress(ValueError):
        at = datetime.fromisoformat(str(text))
        return at if at.tzinfo is not None else None
    return None


def _has_changed(deployments: object) -> bool:
    """Whether anything was stored or bound at one of them, and stayed there."""
    known = [one for one in deployments if isinstance(one, dict)] if isinstance(deployments, list) else []
    lasting = [one for one in known if one.get("reason") != "rolled_back"]
    return any(one.get("replaced") or _attached(one.get("bindings")) for one in lasting)


def _attached(bindings: object) -> bool:
    return isinstance(bindings, dict) and bool(bindings.get("attached"))
