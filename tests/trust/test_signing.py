"""Signed renewals: by a producer that is known, for this worker, now, and unchanged."""

import base64
import json
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey
from joserfc.jws import JWSRegistry

from worker.broker.base import Message
from worker.core.errors import RefusedError, TransientError
from worker.core.message import composed
from worker.trust.keys import KeyFile, Signers, made, read_key
from worker.trust.opening import TrustPolicy, open_message
from worker.trust.signing import Signing, open_signed, sign

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
WEEK = 604_800
EVENT = composed(renewal_id="r1", source="/tests", certificate="shop", material={"kind": "held"}, at=NOW)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return made(tmp_path_factory.mktemp("keys"), "acme-1", signs=True)


def signing(pair: tuple[Path, Path], **overrides: Any) -> Signing:
    ours = Signing("acme-1", read_key(pair[0], is_private=True, signs=True), "rotation-worker", WEEK)
    return replace(ours, **overrides)


def signers(pair: tuple[Path, Path]) -> Signers:
    return Signers.at({"acme-1": pair[1]})


def refusal(body: bytes, pair: tuple[Path, Path], now: datetime = NOW) -> str:
    with pytest.raises(RefusedError) as caught:
        open_signed(body, signers(pair), "rotation-worker", now)
    assert caught.value.__cause__ is None
    return caught.value.reason


def test_what_a_producer_signed_is_opened(pair: tuple[Path, Path]) -> None:
    event, producer, at = open_signed(sign(EVENT, signing(pair), NOW), signers(pair), "rotation-worker", NOW)
    assert (event.id, event.data.certificate, producer) == ("r1", "shop", "acme-1")
    assert at == NOW.replace(microsecond=0)


def test_a_producers_key_that_is_replaced_in_its_file_needs_no_restart(tmp_path: Path) -> None:
    pair = made(tmp_path, "first", signs=True)
    old, known = sign(EVENT, signing(pair), NOW), signers(pair)
    assert open_signed(old, known, "rotation-worker", NOW)[1] == "acme-1"
    new = made(tmp_path, "next", signs=True)
    new[1].replace(pair[1])
    assert open_signed(sign(EVENT, signing(new), NOW), known, "rotation-worker", NOW)[1] == "acme-1"
    with pytest.raises(RefusedError):
        open_signed(old, known, "rotation-worker", NOW)


def test_the_older_name_of_the_algorithm_is_accepted(pair: tuple[Path, Path]) -> None:
    header = {**parts(sign(EVENT, signing(pair), NOW)), "alg": "EdDSA"}
    assert open_signed(signed(header, pair), signers(pair), "rotation-worker", NOW)[1] == "acme-1"


def parts(body: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body.split(b".")[0] + b"=="))
    return header


def signed(header: dict[str, Any], pair: tuple[Path, Path], payload: bytes = EVENT) -> bytes:
    """Soundly signed, whatever the header says."""
    registry = JWSRegistry(algorithms=["Ed25519", "EdDSA"], strict_check_header=False)
    key = read_key(pair[0], is_private=True, signs=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(header, payload, key, registry=registry).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "another"}, "wrong_audience"),
        ({"typ": "JWT"}, "bad_signature"),
        ({"kid": "mallory"}, "unauthorized_producer"),
        ({"iat": int(NOW.timestamp()) + WEEK + 1}, "stale_message"),
        ({"exp": int(NOW.timestamp())}, "stale_message"),
        ({"alg": ["Ed25519"]}, "bad_signature"),
        ({"alg": {}}, "bad_signature"),
        ({"exp": True}, "malformed"),
        ({"iat": "1"}, "malformed"),
        ({"kid": ["acme-1"]}, "malformed"),
        ({"crit": ["x"], "x": 1}, "malformed"),
        ({"b64": False}, "malformed"),
        ({"jku": "https://example.com"}, "malformed"),
        ({"jwk": {}}, "malformed"),
        ({"kid": "x" * 9000}, "malformed"),
    ],
)
def test_another_header_is_refused_though_the_signature_is_sound(
    changes: dict[str, Any], reason: str, pair: tuple[Path, Path]
) -> None:
    header = parts(sign(EVENT, signing(pair), NOW))
    try:
        body = signed({**header, **changes}, pair)
    except Exception:  # noqa: BLE001 - the library itself will not sign it: by hand, the signature then is not sound
        encoded = base64.urlsafe_b64encode(json.dumps({**header, **changes}).encode()).rstrip(b"=")
        body = b".".join([encoded, *sign(EVENT, signing(pair), NOW).split(b".")[1:]])
        assert refusal(body, pair) in (reason, "bad_signature")
        return
    assert refusal(body, pair) == reason


