"""The state of the simulated clouds: what is stored, what is bound, what was asked, and what shall go wrong."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from cryptography import x509

from worker.sandbox.ca import Issued
from worker.sandbox.flaws import Flaw, Key, Served

FaultKind = Literal["answer", "reset", "hang", "garbage", "truncate"]
CLOUDS: Final = frozenset({"apig", "iam", "bycloud"})
"""A fault may be of every call of one of them."""


@dataclass(slots=True)
class Stored:
    """A certificate at APIG (`kind` "apig") or ByCloud."""

    id: str
    name: str
    chain_pem: str
    private_key_pem: str = field(repr=False)
    leaf: x509.Certificate
    type: str = "global"
    instance_id: str | None = None
    trusted_root_ca: str | None = None
    status: str = "active"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class Domain:
    """A domain of an API group on one APIG instance."""

    id: str
    name: str
    instance_id: str
    group_id: str
    certificate_id: str | None = None
    client_verification: bool = False
    former: set[str] = field(default_factory=set)
    """Certificates that it is still shown with, although another one is served."""

    def is_shown_with(self, certificate_id: str) -> bool:
        return certificate_id == self.certificate_id or certificate_id in self.former


@dataclass(slots=True)
class Listener:
    """An Octavia listener; `bindings` by SNI flag."""

    id: str
    load_balancer: str
    bindings: dict[bool, str] = field(default_factory=dict)
    """sni → certificate id"""


@dataclass(slots=True)
class Fault:
    """The next `times` calls of `operation` go wrong; with `after_effect` only once they have done their work."""

    operation: str
    """Or a cloud: every call there."""
    kind: FaultKind = "answer"
    status: int = 500
    body: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = 1
    """None: all, until it is taken back."""
    after_effect: bool = False
    match: str = ""
    """Only calls whose path or body has this text."""

    def concerns(self, operation: str, cloud: str, text: str) -> bool:
        is_left = self.times is None or self.times > 0
        return is_left and self.operation in (operation, cloud) and self.match in text


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the journal."""

    at: float
    operation: str
    method: str
    path: str
    status: int
    facts: Mapping[str, object]
    """What was asked, without any key."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a place holds from now on: the books that a test closes. `place` is a stored certificate or a binding."""

    at: float
    place: str
    certificate_id: str
    serial: int
    not_before: datetime
    not_after: datetime
    client_verification: bool | None = None
    """Of a domain."""


class Throttle:
    """Sliding windows; refused tries count too."""

    def __init__(self, windows: Sequence[tuple[int, float]]) -> None:
        self._windows = [(calls, seconds, deque[float]()) for calls, seconds in windows]
        self.refused = 0

    def exceeded(self) -> tuple[int, float] | None:
        """Books a try; the window that it exceeds, if any."""
        now, found = time.monotonic(), None
        self._forget(now)
        for calls, seconds, times in self._windows:
            times.append(now)
            if len(times) > calls:
                found = (calls, seconds)
        self.refused += found is not None
        return found

    def left(self) -> tuple[int, int, float] | None:
        """Calls of a window, those that are left, and seconds until there is one more; None without any window.

        Of the longest, or of one that is exceeded.
        """
        now = time.monotonic()
        self._forget(now)
        told = max(self._windows, key=lambda one: (len(one[2]) > one[0], one[1]), default=None)
        if told is None:
            return None
        calls, seconds, times = told
        frees = times[max(len(times) - calls, 0)] if times else now
        return calls, max(calls - len(times), 0), frees + seconds - now

    def _forget(self, now: float) -> None:
        for _, seconds, times in self._windows:
            while times and times[0] <= now - seconds:
                times.popleft()


