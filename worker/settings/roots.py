"""The roots that chains must lead to, from a PEM file or from the system."""

import os
import ssl
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from worker.core.errors import unchained
from worker.settings.errors import SettingsError
from worker.settings.files import problem_of_kind, read_bounded

# Of Debian and its kin, of Red Hat's, and of the BSDs and Alpine.
_BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)
_LONGEST: Final = 4 * 1024 * 1024
"""Bytes; what browsers trust is a quarter of a megabyte."""
_PLACE: Final = "trust.ca_bundle"


def trusted_roots(ca_bundle: str) -> Sequence[x509.Certificate]:
    """Of a PEM file, or for "system" those that TLS clients here trust. Raises SettingsError."""
    content = _content(roots_file(ca_bundle))
    try:
        with warnings.catch_warnings():
            # Old roots have serial numbers that the library frowns upon: nobody here can change them.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise SettingsError([f"{_PLACE}: no PEM certificates can be read there"]) from None


@unchained
def _content(path: Path) -> bytes:
    def look(status: os.stat_result) -> None:
        problem = problem_of_kind(status)
        if problem is not None:
            raise SettingsError([f"{_PLACE}: {problem}"])

    try:
        content = read_bounded(path, _LONGEST, look)
    except OSError as error:
        raise SettingsError([f"{_PLACE}: {error.strerror}"]) from None
    if len(content) > _LONGEST:
        raise SettingsError([f"{_PLACE}: over {_LONGEST} bytes"])
    return content


def roots_file(ca_bundle: str) -> Path:
    """Where these roots lie."""
    return _system_roots() if ca_bundle == "system" else Path(ca_bundle)


def _system_roots() -> Path:
    """What OpenSSL was built with, or was told; where that is not there, the bundle that other systems have."""
    told = ssl.get_default_verify_paths().cafile
    return next((path for path in (Path(told or "/"), *_BUNDLES) if path.is_file()), _BUNDLES[0])
