"""The durable spool: what a hook has to say is on disk before anything is sent, and until it is confirmed."""

import asyncio
import base64
import json
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from worker.broker.base import Message, sound_traceparent
from worker.broker.locking import taken

_SUFFIX: Final = ".json"
_BAD: Final = ".bad"
_UNFINISHED: Final = ".tmp"
_LOCK: Final = "lock"
_ABANDONED_AFTER: Final = 3600.0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class SpoolError(OSError):
    """The spool cannot be used; the text names the place and what the system says."""


class SpoolBusyError(SpoolError):
    """Another process is sending what lies there."""


class _CorruptError(Exception):
    """A file that no `write` of ours can have left."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in the spool, ready to be sent as it is: the same bytes at every try."""

    path: Path
    renewal_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of its owner's alone, one file a message; names sort by time."""

    folder: Path

    def write(self, renewal_id: str, message: Message) -> Path:
        """On disk when it returns, with its name: a crash leaves all of it or nothing. Raises SpoolError."""
        path = self.folder / f"{time.time_ns():020d}-{renewal_id}{_SUFFIX}"
        with _told(self.folder):
            self._prepare()
            unfinished = path.with_suffix(_UNFINISHED)
            try:
                _write(unfinished, _packed(renewal_id, message))
                unfinished.rename(path)
                _sync_folder(self.folder)
            except OSError:
                # Nobody shall find half of it, nor a message whose writer was told that it is not there.
                for left in (unfinished, path):
                    with suppress(OSError):
                        left.unlink()
                raise
        return path

    def _prepare(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self.folder.parent)
        status = self.folder.stat()
        if status.st_uid != os.geteuid():
            raise PermissionError(None, "the folder is another user's")
        if status.st_mode & _OTHERS:
            self.folder.chmod(0o700)

    @asynccontextmanager
    async def held(self, within: float) -> AsyncIterator[None]:
        """One process sends at a time. Raises SpoolBusyError when it is not our turn within so many seconds."""
        with _told(self.folder):
            self._prepare()
            lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            await _our_turn(lock, within)
            self._clear_unfinished()
            yield
        finally:
            os.close(lock)

    def _clear_unfinished(self) -> None:
        """What killed writers left. A younger one may still be written."""
        with suppress(OSError):
            for path in self.folder.glob(f"*{_UNFINISHED}"):
                if path.stat().st_mtime < time.time() - _ABANDONED_AFTER:
                    path.unlink()

    def waiting(self) -> Sequence[Path]:
        """Oldest first."""
        with _told(self.folder):
            return sorted(path for path in self.folder.iterdir() if path.suffix == _SUFFIX)

    def read(self, path: Path) -> Waiting | Path:
        """The message; or, for a file that is none, where it was put aside."""
        with _told(self.folder):
            try:
                return _unpacked(path, path.read_bytes())
            except _CorruptError:
                aside = path.with_name(f"{path.name}{_BAD}")
                path.rename(aside)
                _sync_folder(self.folder)
                return aside

    def forget(self, waiting: Waiting) -> None:
        """After the confirm."""
        with _told(self.folder):
            waiting.path.unlink(missing_ok=True)
            _sync_folder(self.folder)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(f"{folder}: {error.strerror or 'cannot be used'}") from None


async def _our_turn(lock: int, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await taken(lock)
    except TimeoutError:
        raise SpoolBusyError("another publish is still sending what lies in the spool") from None


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """A rename or a removal is durable only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _packed(renewal_id: str, message: Message) -> bytes:
    packed = {
        "renewal_id": renewal_id,
        "content_type": message.content_type,
        "priority": message.priority,
        "sha256": sha256(message.body).hexdigest(),
        "body": base64.b64encode(message.body).decode(),
        **({} if message.traceparent is None else {"traceparent": message.traceparent}),
    }
    return json.dumps(packed).encode()


def _unpacked(path: Path, content: bytes) -> Waiting:
    try:
        match json.loads(content):
            case {
                "renewal_id": str(renewal_id),
                "content_type": str(content_type),
                "priority": int(priority),
                "sha256": str(digest),
                "body": str(encoded),
                **more,
            }:
                body = base64.b64decode(encoded, validate=True)
            case _:
                raise _CorruptError
    except (ValueError, RecursionError):
        raise _CorruptError from None
    if sha256(body).hexdigest() != digest:
        raise _CorruptError
    traceparent = sound_traceparent(more.get("traceparent"))
    return Waiting(path, renewal_id, Message(body, content_type, priority=priority, traceparent=traceparent))
