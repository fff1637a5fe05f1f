"""What APIG says, as models; and how it says no. Lenient to what it adds, strict about what we use."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, StringConstraints

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.planning import Stored
from worker.gateways.bodies import Body, Time
from worker.gateways.throttling import asked_hold


def _serial(value: object) -> object:
    """In decimal digits."""
    text = str(value).strip() if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,60}", text) else None


def _texts(value: object) -> object:
    """Those of a list; none where it is no list."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


Id = Annotated[str, StringConstraints(strip_whitespace=True)]
"""One page shows an id with a blank in front."""
Serial = Annotated[int | None, BeforeValidator(_serial)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]


class Certificate(Body):
    """Show, create, modify; list items lack `serial_number` and `not_before`."""

    id: Id
    name: str
    type: str | None = None
    instance_id: Id | None = None
    not_before: Time = None
    not_after: Time = None
    serial_number: Serial = None
    san: Texts = ()
    is_has_trusted_root_ca: bool | None = None
    create_time: Time = None
    update_time: Time = None

    def may_serve(self, covering: frozenset[str]) -> bool:
        """Whether one of its names is among these; where its names are not told, it may serve anything."""
        return not self.san or any(name.lower() in covering for name in self.san)

    def stored(self) -> Stored:
        # A global certificate reads "common", which is no instance's id.
        instance_id = None if self.instance_id in ("common", "") else self.instance_id
        is_limited = self.type == "instance" or (self.type is None and instance_id is not None)
        scope: Literal["global", "instance"] = "instance" if is_limited else "global"
        return Stored(
            certificate_id=self.id,
            name=self.name,
            serial_number=self.serial_number,
            not_before=self.not_before,
            not_after=self.not_after,
            stored_at=self.create_time,
            has_trusted_root_ca=self.is_has_trusted_root_ca,
            scope=scope,
            instance_id=instance_id if is_limited else None,
        )


class CertificatePage(Body):
    total: int
    certs: list[Certificate] | None = None

    @property
    def rows(self) -> Sequence[Certificate]:
        return self.certs or ()


class BoundDomain(Body):
    url_domain: str
    id: Id | None = None
    verified_client_certificate_enabled: bool | None = None
    api_group_id: Id | None = None
    instance_id: Id | None = None


class BoundDomainPage(Body):
    total: int
    bound_domains: list[BoundDomain] | None = None

    @property
    def rows(self) -> Sequence[BoundDomain]:
        return self.bound_domains or ()


class SslInfo(Body):
    ssl_id: Id | None = None


class GroupDomain(Body):
    """`url_domains` of a group."""

    id: Id
    domain: str
    ssl_id: Id | None = None
    ssl_infos: list[SslInfo] | None = None
    verified_client_certificate_enabled: bool | None = None

    def certificate_ids(self) -> tuple[str, ...]:
        """Of all certificates bound there; empty also where the gateway does not tell."""
        ids = [self.ssl_id, *(info.ssl_id for info in self.ssl_infos or ())]
        return tuple(dict.fromkeys(one for one in ids if one))


class Group(Body):
    url_domains: list[GroupDomain] | None = None


class AddedCertificate(Body):
    """The answer of adding a certificate to one domain."""

    ssl_id: Id
    verified_client_certificate_enabled: bool | None = None


# By status and code: an example answer may carry a code that belongs to another operation.
_BUSY: Final = frozenset({
    (409, "APIC.7701"), (409, "APIG.3718"), (409, "APIG.3711"), (400, "APIG.2035"), (401, "APIG.1010"),
})  # fmt: skip
_FROZEN: Final = frozenset({"APIG.1012", "APIG.1013"})
_FORBIDDEN: Final = frozenset({"APIG.1005", "APIG.1020", "APIG.1115", "APIG.1136", "APIG.1301"})
_QUOTA: Final = frozenset({"APIG.3100", "APIG.3108"})
_CERTIFICATE: Final = frozenset({
    "APIG.2101", "APIG.2102", "APIG.2103", "APIG.2104", "APIG.2105", "APIG.2106", "APIG.2109", "APIG.3148", "APIG.3708",
    "APIG.3709",
})  # fmt: skip
_CERTIFICATE_GONE: Final = frozenset({"APIG.3021", "APIG.3025"})
_NOT_COVERED: Final = "APIG.2103"
_CONFLICT: Final = frozenset({"APIG.2051", "APIG.3325", "APIG.3715"})
NAME_EXISTS: Final = "APIG.3325"
_THROTTLED: Final = frozenset({"APIGW.0308", "APIG.9008", "IAM.0012"})


@dataclass(frozen=True, slots=True)
class ApigDialect:
    """Decides by the status first, then by the code: the pages' own examples carry codes of other operations."""

    now: Callable[[], datetime]

    def failure(self, status: int, headers: Mapping[str, str], body: object) -> RotationError:
        code, text = _told(body)
        told: dict[str, Any] = {"status": status, "code": code}
        is_away = status >= 500 or status == 408  # noqa: PLR2004 - HTTP's own classes
        if status == 429 or (is_away and code in _THROTTLED):  # noqa: PLR2004 - HTTP's own
            return TransientError("throttled", text, hold=asked_hold(headers, text, self.now()) or 0.0, **told)
        if is_away or (status, code) in _BUSY:
            reason = "gateway_unavailable" if is_away else "busy"
            return TransientError(reason, text, hold=asked_hold(headers, "", self.now()) or 0.0, **told)
        return PermanentError(_lasting(status, code), text, **told)


def _lasting(status: int, code: str | None) -> str:
    """The reason of a refusal that trying again does not change."""
    match status:
        case 401:
            return "forbidden" if code in _FORBIDDEN else "auth_failed"
        case 403:
            return "quota" if code in _QUOTA else "forbidden"
        case 404:
            return "not_found"
        case 400 | 409 if code in _CERTIFICATE:
            return "certificate_rejected"
        case 400 if code in _CONFLICT:
            return "conflict"
        case _:
            return "conflict" if status == 409 else "bad_request"  # noqa: PLR2004 - HTTP's own


def is_about_the_certificate(code: str | None) -> bool:
    """Whether a refused attach would be refused for every domain."""
    return code in (_CERTIFICATE | _CERTIFICATE_GONE) - {_NOT_COVERED}


def is_stale_code(status: int, code: str | None) -> bool:
    """Whether credentials that are renewed may help. A frozen account's cannot."""
    is_hopeless = code in _FROZEN | _FORBIDDEN or (status, code) in _BUSY
    return status == 401 and not is_hopeless  # noqa: PLR2004 - HTTP's own


def _told(body: object) -> tuple[str | None, str]:
    if not isinstance(body, dict):
        return None, "the gateway gave no reason"
    code, text = body.get("error_code"), body.get("error_msg")
    sound = code if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{2,10}\.\d{2,6}", code) else None
    return sound, text if isinstance(text, str) and text else "the gateway gave no reason"
