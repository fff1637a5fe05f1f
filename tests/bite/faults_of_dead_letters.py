"""Faults of those who read what was given up."""

from typing import Final

from tests.bite.fault import Fault

OF_DEAD_LETTERS: Final = (
    Fault(
        "dead letters that another one reads are not waited for",
        "broker/letters.py",
        "            if not readers:\n",
        "            if readers >= 0:\n",
        "broker/test_contract_dead.py::test_dead_letters_have_one_reader_at_a_time_and_are_counted_meanwhile",
    ),
    Fault(
        "while the dead letters are read there are none",
        "broker/rabbitmq.py",
        "max(dead, self._counted.dead) if readers else dead",
        "dead",
        "broker/test_contract_dead.py::test_dead_letters_have_one_reader_at_a_time_and_are_counted_meanwhile",
    ),
    Fault(
        "a look at the dead letters has no end",
        "broker/letters.py",
        "if len(notes) == _MOST_NOTES:",
        "if False:",
        "broker/test_contract_dead.py::test_of_very_many_some_are_judged_at_a_time_and_all_in_the_end",
    ),
    Fault(
        "the worker reads all the dead letters for each that it has buried itself",
        "shielding.py",
        "others = state.dead - state.buried",
        "others = state.dead",
        "worker/test_shielding.py::"
        "test_the_active_worker_looks_at_the_dead_whenever_there_are_others_and_now_and_then_anyway",
    ),
    Fault(
        "a note says when it was written",
        "broker/copies.py",
        "keep_body=False, since=dead.since)",
        "keep_body=False)",
        "broker/test_contract_dead.py::test_a_note_says_when_it_was_given_up_what_it_stands_for",
    ),
    Fault(
        "what was gone before it could be put back is not told",
        "commands/dead.py",
        "lost = [one.id for one in kept if one.id not in set(replayed)]",
        "lost: list[str] = []",
        "commands/test_dead.py::test_what_was_gone_before_it_could_be_put_back_or_dropped_is_told",
    ),
)
