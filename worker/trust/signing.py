"""Signed renewals: the message as a compact JWS by its producer (Ed25519), for this worker, and for a while only."""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from worker.core.clock import is_ahead, slow_clock
from worker.core.errors import RefusedError, is_exhaustion, unchained
from worker.core.message import LONGEST_BODY, RenewalEvent, parse
from worker.trust.compact import decoded, is_terse
from worker.trust.keys import Key, Signers

CONTENT_TYPE: Final = "application/jose"
_TYPE: Final = "renewal+jws"
_ALGORITHM: Final = "Ed25519"
# The name that the same algorithm had before RFC 9864. Compared one by one: what a header says may have no hash.
_ACCEPTED: Final = (_ALGORITHM, "EdDSA")
_NAMES: Final = frozenset({"alg", "kid", "typ", "aud", "iat", "exp"})
_LONGEST_HEADER: Final = 4096
_LONGEST_NAME: Final = 100
_LATEST: Final = 1 << 53
# An Ed25519 signature has 64 bytes.
_COMPACT: Final = re.compile(r"(?:[A-Za-z0-9_-]+\.){2}[A-Za-z0-9_-]{86}")
REPLAY_WINDOW: Final = 604_800.0
_REGISTRY: Final = JWSRegistry(
    header_registry={
        "aud": HeaderParameter("audience", "str", required=True),
        "iat": HeaderParameter("issued at", "int", required=True),
        "exp": HeaderParameter("expires", "int", required=True),
    },
    algorithms=list(_ACCEPTED),
)


@dataclass(frozen=True, slots=True)
class Signing:
    """How a producer signs. `seconds`: for how long a message is good."""

    producer: str
    key: Key
    audience: str
    seconds: float


class Signed(NamedTuple):
    """What was signed, by whom, and when."""

    event: RenewalEvent
    producer: str
    at: datetime


def sign(event: bytes, signing: Signing, now: datetime) -> bytes:
    """The JWS whose payload is the event."""
    at = int(now.timestamp())
    times = {"iat": at, "exp": at + int(signing.seconds)}
    header = {"alg": _ALGORITHM, "kid": signing.producer, "typ": _TYPE, "aud": signing.audience, **times}
    return jws.serialize_compact(header, event, signing.key, registry=_REGISTRY).encode()


@unchained
def open_signed(
    body: bytes, signers: Signers, audience: str, now: datetime, *, window: float = REPLAY_WINDOW
) -> Signed:
    """The event, and the producer that signed it, `window` seconds ago at most.

    Reasons: `malformed`, `too_large`, `unauthorized_producer` (nobody's key that is known), `bad_signature`,
    `wrong_audience`, `stale_message`, and those of the event itself. TransientError when a key file cannot be read, and
    for a good message that is signed in the future: `stale_message`, for it is this machine's clock that may be wrong.
    """
    if len(body) > LONGEST_BODY:
        raise RefusedError("too_large", f"the message has over {LONGEST_BODY} bytes")
    text, header = _split(body)
    producer = header["kid"]
    key = signers.key(producer)
    if key is None:
        raise RefusedError("unauthorized_producer", "kid: no producer whose key is known")
    payload = _verified(text, key)
    _check_claims(header, audience, now, window)
    event = parse(payload)
    # Last of all: only what is good in everything else is worth another try.
    if is_ahead(header["iat"], now):
        raise slow_clock("stale_message", "iat: not valid yet")
    return Signed(event, producer, datetime.fromtimestamp(header["iat"], UTC))


@unchained
def _split(body: bytes) -> tuple[str, Mapping[str, Any]]:
    """The compact form and its header, every part of it as it shall be."""
    try:
        text = body.decode("ascii")
        encoded, _payload, _signature = text.split(".")
        header = json.loads(decoded(encoded))
    except (ValueError, RecursionError):
        raise RefusedError("malformed", "no compact JWS") from None
    if len(encoded) > _LONGEST_HEADER or not isinstance(header, dict) or set(header) != _NAMES:
        raise RefusedError("malformed", "the protected header is not alg, kid, typ, aud, iat and exp")
    if header["alg"] not in _ACCEPTED or header["typ"] != _TYPE:
        raise RefusedError("bad_signature", "alg, typ: not those of a signed renewal")
    if not isinstance(header["kid"], str) or type(header["iat"]) is not int or type(header["exp"]) is not int:
        raise RefusedError("malformed", "kid, iat, exp: not a text and two whole numbers")
    return text, header


@unchained
def payload_of(body: bytes) -> bytes:
    """The event's bytes, whoever signed it, or claims to. RefusedError for what has room for anything else beside."""
    text, header = _split(body)
    encoded, payload, _signature = text.split(".")
    told = [header["kid"], header["aud"]]
    is_short = all(isinstance(one, str) and len(one) <= _LONGEST_NAME for one in told)
    has_times = all(abs(header[one]) < _LATEST for one in ("iat", "exp"))
    if _COMPACT.fullmatch(text) is None or not is_short or not has_times or not is_terse(encoded, header):
        raise RefusedError("malformed", "no compact JWS of a renewal")
    try:
        return decoded(payload)
    except ValueError:
        raise RefusedError("malformed", "no compact JWS") from None


@unchained
def _verified(text: str, key: Key) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of the algorithm's older name, which others still write
            return jws.deserialize_compact(text, key, registry=_REGISTRY).payload
    except Exception as error:  # what the library and its libraries raise has nothing in common, and quotes
        if is_exhaustion(error):
            raise  # that is no word about the signature
        raise RefusedError("bad_signature", "the signature is not the producer's") from None


def _check_claims(header: Mapping[str, Any], audience: str, now: datetime, window: float) -> None:
    if header["aud"] != audience:
        raise RefusedError("wrong_audience", "aud: meant for another worker")
    issued, expires = header["iat"], header["exp"]
    if expires <= now.timestamp() or expires < issued:
        raise RefusedError("stale_message", "exp: not valid any more")
    # How long a message is good its producer says; how long ago it was signed is ours to judge.
    if issued < now.timestamp() - window:
        raise RefusedError("stale_message", "iat: longer ago than trust.replay_window_seconds")
