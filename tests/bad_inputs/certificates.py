"""B54 to B65: certificates."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.bad_inputs.der import integer, tlv
from tests.bad_inputs.forging import (
    MD5_RSA,
    SAN,
    SHA1_ECDSA,
    Forged,
    forged,
    pem_of,
    replaced,
    resigned,
    san,
    unchanged,
    with_extension,
)
from tests.bad_inputs.keys import sealed
from tests.bad_inputs.stage import AUTHORITY, BOUND, Material, Stage
from tests.bad_inputs.table import Bad
from worker.broker.base import Message
from worker.sandbox.ca import Authority

Make = Callable[[Stage], Message]
STAGING: Final = Authority.create("(STAGING) Pretend Pear")
STRANGER: Final = Authority.create("Stranger")


def issued(**fields: Any) -> Make:
    return sealed(lambda stage: stage.issue(**fields))


def since(**ago: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**ago)


def changed(change: Callable[[list[bytes]], list[bytes]], **more: Any) -> Make:
    """The leaf with other content, soundly signed."""
    return sealed(lambda stage: forged(stage.issue(), AUTHORITY, change, **more))


def named(*names: bytes) -> Make:
    return changed(with_extension(SAN, san(*(name.encode() for name in BOUND), *names), instead=True))


def chain(order: Callable[[str, str], str]) -> Make:
    """Of the texts of leaf and intermediate."""

    def make(stage: Stage) -> Material:
        one = stage.issue()
        return Forged(order(pem_of(one.certificate), pem_of(AUTHORITY.intermediate)), one.private_key_pem)

    return sealed(make)


def of_one_key(count: int) -> str:
    """So many intermediates of one name and one key."""
    root = AUTHORITY.intermediate
    others = (resigned(root, AUTHORITY.key, replaced(1, integer(number + 1))) for number in range(count))
    return "".join(others)


def same_key(stage: Stage) -> Material:
    key: Any = load_pem_private_key(stage.good_leaf.private_key_pem.encode(), None)
    return stage.issue(key=key)


def same_key_exposed(stage: Stage) -> Message:
    return stage.sealed(same_key(stage), reason="key_compromise")


def ending_now(stage: Stage) -> Material:
    return stage.issue(not_before=since(days=2), not_after=since())


def going_back(stage: Stage) -> Message:
    return stage.signed(stage.event(stage.older(), reason="key_compromise", allow_shorter_validity=True))


def weakly_issued(algorithm: bytes) -> Make:
    """The intermediate's own signature is weak, the leaf's is not."""

    def make(stage: Stage) -> Material:
        one = stage.issue()
        weak = resigned(AUTHORITY.intermediate, AUTHORITY.key, unchanged, algorithm)
        return Forged(pem_of(one.certificate) + weak, one.private_key_pem)

    return sealed(make)


def many(count: int) -> Sequence[str]:
    return [*BOUND, *(f"n{number}.example.com" for number in range(count))]


ROWS: Final = (
    Bad("B54", "expired", issued(not_before=since(days=9), not_after=since(days=1)), "expired"),
    Bad("B54", "ends right now", sealed(ending_now), "expired"),
    Bad("B54", "begins in an hour", issued(not_before=since(hours=-1), not_after=since(days=-90)), "not_yet_valid"),
    Bad("B55", "older than what is stored", sealed(Stage.older), "downgrade", "superseded", "read"),
    Bad(
        "B55",
        "older, not urgent, and said to be allowed",
        lambda stage: stage.sealed(stage.older(), allow_shorter_validity=True),
        "downgrade",
        "superseded",
        "read",
    ),
    Bad("B56", "a CA's certificate", issued(is_ca=True), "leaf_is_ca"),
    Bad("B56", "no extended key usage", issued(usage=()), "eku_no_serverauth"),
    Bad("B56", "for clients only", issued(usage=(ExtendedKeyUsageOID.CLIENT_AUTH,)), "eku_no_serverauth"),
    Bad("B56", "for any usage", issued(usage=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)), "eku_no_serverauth"),
    Bad("B56", "a precertificate", issued(extra=(x509.PrecertPoison(),)), "precert"),
    Bad("B57", "without its intermediate", chain(lambda leaf, _issuer: leaf), "chain_incomplete"),
    Bad("B57", "the intermediate first", chain(lambda leaf, issuer: issuer + leaf), "leaf_is_ca"),
    Bad(
        "B57",
        "a stranger's intermediate in between",
        chain(lambda leaf, issuer: leaf + pem_of(STRANGER.intermediate) + issuer),
        "chain_order",
    ),
    Bad(
        "B57",
        "a stranger's intermediate for its own",
        chain(lambda leaf, _issuer: leaf + pem_of(STRANGER.intermediate)),
        "chain_extra",
    ),
    Bad("B57", "1,000 certificates", chain(lambda leaf, issuer: leaf + issuer * 1000), "too_large"),
    Bad("B57", "nine certificates", chain(lambda leaf, issuer: leaf + issuer * 8), "too_many_certs"),
    Bad("B57", "seven intermediates of one key", chain(lambda leaf, _issuer: leaf + of_one_key(7)), "chain_extra"),
    Bad("B57", "100 intermediates of one key", chain(lambda leaf, _issuer: leaf + of_one_key(100)), "too_many_certs"),
    Bad("B57", "no chain", chain(lambda _leaf, _issuer: ""), "pem_empty"),
    Bad(
        "B58",
        "the root as well",
        chain(lambda leaf, issuer: leaf + issuer + pem_of(AUTHORITY.root)),
        "rotated",
        "succeeded",
        "changed",
    ),
    Bad("B58", "everything twice", chain(lambda leaf, issuer: (leaf + issuer) * 2), "rotated", "succeeded", "changed"),
    Bad("B59", "of a CA for tests", sealed(lambda _stage: STAGING.issue(BOUND)), "staging_issuer"),
    Bad("B59", "of a stranger's CA", sealed(lambda _stage: STRANGER.issue(BOUND)), "chain_untrusted"),
    Bad(
        "B60",
        "lacks a domain that the settings list",
        lambda stage: stage.sealed(stage.issue(BOUND[:1]), "listed"),
        "name_not_covered",
        says=BOUND[1],
    ),
    Bad(
        "B60",
        "lacks a domain that only the gateway knows",
        issued(names=BOUND[:1]),
        "name_not_covered",
        cloud="read",
        says=BOUND[1],
    ),
    Bad("B61", "NUL in a name", named(b"example.com\0.evil.com"), "domain_syntax"),
    Bad("B61", "`*.com`", named(b"*.com"), "domain_syntax"),
    Bad("B61", "`a*.example.com`", named(b"a*.example.com"), "domain_syntax"),
    Bad("B61", "a name that is not in ASCII", named("ex\u00e4mple.com".encode()), "domain_syntax"),
    Bad("B61", "a dot behind a name", named(b"www.example.com."), "domain_syntax"),
    Bad("B61", "an empty name", named(b""), "domain_syntax"),
    Bad("B62", "the leaf signed with SHA-1", changed(unchanged, algorithm=SHA1_ECDSA), "sig_hash"),
    Bad("B62", "the leaf signed with MD5", changed(unchanged, algorithm=MD5_RSA), "sig_hash"),
    Bad("B62", "the intermediate signed with SHA-1", weakly_issued(SHA1_ECDSA), "sig_hash"),
    Bad("B62", "the intermediate signed with MD5", weakly_issued(MD5_RSA), "sig_hash"),
    Bad("B63", "10,000 names", issued(names=many(10_000)), "too_large"),
    Bad("B63", "202 names", issued(names=many(200)), "too_many_sans"),
    Bad(
        "B63",
        "names that cannot be read",
        changed(with_extension(SAN, b"\x30\x05\x82", instead=True)),
        "cert_unparseable",
    ),
    Bad("B63", "an extension twice", changed(with_extension(SAN, san(b"a.example.com"))), "cert_unparseable"),
    Bad("B63", "version 7", changed(replaced(0, tlv(0xA0, integer(6)))), "cert_unparseable"),
    Bad("B63", "version 1", changed(replaced(0, tlv(0xA0, integer(0)))), "cert_unparseable"),
    Bad("B63", "a negative serial number", changed(replaced(1, integer(-5))), "cert_unparseable"),
    Bad("B63", "serial number 0", changed(replaced(1, integer(0))), "cert_unparseable"),
    Bad(
        "B64",
        "demands stapling",
        issued(extra=(x509.TLSFeature([x509.TLSFeatureType.status_request]),)),
        "must_staple",
    ),
    Bad("B65", "the key of the current one", sealed(same_key), "rotated", "succeeded", "changed"),
    Bad("B65", "the key of the current one, after a compromise", same_key_exposed, "key_reused"),
    # Last, for from then on the key that it replaces is an exposed one.
    Bad("B55", "older, urgent, allowed and signed", going_back, "rotated", "succeeded", "changed"),
)
