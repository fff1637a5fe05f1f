"""B01 to B18 and B28 to B33: what is no renewal, or nobody's business to send."""

import gzip
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tests.bad_inputs.stage import Stage, event_of
from tests.bad_inputs.table import Bad
from tests.support.clouds import message
from worker.broker.base import Message

HELD: Final = {"kind": "held"}
DATA: Final = {"certificate": "shop", "material": HELD}


def body(content: bytes) -> Callable[[Stage], Message]:
    return lambda _stage: message(content)


def event(**overrides: Any) -> Callable[[Stage], Message]:
    """A renewal with other attributes."""
    return lambda _stage: message(json.dumps({**event_of(DATA), **overrides}).encode())


def data(**overrides: Any) -> Callable[[Stage], Message]:
    """A renewal with other data."""
    return event(data={**DATA, **overrides})


def text(change: Callable[[str], str], of: Mapping[str, Any] = DATA) -> Callable[[Stage], Message]:
    """A renewal whose JSON was changed."""
    return lambda _stage: message(change(json.dumps(event_of(of))).encode())


def sent(**properties: Any) -> Callable[[Stage], Message]:
    """A good renewal, which comes in another way."""
    return lambda stage: replace(stage.sealed(stage.issue()), **properties)


def encoded(codec: str) -> Callable[[Stage], Message]:
    return lambda _stage: message(json.dumps(event_of(DATA)).encode(codec))


def pickled(_stage: Stage) -> Message:
    return message(pickle.dumps(event_of(DATA)), content_type="application/x-python-pickle")


ROWS: Final = (
    Bad("B01", "empty body", body(b""), "malformed"),
    Bad("B01", "one blank", body(b" "), "malformed"),
    Bad("B02", "`{}`", body(b"{}"), "malformed"),
    Bad("B02", "`[]`", body(b"[]"), "malformed"),
    Bad("B02", "`null`", body(b"null"), "malformed"),
    Bad("B03", "100,000 nested arrays", body(b"[" * 100_000 + b"]" * 100_000), "malformed"),
    Bad("B03", "20,000 nested objects", body(b'{"a":' * 20_000 + b"1" + b"}" * 20_000), "malformed"),
    Bad("B04", "300 kB", body(b'{"a": "' + b"x" * 300_000 + b'"}'), "too_large"),
    Bad("B04", "a renewal of 300 kB", data(more="x" * 300_000), "too_large"),
    Bad("B06", "invalid UTF-8", body(b'{"specversion": "\xff"}'), "malformed"),
    Bad("B06", "UTF-8 of a lone surrogate", body(b'{"id": "\xed\xa0\x80"}'), "malformed"),
    Bad("B07", "UTF-16", encoded("utf-16"), "malformed"),
    Bad("B07", "UTF-32 without a mark", encoded("utf-32-le"), "malformed"),
    Bad("B08", "byte order mark in front", encoded("utf-8-sig"), "malformed"),
    Bad(
        "B09",
        "`certificate` twice",
        text(lambda told: told.replace('"certificate": "shop"', '"certificate": "other", "certificate": "shop"')),
        "malformed",
    ),
    Bad("B09", "`id` twice", text(lambda told: told.replace('"id": ', '"id": "a", "id": ')), "malformed"),
    Bad(
        "B09",
        "a name twice, once escaped",
        text(lambda told: told.replace('"certificate": ', '"certific\\u0061te": "other", "certificate": ')),
        "malformed",
    ),
    Bad("B10", "unknown field of the data", data(endpoint="https://evil.example.com"), "malformed"),
    Bad("B10", "unknown field of the material", data(material={**HELD, "chain_pem": "x"}), "malformed"),
    Bad("B10", "an attribute that CloudEvents do not allow", event(Endpoint="x"), "malformed"),
    Bad("B11", "version 2", event(dataschema="urn:cert-rotation-worker:renewal:2"), "unsupported_version"),
    Bad("B11", "CloudEvents 0.3", event(specversion="0.3"), "malformed"),
    Bad("B12", "text for a boolean", data(allow_shorter_validity="true"), "malformed"),
    Bad("B12", "a number for a boolean", data(allow_shorter_validity=1), "malformed"),
    Bad("B12", "a number for a text", event(id=7), "malformed"),
    Bad("B12", "text for a number", data(material={"kind": "vault", "path": "p", "version": "3"}), "malformed"),
    Bad("B12", "3.0 for 3", data(material={"kind": "vault", "path": "p", "version": 3.0}), "malformed"),
    Bad("B12", "NaN", event(number=float("nan")), "malformed"),
    Bad("B12", "Infinity", event(number=float("inf")), "malformed"),
    Bad("B13", "a whole number of 5,000 digits", body(b'{"number": ' + b"9" * 5000 + b"}"), "malformed"),
    Bad("B14", "a lone surrogate by its escape", event(id="\ud800"), "malformed"),
    Bad("B14", "a lone surrogate in what is not read", event(more="\udfff"), "malformed"),
    Bad("B15", "NUL in the certificate's name", data(certificate="shop\0"), "malformed"),
    Bad("B15", "line end behind the certificate's name", data(certificate="shop\n"), "malformed"),
    Bad("B15", "NUL in the id", event(id="a\0b"), "malformed"),
    Bad("B16", "nobody's: no user named", sent(user_id=None), "unauthorized_producer"),
    Bad("B17", "a user that may renew other certificates", sent(user_id="somebody"), "unauthorized_producer"),
    Bad(
        "B17",
        "a certificate that others may renew",
        lambda stage: stage.sealed(stage.issue(["other.example.com"]), "other"),
        "unauthorized_producer",
    ),
    Bad("B18", "another tenant's, routed here", sent(user_id="tenant-2"), "unauthorized_producer"),
    Bad("B28", "unknown certificate", data(certificate="nobody"), "unknown_certificate"),
    Bad("B28", "a certificate's name in another case", data(certificate="Shop"), "unknown_certificate"),
    Bad("B29", "`../../x` as a certificate", data(certificate="../../x"), "malformed"),
    Bad("B29", "`a/b` as a certificate", data(certificate="a/b"), "malformed"),
    Bad("B29", "10 kB as a certificate", data(certificate="x" * 10_000), "malformed"),
    Bad("B29", "an emoji as a certificate", data(certificate="\U0001f512"), "malformed"),
    Bad("B29", "escapes of a terminal as a certificate", data(certificate="\x1b[31mshop\x1b[0m"), "malformed"),
    Bad("B29", "lines of a log as an id", event(id='a\n{"event": "rotation.finished"}'), "malformed"),
    Bad("B29", "another subject than the certificate", event(subject="other"), "malformed"),
    Bad("B30", "a pickle", pickled, "malformed", is_withheld=True),
    Bad("B30", "YAML", sent(content_type="text/yaml"), "malformed"),
    Bad("B30", "no content type", sent(content_type=""), "malformed"),
    Bad(
        "B33",
        "gzip",
        lambda stage: replace(
            stage.sealed(stage.issue()), body=gzip.compress(stage.good.body), content_encoding="gzip"
        ),
        "malformed",
        is_withheld=True,
    ),
    Bad("B33", "said to be gzip", sent(content_encoding="gzip"), "malformed"),
    Bad("B33", "gzip that is not said to be", body(gzip.compress(b"{}" * 100_000)), "malformed"),
)
