"""The rules of certificates against x509-limbo: nothing more is taken than is known, and no less is agreed on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.limbo.agreement import Agreement, Judged, agreement, read
from tests.limbo.known import FALSE_ACCEPTS, FEWEST_AGREED, why
from worker.sandbox.ca import Authority

FILE = Path(__file__).parents[3] / "shared" / "x509-limbo" / "limbo.json"
# It is no part of the product, and not fetched by its tests.
needs_limbo = pytest.mark.skipif(not FILE.exists(), reason="x509-limbo's limbo.json does not lie beside the repository")


@pytest.fixture(scope="module")
def found() -> Agreement:
    return agreement(read(FILE))


@needs_limbo
def test_nothing_is_taken_wrongly_that_is_not_known(found: Agreement) -> None:
    assert [case for case in sorted(found.false_accepts) if why(case) is None] == []


@needs_limbo
def test_what_is_known_is_still_so(found: Agreement) -> None:
    known = frozenset[str]().union(*FALSE_ACCEPTS.values())
    assert known - found.false_accepts == set(), "these are refused by now: take them off the list"


@needs_limbo
def test_agreement_never_shrinks(found: Agreement) -> None:
    assert found.agreed >= FEWEST_AGREED


AUTHORITY = Authority.create()


def case(**fields: Any) -> dict[str, Any]:
    issued = AUTHORITY.issue(["www.example.com"])
    leaf, intermediate = issued.chain_pem.split("-----BEGIN", 2)[1:]
    sound = {
        "id": "own::sound",
        "validation_kind": "SERVER",
        "features": [],
        "expected_peer_name": {"kind": "DNS", "value": "www.example.com"},
        "expected_result": "SUCCESS",
        "validation_time": None,
        "trusted_certs": [AUTHORITY.root_pem],
        "peer_certificate": f"-----BEGIN{leaf}",
        "untrusted_intermediates": [f"-----BEGIN{intermediate}"],
        "peer_certificate_key": issued.private_key_pem,
    }
    return {**sound, **fields}


def judged(**fields: Any) -> Sequence[Judged]:
    return agreement([case(**fields)]).judged


def test_the_runner_itself_knows_good_from_bad() -> None:
    other = {"kind": "DNS", "value": "other.example.com"}
    assert judged() == judged(peer_certificate_key=None) == [Judged("own::sound", "SUCCESS", "")]
    assert judged(peer_certificate_key=None, expected_peer_name=other)[0].reason == "name_not_covered"
    [taken] = judged(expected_result="FAILURE")
    assert (taken.is_false_accept, taken.is_false_refusal, taken.agrees) == (True, False, False)
    [refused] = judged(trusted_certs=[Authority.create("Other").root_pem])
    assert (refused.is_false_accept, refused.is_false_refusal) == (False, True)
    [uncovered] = judged(expected_peer_name=other, expected_result="FAILURE")
    assert (uncovered.reason, uncovered.agrees) == ("name_not_covered", True)
    assert judged(validation_kind="CLIENT") == judged(features=["has-crl"]) == []
