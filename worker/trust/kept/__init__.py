"""The last good chain and key of a certificate, kept at rest so that they can be put back: sealed, and one for each.

Sealed to the worker's own key says nothing of who has sealed it: producers have the public half. So what is kept passes
every rule again before it is given, as anything does that comes from outside.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from worker.core.bundle import Bundle
from worker.core.errors import PermanentError, RefusedError, unchained
from worker.core.secret import Secret
from worker.settings.errors import SettingsError
from worker.settings.model import Previous
from worker.trust.kept.folder import InFolder
from worker.trust.keys import Recipients
from worker.trust.sealing import LONGEST, seal_fields, unseal_fields
from worker.trust.vault import Vault

_NAMES: Final = frozenset({"certificate", "fingerprint_sha256", "chain_pem", "private_key_pem"})
_PLACE: Final = "trust.previous"
_FIELD: Final = "sealed"
_NEEDED: Final = frozenset({"create", "update", "read"})

Check = Callable[[str, Secret], Awaitable[Bundle]]
"""Every rule for chain and key. Raises RefusedError."""


class Place(Protocol):
    """Where one text for each certificate lies. Raises RotationError and nothing else."""

    async def write(self, certificate: str, text: str) -> None:
        """All of it, or what was there before."""
        ...

    async def read(self, certificate: str) -> str | None:
        """Bounded: of what is longer than `LONGEST`, enough to know it."""
        ...

    async def check(self) -> bool:
        """Whether it is known to take what shall be kept; raises RotationError where it is known not to."""
        ...


@dataclass(frozen=True, slots=True)
class KeptSealed:
    """Sealed to the newest of the worker's keys, opened by any of them: a rollover needs no rewriting."""

    place: Place
    recipients: Recipients
    check: Check

    async def keep(self, certificate: str, bundle: Bundle) -> None:
        """Reasons: those of the place; a transient one: `key_file_unreadable`."""
        newest, *_ = self.recipients.keys(None)
        bound = {
            "certificate": certificate,
            "fingerprint_sha256": bundle.leaf.fingerprint_sha256,
            "chain_pem": bundle.chain_pem,
            "private_key_pem": bundle.private_key_pem.reveal(),
        }
        await self.place.write(certificate, seal_fields(bound, newest))

    async def last(self, certificate: str) -> Bundle | None:
        """Reasons: those of the place, `previous_broken`, `previous_mismatch`, `previous_unusable`.

        Transient ones: `key_file_unreadable`, and `internal_error` where the key's validation broke off.
        """
        text = await self.place.read(certificate)
        if text is None:
            return None
        bound = _opened(text, certificate, self.recipients)
        bundle = await self._checked(bound["chain_pem"], Secret(bound["private_key_pem"]))
        if bundle.leaf.fingerprint_sha256 != bound["fingerprint_sha256"]:
            raise PermanentError("previous_broken", f"{_PLACE}: is not the certificate that it says it is")
        return bundle

    async def can_keep(self) -> bool:
        """As `Place.check`; nothing is written."""
        return await self.place.check()

    async def _checked(self, chain_pem: str, private_key_pem: Secret) -> Bundle:
        """No refusal of a message: that is another certificate."""
        with unchained:
            try:
                return await self.check(chain_pem, private_key_pem)
            except RefusedError as error:
                told = f"{_PLACE}: what is kept cannot be used: {error.reason}: {error.message}"
                raise PermanentError("previous_unusable", told) from None


@unchained
def _opened(text: str, certificate: str, recipients: Recipients) -> Mapping[str, str]:
    if len(text) > LONGEST:
        raise PermanentError("previous_broken", f"{_PLACE}: over {LONGEST} bytes")
    try:
        bound = unseal_fields(text, _NAMES, recipients, _PLACE)
    except RefusedError as error:
        raise PermanentError("previous_broken", error.message) from None
    if bound["certificate"] != certificate:
        raise PermanentError("previous_mismatch", f"{_PLACE}: was kept for another certificate")
    return bound


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file for each certificate."""

    folder: InFolder

    async def write(self, certificate: str, text: str) -> None:
        await asyncio.to_thread(self.folder.write, certificate, text)

    async def read(self, certificate: str) -> str | None:
        return await asyncio.to_thread(self.folder.read, certificate, LONGEST)

    async def check(self) -> bool:
        await asyncio.to_thread(self.folder.check)
        return True


@dataclass(frozen=True, slots=True)
class InVault:
    """A secret for each certificate, below `prefix`. Reasons as `Vault.read` has them, and `previous_broken`."""

    vault: Vault
    prefix: str

    async def write(self, certificate: str, text: str) -> None:
        await self.vault.write(f"{self.prefix}/{certificate}", {_FIELD: text})

    async def read(self, certificate: str) -> str | None:
        secret = await self.vault.find(f"{self.prefix}/{certificate}")
        if secret is None:
            return None
        text = secret.get(_FIELD)
        if not isinstance(text, str):
            raise PermanentError("previous_broken", f"{_PLACE}: Vault: {_FIELD}: the secret has no such text")
        return text

    async def check(self) -> bool:
        """Of a name that may be any certificate's."""
        held = await self.vault.capabilities(f"{self.prefix}/any")
        if held is not None and "root" not in held and not held >= _NEEDED:
            missing = ", ".join(sorted(_NEEDED - held))
            raise PermanentError("vault_forbidden", f"Vault: below trust.previous.vault the policy lacks: {missing}")
        return held is not None


def open_kept(settings: Previous, vault: Vault | None, recipients: Recipients, check: Check) -> KeptSealed:
    """Where the settings say. `check` may let pass what is near its end: what is put back is so by nature."""
    if settings.folder is not None:
        return KeptSealed(OnDisk(InFolder(settings.folder)), recipients, check)
    if settings.vault is None or vault is None:
        raise SettingsError(["trust.previous: needs folder, or vault and trust.vault"])
    return KeptSealed(InVault(vault, settings.vault), recipients, check)
