"""Deliberate faults in what is proven, what goes back for it, and what comes again."""

from typing import Final

from tests.bite.fault import Fault

_CANARY: Final = "rotation/test_canary.py::"
_EXPOSED: Final = "rotation/test_exposed_key.py::"
_BEFORE: Final = "verification/test_before.py::"
_SOCKETS: Final = "rotation/test_canary_on_sockets.py::"
_MOVED_BEFORE: Final = "rotation/test_moved_before.py::"
_SHARING: Final = "verification/test_sharing.py::"
OF_PROOF: Final = (
    Fault(
        "a name is split over two waves",
        "core/moving.py",
        "names[end] == names[end - 1]:",
        "names[end] == names[end - 1] == 0:",
        "rotation/test_blue_green.py::test_names_on_two_instances_are_moved_and_proven_together",
    ),
    Fault(
        "an endpoint under a wildcard that stayed is nobody's",
        "verification/places.py",
        "return not is_exact and bool(wildcards) and not uncovered([name], wildcards)",
        "return False",
        "verification/test_waves.py::"
        "test_an_endpoint_below_a_wildcard_that_could_not_be_attached_is_not_taken_for_nobodys",
    ),
    Fault(
        "a worker without descriptors blames the endpoint",
        "verification/handshake.py",
        "        if is_exhaustion(error):\n            raise\n",
        "",
        "verification/test_looking.py::test_what_the_worker_has_no_descriptors_for_says_nothing_of_the_cloud[127.0.0.1]",
    ),
    Fault(
        "a worker without a network takes everything back",
        "proving.py",
        "    return any(one.is_blind for one in shortfalls)\n",
        "    return False\n",
        "rotation/test_blue_green.py::"
        "test_where_nothing_can_be_seen_nothing_goes_back_and_nothing_more_moves_until_it_can",
    ),
    Fault(
        "the sweep brings again what was rolled back",
        "sweep.py",
        "if was_rolled_back(placed, leaf):",
        "if was_rolled_back((), leaf):",
        "worker/test_sweep.py::test_what_was_rolled_back_is_not_brought_again_unasked",
    ),
    Fault(
        "a canary that did not move opens the next wave",
        "core/moving.py",
        "    if has_canary:\n        number",
        "    if has_canary or at:\n        number",
        f"{_CANARY}test_what_is_bad_moves_one_binding_alone_although_the_first_ones_could_not_be_moved",
    ),
    Fault(
        "what no endpoint proves is drawn before what one does",
        "core/moving.py",
        "((front, rest) if is_front else (rest, front))",
        "(rest, front)",
        "rotation/test_forbidden.py::test_who_is_next_is_drawn_from_those_that_wait",
    ),
    Fault(
        "a wave behind what was drawn takes a name apart",
        "core/moving.py",
        "end = _end_of_name([one.name for one in todo.attach], goal)  #",
        "end = goal  #",
        "rotation/test_forbidden.py::test_a_wave_behind_what_was_drawn_takes_no_name_apart",
    ),
    Fault(
        "what is gone keeps the others from being renewed",
        "carrying.py",
        "            at += len(wave.bindings)\n",
        "            at += len(wave.bindings)\n            if at > 10:\n                break\n",
        f"{_CANARY}test_however_many_are_gone_before_them_the_others_move",
    ),
    Fault(
        "nobody is told what went back",
        "going_back.py",
        '            "deployment.rolled_back",\n',
        '            "rotation.bad",\n',
        f"{_CANARY}test_the_log_says_what_went_back_and_to_what_and_why_in_one_line",
    ),
    Fault(
        "an exposed key comes back",
        "going_back.py",
        "        if self.urgency.is_key_exposed:\n",
        "        if self.urgency.is_key_exposed and not moved:\n",
        f"{_EXPOSED}test_a_bad_wave_stays_where_it_is_nothing_more_moves_and_that_is_tried_again",
    ),
    Fault(
        "exposed material comes back to its place",
        "going_back.py",
        "        if self.urgency.is_key_exposed:\n",
        "        if self.urgency.is_key_exposed and moved:\n",
        f"{_EXPOSED}test_in_its_own_place_the_exposed_material_is_not_put_back_either",
    ),
    Fault(
        "an exposed key comes back for a verdict of before",
        "core/snapshot.py",
        "if self.bad is not None and not urgency.is_key_exposed:",
        "if self.bad is not None:",
        f"{_EXPOSED}"
        "test_what_another_renewal_of_the_same_certificate_found_bad_takes_nothing_back_to_an_exposed_key[urgency1]",
    ),
    Fault(
        "what is served elsewhere never ends",
        "expiry_lookup.py",
        "return dated(step, observed, elsewhere)",
        "return dated(step, observed)",
        "rotation/test_expiry_lookup.py::test_what_ends_soon_where_a_binding_is_now_waits_for_no_window",
    ),
    Fault(
        "what a certificate broke is the worker's own network",
        "verification/probing.py",
        "return not any(one.is_there for one in known)",
        "return True",
        f"{_BEFORE}test_the_only_endpoint_that_the_new_certificate_breaks_is_the_certificates_fault",
    ),
    Fault(
        "the worker's own network is what a certificate broke",
        "verification/probing.py",
        "return not any(one.is_there for one in known)",
        "return not known",
        f"{_BEFORE}test_what_answered_and_cannot_be_found_any_more_may_be_the_workers_own_network",
    ),
    Fault(
        "what was dead before is the worker's own network",
        "verification/probing.py",
        "return not answered or not all(one.is_as_before for one in verdicts)",
        "return True",
        f"{_SOCKETS}test_a_deployment_of_which_nothing_answers_moves_where_another_one_does",
    ),
    Fault(
        "a dead endpoint is a canary",
        "canary.py",
        "if not reach.is_dead(one)))",
        "if reach or one))",
        f"{_SOCKETS}test_a_dead_endpoint_is_no_canary_and_keeps_no_other_domain_from_being_renewed",
    ),
    Fault(
        "what was not seen opens the next wave",
        "carrying.py",
        "(not self.progress.is_dark or self.todo.is_canary_asked is False)",
        "True",
        "rotation/test_as_before.py::test_all_waves_move_and_the_end_says_what_could_not_be_seen",
    ),
    Fault(
        "a wave that nobody came to look at before is not looked at",
        "proving.py",
        "(done.has_looked and all(map(done.reach.knows, asked)))",
        "done.has_looked",
        f"{_SOCKETS}test_a_canary_that_breaks_goes_back_wherever_its_endpoint_stands[-1.0-1]",
    ),
    Fault(
        "a note has what answered first, whoever's it is",
        "core/proof.py",
        "answered = [*mine, *sorted(self.answered.difference(mine))]",
        "answered = [*sorted(self.answered.difference(mine)), *mine]",
        f"{_SOCKETS}test_the_second_deployments_canary_that_breaks_goes_back[True]",
    ),
    Fault(
        "who takes over does not know what answered before",
        "core/note.py",
        "answered=sorted(note.snapshot.reach.answered)",
        "answered=[]",
        "core/test_note.py::test_a_note_is_read_as_it_was_written",
    ),
    Fault(
        "what moves first is whatever comes first",
        "canary.py",
        "(one.name != name, one not in provable)",
        "False",
        "worker/test_proof.py::test_a_domain_that_is_asked_for_moves_first_and_if_it_is_bad_alone",
    ),
    Fault(
        "what is proven goes first only where the first wave is not",
        "canary.py",
        "    names = dict",
        "    if _is_proven(step, asked_after):\n        return replace(step, is_canary_asked=True)\n    names = dict",
        f"{_CANARY}test_what_takes_the_place_of_a_first_one_that_is_gone_is_what_an_endpoint_proves",
    ),
    Fault(
        "where all are proven they are asked for twice as often as may be",
        "canary.py",
        "front if front < len(attach) else 0",
        "front",
        "rotation/test_arranged.py::test_where_all_are_asked_for_the_order_is_that_of_the_settings",
    ),
    Fault(
        "a worker does not know what it will ask",
        "generations.py",
        "        asked=probing.behind,\n",
        "",
        "worker/test_proof.py::test_a_domain_that_is_asked_for_moves_first_and_if_it_is_bad_alone",
    ),
    Fault(
        "what an attempt that is forgotten has stored replaces nothing",
        "core/reporting.py",
        "isinstance(todo.replacement, UploadEach) or todo.previous is not None)",
        "isinstance(todo.replacement, UploadEach))",
        "rotation/test_attempts.py::test_what_moves_has_replaced_what_was_there_whoever_stored_it",
    ),
    Fault(
        "a newer certificate that is left alone is what was replaced",
        "core/moving.py",
        "_previous(rows, green,",
        "_previous(observed.bound, green,",
        "core/test_moving.py::test_a_domain_that_serves_a_newer_certificate_of_somebody_is_left_alone",
    ),
    Fault(
        "a last attempt that sees nothing tells of nothing",
        "rotation.py",
        "        self._snapshots.learn(leaf, report.deployments, proving.proven_for_good(carried))\n",
        "",
        "rotation/test_attempts.py::"
        "test_a_last_attempt_that_sees_nothing_any_more_tells_what_those_before_have_replaced",
    ),
    Fault(
        "what was dead before takes everything back",
        "verification/looking.py",
        "is_as_before = failure is not None and not self._is_worse",
        "is_as_before = False",
        "worker/test_proof.py::"
        "test_an_address_that_was_dead_before_takes_nothing_back_in_whichever_attempt_and_is_told",
    ),
    Fault(
        "who takes over does not know what was dead before",
        "core/note.py",
        "unreached=sorted(note.snapshot.reach.unreached)",
        "unreached=[]",
        "core/test_note.py::test_a_note_is_read_as_it_was_written",
    ),
    Fault(
        "what is worse than before goes unseen beside what is not",
        "carrying.py",
        "if any(not one.is_as_before for one in found):",
        "if all(not one.is_as_before for one in found):",
        "rotation/test_as_before.py::test_whatever_is_worse_beside_it_takes_everything_back",
    ),
    Fault(
        "an endpoint of two certificates is one's alone",
        "verification/looking.py",
        "others if one.is_shared else expected",
        "expected",
        f"{_SHARING}test_an_endpoint_of_two_certificates_of_the_settings_may_serve_either",
    ),
    Fault(
        "a canary of an earlier life stays where it is bad",
        "core/snapshot.py",
        "came = {**step.from_old, **dict(self._came_from(step))}",
        "came = dict(self._came_from(step))",
        f"{_MOVED_BEFORE}test_what_an_attempt_moved_that_nobody_knows_of_goes_back_to_where_the_others_still_are",
    ),
    Fault(
        "a roll-back is whole although something bad stays",
        "core/reporting.py",
        "is_whole = failure is None and not stuck and all(",
        "is_whole = failure is None and all(",
        f"{_MOVED_BEFORE}test_what_is_bad_and_stays_where_it_is_makes_a_roll_back_none",
    ),
    Fault(
        "what may be the old one proves the new one",
        "verification/expected.py",
        "and not self._may_be_replaced(other)",
        "",
        f"{_SHARING}"
        "test_where_nobody_knows_what_was_replaced_an_older_one_of_the_same_names_is_no_proof[what was replaced]",
    ),
    Fault(
        "at an endpoint of two certificates anything will do",
        "verification/expected.py",
        "or str(other.serial_number) in self.previous_serials:",
        "or not self.previous_serials:",
        f"{_SHARING}test_an_endpoint_of_two_certificates_of_the_settings_may_serve_either",
    ),
    Fault(
        "a wave is asked for names that another deployment still serves",
        "proving.py",
        "_waiting(todo, bindings) | self._beside(todo)",
        "_waiting(todo, bindings)",
        f"{_SHARING}test_a_name_that_two_deployments_serve_is_proven_once_both_have_it",
    ),
    Fault(
        "what waves leave to the proof of the whole is never proven",
        "proving.py",
        "        bindings += chain.from_iterable(self.shared_in(one.todo, one.progress.good) for one in by_waves)\n",
        "",
        f"{_SHARING}test_a_name_that_two_deployments_serve_is_proven_once_both_have_it",
    ),
    Fault(
        "a worker does not look before it changes anything",
        "generations.py",
        "looks=probing.reach,",
        "",
        "worker/test_proof.py::test_the_only_domain_that_comes_to_no_handshake_any_more_goes_back_and_so_clients_see",
    ),
    Fault(
        "certificates of the settings know nothing of one another",
        "verification/probing.py",
        "all_places(settings.certificates)",
        "{name: Places.of(one) for name, one in settings.certificates.items()}",
        "verification/test_sharing.py::test_certificates_of_the_settings_know_what_they_share",
    ),
)
