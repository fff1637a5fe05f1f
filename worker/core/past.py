"""What was put in a certificate's places before, as its outcome events tell it: what comes late undoes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from worker.core.bundle import Leaf, UsedKey
from worker.core.outcome import Previous


@dataclass(frozen=True, slots=True)
class Placed:
    """A leaf that a renewal has put in its place, or at some of its places: all that is kept of its event."""

    renewal_id: str
    fingerprint_sha256: str
    not_before: datetime
    not_after: datetime
    is_told: bool = True
    """As succeeded."""
    serial_number: str | None = None
    public_key_sha256: str | None = None
    took: tuple[Previous, ...] = ()
    """What was stored where this was put, and is not any more."""
    at: datetime | None = None
    """When it was told; None where its event does not say."""

    def is_of(self, renewal_id: str, leaf: Leaf) -> bool:
        return (self.renewal_id, self.fingerprint_sha256) == (renewal_id, leaf.fingerprint_sha256)

    @property
    def key(self) -> str:
        """What comes again under the same one takes the place of what came before."""
        return f"{self.is_told:d} {self.fingerprint_sha256} {self.renewal_id}"

    def after(self, before: "Placed") -> "Placed":
        """The same, which came again: what it took the first time is taken."""
        return replace(self, took=tuple(dict.fromkeys((*before.took, *self.took))))


def placed_in(event: Mapping[str, Any]) -> Placed | None:
    """None where the outcome is of nothing that was put anywhere, or of what is no event of ours."""
    told = event.get("data")
    leaf = told.get("leaf") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(leaf, dict):
        return None
    begins, ends, is_told = moment(leaf.get("not_before")), moment(leaf.get("not_after")), told.get("outcome")
    lasting = _lasting(told.get("deployments"))
    if begins is None or ends is None or not (is_told == "succeeded" or any(map(_has_changed, lasting))):
        return None
    return Placed(
        str(told.get("renewal_id")),
        str(leaf.get("fingerprint_sha256")),
        begins,
        ends,
        is_told == "succeeded",
        _text(leaf.get("serial_number")),
        _text(leaf.get("public_key_sha256")),
        tuple(_taken(lasting)),
        moment(event.get("time")),
    )


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


def used_key(past: Sequence[Placed]) -> UsedKey | None:
    """That of the latest that succeeded and tells it: older workers told none. Oldest first."""
    for one in reversed(past):
        if one.is_told and one.public_key_sha256 is not None:
            return UsedKey(one.fingerprint_sha256, one.public_key_sha256)
    return None


def moment(text: object) -> datetime | None:
    """None for what is no time, or of nowhere."""
    with suppress(ValueError):
        at = datetime.fromisoformat(str(text))
        return at if at.tzinfo is not None else None
    return None


def _lasting(deployments: object) -> Sequence[Mapping[str, Any]]:
    """Those that did not go back."""
    known = [one for one in deployments if isinstance(one, dict)] if isinstance(deployments, list) else []
    return [one for one in known if one.get("reason") != "rolled_back"]


def _has_changed(deployment: Mapping[str, Any]) -> bool:
    """Whether anything was stored or bound there."""
    bindings = deployment.get("bindings")
    return bool(deployment.get("replaced")) or (isinstance(bindings, dict) and bool(bindings.get("attached")))


def _taken(deployments: Sequence[Mapping[str, Any]]) -> Iterator[Previous]:
    for one in deployments:
        previous = one.get("previous")
        if one.get("replaced") and isinstance(previous, dict):
            yield Previous(_text(previous.get("serial_number")), moment(previous.get("not_after")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
