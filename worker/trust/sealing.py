"""Sealed keys: a private key as a compact JWE to the worker's public key (ECDH-ES+A256KW, A256GCM; exactly these).

What is sealed says for which certificate and which renewal it is: it opens nowhere else.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from joserfc import jwe
from joserfc.jwe import JWERegistry

from worker.core.errors import RefusedError, is_exhaustion
from worker.core.secret import Secret
from worker.trust.compact import decoded, is_terse
from worker.trust.keys import Key, Recipients, kid_of

_ALGORITHM: Final = "ECDH-ES+A256KW"
_ENCRYPTION: Final = "A256GCM"
LONGEST: Final = 131_072
"""Of an envelope: the longest chain and key that are let in, as JSON, in base64."""
_REGISTRY: Final = JWERegistry(algorithms=[_ALGORITHM, _ENCRYPTION])
# The library makes what it would not open: it opens no more than half of that, unless it is told.
_REGISTRY.max_ciphertext_length = LONGEST
_HEADER: Final = frozenset({"alg", "enc", "kid", "epk", "typ", "cty", "apu", "apv"})
_LONGEST_HEADER: Final = 4096
# Header, encrypted key, initialization vector, ciphertext, tag.
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){4}")
_SIZES: Final = (40, 12, 16)
"""Of a 256 bit key wrapped with A256KW, and of what A256GCM begins and ends with; bytes."""
_SHORTEST_CONTENT: Final = 100
_POINT: Final = frozenset({"kty", "crv", "x", "y"})
_LONGEST_FIELD: Final = 100
"""A coordinate of P-521 has 88 characters."""
_SEQUENCE: Final = 0x30
_NAMES: Final = frozenset({"certificate", "renewal_id", "private_key_pem"})
_PLACE: Final = "data.material.private_key_jwe"


def seal(private_key_pem: Secret, certificate: str, renewal_id: str, recipient: Key) -> str:
    """The JWE."""
    bound = {"certificate": certificate, "renewal_id": renewal_id, "private_key_pem": private_key_pem.reveal()}
    return seal_fields(bound, recipient)


def seal_fields(fields: Mapping[str, str], recipient: Key) -> str:
    """The JWE of these texts. Which they are tells one kind of envelope from another."""
    header = {"alg": _ALGORITHM, "enc": _ENCRYPTION, "kid": kid_of(recipient)}
    return jwe.encrypt_compact(header, json.dumps(fields).encode(), recipient, registry=_REGISTRY)


def unseal(sealed: Secret, certificate: str, renewal_id: str, recipients: Recipients) -> Secret:
    """The private key.

    Reasons: `cannot_decrypt`; `envelope_mismatch` when it was sealed for another certificate or renewal.
    TransientError when a key file cannot be read.
    """
    bound = unseal_fields(sealed.reveal(), _NAMES, recipients, _PLACE)
    if (bound["certificate"], bound["renewal_id"]) != (certificate, renewal_id):
        raise RefusedError("envelope_mismatch", f"{_PLACE}: sealed for another renewal")
    return Secret(bound["private_key_pem"])


def unseal_fields(text: str, names: Collection[str], recipients: Recipients, place: str) -> Mapping[str, str]:
    """Exactly the texts of these names. RefusedError(`cannot_decrypt`); TransientError as `unseal`."""
    kid = _header(text, place).get("kid")
    for key in recipients.keys(kid if isinstance(kid, str) else None):
        content = _opened(text, key)
        if content is not None:
            return _fields_in(content, names, place)
    raise RefusedError("cannot_decrypt", f"{place}: none of the worker's keys opens it")


def is_sealed(text: str) -> bool:
    """Whether it is in every part what `seal` makes, as far as that is seen without a key: none of it can be read."""
    if _COMPACT.fullmatch(text) is None:
        return False
    try:
        header = _header(text, _PLACE)
        key, vector, content, tag = (decoded(part) for part in text.split(".")[1:])
    except (RefusedError, ValueError):
        return False
    has_sizes = (len(key), len(vector), len(tag)) == _SIZES and len(content) >= _SHORTEST_CONTENT
    return has_sizes and _is_own(header, text.partition(".")[0]) and not _is_readable(content)


def _is_own(header: Mapping[str, Any], encoded: str) -> bool:
    point = header.get("epk", {})
    texts = [header[name] for name in header if name != "epk"]
    if not isinstance(point, dict) or set(point) - _POINT or not is_terse(encoded, header):
        return False
    return all(isinstance(one, str) and len(one) <= _LONGEST_FIELD for one in (*texts, *point.values()))


def _is_readable(content: bytes) -> bool:
    """Text, or one whole DER sequence, as keys are: what was encrypted is neither."""
    return content.isascii() or (content[0] == _SEQUENCE and _der_length(content) == len(content))


def _der_length(content: bytes) -> int:
    """Of the first value in it, as it says itself, with what says so."""
    size = content[1] & 0x7F
    return 2 + size if content[1] < 0x80 else 2 + size + int.from_bytes(content[2 : 2 + size])  # noqa: PLR2004 - DER


def _header(text: str, place: str) -> Mapping[str, Any]:
    """Checked before anything is computed: what is not one of ours may be made to cost much."""
    encoded, _, rest = text.partition(".")
    try:
        header = json.loads(decoded(encoded[:_LONGEST_HEADER]))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or len(encoded) > _LONGEST_HEADER or rest.count(".") != 3:  # noqa: PLR2004 - five parts
        raise RefusedError("cannot_decrypt", f"{place}: no compact JWE")
    if (header.get("alg"), header.get("enc")) != (_ALGORITHM, _ENCRYPTION) or set(header) - _HEADER:
        raise RefusedError("cannot_decrypt", f"{place}: another algorithm than the one of ours")
    return header


def _opened(text: str, key: Key) -> bytes | None:
    try:
        return jwe.decrypt_compact(text, key, registry=_REGISTRY).plaintext
    except Exception as error:  # what the library and its libraries raise has nothing in common, and quotes
        if is_exhaustion(error):
            raise  # that is no word about the key
        return None


def _fields_in(content: bytes, names: Collection[str], place: str) -> Mapping[str, str]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or set(fields) != set(names):
        fields = {}
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    if len(texts) != len(names):
        raise RefusedError("cannot_decrypt", f"{place}: what is sealed is not what belongs there")
    return texts
