"""Faults of what the core decides: planning, reading back, concluding, checking certificates."""

from typing import Final

from tests.bite.fault import Fault

PLANNING: Final = (
    Fault(
        "older over newer",
        "core/planning.py",
        "    if undo_until is None:\n        return True\n",
        "    if undo_until is None:\n        return False\n",
        "core/test_planning.py::test_a_newer_stored_certificate_supersedes_the_renewal",
    ),
    Fault(
        "an urgent renewal undoes what came after it",
        "core/planning.py",
        "return stored.not_before > undo_until",
        "return False",
        "rotation/test_rotation.py::test_an_urgent_retry_does_not_undo_a_renewal_that_came_later",
    ),
    Fault(
        "an equal leaf is replaced again",
        "core/planning.py",
        '    if _is_same(stored, leaf):\n        return "same"\n',
        "",
        "rotation/test_rotation.py::test_running_a_finished_rotation_again_only_reads",
    ),
    Fault(
        "a serial number alone makes a leaf the same",
        "core/planning.py",
        "return stored.serial_number == leaf.serial_number and stored.not_after in (None, leaf.not_after)",
        "return stored.serial_number == leaf.serial_number",
        "core/test_planning.py::test_the_same_number_with_another_end_is_another_certificate",
    ),
    Fault(
        "names that the settings ask for are not compared",
        "rotation.py",
        "    check_covered(certificate.name, certificate.names, leaf)\n",
        "",
        "rotation/test_rotation.py::test_a_name_that_the_settings_ask_for_is_covered_where_only_listeners_are_bound",
    ),
    Fault(
        "uncovered names pass",
        "core/planning.py",
        "missing = uncovered(known, leaf.names)",
        "missing = uncovered(known, known)",
        "core/test_planning.py::test_a_bound_domain_that_the_certificate_does_not_cover_is_refused_and_named",
    ),
    Fault(
        "a client CA is dropped",
        "core/planning.py",
        "if stored.has_trusted_root_ca and deployment.trusted_root_ca is None:",
        "if stored.has_trusted_root_ca is None:",
        "core/test_planning.py::test_a_client_ca_that_a_modification_would_drop_is_refused",
    ),
    Fault(
        "flags are left to the gateway",
        "core/planning.py",
        "return binding.with_flag(has_ca if observed is None else observed)",
        "return binding.with_flag(has_ca)",
        "rotation/test_rotation.py::test_flags_are_kept_as_they_were",
    ),
    Fault(
        "the freshest of the wrong is retired for ever",
        "core/planning.py",
        "retire = _distinct([*replaced, *observed.leftovers])",
        "retire = _distinct([*observed.leftovers])",
        "core/test_planning.py::test_per_domain_uploads_where_the_certificate_is_not_current_and_retires_what_it_replaces",
    ),
)

JUDGING: Final = (
    Fault(
        "trust in the 204 of an attach",
        "core/readback.py",
        "if not shown or None in shown:",
        "if not shown:",
        "rotation/test_read_back.py::test_an_accepted_attach_without_effect_is_never_a_success",
    ),
    Fault(
        "a binding that is not shown is believed",
        "core/readback.py",
        "if not shown or None in shown:",
        "if None in shown:",
        "rotation/test_read_back.py::test_a_binding_that_is_not_shown_any_more_is_never_a_success",
    ),
    Fault(
        "trust in the 200 of a PUT",
        "core/readback.py",
        "if not shown.isdisjoint(others):",
        "if not shown.isdisjoint(()):",
        "rotation/test_rotation.py::test_an_accepted_replacement_without_effect_is_never_a_success",
    ),
    Fault(
        "a flag that moved is not seen",
        "core/readback.py",
        "flags - {None, wanted.client_verification}:",
        "not flags:",
        "rotation/test_rotation.py::test_a_flag_that_moves_is_told_and_put_right",
    ),
    Fault(
        "succeeded beats failed",
        "core/outcome.py",
        '"failed" if "failed" in outcomes else "superseded" if "superseded" in outcomes else "succeeded"',
        '"succeeded" if "succeeded" in outcomes else "failed" if "failed" in outcomes else "superseded"',
        "core/test_outcome.py::test_a_rotation_succeeds_only_when_every_deployment_does",
    ),
    Fault(
        "what lasts is tried again",
        "core/outcome.py",
        "transient = [failure for failure in report.failures if failure.transient]",
        "transient = list(report.failures)",
        "core/test_outcome.py::test_a_permanent_failure_gives_up_at_once",
    ),
    Fault(
        "one more attempt than is set",
        "core/outcome.py",
        "if transient and attempt < policy.attempts:",
        "if transient and attempt <= policy.attempts:",
        "core/test_outcome.py::test_the_last_attempt_gives_up_with_the_reason",
    ),
    Fault(
        "a hold is not kept when parking",
        "core/outcome.py",
        "return ParkFor(max(policy.delay(attempt), asked))",
        "return ParkFor(policy.delay(attempt))",
        "core/test_outcome.py::test_a_hold_that_the_gateway_asked_for_is_kept",
    ),
    Fault(
        "an expired certificate is accepted",
        "core/chain_rules.py",
        "if certificate.not_valid_after_utc <= case.now:",
        "if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:",
        "core/test_certificate.py::test_a_leaf_that_breaks_a_rule_is_refused",
    ),
    Fault(
        "a chain is not verified up to a root",
        "core/rules.py",
        '    Rule("chain_incomplete", chain.lacks_a_link),\n    Rule("chain_untrusted", chain.leads_nowhere),\n',
        "",
        "core/test_certificate.py::test_a_missing_intermediate_is_told_as_such",
    ),
    Fault(
        "a chain's signatures are not verified",
        "core/chain_rules.py",
        "            issued.verify_directly_issued_by(issuer)\n",
        "            pass\n",
        "core/test_certificate.py::test_an_intermediate_of_the_same_name_with_another_key_is_refused",
    ),
    Fault(
        "another certificate's key is accepted",
        "core/private_key.py",
        "if public_bytes(key) != public_key:",
        "if public_bytes(key) == b'':",
        "core/test_certificate.py::test_a_key_that_is_not_the_certificates_is_refused",
    ),
    Fault(
        "what the settings require only warns",
        "core/rules.py",
        'if told is not None and stance == "refuse":',
        'if told is not None and rule.switched is None and stance == "refuse":',
        "core/test_rules.py::test_where_the_settings_require_it_a_certificate_without_timestamps_is_refused",
    ),
    Fault(
        "an address may stand among the DNS names",
        "core/leaf_rules.py",
        "if not is_domain(name.lower()) or is_address(name):",
        "if not is_domain(name.lower()):",
        "core/test_rules.py::test_a_name_that_is_no_domain_is_refused",
    ),
    Fault(
        "an old key in a new certificate is not noticed",
        "intake.py",
        "before=self.keys.of(renewal.certificate))",
        "before=None)",
        "worker/test_key_memory.py::test_a_renewal_with_the_key_of_the_one_before_is_told_with_a_warning",
    ),
)

OF_JUDGEMENT: Final = (*PLANNING, *JUDGING)
