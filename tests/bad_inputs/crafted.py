"""Keys made to cost much, by name: certificate and key, why they are refused, and how often they are loaded quickly."""

from collections.abc import Callable, Mapping

from tests.bad_inputs.forging import (
    Forged,
    Numbers,
    dh_of,
    dsa_of,
    forged,
    mersenne,
    of_size,
    sound,
    with_exponent,
    with_key,
)
from worker.sandbox.ca import Authority

AUTHORITY = Authority.create()
NAMES = ["www.example.com"]


def leaf_of(numbers: Numbers) -> Forged:
    """A certificate for that key, and the key."""
    return Forged(forged(AUTHORITY.issue(NAMES), AUTHORITY, with_key(numbers.spki)).chain_pem, numbers.pem)


def key_of(numbers: Numbers) -> Forged:
    """That key behind a sound certificate."""
    return beside_sound(numbers.pem)


def beside_sound(private_key_pem: str) -> Forged:
    """A sound certificate with that for its key."""
    return Forged(AUTHORITY.issue(NAMES, key=sound()).chain_pem, private_key_pem)


def crafted() -> Mapping[str, tuple[Callable[[], Forged], str, int]]:
    """Without those that only the slow validation finds out, which a child of its own does."""
    return {
        "RSA-8192 on both sides": (lambda: leaf_of(of_size(8192)), "weak_key", 0),
        "RSA-16384 on both sides": (lambda: leaf_of(of_size(16384)), "weak_key", 0),
        "a key of RSA-8192": (lambda: key_of(mersenne(3217, 4423)), "too_large", 0),
        "a key of RSA-16384": (lambda: key_of(of_size(16384)), "too_large", 0),
        "20,902 bits of Mersenne's primes": (lambda: key_of(mersenne(9689, 11213)), "too_large", 0),
        "20,902 bits on both sides": (lambda: leaf_of(mersenne(9689, 11213)), "weak_key", 0),
        "5,532 bits of Mersenne's primes in 4 kB": (lambda: key_of(mersenne(1279, 4253)), "key_mismatch", 1),
        "a short key of RSA-8192": (lambda: key_of(of_size(8192)), "key_mismatch", 1),
        "DSA of 7,600 bits": (lambda: beside_sound(dsa_of(7600)), "key_type", 0),
        "DH of 7,600 bits": (lambda: beside_sound(dh_of(7600)), "key_type", 0),
        "exponent 1 on both sides": (lambda: leaf_of(of_size(2048, 1)), "cert_unparseable", 0),
        "exponent 3 on both sides": (lambda: leaf_of(of_size(2048, 3)), "rsa_exponent", 0),
        "a key with exponent 1": (lambda: key_of(with_exponent(1)), "key_mismatch", 1),
        "a key with exponent 3": (lambda: key_of(with_exponent(3)), "key_mismatch", 1),
    }
