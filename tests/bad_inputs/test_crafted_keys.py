"""Keys made to cost much: refused by what they look like, before anything slow is begun."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.bad_inputs.crafted import AUTHORITY, NAMES, crafted, key_of
from tests.bad_inputs.forging import dh_of, dsa_of, mersenne, of_size, sound
from tests.support.clouds import message
from tests.support.judging import rules
from worker.core.errors import RefusedError
from worker.core.renewal import Plain, Renewal
from worker.core.secret import Secret
from worker.intake import Intake
from worker.settlement import Identity
from worker.trust.keycheck import KeyCheck
from worker.trust.opening import TrustPolicy

CRAFTED = crafted()
NAME = load_pem_private_key.__name__


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


async def test_a_key_that_is_too_long_is_compared_with_no_id(tmp_path: Path, loads: Loads) -> None:
    checking, _started = intake(tmp_path)
    made = key_of(mersenne(9689, 11213))
    renewal = Renewal(
        "a-long-enough-id", "shop", "acme", Plain(made.chain_pem, Secret(made.private_key_pem)), "renewal"
    )
    with pytest.raises(RefusedError) as told:
        await checking.bundle_of(renewal)
    assert (told.value.reason, loads.quick, loads.slow) == ("too_large", 0, 0)


async def test_blank_space_makes_no_key_too_long_to_be_compared(tmp_path: Path) -> None:
    """It is too long for the rules, and its number is in the id all the same."""
    checking, _started = intake(tmp_path)
    issued = AUTHORITY.issue(NAMES)
    key = load_pem_private_key(issued.private_key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    quoting = f"{key.private_numbers().private_value:064x}"
    padded = Plain(issued.chain_pem, Secret(issued.private_key_pem + "\n" * 5000))
    with pytest.raises(RefusedError) as told:
        await checking.bundle_of(Renewal(quoting, "shop", "acme", padded, "renewal"))
    assert told.value.reason == "plain_key_refused"


@pytest.mark.parametrize(("make", "quick"), [(dsa_of, 0), (dh_of, 0), (lambda size: of_size(size).pem, 8)])
def test_keys_that_a_message_brings_are_loaded_once_each_if_at_all(
    make: Callable[[int], str], quick: int, loads: Loads
) -> None:
    keys = [make(size) for size in range(7500, 7508)]
    data = {"certificate": "a-long-enough-name", "keys": keys}
    claimed = Identity.of(message(json.dumps({"id": "a-long-enough-id", "data": data}).encode()))
    assert (claimed.certificate, claimed.renewal_id) == ("a-long-enough-name", "a-long-enough-id")
    assert (loads.quick, loads.slow) == (quick, 0)
