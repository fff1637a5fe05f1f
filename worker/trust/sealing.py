"""Sealed keys: a private key as a compact JWE to the worker's public key (ECDH-ES+A256KW, A256GCM; exactly these).

What is sealed says for which certificate and which renewal it is: it opens nowhere else.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwe
from joserfc.jwe import JWERegistry

from worker.core.errors import RefusedError, is_exhaustion
from worker.core.secret import Secret
from worker.trust.keys import Key, Recipients, kid_of

_ALGORITHM: Final = "ECDH-ES+A256KW"
_ENCRYPTION: Final = "A256GCM"
_REGISTRY: Final = JWERegistry(algorithms=[_ALGORITHM, _ENCRYPTION])
_HEADER: Final = frozenset({"alg", "enc", "kid", "epk", "typ", "cty", "apu", "apv"})
_LONGEST_HEADER: Final = 4096


def seal(private_key_pem: Secret, certificate: str, renewal_id: str, recipient: Key) -> str:
    """The JWE."""
    header = {"alg": _ALGORITHM, "enc": _ENCRYPTION, "kid": kid_of(recipient)}
    bound = {"certificate": certificate, "renewal_id": renewal_id, "private_key_pem": private_key_pem.reveal()}
    return jwe.encrypt_compact(header, json.dumps(bound).encode(), recipient, registry=_REGISTRY)


def unseal(sealed: Secret, certificate: str, renewal_id: str, recipients: Recipients) -> Secret:
    """The private key.

    Reasons: `cannot_decrypt`; `envelope_mismatch` when it was sealed for another certificate or renewal.
    TransientError when a key file cannot be read.
    """
    text = sealed.reveal()
    kid = _header(text).get("kid")
    for key in recipients.keys(kid if isinstance(kid, str) else None):
        content = _opened(text, key)
        if content is not None:
            return _key_for(content, certificate, renewal_id)
    raise RefusedError("cannot_decrypt", "data.material.private_key_jwe: none of the worker's keys opens it")


def _header(text: str) -> Mapping[str, Any]:
    """Checked before anything is computed: what is not one of ours may be made to cost much."""
    encoded, _, rest = text.partition(".")
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded[:_LONGEST_HEADER] + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or len(encoded) > _LONGEST_HEADER or rest.count(".") != 3:  # noqa: PLR2004 - five parts
        raise RefusedError("cannot_decrypt", "data.material.private_key_jwe: no compact JWE")
    if (header.get("alg"), header.get("enc")) != (_ALGORITHM, _ENCRYPTION) or set(header) - _HEADER:
        raise RefusedError("cannot_decrypt", "data.material.private_key_jwe: another algorithm than the one of ours")
    return header


def _opened(text: str, key: Key) -> bytes | None:
    try:
        return jwe.decrypt_compact(text, key, registry=_REGISTRY).plaintext
    except Exception as error:  # what the library and its libraries raise has nothing in common, and quotes
        if is_exhaustion(error):
            raise  # that is no word about the key
        return None


def _key_for(content: bytes, certificate: str, renewal_id: str) -> Secret:
    try:
        bound = json.loads(content)
    except (ValueError, RecursionError):
        bound = None
    names = {"certificate", "renewal_id", "private_key_pem"}
    if not isinstance(bound, dict) or set(bound) != names or not isinstance(bound["private_key_pem"], str):
        raise RefusedError("cannot_decrypt", "data.material.private_key_jwe: what is sealed is no private key of ours")
    if (bound["certificate"], bound["renewal_id"]) != (certificate, renewal_id):
        raise RefusedError("envelope_mismatch", "data.material.private_key_jwe: sealed for another renewal")
    return Secret(bound["private_key_pem"])
