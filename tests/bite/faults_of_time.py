"""Faults of when a renewal may run: windows, spread, and what waits for neither."""

from typing import Final

from tests.bite.fault import Fault

OF_TIME: Final = (
    Fault(
        "a window that clocks jump into opens too late",
        "core/window.py",
        "    return _jump(shown.replace(tzinfo=zone, fold=1).astimezone(UTC), at, zone)\n",
        "    return at\n",
        "core/test_window.py::test_a_window_goes_by_what_the_clocks_of_its_zone_show",
    ),
    Fault(
        "a spread goes past the end of the window",
        "core/schedule.py",
        "min(self.spread, interval.closes - begins - self.lateness)",
        "self.spread",
        "core/test_schedule.py::test_a_wait_ends_within_the_spread_and_within_a_window",
    ),
    Fault(
        "what waits counts as an attempt",
        "settlement.py",
        "delivery.park(seconds, attempt=message.attempt, opened_at=first)",
        "delivery.park(seconds, attempt=message.attempt + 1, opened_at=first)",
        "worker/test_postponing.py::test_a_renewal_after_hours_waits_for_the_window_and_no_attempt_is_burnt",
    ),
    Fault(
        "a gateway that is down ends what waits",
        "postponing.py",
        "            if wait is None:\n                raise\n",
        "            if wait is None or wait:\n                raise\n",
        "worker/test_postponing.py::test_a_gateway_that_is_away_while_the_window_is_closed_ends_no_renewal",
    ),
    Fault(
        "a signature grows stale while a window is closed",
        "trust/opening.py",
        "        at = message.opened_at or now\n",
        "        at = now\n",
        "worker/test_postponing.py::test_a_signed_renewal_is_not_refused_for_having_waited",
    ),
    Fault(
        "whoever says when a renewal was opened is believed",
        "broker/copies.py",
        "opened_at=_moment(ours.get(_OPENED_AT))",
        "opened_at=_moment(incoming.headers.get(_OPENED_AT))",
        "broker/test_copies.py::test_when_a_renewal_was_opened_is_believed_of_the_worker_only",
    ),
    Fault(
        "a newer certificate is not seen before the window opens",
        "attempt.py",
        "        self._postponed.forget(renewal.certificate)\n",
        "",
        "worker/test_postponing.py::test_an_older_renewal_that_waits_is_superseded_when_it_wakes_after_a_newer_one",
    ),
)
