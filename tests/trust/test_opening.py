"""Who says so, and may they?"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.broker.base import Message
from worker.core.errors import RefusedError
from worker.core.renewal import OWN_PRODUCER, Held, InFiles
from worker.trust.opening import TrustPolicy, open_message

NOW = datetime.now(UTC)
POLICY = TrustPolicy(producers={"shop": frozenset({"acme"})}, holds=frozenset({"shop"}))
FILES = {"kind": "file", "chain": "live/shop/chain.pem", "private_key": "live/shop/key.pem"}
SWEPT = replace(POLICY, lineages={"shop": InFiles("live/shop/chain.pem", "live/shop/key.pem")})
PLACED = replace(POLICY, files_below={"shop": "live/shop"}, vault_below={"shop": "certs/shop"})
PLAIN = {"kind": "plain", "chain_pem": "c", "private_key_pem": "-----BEGIN PRIVATE KEY-----"}


def message(material: dict[str, Any] | None = None, certificate: str = "shop", **overrides: Any) -> Message:
    data = {"certificate": certificate, "material": material or {"kind": "held"}}
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "certificate.renewed", "data": data}
    sent = Message(json.dumps(event).encode(), "application/cloudevents+json", user_id="acme")
    return replace(sent, **overrides)


def refusal(sent: Message, policy: TrustPolicy = POLICY) -> str:
    with pytest.raises(RefusedError) as told:
        open_message(sent, policy, NOW)
    return told.value.reason


def test_a_listed_producer_may_renew() -> None:
    renewal = open_message(message(traceparent="00-t"), POLICY, NOW)
    assert (renewal.producer, renewal.material, renewal.traceparent) == ("acme", Held(), "00-t")


@pytest.mark.parametrize("user", [None, "mallory", ""])
def test_nobody_else_may(user: str | None) -> None:
    assert refusal(message(user_id=user)) == "unauthorized_producer"


def test_the_worker_vouches_for_what_it_makes_itself_signed_or_not() -> None:
    own = message(FILES, user_id=OWN_PRODUCER)
    assert open_message(own, replace(SWEPT, require_signature=True), NOW).producer == OWN_PRODUCER
    assert refusal(message(user_id=OWN_PRODUCER, certificate="other")) == "unknown_certificate"


@pytest.mark.parametrize(
    ("material", "more"),
    [
        ({"kind": "held"}, {}),
        (PLAIN, {}),
        ({"kind": "vault", "path": "certs/shop"}, {}),
        ({**FILES, "chain": "live/bank/chain.pem"}, {}),
        ({**FILES, "private_key": "live/bank/key.pem"}, {}),
        (FILES, {"reason": "manual"}),
        (FILES, {"reason": "key_compromise"}),
        (FILES, {"allow_shorter_validity": True}),
    ],
)
def test_the_workers_own_name_is_good_for_what_the_sweep_makes_alone(material: Any, more: dict[str, Any]) -> None:
    event = json.loads(message(material).body)
    event["data"] |= more
    sent = message(body=json.dumps(event).encode(), user_id=OWN_PRODUCER)
    assert refusal(sent, replace(SWEPT, allow_plain_keys=True)) == "unauthorized_producer"


def test_the_workers_own_name_is_good_for_nothing_that_has_no_lineage() -> None:
    assert refusal(message(FILES, user_id=OWN_PRODUCER)) == "unauthorized_producer"


@pytest.mark.parametrize("path", ["live/shop/chain.pem", "./live//shop/a/b.pem"])
def test_files_are_named_where_the_certificate_has_its_own(path: str) -> None:
    assert open_message(message({**FILES, "chain": path}), PLACED, NOW).id == "1"


@pytest.mark.parametrize(
    "path", ["live/bank/chain.pem", "live/shop2/c.pem", "live/shop/../bank/c.pem", "/live/shop/c.pem", "chain.pem"]
)
def test_files_of_other_certificates_are_refused_before_anything_is_read(path: str) -> None:
    for one in ("chain", "private_key"):
        assert refusal(message({**FILES, one: path}), PLACED) == "file_outside_roots"
        assert open_message(message({**FILES, one: path}), POLICY, NOW).id == "1", "nobody said where"


@pytest.mark.parametrize("path", ["certs/bank", "certs/shop2", "certs/shop/../bank", "/certs/shop", "certs"])
def test_secrets_of_other_certificates_are_refused_before_vault_is_asked(path: str) -> None:
    sent = message({"kind": "vault", "path": path})
    assert refusal(sent, PLACED) == "vault_forbidden"
    assert open_message(sent, POLICY, NOW).id == "1", "nobody said where"


def test_secrets_are_named_where_the_certificate_has_its_own() -> None:
    for path in ("certs/shop", "certs/shop/eu"):
        assert open_message(message({"kind": "vault", "path": path}), PLACED, NOW).id == "1"


def test_an_unknown_certificate_is_told_as_such() -> None:
    assert refusal(message(certificate="other")) == "unknown_certificate"


@pytest.mark.parametrize("kind", ["application/json", "text/yaml", "application/x-python-pickle", ""])
def test_another_content_type_is_refused(kind: str) -> None:
    assert refusal(message(content_type=kind)) == "malformed"


def test_nothing_is_inflated() -> None:
    assert refusal(message(content_encoding="gzip")) == "malformed"


def test_a_key_in_the_open_is_refused_unless_it_is_allowed() -> None:
    assert refusal(message(PLAIN)) == "plain_key_refused"
    assert open_message(message(PLAIN), replace(POLICY, allow_plain_keys=True), NOW).id == "1"


def test_a_platform_holds_only_what_all_deployments_rebind() -> None:
    assert refusal(message(), replace(POLICY, holds=frozenset())) == "held_not_possible"


def test_an_unsigned_message_is_refused_where_a_signature_is_asked_for() -> None:
    assert refusal(message(), replace(POLICY, require_signature=True)) == "unauthorized_producer"
