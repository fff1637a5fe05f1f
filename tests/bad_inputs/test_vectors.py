"""Every file of cryptography's own test vectors: taken, or refused in our own words, and nothing else.

They are 56 MB and not in the lock: `make vectors` gets them, as docs/conformance.md says. The gate has to have them.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import cryptography
import pytest

from tests.bad_inputs.der import pem
from tests.support.judging import judged
from worker.core.errors import RefusedError
from worker.core.message import identify, parse
from worker.core.pem import certificates_in, private_key_in
from worker.core.private_key import fit
from worker.core.secret import Secret
from worker.sandbox.ca import Authority
from worker.trust.keycheck import KeyCheck

NAME = "cryptography_vectors"
vectors: Any = (
    import_module(NAME)
    if os.environ.get("CI")
    else pytest.importorskip(NAME, reason=f"{NAME} is not there: make vectors")
)

AUTHORITY = Authority.create()
SOUND = AUTHORITY.issue(["www.example.com"])
# What is neither of certificates nor of keys is no file that anybody would name.
FOLDERS = {
    "asymmetric": ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"),
    "x509": ("CERTIFICATE",),
    "pkcs7": ("CERTIFICATE",),
    "pkcs12": ("PRIVATE KEY",),
}
"""And the labels under which what is no PEM there is tried."""
LONGEST = 300_000


def texts(folder: str) -> Iterator[tuple[str, str]]:
    """Each file as it is, and where it is no PEM, in the dress of one."""
    root = Path(vectors.__file__).parent / folder
    for file in sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size < LONGEST):
        content = file.read_bytes()
        yield str(file.relative_to(root)), content.decode("latin-1")
        if content[:1] == b"\x30":
            yield from ((f"{file.relative_to(root)} as {label}", pem(label, content)) for label in FOLDERS[folder])


def steps(text: str) -> Sequence[Callable[[], object]]:
    """All that is ever done with a text that somebody sends for a chain or a key."""
    return [
        lambda: certificates_in(text),
        lambda: private_key_in(text),
        lambda: judged(text, SOUND.private_key_pem, [AUTHORITY.root]),
        lambda: judged(SOUND.chain_pem, text, [AUTHORITY.root]),
        lambda: judged(text, text, []),
        lambda: fit(text, Secret(text)),
        lambda: fit(SOUND.chain_pem, Secret(text)),
        lambda: parse(text.encode()),
        lambda: identify(text.encode()),
    ]


def surprises(name: str, text: str) -> Iterator[str]:
    for number, step in enumerate(steps(text)):
        try:
            step()
        except RefusedError:
            continue
        except Exception as error:  # noqa: BLE001 - any other is what is looked for
            yield f"{name}: {type(error).__name__} in step {number}"


def test_they_are_those_of_the_library() -> None:
    assert vectors.__version__ == cryptography.__version__


@pytest.mark.parametrize("folder", ["asymmetric", "x509", "pkcs7", "pkcs12"])
def test_no_file_of_them_surprises(folder: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as the service has it
        found = [one for name, text in texts(folder) for one in surprises(name, text)]
    assert found == []


@pytest.mark.timeout(900)
async def test_no_key_of_them_surprises_the_child_that_validates_keys() -> None:
    check = KeyCheck(timeout=300)
    keys = {block for _, text in texts("asymmetric") if (block := key_in(text)) is not None}
    assert len(keys) > 50
    for block in sorted(keys):
        with suppress(RefusedError):
            await check(Secret(block))


def key_in(text: str) -> str | None:
    try:
        return private_key_in(text)
    except RefusedError:
        return None
