"""Sealed and signed envelopes: any single byte changed, and headers and contents that nobody expects."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwe import JWERegistry
from joserfc.jws import JWSRegistry

from tests.bad_inputs.mutations import ANYTHING, CASES, TEXTS, dumped, mutated
from tests.bad_inputs.stage import event_of, header_of
from worker.core.errors import RefusedError
from worker.core.secret import Secret
from worker.trust.keys import Key, Recipients, Signers, made, read_key
from worker.trust.sealing import seal, unseal
from worker.trust.signing import Signing, open_signed, sign

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
KEY = Secret("-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n")
BOUND = {"certificate": "shop", "renewal_id": "r1", "private_key_pem": KEY.reveal()}
EVENT = json.dumps(event_of({"certificate": "shop", "material": {"kind": "held"}}, "r1")).encode()
SHORT = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PARTS = st.binary(max_size=40).map(lambda one: encoded(one).decode()) | st.text(max_size=20)


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one worker and one producer."""

    recipients: Recipients
    recipient: Key
    signers: Signers
    signing: Signing

    def sealed(self) -> bytes:
        return seal(KEY, "shop", "r1", self.recipient).encode()

    def signed(self) -> bytes:
        return sign(EVENT, self.signing, NOW)

    def unsealed(self, body: bytes) -> object:
        return unseal(Secret(body.decode("latin-1")), "shop", "r1", self.recipients)

    def opened(self, body: bytes) -> object:
        return open_signed(body, self.signers, "rotation-worker", NOW)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    private, public = made(folder, "worker", signs=False)
    producer, known = made(folder, "acme", signs=True)
    signing = Signing("acme", read_key(producer, is_private=True, signs=True), "rotation-worker", 3600)
    recipient = read_key(public, is_private=False, signs=False)
    return Keys(Recipients.at([private]), recipient, Signers.at({"acme": known}), signing)


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def changes(good: bytes) -> Iterator[bytes]:
    """Every byte with each of its bits flipped, gone, and twice; and one more of each kind everywhere."""
    for at, byte in enumerate(good):
        yield from (good[:at] + bytes([byte ^ 1 << bit]) + good[at + 1 :] for bit in range(8))
        yield good[:at] + good[at + 1 :]
        yield good[: at + 1] + good[at:]
        yield from (good[:at] + more + good[at:] for more in (b"=", b"\n", b"."))


def taken(good: bytes, open_: Callable[[bytes], object]) -> list[bytes]:
    """The changed ones that are opened all the same."""
    found = []
    for body in changes(good):
        with suppress(RefusedError):
            open_(body)
            found.append(body)
    return found


def test_a_sealed_key_with_any_byte_changed_is_refused(keys: Keys) -> None:
    """Also where base64 has bits to spare, and where it could be read past what does not belong to it."""
    good = keys.sealed()
    assert keys.unsealed(good) == KEY
    assert taken(good, keys.unsealed) == []


def test_a_signed_renewal_with_any_byte_changed_is_refused(keys: Keys) -> None:
    good = keys.signed()
    assert keys.opened(good)
    assert taken(good, keys.opened) == []


@SHORT
@given(data=st.data())
def test_no_header_of_a_sealed_key_surprises(keys: Keys, data: st.DataObject) -> None:
    good = keys.sealed()
    header = data.draw(mutated(header_of(good)) | st.dictionaries(TEXTS, ANYTHING, max_size=4))
    parts = [data.draw(st.just(one.decode()) | PARTS) for one in good.split(b".")[1:]]
    body = ".".join((encoded(dumped(header)).decode(), *parts))
    with suppress(RefusedError):
        assert unseal(Secret(body), "shop", "r1", keys.recipients) == KEY
        assert body.encode() == good


@SHORT
@given(data=st.data())
def test_no_content_of_a_sealed_key_surprises(keys: Keys, data: st.DataObject) -> None:
    content = data.draw(mutated(BOUND).map(dumped) | st.binary(max_size=60))
    registry = JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}
    with suppress(RefusedError):
        keys.unsealed(jwe.encrypt_compact(header, content, keys.recipient, registry=registry).encode())
        told = json.loads(content)
        assert (told["certificate"], told["renewal_id"]) == ("shop", "r1")


@SHORT
@given(data=st.data())
def test_no_header_of_a_signed_renewal_surprises(keys: Keys, data: st.DataObject) -> None:
    good = keys.signed()
    header = data.draw(mutated(header_of(good)) | st.dictionaries(TEXTS, ANYTHING, max_size=4))
    body = b".".join((encoded(dumped(header)), *good.split(b".")[1:]))
    with suppress(RefusedError):
        keys.opened(body)
        assert body == good


@SHORT
@given(data=st.data())
def test_nothing_that_a_producer_signs_surprises(keys: Keys, data: st.DataObject) -> None:
    """Soundly signed: header and payload, whatever they say."""
    times: dict[str, Any] = header_of(keys.signed())
    header = {**times, **data.draw(st.dictionaries(st.sampled_from(["aud", "iat", "exp", "typ", "kid"]), ANYTHING))}
    payload = data.draw(mutated(json.loads(EVENT)).map(dumped) | st.binary(max_size=60))
    registry = JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    key = keys.signing.key
    signed = key_signed(encoded(dumped(header)), payload, key, registry)
    with suppress(RefusedError):
        event, producer, _at = open_signed(signed, keys.signers, "rotation-worker", NOW)
        assert (producer, event.specversion) == ("acme", "1.0")


def key_signed(header: bytes, payload: bytes, key: Key, registry: JWSRegistry) -> bytes:
    """As the library signs, which takes no such headers: over header and payload as they are written."""
    content = header + b"." + encoded(payload)
    algorithm = registry.get_alg("Ed25519")
    return content + b"." + encoded(algorithm.sign(content, key))
