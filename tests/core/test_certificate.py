"""The rules that a certificate must pass, one row each."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ssl import DER_cert_to_PEM_cert
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.certificates import (
    AUTHORITY,
    NAMES,
    NOW,
    RSA,
    SOUND,
    STRANGER,
    checked,
    pem,
    refused,
    signed,
)
from worker.core.certificate import Rules, check
from worker.core.errors import RefusedError
from worker.core.pem import certificates_in, private_key_in
from worker.core.secret import Secret
from worker.sandbox.ca import Authority, Issued, key_pem


def test_a_sound_certificate_comes_out_canonical() -> None:
    bundle = checked(SOUND, roots=[AUTHORITY.root])
    assert bundle.chain_pem == SOUND.chain_pem
    assert bundle.leaf.serial_number == SOUND.serial_number
    assert bundle.leaf.names == ("a.example.com", "*.b.example.com")
    assert bundle.private_key_pem.reveal().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert "PRIVATE" not in repr(bundle)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("key", [RSA, ec.generate_private_key(ec.SECP384R1())])
def test_keys_of_every_usual_form_are_written_again_as_pkcs8(form: PrivateFormat, key: Any) -> None:
    issued = replace(AUTHORITY.issue(NAMES, key=key), private_key_pem=key_pem(key, form))
    assert checked(issued).private_key_pem.reveal() == key_pem(key)


def test_the_curve_in_front_of_an_ec_key_is_passed_over() -> None:
    curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    issued = replace(SOUND, private_key_pem=curve + SOUND.private_key_pem)
    assert checked(issued).private_key_pem.reveal() == SOUND.private_key_pem
    assert refused(replace(SOUND, private_key_pem=curve)) == "pem_garbage"


@pytest.mark.parametrize(
    "dressed",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n" + text + "\n\n",
        lambda text: text.replace("-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----\n\n"),
        lambda text: text + pem(AUTHORITY.root),
        lambda text: text + text,
    ],
    ids=["bom", "crlf", "blank-around", "blank-between", "root", "twice"],
)
def test_harmless_dress_is_taken_off(dressed: Callable[[str], str]) -> None:
    issued = replace(SOUND, chain_pem=dressed(SOUND.chain_pem))
    assert checked(issued, roots=[AUTHORITY.root]).chain_pem == SOUND.chain_pem


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text + "bag attributes\n", "pem_garbage"),
        (lambda text: "subject=x\n" + text, "pem_garbage"),
        (lambda text: f"'{text}'", "pem_garbage"),
        (lambda text: text.replace("\n", "\\n"), "pem_garbage"),
        (lambda text: text.replace("\n", "\r"), "pem_garbage"),
        (lambda text: text.replace("M", "\0", 1), "pem_garbage"),
        (lambda text: text + SOUND.private_key_pem, "pem_label"),
        (lambda text: text.replace("BEGIN CERT", "BEGIN X509 CERT").replace("END CERT", "END X509 CERT"), "pem_label"),
        (lambda _text: "", "pem_empty"),
        (lambda text: text * 60, "too_large"),
        (lambda _text: SOUND.chain_pem * 6, "too_many_certs"),
        (lambda text: text.replace("MII", "AAA", 1), "cert_unparseable"),
    ],
)
def test_a_chain_that_is_anything_but_certificates_is_refused(spoil: Callable[[str], str], reason: str) -> None:
    assert refused(replace(SOUND, chain_pem=spoil(SOUND.chain_pem))) == reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (AUTHORITY.issue(NAMES).private_key_pem, "key_mismatch"),
        (key_pem(RSA), "key_mismatch"),
        (SOUND.chain_pem[: SOUND.chain_pem.index("-----END")] + "-----END CERTIFICATE-----\n", "pem_label"),
        (SOUND.private_key_pem * 2, "pem_garbage"),
        (SOUND.private_key_pem.replace("PRIVATE", "ENCRYPTED PRIVATE"), "key_encrypted"),
        ("x" * 5000, "too_large"),
        ("", "pem_empty"),
        (SOUND.private_key_pem.replace("MIG", "AAA"), "key_unparseable"),
    ],
)
def test_a_key_that_is_not_the_certificates_is_refused(key: str, reason: str) -> None:
    assert refused(replace(SOUND, private_key_pem=key)) == reason


def test_a_key_is_compared_here_and_not_validated() -> None:
    """For a crafted one that takes longer than the event loop may stand still: `test_keycheck`."""
    good = RSA.private_numbers()
    numbers = rsa.RSAPrivateNumbers(good.p, good.q, good.d + 2, good.dmp1, good.dmq1, good.iqmp, good.public_numbers)
    spoiled = key_pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    assert (
        checked(replace(AUTHORITY.issue(NAMES, key=RSA), private_key_pem=spoiled)).private_key_pem.reveal() == spoiled
    )


def test_a_key_of_another_kind_is_refused() -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    text = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert refused(replace(SOUND, private_key_pem=text)) == "key_type"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"is_ca": True}, "leaf_is_ca"),
        ({"extra": [x509.PrecertPoison()]}, "precert"),
        ({"usage": ()}, "eku_no_serverauth"),
        ({"usage": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "eku_no_serverauth"),
        ({"names": []}, "no_san"),
        ({"names": [f"n{number}.example.com" for number in range(201)]}, "too_many_sans"),
        ({"names": ["*.com"]}, "domain_syntax"),
        ({"names": ["a*.example.com"]}, "domain_syntax"),
        ({"names": ["example.com."]}, "domain_syntax"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "weak_key"),
        ({"key": rsa.generate_private_key(3, 2048)}, "rsa_exponent"),
        ({"key": ec.generate_private_key(ec.SECP224R1())}, "ec_curve"),
        ({"key": ec.generate_private_key(ec.SECP256K1())}, "ec_curve"),
        ({"not_before": NOW + timedelta(hours=1)}, "not_yet_valid"),
        ({"not_before": NOW - timedelta(days=2), "not_after": NOW}, "expired"),
        ({"extra": [x509.TLSFeature([x509.TLSFeatureType.status_request])]}, "must_staple"),
    ],
)
def test_a_leaf_that_breaks_a_rule_is_refused(fields: dict[str, Any], reason: str) -> None:
    assert refused(AUTHORITY.issue(**{"names": NAMES, **fields})) == reason


@pytest.mark.parametrize(
    ("fields", "rules", "reason"),
    [
        ({"not_after": NOW + timedelta(days=2)}, {"minimum_remaining": 86400.0 * 3}, "expires_too_soon"),
        ({"not_after": datetime(2039, 1, 1, tzinfo=UTC)}, {"expires_before_2038": True}, "provider_limits"),
        ({"not_after": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)}, {"expires_before_2038": True}, "provider_limits"),
        ({}, {"roots": [STRANGER.root]}, "chain_untrusted"),
        ({}, {"roots": []}, "chain_untrusted"),
        ({"names": []}, {"roots": [AUTHORITY.root]}, "no_san"),
    ],
)
def test_what_the_settings_ask_is_asked(fields: dict[str, Any], rules: dict[str, Any], reason: str) -> None:
    assert refused(AUTHORITY.issue(**{"names": NAMES, **fields}), **rules) == reason


def test_a_weak_signature_is_refused_and_strong_ones_are_not() -> None:
    assert refused(signed(hashes.SHA224())) == "sig_hash"
    for algorithm in (hashes.SHA384(), hashes.SHA512()):
        assert checked(signed(algorithm), roots=[AUTHORITY.root]).leaf.names


@pytest.mark.parametrize("size", [3072, 4096])
def test_longer_rsa_keys_are_taken(size: int) -> None:
    assert checked(AUTHORITY.issue(NAMES, key=rsa.generate_private_key(65537, size))).leaf.names


def test_a_signature_without_a_hash_is_refused() -> None:
    assert refused(signed(None, key=ed25519.Ed25519PrivateKey.generate())) == "sig_hash"


def test_a_leaf_that_does_not_say_whether_it_is_a_ca_is_none() -> None:
    assert checked(signed(hashes.SHA256(), without=(x509.BasicConstraints,))).leaf.names


def test_what_is_not_asked_for_is_no_rule() -> None:
    assert checked(SOUND, expires_before_2038=True, minimum_remaining=86400.0).leaf.names
    late = AUTHORITY.issue(NAMES, not_after=datetime(2039, 1, 1, tzinfo=UTC))
    assert checked(late).leaf.not_after.year == 2039
    many = AUTHORITY.issue([f"n{number}.example.com" for number in range(200)])
    assert len(checked(many).leaf.names) == 200


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_a_certificate_whose_number_is_none_is_not_read() -> None:
    der = SOUND.certificate.public_bytes(Encoding.DER)
    number = SOUND.serial_number.to_bytes((SOUND.serial_number.bit_length() + 8) // 8, "big")
    negative = DER_cert_to_PEM_cert(der.replace(number, bytes([0x80]) + number[1:], 1))
    with pytest.raises(RefusedError, match="certificate 1 cannot be read") as told:
        checked(replace(SOUND, chain_pem=negative + pem(AUTHORITY.intermediate)))
    assert told.value.reason == "cert_unparseable"


def test_names_that_no_verifier_knows_do_not_stand_in_the_way() -> None:
    for names in (["a_b.example.com", "c.example.com"], ["*.example.com"], ["10.0.0.7"]):
        assert checked(AUTHORITY.issue(names), roots=[AUTHORITY.root]).leaf.names == tuple(names)


def test_a_chain_out_of_order_is_refused() -> None:
    leaf, intermediate = certificates_in(SOUND.chain_pem)
    assert refused(replace(SOUND, chain_pem=leaf + pem(STRANGER.intermediate) + intermediate)) == "chain_order"
    assert refused(replace(SOUND, chain_pem=leaf + pem(STRANGER.intermediate))) == "chain_extra"
    strangers = pem(STRANGER.intermediate) + pem(Authority.create("Other").intermediate)
    assert refused(replace(SOUND, chain_pem=leaf + strangers)) == "chain_extra"
    assert refused(replace(SOUND, chain_pem=SOUND.chain_pem + pem(STRANGER.intermediate))) == "chain_extra"


def cross_signed(root: x509.Certificate) -> x509.Certificate:
    """The root's name and key, in a certificate of an older authority that is not trusted any more."""
    key, issuer = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=Older Root")
    builder = x509.CertificateBuilder(
        issuer, root.subject, root.public_key(), 7, root.not_valid_before_utc, root.not_valid_after_utc
    )
    for extension in root.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256())


