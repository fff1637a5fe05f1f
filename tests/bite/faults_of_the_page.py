"""Faults of the status page: what strangers wrote, what to type, what comes first, and pages that stay open."""

from typing import Final

from tests.bite.fault import Fault

OF_THE_PAGE: Final = (
    Fault(
        "what strangers wrote becomes markup",
        "web/showing.py",
        "autoescape=True",
        "autoescape=False",
        "web/test_overview.py::test_what_strangers_wrote_is_text_and_nothing_else",
    ),
    Fault(
        "text that turns lines around is shown as it is",
        "web/showing.py",
        "        finalize=_visible,\n",
        "",
        "web/test_overview.py::test_text_that_would_turn_lines_around_or_is_no_text_is_shown_without_that",
    ),
    Fault(
        "a shell runs what an id says",
        "fleet/values.py",
        "{quote(dead_id)}",
        "{dead_id}",
        "web/test_certificate.py::test_what_to_type_puts_back_that_very_message_whatever_its_id",
    ),
    Fault(
        "an id that begins with a dash is an option",
        "fleet/values.py",
        "{'-- ' if",
        "{'' if",
        "web/test_certificate.py::test_what_to_type_puts_back_that_very_message_whatever_its_id",
    ),
    Fault(
        "an expired certificate that waits is only parked",
        "web/grading.py",
        'return "expiring" if level in ("urgent", "expired") else "parked"',
        'return "parked"',
        "web/test_grading.py::test_a_certificates_group_is_what_an_operator_wants_to_know_first",
    ),
    Fault(
        "the last page lacks a certificate",
        "web/grading.py",
        "ceil(len(found) / PAGE)",
        "len(found) // PAGE",
        "web/test_overview.py::test_all_certificates_are_listed_worst_first_each_once",
    ),
    Fault(
        "what failed is drawn as what succeeded",
        "web/plots.py",
        '(bucket.failed, "fill-bad")',
        '(bucket.failed, "fill-good")',
        "web/test_plots.py::test_each_stack_is_as_high_as_its_numbers_on_the_axis_and_never_higher_than_the_plot",
    ),
    Fault(
        "a page that is open keeps the worker from stopping",
        "web/page.py",
        "    app.on_shutdown.append(page.live.close)\n",
        "",
        "web/test_live.py::test_a_worker_that_stops_waits_for_nobodys_page",
    ),
    Fault(
        "readers without end",
        "web/live.py",
        "if task is None or len(self._readers) >= MOST_READERS:",
        "if task is None:",
        "web/test_live.py::test_more_readers_than_can_be_served_are_told_to_come_again",
    ),
    Fault(
        "readers that are gone are counted for ever",
        "web/live.py",
        "            self._readers.discard(task)\n",
        "            pass\n",
        "web/test_live.py::test_more_readers_than_can_be_served_are_told_to_come_again",
    ),
    Fault(
        "all parts are told each time",
        "web/live.py",
        "if before.parts.get(name) != html",
        "if html is not None",
        "web/test_live.py::test_nothing_is_told_where_nothing_has_changed",
    ),
    Fault(
        "what has changed keeps its old grade",
        "web/grading.py",
        "before[0] is standing and",
        "",
        "web/test_grading.py::test_what_has_not_changed_is_not_worked_out_again_and_time_that_passes_is",
    ),
)
