"""Every public reason is documented."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAISED = {"TransientError", "PermanentError", "RefusedError", "AmbiguousError", "Failure", "Rule"}
# Reasons that are chosen before they are given to an error.
CHOSEN = {
    *("rotated", "already_current", "downgrade", "withdrawn", "replayed"),
    *("binding_failed", "client_verification_changed"),
    *("forbidden", "auth_failed", "quota", "not_found", "certificate_rejected", "conflict", "bad_request"),
    *("throttled", "gateway_unavailable", "busy", "unsupported", "chain_order", "chain_extra"),
    *("chain_incomplete", "chain_untrusted", "still_old", "other_certificate", "not_reachable", "delivery_limit"),
    *("vault_forbidden", "vault_auth_failed", "rolled_back", "previous_not_kept"),
}


def raised() -> Iterator[str]:
    for file in (ROOT / "worker").rglob("*.py"):
        if "sandbox" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_every_reason_has_its_row() -> None:
    text = (ROOT / "docs" / "reasons.md").read_text()
    documented = set(re.findall(r"^\| `([a-z_0-9]+)` \|", text, re.MULTILINE))
    assert {*raised(), *CHOSEN} - documented == set()
