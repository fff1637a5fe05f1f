"""From renewed files to a confirmed message: check, write down, send what waits, forget what was confirmed."""

import asyncio
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from worker.broker.base import BrokerError, BrokerRefusedError, Message
from worker.core.certificate import check
from worker.core.errors import RefusedError, RotationError
from worker.core.message import CONTENT_TYPE, composed
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.renewal import URGENT, InFiles, Reason
from worker.core.rules import LENIENT
from worker.core.secret import Secret
from worker.settings import Settings, SettingsError
from worker.settings.loading import problems_of_files
from worker.settings.model import CERTIFICATE_NAME, Publish
from worker.spool import Spool, SpoolError, Waiting
from worker.trust.files import read_material
from worker.trust.keys import Key, KeyFileError, read_key
from worker.trust.named import check_named, read_named
from worker.trust.sealing import seal
from worker.trust.signing import CONTENT_TYPE as SIGNED
from worker.trust.signing import Signing, sign

_URGENT_PRIORITY: Final = 9
_PAUSES: Final = (0.5, 2.0, 5.0)
"""Seconds between the tries to send what cannot be written down."""


class Recipient(Protocol):
    """The part of a Broker that matters here."""

    async def publish_renewal(self, message: Message) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be published. `names`: the client's for it; the first is its own name, others are its domains."""

    names: Sequence[str]
    chain: Path
    private_key: Path
    reason: Reason = "renewal"
    allow_shorter_validity: bool = False
    traceparent: str | None = None
    """Of whoever renewed it, where that is traced."""


@dataclass(frozen=True, slots=True)
class Published:
    """What became of it. With `waiting` 0 the renewal is with the broker; else it waits in the spool, or others do."""

    certificate: str
    renewal_id: str
    sent: tuple[str, ...] = ()
    """Ids of the renewals that this call has sent, in order."""
    waiting: int = 0
    bad: tuple[Path, ...] = ()
    """What lay in the spool, was no message, and was put aside."""
    refused: tuple[str, ...] = ()
    """Ids of the renewals that the broker does not take: they wait, and keep no other back."""
    problem: str = ""
    """For people: why something waits, or could not be written down."""
    mistakes: tuple[str, ...] = ()
    """In the settings: nothing was sent because of them."""


@dataclass(slots=True)
class _Progress:
    """What became of the messages, while they are being sent."""

    sent: list[str] = field(default_factory=list)
    bad: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    """Renewal ids, by where they lie."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as messages are sent: what lies in the spool has no date yet. Without `signing` the broker vouches."""

    signing: Signing | None
    now: datetime

    def signed(self, message: Message) -> Message:
        if self.signing is None:
            return message
        return replace(message, body=sign(message.body, self.signing, self.now), content_type=SIGNED)


async def publish(
    wish: Wish, settings: Settings, broker: Recipient, now: datetime, mistakes: Sequence[str] = ()
) -> Published:
    """Writes it down, then sends everything that waits, oldest first; with `mistakes` in the settings, sends nothing.

    Raises RefusedError when the files are bad, SettingsError when nothing could be written down because of them, and
    SpoolError when it could neither be written down nor sent.
    """
    so_far = Published(_name(wish, settings), str(uuid.uuid4()))
    message = compose(wish, so_far.certificate, settings, so_far.renewal_id, now)
    spool = Spool(settings.publish.spool)
    signer, unsigned = _signer(settings.publish, now)
    all_mistakes = (*mistakes, *problems_of_files(settings, "broker", "publish"), *unsigned)
    try:
        spool.write(so_far.renewal_id, message)
    except SpoolError as error:
        return await _send_unspooled(so_far, signer.signed(message), broker, error, all_mistakes)
    # Behind the spool: a mistake must not cost the renewal.
    if all_mistakes:
        waiting = len(spool.waiting())
        return replace(so_far, waiting=waiting, problem="; ".join(all_mistakes), mistakes=all_mistakes)
    return await _send(so_far, spool, broker, signer, settings.broker.timeout_seconds)


def _signer(publish: Publish, now: datetime) -> tuple[Signer, Sequence[str]]:
    """And why it cannot sign, where it should: what was written down waits until it can."""
    try:
        return Signer(_signing(publish), now), ()
    except SettingsError as error:
        return Signer(None, now), error.problems


def _name(wish: Wish, settings: Settings) -> str:
    """The certificate's in the settings: what `publish.names` says, else the client's own."""
    names = settings.publish.names
    certificate = next((names[name] for name in wish.names if name in names), wish.names[0])
    if CERTIFICATE_NAME.fullmatch(certificate) is None:
        raise SettingsError(["publish.names: what was renewed needs a name there; its own cannot be a certificate's"])
    return certificate


def compose(wish: Wish, certificate: str, settings: Settings, renewal_id: str, now: datetime) -> Message:
    """The whole message, after every check that can be made here."""
    event = composed(
        renewal_id=renewal_id,
        source=f"/rotation-worker/publish/{quote(socket.gethostname())}",
        certificate=certificate,
        material=_material(wish, certificate, settings, renewal_id, now),
        at=now,
        reason=wish.reason,
        allow_shorter_validity=wish.allow_shorter_validity,
    )
    priority = _URGENT_PRIORITY if wish.reason in URGENT else 0
    return Message(event, CONTENT_TYPE, priority=priority, traceparent=wish.traceparent)


def _signing(publish: Publish) -> Signing | None:
    if publish.producer_key is None or publish.producer is None:
        return None
    key = _key(publish.producer_key, "publish.producer_key", is_private=True, signs=True)
    return Signing(publish.producer, key, publish.audience, publish.expires_after_seconds)


