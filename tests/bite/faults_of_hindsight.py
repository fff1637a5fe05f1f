"""Faults of what is asked of the history before a rotation."""

from typing import Final

from tests.bite.fault import Fault

_BACK: Final = "reliability/test_nothing_goes_back.py::"

OF_HINDSIGHT: Final = (
    Fault(
        "what comes again is carried out again",
        "hindsight.py",
        "if is_replayed(self.past, renewal.known_as, leaf, is_again=is_again):",
        "if not renewal.id and is_replayed(self.past, renewal.known_as, leaf, is_again=is_again):",
        f"{_BACK}test_an_urgent_renewal_that_comes_again_does_not_undo_what_was_put_there_since[sqlite]",
    ),
    Fault(
        "whatever brings the same certificate is taken for a replay",
        "core/past.py",
        "return renewal_id in self.renewals and self.fingerprint_sha256 == leaf.fingerprint_sha256",
        "return self.fingerprint_sha256 == leaf.fingerprint_sha256",
        f"{_BACK}test_an_urgent_renewal_that_comes_again_does_not_undo_what_was_put_there_since[sqlite]",
    ),
    Fault(
        "what has failed is taken for a replay",
        "core/past.py",
        "any((one.is_told or not is_again) and",
        "any(",
        "core/test_past.py::test_a_renewal_is_replayed_where_it_has_succeeded_and_another_certificate_came_after_it",
    ),
    Fault(
        "where only ends are told the later end wins",
        "hindsight.py",
        "if not tells_beginnings and is_overtaken(self.past, leaf, renewal.undo_until):",
        "if tells_beginnings and is_overtaken(self.past, leaf, renewal.undo_until):",
        f"{_BACK}test_an_older_renewal_is_superseded_where_the_newer_certificate_ends_before_it[sqlite-replace]",
    ),
    Fault(
        "the sweep finds behind what the history knows to be newer",
        "sweep.py",
        "is_newer = not is_told and is_overtaken",
        "is_newer = is_told is None and is_overtaken",
        "worker/test_hindsight.py::"
        "test_the_sweep_puts_nothing_back_either_over_what_the_history_knows_to_be_newer[False-newer]",
    ),
    Fault(
        "without a history everything goes on",
        "hindsight.py",
        "        if self.unread is not None and is_needed:\n            raise _unread(self.unread)\n",
        "",
        "worker/test_hindsight.py::test_only_what_might_go_back_waits_while_the_history_cannot_be_read",
    ),
    Fault(
        "without a history nothing goes on",
        "hindsight.py",
        "        if self.unread is not None and is_needed:\n",
        "        if self.unread is not None:\n",
        "worker/test_hindsight.py::test_only_what_might_go_back_waits_while_the_history_cannot_be_read",
    ),
    Fault(
        "what is parked has put nothing anywhere",
        "hindsight.py",
        "                self.begun[renewal.certificate] = Placed(\n",
        "                _ = Placed(\n",
        "worker/test_hindsight.py::"
        "test_what_was_put_at_some_places_by_a_renewal_that_is_parked_is_not_undone_by_an_older_one",
    ),
    Fault(
        "whatever was begun keeps others back",
        "hindsight.py",
        "            if effort.changes:\n",
        "            if effort:\n",
        "worker/test_hindsight.py::test_a_renewal_that_changed_nothing_keeps_no_other_back",
    ),
    Fault(
        "what went back counts as put",
        "core/past.py",
        "return [one for one in past if one.lasts]",
        "return list(past)",
        "core/test_past.py::test_what_went_back_everywhere_is_not_what_was_put_there_last",
    ),
    Fault(
        "what was begun is believed when it has ended",
        "hindsight.py",
        "            del self.begun[renewal.certificate]\n",
        "            pass\n",
        "worker/test_hindsight.py::test_what_went_back_by_itself_keeps_no_other_back",
    ),
    Fault(
        "what was begun in one session is believed in the next",
        "attempt.py",
        "        self._begun.clear()",
        "        pass",
        "worker/test_hindsight.py::"
        "test_what_was_put_at_some_places_by_a_renewal_that_is_parked_is_not_undone_by_an_older_one",
    ),
    Fault(
        "what is told while the history is read is not known",
        "broker/recall.py",
        "for entry in self._meanwhile:",
        "for entry in ():",
        "broker/test_recall.py::test_what_is_told_while_it_is_read_comes_once_and_after_what_is_read",
    ),
    Fault(
        "a new turn believes what the old one has read",
        "broker/recall.py",
        "        self._facts, self._read_at, self._refusal = Facts(), None, None\n",
        "",
        "broker/test_recall.py::test_another_turn_begins_with_another_look",
    ),
    Fault(
        "whoever waits for a history that cannot be read asks for it once more",
        "broker/recall.py",
        "if self._refusal is not None and clock()",
        "if self._refusal is None and clock()",
        "broker/test_recall.py::test_what_could_not_be_read_is_not_asked_for_by_each_who_waits_but_later",
    ),
    Fault(
        "the leaf that lost a client CA is not told of a success after that",
        "broker/statements.py",
        "IN (SELECT number FROM success UNION SELECT number FROM proving)",
        "IN (SELECT number FROM proving)",
        "broker/test_contract_notes.py"
        "::test_a_client_ca_is_not_known_to_the_leaf_that_lost_it_either_once_another_one_has_succeeded[sqlite]",
    ),
    Fault(
        "of what ended well somewhere only the latest is looked at",
        "broker/statements.py",
        "json_extract(value, '$.gateway'),",
        "'',",
        "broker/test_contract_notes.py::test_where_it_ended_well_is_known_whatever_is_told_after_that[sqlite]",
    ),
    Fault(
        "every renewal that failed since a client CA was lost is read",
        "broker/statements.py",
        "GROUP BY json_extract(body, '$.data.outcome') = 'succeeded', (",
        "GROUP BY number, (",
        "broker/test_sqlite.py::test_however_often_it_fails_little_is_read_of_where_there_was_a_client_ca",
    ),
    Fault(
        "what is kept is looked through in one go",
        "broker/sqlite.py",
        "            await asyncio.sleep(0)\n        return facts",
        "        return facts",
        "broker/test_sqlite.py::test_while_what_is_kept_is_looked_through_others_have_their_turn",
    ),
    Fault(
        "only the latest events are looked at",
        "broker/statements.py",
        "WHERE certificate = ?1 AND placed IS NOT NULL\n        GROUP BY place",
        "WHERE certificate = ?1\n        GROUP BY number",
        "broker/test_contract_past.py::test_however_much_was_told_since_what_was_put_there_is_known[sqlite]",
    ),
    Fault(
        "what was undone comes back with a parked copy",
        "hindsight.py",
        "if is_withdrawn(self.past, renewal, leaf, now, is_again=is_again):",
        "if is_again is None:",
        "worker/test_hindsight.py::test_what_an_urgent_renewal_undid_does_not_come_back_with_a_parked_copy",
    ),
    Fault(
        "nobody may put back what was taken back",
        "core/withdrawal.py",
        "    return made <= by.at\n",
        "    return True\n",
        "core/test_withdrawal.py::test_only_who_knows_that_it_was_taken_back_may_put_it_there_again",
    ),
    Fault(
        "an id that was used before tells of another message",
        "broker/facts.py",
        'key = _key(str(event.get("id")), certificate, digest)',
        'key = _key(str(event.get("id")), certificate, None)',
        "worker/test_told_before.py::test_a_renewal_whose_id_was_used_before_is_rotated_when_its_copy_comes",
    ),
    Fault(
        "what was taken back is forgotten when the same is brought often",
        "core/past.py",
        'return f"{self.is_told:d} {self.fingerprint_sha256}"',
        'return f"{self.is_told:d} {self.fingerprint_sha256} {self.renewal_id}"',
        "worker/test_hindsight.py::"
        "test_however_often_the_same_is_brought_what_was_taken_back_stays_away_from_the_sweep",
    ),
    Fault(
        "what is refused drives out what was told",
        "broker/facts.py",
        "(self._refused if leaf is None else self._told).put",
        "self._told.put",
        "broker/test_facts.py::test_the_outcomes_that_anybody_can_bring_about_do_not_drive_out_others",
    ),
    Fault(
        "a turn that begins in the middle of a read believes it",
        "broker/recall.py",
        "        while turn != self._turn:",
        "        while turn is None:",
        "broker/test_recall.py::test_a_turn_that_begins_while_it_is_read_begins_with_another_look",
    ),
)
