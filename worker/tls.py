"""What every TLS client of the worker begins with."""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.settings.files import problem_of_kind, problem_of_secret


class UnfitFileError(OSError):
    """A file that is not read for what it is, or for who may read or write it: the text says which."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Files by which a client shows who it is."""

    cert_file: Path
    key_file: Path


def verifying(ca_file: Path | None, identity: Identity | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, always verified; against `ca_file` alone where there is one. OSError where it cannot be read.

    So it is where the files of `identity` cannot be used.

    Not `ssl.create_default_context`: that one writes the keys of every connection to the file that `SSLKEYLOGFILE`
    names in the environment.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs()
    else:
        check(ca_file)
        context.load_verify_locations(ca_file)
    if identity is not None:
        check(identity.cert_file)
        check(identity.key_file, problem_of_secret)
        # Asked for a passphrase, it would read from the terminal.
        context.load_cert_chain(identity.cert_file, identity.key_file, password="")
    return context


def check(file: Path, problem_of: Callable[[os.stat_result], str | None] = problem_of_kind) -> None:
    """OSError for what is no regular file: OpenSSL would wait for a FIFO, and read a device without end.

    So it is for what everybody may write or, where it holds a key (`problem_of_secret`), read: its mode may have
    changed since the start.
    """
    problem = problem_of(file.stat())
    if problem is not None:
        raise UnfitFileError(problem)


def cause(error: Exception) -> str:
    """What may be told of an error with these files: of others than ours the kind alone."""
    return str(error) if isinstance(error, UnfitFileError) else type(error).__name__
