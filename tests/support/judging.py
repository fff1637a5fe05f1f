"""The rules of certificates as an intake applies them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509

from worker.broker.base import Message
from worker.core.bundle import Bundle
from worker.core.certificate import Rules, check
from worker.core.secret import Secret


def rules(*roots: x509.Certificate) -> Rules:
    """Those of a worker that trusts these roots."""
    return Rules(roots=list(roots))


def judged(
    chain_pem: str, private_key_pem: str, roots: Sequence[x509.Certificate], now: datetime | None = None
) -> Bundle:
    """Raises RefusedError."""
    return check(chain_pem, Secret(private_key_pem), now=now or datetime.now(UTC), rules=rules(*roots))


def kept_by_all(_message: Message) -> None:
    """For a broker that gives up nothing by itself while the test lasts."""