def test_a_message_is_good_for_as_long_as_it_says(pair: tuple[Path, Path]) -> None:
    body = sign(EVENT, signing(pair), NOW)
    assert open_signed(body, signers(pair), "rotation-worker", NOW + timedelta(days=6))[1] == "acme-1"
    assert refusal(body, pair, NOW + timedelta(days=8)) == "stale_message"


def test_a_message_is_good_for_no_longer_than_the_worker_says(pair: tuple[Path, Path]) -> None:
    body = sign(EVENT, replace(signing(pair), seconds=10 * 365 * 86_400), NOW)
    assert open_signed(body, signers(pair), "rotation-worker", NOW + timedelta(days=6)).producer == "acme-1"
    assert refusal(body, pair, NOW + timedelta(days=8)) == "stale_message"
    policy = TrustPolicy(
        {"shop": frozenset({"acme-1"})}, holds=frozenset({"shop"}), signers=signers(pair), replay_window=9 * 86_400
    )
    message = Message(body, "application/jose")
    assert open_message(message, policy, NOW + timedelta(days=8)).id == "r1"
    with pytest.raises(RefusedError, match="replay_window_seconds"):
        open_message(message, policy, NOW + timedelta(days=10))


@pytest.mark.parametrize(("ahead", "told"), [(None, 0), (timedelta(hours=-1), -1), (timedelta(days=900), 0)])
def test_what_is_signed_undoes_nothing_that_is_newer_than_its_signature(
    pair: tuple[Path, Path], ahead: timedelta | None, told: int
) -> None:
    signed_at = NOW.replace(microsecond=0)
    data = json.loads(EVENT)
    data["data"] |= {"reason": "key_compromise", "allow_shorter_validity": True}
    data["time"] = None if ahead is None else (signed_at + ahead).isoformat()
    policy = TrustPolicy({"shop": frozenset({"acme-1", "amqp"})}, holds=frozenset({"shop"}), signers=signers(pair))
    body = json.dumps(data).encode()
    renewal = open_message(Message(sign(body, signing(pair), NOW), "application/jose"), policy, NOW)
    assert renewal.undo_until == signed_at + timedelta(hours=told)
    unsigned = open_message(Message(body, "application/cloudevents+json", user_id="amqp"), policy, NOW)
    assert unsigned.undo_until == (datetime.max.replace(tzinfo=UTC) if ahead is None else signed_at + ahead)


@pytest.mark.parametrize("behind", [timedelta(minutes=6), timedelta(days=3)])
def test_what_is_signed_ahead_of_a_slow_clock_is_worth_another_try(pair: tuple[Path, Path], behind: timedelta) -> None:
    body = sign(EVENT, signing(pair), NOW)
    with pytest.raises(TransientError, match="clock may be slow") as caught:
        open_signed(body, signers(pair), "rotation-worker", NOW - behind)
    assert caught.value.reason == "stale_message"
    assert open_signed(body, signers(pair), "rotation-worker", NOW - timedelta(minutes=4))[1] == "acme-1"


@pytest.mark.parametrize("changes", [{"aud": "another"}, {"exp": 1}, {"kid": "mallory"}, {"iat": 10**30}])
def test_what_is_signed_ahead_and_not_good_either_is_final(pair: tuple[Path, Path], changes: dict[str, Any]) -> None:
    header = parts(sign(EVENT, signing(pair), NOW))
    refusal(signed({**header, **changes}, pair), pair, NOW - timedelta(days=3))
    refusal(signed(header, pair, b"{}"), pair, NOW - timedelta(days=3))
    refusal(sign(EVENT, signing(pair), NOW).replace(b".", b".A", 1), pair, NOW - timedelta(days=3))


