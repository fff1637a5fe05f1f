"""Faults of what the worker decides: settling, consuming, rotating."""

from typing import Final

from tests.bite.fault import Fault

_LEFT: Final = "worker/test_slices.py::test_what_earlier_slices_have_replaced_is_told_when_nothing_more_is_reached"
SETTLING: Final = (
    Fault(
        "ack before publish",
        "settlement.py",
        """                await self._publish(delivery, identity, report, timing)
                await self.insist(delivery.ack)
""",
        """                await self.insist(delivery.ack)
                await self._publish(delivery, identity, report, timing)
""",
        "worker/test_consumer.py::test_the_world_hears_of_it_before_the_broker_does",
    ),
    Fault(
        "bury before the event",
        "settlement.py",
        """                told_at = await self._publish(delivery, identity, report, timing)
                await self._bury(delivery, identity, reason, told_at, look)
""",
        """                await self._bury(delivery, identity, reason, "", look)
                await self._publish(delivery, identity, report, timing)
""",
        "worker/test_consumer.py::test_the_last_attempt_is_told_and_buried",
    ),
    Fault(
        "a refused event is given up",
        "settlement.py",
        "                tries += 1\n",
        "                tries += 1\n                if tries > 1:\n                    return None\n",
        "worker/test_consumer.py::test_nothing_is_settled_until_the_event_is_confirmed",
    ),
    Fault(
        "a repeat has another event id",
        "core/events.py",
        'return str(uuid.uuid5(_IDS, f"{id_source}|{outcome}"))',
        "return str(uuid.uuid4())",
        "core/test_events.py::test_a_repeat_carries_the_same_id_and_another_outcome_another",
    ),
    Fault(
        "a stranger's claim has the renewal's event id",
        "settlement.py",
        "if self.is_opened and self.renewal_id is not None else",
        "if self.renewal_id is not None else",
        "worker/test_told_before.py::test_what_a_stranger_claims_does_not_take_the_place_of_the_renewal_itself",
    ),
    Fault(
        "a redelivery does not ask the history",
        "settlement.py",
        "        if not comes_again(message):\n            return None\n",
        "        if message.redeliveries >= 0:\n            return None\n",
        "worker/test_told_before.py::test_what_was_told_before_and_not_settled_is_settled_as_it_was_told",
    ),
    Fault(
        "the history is not asked again inside the turn",
        "attempt.py",
        """        if (told := await self.settlement.told(message, identity)) is not None:
            return told
""",
        "",
        "reliability/test_crash_sweep.py::test_two_copies_of_a_renewal_have_one_outcome_whatever_comes_between_them",
    ),
    Fault(
        "what was told as failed is acked",
        "settlement.py",
        'if told.outcome == "failed":',
        'if told.outcome == "never":',
        "worker/test_told_before.py::test_what_was_told_before_and_not_settled_is_settled_as_it_was_told",
    ),
    Fault(
        "what is put back is taken out first",
        "broker/rabbitmq.py",
        """                await self.copy(AGAIN, again(opened(one, self.user)))
                async with guarded("settling", self.timeout):
                    await one.ack()
""",
        """                async with guarded("settling", self.timeout):
                    await one.ack()
                await self.copy(AGAIN, again(opened(one, self.user)))
""",
        "reliability/test_process_dead.py::test_a_replay_that_does_not_come_to_its_end_loses_nothing",
    ),
    Fault(
        "attempts are not counted",
        "settlement.py",
        "attempt=timing.attempt + counted",
        "attempt=timing.attempt",
        "worker/test_consumer.py::test_a_passing_failure_is_parked_without_an_event",
    ),
)

