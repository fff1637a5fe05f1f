"""Faults in who is believed, and what they may name."""

from typing import Final

from tests.bite.fault import Fault

OF_TRUST: Final = (
    Fault(
        "anybody may renew",
        "trust/opening.py",
        "(producer is None or producer not in allowed)",
        "producer is None",
        "trust/test_opening.py::test_nobody_else_may",
    ),
    Fault(
        "a signature counts for less than the sender's name",
        "trust/opening.py",
        "producer = signer if signer is not None else message.user_id",
        "producer = message.user_id or signer",
        "trust/test_signing.py::test_a_signature_stands_for_the_user_and_lists_decide",
    ),
    Fault(
        "unsigned where a signature is asked for",
        "trust/opening.py",
        "if policy.require_signature and message.user_id != OWN_PRODUCER:",
        "if policy.require_signature and message.user_id is None:",
        "trust/test_opening.py::test_an_unsigned_message_is_refused_where_a_signature_is_asked_for",
    ),
    Fault(
        "the worker's own name is good for anything",
        "trust/opening.py",
        "if producer == OWN_PRODUCER and not _is_of_the_sweep(renewal, policy):",
        "if producer == OWN_PRODUCER and renewal.id == producer:",
        "trust/test_opening.py::test_the_workers_own_name_is_good_for_what_the_sweep_makes_alone",
    ),
    Fault(
        "another tenant's files are read",
        "trust/opening.py",
        "if folder is not None and not (is_below(chain, folder) and is_below(private_key, folder)):",
        "if folder is not None and not is_below(private_key, folder):",
        "trust/test_opening.py::test_files_of_other_certificates_are_refused_before_anything_is_read",
    ),
    Fault(
        "another tenant's secrets are read",
        "trust/opening.py",
        "if folder is not None and not is_below(path, folder):",
        "if folder is None:",
        "trust/test_opening.py::test_secrets_of_other_certificates_are_refused_before_vault_is_asked",
    ),
    Fault(
        "a folder is known by how it begins",
        "core/places.py",
        "named.is_relative_to(folder)",
        "str(named).startswith(folder)",
        "trust/test_opening.py::test_files_of_other_certificates_are_refused_before_anything_is_read",
    ),
    Fault(
        "a plain key is accepted",
        "trust/opening.py",
        "if isinstance(renewal.material, Plain) and not policy.allow_plain_keys:",
        "if isinstance(renewal.material, Plain) and policy.require_signature:",
        "trust/test_opening.py::test_a_key_in_the_open_is_refused_unless_it_is_allowed",
    ),
    Fault(
        "a plain key is kept in the dead queue",
        "trust/keeping.py",
        "        case PlainMaterial():\n            return False\n",
        "        case PlainMaterial():\n            return True\n",
        "trust/test_keeping.py::test_a_body_that_may_hold_a_key_in_the_open_is_never_kept",
    ),
    Fault(
        "a key in place of a chain is kept in the dead queue",
        "trust/keeping.py",
        "return is_sealed(jwe) and _is_chain(chain)",
        "return is_sealed(jwe) and 'PRIVATE KEY' not in chain",
        "trust/test_keeping.py::test_a_body_that_may_hold_a_key_in_the_open_is_never_kept",
    ),
    Fault(
        "a key in the dress of an envelope is kept in the dead queue",
        "trust/sealing.py",
        "and not _is_readable(content)",
        "",
        "trust/test_keeping.py::test_a_body_that_may_hold_a_key_in_the_open_is_never_kept",
    ),
    Fault(
        "a plain key that was never opened is parked",
        "settlement.py",
        "if isinstance(disposition, ParkFor) and not identity.is_opened and not self._may_keep(delivery):",
        "if isinstance(disposition, ParkFor) and identity.is_opened and not self._may_keep(delivery):",
        "worker/test_unopened.py::test_what_cannot_be_looked_into_yet_is_not_parked_with_a_key_in_the_open",
    ),
    Fault(
        "an envelope is opened whatever its header asks for",
        "trust/sealing.py",
        'if (header.get("alg"), header.get("enc")) != (_ALGORITHM, _ENCRYPTION) or set(header) - _HEADER:',
        "if header == {}:",
        "trust/test_sealing.py::test_other_envelopes_are_refused_before_they_cost_anything",
    ),
    Fault(
        "a message meant for another worker is taken",
        "trust/signing.py",
        'if header["aud"] != audience:',
        'if header["aud"] == "":',
        "trust/test_signing.py::test_another_header_is_refused_though_the_signature_is_sound",
    ),
    Fault(
        "a signed message is good for ever",
        "trust/signing.py",
        "expires <= now.timestamp() or",
        "",
        "trust/test_signing.py::test_a_message_is_good_for_as_long_as_it_says",
    ),
    Fault(
        "a signature has no age",
        "trust/signing.py",
        "if issued < now.timestamp() - window:",
        "if issued < 0:",
        "trust/test_signing.py::test_a_message_is_good_for_no_longer_than_the_worker_says",
    ),
    Fault(
        "an urgent message undoes what came after its signature",
        "core/renewal.py",
        "(self.time, self.signed_at)",
        "(self.time,)",
        "trust/test_signing.py::test_what_is_signed_undoes_nothing_that_is_newer_than_its_signature",
    ),
)
