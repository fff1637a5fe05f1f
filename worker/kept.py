"""The last good material of certificates, for those that go back to it when a renewed one turns out bad."""

from typing import Protocol

from worker.core.bundle import Bundle


class Kept(Protocol):
    """Raises only RotationError."""

    async def keep(self, certificate: str, bundle: Bundle) -> None:
        """From now on the last good one, where the certificate is one whose material is kept."""
        ...

    async def last(self, certificate: str) -> Bundle | None:
        """None where none is kept."""
        ...


class Unkept:
    """Where nothing is kept."""

    async def keep(self, certificate: str, bundle: Bundle) -> None: ...

    async def last(self, _certificate: str) -> Bundle | None:
        return None
