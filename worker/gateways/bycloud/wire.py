"""What ByCloud says, as models; and how it says no."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.planning import Stored, fingerprint_in
from worker.gateways.throttling import asked_hold
from worker.gateways.transport import AmbiguousError

ACTIVE: Final = "active"
PENDING: Final = frozenset({"pending_dns", "pending_issuance", "pending"})


def _seconds(value: object) -> object:
    if not isinstance(value, str) or not value:
        return None
    at = datetime.fromisoformat(value.strip())
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).replace(microsecond=0)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Options(_Model):
    sni: bool = False


class Binding(_Model):
    """A certificate at a listener."""

    resource_id: str
    options: Options | None = None
    status: str | None = None
    error_message: str | None = None

    @property
    def has_sni(self) -> bool:
        return self.options is not None and self.options.sni


class Certificate(_Model):
    """Tells no serial number and no fingerprint."""

    id: str
    name: str = ""
    type: str | None = None
    status: str
    expires_at: Annotated[datetime | None, BeforeValidator(_seconds)] = None
    bindings: list[Binding] | None = None

    def stored(self) -> Stored:
        return Stored(self.id, self.name, not_after=self.expires_at, fingerprint_prefix=fingerprint_in(self.name))

    def at(self, listener: str, *, sni: bool) -> Binding | None:
        same = [one for one in self.bindings or () if one.resource_id == listener and one.has_sni == sni]
        return same[0] if same else None


class CertificateAnswer(_Model):
    certificate: Certificate


class Meta(_Model):
    marker: str | None = None
    has_more: bool = False


class CertificatePage(_Model):
    certificates: list[Certificate] = []
    meta: Meta = Meta()


class BindingAnswer(_Model):
    binding: Binding | None = None


M = TypeVar("M", bound=BaseModel)


def read_as(model: type[M], body: Any) -> M:
    """An answer of another shape leaves in doubt what was done."""
    try:
        return model.model_validate(body)
    except (ValidationError, ValueError):
        raise AmbiguousError("gateway_unavailable", "the answer is not of the documented form") from None


@dataclass(frozen=True, slots=True)
class ByCloudDialect:
    """Decides by the status. A 409 has two opposite meanings, which only reading tells apart."""

    now: Callable[[], datetime]

    def failure(self, status: int, headers: Mapping[str, str], body: object) -> RotationError:
        text = _told(body)
        told: dict[str, Any] = {"status": status}
        if status == 429:  # noqa: PLR2004 - HTTP's own
            return TransientError("throttled", text, hold=asked_hold(headers, text, self.now()) or 0.0, **told)
        if status >= 500:  # noqa: PLR2004 - HTTP's own classes
            retry_after = {name: value for name, value in headers.items() if name == "retry-after"}
            return TransientError(
                "gateway_unavailable", text, hold=asked_hold(retry_after, "", self.now()) or 0.0, **told
            )
        return PermanentError(_REASONS.get(status, "bad_request"), text, **told)


_REASONS: Final = {
    401: "auth_failed", 403: "forbidden", 404: "not_found", 405: "unsupported", 409: "conflict",
}  # fmt: skip


def _told(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else None
    return text if isinstance(text, str) and text else "the gateway gave no reason"
