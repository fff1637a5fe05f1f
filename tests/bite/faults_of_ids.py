"""Faults of what is told of ids, and known by them where they are not told."""

from typing import Final

from tests.bite.fault import Fault

_COPIES: Final = "broker/test_copies.py::"
_QUOTED: Final = "worker/test_quoted_key.py::"

OF_IDS: Final = (
    Fault(
        "a trace tells an id that may be another key",
        "attempt.py",
        "current_span().named(identity.renewal_id)",
        "current_span().named(renewal.id)",
        f"{_QUOTED}test_a_trace_does_not_tell_an_id_that_may_be_another_key_though_it_was_compared",
    ),
    Fault(
        "in a second life an id is told that the first one has withheld",
        "settlement.py",
        "        if told.withholds_id:\n            identity = identity.unnamed()\n",
        "",
        f"{_QUOTED}test_neither_is_it_told_in_the_second_life_where_another_key_stands_in_the_open_beside_it",
    ),
    Fault(
        "a renewal whose id is told to nobody is known by nothing when it comes again",
        "attempt.py",
        "identity.body_sha256 if identity.renewal_id is None else None)",
        "None)",
        "worker/test_hindsight.py"
        "::test_an_urgent_renewal_that_comes_again_undoes_nothing_though_its_id_is_told_to_nobody",
    ),
    Fault(
        "all renewals whose ids are told to nobody are one",
        "core/past.py",
        'known_as(_text(told.get("renewal_id")), _text(told.get("message_sha256"))),',
        'str(told.get("renewal_id")),',
        "core/test_past.py::test_a_renewal_whose_id_is_told_to_nobody_is_known_by_its_message",
    ),
    Fault(
        "a renewal whose id is told to nobody is kept from its own second attempt",
        "core/withdrawal.py",
        "== (renewal.known_as, leaf.fingerprint_sha256)",
        "== (renewal.id, leaf.fingerprint_sha256)",
        "core/test_withdrawal.py::test_what_one_whose_id_is_told_to_nobody_has_begun_to_put_back_it_may_end",
    ),
    Fault(
        "a dead letter is named by a message id that quotes its key",
        "core/message.py",
        "_if_harmless(message_id, quoting, is_split=is_split_there),",
        "message_id,",
        f"{_COPIES}test_a_dead_letter_is_not_named_by_a_message_id_that_quotes_the_key_that_comes_with_it",
    ),
    Fault(
        "what dead letters are called is not how they are put back",
        "broker/copies.py",
        "name = (None if claimed is None else identified(incoming.body, claimed)[2]) or digest",
        "name = claimed or digest",
        f"{_COPIES}test_a_dead_letter_is_not_named_by_a_message_id_that_quotes_the_key_that_comes_with_it",
    ),
    Fault(
        "of what is no message no key is found",
        "core/message.py",
        'return {"": body.decode("utf-8", "replace")}',
        "return {}",
        f"{_COPIES}test_a_dead_letter_is_not_named_by_a_message_id_that_quotes_the_key_that_comes_with_it",
    ),
)
