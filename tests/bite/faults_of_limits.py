"""Faults of keeping the clouds' limits, and of sharing what they allow."""

from typing import Final

from tests.bite.fault import Fault

OF_LIMITS: Final = (
    Fault(
        "a window counts from the beginning of a call",
        "limits/limits.py",
        "            places.ended(now)\n",
        "            places.ended(turn.began)\n",
        "limits/test_limits.py::test_no_sliding_window_at_the_far_end_ever_holds_more_than_its_calls",
    ),
    Fault(
        "a later hold shortens an earlier one",
        "limits/limits.py",
        "self._held_until = max(self._held_until, _now() + seconds)",
        "self._held_until = _now() + seconds",
        "limits/test_limits.py::test_a_hold_only_ever_extends",
    ),
    Fault(
        "a stream of short jobs lets no long one pass",
        "limits/queue.py",
        "line is None or self._short_turns - line.since <= self._efforts_waiting",
        "line is None or self._short_turns >= 0",
        "limits/test_fairness.py::test_a_long_job_has_its_share_while_short_ones_keep_coming",
    ),
    Fault(
        "the eldest has two turns in a row",
        "limits/queue.py",
        "self._is_eldests_turn, self._last = not self._is_eldests_turn, effort",
        "self._is_eldests_turn = not self._is_eldests_turn",
        "limits/test_fairness.py::test_that_holds_however_few_calls_may_be_under_way_and_however_long_they_take",
    ),
    Fault(
        "a long job uses up a slow window at once",
        "limits/windows.py",
        "free > 0 and now >= self._due_at - self.ahead * free",
        "free > 0",
        "limits/test_fairness.py::test_small_rotations_behind_a_large_one_find_places_all_through_the_hour",
    ),
    Fault(
        "places come back evenly, as far as estimates know",
        "limits/outlook.py",
        "return self.free_at[back] if back < len(self.free_at) else self.now + self.seconds",
        "return self.now + (number - self._free) * self.seconds / self.places",
        "limits/test_outlook.py::test_a_job_is_told_how_long_it_takes_whatever_the_windows_hold_already",
    ),
    Fault(
        "a learned window begins empty",
        "limits/limits.py",
        "        places.remember(ended_at, self._history.sent - len(ended_at), min([*ended_at[:1], since, now]))\n",
        "",
        "limits/test_learning.py::test_what_was_sent_before_a_window_was_told_counts_in_it",
    ),
    Fault(
        "one late answer is as good as many",
        "limits/concurrency.py",
        "in_order[_SAMPLE // 4], in_order[_SAMPLE // 2]",
        "in_order[-1], in_order[_SAMPLE // 2]",
        "limits/test_concurrency.py::test_latencies_that_only_vary_make_nothing_slower",
    ),
    Fault(
        "fewer calls at once stay fewer although that was of no use",
        "limits/concurrency.py",
        "median > _HELPS * trial.median",
        "median > 9 * trial.median",
        "limits/test_concurrency.py::test_a_cloud_that_has_become_slow_for_good_is_usual_after_a_while",
    ),
    Fault(
        "a hold that is over already wins over one that is not",
        "gateways/throttling.py",
        "max((asked for asked in told if asked is not None), default=0.0)",
        "next((asked for asked in told if asked is not None), 0.0)",
        "gateways/test_huawei_dialect.py::test_the_wait_is_read_from_headers_and_text",
    ),
    Fault(
        "what is found out of a silent cloud is forgotten at once",
        "gateways/restraint.py",
        "if is_first and not is_counted:",
        "if is_first and is_counted:",
        "gateways/test_guessing.py::test_a_cloud_that_tells_no_figure_is_found_out_with_a_handful_of_refusals",
    ),
    Fault(
        "a turn that is not used lets the next one come early",
        "limits/guess.py",
        "self.window is not None and began == self._turn_at:\n            self.due_at = self._due_before",
        "self.window is not None:\n            self.due_at -= self.window.interval",
        "limits/test_guess.py::test_a_turn_that_is_not_used_makes_those_behind_it_no_faster_than_the_pace",
    ),
    Fault(
        "what is bound already is halved on",
        "gateways/huawei_apig/attaching.py",
        "len(self.chunk) > 1 and may_be_there(self.error.reason) and self.reach.may_read",
        "False",
        "gateways/test_apig_attach_cost.py::test_what_a_gateway_applied_in_part_and_does_not_take_again_costs_one_list_more",
    ),
    Fault(
        "each look at what is bound is a list of its own",
        "gateways/huawei_apig/attaching.py",
        "await self._looked_into(in_doubt), []",
        "await self._looked_into(in_doubt[:1]), in_doubt[1:]",
        "gateways/test_apig_attach_cost.py::test_ten_thousand_domains_with_bad_ones_here_and_there_are_listed_once_more",
    ),
    Fault(
        "a lock is forgotten while somebody waits for it",
        "limits/locks.py",
        "if not self.users[self.key]:",
        "if self.users[self.key] >= 0:",
        "limits/test_limits.py::test_one_key_is_held_by_one_at_a_time_and_then_forgotten",
    ),
    Fault(
        "what the cloud says is left is passed over",
        "limits/limits.py",
        "self._allowance.has_room(now, self._under_way, is_long=is_long)",
        "True",
        "limits/test_learning.py::test_nothing_is_sent_while_the_cloud_says_that_nothing_is_left",
    ),
    Fault(
        "what a good answer says is left is not read",
        "gateways/restraint.py",
        "turn.left = told_left(headers, self.wall_clock())",
        "turn.left = None",
        "gateways/test_transport_repeats.py::test_a_good_answer_that_says_what_is_left_is_kept_to_until_its_window_ends",
    ),
    Fault(
        "a long job uses up what the cloud says is left",
        "limits/allowance.py",
        "max(self._due_at(free), now) if is_long else now",
        "now",
        "limits/test_allowance.py::test_a_small_rotation_behind_a_large_one_is_done_in_twice_its_own_time_and_a_second",
    ),
)
