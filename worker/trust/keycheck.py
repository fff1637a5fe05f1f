"""The slow validation of an RSA key, in a child process that can be killed: it holds the interpreter for seconds."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cryptography

import worker
from worker.core.errors import RefusedError, TransientError
from worker.core.secret import Secret

# An isolated interpreter hears of no PYTHONPATH, which may be where the packages are.
_PACKAGES: Final = tuple(str(Path(one.__file__ or "").parents[1]) for one in (cryptography, worker))
# Where the interpreter's own library may be; the rest, in which credentials may stand, is not the child's business.
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH",)
# No interpreter that cannot start or import ends with it.
_UNSOUND: Final = 86
# The timer counts the child's own work, however busy the machine is, and ends it without a core dump.
_LOAD: Final = (
    "import signal, sys\n"
    "sys.path.extend(sys.argv[2:])\n"
    "from worker.hardening import deny_dumps\n"
    # What its parent denies is allowed again by exec.
    "deny_dumps()\n"
    "from cryptography.exceptions import UnsupportedAlgorithm\n"
    "from cryptography.hazmat.primitives.serialization import load_pem_private_key\n"
    "pem = sys.stdin.buffer.read()\n"
    "signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))\n"
    "try: load_pem_private_key(pem, None)\n"
    f"except (ValueError, TypeError, UnsupportedAlgorithm): sys.exit({_UNSOUND})\n"
)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Validates RSA keys, as many at once as there are cores."""

    effort: float = 10.0
    """Seconds of computing that one key may take: RSA-4096 takes a quarter of one."""
    timeout: float = 60.0
    """Seconds to wait for that on a busy machine."""
    interpreter: str = sys.executable
    _children: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(os.cpu_count() or 1))

    async def __call__(self, pem: Secret) -> None:
        """RefusedError(`key_unparseable`) when the key is not sound, or too much work to validate.

        TransientError(`internal_error`) when the child could not be started or was ended before it knew: that is no
        word about the key.
        """
        async with self._children:
            status = await self._validate(pem)
        if status == _UNSOUND:
            raise RefusedError("key_unparseable", "key: is not a sound key")
        if status == -signal.SIGPROF:
            raise RefusedError("key_unparseable", "key: its validation takes too long")
        if status != 0:
            raise TransientError("internal_error", f"key: its validation broke off with status {status}")

    async def _validate(self, pem: Secret) -> int | None:
        """The child's exit status. The key goes through a pipe: never into arguments, environment or a file."""
        child = await self._started()
        try:
            async with asyncio.timeout(self.timeout):
                await child.communicate(pem.reveal().encode())
        except TimeoutError:
            raise TransientError("internal_error", "key: no time for its validation on this machine") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return child.returncode

    async def _started(self) -> Process:
        command = (self.interpreter, "-I", "-c", _LOAD, str(self.effort), *_PACKAGES)
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        try:
            return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, env=kept)
        except OSError as error:
            told = f"key: its validation cannot be started: {error.strerror}"
            raise TransientError("internal_error", told) from None
