"""The roots that chains must lead to, from a PEM file or from the system."""

import ssl
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from worker.settings.errors import SettingsError

# Of Debian and its kin, of Red Hat's, and of the BSDs and Alpine.
_BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)


def trusted_roots(ca_bundle: str) -> Sequence[x509.Certificate]:
    """The roots that chains must lead to: of a PEM file, or for "system" those that TLS clients here trust."""
    path = _system_roots() if ca_bundle == "system" else Path(ca_bundle)
    try:
        with warnings.catch_warnings():
            # Old roots have serial numbers that the library frowns upon: nobody here can change them.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            roots = x509.load_pem_x509_certificates(path.read_bytes())
        is_for_everybody = path.stat().st_mode & stat.S_IWOTH
    except (OSError, ValueError):
        raise SettingsError(["trust.ca_bundle: no file of PEM certificates can be read there"]) from None
    if is_for_everybody:
        raise SettingsError(["trust.ca_bundle: can be written by everybody"])
    return roots


def _system_roots() -> Path:
    """What OpenSSL was built with, or was told; where that is not there, the bundle that other systems have."""
    told = ssl.get_default_verify_paths().cafile
    return next((path for path in (Path(told or "/"), *_BUNDLES) if path.is_file()), _BUNDLES[0])
