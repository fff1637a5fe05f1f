"""The slow validation of an RSA key, in a child process that can be killed: it holds the interpreter for seconds."""

import asyncio
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cryptography
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from worker.core.errors import RefusedError
from worker.core.secret import Secret

# An isolated interpreter hears of no PYTHONPATH, which may be where the packages are.
_PACKAGES: Final = str(Path(cryptography.__file__).parents[1])
_LOAD: Final = (
    "import sys\n"
    "sys.path.append(sys.argv[1])\n"
    "from cryptography.hazmat.primitives.serialization import load_pem_private_key\n"
    "try: load_pem_private_key(sys.stdin.buffer.read(), None)\n"
    "except Exception: sys.exit(1)\n"
)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Validates keys, as many at once as there are cores."""

    timeout: float = 10.0
    """Seconds that one key may take: RSA-4096 takes a quarter of one."""
    _children: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(os.cpu_count() or 1))

    async def __call__(self, pem: Secret) -> None:
        """RefusedError(`key_unparseable`) when the key is not sound, or not known to be in time."""
        if _is_small(pem):
            return
        async with self._children:
            status = await self._validate(pem)
        if status != 0:
            raise RefusedError("key_unparseable", "key: is not a sound key")

    async def _validate(self, pem: Secret) -> int | None:
        """The child's exit status. The key goes through a pipe: never into arguments, environment or a file."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            _LOAD,
            _PACKAGES,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(self.timeout):
                await child.communicate(pem.reveal().encode())
        except TimeoutError:
            raise RefusedError("key_unparseable", "key: its validation takes too long") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return child.returncode


def _is_small(pem: Secret) -> bool:
    """An EC key is validated by being loaded, in no time."""
    key = load_pem_private_key(pem.reveal().encode(), None, unsafe_skip_rsa_key_validation=True)
    return isinstance(key, ec.EllipticCurvePrivateKey)