def _key(path: Path, place: str, *, is_private: bool, signs: bool) -> Key:
    try:
        return read_key(path, is_private=is_private, signs=signs)
    except KeyFileError as error:
        raise SettingsError([f"{place}: {error}"]) from None


def _material(wish: Wish, certificate: str, settings: Settings, renewal_id: str, now: datetime) -> Mapping[str, str]:
    """Sealed where the worker's key is known; else by name where it can read the files; else in the open if it may."""
    if settings.publish.recipient_key is not None:
        recipient = _key(settings.publish.recipient_key, "publish.recipient_key", is_private=False, signs=False)
        chain_pem, private_key = _named(wish, now)
        sealed = seal(private_key, certificate, renewal_id, recipient)
        return {"kind": "sealed", "chain_pem": chain_pem, "private_key_jwe": sealed}
    check_named(wish.chain, "chain")
    check_named(wish.private_key, "key")
    roots = settings.trust.roots.files
    chain, key = (_below(path, roots) for path in (wish.chain, wish.private_key))
    if chain is not None and key is not None:
        check(*_as_the_worker_reads(InFiles(chain, key), roots), now=now, rules=LENIENT)
        return {"kind": "file", "chain": chain, "private_key": key}
    if not settings.publish.plain:
        raise SettingsError(
            ["publish.recipient_key: missing, and neither publish.plain nor trust.roots.files lets the key travel"]
        )
    chain_pem, private_key = _named(wish, now)
    return {"kind": "plain", "chain_pem": chain_pem, "private_key_pem": private_key.reveal()}


def _named(wish: Wish, now: datetime) -> tuple[str, Secret]:
    """What the files hold, after every check that can be made here."""
    chain_pem = read_named(wish.chain, "chain", LONGEST_CHAIN)
    private_key = Secret(read_named(wish.private_key, "key", LONGEST_KEY))
    check(chain_pem, private_key, now=now, rules=LENIENT)
    return chain_pem, private_key


def _as_the_worker_reads(material: InFiles, roots: Sequence[Path]) -> tuple[str, Secret]:
    try:
        return read_material(material, roots)
    except RotationError as error:
        raise RefusedError(error.reason, error.message) from None


def _below(path: Path, roots: Sequence[Path]) -> str | None:
    """Relative to a root, as it is named: certbot's `live/…` stays the symlink that it is."""
    ways = [(path.absolute(), root.absolute()) for root in roots] + [(path.resolve(), root.resolve()) for root in roots]
    below = (one.relative_to(root) for one, root in ways if one.is_relative_to(root))
    return next((str(one) for one in below if ".." not in one.parts and _leads_to(one, roots, path)), None)


def _leads_to(relative: Path, roots: Sequence[Path], path: Path) -> bool:
    """Whether the worker, which takes the first root that has it, arrives at this very file."""
    found = next((root / relative for root in roots if (root / relative).exists()), None)
    return found is not None and found.resolve() == path.resolve()


async def _send(so_far: Published, spool: Spool, broker: Recipient, signer: Signer, within: float) -> Published:
    """Everything that waits. What another process has sent meanwhile is not there any more, and counts as sent."""
    progress = _Progress()
    try:
        async with spool.held(within):
            await _drain(spool, broker, signer, progress)
    except (BrokerError, SpoolError) as error:
        progress.problems.append(str(error))
    return replace(
        so_far,
        sent=tuple(progress.sent),
        waiting=len(spool.waiting()) if progress.problems else 0,
        bad=tuple(progress.bad),
        refused=tuple(progress.refused.values()),
        problem="; ".join(progress.problems),
    )


async def _drain(spool: Spool, broker: Recipient, signer: Signer, progress: _Progress) -> None:
    """Until nothing waits but what was refused: others may write while this sends, and need not send themselves."""
    while paths := [path for path in spool.waiting() if path not in progress.refused]:
        for path in paths:
            match spool.read(path):
                case Waiting() as waiting:
                    await _send_one(waiting, spool, broker, signer, progress)
                case aside:
                    progress.bad.append(aside)


async def _send_one(waiting: Waiting, spool: Spool, broker: Recipient, signer: Signer, progress: _Progress) -> None:
    """What the broker refuses stays where it is: rights and limits may be mended. A lost broker ends the call."""
    try:
        await broker.publish_renewal(signer.signed(waiting.message))
    except BrokerRefusedError as error:
        progress.refused[waiting.path] = waiting.renewal_id
        progress.problems.append(f"renewal {waiting.renewal_id} is refused: {error}")
    else:
        progress.sent.append(waiting.renewal_id)
        spool.forget(waiting)


async def _send_unspooled(
    so_far: Published, message: Message, broker: Recipient, why: SpoolError, mistakes: Sequence[str]
) -> Published:
    """What cannot be written down is sent at once. What waits is left to a call that can use the spool."""
    try:
        await _insist(broker, message, () if mistakes else _PAUSES)
    except BrokerError as error:
        if mistakes:
            raise SettingsError([*mistakes, f"the renewal could not be written down: {why}"]) from None
        told = f"the renewal could neither be written down ({why}) nor sent ({error}): repeat the call"
        raise SpoolError(told) from None
    return replace(so_far, sent=(so_far.renewal_id,), problem=f"sent without having been written down: {why}")


async def _insist(broker: Recipient, message: Message, pauses: Sequence[float]) -> None:
    """Where only the confirm was lost, another call would send the renewal under another id: so it is this call's task.

    A repeat has the very same id; what the broker refuses is not repeated.
    """
    for pause in pauses:
        try:
            return await broker.publish_renewal(message)
        except BrokerRefusedError:
            raise
        except BrokerError:
            await asyncio.sleep(pause)
    return await broker.publish_renewal(message)
