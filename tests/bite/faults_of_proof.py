"""Deliberate faults in what is proven, what goes back for it, and what comes again."""

from typing import Final

from tests.bite.fault import Fault

_CANARY: Final = "rotation/test_canary.py::"
_EXPOSED: Final = "rotation/test_exposed_key.py::"
_BEFORE: Final = "verification/test_before.py::"
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
        "dating.py",
        "return dated(step, observed, elsewhere)",
        "return dated(step, observed)",
        "rotation/test_dating.py::test_what_ends_soon_where_a_binding_is_now_waits_for_no_window",
    ),
    Fault(
        "what a certificate broke is the worker's own network",
        "verification/probing.py",
        "return not any(one.is_there and one.probe.key in answered for one in verdicts)",
        "return True",
        f"{_BEFORE}test_the_only_endpoint_that_the_new_certificate_breaks_is_the_certificates_fault",
    ),
    Fault(
        "the worker's own network is what a certificate broke",
        "verification/probing.py",
        "one.is_there and one.probe.key in answered",
        "one.probe.key in answered",
        f"{_BEFORE}test_what_answered_and_cannot_be_found_any_more_may_be_the_workers_own_network",
    ),
    Fault(
        "who takes over does not know what answered before",
        "core/note.py",
        "answered=sorted(note.snapshot.answered)",
        "answered=[]",
        "core/test_note.py::test_a_note_is_read_as_it_was_written",
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
        "        bindings += self._left_by_waves(carried)\n",
        "",
        f"{_SHARING}test_a_name_that_two_deployments_serve_is_proven_once_both_have_it",
    ),
    Fault(
        "a worker does not look before it changes anything",
        "generations.py",
        "answering=probing.answering,",
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
