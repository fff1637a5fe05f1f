"""What was put in a certificate's places before, as its outcome events tell it: what comes late undoes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from worker.core.bundle import Leaf, UsedKey
from worker.core.outcome import Previous
from worker.core.renewal import known_as
from worker.core.reporting import ROLLED_BACK

_WHOLE_SECOND: Final = timedelta(seconds=1)
"""A signature's time has no fractions."""
_LATEST: Final = 2
"""Of the renewals that brought the same, beside the first and the very last."""
_MOST_TAKEN: Final = 8


@dataclass(frozen=True, slots=True)
class Placed:
    """A leaf that a renewal has put in its place, or at some of its places: all that is kept of its event."""

    renewal_id: str
    """As `known_as` has it."""
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
    went_back: bool = False
    """At one of its places at least: what clients were served of it was bad."""
    lasts: bool = True
    """False where it went back wherever it was put."""
    earlier: tuple[str, ...] = ()
    """Of the renewals that brought it before: the first, and the latest."""
    exposed_keys: tuple[str, ...] = ()
    """Public keys whose other half strangers may have, by their SHA-256."""
    has_changed: bool = field(default=True, compare=False)
    """False where it was there already."""

    def is_of(self, renewal_id: str, leaf: Leaf) -> bool:
        return renewal_id in self.renewals and self.fingerprint_sha256 == leaf.fingerprint_sha256

    @property
    def renewals(self) -> tuple[str, ...]:
        """All that are known to have brought it, the latest last."""
        return *self.earlier, self.renewal_id

    @property
    def place(self) -> str:
        """What comes again under the same one takes the place of what came before, whichever renewal brings it.

        Whoever may renew a certificate can bring what is there already, as often as he likes.
        """
        return f"{self.is_told:d} {self.fingerprint_sha256}"

    @property
    def key(self) -> str:
        """The place, by the renewal: a second blank tells those that changed nothing."""
        return f"{self.place}{' ' if self.has_changed else '  '}{self.renewal_id}"

    def after(self, before: "Placed", *, is_next: bool) -> "Placed":
        """The same, which came again: what it took the first time is taken. `is_next`: nothing came in between."""
        earlier = [one for one in dict.fromkeys(before.renewals) if one != self.renewal_id]
        took = [one for one in before.took if one not in self.took]
        stays = is_next and not self.has_changed and before.at is not None
        return replace(
            self,
            took=(*took, *self.took)[-max(_MOST_TAKEN, len(self.took)) :],
            at=before.at if stays else self.at,
            lasts=self.lasts or (before.lasts and before.renewal_id != self.renewal_id),
            earlier=(*earlier[:1], *earlier[1:][-_LATEST:]),
        )

    def has_taken(self, other: "Placed") -> bool:
        """Whether it was put where that newer one was stored."""
        return (
            self.lasts and other.not_before > self.not_before and any(_is_of(other, previous) for previous in self.took)
        )


def placed_in(event: Mapping[str, Any]) -> Placed | None:
    """None where the outcome is of nothing that was put anywhere, or of what is no event of ours."""
    told = event.get("data")
    leaf = told.get("leaf") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(leaf, dict):
        return None
    begins, ends, is_told = moment(leaf.get("not_before")), moment(leaf.get("not_after")), told.get("outcome")
    deployments = deployments_in(told)
    stayed = [one for one in deployments if not _went_back(one)]
    lasts = is_told == "succeeded" or any(map(_has_changed, stayed))
    went_back = _went_back(told) or any(map(_has_gone_back, deployments))
    if begins is None or ends is None or not (lasts or went_back):
        return None
    return Placed(
        known_as(_text(told.get("renewal_id")), _text(told.get("message_sha256"))),
        str(leaf.get("fingerprint_sha256")),
        begins,
        ends,
        is_told == "succeeded",
        _text(leaf.get("serial_number")),
        _text(leaf.get("public_key_sha256")),
        tuple(dict.fromkeys(_taken(stayed))),
        moment(event.get("time")),
        went_back,
        lasts,
        exposed_keys=_texts(told.get("exposed_keys")),
        has_changed=any(map(_has_changed, deployments)),
    )


