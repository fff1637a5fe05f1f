"""A renewed certificate and its key: read, held against every rule, written again in canonical form."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from worker.core.bundle import Bundle, UsedKey
from worker.core.case import Case, Rules, verified
from worker.core.private_key import matching_key
from worker.core.reading import chain_in, leaf_facts, public_bytes
from worker.core.rules import warnings_of
from worker.core.secret import Secret

__all__ = ["Known", "Rules", "check"]


class Known(TypedDict, total=False):
    """What is known of the renewal and of those before it."""

    before: Sequence[UsedKey]
    """Keys that were used under the same name, oldest first."""
    is_key_exposed: bool
    """The last of them is not to be used again."""
    renewal_id: str | None


def check(
    chain_pem: str,
    private_key_pem: Secret,
    *,
    now: datetime,
    rules: Rules,
    **known: Unpack[Known],
) -> Bundle:
    """The certificate and its key in canonical form, after every rule; RefusedError with the first rule's reason.

    The key is compared with the leaf, not validated: for a crafted one that takes 45 seconds, and is done elsewhere.
    """
    chain = chain_in(chain_pem)
    public_key = public_bytes(chain[0])
    key_sha256 = sha256(public_key).hexdigest()
    leaf, key = leaf_facts(chain[0], public_key_sha256=key_sha256), chain[0].public_key()
    used = UsedKey(leaf.fingerprint_sha256, key_sha256, known.get("renewal_id"))
    before, is_key_exposed = known.get("before", ()), known.get("is_key_exposed", False)
    path = verified(chain, leaf.names, now, rules)
    case = Case(chain, leaf.names, key, used, before, now, rules, is_key_exposed, path)
    return Bundle(
        leaf=leaf,
        warnings=warnings_of(case),
        private_key_pem=matching_key(private_key_pem, public_key),
        leaf_pem=_pem(chain[:1]),
        intermediates_pem=_pem(chain[1:]),
        has_rsa_key=isinstance(key, rsa.RSAPublicKey),
    )


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)
