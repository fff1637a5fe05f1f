"""Whether a certificate was taken back, and shall stay away.

An urgent renewal has put an older one in its place, or what clients were served of it was bad.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.core.bundle import Leaf
from worker.core.past import moment
from worker.core.reporting import ROLLED_BACK


def was_taken_back(leaf: Leaf, events: Sequence[Mapping[str, Any]]) -> bool:
    """From the certificate's outcome events, newest first. What was put back later by a renewal of its own is not.

    While it was served, an older one could only be `superseded`: one that succeeded after it has taken its place.
    """
    has_older = False
    for event in events:
        data = event.get("data")
        told = data.get("leaf") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(told, dict):
            continue
        has_succeeded = data.get("outcome") == "succeeded"
        if _is_about(leaf, data) and has_succeeded:
            return has_older
        begins = moment(told.get("not_before"))
        is_older = begins is not None and begins < leaf.not_before
        if is_older and any(_is(leaf, one) for one in _replaced(data)):
            return True
        has_older |= is_older and has_succeeded
    return False


def was_rolled_back(leaf: Leaf, events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it went back at a deployment when it was last tried. From the certificate's events, newest first."""
    told = (event.get("data") for event in events)
    last = next((data for data in told if isinstance(data, dict) and _is_about(leaf, data)), None)
    if last is None:
        return False
    deployments = last.get("deployments")
    known = [one for one in deployments if isinstance(one, dict)] if isinstance(deployments, list) else []
    return any(one.get("reason") == ROLLED_BACK for one in (last, *known))


def _is_about(leaf: Leaf, data: Mapping[str, Any]) -> bool:
    told = data.get("leaf")
    return isinstance(told, dict) and told.get("fingerprint_sha256") == leaf.fingerprint_sha256


def _replaced(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What was stored where this put something else."""
    for deployment in data.get("deployments") or ():
        previous = deployment.get("previous")
        if deployment.get("replaced") and isinstance(previous, dict):
            yield previous


def _is(leaf: Leaf, previous: Mapping[str, Any]) -> bool:
    """Some gateways tell no serial numbers."""
    serial = previous.get("serial_number")
    if serial is not None:
        return bool(serial == str(leaf.serial_number))
    return moment(previous.get("not_after")) == leaf.not_after