def test_a_chain_that_goes_on_behind_a_trusted_root_is_good() -> None:
    longer = replace(SOUND, chain_pem=SOUND.chain_pem + pem(cross_signed(AUTHORITY.root)))
    assert checked(longer, roots=[AUTHORITY.root]).chain_pem == longer.chain_pem
    assert refused(longer, roots=[STRANGER.root]) == "chain_untrusted"


def test_a_missing_intermediate_is_told_as_such() -> None:
    leaf = certificates_in(SOUND.chain_pem)[0]
    assert refused(replace(SOUND, chain_pem=leaf), roots=[AUTHORITY.root]) == "chain_incomplete"
    assert refused(replace(SOUND, chain_pem=leaf), roots=[]) == "chain_untrusted"


def test_an_intermediate_of_the_same_name_with_another_key_is_refused() -> None:
    imitator = Authority.create()
    leaf = certificates_in(SOUND.chain_pem)[0]
    assert refused(replace(SOUND, chain_pem=leaf + pem(imitator.intermediate))) == "chain_signature"


@pytest.mark.parametrize("name", ["(STAGING) Pretend Pear", "Fake LE", "Pebble", "happy hacker fake CA"])
def test_a_ca_for_tests_is_refused_unless_it_is_allowed(name: str) -> None:
    staged = Authority.create(name).issue(NAMES)
    assert refused(staged) == "staging_issuer"
    assert checked(staged, allow_staging=True).leaf.names


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        (NameOID.COMMON_NAME, "pebble.example.com"),
        (NameOID.ORGANIZATION_NAME, "Pebble Beach Company"),
        (NameOID.ORGANIZATION_NAME, "Happy Hacker Ltd"),
    ],
)
def test_who_is_called_as_a_ca_for_tests_is_not_one_of_them(oid: x509.ObjectIdentifier, name: str) -> None:
    subject = x509.Name([x509.NameAttribute(oid, name)])
    assert checked(signed(hashes.SHA256(), subject=subject)).leaf.names


