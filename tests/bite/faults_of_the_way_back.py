"""Deliberate faults: in what goes back, and in what may be deleted."""

from typing import Final

from tests.bite.fault import Fault

OF_THE_WAY_BACK: Final = (
    Fault(
        "a domain may lose its client verification for good",
        "carrying.py",
        "self._without_flag() or await self._unproven(is_last=wave.is_last)",
        "await self._unproven(is_last=wave.is_last)",
        "rotation/test_blue_green.py::test_a_domain_that_loses_client_verification_for_good_takes_everything_back",
    ),
    Fault(
        "what is shown beside an older one that comes again is taken for a leftover",
        "core/moving.py",
        ".union(*(one.others for one in observed.bound))",
        "",
        "rotation/test_beside_a_newer_one.py::"
        "test_what_comes_again_takes_nothing_from_the_newer_one_that_is_shown_beside_it[0-True]",
    ),
    Fault(
        "a client CA of somebody else's keeps what is bad from going back",
        "core/moving.py",
        "is None and not _has_to_go_back(observed, green, condemned):",
        "is None:",
        "core/test_moving.py::test_what_has_to_go_back_does_so_whatever_somebody_has_bound_the_others_to",
    ),
    Fault(
        "what is attached and shown with two certificates is two bindings",
        "gateways/huawei_apig/blue_green.py",
        "bindings = tuple(dict.fromkeys(await in_parts(rows, lambda part: [_shown(row) for row in part])))",
        "bindings = tuple(await in_parts(rows, lambda part: [_shown(row) for row in part]))",
        "gateways/test_huawei_observing.py::test_what_is_attached_and_shown_with_two_certificates_is_one_binding",
    ),
    Fault(
        "what came from a certificate of another name is never seen as back beside the new one",
        "gateways/huawei_apig/blue_green.py",
        "_holders(client, [one for one in before if bindings and one not in known])",
        "_holders(client, ())",
        "rotation/test_moved_before.py::"
        "test_what_came_from_a_certificate_of_another_name_is_back_where_it_is_shown_with_both",
    ),
    Fault(
        "a later attempt takes what was somebody else's for bound to nothing",
        "core/snapshot.py",
        "return Bound(binding.with_flag(flag), bound.stored, bound.client_verification, bound.others)",
        "return Bound(binding.with_flag(flag), bound.stored, bound.client_verification)",
        "rotation/test_put_back.py::test_what_was_somebody_elses_is_known_as_that_in_an_attempt_that_binds_it_later",
    ),
    Fault(
        "what somebody took of all that is attached is taken from him",
        "going_back.py",
        "exactly = replace(settling.deployment, bindings=tuple(bindings))",
        "exactly = settling.deployment",
        "rotation/test_going_on_back.py::"
        "test_what_is_attached_and_given_another_certificate_during_the_last_proof_is_left_there",
    ),
    Fault(
        "what somebody put back to the old certificate is left with none",
        "gateways/huawei_apig/detaching.py",
        "            if await is_any_bare(batch):\n",
        "            if not batch:\n",
        "rotation/test_blue_green.py::test_what_somebody_put_back_to_the_old_one_keeps_it_and_is_never_left_with_none",
    ),
    Fault(
        "what has nothing else after all stays so",
        "gateways/huawei_apig/detaching.py",
        "await self._attach_again(stored, [of_place[one] for one in done if one in bare])",
        "pass",
        "gateways/test_huawei_detaching.py::test_what_turns_out_to_have_nothing_else_gets_it_again_with_its_flag",
    ),
    Fault(
        "what has nothing else after all stays so where a later call to detach fails",
        "gateways/huawei_apig/detaching.py",
        "await is_any_bare()  # the next attempt would not know of them",
        "pass",
        "gateways/test_huawei_detaching.py::test_what_is_left_with_nothing_gets_it_again_although_a_later_call_fails",
    ),
    Fault(
        "what has nothing else after all stays so where a time slice ends",
        "gateways/huawei_apig/detaching.py",
        "            await self._briefly(is_any_bare(), stored, len(done))\n",
        "",
        "gateways/test_huawei_detaching.py::test_what_is_left_with_nothing_gets_it_again_although_a_time_slice_ends",
    ),
    Fault(
        "a time slice that ends waits for a gateway that is away",
        "gateways/huawei_apig/detaching.py",
        "asyncio.timeout(self.brief)",
        "asyncio.timeout(None)",
        "gateways/test_huawei_detaching.py"
        "::test_where_that_cannot_be_looked_at_any_more_it_is_told_and_the_time_slice_ends[away]",
    ),
    Fault(
        "what is detached is heard of only with the last of it",
        "gateways/huawei_apig/detaching.py",
        "freed[last.get((one.name, one.instance_id), 0)]",
        "freed[len(chunks) - 1]",
        "gateways/test_huawei_detaching.py::test_what_is_detached_is_heard_of_call_by_call",
    ),
    Fault(
        "what was bad before hides where listeners are bound",
        "gateways/bycloud/finding.py",
        "            asked += one.bindings is None\n            if one.bindings is None and asked",
        "            asked += 1\n            if asked",
        "rotation/test_many_uploads.py::test_after_many_bad_uploads_listeners_go_back_to_where_they_were_all_the_same",
    ),
    Fault(
        "where listeners were is not asked",
        "gateways/bycloud/finding.py",
        " and one.id not in before:",
        ":",
        "rotation/test_many_uploads.py::test_where_the_list_tells_no_bindings_what_is_known_from_before_is_asked_too",
    ),
    Fault(
        "reading back does not say what it looks for",
        "going_back.py",
        "settling.settled(tuple(results), judge, elsewhere=True, known=known)",
        "settling.settled(tuple(results), judge, elsewhere=True, known=())",
        "rotation/test_many_uploads.py::test_the_way_back_asks_for_what_it_leads_to",
    ),
    Fault(
        "what had nothing before keeps what is bad",
        "going_back.py",
        "            return await detached(gateway, bad, bindings, self._answered)\n",
        '            return [BindingResult(one, "unchanged") for one in bindings]\n',
        "rotation/test_blue_green.py::test_a_domain_that_had_nothing_before_has_nothing_again",
    ),
    Fault(
        "what is no longer on the bad one is told as back",
        "core/snapshot.py",
        "returned = tuple(one for one in moved if self._is_as_before(step.back_to[one]))",
        "returned = tuple(moved)",
        "rotation/test_going_on_back.py::test_what_somebody_has_detached_meanwhile_goes_back_like_the_others",
    ),
    Fault(
        "what somebody has given another certificate is taken from it",
        "core/snapshot.py",
        "strayed = tuple(one for one in moved if self._is_elsewhere(step.back_to[one]))",
        "strayed = tuple[Binding, ...]()",
        "rotation/test_going_on_back.py"
        "::test_what_somebody_has_given_another_certificate_is_left_there_and_told_as_failed",
    ),
    Fault(
        "what somebody has given another certificate during the proof is taken from it",
        "going_back.py",
        "        strayed = await self._astray(done)\n",
        "        strayed = frozenset[Binding]()\n",
        "rotation/test_going_on_back.py::test_what_is_given_another_certificate_during_the_last_proof_is_left_there",
    ),
    Fault(
        "the old material takes a domain from whoever bound it elsewhere",
        "going_back.py",
        "        strayed = () if observed is None else elsewhere(observed, [*own, *came])\n",
        "        strayed: Collection[Binding] = ()\n",
        "rotation/test_taken_in_its_own_place.py"
        "::test_what_is_bound_elsewhere_during_its_proof_is_left_there_when_the_material_goes_back",
    ),
    Fault(
        "whoever goes on with the way back in its own place tells nothing of what somebody took",
        "core/snapshot.py",
        "            strayed += tuple(gone)\n",
        "            tuple(gone)\n",
        "rotation/test_taken_in_its_own_place.py::test_so_does_whoever_goes_on_with_the_way_back",
    ),
    Fault(
        "what was bound here first and is somebody's by now is told as bound to nothing",
        "going_back.py",
        "elsewhere(observed, [*own, *came])",
        "elsewhere(observed, own)",
        "rotation/test_taken_in_its_own_place.py"
        "::test_what_was_bound_here_first_and_is_bound_elsewhere_by_now_is_left_there",
    ),
    Fault(
        "what in its own place was bound to nothing is told as back",
        "going_back.py",
        "[*back, *left, *await self._of_newcomers(here, todo.back_to, stored)]",
        "[*back, *(BindingResult(one, ROLLED_BACK) for one in done.moved)]",
        "rotation/test_put_back.py::test_what_was_bound_to_nothing_has_nothing_again",
    ),
    Fault(
        "what went back is told as such by an API's word alone",
        "going_back.py",
        "        is_served = await self.looks(served)\n",
        "        is_served = True\n",
        "rotation/test_looking_back.py::test_whether_the_one_before_is_served_again_is_told",
    ),
    Fault(
        "the bad one may be taken for the one before",
        "verification/expected.py",
        " or str(other.serial_number) in self.bad_serials:",
        ":",
        "rotation/test_looking_back.py::test_it_is_known_by_its_serial_number_or_its_end_and_is_never_the_bad_one",
    ),
    Fault(
        "what is stored without its whole chain stays so",
        "core/strategies.py",
        "        step = _written_again(deployment, step)\n",
        "        step = replace(step)\n",
        "rotation/test_chain_again.py::test_what_is_served_without_its_whole_chain_is_written_again",
    ),
    Fault(
        "what has lost its client CA is taken for done",
        "rotation.py",
        "with_client_ca(deployment, told) if snapshot.has_client_ca and isinstance(told, Plan) else told",
        "told",
        "rotation/test_client_ca_again.py::test_a_put_that_lost_the_client_ca_is_made_again_by_the_next_attempt",
    ),
    Fault(
        "domains move to what has lost its client CA",
        "core/strategies.py",
        "with_client_ca(deployment, step) if _moves_from_client_ca(deployment, observed) else step",
        "step",
        "rotation/test_client_ca_again.py::test_nothing_moves_to_what_a_worker_that_died_has_created_without_its_client_ca",
    ),
    Fault(
        "what is created without its client CA stays",
        "gateways/huawei_apig/storing.py",
        "                await self._taken_away(written.stored())\n",
        "                pass\n",
        "rotation/test_client_ca_again.py::test_what_is_created_without_its_client_ca_is_deleted_and_created_again",
    ),
    Fault(
        "the old material may be back without its client CA",
        "core/strategies.py",
        "    if step.bad:\n        return replace(step, replacement=Keep(stored))\n",
        "    if step.bad:\n        return step\n",
        "rotation/test_client_ca_again.py::test_a_way_back_that_lost_the_client_ca_too_is_gone_on_with",
    ),
    Fault(
        "a put-back renewal knows of no client CA any more",
        "broker/facts.py",
        "        if snapshot.has_client_ca:\n",
        "        if snapshot.bad is not None:\n",
        "broker/test_facts.py::test_that_there_was_a_client_ca_is_known_as_long_as_there_is_a_dead_letter",
    ),
    Fault(
        "the next renewal knows nothing of a client CA that was lost",
        "attempt.py",
        "        kept = kept or await hindsight.client_cas(seen, certificate, leaf)\n",
        "        kept = kept or {}\n",
        "worker/test_keeping.py::test_a_client_ca_that_a_renewal_before_may_have_lost_is_sent_by_the_next_one",
    ),
    Fault(
        "a sweep takes what has lost its client CA for current",
        "sweep.py",
        "finding = await self.look(name, seen, lost) if lost else finding",
        "finding = await self.look(name, seen) if lost else finding",
        "rotation/test_client_ca_of_the_next_one.py"
        "::test_a_sweep_finds_what_has_lost_the_client_ca_that_a_note_tells_of",
    ),
    Fault(
        "that there was a client CA is known of the leaf alone that lost it",
        "broker/statements.py",
        "instr(body, '\"has_client_ca\": true') > 0",
        "instr(body, ?2) > 0",
        "broker/test_contract_notes.py"
        "::test_that_there_was_a_client_ca_is_known_of_whichever_leaf_until_one_has_succeeded",
    ),
    Fault(
        "a client CA that was taken away on purpose comes back for ever",
        "broker/facts.py",
        "        self._forget_client_cas(certificate, data)\n",
        "",
        "rotation/test_client_ca_of_the_next_one.py"
        "::test_who_takes_it_away_on_purpose_gets_it_back_from_no_renewal_after_a_good_one",
    ),
)
