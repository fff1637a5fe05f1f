"""Makes what the services of compose.yaml keep secret, once: keys, passwords, and TLS for the broker.

Each folder is a volume that only its reader has: `worker`, `producer`, `broker`. What is complete is left as it is.
"""

import base64
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from worker.broker.topology import definitions
from worker.sandbox import SandboxConfig
from worker.sandbox.ca import Authority
from worker.settings import Settings
from worker.settings.loading import load
from worker.trust.keys import made

_PRODUCER: Final = "acme-1"
_USERS: Final = {"rotation-worker": "worker", "rotation-producer": "producer"}
"""Of the broker, and in whose folder each user's URL lies."""
_YEARS: Final = timedelta(days=3650)
_LAST: Final = "definitions.json"
"""Written when all the rest is there."""


def password_hash(password: str) -> str:
    """As RabbitMQ's definitions have it: https://www.rabbitmq.com/docs/passwords."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def with_passwords(settings: Settings, passwords: Mapping[str, str]) -> dict[str, Any]:
    """The broker's objects and least-privilege users, each with its password."""
    told: dict[str, Any] = dict(definitions(settings.broker, settings.retry.parking_seconds))
    told["users"] = [{**user, "password_hash": password_hash(passwords[user["name"]])} for user in told["users"]]
    return told


def write(path: Path, content: str, mode: int = 0o600) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, mode)
        file.write(content)


def make_keys(home: Path) -> None:
    """The worker's, to seal to, and the producer's, to sign with; the public one of each to the other side."""
    for mine, other, name in (("worker", "producer", "worker"), ("producer", "worker", _PRODUCER)):
        _private, public = made(home / mine, name, signs=name == _PRODUCER)
        write(home / other / public.name, public.read_text("ascii"), 0o644)
        public.unlink()  # not moved: these are two file systems


def make_tls(home: Path) -> None:
    """A CA for this broker alone; its key is not kept. The broker is another user: the volume keeps others out."""
    authority = Authority.create("Compose")
    issued = authority.issue(["rabbitmq"], not_after=datetime.now(UTC).replace(microsecond=0) + _YEARS)
    write(home / "broker" / "server.pem", issued.chain_pem, 0o644)
    write(home / "broker" / "server.key", issued.private_key_pem, 0o644)
    for folder in ("broker", "worker", "producer"):
        write(home / folder / "broker-ca.pem", authority.root_pem, 0o644)


def make_users(home: Path, settings: Settings) -> None:
    passwords = {user: secrets.token_urlsafe(32) for user in _USERS}
    for user, folder in _USERS.items():
        write(home / folder / "amqp-url", f"amqps://{user}:{passwords[user]}@rabbitmq:5671/\n")
    write(home / "broker" / _LAST, json.dumps(with_passwords(settings, passwords)), 0o644)


def main(config: str, folder: str) -> None:
    home = Path(folder)
    if (home / "broker" / _LAST).exists():
        return print("Keys and passwords were made before, and stay as they are.")
    for leftover in home.glob("*/*"):
        leftover.unlink()  # of a run that did not come to its end: nobody has used it
    make_keys(home)
    make_tls(home)
    write(home / "worker" / "apig-password", SandboxConfig().password)
    write(home / "worker" / "http-token", secrets.token_urlsafe(32))
    make_users(home, load(Path(config), {}))
    return print("Keys and passwords are made.")


if __name__ == "__main__":
    main(*sys.argv[1:])
