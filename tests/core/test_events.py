"""The outcome event, and the schemas of both messages."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema

from tests.support.values import day, deployment, domain, leaf
from worker.core.errors import Failure
from worker.core.events import MOST_FAILURES, event_id, outcome_event, shorter
from worker.core.outcome import BindingResult, BindingState, DeploymentReport, Previous, Report, Timing, conclude
from worker.core.schemas import as_text, schemas

TIMING = Timing(day(10), day(11), 4.2104, attempt=2)
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def event(report: Report, **overrides: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"renewal_id": "7f0c", "certificate": "shop", "traceparent": None, "id_source": "7f0c"}
    fields |= overrides
    return outcome_event(report, timing=TIMING, **fields)


def failed(count: int = 1, message: str = "no such domain") -> Report:
    failure = Failure("not_found", message, transient=False, status=404, code="APIG.3020")
    results = [BindingResult(domain(f"n{number}.example.com"), "failed", failure) for number in range(count)]
    results.append(BindingResult(domain("a.example.com"), "attached"))
    report = DeploymentReport(
        deployment(), "failed", "binding_failed", "c1", replaced=True, previous=Previous("1", day(9)), bindings=results
    )
    return replace(conclude(leaf(), [report]), gateway_calls=14)


def test_the_event_says_what_the_contract_promises() -> None:
    told = event(failed())
    assert told["type"] == "certificate.rotation.failed"
    assert (told["subject"], told["causationid"], told["specversion"]) == ("shop", "7f0c", "1.0")
    assert told["data"] == {
        "certificate": "shop",
        "renewal_id": "7f0c",
        "outcome": "failed",
        "reason": "binding_failed",
        "message": None,
        "leaf": {
            "serial_number": "4660",
            "fingerprint_sha256": "ab" * 32,
            "not_before": "2026-01-10T00:00:00Z",
            "not_after": "2026-01-20T00:00:00Z",
            "names": ["a.example.com", "b.example.com", "c.example.com"],
        },
        "attempt": 2,
        "started_at": "2026-01-10T00:00:00Z",
        "finished_at": "2026-01-11T00:00:00Z",
        "duration_seconds": 4.21,
        "gateway_calls": 14,
        "deployments": [
            {
                "gateway": "apig",
                "certificate_id": "c1",
                "strategy": "in_place",
                "outcome": "failed",
                "reason": "binding_failed",
                "replaced": True,
                "previous": {"serial_number": "1", "not_after": "2026-01-09T00:00:00Z"},
                "bindings": {"total": 2, "attached": 1, "unchanged": 0, "failed": 1, "rolled_back": 0},
                "failures": [
                    {
                        "kind": "domain",
                        "name": "n0.example.com",
                        "instance_id": "i1",
                        "reason": "not_found",
                        "status": 404,
                        "code": "APIG.3020",
                        "message": "no such domain",
                        "attempts": 1,
                    }
                ],
                "truncated": False,
            }
        ],
    }


def test_warnings_and_the_keys_hash_are_told_where_there_are_any() -> None:
    assert "warnings" not in event(failed())["data"]
    assert "public_key_sha256" not in event(failed())["data"]["leaf"]
    told = event(replace(conclude(leaf(public_key_sha256="cd" * 32), []), warnings=("no_sct", "key_reused")))["data"]
    assert told["warnings"] == ["no_sct", "key_reused"]
    assert told["leaf"]["public_key_sha256"] == "cd" * 32


def test_a_repeat_carries_the_same_id_and_another_outcome_another() -> None:
    assert event(failed())["id"] == event(failed(2))["id"]
    assert event(failed())["id"] != event(conclude(leaf(), []))["id"]


def test_an_id_is_made_of_what_it_shall_be_whatever_the_message_claims() -> None:
    assert event(failed())["id"] == event_id("7f0c", "failed")
    claimed = event(failed(), id_source="ab")
    assert (claimed["id"], claimed["causationid"]) == (event_id("ab", "failed"), "7f0c")


def test_what_failed_as_a_whole_is_told_before_the_bindings() -> None:
    failure = Failure("not_found", "gone", transient=False)
    whole = DeploymentReport(deployment(), "failed", "not_found", "c9", failure=failure)
    [told] = event(conclude(leaf(), [whole]))["data"]["deployments"]
    assert (told["certificate_id"], told["previous"]) == ("c9", None)
    [first] = told["failures"]
    assert (first["kind"], first["name"], first["instance_id"]) == ("deployment", "apig/c1", None)
    [told] = event(conclude(leaf(), [replace(whole, certificate_id=None)]))["data"]["deployments"]
    assert told["certificate_id"] == "c1"


def test_the_first_thousand_failures_are_listed() -> None:
    assert MOST_FAILURES == 1000
    [told] = event(failed(MOST_FAILURES + 1))["data"]["deployments"]
    assert (len(told["failures"]), told["truncated"]) == (MOST_FAILURES, True)
    assert told["bindings"]["failed"] == MOST_FAILURES + 1
    [told] = event(failed(MOST_FAILURES))["data"]["deployments"]
    assert (len(told["failures"]), told["truncated"]) == (MOST_FAILURES, False)


def test_bindings_are_counted_by_their_state() -> None:
    states: list[BindingState] = ["rolled_back", "rolled_back", "rolled_back", "unchanged", "unchanged", "attached"]
    results = [BindingResult(domain(), state) for state in states]
    report = DeploymentReport(deployment(), "succeeded", "rotated", bindings=results)
    [told] = event(conclude(leaf(), [report]))["data"]["deployments"]
    assert told["bindings"] == {"total": 6, "attached": 1, "unchanged": 2, "failed": 0, "rolled_back": 3}


def test_a_message_is_bounded_printable_and_without_pem() -> None:
    message = "\x1b[31mred\n" + "x" * 50 + "-----BEGIN PRIVATE KEY-----\nMIG"
    told = event(failed(message=message))["data"]["deployments"][0]["failures"][0]["message"]
    assert told == "[31mred " + "x" * 50 + "[PEM]"
    assert len(event(failed(message="y" * 999))["data"]["deployments"][0]["failures"][0]["message"]) == 200


def test_a_message_that_nobody_could_read_has_an_event_all_the_same() -> None:
    refused = Report.refused(Failure("malformed", "no valid JSON", transient=False))
    told = event(refused, renewal_id=None, certificate=None)
    assert "subject" not in told
    assert (told["data"]["reason"], told["data"]["message"], told["data"]["leaf"]) == (
        "malformed",
        "no valid JSON",
        None,
    )


def test_the_published_schemas_are_those_of_the_models() -> None:
    for name, schema in schemas().items():
        assert (SCHEMAS / name).read_text() == as_text(schema)


def test_events_and_renewals_keep_to_their_schemas() -> None:
    outcome, renewal = (json.loads((SCHEMAS / name).read_text()) for name in ("outcome.v1.json", "renewal.v1.json"))
    jsonschema.validate(event(failed()), outcome)
    jsonschema.validate(event(replace(conclude(leaf(public_key_sha256="cd" * 32), []), warnings=("no_sct",))), outcome)
    data = {"certificate": "shop", "material": {"kind": "held"}}
    jsonschema.validate(
        {"specversion": "1.0", "id": "1", "source": "/x", "type": "certificate.renewed", "data": data}, renewal
    )


def test_an_event_that_is_too_large_is_told_ever_shorter_and_says_so() -> None:
    full = event(failed(500))
    steps = list(shorter(full))
    sizes = [len(json.dumps(one)) for one in (full, *steps)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1200
    kept = [
        [(len(found["failures"]), found["truncated"], found["bindings"]["failed"]) for found in deployments(one)]
        for one in steps
    ]
    assert kept == [[(100, True, 500)], [(10, True, 500)], [(0, True, 500)], []]
    for one in steps:
        jsonschema.validate(one, json.loads((SCHEMAS / "outcome.v1.json").read_text(encoding="utf-8")))
        assert {name: value for name, value in one.items() if name != "data"} == {
            name: value for name, value in full.items() if name != "data"
        }


def deployments(told: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = told["data"]["deployments"]
    return found
