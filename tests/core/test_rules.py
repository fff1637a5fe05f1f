"""What the rules ask where `test_certificate` does not: warnings, switches, and what no CA issues."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.certificates import (
    AUTHORITY,
    NAMES,
    NOW,
    RSA,
    SOUND,
    STRANGER,
    chained,
    checked,
    patched,
    pem,
    refused,
    signed,
    signed_by_rsa,
    timestamps,
)
from worker.core.bundle import UsedKey
from worker.core.errors import RefusedError
from worker.core.pem import LONGEST_CHAIN
from worker.core.rules import LENIENT, RULES
from worker.sandbox.ca import Authority, Issued

STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])


def warned(issued: Issued, **asked: Any) -> tuple[str, ...]:
    return checked(issued, **asked).warnings


def test_a_certificate_that_too_few_logs_know_is_warned_of() -> None:
    assert warned(SOUND) == ("no_sct",)
    assert warned(AUTHORITY.issue(NAMES, extra=[timestamps(1)])) == ("no_sct",)
    assert warned(AUTHORITY.issue(NAMES, extra=[timestamps(1, 1)])) == ("no_sct",)
    assert warned(AUTHORITY.issue(NAMES, extra=[timestamps(1, 2)])) == ()


def test_one_that_lives_long_needs_one_log_more() -> None:
    begins = NOW - timedelta(days=1)
    half_a_year: dict[str, Any] = {"not_before": begins, "not_after": begins + timedelta(days=180)}
    longer: dict[str, Any] = {"not_before": begins, "not_after": begins + timedelta(days=181)}
    assert warned(AUTHORITY.issue(NAMES, extra=[timestamps(1, 2)], **half_a_year)) == ()
    assert warned(AUTHORITY.issue(NAMES, extra=[timestamps(1, 2)], **longer)) == ("no_sct",)
    assert warned(AUTHORITY.issue(NAMES, extra=[timestamps(1, 2, 3)], **longer)) == ()


def test_where_the_settings_require_it_a_certificate_without_timestamps_is_refused() -> None:
    assert refused(SOUND, stances={"no_sct": "refuse"}) == "no_sct"
    assert warned(SOUND, stances={"no_sct": "allow"}) == ()
    known = AUTHORITY.issue(NAMES, extra=[timestamps(1, 2)])
    assert warned(known, roots=[AUTHORITY.root], stances={"no_sct": "refuse"}) == ()


def test_timestamps_that_cannot_be_read_are_no_certificate() -> None:
    broken = x509.UnrecognizedExtension(timestamps(1).oid, timestamps(1).value[:-3])
    assert refused(AUTHORITY.issue(NAMES, extra=[broken])) == "cert_unparseable"


@pytest.mark.parametrize("is_critical", [False, True])
def test_must_staple_is_refused_warned_of_or_allowed(is_critical: bool) -> None:
    issued = signed(hashes.SHA256(), extra=[(STAPLE, is_critical)])
    assert refused(issued, roots=[AUTHORITY.root]) == "must_staple"
    asked: dict[str, Any] = {"roots": [AUTHORITY.root], "stances": {"must_staple": "warn", "no_sct": "allow"}}
    assert warned(issued, **asked) == ("must_staple",)
    asked["stances"] = {"must_staple": "allow", "no_sct": "allow"}
    assert warned(issued, **asked) == ()


def test_a_common_name_that_is_none_of_its_names_is_warned_of() -> None:
    def named(*common_names: str) -> Issued:
        return signed(
            hashes.SHA256(), subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names])
        )

    quiet = {"no_sct": "allow"}
    assert warned(named("Our Shop"), stances=quiet) == ("cn_not_in_san",)
    assert warned(named(NAMES[0], "b.example.com"), stances=quiet) == ("cn_not_in_san",)
    assert warned(named(NAMES[0].upper(), NAMES[1]), stances=quiet) == ()
    assert warned(named(), stances=quiet) == ()
    assert refused(named("Our Shop"), stances={"cn_not_in_san": "refuse"}) == "cn_not_in_san"
    assert warned(named("Our Shop"), stances={"cn_not_in_san": "allow", "no_sct": "allow"}) == ()


def used_by(issued: Issued) -> UsedKey:
    leaf = checked(issued).leaf
    assert leaf.public_key_sha256 is not None
    return UsedKey(leaf.fingerprint_sha256, leaf.public_key_sha256)


def test_a_new_certificate_with_the_old_key_is_warned_of() -> None:
    first, again, other = (
        AUTHORITY.issue(NAMES, key=key) for key in (RSA, RSA, ec.generate_private_key(ec.SECP256R1()))
    )
    quiet = {"no_sct": "allow"}
    assert warned(again, before=[used_by(first)], stances=quiet) == ("key_reused",)
    assert warned(again, before=[used_by(first)], stances={**quiet, "key_reused": "allow"}) == ()
    assert warned(other, before=[used_by(first)], stances=quiet) == ()
    assert warned(first, before=[used_by(first)], stances=quiet) == (), "the same once more"


def test_after_a_compromise_the_old_key_is_refused_whatever_the_settings_say() -> None:
    first, again, between, other = (
        AUTHORITY.issue(NAMES, key=key) for key in (RSA, RSA, None, ec.generate_private_key(ec.SECP256R1()))
    )
    in_use = replace(used_by(first), renewal_id="r0")
    asked: dict[str, Any] = {"before": [used_by(between), in_use], "is_key_exposed": True}
    for stance in ("warn", "allow"):
        stances = {"no_sct": "allow", "key_reused": stance}
        assert refused(again, stances=stances, **asked) == "key_reused"
        assert warned(other, stances=stances, **asked) == ()
        assert refused(first, stances=stances, **asked) == "key_reused", "its key is the exposed one"
        assert warned(between, stances=stances, **asked) == (), "that is not the key in use"
        own = [*asked["before"], replace(used_by(other), renewal_id="r1")]
        told = {"before": own, "is_key_exposed": True, "stances": stances}
        assert warned(other, renewal_id="r1", **told) == (), "the same renewal once more"
        assert refused(other, renewal_id="r2", **told) == "key_reused"


def test_after_a_compromise_the_key_of_what_was_put_at_some_places_is_exposed_too() -> None:
    """Where the last rotation failed in part, that and what was there before are in use both."""
    own = ec.generate_private_key(ec.SECP256R1())
    first = AUTHORITY.issue(NAMES, key=RSA)
    second, again = (AUTHORITY.issue(NAMES, key=own) for _ in range(2))
    partly = replace(used_by(second), renewal_id="r1", is_told=False)
    asked: dict[str, Any] = {"before": [used_by(first), partly], "stances": {"no_sct": "allow"}}
    assert refused(again, is_key_exposed=True, **asked) == "key_reused"
    assert refused(AUTHORITY.issue(NAMES, key=RSA), is_key_exposed=True, **asked) == "key_reused"
    assert warned(second, is_key_exposed=True, **asked) == (), "what was half done is finished"
    assert warned(AUTHORITY.issue(NAMES), is_key_exposed=True, **asked) == ()
    assert warned(again, **asked) == (), "it has not succeeded"


def test_only_the_first_rule_that_refuses_is_told_and_all_that_warn() -> None:
    strange = signed(hashes.SHA256(), subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Our Shop")]))
    assert warned(strange) == ("no_sct", "cn_not_in_san")
    assert refused(strange, stances={"cn_not_in_san": "refuse"}) == "cn_not_in_san"


def test_what_cannot_be_switched_refuses_whatever_the_settings_say() -> None:
    stances = {rule.reason: "allow" for rule in RULES}
    assert refused(AUTHORITY.issue(NAMES, usage=()), stances=stances) == "eku_no_serverauth"
    assert set(LENIENT.stances) == {rule.reason for rule in RULES if rule.switched is not None}


def test_p521_is_taken_where_the_settings_say() -> None:
    issued = AUTHORITY.issue(NAMES, key=ec.generate_private_key(ec.SECP521R1()))
    assert refused(issued) == "ec_curve"
    assert checked(issued, allow_p521=True, roots=[AUTHORITY.root]).leaf.names
    brainpool = AUTHORITY.issue(NAMES, key=ec.generate_private_key(ec.BrainpoolP256R1()))
    assert refused(brainpool, allow_p521=True) == "ec_curve"


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate(), dsa.generate_private_key(2048)],
    ids=["ed25519", "ed448", "dsa"],
)
def test_a_leaf_with_a_key_of_another_kind_is_refused(key: Any) -> None:
    issued = replace(AUTHORITY.issue(NAMES, key=key), private_key_pem=SOUND.private_key_pem)
    assert refused(issued) == "key_type"


def private(*, usage: x509.KeyUsage | None = None, key: Any = AUTHORITY.key) -> tuple[Issued, x509.Certificate]:
    """A leaf and its root, as made by hand: without identifiers, and the CA does not say what it is for."""
    name, begins = x509.Name.from_rfc4514_string("CN=Ours"), NOW - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begins, begins + timedelta(days=900))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    root = (builder if usage is None else builder.add_extension(usage, critical=True)).sign(key, hashes.SHA256())
    sound = SOUND.certificate
    ends = (sound.not_valid_before_utc, sound.not_valid_after_utc)
    leaf = x509.CertificateBuilder(name, sound.subject, sound.public_key(), 8, *ends)
    for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage):
        leaf = leaf.add_extension(sound.extensions.get_extension_for_class(kind).value, critical=False)
    return replace(SOUND, chain_pem=pem(leaf.sign(key, hashes.SHA256()))), root


def test_a_private_ca_may_leave_out_what_only_public_ones_must_give() -> None:
    issued, root = private()
    assert refused(issued, roots=[root]) == "chain_untrusted"
    assert checked(issued, roots=[root], is_private_ca=True).leaf.serial_number == 8
    assert refused(issued, roots=[AUTHORITY.root], is_private_ca=True) == "chain_incomplete"


def test_a_private_ca_that_says_that_it_signs_no_certificates_is_believed() -> None:
    fields = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    purposes = dict.fromkeys((*fields, "crl_sign", "encipher_only", "decipher_only"), False)
    issued, root = private(usage=x509.KeyUsage(**{**purposes, "crl_sign": True}, key_cert_sign=False))
    assert refused(issued, roots=[root], is_private_ca=True) == "chain_untrusted"
    issued, root = private(usage=x509.KeyUsage(**purposes, key_cert_sign=True))
    assert checked(issued, roots=[root], is_private_ca=True).leaf.names


@pytest.mark.parametrize(
    "name",
    [
        "example.com\0.evil.com",
        "*.com",
        "a*.example.com",
        "example.com.",
        "com",
        "10.0.0.7",
        "m\u00fcnchen.example",
        " a.example.com",
    ],
)
def test_a_name_that_is_no_domain_is_refused(name: str) -> None:
    """Among them what would be an address for those who compare texts."""
    san = x509.SubjectAlternativeName([x509.DNSName(NAMES[0]), x509.DNSName._init_without_validation(name)])
    issued = signed(hashes.SHA256(), without=(x509.SubjectAlternativeName,), extra=[(san, False)])
    with pytest.raises(RefusedError, match="name 2 of the certificate is no domain name") as told:
        checked(issued, roots=[AUTHORITY.root])
    assert told.value.reason == "domain_syntax"


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.MD5()], ids=["sha1", "md5"])  # noqa: S303 - to be refused
def test_a_signature_with_a_broken_digest_is_refused_although_it_is_right(digest: hashes.HashAlgorithm) -> None:
    assert refused(chained(signed_by_rsa(digest))) == "sig_hash"


def unknown(number: int, content: bytes = b"\x05\0") -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{number}"), content)


OF_SAN = x509.ObjectIdentifier("2.5.29.17")
TWINS = AUTHORITY.issue(NAMES, extra=[unknown(1), unknown(2)]).certificate
MALFORMED = {
    "version 1": lambda: patched(SOUND.certificate, bytes.fromhex("a003020102"), bytes.fromhex("a003020100")),
    "version 7": lambda: patched(SOUND.certificate, bytes.fromhex("a003020102"), bytes.fromhex("a003020106")),
    "an extension twice": lambda: patched(
        TWINS, bytes.fromhex("06092b06010401868d1f02"), bytes.fromhex("06092b06010401868d1f01")
    ),
    "a malformed SAN": lambda: pem(
        AUTHORITY.issue([], extra=[x509.UnrecognizedExtension(OF_SAN, b"\x30\x03\x82\x05a")]).certificate
    ),
    "an address of five bytes": lambda: pem(
        AUTHORITY.issue([], extra=[x509.UnrecognizedExtension(OF_SAN, b"\x30\x07\x87\x05aaaaa")]).certificate
    ),
    "an empty SAN extension": lambda: pem(
        AUTHORITY.issue([], extra=[x509.UnrecognizedExtension(OF_SAN, b"")]).certificate
    ),
}


@pytest.mark.parametrize("how", MALFORMED)
def test_a_certificate_that_cannot_be_read_as_a_whole_is_refused(how: str) -> None:
    issued = chained(MALFORMED[how]())
    with pytest.raises(RefusedError, match="chain: certificate 1 cannot be read") as told:
        checked(issued, roots=[AUTHORITY.root])
    assert told.value.reason == "cert_unparseable"


def test_no_number_of_certificates_and_no_size_is_worth_reading() -> None:
    """Twenty thousand certificates, and one with fifty thousand names."""
    leaf = pem(SOUND.certificate)
    assert refused(replace(SOUND, chain_pem=leaf * 20_000)) == "too_large"
    many = AUTHORITY.issue([f"n{number}.example.com" for number in range(50_000)])
    assert len(many.chain_pem) > LONGEST_CHAIN
    assert refused(many) == "too_large"


def crowd(count: int, issuer: x509.Name) -> str:
    """Of one name and one key: each of them may have issued the leaf."""
    issuing = AUTHORITY.intermediate
    ends = (issuing.not_valid_before_utc, issuing.not_valid_after_utc)
    text = ""
    for number in range(count):
        builder = x509.CertificateBuilder(issuer, issuing.subject, AUTHORITY.key.public_key(), number + 1, *ends)
        for extension in issuing.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        text += pem(builder.sign(AUTHORITY.key, hashes.SHA256()))
    return text


def test_a_crowd_of_intermediates_with_one_key_is_refused() -> None:
    leaf, issuing = pem(SOUND.certificate), AUTHORITY.intermediate
    assert refused(replace(SOUND, chain_pem=leaf + crowd(12, issuing.issuer))) == "too_many_certs"
    several = replace(SOUND, chain_pem=leaf + crowd(7, issuing.issuer))
    assert refused(several, roots=[AUTHORITY.root]) == "chain_extra"
    of_each_other = replace(SOUND, chain_pem=leaf + crowd(7, issuing.subject))
    assert refused(of_each_other, roots=[AUTHORITY.root]) == "chain_incomplete"


def test_an_intermediate_that_ends_before_the_leaf_counts() -> None:
    """Or is over at this very second."""
    authority = Authority.create("Short")
    issuing = authority.intermediate
    for left, reason in ((timedelta(0), "expired"), (timedelta(days=1), "expires_too_soon")):
        builder = x509.CertificateBuilder(
            issuing.issuer, issuing.subject, issuing.public_key(), 9, issuing.not_valid_before_utc, NOW + left
        )
        short = builder.sign(AUTHORITY.key, hashes.SHA256())
        chain = pem(authority.issue(NAMES).certificate) + pem(short)
        assert refused(replace(SOUND, chain_pem=chain), minimum_remaining=86400.0 * 2) == reason


def test_it_is_told_where_a_chain_breaks_off() -> None:
    """An issuer that is not known is another thing than one that has signed nothing of this."""
    alone = replace(SOUND, chain_pem=pem(SOUND.certificate))
    imitator = Authority.create().root
    for issued, roots, told in (
        (SOUND, [STRANGER.root], "the issuer of certificate 2 is neither sent nor trusted"),
        (alone, [STRANGER.root], "the issuer of certificate 1 is neither sent nor trusted"),
        (SOUND, [STRANGER.root, imitator], "the chain does not verify up to a trusted root"),
        (SOUND, [], "the chain does not verify up to a trusted root"),
    ):
        with pytest.raises(RefusedError, match=f"^{told}$"):
            checked(issued, roots=roots)


def test_a_certificate_that_breaks_no_rule_is_not_warned_of() -> None:
    good = AUTHORITY.issue(
        NAMES,
        extra=[timestamps(1, 2, 3)],
        usage=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
        not_after=datetime(2038, 1, 19, 3, 14, 6, tzinfo=UTC),
    )
    stances = {rule.reason: "refuse" for rule in RULES}
    assert warned(good, roots=[AUTHORITY.root], stances=stances, expires_before_2038=True) == ()
