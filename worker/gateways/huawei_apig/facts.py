"""Facts of stored certificates that lists do not tell, read as seldom as is safe: calls are few, domains many."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeVar

from worker.core.errors import PermanentError, TransientError
from worker.core.planning import Stored
from worker.effort import current_effort
from worker.gateways.huawei_apig.client import PAGE, ApigClient
from worker.gateways.huawei_apig.wire import Certificate
from worker.gateways.together import together

# Refusals that are about one group or certificate. All others are about the account.
_OF_ONE: Final = frozenset({"not_found", "forbidden", "bad_request"})
_FORGOTTEN_AFTER: Final = 3600.0
"""Seconds in which nobody asked: longer than a time slice, shorter than the time between two sweeps."""
_STILL_NEW: Final = timedelta(seconds=10)
"""Binding an upload, in the call that makes it, may count as a change to it."""
A = TypeVar("A")
T = TypeVar("T")


async def readable(read: Callable[[A], Awaitable[T]], one: A) -> T | None:
    """None where this one alone cannot be read. What passes, and what is about the account, is raised."""
    try:
        return await read(one)
    except PermanentError as error:
        if error.reason not in _OF_ONE:
            raise
        return None


@dataclass(slots=True)
class _Seen:
    shown: Certificate
    asked_at: float
    """When it was last of use, by the loop's clock."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one account. What was shown is remembered, so that a rotation whose time slice ended in between gets on.

    What is remembered counts only where a list of now says that the certificate was not changed since.
    """

    client: ApigClient
    _seen: dict[str, _Seen] = field(default_factory=dict)

    async def of(self, ids: Iterable[str], uploads: Mapping[str, Certificate]) -> Mapping[str, Stored]:
        """By id; what is gone meanwhile, or cannot be read, is left out.

        `uploads` are those whose names tell their leaf, as they are listed: of each leaf one alone is looked at.
        """
        alike: defaultdict[Hashable, list[str]] = defaultdict(list)
        for one in ids:
            alike[_leaf_of(uploads.get(one)) or one].append(one)
        found = dict(await self._shown([first for first, *_others in alike.values()]))
        for first, *others in alike.values():
            if first in found and _is_as_shown(uploads.get(first), found[first]):
                found |= {one: _with_leaf_of(found[first], uploads[one]) for one in others}
        unknown = [one for same in alike.values() for one in same[1:] if one not in found]
        found |= await self._shown(unknown)
        return {one: certificate.stored() for one, certificate in found.items()}

    async def _shown(self, ids: Sequence[str]) -> Mapping[str, Certificate]:
        known = await self._remembered(ids)
        read = await together(readable(self._look, one) for one in ids if one not in known)
        return {**known, **{one.id: one for one in read if one is not None}}

    async def _look(self, certificate_id: str) -> Certificate:
        """Kept at once: the time slice may end while others are still being read."""
        shown, known = await self.client.show(certificate_id), self._seen.get(certificate_id)
        if shown.update_time is not None:
            self._seen[certificate_id] = _Seen(shown, _now())
            current_effort().learned += known is None or known.shown != shown
        return shown

    async def _remembered(self, ids: Sequence[str]) -> Mapping[str, Certificate]:
        """What was shown before, and is listed as it was then."""
        for one in [one for one, seen in self._seen.items() if seen.asked_at < _now() - _FORGOTTEN_AFTER]:
            del self._seen[one]
        # Of its own: while the list is read, another rotation may forget what is old.
        seen = {one: self._seen[one] for one in ids if one in self._seen}
        for known in seen.values():
            known.asked_at = _now()
        listed = await self._listed(len(seen))
        return {one: known.shown for one, known in seen.items() if _is_as_shown(listed.get(one), known.shown)}

    async def _listed(self, most: int) -> Mapping[str, Certificate]:
        """All that is stored, for fewer calls than `most`; nothing where it takes more, or does not come to rest."""
        if most <= 1 or (await self.client.page(0, 1)).total > PAGE * (most - 1):
            return {}
        try:
            return {one.id: one for one in await self.client.listed()}
        except TransientError as error:
            if error.reason != "busy":
                raise
            return {}


def _leaf_of(upload: Certificate | None) -> tuple[Hashable, ...] | None:
    """Equal for uploads of one leaf; None where it may have been changed since, or the list does not tell."""
    if upload is None or upload.not_after is None or upload.create_time is None or upload.update_time is None:
        return None
    if upload.update_time - upload.create_time > _STILL_NEW:
        return None
    return upload.name.rpartition("_")[0], upload.not_after, upload.san


def _with_leaf_of(shown: Certificate, listed: Certificate) -> Certificate:
    """What is listed, with what lists do not tell."""
    return listed.model_copy(update={"serial_number": shown.serial_number, "not_before": shown.not_before})


def _is_as_shown(listed: Certificate | None, shown: Certificate) -> bool:
    return listed is not None and (listed.name, listed.not_after, listed.san, listed.update_time) == (
        shown.name,
        shown.not_after,
        shown.san,
        shown.update_time,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
