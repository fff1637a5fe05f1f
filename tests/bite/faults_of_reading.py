"""Faults of what happens when the settings are read again, of what each delivery ends with, and of traces."""

from typing import Final

from tests.bite.fault import Fault

_KEEPS: Final = (
    "worker/test_generations.py"
    "::test_a_gateway_stays_as_far_as_it_can_and_its_limits_as_long_as_the_account_is_the_same"
)
_ACCOUNTS: Final = "worker/test_accounts.py::"

OF_READING: Final = (
    Fault(
        "a URL of the environment is passed over where the settings have a file with one",
        "settings/overrides.py",
        'tree.get("broker", {}).pop(_URL_FILE[-1], None)',
        'tree.get("broker", {}).get(_URL_FILE[-1], None)',
        "settings/test_overrides.py::test_a_url_takes_the_place_of_the_files_url_file",
    ),
    Fault(
        "limits that are set otherwise do not hold",
        "generations.py",
        "        generation.keep_to_its_limits()\n",
        "",
        "worker/test_generations.py::test_limits_change_when_it_is_turned_to_and_not_before",
    ),
    Fault(
        "every reading forgets what the cloud has told",
        "limits/limits.py",
        "elif places.window.calls == before or window.calls < places.window.calls:",
        "else:",
        "limits/test_changed.py::test_what_the_cloud_has_told_still_holds",
    ),
    Fault(
        "an account by another name has limits of its own",
        "accounts.py",
        "for same_name in (True, False):",
        "for same_name in (True,):",
        f"{_KEEPS}[its name]",
    ),
    Fault(
        "another account has the limits of whoever had its name",
        "accounts.py",
        "one.account == account and (one.name == name or not same_name)",
        "one.name == name or (one.account == account and not same_name)",
        f"{_ACCOUNTS}test_an_account_is_never_asked_more_often_than_it_allows_whoever_asks_it_now[names are swapped]",
    ),
    Fault(
        "limits are forgotten with the settings that had them",
        "accounts.py",
        "limits), *self._without(limits))",
        "limits),)",
        f"{_ACCOUNTS}test_an_account_is_never_asked_more_often_than_it_allows_whoever_asks_it_now[out and in again]",
    ),
    Fault(
        "an endpoint with its port is another account",
        "accounts.py",
        "parts.port or _PORTS.get(parts.scheme)",
        "parts.port",
        f"{_ACCOUNTS}test_an_account_is_never_asked_more_often_than_it_allows_whoever_asks_it_now[its port]",
    ),
    Fault(
        "limits that nobody uses are kept for ever",
        "generations.py",
        "        self._leave_accounts(old)\n",
        "",
        f"{_ACCOUNTS}test_limits_are_kept_while_something_of_them_may_count[over an hour]",
    ),
    Fault(
        "limits that are used again are forgotten nevertheless",
        "accounts.py",
        "        if (leaving := self._leaving.pop(limits, None)) is not None:\n            leaving.cancel()\n",
        "",
        f"{_ACCOUNTS}test_limits_that_are_used_again_are_not_forgotten_later",
    ),
    Fault(
        "every reading opens all gateways anew",
        "generations.py",
        "known.rest == rest and _but_limits",
        "known.rest != rest and _but_limits",
        f"{_KEEPS}[its limits]",
    ),
    Fault(
        "what a rotation still uses is closed",
        "generations.py",
        "        await old.unused()\n",
        "",
        "worker/test_generations.py::test_what_is_used_no_more_is_closed_with_the_last_rotation_that_began_with_it",
    ),
    Fault(
        "a gateway that is still used is measured no more",
        "app.py",
        "(one.rotator for one in generations.all)",
        "[generations.today.rotator]",
        "reliability/test_process_reload.py::test_what_is_in_hand_ends_by_the_settings_that_it_began_with",
    ),
    Fault(
        "a smaller window forgets what was sent",
        "limits/limits.py",
        "            places.keep_to(window, 0)\n",
        "            self._places[self._places.index(places)] = Places(window, 0)\n",
        "limits/test_changed.py::test_a_smaller_window_holds_at_once_with_what_was_sent_before",
    ),
    Fault(
        "what was made at the start is said to hold at once",
        "settings/changes.py",
        "if name in LIVE}",
        "if name}",
        "settings/test_changes.py"
        "::test_what_was_made_at_the_start_waits_for_a_restart_and_the_rest_does_not_wait_for_it",
    ),
    Fault(
        "what goes back unsettled ends without a word",
        "consumer.py",
        "            task.add_done_callback(ending.over)\n",
        "",
        "worker/test_endings.py::test_every_ending_is_told_once[the broker is lost before it has begun]",
    ),
    Fault(
        "an event tells the producer's span for its own",
        "settlement.py",
        "current_span().traceparent or delivery.message.traceparent",
        "delivery.message.traceparent",
        "tracing/test_traces.py::test_each_call_is_a_span_of_the_rotation_which_goes_on_in_the_producers_trace",
    ),
    Fault(
        "a terminal is steered by what is logged",
        "telemetry.py",
        "return value if is_safe else",
        "return value if is_safe or value else",
        "worker/test_log_forms.py::test_a_terminal_is_not_steered_by_what_others_have_named",
    ),
)
