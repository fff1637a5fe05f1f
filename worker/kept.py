"""What a certificate goes back to in its own place: the material that was proven last, where it is kept."""

from typing import Protocol

from worker.core.bundle import Bundle


class Kept(Protocol):
    """What was verified last, of the certificates that are kept. Both raise RotationError and nothing else."""

    async def keep(self, certificate: str, bundle: Bundle) -> None:
        """After a rotation that was verified, in the place of what was kept before. Where it fails, one of both is."""
        ...

    async def last(self, certificate: str) -> Bundle | None:
        """None where nothing is kept."""
        ...
