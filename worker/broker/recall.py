"""What was told and noted before.

A renewal that comes again may have had its outcome, and died on the way to being settled; or a worker died in the
middle of it, and had noted what it was about to change.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from worker.core.note import is_note, note_in
from worker.core.snapshot import Snapshot

FOR: Final = timedelta(days=3)
"""How long ago at most: a machine may be down over a weekend."""


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome that the world has heard of."""

    outcome: str
    reason: str
    at: str = ""
    """When, as its event has it: no clock is asked for what only has to be told apart."""


@dataclass(slots=True)
class Recall:
    """What `read` says was told and noted, read when it is asked for first, and what is learned from then on."""

    read: Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
    """Outcome events and notes, oldest first."""
    _known: dict[tuple[str, str | None], Told] = field(default_factory=dict)
    """By event id and certificate: nobody keeps two producers from giving two renewals one id."""
    _noted: dict[tuple[str, str | None], dict[str, Snapshot]] = field(default_factory=dict)
    """By certificate and leaf, then by deployment."""
    _meanwhile: list[Mapping[str, object]] = field(default_factory=list)
    """What was learned while it was read, which may not have been part of that."""
    _is_read: bool = False
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, event_ids: Collection[str], certificate: str | None, but: str | None) -> Told | None:
        """The certificate's outcome under one of these ids, not that of the time `but`. Raises what `read` does."""
        await self._catch_up()
        found = (self._known.get((one, certificate)) for one in event_ids)
        return next((told for told in found if told is not None and told.at != but), None)

    async def noted(self, certificate: str, leaf: str) -> Mapping[str, Snapshot]:
        """By deployment. Raises what `read` does."""
        await self._catch_up()
        return dict(self._noted.get((certificate, leaf), {}))

    async def _catch_up(self) -> None:
        async with self._reading:
            if not self._is_read:
                self._meanwhile.clear()
                entries = await self.read()
                # What was learned before is part of it, and in its order there.
                self._noted.clear()
                for entry in (*entries, *self._meanwhile):
                    self._take_in(entry)
                self._is_read = True

    def learn(self, entry: Mapping[str, object]) -> None:
        """What this process has published just now."""
        if self._reading.locked():
            self._meanwhile.append(entry)
        self._take_in(entry)

    def _take_in(self, entry: Mapping[str, object]) -> None:
        if is_note(entry):
            self._take_in_note(entry)
        else:
            self._take_in_event(entry)

    def _take_in_note(self, entry: Mapping[str, object]) -> None:
        found = note_in(entry)
        if found is None:
            return
        certificate, note = found
        known = self._noted.setdefault((certificate, note.leaf), {})
        known[note.deployment] = known.get(note.deployment, Snapshot()).followed_by(note.snapshot)

    def _take_in_event(self, event: Mapping[str, object]) -> None:
        """Later ones of the same id and certificate replace earlier ones; notes end with the outcome of their leaf."""
        data, certificate = event.get("data"), event.get("subject")
        if isinstance(data, dict) and isinstance(certificate, str | None):
            told = Told(str(data.get("outcome")), str(data.get("reason")), str(event.get("time")))
            self._known[str(event.get("id")), certificate] = told
            self._noted.pop((str(certificate), _leaf(data)), None)

    def forget(self) -> None:
        """Another worker may have told more meanwhile: it is read again."""
        self._known.clear()
        self._noted.clear()
        self._is_read = False


def told_at(event: Mapping[str, object]) -> datetime | None:
    """None where it does not say."""
    with suppress(ValueError):
        at = datetime.fromisoformat(str(event.get("time")))
        return None if at.tzinfo is None else at
    return None


def _leaf(data: Mapping[str, object]) -> str | None:
    """The fingerprint; None where the outcome came before the leaf was known."""
    leaf = data.get("leaf")
    return str(leaf.get("fingerprint_sha256")) if isinstance(leaf, dict) else None
