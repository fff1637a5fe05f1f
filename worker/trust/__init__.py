"""Who may say so, and where chain and key come from."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from worker.core.errors import RefusedError
from worker.core.renewal import Held, InFiles, InVault, Plain, Renewal, Sealed
from worker.core.secret import Secret
from worker.trust.files import read_material


async def material_of(renewal: Renewal, roots: Sequence[Path]) -> tuple[str, Secret] | None:
    """Chain and key of a renewal; None where the platform holds them."""
    match renewal.material:
        case Plain(chain_pem, private_key_pem):
            return chain_pem, private_key_pem
        case InFiles() as material:
            return await asyncio.to_thread(read_material, material, roots)
        case Held():
            return None
        case Sealed():
            raise RefusedError("sealed_unavailable", "data.material: sealed keys cannot be opened in this version")
        case InVault():
            raise RefusedError("vault_unavailable", "data.material: Vault cannot be read in this version")
        case _:
            assert_never(renewal.material)
