"""The private key: compared with the leaf and written again, not validated."""

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from worker.core.errors import RefusedError
from worker.core.key_kind import TakenKey, quickly_loaded
from worker.core.pem import private_key_in
from worker.core.reading import UNREADABLE, chain_in, public_bytes
from worker.core.secret import Secret


def matching_key(private_key_pem: Secret, public_key: bytes) -> Secret:
    """The key as unencrypted PKCS#8, if `public_key` (DER) is its other half.

    An RSA key is loaded without its slow validation, and nothing is computed with it: it is compared and written again.

    Reasons: those of `pem.private_key_in`, `key_unparseable`, `key_type`, `key_mismatch`.
    """
    key = _loaded(private_key_pem)
    if public_bytes(key) != public_key:
        raise RefusedError("key_mismatch", "key: is not the certificate's")
    try:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    except UNREADABLE:
        raise RefusedError("key_unparseable", "key: cannot be written again") from None
    return Secret(pem.decode())


def fit(chain_pem: str, private_key_pem: Secret) -> bool:
    """Whether the key is the leaf's. What cannot be read is for the certificate's rules to judge."""
    try:
        return public_bytes(_loaded(private_key_pem)) == public_bytes(chain_in(chain_pem)[0])
    except (RefusedError, *UNREADABLE):
        return True


def _loaded(private_key_pem: Secret) -> TakenKey:
    return quickly_loaded(private_key_in(private_key_pem.reveal()))
