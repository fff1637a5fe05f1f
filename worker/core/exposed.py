"""Keys that strangers may have: what an urgent renewal has replaced for that reason is put nowhere again."""

from collections.abc import Sequence
from typing import Final

from worker.core.bundle import Leaf, UsedKey
from worker.core.past import Placed, used_keys

_MOST: Final = 16
"""Of one certificate. Each of its events tells them again: so they outlive what the history forgets."""


def exposed_in(past: Sequence[Placed]) -> tuple[str, ...]:
    """SHA-256 of the public keys, in hex, those that were found out last at the end."""
    return tuple(dict.fromkeys(key for one in past for key in one.exposed_keys))[-_MOST:]


def exposed_by(past: Sequence[Placed], renewal_id: str, leaf: Leaf) -> tuple[str, ...]:
    """Those, and what is in use where this renewal comes because of a compromise. Oldest first."""
    if leaf.public_key_sha256 is None:
        return exposed_in(past)
    used = UsedKey(leaf.fingerprint_sha256, leaf.public_key_sha256, renewal_id)
    there = (one.public_key_sha256 for one in in_use(used_keys(past), used))
    keys = dict.fromkeys((*exposed_in(past), *there))
    return tuple(key for key in keys if key != leaf.public_key_sha256)[-_MOST:]


def in_use(before: Sequence[UsedKey], used: UsedKey) -> Sequence[UsedKey]:
    """What succeeded last, and what was put at some places since then. The same, half done, may be finished."""
    others = [one for one in before if one != used]
    last = max((number for number, one in enumerate(others) if one.is_told), default=0)
    return [one for one in others[last:] if one.is_told or one.fingerprint_sha256 != used.fingerprint_sha256]
