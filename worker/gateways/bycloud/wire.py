"""What ByCloud says, as models; and how it says no."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.planning import Stored
from worker.core.uploads import fingerprint_in
from worker.gateways.bodies import Body, Time
from worker.gateways.throttling import asked_hold

ACTIVE: Final = "active"
PENDING: Final = frozenset({"pending_dns", "pending_issuance", "pending"})
_TOLD: Final = PENDING | {ACTIVE, "error", "failed", "expired", "revoked"}


def _lowered(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _names(value: object) -> object:
    """None for what is no list of names: nothing else depends on it."""
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        return None
    return frozenset(one.lower() for one in value)


Names = Annotated[frozenset[str] | None, BeforeValidator(_names)]
Word = Annotated[str | None, BeforeValidator(_lowered)]
"""A status, or an id that is a UUID: its case means nothing."""


def known_status(status: str | None) -> str:
    """Fit to be shown: one of the cloud's own words, and nothing else that may stand there."""
    return status if status in _TOLD and status is not None else "unknown"


class Options(Body):
    sni: bool | None = None


class Binding(Body):
    """A certificate at a listener."""

    resource_id: Word = None
    options: Options | None = None
    status: Word = None

    @property
    def has_sni(self) -> bool | None:
        """None where the cloud does not tell."""
        return None if self.options is None else self.options.sni

    @property
    def is_active(self) -> bool:
        """Where no status is told there is nothing to wait for."""
        return self.status in (ACTIVE, None)

    def is_at(self, listener: str, *, sni: bool) -> bool:
        return self.resource_id == listener.lower() and self.has_sni in (sni, None)


class Certificate(Body):
    """Tells no serial number and no fingerprint.

    Its `error_message` is not read, nor a binding's: it may quote the key that was sent, in whatever form, perhaps
    hours ago and by another process, so that nothing here knows what to make stars of.
    """

    id: str
    name: str = ""
    type: str | None = None
    status: Word = None
    expires_at: Time = None
    created_at: Time = None
    updated_at: Time = None
    bindings: list[Binding] | None = None
    domains: Names = None

    def stored(self) -> Stored:
        return Stored(
            self.id,
            self.name,
            not_after=self.expires_at,
            issued_before=self.updated_at,
            stored_at=self.created_at,
            fingerprint_prefix=fingerprint_in(self.name),
            names=self.domains,
        )

    def at(self, listener: str, *, sni: bool) -> Binding | None:
        """The binding to that listener: one that is active before one that is left of an earlier try."""
        same = [one for one in self.bindings or () if one.is_at(listener, sni=sni)]
        return min(same, key=lambda one: not one.is_active, default=None)

    def is_active_at(self, listener: str, *, sni: bool) -> bool:
        bound = self.at(listener, sni=sni)
        return bound is not None and bound.is_active


class CertificateAnswer(Body):
    certificate: Certificate


class Meta(Body):
    marker: str | None = None
    has_more: bool | None = None


class CertificatePage(Body):
    certificates: list[Certificate]
    """Required: an answer of another form must not read as "there are none"."""
    meta: Meta | None = None

    def after(self, marker: str | None) -> str | None:
        """Where the next page begins, None after the last one.

        What `meta.marker` names is not documented: where it only repeats what was asked, the last one listed is meant.
        """
        if self.meta is None or not self.meta.has_more or not self.certificates:
            return None
        told = self.meta.marker
        return self.certificates[-1].id if told in (None, marker) else told


class BindingAnswer(Body):
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class ByCloudDialect:
    """Decides by the status. A 409 has two opposite meanings, which only reading tells apart."""

    now: Callable[[], datetime]

    def failure(self, status: int, headers: Mapping[str, str], body: object) -> RotationError:
        text = _told(body)
        told: dict[str, Any] = {"status": status}
        if status == 429:  # noqa: PLR2004 - HTTP's own
            return TransientError("throttled", text, hold=asked_hold(headers, text, self.now()) or 0.0, **told)
        if status == 408 or (status >= 500 and status not in _REASONS):  # noqa: PLR2004 - HTTP's own classes
            retry_after = {name: value for name, value in headers.items() if name == "retry-after"}
            return TransientError(
                "gateway_unavailable", text, hold=asked_hold(retry_after, "", self.now()) or 0.0, **told
            )
        return PermanentError(_REASONS.get(status, "bad_request"), text, **told)


_REASONS: Final = {
    401: "auth_failed", 403: "forbidden", 404: "not_found", 405: "unsupported", 409: "conflict", 501: "unsupported",
}  # fmt: skip


def _told(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else None
    return text if isinstance(text, str) and text else "the gateway gave no reason"
