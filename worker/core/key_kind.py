"""Which kind of key a block says it is, seen before it is loaded: of a DSA or DH key the library computes for long."""

import base64
import re
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from worker.core.errors import RefusedError, unchained
from worker.core.reading import UNREADABLE

TakenKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]+)-----END \1-----\s*")
_BY_LABEL: Final = frozenset({"RSA PRIVATE KEY", "EC PRIVATE KEY"})
# PKCS#8 in DER: a sequence of a version and an algorithm, of which the identifier is the first part.
_SEQUENCE: Final = rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)"
_ALGORITHM: Final = re.compile(_SEQUENCE + rb"\x02\x01[\x00\x01]" + _SEQUENCE + rb"(\x06[\x01-\x7f].*)", re.DOTALL)
_TAKEN: Final = (
    bytes.fromhex("06092a864886f70d010101"),  # rsaEncryption
    bytes.fromhex("06092a864886f70d01010a"),  # id-RSASSA-PSS
    bytes.fromhex("06072a8648ce3d0201"),  # id-ecPublicKey
)


@unchained
def quickly_loaded(block: str) -> TakenKey:
    """The key of one block of PEM, neither validated nor computed with; to be asked of short blocks.

    Reasons: `key_type`, `key_unparseable`.
    """
    try:
        key = load_pem_private_key(_looked_into(block).encode(), None, unsafe_skip_rsa_key_validation=True)
    except UNREADABLE:
        raise RefusedError("key_unparseable", "key: cannot be read") from None
    # It says in front which kind it is, and the library reads it as that.
    return cast(TakenKey, key)


def _looked_into(block: str) -> str:
    """Written anew, so that the library reads what was looked at."""
    found = _BLOCK.fullmatch(block)
    if found is None:
        raise ValueError
    label, der = found[1], base64.b64decode("".join(found[2].split()), validate=True)
    if label not in _BY_LABEL:
        algorithm = _ALGORITHM.match(der)
        if label != "PRIVATE KEY" or algorithm is None:
            raise ValueError
        if not algorithm[1].startswith(_TAKEN):
            raise RefusedError("key_type", "key: neither RSA nor EC")
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n"
