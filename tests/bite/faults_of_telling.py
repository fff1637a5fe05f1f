"""Faults of what operators are told while it lasts: holds, estimates, parking."""

from typing import Final

from tests.bite.fault import Fault

_PLAN: Final = "commands/test_plan_remembers.py::"
_READING: Final = "rotation/test_forecast_of_reading.py::"
_BURSTS: Final = "rotation/test_forecast_of_bursts.py::"
OF_TELLING: Final = (
    Fault(
        "a deaf worker is kept alive by its watchdog",
        "notifying.py",
        "if idle < PATIENCE:",
        "if idle >= 0:",
        "worker/test_notifying.py::test_a_deaf_worker_is_given_up_after_it_had_time_to_notice_itself",
    ),
    Fault(
        "a worker is killed because its broker is away",
        "notifying.py",
        "return now.tries > before.tries",
        "return False",
        "worker/test_notifying.py::test_a_worker_whose_broker_is_away_is_up_after_some_time_and_is_not_killed_for_it",
    ),
    Fault(
        "a worker with all hands full is taken for deaf",
        "notifying.py",
        "state.ready > 0 and state.room > 0",
        "state.ready > 0",
        "worker/test_notifying.py::test_a_worker_makes_progress_unless_it_leaves_what_it_could_take_or_tries_no_more",
    ),
    Fault(
        "an older end takes the place of a newer one after a restart",
        "telemetry.py",
        "if known is None or at >= known:",
        "if at:",
        "worker/test_remembering.py::test_what_was_told_before_takes_no_later_ones_place",
    ),
    Fault(
        "a held gateway is named nowhere",
        "web/server.py",
        "if gateway.held_for > 0}",
        "if gateway.held_for < 0}",
        "worker/test_health.py::test_a_gateway_that_is_held_is_named_with_the_seconds_that_are_left_and_is_no_reason",
    ),
    Fault(
        "what is parked for a held gateway is forgotten by the estimate",
        "rotation.py",
        "        self.forecast.put_off({name: self.gateways[name].account for name in later})\n",
        "",
        "worker/test_outage.py"
        "::test_a_gateway_that_wants_to_be_left_alone_is_seen_to_be_held_and_what_is_parked_for_it_to_wait_for_that",
    ),
    Fault(
        "what is all attached takes no time any more, as far as estimates know",
        "forecast.py",
        "        return max(closing - (self.effort.calls - self._sent), min(closing, self.at_least))\n",
        "        return 0\n",
        "rotation/test_forecast_of_reading.py::test_once_all_is_attached_the_estimate_is_what_reading_back_waits_for",
    ),
    Fault(
        "nobody is told how long it takes while a learned limit holds",
        "effort.py",
        'return self.reason == "throttled"',
        "return False",
        "fleet/test_progress.py"
        "::test_what_is_throttled_is_estimated_for_the_limits_know_how_long_and_nothing_else_that_is_refused_is",
    ),
    Fault(
        "a rotation is estimated though one of its gateways is away",
        "fleet/values.py",
        "        if any(one.refusal is not None and not one.refusal.is_throttling for one in self.steps):\n",
        "        if False:\n",
        "fleet/test_progress.py"
        "::test_what_is_throttled_is_estimated_for_the_limits_know_how_long_and_nothing_else_that_is_refused_is",
    ),
    Fault(
        "an estimate counts on who has ended",
        "forecast.py",
        "others -= by_calls.popleft() > eldest",
        "by_calls.popleft()",
        "rotation/test_forecast.py::test_what_all_send_until_one_has_ended_is_what_turns_one_after_the_other_come_to",
    ),
    Fault(
        "an account is asked once more for each that is under way",
        "forecast.py",
        "{id(one.account): one.account for one in works}",
        "{id(one): one.account for one in works}",
        "rotation/test_forecast.py::test_of_all_that_is_under_way_an_account_is_asked_once",
    ),
    Fault(
        "sixteen estimates are made in one step",
        "fleet/progress.py",
        "if number <= _ESTIMATED or number % _AT_ONCE == 0:",
        "if number % _AT_ONCE == 0:",
        "fleet/test_progress.py"
        "::test_of_very_many_only_the_oldest_are_estimated_each_in_a_step_of_its_own_for_it_asks_all_the_others",
    ),
    Fault(
        "what goes back from its own place is seen by nobody",
        "going_back.py",
        "with self.under_way(way_back.of_material(done, done.stored, is_written=_is_back(todo))):",
        "with nullcontext():",
        "rotation/test_under_way_back.py::test_what_is_put_back_in_its_own_place_is_under_way_until_it_is_read_back",
    ),
    Fault(
        "what goes back is counted once it is over",
        "going_back.py",
        "return await attached(gateway, self.settling.deployment, old, bindings, None, self._answered)",
        "return await attached(gateway, self.settling.deployment, old, bindings, None)",
        "rotation/test_under_way_back.py::test_what_moved_in_waves_counts_down_while_it_goes_back",
    ),
    Fault(
        "what was still to move is waited for while the rest goes back",
        "under_way.py",
        "        self._ends.close()\n",
        "",
        "rotation/test_under_way_back.py::test_what_was_still_to_move_is_not_waited_for_while_the_first_goes_back",
    ),
    Fault(
        "what goes back looks as if it were verified",
        "fleet/progress.py",
        "if work.goes_back:",
        "if not work.bindings and work.goes_back:",
        "fleet/test_progress.py::test_a_rotation_is_shown_step_by_step",
    ),
    Fault(
        "all that began together is told of in one step",
        "reminding.py",
        "reminder.set(reminder.later)",
        "reminder.set()",
        "rotation/test_reminding.py::test_those_that_began_together_are_not_told_all_in_one_step",
    ),
    Fault(
        "what waits to read before there is a plan is in no estimate",
        "rotation.py",
        "with self.forecast.reading(self.gateways, certificate.deployments):",
        "with self.forecast.reading(self.gateways, ()):",
        f"{_READING}test_a_rotation_that_is_not_planned_yet_is_under_way_with_all_that_is_to_come",
    ),
    Fault(
        "of a rotation that has no plan yet its next call is all that is known",
        "forecast.py",
        "reads + to_come, 0, 0, beside, effort=current_effort(), at_least=to_come)",
        "1, 0, 0, beside, effort=current_effort())",
        f"{_BURSTS}test_a_burst_is_estimated_from_its_first_second_on",
    ),
    Fault(
        "a burst of short rotations is estimated as if they were a long one",
        "limits/limits.py",
        "min(calls, longest or calls) >= SHORT_JOB",
        "calls >= SHORT_JOB",
        f"{_BURSTS}test_a_burst_is_estimated_from_its_first_second_on",
    ),
    Fault(
        "how much was attached last time is forgotten",
        "forecast.py",
        "presumed(deployment, self._attached.get(deployment.key, 1))",
        "presumed(deployment)",
        f"{_READING}test_of_what_is_attached_there_is_as_much_as_last_time",
    ),
    Fault(
        "what other deployments read is taken for what is still to come of this one",
        "forecast.py",
        "effort=current_effort(), at_least=to_come)",
        "effort=current_effort())",
        f"{_READING}test_each_deployment_counts_until_all_are_read",
    ),
    Fault(
        "a long rotation is told of once, and never again",
        "reminding.py",
        "        self.set()\n        _log.info",
        "        _log.info",
        "rotation/test_reminding.py::test_a_rotation_tells_every_minute_how_long_it_still_takes_and_whose_it_is",
    ),
    Fault(
        "the log tells what was asked as if it were parked for so long",
        "settlement.py",
        "step = step_for(delay, self.retry.parking)",
        "step = delay",
        "worker/test_settlement.py::test_the_log_tells_for_how_long_it_is_parked_and_apart_from_that_what_was_asked",
    ),
    Fault(
        "a plan does not know what was put there since",
        "commands/plan.py",
        "        if objection is not None:\n",
        "        if objection == name:\n",
        f"{_PLAN}test_what_was_put_there_since_supersedes_it_before_any_gateway_is_asked",
    ),
    Fault(
        "a plan does not know what is to go back",
        "commands/plan.py",
        "rotator.recall(bundle.leaf, known.notes)",
        "rotator.recall(bundle.leaf, {})",
        f"{_PLAN}test_what_a_worker_has_found_bad_goes_back",
    ),
    Fault(
        "a plan does not say that it knows of no history",
        "commands/plan.py",
        '"history_unread": known.unread',
        '"history_unread": None',
        f"{_PLAN}test_where_the_history_cannot_be_read_that_is_told_with_what_is_planned",
    ),
)
