"""Where a renewal message turns from good to bad: one step to each side; and what we compose ourselves."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.core.test_message import data, document, refusal
from worker.core.errors import RefusedError
from worker.core.message import LONGEST_BODY, composed, identify, parse, renewal_from
from worker.core.renewal import InFiles

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
FILES = {"kind": "file", "chain": "live/a/chain.pem", "private_key": "live/a/key.pem"}


def read(body: bytes | dict[str, Any]) -> str:
    return parse(body if isinstance(body, bytes) else json.dumps(body).encode()).id


def padded(size: int) -> bytes:
    body = json.dumps(document()).encode()
    return body + b" " * (size - len(body))


def test_a_message_may_be_as_large_as_is_told_and_no_larger() -> None:
    assert read(padded(LONGEST_BODY)) == "7f0c"
    assert identify(padded(LONGEST_BODY)) == ("shop", "7f0c")
    assert refusal(padded(LONGEST_BODY + 1))[0] == "too_large"
    assert identify(padded(LONGEST_BODY + 1)) == (None, None)


def nested(depth: int) -> dict[str, Any]:
    """A message with a value of that depth; it is itself one level more."""
    value: object = "x"
    for number in range(depth - 1):
        value = [value] if number % 2 else {"a": value}
    return document(deep=value)


def test_a_message_may_be_nested_so_deep_and_no_deeper() -> None:
    assert [depth for depth in range(1, 100) if is_read(nested(depth))] == list(range(1, 20))


def is_read(body: dict[str, Any]) -> bool:
    try:
        read(body)
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("number", "is_good"), [(10**18, True), (10**19, False), (-(10**17), True), (-(10**19), False)]
)
def test_whole_numbers_are_of_64_bits(number: int, is_good: bool) -> None:
    assert is_read(document(sequence=number)) is is_good


def test_text_that_is_no_text_is_refused_also_where_it_is_not_read() -> None:
    assert refusal(document(note="\ud800"))[0] == "malformed"


def test_five_places_are_told_and_no_more() -> None:
    _, told = refusal({"specversion": 1, "id": 1, "source": 1, "type": 1, "subject": 1, "data": 1})
    assert told.count(";") == 4


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (data(hunter2="x"), "data: a field that is not known"),
        (document(id=5), "id: string_type"),
        (data(material={"kind": "file", "chain": "c"}), "data.material.file.private_key: missing"),
    ],
)
def test_it_is_told_where_it_is_wrong(body: dict[str, Any], told: str) -> None:
    assert refusal(body)[1] == told


@pytest.mark.parametrize(
    "kind", [{"kind": "plain", "private_key_pem": "k3y"}, {"kind": "sealed", "private_key_jwe": "k3y"}]
)
def test_no_key_is_shown_of_a_message_that_was_read(kind: dict[str, str]) -> None:
    event = parse(json.dumps(data(material={**kind, "chain_pem": "c"})).encode())
    assert "k3y" not in f"{event!r} {event} {renewal_from(event, 'acme-1', None)!r}"


def test_what_is_no_text_identifies_nothing() -> None:
    assert identify(json.dumps(document(id=5)).encode()) == ("shop", None)
    assert identify(json.dumps(data(certificate=["shop"])).encode()) == (None, "7f0c")


@pytest.mark.parametrize("value", ["", "\x7f", "a b", "ä", "x" * 201])
def test_an_id_is_of_printable_ascii(value: str) -> None:
    assert refusal(document(id=value))[0] == "malformed"
    assert identify(json.dumps(document(id=value)).encode()) == ("shop", None)


def test_what_is_composed_is_read_as_it_was_meant() -> None:
    body = composed(
        renewal_id="r1",
        source="/acme/lego",
        certificate="shop",
        material=FILES,
        at=AT,
        reason="key_compromise",
        allow_shorter_validity=True,
    )
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": "r1",
        "source": "/acme/lego",
        "type": "certificate.renewed",
        "subject": "shop",
        "time": "2026-11-20T10:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:cert-rotation-worker:renewal:1",
        "data": {
            "certificate": "shop",
            "material": FILES,
            "reason": "key_compromise",
            "allow_shorter_validity": True,
        },
    }
    renewal = renewal_from(parse(body), "acme-1", "00-a-b-01")
    assert renewal.material == InFiles("live/a/chain.pem", "live/a/key.pem")
    assert (renewal.undo_until, renewal.traceparent) == (AT, "00-a-b-01")


def test_what_is_composed_is_an_ordinary_renewal_unless_it_is_said() -> None:
    body = composed(renewal_id="r1", source="/x", certificate="shop", material=FILES, at=AT)
    renewal = renewal_from(parse(body), "acme-1", None)
    assert (renewal.reason, renewal.allow_shorter_validity) == ("renewal", False)
    assert renewal_from(parse(json.dumps(data()).encode()), "acme-1", None).reason == "renewal"


def test_what_the_worker_would_refuse_is_not_composed() -> None:
    with pytest.raises(RefusedError):
        composed(renewal_id="r1", source="/x", certificate="../shop", material=FILES, at=AT)


@pytest.mark.parametrize(
    ("time", "at"), [("2026-11-20T10:00:00", None), (None, None), ("2026-11-20T11:00:00+01:00", AT)]
)
def test_a_time_without_a_zone_is_none(time: str | None, at: datetime | None) -> None:
    told = document() if time is None else document(time=time)
    assert renewal_from(parse(json.dumps(told).encode()), "acme-1", None).time == at
