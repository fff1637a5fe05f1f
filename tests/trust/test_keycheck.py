"""The slow validation of keys, in a child process."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from worker.core.certificate import Rules
from worker.core.errors import RefusedError, TransientError
from worker.core.secret import Secret
from worker.intake import Intake
from worker.sandbox.ca import Authority, key_pem
from worker.trust.keycheck import KeyCheck
from worker.trust.opening import TrustPolicy

RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("key", [RSA, ec.generate_private_key(ec.SECP256R1())])
async def test_a_sound_key_passes(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    await KeyCheck()(Secret(key_pem(key)))


def spoiled() -> rsa.RSAPrivateKey:
    """With a wrong private exponent; its public half is the sound one's."""
    good = RSA.private_numbers()
    numbers = rsa.RSAPrivateNumbers(good.p, good.q, good.d + 2, good.dmp1, good.dmq1, good.iqmp, good.public_numbers)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


async def test_an_rsa_key_with_a_wrong_exponent_is_refused() -> None:
    with pytest.raises(RefusedError) as told:
        await KeyCheck()(Secret(key_pem(spoiled())))
    assert told.value.reason == "key_unparseable"


def intake(key_check: KeyCheck) -> Intake:
    return Intake(TrustPolicy({}), Rules(), (), lambda: datetime.now(UTC), key_check=key_check)


async def test_an_unsound_rsa_key_is_refused_although_it_matches_its_certificate() -> None:
    issued = Authority.create().issue(["a.example.com"], key=RSA)
    with pytest.raises(RefusedError) as told:
        await intake(KeyCheck()).checked(issued.chain_pem, Secret(key_pem(spoiled())))
    assert told.value.reason == "key_unparseable"


async def test_an_ec_key_that_could_be_loaded_needs_no_child(tmp_path: Path) -> None:
    issued = Authority.create().issue(["a.example.com"])
    no_child = intake(KeyCheck(interpreter=str(tmp_path / "none")))
    bundle = await no_child.checked(issued.chain_pem, Secret(issued.private_key_pem))
    assert not bundle.has_rsa_key


def laborious() -> rsa.RSAPrivateKey:
    """A key of an allowed size whose primes, both Mersenne's, take seconds to be tested."""
    p, q, e = 2**3217 - 1, 2**607 - 1, 65537
    d = rsa.rsa_recover_private_exponent(e, p, q)
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


async def test_a_key_that_takes_too_much_work_is_refused() -> None:
    with pytest.raises(RefusedError, match="too long") as told:
        await KeyCheck(effort=0.1)(Secret(key_pem(laborious())))
    assert told.value.reason == "key_unparseable"


async def test_a_busy_machine_says_nothing_about_the_key() -> None:
    with pytest.raises(TransientError, match="no time"):
        await KeyCheck(timeout=0.0)(Secret(key_pem(RSA)))


@pytest.mark.parametrize("ending", ["kill -9 $$", "exit 1", "exit 127"])
async def test_a_child_that_ends_without_a_verdict_says_nothing_about_the_key(tmp_path: Path, ending: str) -> None:
    """Killed for its memory; unable to import; unable to start."""
    child = tmp_path / "interpreter"
    child.write_text(f"#!/bin/sh\n{ending}\n")
    child.chmod(0o755)
    with pytest.raises(TransientError, match="broke off") as told:
        await KeyCheck(interpreter=str(child))(Secret(key_pem(RSA)))
    assert told.value.reason == "internal_error"


async def test_a_child_that_cannot_be_started_says_nothing_about_the_key(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="cannot be started: No such file"):
        await KeyCheck(interpreter=str(tmp_path / "none"))(Secret(key_pem(RSA)))


# An interpreter that tells how the child stands at the moment in which it asks for the key.
TELLING = """#!{python} -I
import ctypes, io, json, os, resource, sys, types
least, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
class Telling(io.BytesIO):
    def read(self):
        dumpable, limit = ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE)
        with open({told!r}, "w") as file:
            json.dump([sorted(os.environ), dumpable, limit[0]], file)
        return real.read()
real, code = sys.stdin.buffer, sys.argv[sys.argv.index("-c") + 1]
sys.stdin = types.SimpleNamespace(buffer=Telling())
sys.argv = sys.argv[sys.argv.index("-c") + 1:]
exec(code)
"""


async def test_the_child_has_no_credentials_and_leaves_no_picture_of_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, told = tmp_path / "interpreter", tmp_path / "told.json"
    child.write_text(TELLING.format(python=sys.executable, told=str(told)))
    child.chmod(0o755)
    monkeypatch.setenv("ROTATION_BROKER__URL", "amqps://u:hunter2@mq.example.com/")
    await KeyCheck(interpreter=str(child))(Secret(key_pem(RSA)))
    names, dumpable, core = json.loads(told.read_text())
    # Python adds the last itself, where there is no locale.
    assert set(names) <= {"LD_LIBRARY_PATH", "LC_CTYPE"}
    assert (dumpable, core) == (0, 0)


async def test_the_child_finds_the_packages_wherever_they_are(tmp_path: Path) -> None:
    """As in the image, whose interpreter knows them by PYTHONPATH alone."""
    child = tmp_path / "interpreter"
    child.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    child.chmod(0o755)
    await KeyCheck(interpreter=str(child))(Secret(key_pem(RSA)))
