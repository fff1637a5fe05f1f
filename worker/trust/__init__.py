"""Who may say so, and where chain and key come from."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final, assert_never

from worker.core.errors import RefusedError, RotationError
from worker.core.renewal import Held, InFiles, InVault, Plain, Renewal, Sealed
from worker.core.secret import Secret
from worker.trust.files import fit, read_material
from worker.trust.keys import Recipients
from worker.trust.sealing import unseal

_PAUSES: Final = (0.2, 0.5, 1.0)
"""Seconds between looks at files that are being replaced: by a client that renews, or a volume that is synchronised."""
_PASSING: Final = frozenset({"file_not_found", "key_mismatch"})


async def material_of(renewal: Renewal, roots: Sequence[Path], recipients: Recipients) -> tuple[str, Secret] | None:
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
        case InVault():
            raise RefusedError("vault_unavailable", "data.material: Vault cannot be read in this version")
        case _:
            assert_never(renewal.material)


async def material_in(material: InFiles, roots: Sequence[Path]) -> tuple[str, Secret]:
    """Chain and key in files. They are two: for a moment they may be of two renewals, or not there."""
    for pause in _PAUSES:
        try:
            pair = await asyncio.to_thread(read_material, material, roots)
            if await asyncio.to_thread(fit, *pair):
                return pair
        except RotationError as error:
            if error.reason not in _PASSING:
                raise
        await asyncio.sleep(pause)
    return await asyncio.to_thread(read_material, material, roots)
