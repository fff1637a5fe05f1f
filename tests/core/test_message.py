"""The renewal message, read strictly."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha512
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from worker.core.errors import RefusedError
from worker.core.message import identify, parse, renewal_from
from worker.core.renewal import Held, InFiles, InVault, Plain, Sealed
from worker.core.secret import Secret

SENT = datetime(2026, 11, 20, 10, tzinfo=UTC)


def document(**overrides: Any) -> dict[str, Any]:
    data = {"certificate": "shop", "material": {"kind": "held"}}
    fields = {"specversion": "1.0", "id": "7f0c", "source": "/acme/lego", "type": "certificate.renewed", "data": data}
    return {**fields, **overrides}


def data(**overrides: Any) -> dict[str, Any]:
    return document(data={**document()["data"], **overrides})


def refusal(body: bytes | dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(RefusedError) as told:
        parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    return told.value.reason, told.value.message


@pytest.mark.parametrize(
    ("material", "expected"),
    [
        ({"kind": "held"}, Held()),
        ({"kind": "plain", "chain_pem": "c", "private_key_pem": "k"}, Plain("c", Secret("k"))),
        ({"kind": "sealed", "chain_pem": "c", "private_key_jwe": "j"}, Sealed("c", Secret("j"))),
        (
            {"kind": "file", "chain": "live/a/chain.pem", "private_key": "key.pem"},
            InFiles("live/a/chain.pem", "key.pem"),
        ),
        ({"kind": "vault", "path": "tls/shop", "version": 3}, InVault("tls/shop", 3)),
        ({"kind": "vault", "path": "tls/shop"}, InVault("tls/shop", None)),
    ],
)
def test_every_kind_of_material_is_read(material: dict[str, Any], expected: object) -> None:
    event = parse(json.dumps(data(material=material, reason="ca_incident", allow_shorter_validity=True)).encode())
    renewal = renewal_from(event, "acme-1", None)
    assert renewal.material == expected
    assert (renewal.reason, renewal.is_urgent, renewal.allow_shorter_validity) == ("ca_incident", True, True)
    assert (renewal.id, renewal.certificate, renewal.producer) == ("7f0c", "shop", "acme-1")


@pytest.mark.parametrize(
    ("fields", "time", "until"),
    [
        ({"allow_shorter_validity": True, "reason": "ca_incident"}, "2026-11-20T10:00:00Z", SENT),
        ({"allow_shorter_validity": True, "reason": "ca_incident"}, "yesterday", datetime.max.replace(tzinfo=UTC)),
        ({"allow_shorter_validity": True, "reason": "key_compromise"}, "2026-11-20T10:00:00Z", SENT),
        ({"allow_shorter_validity": True, "reason": "manual"}, "2026-11-20T10:00:00Z", None),
        ({"reason": "key_compromise"}, "2026-11-20T10:00:00Z", None),
    ],
)
def test_only_an_urgent_renewal_that_says_so_may_undo_and_only_what_was_before_it(
    fields: dict[str, Any], time: str, until: datetime | None
) -> None:
    event = parse(json.dumps({**data(**fields), "time": time}).encode())
    assert renewal_from(event, "acme-1", None).undo_until == until


def test_extension_attributes_may_be_there() -> None:
    assert parse(json.dumps(document(traceparent="00-x", sequence="1")).encode()).id == "7f0c"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"data":' * 5000,
        b"\xff\xfe{\x00}\x00",
        json.dumps(document()).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(document()).encode(),
        json.dumps(document()).encode().replace(b'"id": "7f0c"', b'"id": "a", "id": "b"'),
        json.dumps(document(data={**document()["data"], "more": 1})).encode(),
        json.dumps(document(Upper="x")).encode(),
        json.dumps(document(id=5)).encode(),
        json.dumps(document(id="")).encode(),
        json.dumps(document(id="a\x00b")).encode(),
        json.dumps(document(id="\ud800")).encode(),
        json.dumps(document(specversion="0.3")).encode(),
        json.dumps(document(type="other")).encode(),
        json.dumps(document(subject="other")).encode(),
        json.dumps(document(n=float("nan"))).encode(),
        b'{"specversion": ' + b"9" * 5000 + b"}",
        json.dumps(data(certificate="../../x")).encode(),
        json.dumps(data(certificate="a/b")).encode(),
        json.dumps(data(certificate="x" * 10_000)).encode(),
        json.dumps(data(certificate="\x1b[31mshop")).encode(),
        json.dumps(data(allow_shorter_validity="true")).encode(),
        json.dumps(data(reason="because")).encode(),
        json.dumps(data(material={"kind": "url", "url": "http://169.254.169.254/"})).encode(),
        json.dumps(data(material={"kind": "held", "chain_pem": "x"})).encode(),
        json.dumps(data(material={"kind": "vault", "path": "p", "version": "3"})).encode(),
    ],
)
def test_what_is_not_exactly_a_renewal_is_malformed(body: bytes) -> None:
    assert refusal(body)[0] == "malformed"


def test_errors_name_the_field_and_not_the_value() -> None:
    reason, message = refusal(data(material={"kind": "plain", "chain_pem": "c", "private_key_pem": 4711}))
    assert (reason, "private_key_pem" in message, "4711" in message) == ("malformed", True, False)
    assert "hunter2" not in refusal(data(hunter2="x"))[1]


def test_another_version_is_told_as_such() -> None:
    assert refusal(document(dataschema="urn:cert-rotation-worker:renewal:2"))[0] == "unsupported_version"


def test_a_message_that_is_too_large_is_not_even_read() -> None:
    assert refusal(b"x" * 262_145)[0] == "too_large"


def test_a_bad_message_is_identified_as_far_as_that_is_safe() -> None:
    assert identify(json.dumps(data(more=1)).encode()) == ("shop", "7f0c")
    assert identify(json.dumps(data(certificate="../x")).encode()) == (None, "7f0c")
    assert identify(b"\x00") == (None, None)


NUMBER = sha512(b"the number of a P-256 key").digest()[:32]
SHORTEST_KEY = bytes.fromhex("30310201010420") + NUMBER + bytes.fromhex("a00a06082a8648ce3d030107")
IN_BASE64 = base64.b64encode(SHORTEST_KEY).decode()
DRESSES = {
    "base64": IN_BASE64,
    "a line of PEM": IN_BASE64[:64],
    "decimal": str(int.from_bytes(NUMBER)),
    "hex in parts": ".".join(SHORTEST_KEY.hex()[first : first + 34] for first in (0, 34, 68)),
    "bytes in hex": ",".join(f"{one:02x}" for one in NUMBER),
    "bytes": ",".join(map(str, NUMBER)),
    "base64 in groups": "~".join(IN_BASE64[first : first + 4] for first in range(0, 68, 4)),
    "base32": base64.b32encode(NUMBER).decode(),
}


@pytest.mark.parametrize("how", DRESSES)
def test_no_id_that_may_be_a_key_is_told_however_it_is_written(how: str) -> None:
    assert identify(json.dumps(document(id=DRESSES[how])).encode()) == ("shop", None)


LIKE_A_KEY = base64.b64encode(b"".join(sha512(seed).digest() for seed in (b"1", b"2")), altchars=b"Zq").decode()
PIECES = [LIKE_A_KEY[first : first + 43] for first in range(0, 172, 43)]
CUT: dict[str, tuple[dict[str, Any], tuple[str | None, str | None]]] = {
    "the id and an attribute": (document(id=PIECES[0], trace=PIECES[1]), ("shop", None)),
    "the id and the source": (document(id=PIECES[0], source=f"/hosts/{PIECES[1]}"), ("shop", None)),
    "the id and an attribute's name": (document(**{"id": PIECES[0], PIECES[1]: 1}), ("shop", None)),
    "the id and a list": (document(id=PIECES[0], more=[{"deep": PIECES[1]}]), ("shop", None)),
    "the name and an attribute": (data(certificate=PIECES[0], more=PIECES[1]), (None, "7f0c")),
    "the name and the id": ({**data(certificate=PIECES[0]), "id": PIECES[1]}, (None, None)),
    "the name alone": (data(certificate="".join(PIECES)[:90]), (None, "7f0c")),
    "attributes alone": (document(one=PIECES[0], other=PIECES[1]), ("shop", "7f0c")),
}


@pytest.mark.parametrize("how", CUT)
def test_no_piece_of_a_key_is_told_as_an_id_or_a_name(how: str) -> None:
    message, told = CUT[how]
    body = json.dumps(message).encode()
    assert identify(body) == told


@pytest.mark.parametrize(
    "fields",
    [
        {
            "id": "6f1d2c5e-9b6a-5d0e-8a54-3f1c7be0a9d2",
            "traceparent": f"00-{'0af7651916cd43dd' * 2}-b7ad6b7169203331-01",
        },
        {"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "correlation": "01BX5ZZKBKACTAV9WEVGEMMVRZ"},
        {"id": "https://ci.example.com/pipelines/2026-11-21/6f1d2c5e-9b6a-5d0e-8a54-3f1c7be0a9d2#build-4711"},
        {"id": "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"id": "ab12" * 16, "fingerprint": "cd34" * 16, "source": "/acme/lego/host-1.example.com"},
        {"id": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"},
        {"id": f"urn:sha256:{'ab12' * 16}"},
        {"id": "sweep-6f1d2c5e-9b6a-5d0e-8a54-3f1c7be0a9d2", "time": "2026-11-20T10:00:00.123456+01:00"},
    ],
)
def test_ids_as_people_make_them_are_told(fields: dict[str, str]) -> None:
    assert identify(json.dumps(document(**fields)).encode()) == ("shop", fields["id"])


@pytest.mark.parametrize(
    "name",
    [
        "xn--80aaxitdbjk.xn--p1ai",
        "a27be832f2e9441c8127fe48e3b5ac67",
        "crt-20261120-a1b2c3",
        "ec2-203-0-113-25.eu-central-1.example.com",
        "eu1-shop",
        "10.20.30.40-vip",
    ],
)
@pytest.mark.parametrize("renewal_id", ["6f1d2c5e9b6a5d0e8a543f1c7be0a9d2", "6f1d2c5e-9b6a-5d0e-8a54-3f1c7be0a9d2"])
def test_names_as_people_give_them_are_told_beside_any_id(name: str, renewal_id: str) -> None:
    body = json.dumps({**data(certificate=name), "id": renewal_id}).encode()
    assert identify(body) == (name, renewal_id)


KEY = ec.generate_private_key(ec.SECP256R1())
D = KEY.private_numbers().private_value.to_bytes(32)
KEY_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA_PEM = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
OF_EC: dict[str, str] = {
    "hex": D.hex(),
    "hex, upper case": D.hex().upper(),
    "base64": base64.b64encode(D).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(D).decode().rstrip("="),
    "decimal": str(int.from_bytes(D)),
    "one half": D.hex()[:32],
    "the other half, like a UUID": str(UUID(D.hex()[32:])),
    "a line of PEM": KEY_PEM.splitlines()[2][:30],
}


def bringing(key: object, told: str) -> bytes:
    material = {"kind": "plain", "chain_pem": "", "private_key_pem": key}
    return json.dumps({**data(material=material), "id": told}).encode()


@pytest.mark.parametrize("how", OF_EC)
def test_no_id_that_quotes_the_key_that_comes_with_it_is_told(how: str) -> None:
    own: dict[str, Any] = {"kty": "EC", "d": base64.urlsafe_b64encode(D).decode().rstrip("=")}
    for key in (KEY_PEM, KEY_PEM.replace("\n", "\\n"), f"{RSA_PEM}{KEY_PEM}", [own]):
        body = bringing(key, OF_EC[how])
        assert identify(body)[1] is None
    as_name = json.dumps(document(data={"certificate": OF_EC["one half"], "key": KEY_PEM})).encode()
    assert identify(as_name) == (None, "7f0c")


def test_neither_is_a_piece_of_an_rsa_key() -> None:
    number = RSA_KEY.private_numbers().p
    for told in (f"{number:x}"[:32], str(number)[40:60]):
        assert identify(bringing(RSA_PEM, told)) == ("shop", None)
        assert identify(bringing(KEY_PEM, told)) == ("shop", told)


HARMLESS: dict[str, dict[str, Any]] = {
    "numbers": {"x": [0] * 600},
    "words": {f"word{number}": "and more" for number in range(600)},
    "other keys": {"x": [{"d": "a-harmless-word"}] * 9},
    "a key too long": {"x": f"-----BEGIN PRIVATE KEY-----{'A' * 5000}-----END PRIVATE KEY-----"},
}


@pytest.mark.parametrize("what", HARMLESS)
def test_nothing_harmless_hides_the_key_beside_it(what: str) -> None:
    for first, last in (({}, HARMLESS[what]), (HARMLESS[what], {})):
        body = {**first, **data(material={"private_key_pem": KEY_PEM}), "id": D.hex()[:32], **last}
        assert identify(json.dumps(body).encode())[1] is None
    pieces = {**HARMLESS[what], **document(id=PIECES[0], trace=PIECES[1])}
    assert identify(json.dumps(pieces).encode())[1] is None


@pytest.mark.parametrize("what", [*HARMLESS][1:])
def test_where_more_is_brought_than_is_compared_neither_id_nor_name_is_told(what: str) -> None:
    assert identify(json.dumps({**document(), **HARMLESS[what]}).encode()) == (None, None)


def test_many_numbers_alone_are_no_reason_to_tell_nothing() -> None:
    assert identify(json.dumps({**document(), **HARMLESS["numbers"]}).encode()) == ("shop", "7f0c")


def test_a_signed_message_is_known_by_what_was_signed() -> None:
    def jws(payload: bytes) -> bytes:
        return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"EdDSA"}', payload, b"sig"))

    assert identify(jws(json.dumps(data()).encode())) == ("shop", "7f0c")
    assert identify(b"a.!.c") == identify(jws(b"\xff")) == (None, None)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_anything_is_accepted_or_refused_in_our_own_words(body: bytes) -> None:
    with suppress(RefusedError):
        parse(body)
    identify(body)
