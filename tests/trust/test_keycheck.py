"""The slow validation of keys, in a child process."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from worker.core.errors import RefusedError
from worker.core.secret import Secret
from worker.sandbox.ca import key_pem
from worker.trust.keycheck import KeyCheck

RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("key", [RSA, ec.generate_private_key(ec.SECP256R1())])
async def test_a_sound_key_passes(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    await KeyCheck()(Secret(key_pem(key)))


async def test_an_rsa_key_with_a_wrong_exponent_is_refused() -> None:
    good = RSA.private_numbers()
    numbers = rsa.RSAPrivateNumbers(good.p, good.q, good.d + 2, good.dmp1, good.dmq1, good.iqmp, good.public_numbers)
    spoiled = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(RefusedError) as told:
        await KeyCheck()(Secret(key_pem(spoiled)))
    assert told.value.reason == "key_unparseable"


async def test_a_key_that_takes_too_long_is_refused() -> None:
    with pytest.raises(RefusedError, match="too long"):
        await KeyCheck(timeout=0.0)(Secret(key_pem(RSA)))
