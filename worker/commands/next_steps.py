"""What to do about an error, in one line: by what it says itself, else by its reason, else by its kind."""

import errno
from collections.abc import Mapping, Sequence
from typing import Final

from worker.broker.base import BrokerError, TopologyError
from worker.core.errors import RotationError
from worker.settings import SettingsError
from worker.spool import SpoolError

_FILES: Final = "name the files that the ACME client has just written: the chain with the leaf first, and its own key"
_ISSUE: Final = "have the certificate issued again, as the message says, and pass the new files"
_RENEW: Final = "renew it with the ACME client, and pass the new files"
_CHAIN: Final = "pass the full chain: the leaf first, then each one's issuer, and nothing else"
_PRODUCER: Final = "mend what the producer sends, as the message says, and publish it again"
_TRUST: Final = "compare the producer's keys and settings with [trust] of the worker, and publish it again"
_MODE: Final = "give the file to the user who runs this, with chmod 600, and run it again"
_LATER: Final = "run it again in a few minutes; if it stays so, `rotation-worker check` tries the gateway"
_GATEWAY: Final = "read what the gateway says; `rotation-worker plan CERT` shows what is stored and bound there"
_VAULT: Final = "look at trust.vault in the settings and at the policy in Vault; `rotation-worker check` tries both"
_KEPT: Final = "look at trust.previous in the settings and at what lies there; `rotation-worker check` tries it"
_DEPLOYMENT: Final = "correct the deployment in the settings; `rotation-worker discover GATEWAY` prints what there is"
_SERVED: Final = "look at what serves the name, at [certificates.NAME.verify] and at the way there, then run it again"
_BUG: Final = "report it with the output of the same command with -v"
_PLAIN: Final = "take the key as exposed: have the certificate issued with a new one, and send that sealed"

BY_REASON: Final[Mapping[str, str]] = {
    **dict.fromkeys(("pem_empty", "pem_garbage", "pem_label", "cert_unparseable", "key_unparseable"), _FILES),
    **dict.fromkeys(("key_mismatch", "file_not_found", "file_not_regular", "too_large", "material_missing"), _FILES),
    **dict.fromkeys(("too_many_certs", "too_many_sans", "no_san", "domain_syntax", "leaf_is_ca", "precert"), _ISSUE),
    **dict.fromkeys(("eku_no_serverauth", "weak_key", "rsa_exponent", "ec_curve", "key_type", "sig_hash"), _ISSUE),
    **dict.fromkeys(("must_staple", "no_sct", "cn_not_in_san", "key_reused", "provider_limits"), _ISSUE),
    **dict.fromkeys(("chain_signature", "staging_issuer", "certificate_rejected"), _ISSUE),
    **dict.fromkeys(
        ("chain_order", "chain_extra", "chain_incomplete"),
        "pass the full chain: leaf first, each followed by its issuer",
    ),
    **dict.fromkeys(("expired", "expires_too_soon"), _RENEW),
    "not_yet_valid": "look at this machine's clock; if it is right, run it again once the certificate is valid",
    "chain_untrusted": "set trust.ca_bundle to the roots that its CA leads up to, or have it issued by a public CA",
    "key_encrypted": "decrypt the key for the worker: `openssl pkey -in KEY -out DECRYPTED`",
    "name_not_covered": "have it issued for every name that is bound; `rotation-worker plan CERT` lists them",
    "file_outside_roots": "put the folder into trust.roots.files, or name files below one of them",
    "file_unreadable": "look at the disk that the file lies on, and run it again",
    "file_permissions": _MODE,
    **dict.fromkeys(("malformed", "unsupported_version", "vault_malformed", "held_not_possible"), _PRODUCER),
    **dict.fromkeys(("bad_signature", "wrong_audience", "cannot_decrypt", "envelope_mismatch"), _TRUST),
    **dict.fromkeys(("unauthorized_producer", "stale_message", "key_file_unreadable"), _TRUST),
    "unknown_certificate": "put the certificate into the settings, then `rotation-worker dead replay`",
    "plain_key_refused": _PLAIN,
    "maxlen": "find the policy that limits the length of the queue, and take it away",
    "rejected": "find out who consumes from the worker's queue beside it, and stop that",
    "unknown": "look at the message at the broker: it did not say why it gave it up",
    **dict.fromkeys(("vault_not_configured", "vault_untrusted", "vault_auth_failed", "vault_forbidden"), _VAULT),
    **dict.fromkeys(("vault_not_found", "vault_deleted", "vault_unavailable"), _VAULT),
    "binding_failed": "mend what is told of each binding that failed, and run it again: the others stay as they are",
    "not_found": _DEPLOYMENT,
    **dict.fromkeys(("ambiguous_name", "trusted_root_ca_missing", "unsupported"), _DEPLOYMENT),
    "forbidden": "grant the right; `rotation-worker check` names each one that is missing",
    "auth_failed": "look at the gateway's auth in the settings, and at its files; `rotation-worker check` tries them",
    "quota": "delete certificates at the gateway that nothing uses, or have the quota raised, and run it again",
    **dict.fromkeys(("throttled", "busy", "gateway_unavailable"), _LATER),
    "gateway_untrusted": "look at the gateway's endpoint and ca_file in the settings",
    "unexpected_redirect": "set the gateway's endpoint, or Vault's address, to where the redirect leads",
    **dict.fromkeys(("provider_mismatch", "conflict", "bad_request", "certificate_not_active"), _GATEWAY),
    "client_verification_changed": "look at the domain's client verification at the gateway, and run it again",
    **dict.fromkeys(("still_old", "other_certificate", "not_reachable", "rolled_back"), _SERVED),
    **dict.fromkeys(("previous_not_kept", "previous_unavailable", "previous_permissions"), _KEPT),
    **dict.fromkeys(("previous_broken", "previous_mismatch", "previous_unusable"), _KEPT),
    "broker_unavailable": "start the broker, or correct [broker] in the settings; `rotation-worker check` tries it",
    "history_unreadable": "let the worker's user read the history stream; `rotation-worker check` tries each right",
    "worker_exhausted": "make room on this machine (disk, memory, open files), and run it again",
    "delivery_limit": "look at the log of the worker for what killed it, then `rotation-worker dead replay`",
    "not_told": "start `rotation-worker run` where none is at work; `rotation-worker history CERT` will tell",
    "internal_error": _BUG,
}

