"""What may stand in a public JWK beside the key: the members of RFC 7517 and 8037, and no word against its use."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from worker.trust.exposure import holds_open_key

_KEY: Final = {"EC": frozenset({"crv", "x", "y"}), "OKP": frozenset({"crv", "x"})}
_BESIDE: Final = frozenset({"kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
HOLDS_PRIVATE: Final = "holds a private key; here belongs the public one"
_SIGNS: Final = "of a key that verifies signatures"
_SEALS: Final = "of a key that is sealed to"
_CURVES: Final = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_SIGNING_ALGORITHMS: Final = frozenset({"Ed25519", "EdDSA"})
_SEALING_ALGORITHMS: Final = frozenset({"ECDH-ES+A256KW"})
_SEALING_STEPS: Final = frozenset({"deriveKey", "deriveBits", "wrapKey", "unwrapKey"})


def problem_of_public(fields: Mapping[str, object], *, signs: bool) -> str | None:
    """What is wrong with it, by the member's name and not by its value."""
    return next(_problems(fields, signs=signs), None)


def _problems(fields: Mapping[str, object], *, signs: bool) -> Iterator[str]:
    if _PRIVATE & fields.keys():
        # It would work, and is where everybody may read it.
        yield HOLDS_PRIVATE
    for name in sorted(_BESIDE & fields.keys()):
        if any(_is_private(text, fields) for text in _texts(fields[name])):
            yield f"{name}: {HOLDS_PRIVATE}"
    odd = len(fields.keys() - _BESIDE - _KEY.get(str(fields.get("kty")), frozenset()))
    if odd:
        yield f"members that are none of a public JWK's: {odd}"
    whose = _SIGNS if signs else _SEALS
    if fields.get("use", "sig" if signs else "enc") != ("sig" if signs else "enc"):
        yield f"use: not that {whose}"
    if "alg" in fields and fields["alg"] not in tuple(_SIGNING_ALGORITHMS if signs else _SEALING_ALGORITHMS):
        yield f"alg: not that {whose}"
    if "key_ops" in fields and not _are_steps(fields["key_ops"], signs=signs):
        yield f"key_ops: not those {whose}"


def _are_steps(told: object, *, signs: bool) -> bool:
    """Of the public half: that derives nothing by itself, and its list may be empty."""
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        return False
    steps = frozenset(told)
    return "verify" in steps <= {"sign", "verify"} if signs else steps <= _SEALING_STEPS


def _texts(value: object) -> Iterator[str]:
    yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _is_private(text: str, fields: Mapping[str, object]) -> bool:
    """Any private key, or this one's own number, which looks like an id."""
    if holds_open_key(text.encode(errors="replace")):
        return True
    with suppress(ValueError):
        return _x_of(_bytes(text), fields.get("crv")) == _bytes(str(fields.get("x")))
    return False


def _x_of(private: bytes, curve: object) -> bytes:
    """What the public half says of itself. ValueError where that is no private half on this curve."""
    if curve == "Ed25519":
        return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    if curve == "X25519":
        return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    if curve not in tuple(_CURVES):
        raise ValueError("no curve that is used here")
    found = _CURVES[str(curve)]
    point = ec.derive_private_key(int.from_bytes(private), found).public_key().public_numbers()
    return point.x.to_bytes((found.key_size + 7) // 8)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
