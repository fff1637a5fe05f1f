"""No part of a key that was sent comes out of what a cloud says of it, however it is cut, wrapped or written."""

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.support.calls import counted
from worker.gateways.redaction import shown

KEYS: Final[dict[str, PrivateKeyTypes]] = {
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
}
PEMS: Final = {
    kind: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for kind, key in KEYS.items()
}


def lines_of(pem: str) -> list[str]:
    return pem.splitlines()[1:-1]


def body(pem: str) -> str:
    return "".join(lines_of(pem))


def der(pem: str) -> bytes:
    return base64.b64decode(body(pem))


def wrapped(text: str, width: int, between: str = "\n") -> str:
    return between.join(text[first : first + width] for first in range(0, len(text), width))


def text64(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def uuencoded(content: bytes) -> str:
    return "".join(binascii.b2a_uu(content[first : first + 45]).decode() for first in range(0, len(content), 45))


def bold(letter: str) -> str:
    for first, last, begins in (("A", "Z", 0x1D400), ("a", "z", 0x1D41A), ("0", "9", 0x1D7CE)):
        if first <= letter <= last:
            return chr(begins + ord(letter) - ord(first))
    return letter


QUOTED: Final[dict[str, Callable[[str], str]]] = {
    "whole": body,
    "one letter late": lambda pem: body(pem)[1:],
    "each line one letter late": lambda pem: "\n".join(line[1:] for line in lines_of(pem)),
    "wrapped at 76": lambda pem: wrapped(body(pem), 76),
    "wrapped at 76, from the middle": lambda pem: wrapped(body(pem)[21:], 76),
    "in short lines": lambda pem: wrapped(body(pem)[1:], 11, "\r\n"),
    "letter by letter": lambda pem: wrapped(body(pem), 1, " "),
    "a short cut": lambda pem: body(pem)[25:45],
    "twelve letters": lambda pem: re.sub(r"[+/=]", "", body(pem))[-12:],
    "with escaped ends of lines": lambda pem: "\\n".join(lines_of(pem)),
    "as JSON": lambda pem: json.dumps("\n".join(lines_of(pem)) + "/")[1:],
    "as JSON in JSON": lambda pem: json.dumps(json.dumps("\r\n".join(lines_of(pem))))[3:],
    "in escapes alone": lambda pem: "".join(f"\\u{ord(letter):04x}" for letter in body(pem)),
    "URL-quoted": lambda pem: quote(wrapped(body(pem)[1:], 10), safe=""),
    "URL-quoted twice": lambda pem: quote(quote(wrapped(body(pem)[1:], 10), safe=""), safe=""),
    "as HTML": lambda pem: wrapped(body(pem)[1:], 10, "&#10;").replace("+", "&plus;").replace("/", "&#x2F;"),
    "for URLs": lambda pem: wrapped(body(pem)[2:].translate(str.maketrans("+/", "-_")), 17),
    "PEM in base64": text64,
    "PEM in base64, from its middle": lambda pem: text64(pem)[61:],
    "PEM in base64, in lines": lambda pem: wrapped(text64("\r\n".join(lines_of(pem)))[1:], 76),
    "its lines in base64": lambda pem: text64("\n" + wrapped(body(pem), 76)),
    "its body in base64, in short lines": lambda pem: wrapped(text64("is" + body(pem)), 15),
    "DER in base64 behind something else": lambda pem: wrapped(text64(b"\x30" + der(pem))[4:], 14),
    "in hex": lambda pem: der(pem).hex(),
    "in hex, upper case": lambda pem: der(pem).hex().upper()[7:],
    "in hex with colons": lambda pem: der(pem).hex(":"),
    "as much hex as an id has": lambda pem: der(pem)[-40:-24].hex(),
    "in octal escapes": lambda pem: "".join(f"\\{ord(letter):03o}" for letter in body(pem)),
    "in escapes as JavaScript has them": lambda pem: "".join(f"\\u{{{ord(one):x}}}" for one in body(pem)),
    "in a few escapes": lambda pem: re.sub("[A-F]", lambda one: f"\\x{ord(one[0]):x}", wrapped(body(pem), 15)),
    "in a few octal escapes": lambda pem: re.sub("[A-F]", lambda one: f"\\{ord(one[0]):o}", wrapped(body(pem), 15)),
    "in HTML's numbers": lambda pem: "".join(f"&#{ord(letter)};" for letter in body(pem)),
    "in a few of HTML's numbers": lambda pem: re.sub("[a-f]", lambda one: f"&#{ord(one[0])};", wrapped(body(pem), 15)),
    "in HTML's numbers, twice": lambda pem: re.sub("[a-f]", lambda one: f"&amp;#x{ord(one[0]):x};", body(pem)[:60]),
    "PEM in decimal": lambda pem: ",".join(map(str, pem.encode())),
    "in decimal": lambda pem: "[" + ", ".join(map(str, der(pem))) + "]",
    "in decimal, as Java has it": lambda pem: " ".join(str(one - 256 if one > 127 else one) for one in der(pem)),
    "in hex, as C has it": lambda pem: ", ".join(f"0x{one:02x}" for one in der(pem)),
    "as Python shows bytes": lambda pem: repr(der(pem)),
    "DER, URL-quoted": lambda pem: quote(der(pem), safe=""),
    "in base32": lambda pem: base64.b32encode(der(pem)).decode(),
    "PEM in base32, in lines, lower case": lambda pem: wrapped(base64.b32encode(pem.encode()).decode().lower(), 16),
    "in base85": lambda pem: base64.b85encode(der(pem)).decode(),
    "PEM in base85": lambda pem: base64.b85encode(pem.encode()).decode(),
    "in base85, as Adobe has it": lambda pem: base64.a85encode(der(pem)).decode(),
    "uuencoded": lambda pem: uuencoded(der(pem)),
    "PEM uuencoded": lambda pem: uuencoded(pem.encode()),
    "in letters of full width": lambda pem: body(pem).translate({one: one + 0xFEE0 for one in range(0x21, 0x7F)}),
    "in bold letters": lambda pem: "".join(bold(one) for one in body(pem)),
    "with what cannot be seen": lambda pem: "\u200b".join(body(pem)),
    "letter by letter, with dots": lambda pem: " . ".join(body(pem)),
    "PEM in hex": lambda pem: wrapped(pem.encode().hex(), 32, " "),
}


def is_all_starred(told: str) -> bool:
    """Nothing is left but the words around: a word, too, may go on by chance as the key does before the cut."""
    letters = re.sub(r"[^A-Za-z0-9]", "", told)
    return "***" in told and re.fullmatch("(refused)?(in)?(full)?", letters) is not None


@pytest.mark.parametrize("how", QUOTED)
@pytest.mark.parametrize("kind", PEMS)
def test_no_cut_of_a_key_that_was_sent_is_shown(kind: str, how: str) -> None:
    told = shown(f"refused: {QUOTED[how](PEMS[kind])} : in full", [PEMS[kind]])
    assert is_all_starred(told)


def test_neither_is_a_cut_of_a_token_or_a_password() -> None:
    token, password = "MIIDkgYJKoZIhvcNAQcC", "correct-horse battery/staple"
    for quoted in (token[1:], text64(token), password[3:20], quote(password)[:25], password.encode().hex(" ")):
        told = shown(f"refused: {quoted} : in full", [password], [token])
        assert is_all_starred(told)


@pytest.mark.parametrize(
    "how",
    [
        *("in escapes alone", "in octal escapes", "in escapes as JavaScript has them", "in HTML's numbers"),
        *("PEM in decimal", "in decimal", "in decimal, as Java has it", "in hex, as C has it", "as Python shows bytes"),
        *("DER, URL-quoted", "in base32", "PEM in base32, in lines, lower case"),
        *("in base85", "PEM in base85", "in base85, as Adobe has it"),
        *("uuencoded", "PEM uuencoded", "in letters of full width", "in bold letters"),
        *("with what cannot be seen", "letter by letter", "letter by letter, with dots"),
    ],
)
def test_bytes_in_another_dress_are_not_shown_even_where_they_were_sent_by_another_call(how: str) -> None:
    assert is_all_starred(shown(f"refused: {QUOTED[how](PEMS['P-256'])} : in full", []))


@pytest.mark.parametrize("how", ["one letter late", "PEM in base64", "DER in base64 behind something else"])
def test_a_long_run_is_not_shown_even_where_it_was_sent_by_another_call(how: str) -> None:
    quoted = QUOTED[how](PEMS["P-256"]).replace("\n", "")
    assert shown(f"refused: {quoted}", []) == "refused: ***"


def test_the_number_that_is_the_key_is_not_shown() -> None:
    key = load_pem_private_key(PEMS["P-256"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    for quoted in (str(number), f"{number:064x}", text64(number.to_bytes(32, "big"))[:-1]):
        assert shown(f"refused: {quoted}", []) == "refused: ***"


@pytest.mark.parametrize(
    "text",
    [
        "The SSL certificate a27be832f2e9441c8127fe48e3b5ac67 is not there (request 9F2A5C7E81B34D6FA0C1E2D3B4A59687)",
        "certificate 7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f of apig.cn-north-4.example-cloud.com:443 is bound",
        "POST /v2/a27be832f2e9441c8127fe48e3b5ac67/apigw/certificates/7f0c5d0e-8a54-4f1c-9b6a-1c7be0a9d26f/detach",
        "InvalidCertificateChainException: certificate_not_active_yet, quota=100, at 2026-11-20T10:00:00.527363Z",
        "policy user over ratelimit,limit:200,time:5 minute; shop-example-com-20261120-1a2b3c4d5e6f is in use",
        "limits: 1, 2, 5, 10, 20, 50 or 100 names; 2 of 3 are bound, at 10:00:00, to 10.0.0.7, 10.0.0.8, 10.0.0.9",
        "the file%20name has escapes: caf\\xe9, na&#239;ve, 100%25; a2 b3 c4 in rsa2048 and sha256, tls1.2 or tls1.3",
        'HTTPException: {"code":"APIG.2012","message":"UNSUPPORTED CERTIFICATE TYPE ECDSA"} (see #4, [1] & <help>)',
        "the private key does not begin with BEGIN PRIVATE KEY, or its algorithm is not one of RSA-2048, EC-P256",
    ],
)
def test_what_a_person_needs_stays_readable(text: str) -> None:
    assert shown(text, list(PEMS.values())) == text


def test_of_a_refusal_that_quotes_nothing_the_secrets_are_not_taken_apart() -> None:
    """Hundreds may come at once, each beside a token of many kilobytes."""
    token = secrets.token_urlsafe(12_000)
    with counted() as calls:
        assert shown("The certificate does not exist", [PEMS["RSA"]], [token]) == "The certificate does not exist"
    assert calls.total() < 1000


def test_one_cut_behind_many_words_is_found() -> None:
    """Where so much else is said that it is the secrets that are gone through."""
    words = " ".join(f"word{number}" for number in range(500))
    assert shown(f"{words} {body(PEMS['RSA'])[40:64]}"[-150:], [PEMS["RSA"]]).endswith(" ***")
    long = shown(f"{body(PEMS['RSA'])[40:64]} {words}", [PEMS["RSA"]])
    assert long.startswith("*** word0 ")


def test_a_long_text_is_looked_through_once() -> None:
    """In a time that grows with the text and the secrets, and not with their product."""
    key = PEMS["RSA"] * 2
    for text in (
        body(key) * 1000,
        "a" * 1_000_000,
        "-" * 1_000_000,
        "%25" * 300_000,
        "\\" * 1_000_000,
        "1, " * 300_000,
        "&amp;" * 300_000,
    ):
        assert len(shown(text, [key, "a" * 4000], ["a" * 8000])) <= 200


NUMBER = hashlib.sha256(b"the number of a key").digest()
GROUPS = {
    "bytes between bars": " | ".join(map(str, NUMBER)),
    "bytes between dashes": "-".join(map(str, NUMBER)),
    "bytes between colons": ":".join(map(str, NUMBER)),
    "bytes in quotes": ", ".join(f"'{one}'" for one in NUMBER),
    "bytes in hex": ":".join(f"0x{one:02x}" for one in NUMBER),
    "words in hex": " ".join(f"0x{NUMBER[first : first + 4].hex()}" for first in range(0, 32, 4)),
    "hex as of openssl": ":\n    ".join(NUMBER[first : first + 15].hex(":") for first in (0, 15, 30)),
    "hex in groups": NUMBER.hex(" ", 2),
    "base64 in groups": ".".join(
        base64.b64encode(NUMBER * 2).decode()[first : first + 10] for first in range(0, 80, 10)
    ),
}


@pytest.mark.parametrize("how", GROUPS)
def test_a_secret_of_another_call_is_starred_in_whatever_groups_it_stands(how: str) -> None:
    told = shown(f"bad key {GROUPS[how]} in request", [])
    assert told.replace("'", "").startswith("bad key ***")
    assert len(told) < 40


@pytest.mark.parametrize(
    "text",
    [
        "peers 10.0.0.1, 10.0.0.2, 10.0.0.3 at 2026-11-21 08:00:00.123 and 2026-11-21T09:11:12Z",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334 refuses AA:BB:CC:DD:EE:FF",
        "request f81d4fae-7dec-11d0-a765-00a0c91e6bf6 of project 0123456789abcdef0123456789abcdef",
        "this name that they have used must have been used once",
        "A CERTIFICATE OF THIS NAME IS THERE ALREADY (SEE APIG.3007): CHOOSE ANOTHER, PLEASE.",
        "columns a, b, c, d, e and f have 1, 2, 3, 4, 5 and 6 names",
    ],
)
def test_addresses_dates_and_words_are_no_groups_of_a_key(text: str) -> None:
    assert shown(text, []) == text