@dataclass(slots=True)
class World:
    """Everything behind the simulated endpoints. Only the event loop's thread touches it."""

    propagation_seconds: float = 0.0
    certificates: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, Stored] = field(default_factory=dict)
    """ByCloud's certificates."""
    instances: list[str] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    """group id → instance id"""
    domains: dict[str, Domain] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    journal: list[Call] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    """Every certificate that was ever stored or served anywhere, in order."""
    faults: list[Fault] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)
    """Names of all calls that the clouds answer."""
    certificate_quota: int = 1000
    attach_adds: bool = False
    """What is attached to another certificate at APIG is shown with both, until it is detached from the first."""
    put_moves_flags: bool = False
    """Whatever modifies a certificate at APIG switches client verification off where it is bound."""
    flagless: set[str] = field(default_factory=set)
    """Names of certificates at APIG on which client verification stays off, whatever is asked for."""
    drops_client_ca: int = 0
    """So many writes at APIG store no client CA, whatever was sent."""
    served: dict[Key, Served] = field(default_factory=dict)
    """(instance or listener id, name) → what its TLS port serves now"""
    flaws: list[Flaw] = field(default_factory=list)

    def add_instance(self) -> str:
        self.instances.append(str(uuid.uuid4()))
        return self.instances[-1]

    def add_group(self, instance_id: str) -> str:
        group = uuid.uuid4().hex
        self.groups[group] = instance_id
        return group

    def add_domain(self, group_id: str, name: str, *, client_verification: bool = False) -> str:
        domain = Domain(uuid.uuid4().hex, name, self.groups[group_id], group_id, None, client_verification)
        self.domains[domain.id] = domain
        return domain.id

    def add_listener(self, load_balancer: str | None = None) -> str:
        listener = Listener(str(uuid.uuid4()), load_balancer or str(uuid.uuid4()))
        self.listeners[listener.id] = listener
        return listener.id

    def add_certificate(self, issued: Issued, name: str, **fields: Any) -> str:
        """At APIG."""
        one = Stored(uuid.uuid4().hex, name, issued.chain_pem, issued.private_key_pem, issued.certificate, **fields)
        self.certificates[one.id] = one
        return one.id

    def add_upload(self, issued: Issued, name: str, **fields: Any) -> str:
        """At ByCloud."""
        one = Stored(str(uuid.uuid4()), name, issued.chain_pem, issued.private_key_pem, issued.certificate, **fields)
        self.uploads[one.id] = one
        return one.id

    def bind(self, certificate_id: str, *domain_ids: str) -> None:
        """As if it had been bound long ago."""
        for domain_id in domain_ids:
            self.domains[domain_id].certificate_id = certificate_id
            self._serve_domain(self.domains[domain_id])

    def bind_listener(self, certificate_id: str, listener_id: str, *, sni: bool = False) -> None:
        self.listeners[listener_id].bindings[sni] = certificate_id
        self._serve_listener(self.listeners[listener_id])

    def bound_to(self, certificate_id: str) -> list[Domain]:
        return [one for one in self.domains.values() if one.is_shown_with(certificate_id)]

    def propagate(self, certificate_id: str) -> None:
        """What is bound serves what is stored, a while later."""
        self._note(f"stored/{certificate_id}", self.certificates.get(certificate_id) or self.uploads[certificate_id])
        for domain in self.bound_to(certificate_id):
            self.later(lambda domain=domain: self._serve_domain(domain))  # type: ignore[misc]
        for listener in self.listeners.values():
            if certificate_id in listener.bindings.values():
                self.later(lambda listener=listener: self._serve_listener(listener))  # type: ignore[misc]

    def later(self, change: Callable[[], None]) -> None:
        if self.propagation_seconds:
            asyncio.get_running_loop().call_later(self.propagation_seconds, change)
        else:
            change()

    def _serve_domain(self, domain: Domain) -> None:
        stored = self.certificates.get(domain.certificate_id or "")
        if stored is not None:
            client_ca = stored.trusted_root_ca if domain.client_verification else None
            served = Served(stored.chain_pem, stored.private_key_pem, client_ca)
            self.served[domain.instance_id, domain.name] = served
            self._note(f"{domain.instance_id}/{domain.name}", stored, domain.client_verification)

    def _serve_listener(self, listener: Listener) -> None:
        for sni, certificate_id in sorted(listener.bindings.items()):
            stored = self.uploads[certificate_id]
            self.served[listener.id, f"sni={sni}"] = Served(stored.chain_pem, stored.private_key_pem)
            self._note(f"{listener.id}/sni={sni}", stored)

    def _note(self, place: str, stored: Stored, client_verification: bool | None = None) -> None:  # noqa: FBT001 - a fact
        leaf = stored.leaf
        validity = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        change = Change(time.monotonic(), place, stored.id, leaf.serial_number, *validity, client_verification)
        self.changes.append(change)

    def spoil(self, flaw: Flaw) -> Flaw:
        """The TLS listeners have this flaw from now on, until it is taken out of `flaws`."""
        flaw.held = dict(self.served)
        self.flaws.append(flaw)
        return flaw

    def fault_for(self, operation: str, cloud: str, text: str, *, after_effect: bool) -> Fault | None:
        for fault in self.faults:
            if fault.after_effect == after_effect and fault.concerns(operation, cloud, text):
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    def calls(self, *operations: str) -> list[Call]:
        """Those of the journal that these operations made, without refused ones being left out."""
        return [call for call in self.journal if call.operation in operations]
