"""Valid core values with overridable fields."""

from datetime import UTC, datetime
from typing import Any

from worker.core.bundle import Bundle, Leaf
from worker.core.deployment import Binding, Certificate, Deployment
from worker.core.planning import Bound, Observed, Stored
from worker.core.secret import Secret


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


def leaf(**overrides: Any) -> Leaf:
    fields: dict[str, Any] = {
        "serial_number": 4660,
        "fingerprint_sha256": "ab" * 32,
        "not_before": day(10),
        "not_after": day(20),
        "names": ("a.example.com", "b.example.com", "c.example.com"),
    }
    return Leaf(**{**fields, **overrides})


def bundle(**overrides: Any) -> Bundle:
    fields: dict[str, Any] = {
        "leaf": leaf(),
        "leaf_pem": "leaf\n",
        "intermediates_pem": "intermediate\n",
        "private_key_pem": Secret("key"),
        "has_rsa_key": False,
    }
    return Bundle(**{**fields, **overrides})


def stored(**overrides: Any) -> Stored:
    """An older certificate than `leaf()`."""
    fields: dict[str, Any] = {
        "certificate_id": "c1",
        "name": "shop",
        "serial_number": 1,
        "not_before": day(1),
        "not_after": day(11),
        "scope": "global",
    }
    return Stored(**{**fields, **overrides})


def current(**overrides: Any) -> Stored:
    """The certificate that `leaf()` is."""
    fields: dict[str, Any] = {"serial_number": 4660, "not_before": day(10), "not_after": day(20)}
    return stored(**{**fields, **overrides})


def domain(name: str = "a.example.com", **overrides: Any) -> Binding:
    return Binding(**{"kind": "domain", "name": name, "instance_id": "i1", **overrides})


def listener(name: str = "l1", **overrides: Any) -> Binding:
    return Binding(**{"kind": "listener", "name": name, **overrides})


def bound(binding: Binding | None = None, **overrides: Any) -> Bound:
    fields: dict[str, Any] = {"binding": binding or domain(), "stored": stored(), "client_verification": False}
    return Bound(**{**fields, **overrides})


def deployment(**overrides: Any) -> Deployment:
    fields: dict[str, Any] = {
        "gateway": "apig",
        "strategy": "in_place",
        "certificate_id": "c1",
        "name": None,
        "bindings": None,
    }
    return Deployment(**{**fields, **overrides})


def observed(**overrides: Any) -> Observed:
    fields: dict[str, Any] = {"stored": stored(), "bound": (bound(),)}
    return Observed(**{**fields, **overrides})


def certificate(*deployments: Deployment) -> Certificate:
    return Certificate("shop", deployments or (deployment(),))
