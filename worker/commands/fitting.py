"""Whether `[publish]` fits the certificates of its file: a hook ends well all the same, and the renewal is refused."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from worker.broker import embedded_file
from worker.broker.naming import own_name
from worker.commands.finding import Finding
from worker.core.nearest import nearest
from worker.settings import Settings
from worker.settings.resolve import broker_url
from worker.trust.keys import read_key

_LIST_IT: Final = "list it in producers of the certificates that it renews, or name one there that is listed"
_PUBLIC_HALF: Final = "name the public half (.pub.jwk) of the first of trust.recipient_keys"
_SIGN: Final = "name the producer's private key in publish.producer_key"
_SIGNED_BY: Final = "name the public half (.pub.jwk) of publish.producer_key in trust.producers"
_AUDIENCE: Final = "write the same in publish.audience and trust.audience"
_FOLDER: Final = "make it a folder of the user who runs the hooks, with room on its disk"
_OTHERS: Final = "not known: whether the user who runs the hooks may write there, `check` tells when that user runs it"


def fits(settings: Settings) -> Iterator[Finding]:
    """Nothing where renewals are published by others, or for others."""
    if not settings.names_publish or not settings.certificates:
        return
    yield _producer(settings)
    yield from _signature(settings)
    yield from _names(settings)
    if settings.publish.recipient_key is not None:
        yield _recipient(settings, settings.publish.recipient_key)
    yield _spool(settings.publish.spool)


def _bad(what: str, message: str, step: str) -> Finding:
    return Finding(f"publish.{what}", is_good=False, message=message, next=step)


def _good(what: str) -> Finding:
    return Finding(f"publish.{what}", is_good=True)


def _producer(settings: Settings) -> Finding:
    named, sender = settings.publish.producer, _sender(settings)
    if named is not None and not _listing(settings, named):
        return _bad("producer", "no certificate lists it (unauthorized_producer)", _LIST_IT)
    if _listing(settings, sender):
        return _good("producer")
    message = f"not known: unsigned, renewals come from this user of the broker, whom no certificate lists: {sender}"
    return Finding("publish.producer", is_good=True, message=message, is_known=False)


def _sender(settings: Settings) -> str:
    """In whose name the worker would get what is published with these settings."""
    publish, url = settings.publish, broker_url(settings.broker)
    if publish.producer is not None and (publish.producer_key is not None or embedded_file(url) is not None):
        return publish.producer
    return own_name() if embedded_file(url) is not None else unquote(urlsplit(url.reveal()).username or "guest")


def _listing(settings: Settings, producer: str) -> Sequence[str]:
    """The certificates that it may renew."""
    return [name for name, one in settings.certificates.items() if producer in one.producers]


def _signature(settings: Settings) -> Iterator[Finding]:
    publish, trust = settings.publish, settings.trust
    if publish.producer_key is None:
        if trust.require_signature:
            yield _bad("producer_key", "missing, and trust.require_signature is set (unauthorized_producer)", _SIGN)
        return
    known = trust.producers.get(publish.producer or "")
    if known is None or known.public_key is None:
        yield _bad(
            "producer_key", "trust.producers has no public_key of its producer (unauthorized_producer)", _SIGNED_BY
        )
    elif _thumbprint(publish.producer_key, signs=True) != _thumbprint(known.public_key, signs=True, is_private=False):
        yield _bad("producer_key", "of another pair than its producer's in trust.producers (bad_signature)", _SIGNED_BY)
    elif publish.audience != trust.audience:
        yield _bad("audience", "is not trust.audience (wrong_audience)", _AUDIENCE)
    else:
        yield _good("producer_key")


def _thumbprint(path: Path, *, signs: bool, is_private: bool = True) -> str:
    return read_key(path, is_private=is_private, signs=signs).thumbprint()


def _names(settings: Settings) -> Iterator[Finding]:
    found = [bad for client, name in settings.publish.names.items() for bad in _misnamed(settings, client, name)]
    yield from found
    if settings.publish.names and not found:
        yield _good("names")


def _misnamed(settings: Settings, client: str, name: str) -> Iterator[Finding]:
    what, producer, certificate = f"names.{client}", settings.publish.producer, settings.certificates.get(name)
    if certificate is None:
        meant = nearest(name, settings.certificates)
        step = "name a certificate of the settings" if meant is None else f"did you mean {meant}?"
        yield _bad(what, f"there is no certificate {name} (unknown_certificate)", step)
    elif producer is not None and producer not in certificate.producers and _listing(settings, producer):
        yield _bad(what, f"certificate {name} does not list publish.producer (unauthorized_producer)", _LIST_IT)


def _recipient(settings: Settings, path: Path) -> Finding:
    wanted = _thumbprint(path, signs=False, is_private=False)
    if any(_thumbprint(one, signs=False) == wanted for one in settings.trust.recipient_keys):
        return _good("recipient_key")
    return _bad("recipient_key", "of another pair than any of trust.recipient_keys (cannot_decrypt)", _PUBLIC_HALF)


def _spool(folder: Path) -> Finding:
    """A check makes nothing; whose hooks are another user's, who may do what this one may not."""
    there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not there.is_dir():
        return _bad("spool", f"{there} is no folder", _FOLDER)
    is_own = there.stat().st_uid == os.geteuid()
    if os.access(there, os.W_OK | os.X_OK) and (is_own or there != folder):
        return _good("spool")
    if is_own:
        return _bad("spool", f"{there} cannot be written", _FOLDER)
    return Finding("publish.spool", is_good=True, message=_OTHERS, is_known=False)
