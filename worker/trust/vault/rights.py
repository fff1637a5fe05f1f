"""What Vault lets the worker read: asked for, never tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from worker.core.errors import RotationError
from worker.trust.vault import Vault

_READ: Final = frozenset({"read", "root"})
_ANY: Final = "any"
"""Stands for whatever a secret's last name may be."""


@dataclass(frozen=True, slots=True)
class ReadRight:
    """Whether secrets may be read at `path` or right below it; None where that could not be found out."""

    path: str
    is_there: bool | None
    message: str = ""


async def read_rights(vault: Vault, below: Sequence[str]) -> Sequence[ReadRight]:
    """For each of these paths; without any, for the whole engine. Never raises for an answer, nor the lack of one."""
    if below:
        return [await _right(vault, f"{vault.mount}/data/{one}", (f"{one}/{_ANY}", one)) for one in below]
    right = await _right(vault, f"{vault.mount}/data", (_ANY,))
    if right.is_there is False:
        # A policy for a part of it is as it should be; which part is needed nobody has said.
        return [ReadRight(right.path, None, "not known: no certificate says in vault_below where its secrets lie")]
    return [right]


async def _right(vault: Vault, path: str, names: Sequence[str]) -> ReadRight:
    """One of the names is enough: a policy may be for a single secret, or for what is below."""
    for name in names:
        try:
            told = await vault.capabilities(name)
        except RotationError as error:
            return ReadRight(path, None, f"not known: {error.reason}: {error.message}")
        if told is None:
            return ReadRight(path, None, "not known: Vault does not let the worker ask for its rights")
        if told & _READ:
            return ReadRight(path, is_there=True)
    return ReadRight(path, is_there=False, message=f'the policy lacks the capability "read" for {path}')