CONSUMING: Final = (
    Fault(
        "no lock per certificate",
        "turns.py",
        "await stack.enter_async_context(self._locks.hold(certificate))",
        "await stack.enter_async_context(self._locks.hold(str(effort.number)))",
        "worker/test_several_in_hand.py::test_two_renewals_of_one_certificate_are_worked_on_one_after_the_other",
    ),
    Fault(
        "an urgent one hastens only what is at work",
        "turns.py",
        "            effort.urgent |= certificate in self._urgent\n",
        "",
        "worker/test_several_in_hand.py::test_all_that_an_urgent_one_waits_for_is_urgent_and_nothing_behind_it",
    ),
    Fault(
        "losing the broker does not cancel",
        "consumer.py",
        "task = group.create_task(work)",
        "task = asyncio.create_task(work)",
        "worker/test_connections.py::test_a_lost_broker_cancels_what_is_in_hand",
    ),
    Fault(
        "slices for ever",
        "attempt.py",
        "if idle > _MOST_IDLE_SLICES or not effort.is_getting_on:",
        "if not effort.is_getting_on:",
        "worker/test_slices.py::test_slices_in_which_it_only_waits_are_an_attempt_after_a_handful",
    ),
    Fault(
        "who stands still tells nothing of what is there",
        "attempt.py",
        "told = effort.left or Report.refused(STANDSTILL)",
        "told = Report.refused(STANDSTILL)",
        f"{_LEFT}[True]",
    ),
    Fault(
        "what an interrupted attempt has reached is forgotten",
        "snapshots.py",
        "                self.learn(leaf, [told])\n",
        "                pass\n",
        f"{_LEFT}[False]",
    ),
    Fault(
        "the last delivery is tried",
        "attempt.py",
        "        if message.is_last_delivery:\n            return Report.refused(TOO_OFTEN)\n",
        "",
        "worker/test_consumer.py::test_the_last_delivery_that_the_broker_gives_is_told_and_buried_untried",
    ),
    Fault(
        "neighbours of a poison are given up with it",
        "in_hand.py",
        "message.is_last_delivery and not self._is_cause_known and not self.has_survived(message)",
        "message.is_last_delivery and not self.has_survived(message)",
        "worker/test_in_hand.py::test_of_all_that_is_delivered_for_the_last_time_only_the_first_is_given_up",
    ),
    Fault(
        "suspects are worked on together",
        "in_hand.py",
        "self._tasks if self._is_suspect(message) else self._suspects",
        "self._suspects",
        "worker/test_in_hand.py::test_a_suspect_waits_for_all_before_it_and_all_behind_it_wait_for_the_suspect",
    ),
    Fault(
        "a suspect does not wait for what is in hand",
        "consumer.py",
        "        if not ahead:\n",
        "        if ahead or not ahead:\n",
        "worker/test_several_in_hand.py::test_a_suspect_is_worked_on_alone_whatever_its_certificate",
    ),
    Fault(
        "nothing in hand is waited for at the end",
        "consumer.py",
        "await asyncio.wait(tasks, timeout=self.attempts.policy.drain_seconds)",
        "await asyncio.wait(tasks, timeout=0)",
        "worker/test_several_in_hand.py::test_what_is_in_hand_is_finished_before_the_end_as_long_as_it_may_take",
    ),
    Fault(
        "what does not finish in time is waited for",
        "consumer.py",
        "await asyncio.wait(tasks, timeout=self.attempts.policy.drain_seconds)",
        "await asyncio.wait(tasks)",
        "worker/test_several_in_hand.py::test_what_is_in_hand_is_finished_before_the_end_as_long_as_it_may_take",
    ),
    Fault(
        "a bug is tried again",
        "core/errors.py",
        'Failure("internal_error", "a bug of the worker: see its log", transient=False)',
        'Failure("internal_error", "a bug of the worker: see its log", transient=True)',
        "worker/test_consumer.py::test_a_bug_is_told_and_buried_and_never_tried_again",
    ),
)

