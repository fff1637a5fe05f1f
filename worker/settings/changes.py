"""What differs between two readings of the settings: by the names of keys, never by their values."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from worker.settings.loading import ca_files, secret_files
from worker.settings.model import Settings
from worker.settings.roots import roots_file

LIVE: Final = frozenset({"trust", "gateways", "certificates", "certificates_dir", "sweep", "publish", "retry"})
"""Sections whose change counts for what comes after it. What listens, and the broker's objects, were made before."""

Stamps = Mapping[str, tuple[int, ...] | None]
"""By key: which state of the file that it names was read. Never what is in it."""


def stamps_of(settings: Settings) -> Stamps:
    """Of every file that the settings name, but those that are read for each renewal."""
    keys = {f"trust.producers.{name}.public_key": one.public_key for name, one in settings.trust.producers.items()}
    known = {place: path for place, path in keys.items() if path is not None}
    bundle = {"trust.ca_bundle": roots_file(settings.trust.ca_bundle)}
    named = {**known, **bundle, **dict(ca_files(settings)), **dict(secret_files(settings))}
    return {place: _stamp(path) for place, path in named.items()}


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - as short
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def changed_files(before: Stamps, after: Stamps) -> Iterator[str]:
    """Keys that name a file which is another one now; a key that is new or gone is told by itself."""
    return (place for place in before if place in after and before[place] != after[place])


def in_force(running: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """What holds from now on, and the keys whose change waits for a restart."""
    live = {name: getattr(read, name) for name in type(read).model_fields if name in LIVE}
    # Each step is a queue at the broker.
    live["retry"] = read.retry.model_copy(update={"parking_seconds": running.retry.parking_seconds})
    settings = running.model_copy(update=live)
    return settings, list(differences(settings, read))


def differences(before: object, after: object, place: str = "") -> Iterator[str]:
    """The keys as they stand in the file, in order."""
    if before == after:
        return
    match before, after:
        case (BaseModel(), BaseModel()) if type(before) is type(after):
            for name, field in type(before).model_fields.items():
                yield from differences(getattr(before, name), getattr(after, name), _below(place, field.alias or name))
        case dict(), dict():
            for key in sorted({*before, *after}):
                # What is no setting differs from all that is one.
                yield from differences(before.get(key, ...), after.get(key, ...), _below(place, str(key)))
        case (tuple(), tuple()) if len(before) == len(after):
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from differences(one, other, _below(place, str(number)))
        case _:
            yield place


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
