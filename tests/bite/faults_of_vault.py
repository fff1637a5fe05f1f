"""Faults where chain and key come from Vault."""

from typing import Final

from tests.bite.fault import Fault

OF_VAULT: Final = (
    Fault(
        "a secret's path leads elsewhere in Vault",
        "trust/vault/__init__.py",
        "if _PATH.fullmatch(path) is None:",
        "if not path:",
        "trust/test_vault.py::test_a_path_that_leads_elsewhere_is_refused_without_a_call",
    ),
    Fault(
        "a pinned version of a secret is not asked for",
        "trust/vault/__init__.py",
        'f"?version={version}"',
        '""',
        "trust/test_vault.py::test_a_pinned_version_is_read_whatever_was_written_since",
    ),
    Fault(
        "another version than was asked for is taken",
        "trust/vault/__init__.py",
        "if version is not None and told != version:",
        "if version is None and told != version:",
        "trust/test_vault.py::test_what_passes_at_vault_is_worth_another_try",
    ),
    Fault(
        "what Vault answers is read without end",
        "gateways/exchange.py",
        "if len(body) > longest:",
        "if len(body) > LONGEST_BODY:",
        "trust/test_vault.py::test_an_answer_is_read_up_to_its_limit",
    ),
    Fault(
        "a revoked token is the end",
        "trust/vault/__init__.py",
        "status != FORBIDDEN or ",
        "status == FORBIDDEN or ",
        "trust/test_vault_login.py::test_a_revoked_token_is_replaced_by_one_login_for_all_who_read",
    ),
    Fault(
        "everybody logs in",
        "lockout.py",
        "self._asked == known:",
        "known >= 0:",
        "trust/test_vault_login.py::test_a_revoked_token_is_replaced_by_one_login_for_all_who_read",
    ),
    Fault(
        "a forbidden secret costs a login each time",
        "trust/vault/tokens.py",
        "if self.clock() < held.stands_until:",
        "if self.clock() < 0:",
        "trust/test_vault_login.py::"
        "test_what_is_forbidden_to_a_new_token_too_is_forbidden_and_costs_no_login_each_time",
    ),
    Fault(
        "a refused login is tried again and again",
        "lockout.py",
        "abs(self.clock() - last.at) < _REFUSAL_STANDS:",
        "abs(self.clock() - last.at) < 0:",
        "trust/test_vault_login.py::test_a_refused_login_is_not_tried_again_before_its_secret_changes",
    ),
    Fault(
        "a token is used until it ends",
        "trust/vault/tokens.py",
        "now + renew_after,",
        "now + seconds,",
        "trust/test_vault_login.py::test_another_token_is_got_before_the_lease_ends",
    ),
    Fault(
        "an old token is dropped while the login is away",
        "trust/vault/tokens.py",
        "or old is None or self.clock() >= old.ends_at:",
        "or old is None or self.clock() >= 0:",
        "trust/test_vault_login.py::test_an_old_token_serves_while_the_login_is_away",
    ),
    Fault(
        "half a secret is refused at once",
        "trust/material.py",
        'frozenset({"vault_not_found"})\n_PASSING_OF_NEWEST: Final = _PASSING_OF_PINNED | {"vault_malformed"}',
        'frozenset({"vault_not_found"})\n_PASSING_OF_NEWEST: Final = _PASSING_OF_PINNED',
        "trust/test_vault.py::test_a_secret_that_is_written_in_two_steps_is_waited_for",
    ),
    Fault(
        "a sealed Vault costs the renewal",
        "trust/vault/door.py",
        'return TransientError("vault_unavailable", "Vault is sealed',
        'return PermanentError("vault_unavailable", "Vault is sealed',
        "worker/test_vault.py::test_a_renewal_waits_for_a_sealed_vault_and_its_key_goes_nowhere_else",
    ),
)