texts = st.text(max_size=300) | st.sampled_from([SOUND.chain_pem, SOUND.private_key_pem]).flatmap(
    lambda text: st.integers(0, len(text)).map(lambda at: text[:at] + "x" + text[at + 1 :])
)


@settings(deadline=None)
@given(texts, texts)
def test_anything_is_accepted_or_refused_in_our_own_words(chain: str, key: str) -> None:
    for read in (certificates_in, private_key_in):
        with suppress(RefusedError):
            read(chain)
    with suppress(RefusedError):
        check(chain, Secret(key), now=NOW, rules=Rules())


def test_a_chain_that_begins_within_the_skew_has_begun() -> None:
    soon = AUTHORITY.issue(NAMES, not_before=NOW + timedelta(minutes=4))
    assert checked(soon, roots=[AUTHORITY.root]).leaf.serial_number == soon.serial_number
    last = AUTHORITY.issue(NAMES, not_before=NOW + timedelta(minutes=5))
    assert checked(last, roots=[AUTHORITY.root]).leaf.serial_number == last.serial_number
    later = AUTHORITY.issue(NAMES, not_before=NOW + timedelta(minutes=6))
    assert refused(later, roots=[AUTHORITY.root]) == "not_yet_valid"


def test_a_chain_that_ends_soon_has_not_ended() -> None:
    ending = AUTHORITY.issue(NAMES, not_after=NOW + timedelta(minutes=2))
    assert checked(ending, roots=[AUTHORITY.root]).leaf.serial_number == ending.serial_number


def behind_the_leaf(*certificates: x509.Certificate) -> Issued:
    return replace(SOUND, chain_pem="".join(pem(one) for one in (SOUND.certificate, *certificates)))


@pytest.mark.parametrize(
    ("issued", "told"),
    [
        (AUTHORITY.issue(["a.example.com", "*.com"]), "name 2 of the certificate is no domain name"),
        (AUTHORITY.issue(NAMES, not_before=NOW - timedelta(days=2), not_after=NOW), "certificate 1 has expired"),
        (signed(hashes.SHA224()), "certificate 1 is not signed with"),
        (AUTHORITY.issue(NAMES, not_before=NOW + timedelta(hours=1)), "certificate 1 is not valid yet"),
        (behind_the_leaf(Authority.create().intermediate), "certificate 1: its issuer's signature is wrong"),
        (behind_the_leaf(STRANGER.intermediate), "certificate 1 was not issued by the one behind it, nor by any"),
        (behind_the_leaf(STRANGER.intermediate, AUTHORITY.intermediate), "certificate 1 was not issued by the one"),
    ],
)
def test_it_is_told_which_certificate_and_which_name(issued: Issued, told: str) -> None:
    with pytest.raises(RefusedError, match=told):
        checked(issued)
