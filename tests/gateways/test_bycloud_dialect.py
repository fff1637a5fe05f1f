"""ByCloud's refusals and answers as values: what each status means, and which page comes next."""

from datetime import UTC, datetime
from typing import Any

import pytest

from worker.core.errors import PermanentError, TransientError
from worker.gateways.bycloud.sight import pauses
from worker.gateways.bycloud.wire import ByCloudDialect, CertificatePage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIALECT = ByCloudDialect(lambda: NOW)


def envelope(status: int, message: str = "as documented") -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "request_id": "r1"}}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "bad_request"),
        (401, "auth_failed"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "unsupported"),
        (409, "conflict"),
        (422, "bad_request"),
        (501, "unsupported"),
    ],
)
def test_these_refusals_are_final(status: int, reason: str) -> None:
    error = DIALECT.failure(status, {}, envelope(status))
    assert isinstance(error, PermanentError)
    assert (error.reason, error.status, error.message) == (reason, status, "as documented")


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_the_clouds_own_troubles_pass(status: int) -> None:
    error = DIALECT.failure(status, {"retry-after": "7"}, envelope(status))
    assert isinstance(error, TransientError)
    assert (error.reason, error.hold) == ("gateway_unavailable", 7.0)


@pytest.mark.parametrize(
    ("headers", "hold"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 30)}, 30.0),
        ({"retry-after": "5", "x-ratelimit-reset": str(int(NOW.timestamp()) + 30)}, 30.0),
        ({}, 0.0),
    ],
)
def test_throttling_tells_how_long_to_wait(headers: dict[str, str], hold: float) -> None:
    error = DIALECT.failure(429, headers, envelope(429))
    assert isinstance(error, TransientError)
    assert (error.reason, error.hold) == ("throttled", hold)


@pytest.mark.parametrize("body", [None, "<html>", [], {}, {"error": "text"}, {"error": {"message": 7}}])
def test_a_refusal_without_the_documented_body_is_understood_by_its_status(body: object) -> None:
    error = DIALECT.failure(404, {}, body)
    assert (error.reason, error.message) == ("not_found", "the gateway gave no reason")


def page(meta: dict[str, Any] | None, *ids: str) -> CertificatePage:
    return CertificatePage.model_validate({"certificates": [{"id": one} for one in ids], "meta": meta})


def test_the_next_page_begins_where_the_answer_says() -> None:
    assert page({"has_more": True, "marker": "m2"}, "c1").after("m1") == "m2"


@pytest.mark.parametrize("marker", ["m1", None])
def test_the_next_page_begins_behind_the_last_one_listed_where_the_answer_does_not_say(marker: str | None) -> None:
    assert page({"has_more": True, "marker": marker}, "c1", "c2").after("m1") == "c2"


@pytest.mark.parametrize("meta", [None, {}, {"has_more": False, "marker": "m2"}, {"has_more": None}])
def test_there_is_no_page_after_the_last(meta: dict[str, Any] | None) -> None:
    assert page(meta, "c1").after(None) is None


def test_looks_grow_rarer_and_end_when_patience_does() -> None:
    assert list(pauses(10)) == [1, 2, 4, 3]
    assert list(pauses(0.5)) == [0.5]
    assert list(pauses(0)) == []