_SETTINGS: Final = "correct what is named; `rotation-worker check` then tries the settings without changing anything"
_LOST: Final = BY_REASON["broker_unavailable"]
_TOPOLOGY: Final = "look at the broker's objects and at the user's rights; `rotation-worker check` tries each"
_SPOOL: Final = "make publish.spool a folder of the user who runs this, with room on its disk"
_NO_ROOM: Final = "make room on the disk that it writes to, and run it again"
_NO_RIGHT: Final = "run it as a user who may read and write there"
_APPLY: Final = "declare what is missing with `rotation-worker topology apply`, as a user who may configure"
_DIFFERENT: Final = "name another one in [broker], or empty and delete it, then `rotation-worker topology apply`"
_RIGHTS: Final = "give the user the rights that `rotation-worker topology export` prints, or use its own user"
_BY_TEXT: Final[Sequence[tuple[str, str]]] = (
    ("Address already in use", "stop what listens there, or set http.listen to another port"),
    ("cannot listen there", "set http.listen to an address of this machine, such as 127.0.0.1:8080"),
    ("No space left on device", _NO_ROOM),
    ("disk is full", _NO_ROOM),
    ("Permission denied", _NO_RIGHT),
    ("readonly database", _NO_RIGHT),
    ("can be read by everybody", _MODE),
    ("everybody can read it", _MODE),
    ("can be written by everybody", _MODE),
    ("can write it", _MODE),
    ("is another user's", "run it as that user, or give the file to the user who runs this"),
    ("refuses these credentials", "look at user and password in broker.url, or in the file that broker.url_file names"),
    ("has no file yet", "make it with `rotation-worker topology apply`, or start `rotation-worker run`"),
    ("exists with other arguments", _DIFFERENT),
    ("inequivalent arg", _DIFFERENT),
    ("not allowed", _RIGHTS),
    ("refused for user", _RIGHTS),
    ("no queue", _APPLY),
    ("no exchange", _APPLY),
)
"""By what an error says in our words, the system's or the broker's. The first that fits counts."""
_BY_KIND: Final[Sequence[tuple[type[Exception], str]]] = (
    (SettingsError, _SETTINGS),
    (TopologyError, _TOPOLOGY),
    (BrokerError, _LOST),
    (SpoolError, _SPOOL),
)
_MISSING: Final = ": is missing"
_BY_NUMBER: Final[Mapping[int, str]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _NO_ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _NO_RIGHT),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM), BY_REASON["worker_exhausted"]),
    errno.EIO: "look at the disk that it writes to, and run it again",
}


def next_step(error: Exception) -> str:
    """Never empty."""
    if isinstance(error, SettingsError) and error.next_step:
        return error.next_step
    if isinstance(error, RotationError):
        return next_step_after(error.reason)
    return by_text(str(error), _by_kind(error))


def _by_kind(error: Exception) -> str:
    if isinstance(error, TopologyError) and _MISSING in str(error):
        return _APPLY
    return next((step for kind, step in _BY_KIND if isinstance(error, kind)), _BUG)


def by_text(text: str, otherwise: str) -> str:
    return next((step for words, step in _BY_TEXT if words in text), otherwise)


def next_step_after(reason: str) -> str:
    """By the public word of an outcome."""
    return BY_REASON.get(reason, _GATEWAY)


def next_step_of_the_system(error: OSError) -> str | None:
    """None where that is nobody's to mend but ours."""
    return _BY_NUMBER.get(error.errno or 0)
