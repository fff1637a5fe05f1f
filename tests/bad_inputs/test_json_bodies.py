"""JSON at its edges, as a whole message and within one: taken or refused as RFC 8259 has it, and more strictly."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.bad_inputs.stage import event_of
from worker.core.errors import RefusedError
from worker.core.message import identify, parse
from worker.gateways.bodies import parsed
from worker.gateways.exchange import AmbiguousError

EVENT: Final[Mapping[str, Any]] = event_of({"certificate": "shop", "material": {"kind": "held"}}, "r1")
TAKEN: Final = {
    "zero": b"0",
    "minus zero": b"-0",
    "a fraction": b"1.5",
    "minus and fraction": b"-0.1",
    "an exponent": b"1e5",
    "a capital exponent": b"1E5",
    "exponent with plus": b"1e+5",
    "exponent with minus": b"1e-5",
    "too small a number": b"1e-999",
    "64 bits": b"9223372036854775807",
    "nineteen digits": b"-999999999999999999",
    "empty text": b'""',
    "a text": b'"a"',
    "all short escapes": rb'"\"\\\/\b\f\n\r\t"',
    "an escaped letter": rb'"\u0061"',
    "an escaped NUL": rb'"\u0000"',
    "a pair of surrogates": rb'"\ud83d\udd12"',
    "a pair in capitals": rb'"\uD83D\uDD12"',
    "an escaped byte order mark": rb'"\ufeff"',
    "an escaped last character": rb'"\uffff"',
    "UTF-8 of two bytes": '"\u00e9"'.encode(),
    "UTF-8 of three bytes": '"\u20ac"'.encode(),
    "UTF-8 of four bytes": '"\U0001f512"'.encode(),
    "the last character there is": '"\U0010ffff"'.encode(),
    "a line separator": '"\u2028"'.encode(),
    "delete": b'"\x7f"',
    "a text of 1,000": b'"' + b"x" * 1000 + b'"',
    "true": b"true",
    "false": b"false",
    "null": b"null",
    "empty array": b"[]",
    "empty object": b"{}",
    "array of arrays": b"[[]]",
    "mixed array": b'[1, "a", null, {}]',
    "blanks": b" \t\r\n[ \t\r\n1 \t\r\n] \t\r\n",
    "an empty name": b'{"": 1}',
    "an escaped name": rb'{"\u0061": 1}',
    "names that differ in case": b'{"a": 1, "A": 2}',
    "ten levels": b"[" * 10 + b"]" * 10,
    "many values": b"[" + b"1," * 5000 + b"1]",
}
REFUSED: Final = {
    "nothing": b"",
    "a comment": b"/* */ 1",
    "a comment behind it": b"1 // one",
    "a comma behind the last": b"[1,]",
    "a comma in front": b"[,1]",
    "only a comma": b"[,]",
    "two commas": b"[1,,2]",
    "no comma": b"[1 2]",
    "a colon for a comma": b'["a": 1]',
    "no end of an array": b"[1",
    "no end of an object": b'{"a": 1',
    "no end of a text": b'"a',
    "one end too many": b"[1]]",
    "two values": b"1 2",
    "two objects": b"{}{}",
    "other ends": b"[1}",
    "a comma behind the last name": b'{"a": 1,}',
    "no colon": b'{"a" 1}',
    "no value": b'{"a":}',
    "no name": b"{:1}",
    "a name without quotes": b"{a: 1}",
    "a number for a name": b"{1: 1}",
    "single quotes": b"'a'",
    "quotes of print": '"a\u201d'.encode(),
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice with the same value": b'{"a": 1, "a": 1}',
    "a name twice, once escaped": rb'{"a": 1, "\u0061": 2}',
    "a name twice far inside": b'[{"b": {"a": 1, "a": 2}}]',
    "NaN": b"NaN",
    "nan": b"nan",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "a plus": b"+1",
    "a zero in front": b"01",
    "minus and a zero in front": b"-01",
    "nothing before the point": b".5",
    "nothing behind the point": b"5.",
    "nothing behind the exponent": b"1e",
    "an exponent of nothing but a sign": b"1e+",
    "only a minus": b"-",
    "two minuses": b"--1",
    "hexadecimal": b"0x1f",
    "digits apart": b"1_000",
    "a blank in a number": b"1 000",
    "digits of another script": "\u0661".encode(),
    "twenty digits": b"99999999999999999999",
    "5,000 digits": b"9" * 5000,
    "True": b"True",
    "TRUE": b"TRUE",
    "None": b"None",
    "half a word": b"tru",
    "too much of a word": b"nulll",
    "undefined": b"undefined",
    "an escape that there is not": rb'"\x61"',
    "an escaped single quote": rb'"\'"',
    "an escape cut short": rb'"\u006"',
    "an escape of no digits": rb'"\u00g1"',
    "an escape of five digits and a brace": rb'"\u{61}"',
    "only a backslash": b'"\\',
    "a lone high surrogate": rb'"\ud800"',
    "a lone low surrogate": rb'"\udc00"',
    "surrogates the wrong way round": rb'"\udd12\ud83d"',
    "two high surrogates": rb'"\ud83d\ud83d"',
    "a high surrogate and a letter": rb'"\ud83da"',
    "a lone surrogate for a name": rb'{"\ud800": 1}',
    "a line end in a text": b'"a\nb"',
    "a tab in a text": b'"a\tb"',
    "NUL in a text": b'"a\0b"',
    "NUL behind it": b"1\0",
    "an escape character in a text": b'"\x1b[31m"',
    "a form feed for a blank": b"\x0c1",
    "a blank that does not break": "\u00a01".encode(),
    "a byte order mark": b"\xef\xbb\xbf1",
    "a byte order mark of UTF-16": b"\xff\xfe1\0",
    "UTF-16": '"a"'.encode("utf-16-be"),
    "UTF-32": '"a"'.encode("utf-32-be"),
    "Latin-1": '"\u00e9"'.encode("latin-1"),
    "a lone continuation": b'"\x80"',
    "UTF-8 cut short": b'"\xe2\x82"',
    "UTF-8 longer than it must be": b'"\xc0\xaf"',
    "NUL in two bytes": b'"\xc0\x80"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "beyond the last character": b'"\xf4\x90\x80\x80"',
    "UTF-8 of five bytes": b'"\xf8\x88\x80\x80\x80"',
    "only 0xff": b"\xff",
    "100 levels": b"[" * 100 + b"]" * 100,
    "100,000 levels": b"[" * 100_000,
    "100 objects": b'{"a":' * 100 + b"1" + b"}" * 100,
    "XML": b"<a/>",
    "YAML": b"a: 1",
    "a form": b"a=1&b=2",
}
# Of what a cloud answers more is believed: nothing of it is told or sent on, and only what is used is looked at.
ANSWERED: Final = {
    "a name twice with the same value": False,
    "NaN": True,
    "Infinity": True,
    "minus Infinity": True,
    "twenty digits": True,
    "a lone high surrogate": True,
    "a lone low surrogate": True,
    "surrogates the wrong way round": True,
    "two high surrogates": True,
    "a high surrogate and a letter": True,
    "a lone surrogate for a name": True,
    "100 levels": True,
    "100 objects": True,
    "nothing": True,
}


def within(value: bytes) -> bytes:
    """A renewal with an attribute that is not read."""
    return json.dumps(EVENT).encode()[:-1] + b', "more": ' + value + b"}"


def test_there_are_enough_of_them() -> None:
    assert len(TAKEN) + len(REFUSED) > 120


@pytest.mark.parametrize("value", TAKEN.values(), ids=TAKEN)
def test_a_renewal_may_hold_any_sound_json_in_what_is_not_read(value: bytes) -> None:
    assert parse(within(value)).id == "r1"
    assert identify(within(value)) == ("shop", "r1")


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_a_renewal_that_holds_anything_else_is_refused_as_a_whole(value: bytes) -> None:
    with pytest.raises(RefusedError) as told:
        parse(within(value))
    assert (told.value.reason, identify(within(value))) == ("malformed", (None, None))


@pytest.mark.parametrize("value", [*TAKEN.values(), *REFUSED.values()], ids=[*TAKEN, *REFUSED])
def test_none_of_them_alone_is_a_renewal(value: bytes) -> None:
    with pytest.raises(RefusedError) as told:
        parse(value)
    assert (told.value.reason, told.value.__cause__) == ("malformed", None)


@pytest.mark.parametrize("name", [*TAKEN, *REFUSED])
def test_an_answer_of_a_cloud_is_read_or_leaves_its_effect_in_doubt(name: str) -> None:
    value = TAKEN.get(name, REFUSED.get(name, b""))
    if ANSWERED.get(name, name in TAKEN):
        parsed(value, 200)
    else:
        with pytest.raises(AmbiguousError):
            parsed(value, 200)
