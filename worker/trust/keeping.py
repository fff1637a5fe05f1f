"""What is kept of a message that the worker gives up: only what holds no key in the open, as far as anybody can see.

A list of what may be there, part by part, and not of what keys look like: a key comes in too many dresses.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from worker.broker.base import Message, sound_traceparent
from worker.core.errors import RefusedError
from worker.core.message import (
    FileMaterial,
    HeldMaterial,
    PlainMaterial,
    RenewalEvent,
    SealedMaterial,
    VaultMaterial,
    parse,
)
from worker.core.pieces import may_be_key, unread_in
from worker.core.reading import chain_in
from worker.trust.exposure import holds_open_key
from worker.trust.opening import JSON_TYPES, PLAIN_ENCODINGS, TrustPolicy, kind_of
from worker.trust.sealing import is_sealed
from worker.trust.signing import CONTENT_TYPE, payload_of

_LONGEST_TEXT: Final = 400
_MOST_ATTRIBUTES: Final = 8
# The number that is a P-256 key has 43 characters of base64; as PKCS#8, 92. Base64 has slashes, and so have paths.
_KEY_LIKE: Final = re.compile(r"[A-Za-z0-9+_=-]{41}|[A-Za-z0-9+_=/-]{81}")
# A key in pieces is one too. Words and numbers may stand beside one another, but not so much of hex.
_BETWEEN: Final = re.compile(r"[\s:]+")
_BETWEEN_HEX: Final = re.compile(r"[\s:-]+")
_WORD: Final = re.compile(r"(?<![A-Za-z0-9+/_=-])(?:[A-Za-z]?[a-z]+|[A-Z]+|[0-9]+)(?![A-Za-z0-9+/_=-])")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{41}")
_MOST_UNREAD: Final = 60
"""Characters of all texts together: the shortest key in DER has 68 in base64."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a message."""

    may_keep: bool
    """As it is, where it was given up."""
    is_exposed: bool
    """A key that must not travel in the open did."""


UNSEEN: Final = Look(may_keep=True, is_exposed=False)
"""Of what is not looked at, or may hold what it likes."""


def looked_at(message: Message, policy: TrustPolicy) -> Look:
    """To be asked once a message: it reads all of it."""
    if policy.allow_plain_keys:
        return UNSEEN
    is_exposed = holds_open_key(message.body)
    return Look(may_keep=not is_exposed and _is_in_place(message), is_exposed=is_exposed)


def _is_in_place(message: Message) -> bool:
    """Whether all that is in a message is what should stand there.

    What is no renewal may hold a key in any disguise, so it is not kept either, however harmless it looks; nor is one
    with something in it that is not what should stand there: a chain that is none, an envelope that `sealing` would
    not look at, a long text in an attribute that nobody reads. This holds for what the worker gives up, at the last
    delivery too. What RabbitMQ gives up by itself (`expired`, `maxlen`, `delivery_limit`) lies in the dead
    queue as it came, a key in the open included, until a running worker, which looks there by itself, or one of the
    `dead` commands asks here, or it is purged. Until then only the broker's rights guard it.
    """
    if message.content_encoding not in PLAIN_ENCODINGS or kind_of(message) not in {*JSON_TYPES, CONTENT_TYPE}:
        return False
    try:
        is_signed = kind_of(message) == CONTENT_TYPE
        event = parse(payload_of(message.body) if is_signed else message.body)
    except RefusedError:
        return False
    if may_be_key(event.id) or sum(map(unread_in, _texts_of(event))) > _MOST_UNREAD:
        return False
    return _is_plain_text(event.source) and _has_sound_attributes(event) and _has_sound_material(event)


def _texts_of(event: RenewalEvent) -> Iterator[str]:
    """Over which a key may be spread. What has a form of its own is looked at by itself."""
    yield from (event.id, event.source, event.data.certificate)
    for name, value in (event.model_extra or {}).items():
        if name != "traceparent":
            yield from (name, str(value))
    match event.data.material:
        case FileMaterial(chain=chain, private_key=key):
            yield from (chain, key)
        case VaultMaterial(path=path):
            yield path


def _is_plain_text(text: str | None) -> bool:
    if text is None:
        return True
    pieces = _BETWEEN.sub("", _WORD.sub("|", text))
    is_key_like = _KEY_LIKE.search(text) or _KEY_LIKE.search(pieces) or _HEX.search(_BETWEEN_HEX.sub("", text))
    return len(text) <= _LONGEST_TEXT and is_key_like is None and not may_be_key(text)


def _has_sound_attributes(event: RenewalEvent) -> bool:
    """Also those that are not read."""
    extra = event.model_extra or {}
    return (
        _is_plain_text(event.time)
        and len(extra) <= _MOST_ATTRIBUTES
        and all(_is_sound_attribute(name, value) for name, value in extra.items())
    )


def _is_sound_attribute(name: str, value: object) -> bool:
    if name == "traceparent":
        return sound_traceparent(value) is not None
    return isinstance(value, int | None) or (isinstance(value, str) and _is_plain_text(value))


def _has_sound_material(event: RenewalEvent) -> bool:
    match event.data.material:
        case PlainMaterial():
            return False
        case SealedMaterial(chain_pem=chain, private_key_jwe=jwe):
            return is_sealed(jwe) and _is_chain(chain)
        case FileMaterial(chain=chain, private_key=key):
            return _is_plain_text(chain) and _is_plain_text(key)
        case VaultMaterial(path=path):
            return _is_plain_text(path)
        case HeldMaterial():
            return True
        case unreachable:
            assert_never(unreachable)


def _is_chain(chain_pem: str) -> bool:
    try:
        chain_in(chain_pem)
    except RefusedError:
        return False
    return True
