"""Faults of what is told of ids, and known by them where they are not told."""

from typing import Final

from tests.bite.fault import Fault

_QUOTED: Final = "worker/test_quoted_key.py::"

OF_IDS: Final = (
    Fault(
        "a trace tells an id that may be another key",
        "attempt.py",
        "current_span().named(identity.renewal_id)",
        "current_span().named(renewal.id)",
        f"{_QUOTED}test_a_trace_does_not_tell_an_id_that_may_be_another_key_though_it_was_compared",
    ),
)
