"""Faults of what lets bad input in, or stumbles over it."""

from typing import Final

from tests.bite.fault import Fault

_CRAFTED: Final = "bad_inputs/test_crafted_keys.py::test_no_crafted_key_is_loaded_slowly"
_JSON: Final = "bad_inputs/test_json_bodies.py::test_a_renewal_that_holds_anything_else_is_refused_as_a_whole"

OF_INPUT: Final = (
    Fault(
        "keys of any length are read",
        "core/pem.py",
        "if len(text) > LONGEST_KEY:",
        "if len(text) > LONGEST_CHAIN:",
        _CRAFTED,
    ),
    Fault(
        "keys of any algorithm are loaded",
        "core/key_kind.py",
        "if not algorithm[1].startswith(_TAKEN):",
        "if not algorithm[1]:",
        _CRAFTED,
    ),
    Fault(
        "a key of any length is compared with the id",
        "intake.py",
        "len(key.reveal()) <= LONGEST_KEY",
        "key is not None",
        "bad_inputs/test_crafted_keys.py::test_a_key_that_is_too_long_is_compared_with_no_id",
    ),
    Fault(
        "an algorithm is looked up by its hash",
        "trust/signing.py",
        '_ACCEPTED: Final = (_ALGORITHM, "EdDSA")',
        '_ACCEPTED: Final = frozenset({_ALGORITHM, "EdDSA"})',
        "trust/test_signing.py::test_another_header_is_refused_though_the_signature_is_sound",
    ),
    Fault(
        "files of an unknown version are a bug",
        "core/reading.py",
        "    x509.InvalidVersion,\n",
        "",
        "trust/test_files_replaced.py::test_a_pair_that_cannot_be_read_is_left_to_the_rules",
    ),
    Fault(
        "of a name that stands twice the last counts",
        "core/message.py",
        "object_pairs_hook=without_repeats, parse_constant=_refuse",
        "parse_constant=_refuse",
        _JSON,
    ),
    Fault(
        "half a character is taken for one",
        "core/message.py",
        "if _SURROGATE.search(text):",
        "if False:",
        _JSON,
    ),
    Fault(
        "a key is looked for as it was sent alone",
        "gateways/redaction.py",
        "*_cut(text, (*secrets, *words)), ",
        "",
        "gateways/test_redaction.py::test_no_cut_of_a_key_that_was_sent_is_shown",
    ),
    Fault(
        "what another call has sent is shown",
        "gateways/redaction.py",
        ", *dressed(text)]",
        "]",
        "gateways/test_redaction.py::test_a_long_run_is_not_shown_even_where_it_was_sent_by_another_call",
    ),
    Fault(
        "the worker waits for the passphrase of a key",
        "tls.py",
        ', password="")',
        ")",
        "test_tls.py::test_nobody_is_asked_for_the_passphrase_of_the_brokers_key",
    ),
)
