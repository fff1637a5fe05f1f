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
    Fault(
        "in a second life an id is told that the first one has withheld",
        "settlement.py",
        "        if told.withholds_id:\n            identity = identity.unnamed()\n",
        "",
        f"{_QUOTED}test_neither_is_it_told_in_the_second_life_where_another_key_stands_in_the_open_beside_it",
    ),
)
