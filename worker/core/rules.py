"""The rules that a certificate must pass before any cloud hears of it, in their order; `docs/certificate-rules.md`.

What cannot be read is refused before, by `pem` and `reading`; the key is compared behind, by `private_key`. What is
asked of a certificate beside those that are stored and bound (names covered, no downgrade) is asked by `planning`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.core import chain_rules as chain
from worker.core import leaf_rules as leaf
from worker.core.case import MUST_STAPLE, Case, Rules
from worker.core.errors import RefusedError
from worker.core.stance import Stance


@dataclass(frozen=True, slots=True)
class Rule:
    """A pure check with its public reason. `broken` says in words what is wrong, or None."""

    reason: str
    broken: Callable[[Case], str | None]
    switched: Stance | None = None
    """Where nothing is said, of a rule that the settings may switch; None: it cannot be, and refuses."""


_KEY_REUSED: Final = "key_reused"
RULES: Final[Sequence[Rule]] = (
    Rule("leaf_is_ca", leaf.is_a_ca),
    Rule("precert", leaf.is_a_precertificate),
    Rule("eku_no_serverauth", leaf.is_for_no_server),
    Rule("no_san", leaf.names_nothing),
    Rule("too_many_sans", leaf.names_too_much),
    Rule("domain_syntax", leaf.has_unsound_names),
    Rule("key_type", leaf.has_a_strange_key),
    Rule("weak_key", leaf.has_a_weak_key),
    Rule("rsa_exponent", leaf.has_a_weak_exponent),
    Rule("ec_curve", leaf.is_on_another_curve),
    Rule("sig_hash", chain.is_signed_weakly),
    Rule("not_yet_valid", chain.begins_later),
    Rule("expired", chain.has_ended),
    Rule("expires_too_soon", chain.ends_too_soon),
    Rule("provider_limits", leaf.outlives_the_gateway),
    Rule("chain_order", chain.is_out_of_order),
    Rule("chain_extra", chain.has_strangers),
    Rule("chain_signature", chain.is_signed_wrongly),
    Rule("staging_issuer", chain.is_for_tests),
    Rule(MUST_STAPLE, leaf.demands_stapling, "refuse"),
    Rule("chain_incomplete", chain.lacks_a_link),
    Rule("chain_untrusted", chain.leads_nowhere),
    Rule("no_sct", leaf.is_not_logged, "warn"),
    Rule("cn_not_in_san", leaf.has_another_common_name, "warn"),
    Rule(_KEY_REUSED, leaf.keeps_its_key, "warn"),
)

LENIENT: Final = Rules(
    allow_staging=True,
    allow_p521=True,
    stances={rule.reason: "allow" for rule in RULES if rule.switched is not None},
)
"""What no settings refuse: for those who send to a worker whose settings they do not know."""


def warnings_of(case: Case) -> tuple[str, ...]:
    """The reasons of the broken rules that only warn; RefusedError of the first that refuses."""
    return tuple(rule.reason for rule in RULES if _warns(rule, case))


def _warns(rule: Rule, case: Case) -> bool:
    stance = _stance(rule, case)
    told = None if stance == "allow" else rule.broken(case)
    if told is not None and stance == "refuse":
        raise RefusedError(rule.reason, told)
    return told is not None


def _stance(rule: Rule, case: Case) -> Stance:
    """Whatever the settings say, a key that strangers may have is not installed once more."""
    if rule.switched is None or (rule.reason == _KEY_REUSED and case.is_key_exposed):
        return "refuse"
    return case.rules.stances.get(rule.reason, rule.switched)
