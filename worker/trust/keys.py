"""JWK files: read again when they change, so that a rollover needs no restart; and made."""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from worker.core.errors import TransientError, unchained
from worker.core.unrepeated import without_repeats
from worker.settings.files import problem_of_kind, problem_of_secret, read_bounded
from worker.trust.members import problem_of_public

_LONGEST: Final = 8192
_CURVES: Final = frozenset({"P-256", "P-384", "P-521", "X25519"})
_SIGNING: Final = "Ed25519"
_NO_JWK: Final = "no JWK of a kind that is used here"
Key = ECKey | OKPKey
_KINDS: Final[Mapping[object, Any]] = {"EC": ECKey, "OKP": OKPKey}


class KeyFileError(Exception):
    """The file holds no key of the wanted kind, or cannot be read; the text never quotes it."""


@unchained
def read_key(path: Path, *, is_private: bool, signs: bool) -> Key:
    """A JWK: for sealing EC (P-256, P-384, P-521) or X25519, for signing Ed25519. Raises KeyFileError."""
    fields = _fields(_content(path, is_private=is_private))
    problem = None if is_private else problem_of_public(fields, signs=signs)
    if problem is not None:
        raise KeyFileError(problem)
    key = _imported(fields)
    curve = key.as_dict(private=False).get("crv")
    if (curve == _SIGNING) != signs or (not signs and curve not in _CURVES):
        raise KeyFileError("no Ed25519 key" if signs else "neither an EC nor an X25519 key")
    if is_private and not key.is_private:
        raise KeyFileError("no private key")
    return key


def _content(path: Path, *, is_private: bool) -> bytes:
    def look(status: os.stat_result) -> None:
        problem = problem_of_secret(status) if is_private else problem_of_kind(status)
        if problem is not None:
            raise KeyFileError(problem)

    try:
        return read_bounded(path, _LONGEST, look)[:_LONGEST]
    except OSError as error:
        raise KeyFileError(f"cannot be read: {error.strerror}") from None


@unchained
def _fields(content: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(content, object_pairs_hook=without_repeats)
    except (ValueError, RecursionError):
        raise KeyFileError(_NO_JWK) from None
    if not isinstance(fields, dict) or fields.get("kty") not in tuple(_KINDS):
        raise KeyFileError(_NO_JWK)
    return fields


@unchained
def _imported(fields: Mapping[str, Any]) -> Key:
    try:
        # What a key may be used for is decided by where it is named.
        known = {name: value for name, value in fields.items() if name not in ("use", "key_ops")}
        imported: Key = _KINDS[fields["kty"]].import_key(known)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise KeyFileError(_NO_JWK) from None
    return imported


@dataclass(slots=True)
class KeyFile:
    """One JWK file, read again when it changes."""

    path: Path
    is_private: bool
    signs: bool
    _seen: tuple[int, ...] | None = None
    _key: Key | None = None

    def key(self) -> Key:
        """Raises KeyFileError."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise KeyFileError(f"cannot be read: {error.strerror}") from None
        # Also who may read it now.
        seen = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_ctime_ns)
        if self._key is None or seen != self._seen:
            self._key, self._seen = read_key(self.path, is_private=self.is_private, signs=self.signs), seen
        return self._key


@dataclass(frozen=True, slots=True)
class Recipients:
    """The worker's own keys, newest first."""

    files: Sequence[KeyFile] = ()

    @classmethod
    def at(cls, paths: Sequence[Path]) -> "Recipients":
        return cls([KeyFile(path, is_private=True, signs=False) for path in paths])

    def keys(self, kid: str | None) -> Sequence[Key]:
        """Those of that id; all, newest first, where none has it.

        TransientError where none has it and a file cannot be read: that one may.
        """
        keys: list[Key] = []
        problem = None
        for file in self.files:
            try:
                keys.append(file.key())
            except KeyFileError as error:
                problem = problem or str(error)
        wanted = [key for key in keys if kid is not None and kid_of(key) == kid]
        if problem is not None and not wanted:
            raise TransientError("key_file_unreadable", f"trust.recipient_keys: {problem}")
        return wanted or keys


@dataclass(frozen=True, slots=True)
class Signers:
    """The producers' public keys, by name."""

    files: Mapping[str, KeyFile] = field(default_factory=dict)

    @classmethod
    def at(cls, paths: Mapping[str, Path]) -> "Signers":
        return cls({name: KeyFile(path, is_private=False, signs=True) for name, path in paths.items()})

    def key(self, producer: str) -> Key | None:
        """None for a producer whose key is not known. TransientError where it cannot be read."""
        file = self.files.get(producer)
        try:
            return None if file is None else file.key()
        except KeyFileError as error:
            raise TransientError("key_file_unreadable", f"trust.producers: {error}") from None


def kid_of(key: Key) -> str:
    """What the file says, else the key's thumbprint (RFC 7638)."""
    return str(key.as_dict(private=False).get("kid") or key.thumbprint())


def made(folder: Path, name: str, *, signs: bool) -> tuple[Path, Path]:
    """Writes a fresh pair: NAME.jwk, private and mode 0600, and NAME.pub.jwk. FileExistsError rather than overwrite."""
    key: Key = OKPKey.generate_key(_SIGNING, private=True) if signs else ECKey.generate_key("P-256", private=True)
    kid = name if signs else key.thumbprint()
    private, public = folder / f"{name}.jwk", folder / f"{name}.pub.jwk"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (private, public):
        if os.path.lexists(path):  # also a link that leads nowhere
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    for path, is_private, mode in ((private, True, 0o600), (public, False, 0o644)):
        _write(path, {**key.as_dict(private=is_private), "kid": kid}, mode)
    return private, public


def _write(path: Path, fields: Mapping[str, object], mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, mode)
        file.write(json.dumps(fields, indent=1) + "\n")
        file.flush()
        os.fsync(descriptor)


def problem_of(path: Path, *, is_private: bool, signs: bool) -> str | None:
    """What is wrong with a key file, for the settings' own check."""
    try:
        read_key(path, is_private=is_private, signs=signs)
    except KeyFileError as error:
        return str(error)
    return None
