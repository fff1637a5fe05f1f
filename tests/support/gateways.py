"""A gateway of each kind against a sandbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from tests.support.clouds import apig_gateway, bycloud_gateway
from worker.core.bundle import Bundle
from worker.core.certificate import Rules, check
from worker.core.outcome import BindingResult
from worker.core.secret import Secret
from worker.gateways import open_gateway
from worker.gateways.base import Gateway
from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority, Issued
from worker.settings.gateways import Gateway as Settings

AUTHORITY: Final = Authority.create()
_SETTINGS: Final[TypeAdapter[Settings]] = TypeAdapter(Settings)


def checked(issued: Issued) -> Bundle:
    return check(issued.chain_pem, Secret(issued.private_key_pem), now=datetime.now(UTC), rules=Rules())


def unheard(_result: BindingResult) -> None:
    """Nobody listens."""


@asynccontextmanager
async def apig(sandbox: Sandbox, folder: Path, **overrides: Any) -> AsyncIterator[Gateway]:
    async with _opened("apig", apig_gateway(sandbox, folder, **overrides)) as gateway:
        yield gateway


@asynccontextmanager
async def bycloud(sandbox: Sandbox, folder: Path, **overrides: Any) -> AsyncIterator[Gateway]:
    async with _opened("bycloud", bycloud_gateway(sandbox, folder, **overrides)) as gateway:
        yield gateway


@asynccontextmanager
async def _opened(name: str, fields: dict[str, Any]) -> AsyncIterator[Gateway]:
    settings = _SETTINGS.validate_python(fields)
    # No patience: what fails shall be told at once.
    gateway = open_gateway(name, settings, deadline=0.3, chance=lambda: 0.0)
    try:
        yield gateway
    finally:
        await gateway.close()