def lasting(past: Sequence[Placed]) -> Sequence[Placed]:
    """What did not go back everywhere."""
    return [one for one in past if one.lasts]


def least_needed(past: Sequence[Placed]) -> Placed:
    """What may be forgotten first, of several. Oldest first.

    Never the latest, nor what has taken back one of the others while there is anything else.
    """
    return next((one for one in past[:-1] if not any(map(one.has_taken, past))), past[0])


def is_replayed(past: Sequence[Placed], renewal_id: str, leaf: Leaf, *, is_again: bool) -> bool:
    """Whether this very renewal was carried out before, and another certificate was put in its place since.

    Oldest first. The leaf is compared too: nobody keeps a careless producer from giving every renewal one id.
    `is_again`: a worker had it in hand before, so what it did not bring to its end it may go on with.
    """
    there = lasting(past)
    if not there or there[-1].fingerprint_sha256 == leaf.fingerprint_sha256:
        return False
    return any((one.is_told or not is_again) and one.is_of(renewal_id, leaf) for one in there)


def is_overtaken(past: Sequence[Placed], leaf: Leaf, undo_until: datetime | None) -> bool:
    """Whether what was put there last is newer than the leaf, and nothing that may be undone. Oldest first.

    What an urgent renewal took back is no longer what was put there last.
    """
    there = lasting(past)
    if not there:
        return False
    last = there[-1]
    return _is_newer(last, leaf) and (undo_until is None or last.not_before > undo_until)


def is_put_since(past: Sequence[Placed], leaf: Leaf, signed_at: datetime | None) -> bool:
    """Whether what was put there last is newer, and came there after the renewal was signed. Oldest first.

    Nobody signs for undoing what is not there yet: CAs date certificates back, so that it may have begun before.
    """
    there = lasting(past)
    if signed_at is None or not there:
        return False
    last = there[-1]
    return _is_newer(last, leaf) and last.at is not None and last.at >= signed_at + _WHOLE_SECOND


def _is_newer(placed: Placed, leaf: Leaf) -> bool:
    return (placed.not_before, placed.not_after) > (leaf.not_before, leaf.not_after)


def used_keys(past: Sequence[Placed]) -> Sequence[UsedKey]:
    """Those of all that did not go back everywhere, and tell it, in the same order: older workers told none."""
    return [
        UsedKey(one.fingerprint_sha256, one.public_key_sha256, renewal_id, one.is_told)
        for one in lasting(past)
        if one.public_key_sha256 is not None
        for renewal_id in one.renewals
    ]


def _is_of(placed: Placed, previous: Previous) -> bool:
    """Some gateways tell no serial numbers, and older workers told none."""
    if previous.serial_number is not None and placed.serial_number is not None:
        return previous.serial_number == placed.serial_number
    return previous.not_after == placed.not_after


def moment(text: object) -> datetime | None:
    """None for what is no time, or of nowhere."""
    with suppress(ValueError):
        at = datetime.fromisoformat(str(text))
        return at if at.tzinfo is not None else None
    return None


def deployments_in(told: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Of an event's data, which may be anything."""
    deployments = told.get("deployments")
    return [one for one in deployments if isinstance(one, dict)] if isinstance(deployments, list) else []


def _went_back(told: Mapping[str, Any]) -> bool:
    """Of a deployment, or of all."""
    return bool(told.get("reason") == ROLLED_BACK)


def _has_gone_back(deployment: Mapping[str, Any]) -> bool:
    """Also where that has come no further than half way."""
    bindings = deployment.get("bindings")
    is_begun = isinstance(bindings, dict) and bool(bindings.get(ROLLED_BACK)) and deployment.get("outcome") == "failed"
    return is_begun or _went_back(deployment)


def _has_changed(deployment: Mapping[str, Any]) -> bool:
    """Whether anything was stored or bound there."""
    bindings = deployment.get("bindings")
    return bool(deployment.get("replaced")) or (isinstance(bindings, dict) and bool(bindings.get("attached")))


def _taken(deployments: Sequence[Mapping[str, Any]]) -> Iterator[Previous]:
    for one in deployments:
        previous = one.get("previous")
        if one.get("replaced") and isinstance(previous, dict):
            yield Previous(_text(previous.get("serial_number")), moment(previous.get("not_after")))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
