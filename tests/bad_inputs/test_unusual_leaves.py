"""Leaves that the library reads in its own way, or not at all: refused, in our own words."""

from collections.abc import Callable

import pytest

from tests.bad_inputs.der import sequence, tlv
from tests.bad_inputs.forging import SAN, Forged, explicit, forged, pss, sound, with_extension, with_key
from tests.support.judging import judged
from worker.core.errors import RefusedError
from worker.sandbox.ca import Authority, key_pem

AUTHORITY = Authority.create()
NAMES = ["www.example.com"]


def rsa_pss() -> Forged:
    """Clients want a signature that a server with the rewritten key does not know it should make."""
    public, private = pss(sound())
    return Forged(forged(AUTHORITY.issue(NAMES), AUTHORITY, with_key(public)).chain_pem, private)


def spelled_out() -> Forged:
    """RFC 5480 forbids it, and clients refuse it."""
    public, _ = explicit(AUTHORITY.key)
    return Forged(forged(AUTHORITY.issue(NAMES), AUTHORITY, with_key(public)).chain_pem, key_pem(AUTHORITY.key))


def of_an_unknown_kind() -> Forged:
    """A name for electronic data interchange beside the domain."""
    names = sequence(tlv(0x82, NAMES[0].encode()), tlv(0xA5, tlv(0xA1, tlv(0x0C, b"party"))))
    return forged(AUTHORITY.issue(NAMES), AUTHORITY, with_extension(SAN, names, instead=True))


@pytest.mark.parametrize("make", [rsa_pss, spelled_out])
def test_a_leaf_whose_key_is_written_as_no_client_takes_it_is_refused(make: Callable[[], Forged]) -> None:
    made = make()
    with pytest.raises(RefusedError):
        judged(made.chain_pem, made.private_key_pem, [AUTHORITY.root])


def test_a_leaf_with_a_name_of_an_unknown_kind_is_refused() -> None:
    made = of_an_unknown_kind()
    with pytest.raises(RefusedError):
        judged(made.chain_pem, made.private_key_pem, [AUTHORITY.root])
