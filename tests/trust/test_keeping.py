"""What is kept of a message that was given up: what is in its place, and no key in the open, however dressed."""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from joserfc.jwk import ECKey, OKPKey

from tests.support.gateways import AUTHORITY
from tests.trust.test_opening import PLAIN, POLICY, message
from worker.broker.base import Message
from worker.core.secret import Secret
from worker.trust.keeping import looked_at
from worker.trust.keys import Key
from worker.trust.sealing import seal
from worker.trust.signing import CONTENT_TYPE, Signing, sign

ISSUED: Final = AUTHORITY.issue(["a.example.com"])
PEM: Final = ISSUED.private_key_pem
DER: Final = load_pem_private_key(PEM.encode(), None).private_bytes(
    Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
)  # fmt: skip
RECIPIENTS: Final[dict[str, Key]] = {
    curve: ECKey.generate_key(curve, private=True) for curve in ("P-256", "P-384", "P-521")
} | {"X25519": OKPKey.generate_key("X25519", private=True)}
SIGNING: Final = Signing("acme", OKPKey.generate_key("Ed25519", private=True), "rotation-worker", 3600)


def text64(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def url64(content: bytes | str) -> str:
    return text64(content).translate(str.maketrans("+/", "-_")).rstrip("=")


def pieces(text: str, size: int) -> list[str]:
    return [text[first : first + size] for first in range(0, len(text), size)]


JWE: Final = seal(Secret(PEM), "shop", "1", RECIPIENTS["P-256"])


def sealed(jwe: str = JWE, chain: str = ISSUED.chain_pem) -> dict[str, str]:
    return {"kind": "sealed", "chain_pem": chain, "private_key_jwe": jwe}


def with_part(number: int, part: str) -> str:
    parts = JWE.split(".")
    return ".".join((*parts[:number], part, *parts[number + 1 :]))


def with_header(**changes: Any) -> str:
    header = json.loads(base64.urlsafe_b64decode(JWE.split(".")[0] + "=="))
    return with_part(0, url64(json.dumps({**header, **changes})))


def with_attributes(material: dict[str, Any] | None = None, **attributes: Any) -> Message:
    event = json.loads(message(material or sealed()).body)
    return message(body=json.dumps({**event, **attributes}).encode())


def with_all(parts: list[str]) -> Message:
    """A part each in the id, the source, the paths and the attributes."""
    files = {"kind": "file", "chain": f"live/{parts[2]}", "private_key": f"live/{parts[3]}"}
    return with_attributes(
        files, id=f"x-{parts[0]}", source=f"/{parts[1]}", **{f"x{n}": part for n, part in enumerate(parts[4:11])}
    )


def signed(body: bytes) -> Message:
    """By nobody whom the worker knows."""
    return message(body=sign(body, SIGNING, datetime.now(UTC)), content_type=CONTENT_TYPE)


def resigned(change: Callable[[list[str]], list[str]]) -> Message:
    parts = signed(message(sealed()).body).body.decode().split(".")
    return message(body=".".join(change(parts)).encode(), content_type=CONTENT_TYPE)


def jws_header(**changes: Any) -> Message:
    def changed(parts: list[str]) -> list[str]:
        header = json.loads(base64.urlsafe_b64decode(parts[0] + "=="))
        return [url64(json.dumps({**header, **changes})), *parts[1:]]

    return resigned(changed)


ESCAPED: Final = message(PLAIN).body.replace(b"PRIVATE KEY", b"PRIVATE\\u0020KEY")
NUMBER: Final = str(ECKey.import_key(PEM).as_dict(private=True)["d"])
TWICE: Final = url64('{"kid":"' + text64(DER) + '",' + base64.urlsafe_b64decode(JWE.split(".")[0] + "==").decode()[1:])
FILES: Final = {"kind": "file", "chain": "live/shop/chain.pem", "private_key": "live/shop/key.pem"}
HIDDEN: Final = {
    "plain": message(PLAIN),
    "escaped": message(body=ESCAPED),
    "in UTF-16": message(body=message(PLAIN).body.decode().encode("utf-16")),
    "zipped": message(body=gzip.compress(message(PLAIN).body), content_encoding="gzip"),
    "said to be zipped": message(content_encoding="gzip"),
    "in base64": message(body=base64.b64encode(message(PLAIN).body)),
    "cut short": message(body=message(PLAIN).body[:-1]),
    "of no known type": message(PLAIN, content_type="application/octet-stream"),
    "harmless and of no known type": message(content_type="application/octet-stream"),
    "signed": signed(message(PLAIN).body),
    "signed and escaped": signed(ESCAPED),
    "said to be signed": message(body=message().body, content_type=CONTENT_TYPE),
    "signed and said not to be": message(body=signed(message(PLAIN).body).body),
    "garbage": message(body=b"garbage"),
    "nothing": message(body=b""),
    "PEM for a JWE": message(sealed(PEM)),
    "base64 of PEM for a JWE": message(sealed(text64(PEM))),
    "five parts, of which one is PEM": message(sealed(with_part(3, url64(PEM)))),
    "five parts, of which one is DER": message(sealed(with_part(3, url64(DER)))),
    "five parts, of which one is a long DER": message(
        sealed(with_part(3, url64(b"\x30\x82\x04\x00" + b"\xff" * 1024)))
    ),
    "five parts, of which one is a number": message(sealed(with_part(3, NUMBER))),
    "a key for the wrapped key": message(sealed(with_part(1, url64(DER)))),
    "a key for the tag": message(sealed(with_part(4, url64(DER)))),
    "a key for the header": message(sealed(with_part(0, url64(PEM)))),
    "a key in the header": message(sealed(with_header(kid=text64(DER)))),
    "a key in the header, read over": message(sealed(with_part(0, TWICE))),
    "a private point in the header": message(sealed(with_header(epk=RECIPIENTS["P-256"].as_dict(private=True)))),
    "a header of something else": message(sealed(with_header(zip="DEF"))),
    "a JWE in five lines": message(sealed(JWE.replace(".", ".\n"))),
    "PEM for a chain": message(sealed(chain=PEM)),
    "PEM behind a chain": message(sealed(chain=ISSUED.chain_pem + PEM)),
    "base64 of PEM for a chain": message(sealed(chain=text64(PEM))),
    "base64 of DER for a chain": message(sealed(chain=text64(DER))),
    "DER labelled as a certificate": message(
        sealed(
            chain=f"-----BEGIN CERTIFICATE-----\n{text64(DER[:48])}\n{text64(DER[48:])}\n-----END CERTIFICATE-----\n"
        )
    ),
    "PEM in a list in an attribute": with_attributes(note=["PRIVATE KEY"]),
    "base64 of PEM in an attribute": with_attributes(note=text64(PEM)),
    "base64 of DER in an attribute": with_attributes(note=text64(DER)),
    "a number in an attribute": with_attributes(note=NUMBER),
    "a JWK in an attribute": with_attributes(note={"d": NUMBER}),
    "a number for a traceparent": with_attributes(traceparent=NUMBER),
    "a number in the source": with_attributes(source=f"/acme/{NUMBER}"),
    "a number for a time": with_attributes(time=NUMBER),
    "DER in pieces in an attribute": with_attributes(note=" ".join(pieces(text64(DER), 38))),
    "a number in pieces in an attribute": with_attributes(note=" ".join(pieces(NUMBER, 22))),
    "a number in lines in an attribute": with_attributes(note="\n".join(pieces(NUMBER, 11))),
    "a number in hex in an attribute": with_attributes(note=DER[-40:].hex(":")),
    "a number in hex in the source": with_attributes(source=DER[-40:].hex("-", 2)),
    "DER for an id": with_attributes(id=text64(DER)),
    "a number in decimal for an id": with_attributes(id=str(int.from_bytes(DER[36:68]))),
    "DER in groups in an attribute": with_attributes(note="~".join(pieces(text64(DER), 38))),
    "DER in words of three letters": with_attributes(note=" ".join(pieces(text64(DER), 3))),
    "a number in four numbers": with_attributes(
        None, **{f"n{first}": int.from_bytes(DER[first : first + 8]) >> 1 for first in (36, 44, 52, 60)}
    ),
    **{f"DER in pieces of {size} over all that is free": with_all(pieces(text64(DER), size)) for size in (12, 20, 40)},
    "pieces in many attributes": with_attributes(None, **{f"note{number}": PEM[:30] for number in range(9)}),
    "base64 of DER for a file": message({**FILES, "chain": text64(DER)}),
    "base64 of PEM for a file": message({**FILES, "private_key": text64(PEM)}),
    "base64 of DER for a path": message({"kind": "vault", "path": text64(DER)}),
    "a key for the signature": resigned(lambda parts: [*parts[:2], url64(DER)]),
    "a key behind the JWS' header": resigned(lambda parts: [parts[0] + "==" + url64(DER), *parts[1:]]),
    "a key for the signer's name": jws_header(kid=text64(DER)),
    "a key for the audience": jws_header(aud=text64(DER)),
    "a list for the audience": jws_header(aud=[text64(DER)]),
    "a number for a date": jws_header(iat=int.from_bytes(DER[-32:])),
    "a payload that is no base64": resigned(lambda parts: [parts[0], "AAAAA", parts[2]]),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_body_that_may_hold_a_key_in_the_open_is_never_kept(how: str) -> None:
    assert not looked_at(HIDDEN[how], POLICY).may_keep
    assert looked_at(HIDDEN[how], replace(POLICY, allow_plain_keys=True)).may_keep


HARMLESS: Final = {
    "held": message(),
    "sealed": message(sealed()),
    "signed": signed(message(sealed()).body),
    "of a stranger": message(sealed(), certificate="unknown", user_id=None),
    "to another worker": jws_header(aud="another", kid="stranger"),
    "in files": message(FILES),
    "out of the roots": message({**FILES, "chain": "../../etc/shadow"}),
    "in Vault": message({"kind": "vault", "path": "certificates/eu/shop.example.com/current", "version": 7}),
    "with attributes": with_attributes(
        source="/acme/lego/host-1.example.com",
        time="2026-11-20T10:00:00.123456+01:00",
        partitionkey="shop",
        sequence=7,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        correlationid="7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f",
    ),
    "with ids of every kind": with_attributes(
        id="6f1d2c5e-9b6a-5d0e-8a54-3f1c7be0a9d2",
        fingerprint="cd34" * 10,
        account="arn:aws:iam::123456789012:role/renewals",
        build="https://ci.example.com/pipelines/2026-11-21/build-4711",
    ),
    "with words in an attribute": with_attributes(
        note="renewed by Lego on host 1: the old one would have ended on 2026-12-01, see CHANGE 4711"
    ),
}


@pytest.mark.parametrize("how", HARMLESS)
def test_a_renewal_without_a_key_in_the_open_is_kept(how: str) -> None:
    assert looked_at(HARMLESS[how], POLICY).may_keep


@pytest.mark.parametrize("curve", RECIPIENTS)
def test_what_is_sealed_to_any_key_of_the_worker_is_kept_however_short_the_key_in_it(curve: str) -> None:
    for key in (PEM, "-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n", PEM * 20):
        assert looked_at(message(sealed(seal(Secret(key), "shop", "1", RECIPIENTS[curve]))), POLICY).may_keep
