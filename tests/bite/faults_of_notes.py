"""Faults of what a worker leaves to the one that takes over."""

from typing import Final

from tests.bite.fault import Fault

_SWEPT: Final = (
    "reliability/test_crash_sweep.py::test_whatever_effect_a_worker_dies_at_the_next_one_keeps_every_promise"
)
_BACK: Final = (
    "reliability/test_crash_rolled_back.py::test_whatever_effect_of_it_a_worker_dies_at_everything_is_back_in_the_end"
)
_AT_ONCE: Final = "rotation/test_proven_at_once.py::"
_GOING_BACK: Final = "rotation/test_going_back.py::"

OF_NOTES: Final = (
    Fault(
        "no note is left before the change",
        "rotation.py",
        """            await self._snapshots.keep(deployment, proving.leaf, todo, noted, is_kept=is_kept)
        under_way = UnderWay(self._gateway(deployment), deployment, self.forecast, self.watcher)
""",
        """            pass
        under_way = UnderWay(self._gateway(deployment), deployment, self.forecast, self.watcher)
""",
        f"{_SWEPT}[flags moved by the PUT]",
    ),
    Fault(
        "notes are never read",
        "attempt.py",
        "        self.rotator.recall(leaf, kept)\n",
        "        self.rotator.recall(leaf, {} and kept)\n",
        f"{_SWEPT}[flags moved by the PUT]",
    ),
    Fault(
        "every rotation leaves a note",
        "snapshots.py",
        "snapshot != noted and is_at_risk(snapshot, deployment, todo, is_kept=is_kept):",
        "snapshot != noted:",
        "rotation/test_notes.py::test_an_ordinary_rotation_notes_nothing",
    ),
    Fault(
        "a note is left again and again",
        "snapshots.py",
        "snapshot != noted and is_at_risk(snapshot, deployment, todo, is_kept=is_kept):",
        "is_at_risk(snapshot, deployment, todo, is_kept=is_kept):",
        "rotation/test_notes.py::test_flags_are_noted_before_the_first_change_and_only_once",
    ),
    Fault(
        "a note that the broker refuses is given up",
        "settlement.py",
        "        await self.insist(publish)\n\n    async def kept",
        '        with __import__("contextlib").suppress(BrokerError):\n'
        "            await publish()\n\n    async def kept",
        "worker/test_keeping.py::test_nothing_is_changed_until_the_broker_has_the_note",
    ),
    Fault(
        "a note is left without a fence",
        "settlement.py",
        "            await delivery.fence()\n            try:\n",
        "            try:\n",
        "worker/test_keeping.py::test_the_broker_has_the_note_before_anything_is_changed",
    ),
    Fault(
        "a note outlives the outcome",
        "broker/facts.py",
        """            self._noted.drop(key)\n""",
        """            self._noted.get(key)\n""",
        "broker/test_recall.py::test_what_is_told_while_it_is_read_comes_once_and_after_what_is_read",
    ),
    Fault(
        "of two notes the latest stands",
        "core/snapshot.py",
        "return Snapshot({**later.flags, **self.flags}, previous,",
        "return Snapshot({**self.flags, **later.flags}, previous,",
        "core/test_snapshot.py::test_of_two_snapshots_of_one_renewal_what_the_first_knows_stands",
    ),
    Fault(
        "anybody's note is believed",
        "broker/stream.py",
        "if event is None or entry.user_id != user:",
        "if event is None or not user:",
        "broker/test_rabbitmq.py::"
        "test_only_what_the_worker_itself_has_noted_is_believed_and_listeners_to_events_hear_no_note",
    ),
    Fault(
        "what moves leaves no note",
        "core/snapshot.py",
        "    if todo.waves:\n        return True\n",
        "    if todo.waves:\n        return False\n",
        f"{_BACK}[blue green, from a certificate of another name]",
    ),
    Fault(
        "one instance that has the certificate hides another",
        "gateways/huawei_apig/observing.py",
        "[one for one in scoped if one.instance_id is None or not known.about(one)]",
        "[one for one in scoped if not known.about(one)]",
        "rotation/test_several_instances.py::"
        "test_what_another_certificate_serves_on_one_instance_is_moved_there_too[written]",
    ),
    Fault(
        "whatever serves a further instance is replaced",
        "core/further.py",
        "        if not left:\n",
        "        if not left or left:\n",
        "rotation/test_several_instances.py::test_what_is_newer_on_one_instance_stays_there_and_is_warned_of",
    ),
    Fault(
        "what an attempt could not move from another deployment is left there by the next",
        "rotation.py",
        "self.claimed, planned)",
        "self.claimed)",
        "rotation/test_several_instances.py::"
        "test_what_was_to_move_from_another_deployment_moves_in_the_next_attempt_too",
    ),
    Fault(
        "a name that is left to another certificate elsewhere is asked for",
        "proving.py",
        "else shown_in(todo.seen)",
        "else [one.binding for one in todo.seen.bound]",
        "rotation/test_several_instances.py::test_what_is_newer_on_one_instance_stays_there_and_is_warned_of",
    ),
    Fault(
        "a further instance is taken from another deployment",
        "core/further.py",
        "if there is None or self._is_claimed(there):",
        "if there is None:",
        "core/test_further.py::test_only_what_is_older_and_nobodys_is_replaced_on_a_further_instance",
    ),
    Fault(
        "what is bound nowhere is looked for by an old list",
        "gateways/huawei_apig/observing.py",
        "listing.of_late(covering(wanted)) if is_known else",
        "listing.of_late(covering(wanted)) if is_known or wanted else",
        "gateways/test_apig_listing.py::test_what_is_bound_nowhere_is_looked_for_by_a_new_list",
    ),
    Fault(
        "each rotation has a list of all certificates read",
        "gateways/huawei_apig/listing.py",
        "ids = self._ids or await self._read()",
        "ids = await self._read()",
        "gateways/test_apig_listing.py::test_rotations_of_what_is_bound_share_one_list",
    ),
    Fault(
        "one instance that has moved hides another",
        "gateways/huawei_apig/blue_green.py",
        "[one for one in bindings if one.instance_id is None or not any(",
        "[one for one in bindings if not any(",
        "rotation/test_several_instances.py::"
        "test_what_another_certificate_serves_on_one_instance_is_moved_there_too[moving]",
    ),
    Fault(
        "what an earlier life moved stays where it is",
        "core/snapshot.py",
        "tuple(binding for binding in came if binding not in step.back_to or binding in adrift)",
        "()",
        f"{_BACK}[blue green, from a certificate of another name]",
    ),
    Fault(
        "what replaces something that is kept leaves no note",
        "core/snapshot.py",
        "if is_kept and isinstance(replacement, Modify):",
        "if is_kept and not isinstance(replacement, Modify):",
        f"{_BACK}[in place, put back]",
    ),
    Fault(
        "what went back leaves the bad one behind",
        "going_back.py",
        "            await is_retired(self.settling.gateway, done.stored, _where(done))\n",
        "            pass\n",
        f"{_BACK}[blue green, bad at wave 1]",
    ),
    Fault(
        "only what was answered for goes back",
        "carrying.py",
        "if one.failure is None or one.failure.transient)",
        "if one.failure is None)",
        "reliability/test_crash_rolled_back.py::"
        "test_what_may_have_moved_although_no_answer_came_goes_back_too_and_no_other_attempt_follows",
    ),
    Fault(
        "what was found bad goes forth again",
        "carrying.py",
        "self._back_again() if self.todo.bad else self._forth()",
        "self._forth()",
        f"{_GOING_BACK}test_what_could_not_go_back_is_all_that_later_attempts_move",
    ),
    Fault(
        "that it is bad is noted nowhere",
        "going_back.py",
        "            await self.condemn(moved, shortfalls)\n",
        "            pass\n",
        f"{_GOING_BACK}test_time_slices_that_end_in_mid_roll_back_come_to_an_end",
    ),
    Fault(
        "a wave whose proof was cut short is passed over",
        "carrying.py",
        "if not frozenset(self.todo.moved).isdisjoint(self.todo.unchanged):",
        "if self.todo.bad:",
        f"{_GOING_BACK}test_a_wave_whose_proof_was_cut_short_is_proven_before_more_moves",
    ),
    Fault(
        "bindings go back to what has expired",
        "going_back.py",
        "stored.not_after <= now",
        "not now",
        f"{_GOING_BACK}test_what_has_expired_meanwhile_is_nothing_to_go_back_to",
    ),
    Fault(
        "nothing is proven where another deployment failed",
        "proving.py",
        "return is_well or (progress.has_changed and bool(progress.unproven))",
        "return is_well",
        f"{_AT_ONCE}test_what_is_bad_goes_back_although_another_deployment_is_to_be_tried_again",
    ),
    Fault(
        "what was proven is proven again at every attempt",
        "snapshots.py",
        "return kept.proven.difference(todo.attach)",
        "return frozenset()",
        f"{_AT_ONCE}test_what_was_proven_in_one_attempt_is_not_proven_again_until_all_is_well",
    ),
    Fault(
        "what comes later is never proven",
        "proving.py",
        "each.good if is_whole else each.unproven",
        "each.good if is_whole else each.unproven if not each.proven else ()",
        f"{_AT_ONCE}test_what_comes_later_is_all_that_is_proven_later",
    ),
)
