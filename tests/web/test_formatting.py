"""Numbers, times and names as people read them."""

from datetime import timedelta

import pytest

from tests.support.fleets import NOW
from worker.web.formatting import ago, counted, duration, hexadecimal, moment, remaining, short_serial


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (4.21, "4.2 s"),
        (42.9, "43 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7199.0, "119 min"),
        (7200.0, "2 h"),
        (172_800.0, "2 days"),
        (86_400.0 * 1234, "1,234 days"),
        (-3.0, "0 s"),
    ],
)
def test_a_duration_is_as_exact_as_anybody_wants_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_time_is_told_from_now_on_in_both_directions() -> None:
    assert ago(NOW - timedelta(seconds=180), NOW) == "3 min ago"
    assert ago(NOW + timedelta(seconds=95.7), NOW) == "in 95 s"
    assert ago(NOW - timedelta(seconds=1), NOW) == "now"
    assert moment(NOW) == "2026-11-20 10:00:00 UTC"


def test_what_is_left_of_a_certificate_is_told_and_since_when_there_is_nothing() -> None:
    assert remaining(64.4) == "64 days left"
    assert remaining(0.5) == "12 h left"
    assert remaining(-3.2) == "expired 3 days ago"


@pytest.mark.parametrize(
    ("serial", "shown", "short"),
    [
        ("4660", "1234", "1234"),
        ("255", "FF", "FF"),
        ("256", "0100", "0100"),
        (str(0x03AB << 144 | 0xC0FFEE), "03AB" + "0" * 30 + "C0FFEE", "03AB00…C0FFEE"),
        ("ab:cd", "ab:cd", "ab:cd"),
        ("٣", "٣", "٣"),
        ("9" * 5000, "9" * 5000, "999999…999999"),
        ("", "", ""),
    ],
)
def test_a_serial_number_is_shown_as_openssl_shows_it_and_anything_else_as_it_is(
    serial: str, shown: str, short: str
) -> None:
    assert (hexadecimal(serial), short_serial(serial)) == (shown, short)


def test_one_is_not_many() -> None:
    assert (counted(0, "call"), counted(1, "call"), counted(2500, "call")) == ("0 calls", "1 call", "2,500 calls")