@pytest.mark.parametrize("alg", ["none", "HS256", "ES256", "PS256", ""])
def test_another_algorithm_is_refused(alg: str, pair: tuple[Path, Path]) -> None:
    body = sign(EVENT, signing(pair), NOW)
    header = base64.urlsafe_b64encode(json.dumps({**parts(body), "alg": alg}).encode()).rstrip(b"=")
    _, payload, signature = body.split(b".")
    assert refusal(b".".join([header, payload, b"" if alg == "none" else signature]), pair) == "bad_signature"


def test_the_public_key_is_no_shared_secret(pair: tuple[Path, Path]) -> None:
    """The classic confusion: HS256 with the public key as the secret."""
    header = {**parts(sign(EVENT, signing(pair), NOW)), "alg": "HS256"}
    registry = JWSRegistry(algorithms=["HS256"], strict_check_header=False)
    key = OctKey.import_key(pair[1].read_bytes())
    assert refusal(jws.serialize_compact(header, EVENT, key, registry=registry).encode(), pair) == "bad_signature"


@pytest.mark.parametrize("body", [b"", b"..", b"a.b.c", b"e30.e30.e30", b"\xff.a.b", b"a.b.c.d", b"x" * 300_000])
def test_what_is_no_signed_message_is_refused(body: bytes, pair: tuple[Path, Path]) -> None:
    assert refusal(body, pair) in ("malformed", "too_large")


@settings(deadline=None)
@given(data=st.data())
def test_no_bit_of_it_can_be_changed(data: st.DataObject, pair: tuple[Path, Path]) -> None:
    body = sign(EVENT, signing(pair), NOW).decode()
    at = data.draw(st.integers(0, 2000)) % len(body)
    other = data.draw(st.sampled_from("AQgw_-9."))
    assume(other != body[at])
    changed = (body[:at] + other + body[at + 1 :]).encode()
    try:
        event, producer, _at = open_signed(changed, signers(pair), "rotation-worker", NOW)
    except RefusedError:
        return
    assert (event.id, producer) == ("r1", "acme-1")
    assert body[at + 1 : at + 2] in (".", ""), "bits of the last character that mean nothing"


def test_a_key_of_another_kind_signs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "acme-1.pub.jwk"
    path.write_text(json.dumps(ECKey.generate_key("P-256", private=False).as_dict(private=False)))
    with pytest.raises(Exception, match="no Ed25519 key"):
        read_key(path, is_private=False, signs=True)


def test_a_signature_stands_for_the_user_and_lists_decide(pair: tuple[Path, Path]) -> None:
    policy = TrustPolicy(
        {"shop": frozenset({"acme-1"}), "other": frozenset({"acme-2"})},
        require_signature=True,
        holds=frozenset({"shop", "other"}),
        signers=signers(pair),
    )
    message = Message(sign(EVENT, signing(pair), NOW), "application/jose", user_id="mallory")
    assert open_message(message, policy, NOW).producer == "acme-1"
    theirs = composed(renewal_id="r1", source="/x", certificate="other", material={"kind": "held"}, at=NOW)
    with pytest.raises(RefusedError) as caught:
        open_message(replace(message, body=sign(theirs, signing(pair), NOW)), policy, NOW)
    assert caught.value.reason == "unauthorized_producer"


class Exhausted(OKPKey):
    """With which nothing can be computed, because there is no memory for it."""

    def get_op_key(self, operation: Any) -> Any:
        raise MemoryError


def test_a_full_memory_is_no_word_about_the_signature(pair: tuple[Path, Path]) -> None:
    file = KeyFile(pair[1], is_private=False, signs=True)
    file._key = Exhausted.import_key(file.key().as_dict(private=False))
    with pytest.raises(MemoryError):
        open_signed(sign(EVENT, signing(pair), NOW), Signers({"acme-1": file}), "rotation-worker", NOW)