ROTATING: Final = (
    Fault(
        "attach after a failed PUT",
        "carrying.py",
        "            return not_replaced(self.deployment, self.todo, results, failure)\n",
        "            stored = getattr(self.todo.replacement, 'stored', error and None)\n",
        "rotation/test_rotation.py::test_a_replacement_that_fails_attaches_nothing_and_names_every_binding",
    ),
    Fault(
        "no read-back",
        "carrying.py",
        "            self.progress = replace(self.progress, results=shown)\n",
        "            pass\n",
        "rotation/test_rotation.py::test_an_accepted_replacement_without_effect_is_never_a_success",
    ),
    Fault(
        "settle without waiting",
        "settling.py",
        "if is_complete(shown, results) or waited >= longest:",
        "if is_complete(shown, results) or waited >= 0:",
        "rotation/test_read_back.py::test_what_a_gateway_shows_late_is_waited_for_and_not_for_ever",
    ),
    Fault(
        "settle for ever",
        "settling.py",
        "if is_complete(shown, results) or waited >= longest:",
        "if is_complete(shown, results):",
        "rotation/test_read_back.py::test_what_a_gateway_shows_late_is_waited_for_and_not_for_ever",
    ),
    Fault(
        "retire although a binding failed",
        "carrying.py",
        'is_failed = any(result.state == "failed" for result in self.progress.results)',
        "is_failed = False",
        "rotation/test_read_back.py::test_nothing_is_retired_while_a_binding_may_still_need_it",
    ),
    Fault(
        "retire what another deployment claims",
        "core/strategies.py",
        "if not is_claimed(one, deployment, claimed, moves=deployment.moves)",
        "if one",
        "rotation/test_rotation.py::test_what_another_deployment_claims_is_never_retired",
    ),
    Fault(
        "flags not put back",
        "carrying.py",
        "        if not moved:\n            return shown\n",
        "        if moved or not moved:\n            return shown\n",
        "rotation/test_rotation.py::test_a_flag_that_moves_is_told_and_put_right",
    ),
    Fault(
        "an attempt does not know the flags of the one before",
        "rotation.py",
        "seen, known = snapshot.before(observed), snapshot.known_to(urgency)",
        "seen, known = observed, snapshot.known_to(urgency)",
        "rotation/test_rotation.py::test_a_flag_that_moved_in_one_attempt_is_put_back_in_the_next",
    ),
    Fault(
        "thousands of rows are looked at in one go",
        "in_parts.py",
        "PART: Final = 500",
        "PART: Final = 500_000",
        "gateways/test_in_parts.py::test_no_round_of_the_loop_looks_at_thousands_of_listed_domains",
    ),
    Fault(
        "succeeded with a failed binding",
        "core/reporting.py",
        "    if reasons:\n        return",
        "    if reasons and not results:\n        return",
        "rotation/test_rotation.py::test_a_sick_binding_never_stops_its_siblings",
    ),
    Fault(
        "the plan reads back as if nothing had moved",
        "gateways/huawei_apig/planned.py",
        "        counting.moved += len(bindings)\n",
        "",
        "rotation/test_planned_calls.py::test_a_rotation_makes_the_calls_that_were_planned_and_no_others",
    ),
    Fault(
        "the plan knows of no upload that is there already",
        "gateways/huawei_apig/per_domain.py",
        "lists=lists, uploads=same_leaf)",
        "lists=lists)",
        "rotation/test_planned_calls.py::test_a_rotation_makes_the_calls_that_were_planned_and_no_others",
    ),
    Fault(
        "a failed proof is passed over",
        "proving.py",
        "        if is_worse or any(",
        "        if not is_worse and any(",
        "rotation/test_rotation.py::test_a_proof_that_fails_makes_the_rotation_fail",
    ),
    Fault(
        "an uncovered name at one gateway does not stop the others",
        "rotation.py",
        "if (uncovered := refusal_in(steps)) is not None:",
        "if (uncovered := refusal_in(steps[:1])) is not None:",
        "rotation/test_rotation.py::test_a_name_that_is_not_covered_anywhere_leaves_every_gateway_as_it_was",
    ),
    Fault(
        "a bug at one deployment hides the others",
        "rotation.py",
        "        except Exception as bug:  # noqa: BLE001 - told as what it is\n",
        "        except RotationError as bug:\n",
        "rotation/test_rotation.py::test_a_bug_at_one_deployment_is_told_and_stops_no_other",
    ),
)

RETIRING: Final = (
    Fault(
        "what was kept is deleted although its replacement may have to go back",
        "retiring.py",
        "if was_proven(one.kept.present, past)]",
        "if one.kept.present or past]",
        "worker/test_retiring.py::test_what_is_served_and_has_not_succeeded_may_have_to_go_back",
    ),
    Fault(
        "what was kept is deleted while its certificate is rotated",
        "retiring.py",
        "        async with self.turn(certificate.name, effort), asyncio.timeout(_LONGEST_TURN):\n",
        "        async with asyncio.timeout(_LONGEST_TURN):\n",
        "worker/test_retiring.py::test_while_a_rotation_has_the_turn_nothing_is_deleted_and_then_it_is_looked_at_again",
    ),
)

OF_WORK: Final = (*SETTLING, *CONSUMING, *ROTATING, *RETIRING)
