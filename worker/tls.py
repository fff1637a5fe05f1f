"""What every TLS client of the worker begins with."""

import errno
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path


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
        check_regular(ca_file)
        context.load_verify_locations(ca_file)
    if identity is not None:
        for file in (identity.cert_file, identity.key_file):
            check_regular(file)
        # Asked for a passphrase, it would read from the terminal.
        context.load_cert_chain(identity.cert_file, identity.key_file, password="")
    return context


def check_regular(file: Path) -> None:
    """OSError for what is no regular file: OpenSSL would wait for a FIFO, and read a device without end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
