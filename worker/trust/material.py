"""Chain and key of a renewal: as it brings them, sealed, in files, or in Vault."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, assert_never

from worker.core.errors import RefusedError, RotationError
from worker.core.private_key import fit
from worker.core.renewal import Held, InFiles, InVault, Plain, Renewal, Sealed
from worker.core.secret import Secret
from worker.trust.files import read_material
from worker.trust.keys import Recipients
from worker.trust.sealing import unseal
from worker.trust.vault import Vault

_PAUSES: Final = (0.2, 0.5, 1.0)
"""Seconds between looks at what is being replaced: by a client that renews, or where a copy of it is kept."""
# A writer may link, or write before it takes the rights from others.
_PASSING: Final = frozenset({"file_not_found", "file_permissions", "key_mismatch"})
# A pinned version never changes; it may only be unknown yet to the replica that was asked.
_PASSING_OF_PINNED: Final = frozenset({"vault_not_found"})
_PASSING_OF_NEWEST: Final = _PASSING_OF_PINNED | {"vault_malformed"}

Pair = tuple[str, Secret]
Seen = tuple[Pair, bool]
"""A pair, and whether it is at rest: its key is its certificate's, or it never changes."""


async def material_of(
    renewal: Renewal, roots: Sequence[Path], recipients: Recipients, vault: Vault | None = None
) -> Pair | None:
    """Chain and key of a renewal; None where the platform holds them."""
    match renewal.material:
        case Plain(chain_pem, private_key_pem):
            return chain_pem, private_key_pem
        case InFiles() as material:
            return await material_in(material, roots)
        case Held():
            return None
        case Sealed(chain_pem, private_key_jwe):
            return chain_pem, unseal(private_key_jwe, renewal.certificate, renewal.id, recipients)
        case InVault() as material:
            return await material_in_vault(material, vault)
        case _:
            assert_never(renewal.material)


async def material_in(material: InFiles, roots: Sequence[Path]) -> Pair:
    """Chain and key in files. They are two: for a moment they may be of two renewals, or not there."""

    def look() -> Seen:
        pair = read_material(material, roots)
        return pair, fit(*pair)

    return await _at_rest(partial(asyncio.to_thread, look), _PASSING)


async def material_in_vault(material: InVault, vault: Vault | None) -> Pair:
    """Chain and key in Vault. A producer may write the newest version in two steps."""
    if vault is None:
        raise RefusedError("vault_not_configured", "data.material: the settings have no trust.vault")

    is_pinned = material.version is not None

    async def look() -> Seen:
        pair = await vault.read(material.path, material.version)
        return pair, is_pinned or await asyncio.to_thread(fit, *pair)

    return await _at_rest(look, _PASSING_OF_PINNED if is_pinned else _PASSING_OF_NEWEST)


async def _at_rest(look: Callable[[], Awaitable[Seen]], passing: frozenset[str]) -> Pair:
    """What is seen once it fits, or at the last look: the certificate's rules judge it then."""
    for pause in _PAUSES:
        try:
            pair, is_at_rest = await look()
            if is_at_rest:
                return pair
        except RotationError as error:
            if error.reason not in passing:
                raise
        await asyncio.sleep(pause)
    pair, _ = await look()
    return pair
