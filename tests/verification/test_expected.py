"""What is served is told from what shall be, without a socket."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.gateways import AUTHORITY, checked
from worker.sandbox.ca import Issued
from worker.verification.expected import ExpectedEither, ExpectedExpiry, ExpectedLeaf

NAME = "a.example.com"
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=60)


def issued() -> Issued:
    return AUTHORITY.issue([NAME])


def test_a_leaf_that_cannot_be_read_is_another_certificate() -> None:
    assert ExpectedLeaf.of(checked(issued()), ["1"]).shortfall([b"no certificate"], NAME) == "other_certificate"
    assert ExpectedExpiry(frozenset(), NOW).shortfall([b"no certificate"], NAME) == "other_certificate"


def der(one: Issued) -> bytes:
    return one.certificate.public_bytes(Encoding.DER)


def test_an_older_one_for_the_same_name_is_old_even_if_nobody_remembers_it() -> None:
    renewed = ExpectedLeaf.of(checked(issued()), [])
    older, stranger = (AUTHORITY.issue([name], not_before=LONG_AGO) for name in (NAME, "b.example.com"))
    assert renewed.shortfall([der(older)], NAME) == "still_old"
    assert renewed.shortfall([der(stranger)], NAME) == "other_certificate"


def test_of_a_leaf_that_only_the_platform_knows_name_and_expiry_are_proof() -> None:
    renewed, older = issued(), AUTHORITY.issue([NAME], not_before=LONG_AGO)
    known = ExpectedExpiry(frozenset({renewed.certificate.not_valid_after_utc}), NOW)
    assert known.shortfall([der(renewed)], NAME) is None
    assert known.shortfall([der(older)], NAME) == "still_old"
    assert known.shortfall([der(renewed)], "b.example.com") == "other_certificate"
    assert known.shortfall([], NAME) == "not_reachable"
    assert ExpectedExpiry(frozenset(), NOW).shortfall([der(older)], NAME) is None, "nothing more is known"
    later = older.certificate.not_valid_after_utc
    assert ExpectedExpiry(frozenset(), later).shortfall([der(older)], NAME) == "still_old", "but it has expired"
    either = ExpectedEither(ExpectedLeaf.of(checked(issued()), []), known)
    assert either.shortfall([der(renewed)], NAME) is None
    assert either.shortfall([der(older)], NAME) == "still_old"
