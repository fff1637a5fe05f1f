"""Faults of keeping the clouds' limits, and of sharing what they allow."""

from typing import Final

from tests.bite.fault import Fault

OF_LIMITS: Final = (
    Fault(
        "a window counts from the beginning of a call",
        "limits/limits.py",
        "            places.ended(now)\n",
        "            places.ended(began)\n",
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
        "        places.remember(ended_at, self._sent - len(ended_at), known_since)\n",
        "",
        "limits/test_learning.py::test_what_was_sent_before_a_window_was_told_counts_in_it",
    ),
    Fault(
        "one late answer is as good as many",
        "limits/concurrency.py",
        "min(latency, _MOST_OF_ONE * self.slow)",
        "latency",
        "limits/test_concurrency.py::test_one_slow_answer_means_nothing",
    ),
    Fault(
        "what is in time again is slow for what came before",
        "limits/concurrency.py",
        "min(latency, known.recent) > known.slow",
        "known.recent > known.slow",
        "limits/test_concurrency.py::test_answers_that_come_in_time_again_are_none_of_the_slow_ones",
    ),
    Fault(
        "a hold that is over already wins over one that is not",
        "gateways/throttling.py",
        "max((asked for asked in told if asked is not None), default=0.0)",
        "next((asked for asked in told if asked is not None), 0.0)",
        "gateways/test_huawei_dialect.py::test_the_wait_is_read_from_headers_and_text",
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
        "and self._allowance.has_room(now, self._under_way)",
        "",
        "limits/test_learning.py::test_nothing_is_sent_while_the_cloud_says_that_nothing_is_left",
    ),
)
