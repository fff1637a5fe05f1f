"""Keys made to cost much: refused by what they look like, before anything slow is begun."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.bad_inputs.forging import (
    Forged,
    Numbers,
    explicit,
    forged,
    mersenne,
    of_size,
    pss,
    sound,
    with_exponent,
    with_key,
)
from tests.support.judging import judged, rules
from worker.core.errors import RefusedError
from worker.core.secret import Secret
from worker.intake import Intake
from worker.sandbox.ca import Authority, key_pem
from worker.trust.keycheck import KeyCheck
from worker.trust.opening import TrustPolicy

AUTHORITY = Authority.create()
NAMES = ["www.example.com"]
NAME = load_pem_private_key.__name__


def leaf_of(numbers: Numbers) -> Forged:
    """A certificate for that key, and the key."""
    return Forged(forged(AUTHORITY.issue(NAMES), AUTHORITY, with_key(numbers.spki)).chain_pem, numbers.pem)


def key_of(numbers: Numbers) -> Forged:
    """That key behind a sound certificate."""
    return Forged(AUTHORITY.issue(NAMES, key=sound()).chain_pem, numbers.pem)


class Loads:
    """Counts how the core loads keys, and loads them."""

    def __init__(self) -> None:
        self.slow = self.quick = 0

    def __call__(self, pem: bytes, password: None, **how: bool) -> object:
        is_quick = how.get("unsafe_skip_rsa_key_validation", False)
        self.quick += is_quick
        self.slow += not is_quick
        return load_pem_private_key(pem, password, **how)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """In place of the library's, wherever the worker calls it."""
    counted = Loads()
    users = [one for name, one in sys.modules.items() if name.startswith("worker.") and NAME in vars(one)]
    assert users
    for module in users:
        monkeypatch.setattr(module, NAME, counted)
    return counted


def intake(folder: Path) -> tuple[Intake, Path]:
    """And the file that is there once a child was started."""
    started, child = folder / "started", folder / "interpreter"
    child.write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n")
    child.chmod(0o755)
    check = KeyCheck(interpreter=str(child))
    return Intake(TrustPolicy({}), rules(AUTHORITY.root), (), lambda: datetime.now(UTC), key_check=check), started


CRAFTED: dict[str, tuple[Callable[[], Forged], str, int]] = {
    "RSA-8192 on both sides": (lambda: leaf_of(of_size(8192)), "weak_key", 0),
    "RSA-16384 on both sides": (lambda: leaf_of(of_size(16384)), "weak_key", 0),
    "a key of RSA-8192": (lambda: key_of(mersenne(3217, 4423)), "too_large", 0),
    "a key of RSA-16384": (lambda: key_of(of_size(16384)), "too_large", 0),
    "20,902 bits of Mersenne's primes": (lambda: key_of(mersenne(9689, 11213)), "too_large", 0),
    "20,902 bits on both sides": (lambda: leaf_of(mersenne(9689, 11213)), "weak_key", 0),
    "5,490 bits of Mersenne's primes in 4 kB": (lambda: key_of(mersenne(1279, 4253)), "key_mismatch", 1),
    "a short key of RSA-8192": (lambda: key_of(of_size(8192)), "key_mismatch", 1),
    "exponent 1 on both sides": (lambda: leaf_of(of_size(2048, 1)), "cert_unparseable", 0),
    "exponent 3 on both sides": (lambda: leaf_of(of_size(2048, 3)), "rsa_exponent", 0),
    "a key with exponent 1": (lambda: key_of(with_exponent(1)), "key_mismatch", 1),
    "a key with exponent 3": (lambda: key_of(with_exponent(3)), "key_mismatch", 1),
}


@pytest.mark.parametrize("name", CRAFTED)
async def test_no_crafted_key_is_loaded_slowly(name: str, tmp_path: Path, loads: Loads) -> None:
    make, reason, quick = CRAFTED[name]
    (checking, started), made = intake(tmp_path), make()
    with pytest.raises(RefusedError) as told:
        await checking.checked(made.chain_pem, Secret(made.private_key_pem))
    assert (told.value.reason, loads.quick, loads.slow) == (reason, quick, 0)
    assert not started.exists()


async def test_what_is_counted_is_counted_of_a_sound_key(tmp_path: Path, loads: Loads) -> None:
    checking, started = intake(tmp_path)
    issued = AUTHORITY.issue(NAMES, key=sound())
    with pytest.raises(Exception, match="broke off"):
        await checking.checked(issued.chain_pem, Secret(issued.private_key_pem))
    assert (loads.quick, loads.slow, started.exists()) == (1, 0, True)


def rsa_pss() -> Forged:
    public, private = pss(sound())
    return Forged(forged(AUTHORITY.issue(NAMES), AUTHORITY, with_key(public)).chain_pem, private)


def spelled_out() -> Forged:
    key: Any = AUTHORITY.key
    public, _ = explicit(key)
    return Forged(forged(AUTHORITY.issue(NAMES), AUTHORITY, with_key(public)).chain_pem, key_pem(key))


@pytest.mark.parametrize("make", [rsa_pss, spelled_out])
@pytest.mark.xfail(
    strict=True, reason="the rules look at what the library made of the leaf's key, not at its own words"
)
def test_a_leaf_whose_key_is_written_as_no_client_takes_it_is_refused(make: Callable[[], Forged]) -> None:
    made = make()
    with pytest.raises(RefusedError):
        judged(made.chain_pem, made.private_key_pem, [AUTHORITY.root])
