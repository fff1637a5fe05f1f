"""Faults of what keeps keys in, and what others put in their place out."""

from typing import Final

from tests.bite.fault import Fault

_BACK: Final = "reliability/test_nothing_goes_back.py::"
_KNOWN: Final = "core/test_recognition.py::test_what_was_put_there_last_is_known_by_its_end_and_an_upload_by_its_name"
_KEYS: Final = (
    "trust/test_keys.py::test_a_public_key_with_a_word_against_its_use_or_with_something_else_in_it_is_refused"
)
_CUT: Final = "gateways/test_redaction.py::test_no_cut_of_a_key_that_was_sent_is_shown"
_DRESSED: Final = (
    "gateways/test_redaction.py::test_bytes_in_another_dress_are_not_shown_even_where_they_were_sent_by_another_call"
)
_READABLE: Final = "gateways/test_redaction.py::test_what_a_person_needs_stays_readable"
_FOLDERS: Final = "settings/test_folders.py::"
_PIECES: Final = "core/test_message.py::test_no_piece_of_a_key_is_told_as_an_id_or_a_name"

OF_DOORS: Final = (
    Fault(
        "a late urgent renewal undoes what was put there since",
        "hindsight.py",
        "return DOWNGRADE if is_undoing and",
        "return DOWNGRADE if not is_undoing and",
        f"{_BACK}test_an_urgent_renewal_that_comes_late_does_not_undo_what_was_put_there_after_it_was_signed[sqlite]",
    ),
    Fault(
        "what a person puts back is taken for late",
        "hindsight.py",
        "renewal.undo_until is not None and not is_put_back",
        "renewal.undo_until is not None",
        f"{_BACK}test_an_urgent_renewal_that_failed_may_be_put_back_whatever_was_put_there_since[sqlite]",
    ),
    Fault(
        "whatever was put there after the signature stays",
        "core/past.py",
        "return _is_newer(last, leaf) and last.at is not None",
        "return last.at is not None",
        "core/test_past.py::test_what_is_newer_and_was_put_there_after_the_signature_is_not_meant_by_it",
    ),
    Fault(
        "where only ends are told the history is not asked what is there",
        "rotation.py",
        "leaf is not None and urgency.undo_until is None and not gateway.tells_beginnings",
        "leaf is None and urgency.undo_until is None and not gateway.tells_beginnings",
        f"{_BACK}test_what_was_issued_again_with_the_same_end_takes_its_place[sqlite]",
    ),
    Fault(
        "what the history knows to be older is newer by its end",
        "core/planning.py",
        "begins = stored.not_before or stored.known_not_before",
        "begins = stored.not_before",
        _KNOWN,
    ),
    Fault(
        "what the history knows for another one is the same by its end",
        "core/planning.py",
        "    if stored.known_not_before is not None:\n        return False\n",
        "",
        _KNOWN,
    ),
    Fault(
        "what an earlier attempt has written is taken for what was there before",
        "core/recognition.py",
        "    if _may_be_ours(stored, snapshot):\n        return None\n",
        "",
        "core/test_recognition.py::test_what_an_earlier_attempt_may_have_written_is_left_to_what_its_gateway_shows",
    ),
    Fault(
        "other names are no sign of another certificate",
        "core/recognition.py",
        "is_other = is_alike and stored.names not in (None, frozenset(leaf.names))",
        "is_other = is_alike and stored.names in ()",
        "worker/test_reissued.py::"
        "test_what_was_issued_again_with_one_name_more_takes_its_place_though_nobody_has_told_what_is_there",
    ),
    Fault(
        "a history that is barred is waited for",
        "hindsight.py",
        "is_lasting = isinstance(error, TopologyError)",
        "is_lasting = error is None",
        "worker/test_hindsight.py::test_a_history_that_is_missing_or_barred_is_told_at_once_and_not_waited_for",
    ),
    Fault(
        "a worker without a history is ready",
        "web/server.py",
        "[] if state.is_remembering else",
        "[] if state else",
        "worker/test_health.py::test_a_worker_that_cannot_read_the_history_is_not_ready",
    ),
    Fault(
        "octal escapes are shown", "gateways/redaction.py", "(?P<octal>[01][0-7]{2})", "(?P<octal>[7][0-7]{2})", _CUT
    ),
    Fault(
        "HTML's numbers are shown",
        "gateways/redaction.py",
        "(?P<decimal>[0-9]{2,3})",
        "(?P<decimal>[a]{2,3})",
        _CUT,
    ),
    Fault(
        "numbers are shown",
        "gateways/dresses.py",
        "    yield from (found.span() for found in _NUMBERS.finditer(text))\n",
        "",
        _DRESSED,
    ),
    Fault("escaped bytes are shown", "gateways/dresses.py", "    yield from _escaped(text)\n", "", _DRESSED),
    Fault("base32 is shown", "gateways/dresses.py", "    yield from _base32(text)\n", "", _DRESSED),
    Fault("base85 is shown", "gateways/dresses.py", "    yield from _base85(text)\n", "", _DRESSED),
    Fault(
        "whatever has many signs is starred",
        "gateways/dresses.py",
        "odd * _ONE_IN >= len(run[0]) and not all(",
        "odd * _ONE_IN >= len(run[0]) or not all(",
        _READABLE,
    ),
    Fault(
        "a folder that everybody may write is taken",
        "settings/folders.py",
        "if folder.st_mode & stat.S_IWOTH:",
        "if folder.st_mode & stat.S_IWOTH & stat.S_IWGRP:",
        f"{_FOLDERS}test_a_folder_that_everybody_may_write_is_named_wherever_it_is_on_the_way",
    ),
    Fault(
        "only the nearest folder is looked at",
        "settings/folders.py",
        "yield from dict.fromkeys((*seen, folder, *folder.parents))",
        "yield folder",
        f"{_FOLDERS}test_a_folder_that_everybody_may_write_is_named_wherever_it_is_on_the_way",
    ),
    Fault(
        "the folders of a link are not looked at",
        "settings/folders.py",
        "yield from dict.fromkeys((*seen, folder, *folder.parents))",
        "yield from (folder, *folder.parents)",
        f"{_FOLDERS}test_a_link_leads_through_the_folders_of_both_its_ends",
    ),
    Fault(
        "a secret's file that was changed a moment ago is taken for the same",
        "settings/credentials.py",
        "if opened[0].st_ctime < self.clock() - _AT_REST:",
        "if opened[0].st_ino:",
        "settings/test_credentials.py::test_a_file_that_was_changed_a_moment_ago_is_read_again",
    ),
    Fault(
        "a secret's rights are looked at once",
        "settings/credentials.py",
        "status.st_size, status.st_mtime_ns, status.st_ctime_ns",
        "status.st_size, status.st_mtime_ns",
        "settings/test_credentials.py::test_a_file_that_others_can_read_by_now_is_refused_though_its_secret_is_known",
    ),
    Fault(
        "what was replaced while it was read is taken",
        "trust/files.py",
        "if chain_at.is_still_so and key_at.is_still_so:",
        "if chain_at and key_at:",
        "trust/test_files_replaced.py::test_what_is_replaced_in_place_while_it_is_read_is_read_again",
    ),
    Fault(
        "what was opened need not be what was looked at",
        "trust/files.py",
        "if (status.st_dev, status.st_ino) != sight.identity[:2]:",
        "if not status.st_ino:",
        "trust/test_files_replaced.py::test_a_folder_that_becomes_a_link_out_of_the_roots_leads_nowhere_whenever_and_for_how_long",
    ),
    Fault(
        "where a name leads is looked at once",
        "trust/files.py",
        "self.name.resolve(strict=True) == self.path and _identity(self.name) == self.identity",
        "_identity(self.name) == self.identity",
        "trust/test_files_replaced.py::test_a_folder_that_becomes_a_link_out_of_the_roots_leads_nowhere_whenever_and_for_how_long",
    ),
    Fault(
        "a token that was refused is not read again",
        "gateways/huawei_apig/auth.py",
        "        self.file.forget()\n",
        "",
        "gateways/test_rereading.py::test_a_token_that_is_refused_is_read_again_though_its_file_looks_the_same",
    ),
    Fault(
        "a bearer token that was refused is not read again",
        "gateways/bycloud/auth.py",
        "        self.file.forget()\n",
        "",
        "gateways/test_rereading.py::test_a_token_that_is_refused_is_read_again_though_its_file_looks_the_same",
    ),
    Fault(
        "who becomes urgent while there is no room waits behind who comes urgent later",
        "limits/limits.py",
        "        self._queue.promote()\n        self._admit()",
        "        self._admit()",
        "limits/test_fairness.py::test_who_becomes_urgent_goes_before_who_comes_urgent_later",
    ),
    Fault(
        "a folder as in /tmp is refused",
        "settings/folders.py",
        "    if folder.st_mode & stat.S_ISVTX:\n        return None\n",
        "",
        f"{_FOLDERS}test_a_mounted_secret_is_taken",
    ),
    Fault(
        "the folders of public keys are not looked at",
        "settings/loading.py",
        '        *((f"trust.producers.{name}.public_key", one.public_key) for name, one in trust.producers.items()),\n',
        "",
        f"{_FOLDERS}test_every_file_that_is_trusted_is_named_by_its_key",
    ),
    Fault(
        "the folder of the settings is not looked at",
        "settings/sources.py",
        "problem_of_kind(status) or problem_of_folders(file)",
        "problem_of_kind(status)",
        f"{_FOLDERS}test_settings_in_a_folder_that_everybody_may_write_are_not_read",
    ),
    Fault("a public key may hold anything else", "trust/members.py", "    if odd:\n", "    if odd < 0:\n", _KEYS),
    Fault(
        "a public key is used for what it is not for",
        "trust/members.py",
        'if fields.get("use", "sig" if signs else "enc") !=',
        'if not fields and fields.get("use", "sig" if signs else "enc") !=',
        _KEYS,
    ),
    Fault(
        "a piece of a key is an id",
        "core/message.py",
        "    is_split = is_in_pieces(texts)",
        "    is_split = False",
        _PIECES,
    ),
    Fault(
        "a key is a name",
        "core/message.py",
        "        _if_harmless(certificate, quoting, is_split=is_split),",
        "        certificate,",
        _PIECES,
    ),
    Fault(
        "an id is not compared with the key beside it",
        "core/message.py",
        " or text in quoting else text",
        " else text",
        "core/test_message.py::test_no_id_that_quotes_the_key_that_comes_with_it_is_told",
    ),
    Fault(
        "harmless values hide a key beside them",
        "core/pieces.py",
        "return texts if len(texts) <= _MOST else None",
        "return texts[:_MOST]",
        "core/test_message.py::test_where_more_is_brought_than_is_compared_neither_id_nor_name_is_told",
    ),
    Fault(
        "keys that are too many or too long are left out",
        "core/quoting.py",
        "return keys if len(keys) <= _MOST_KEYS and all(len(one.reveal()) <= LONGEST_KEY for one in keys) else None",
        "return [one for one in keys[:_MOST_KEYS] if len(one.reveal()) <= LONGEST_KEY]",
        "core/test_message.py::test_where_more_is_brought_than_is_compared_neither_id_nor_name_is_told",
    ),
    Fault(
        "an id is not compared with the key that was opened",
        "intake.py",
        "        _compare(renewal, material)\n",
        "",
        "worker/test_quoted_key.py::test_an_id_in_which_the_renewals_own_key_stands_is_refused_and_told_nowhere",
    ),
    Fault(
        "a key is compared as it stands in its file, where it may not be alone",
        "core/quoting.py",
        "for block in blocks for number",
        "for block in [text] for number",
        "core/test_quoting.py::test_a_key_is_known_again_in_every_form_in_which_it_is_taken",
    ),
    Fault(
        "a span tells an id before it was compared with its key",
        "tracing/exporting.py",
        '"rotation.attempt": subject.attempt,',
        '"rotation.attempt": subject.attempt, "rotation.renewal_id": subject.renewal_id,',
        "worker/test_quoted_key.py::test_neither_does_a_trace_tell_it_in_the_first_life_or_the_second",
    ),
    Fault(
        "a page shows an id before it was compared with its key",
        "fleet/progress.py",
        "self.renewal_id if self.effort.is_compared else None",
        "self.renewal_id",
        "worker/test_quoted_key.py::test_no_page_shows_the_id_of_what_waits_for_a_place_before_its_key_was_read",
    ),
    Fault(
        "what is parked shows an id that was not compared with its key",
        "fleet/waiting.py",
        "one if is_named else replace(one, renewal_id=None)",
        "one",
        "fleet/test_model.py::test_the_id_of_what_is_parked_is_shown_only_where_it_may_be_and_known_again_all_the_same",
    ),
    Fault(
        "what quotes its key is kept when it is settled in a second life",
        "settlement.py",
        "return replace(look, may_keep=False) if reason == UNOPENED.reason else look",
        "return look",
        "worker/test_quoted_key.py::test_neither_is_it_told_nor_its_body_kept_when_only_the_settlement_is_left",
    ),
    Fault(
        "a renewal's certificate is what its message looks like",
        "settlement.py",
        "return replace(self, certificate=renewal.certificate, is_opened=True)",
        "return replace(self, certificate=None, is_opened=True)",
        "worker/test_quoted_key.py::test_an_id_in_which_the_renewals_own_key_stands_is_refused_and_told_nowhere",
    ),
    Fault(
        "a key comes back after its compromise",
        "hindsight.py",
        "if leaf.public_key_sha256 in exposed_in(self.past):",
        "if False:",
        "worker/test_key_memory.py::"
        "test_a_key_that_was_replaced_because_of_a_compromise_does_not_come_back_with_an_ordinary_renewal",
    ),
    Fault(
        "an exposed key is forgotten with an outcome of a time when nobody could read the history",
        "broker/facts.py",
        "came = placed if last is None else _knowing(placed, known[last])",
        "came = placed",
        "worker/test_key_memory.py::test_an_exposed_key_outlives_outcomes_of_a_time_when_nobody_could_read_the_history",
    ),
    Fault(
        "an exposed key is forgotten where no other time slice follows",
        "hindsight.py",
        "effort.left = replace(effort.left, exposed_keys=exposed_keys)",
        "pass",
        "worker/test_slices.py::test_what_a_compromise_has_replaced_is_told_when_nothing_more_is_reached",
    ),
    Fault(
        "an exposed key is forgotten with the outcome that told of it",
        "hindsight.py",
        "if is_compromise else exposed_in(self.past)",
        "if is_compromise else ()",
        "worker/test_key_memory.py::test_an_exposed_key_outlives_outcomes_of_a_time_when_nobody_could_read_the_history",
    ),
    Fault(
        "nobody looks at the dead while a worker is at work",
        "reloading.py",
        ", beside(work.shielding.run())",
        "",
        "worker/test_shielding.py::test_a_worker_leaves_no_key_among_the_dead_of_its_file",
    ),
    Fault(
        "as many dead letters as before are the same ones",
        "shielding.py",
        "or (state.dead and self._passed_over >= _ANYWAY)",
        "",
        "worker/test_shielding.py::"
        "test_the_active_worker_looks_at_the_dead_whenever_there_are_others_and_now_and_then_anyway",
    ),
    Fault(
        "who stands in for a worker keeps whatever it gives up",
        "commands/reading.py",
        "judge_of(settings))",
        "lambda _message: None)",
        "worker/test_shielding.py::test_what_a_command_gives_up_in_a_workers_place_holds_no_key",
    ),
    Fault(
        "all dead letters are in memory at once",
        "broker/letters.py",
        "        async for one in letters:\n            is_exposed",
        "        for one in [letter async for letter in letters]:\n            is_exposed",
        "broker/test_contract_dead.py::test_of_many_dead_letters_no_more_than_the_one_that_is_looked_at_is_in_memory",
    ),
    Fault(
        "what was given up and replayed before is never judged",
        "broker/statements.py",
        "WHERE state = 'dead' AND reason = 'delivery_limit'",
        "WHERE state = 'dead' AND reason = 'delivery_limit' AND told_at IS NULL",
        "broker/test_contract_dead.py::test_what_was_replayed_and_then_died_of_deliveries_is_judged_too",
    ),
    Fault(
        "one key file that is gone shuts all",
        "trust/keys.py",
        "if problem is not None and not wanted:",
        "if problem is not None:",
        "trust/test_sealing.py::test_another_key_file_that_is_gone_keeps_nothing_shut",
    ),
    Fault(
        "the embedded broker keeps what it gives up by itself",
        "broker/sqlite.py",
        "is_exposed = self._exposes(message)",
        "is_exposed: bool | None = None",
        "broker/test_contract_dead.py::test_what_the_embedded_broker_gives_up_by_itself_holds_no_key_from_then_on",
    ),
    Fault(
        "the embedded broker goes by the settings of its start",
        "app.py",
        "judge_of_today(lambda: generations.today.settings)",
        "judge_of(settings)",
        "reliability/test_process_reload.py::"
        "test_what_the_embedded_broker_gives_up_is_judged_by_the_settings_as_they_are",
    ),
    Fault("uuencode is shown", "gateways/dresses.py", "    yield from _uuencoded(text)\n", "", _DRESSED),
    Fault(
        "letters of full width are shown",
        "gateways/redaction.py",
        'unicodedata.normalize("NFKC", text)',
        "text",
        _DRESSED,
    ),
)
