"""How APIG says no: decided by the status first, then by the code; and how long it asks us to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.events import rfc3339
from worker.gateways.bodies import read_as
from worker.gateways.huawei_apig.wire import ApigDialect, BoundDomainPage, Certificate, is_stale_code
from worker.gateways.redaction import shown
from worker.gateways.throttling import asked_hold
from worker.gateways.transport import AmbiguousError

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def failure(status: int, code: object, text: object = "as told") -> RotationError:
    return ApigDialect(lambda: NOW).failure(status, {}, {"error_code": code, "error_msg": text})


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("throttled", 429, "APIGW.0308"),
        ("throttled", 429, None),
        ("throttled", 500, "APIG.9008"),
        ("throttled", 429, "IAM.0012"),
        ("busy", 409, "APIC.7701"),
        ("busy", 409, "APIG.3718"),
        ("busy", 409, "APIG.3711"),
        ("busy", 400, "APIG.2035"),
        ("busy", 401, "APIG.1010"),
        ("gateway_unavailable", 500, "APIG.3500"),
        ("gateway_unavailable", 500, "APIG.9004"),
        ("gateway_unavailable", 500, "APIG.9999"),
        ("gateway_unavailable", 503, "APIGW.0613"),
        ("gateway_unavailable", 502, None),
        ("gateway_unavailable", 504, None),
        ("gateway_unavailable", 408, None),
    ],
)
def test_what_passes_is_worth_another_try(reason: str, status: int, code: str | None) -> None:
    error = failure(status, code)
    assert isinstance(error, TransientError)
    assert (error.reason, error.status, error.code) == (reason, status, code)


@pytest.mark.parametrize(
    ("reason", "status", "codes"),
    [
        ("auth_failed", 401, ["APIG.1000", "APIG.1001", "APIG.1002", "APIG.1003", "APIGW.0301", "APIGW.0307", None]),
        ("auth_failed", 401, ["APIG.1012", "APIG.1013"]),
        ("forbidden", 401, ["APIG.1005"]),
        ("forbidden", 403, ["APIG.1005", "APIG.1020", "APIG.1115", "APIG.1136", "APIG.1301", None]),
        ("quota", 403, ["APIG.3100", "APIG.3108"]),
        ("not_found", 404, ["APIG.3020", "APIG.3021", "APIG.3025", "APIG.3030", "APIG.3001", "APIG.3097", "APIG.3093"]),
        ("certificate_rejected", 400, ["APIG.2101", "APIG.2102", "APIG.2103", "APIG.2104", "APIG.2105", "APIG.2106"]),
        ("certificate_rejected", 400, ["APIG.2109", "APIG.3148"]),
        ("certificate_rejected", 409, ["APIG.3708", "APIG.3709"]),
        ("conflict", 400, ["APIG.2051", "APIG.3715", "APIG.3325"]),
        ("conflict", 409, [None, "APIG.0001"]),
        ("bad_request", 400, ["APIG.2000", "APIG.2012", None]),
        # Codes of other operations, as in the pages' own examples: the status decides.
        ("not_found", 404, ["APIG.9999", "APIG.9008", "APIG.3711"]),
        ("bad_request", 400, ["APIG.9999", "APIG.1010"]),
        ("bad_request", 413, [None]),
    ],
)
def test_what_lasts_is_final(reason: str, status: int, codes: list[str | None]) -> None:
    for code in codes:
        error = failure(status, code)
        assert isinstance(error, PermanentError), code
        assert (error.reason, error.status, error.code) == (reason, status, code)


@pytest.mark.parametrize(
    ("is_stale", "status", "code"),
    [
        (True, 401, "APIGW.0307"),
        (True, 401, "APIG.1002"),
        (True, 401, None),
        (False, 401, "APIG.1012"),
        (False, 401, "APIG.1005"),
        (False, 401, "APIG.1010"),
        (False, 403, "APIG.1002"),
    ],
)
def test_only_some_refusals_end_with_fresh_credentials(is_stale: bool, status: int, code: str | None) -> None:
    assert is_stale_code(status, code) == is_stale


@given(st.integers(400, 599), st.recursive(st.none() | st.integers() | st.text(), st.lists), st.text() | st.none())
def test_no_body_of_an_error_surprises(status: int, code: object, text: object) -> None:
    error = failure(status, code, text)
    assert error.code is None or len(error.code) < 20
    assert error.message


@pytest.mark.parametrize("body", [None, [], "text", 7, {"error_code": "<script>"}, {"error": {"code": 1}}])
def test_a_refusal_without_a_form_is_still_one(body: object) -> None:
    error = ApigDialect(lambda: NOW).failure(404, {}, body)
    assert (error.reason, error.code) == ("not_found", None)


@pytest.mark.parametrize(
    ("seconds", "headers", "text"),
    [
        (300, {}, "policy user over ratelimit,limit:200,time:5 minute"),
        (1, {}, "policy ip over ratelimit,limit:5,time:1 second"),
        (3600, {}, "limit:5,time:3 hour"),
        (300, {}, "Policy User over RateLimit, Limit:200, Time: 5 Minute(s)"),
        (300, {}, "LIMIT : 200 ,\tTIME : 5MINUTES"),
        (None, {}, "Limit: many, Time: 5 Minute(s)"),
        (None, {}, "limit:200,time:5 fortnight"),
        (None, {}, "limit:\u0662\u0660,time:5 minute"),
        (300, {"retry-after": "7"}, "limit:200,time:5 minute"),
        (700, {"retry-after": "700"}, "limit:200,time:5 minute"),
        (None, {"retry-after": "-7"}, ""),
        (None, {"retry-after": "0"}, ""),
        (300, {"retry-after": "-7"}, "limit:200,time:5 minute"),
        (3600, {"retry-after": "999999999"}, ""),
        (3600, {"retry-after": "9" * 30}, ""),
        (90, {"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, ""),
        (None, {"retry-after": format_datetime(NOW - timedelta(days=1), usegmt=True)}, ""),
        (60, {"retry-after": format_datetime(NOW - timedelta(days=1), usegmt=True)}, "limit:1,time:1 minute"),
        (30, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 30)}, ""),
        (40, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 40), "retry-after": "5"}, "limit:5,time:1 second"),
        (60, {"x-ratelimit-reset": str(int(NOW.timestamp()) - 9)}, "limit:1,time:1 minute"),
        (60, {"retry-after": "soon"}, "limit:1,time:1 minute"),
        (None, {"retry-after": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, "limit:x,time:y"),
        (None, {"x-ratelimit-reset": "soon"}, ""),
        (None, {}, ""),
    ],
)
def test_the_wait_is_read_from_headers_and_text(seconds: float | None, headers: dict[str, str], text: str) -> None:
    assert asked_hold(headers, text, NOW) == seconds


@given(st.text(), st.text(), st.text())
def test_no_garbage_makes_us_wait_for_ever(after: str, reset: str, text: str) -> None:
    asked = asked_hold({"retry-after": after, "x-ratelimit-reset": reset}, text, NOW)
    assert asked is None or 0 < asked <= 3600


@given(st.text(alphabet="abc Z0\n\0", max_size=400), st.text(alphabet="abcXYZ019+/=", min_size=1, max_size=40))
def test_what_is_shown_is_printable_short_and_without_the_secret(text: str, secret: str) -> None:
    told = shown(f"{text}{secret}{text}", [secret])
    assert secret not in told
    assert len(told) <= 200
    assert told.isprintable()


@pytest.mark.parametrize(
    ("secrets", "pieces", "told"),
    [
        (["pw7"], [], "The user *** of id123 and longer-piece"),
        (["", "pw7"], ["id123", "longer-piece"], "The user *** of id123 and ***"),
        (["id1", "pw7", "longer", "longer-piece"], [], "The user *** of ***23 and ***"),
        (["line\nlonger-piece\nof"], [], "The user pw7 of id123 and ***"),
    ],
)
def test_a_secret_is_starred_however_short_and_a_piece_only_where_it_is_long(
    secrets: list[str], pieces: list[str], told: str
) -> None:
    assert shown("The user pw7 of id123 and longer-piece", secrets, pieces) == told


def certificate(**overrides: Any) -> Certificate:
    return read_as(Certificate, {"id": "c1", "name": "shop", **overrides})


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("field", ["not_before", "not_after"])
def test_a_date_that_is_none_in_utc_is_no_answer(field: str, at: str) -> None:
    with pytest.raises(AmbiguousError, match="not of the documented form"):
        certificate(**{field: at})


def test_a_date_of_another_zone_is_the_same_moment_in_utc() -> None:
    read = certificate(not_after="2031-08-16T14:36:13.527+08:00").not_after
    assert read is not None
    assert rfc3339(read) == "2031-08-16T06:36:13Z"
    assert read.tzinfo is UTC


def test_the_documented_example_is_read() -> None:
    stored = certificate(
        id=" a27be832f2e9441c8127fe48e3b5ac67",
        type="global",
        instance_id="common",
        not_before="2019-06-01T00:00:00Z",
        not_after="2031-08-16T06:36:13.527363Z",
        serial_number="13010",
        issuer=["XXSSL Inc"],
        is_has_trusted_root_ca=True,
    ).stored()
    assert (stored.certificate_id, stored.serial_number) == ("a27be832f2e9441c8127fe48e3b5ac67", 13010)
    assert (stored.not_before, stored.not_after) == (
        datetime(2019, 6, 1, tzinfo=UTC),
        datetime(2031, 8, 16, 6, 36, 13, tzinfo=UTC),
    )
    assert (stored.scope, stored.instance_id, stored.has_trusted_root_ca) == ("global", None, True)


@pytest.mark.parametrize(
    ("told", "scope", "instance_id"),
    [
        ({"type": "instance", "instance_id": "i1"}, "instance", "i1"),
        ({"type": "global", "instance_id": "i1"}, "global", None),
        ({"instance_id": "i1"}, "instance", "i1"),
        ({"instance_id": "common"}, "global", None),
        ({}, "global", None),
    ],
)
def test_the_scope_is_read_as_it_must_be_sent_again(told: dict[str, str], scope: str, instance_id: str | None) -> None:
    stored = certificate(**told).stored()
    assert (stored.scope, stored.instance_id) == (scope, instance_id)


def test_an_empty_list_may_be_null_and_a_missing_total_is_no_answer() -> None:
    assert read_as(BoundDomainPage, {"total": 0, "bound_domains": None}).rows == ()
    with pytest.raises(AmbiguousError) as caught:
        read_as(BoundDomainPage, {"bound_domains": []})
    assert "documented form" in str(caught.value)
