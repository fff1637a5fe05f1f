"""Renewed files as ACME clients leave them, settings to publish them with, and a broker that may be away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker.broker.base import BrokerLostError, BrokerRefusedError, Message
from worker.core.message import parse
from worker.publishing import Wish
from worker.sandbox.ca import Authority, Issued
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Lineage:
    """Chain and key on disk."""

    issued: Issued
    chain: Path
    private_key: Path

    def wish(self, *names: str, **overrides: Any) -> Wish:
        return Wish(**{"names": names or ("shop",), "chain": self.chain, "private_key": self.private_key, **overrides})


def renewed(folder: Path, **issue: Any) -> Lineage:
    """A new certificate in certbot's layout: `live/` has symlinks into `archive/`."""
    issued = Authority.create().issue(**{"names": ["shop.example.com"], **issue})
    contents = {"fullchain.pem": issued.chain_pem, "privkey.pem": issued.private_key_pem}
    live, archive = folder / "live" / "shop", folder / "archive" / "shop"
    for place in (live, archive):
        place.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (archive / name).write_text(content)
        (archive / name).chmod(0o600)
        (live / name).unlink(missing_ok=True)
        (live / name).symlink_to(Path("../../archive/shop") / name)
    return Lineage(issued, live / "fullchain.pem", live / "privkey.pem")


def settings(folder: Path, *, roots: Sequence[Path] = (), **publish: Any) -> Settings:
    """A publisher's: keys travel in the open where no root is given."""
    return Settings.model_validate(
        {
            "broker": {"url": f"sqlite:///{folder}/queue.db", "timeout_seconds": 5},
            "trust": {"roots": {"files": tuple(roots)}},
            "publish": {"spool": folder / "spool", "plain": not roots, **publish},
        }
    )


@dataclass(slots=True)
class Inbox:
    """Takes renewals; `losses`: how many of the next calls fail. A lost confirm: it was taken all the same.

    `refuses`: certificates whose renewals it does not take.
    """

    losses: int = 0
    is_confirm_lost: bool = False
    refuses: frozenset[str] = frozenset()
    taken: list[Message] = field(default_factory=list)

    async def publish_renewal(self, message: Message) -> None:
        if parse(message.body).data.certificate in self.refuses:
            raise BrokerRefusedError("no queue took the message")
        is_lost, self.losses = self.losses > 0, max(self.losses - 1, 0)
        if not is_lost or self.is_confirm_lost:
            self.taken.append(message)
        if is_lost:
            raise BrokerLostError("the broker cannot be reached")

    @property
    def ids(self) -> list[str]:
        return [parse(message.body).id for message in self.taken]

    @property
    def certificates(self) -> list[str]:
        return [parse(message.body).data.certificate for message in self.taken]


def material(message: Message) -> Mapping[str, object]:
    dumped: Mapping[str, object] = parse(message.body).data.material.model_dump()
    return dumped
