"""ByCloud's calls, one method each. Source: ByCloud's API reference, certificates."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import PermanentError
from worker.gateways.base import Account
from worker.gateways.bodies import read_as
from worker.gateways.bycloud.wire import Binding as Bound
from worker.gateways.bycloud.wire import BindingAnswer, Certificate, CertificateAnswer, CertificatePage
from worker.gateways.transport import Answer, Request, path_of

PAGE: Final = 100
_CREATED: Final = frozenset({201})
_MODIFIED: Final = frozenset({200, 202, 204})


class Sender(Account, Protocol):
    """What sends the calls: the transport."""

    async def send(self, request: Request) -> Answer: ...

    async def close(self) -> None: ...


class ByCloudClient:
    """One region's certificates."""

    def __init__(self, transport: Sender) -> None:
        self._transport = transport

    async def show(self, certificate_id: str) -> Certificate:
        """Get certificate."""
        path = path_of("v1", "certificates", certificate_id)
        answer = await self._transport.send(Request("show_certificate", "GET", path, repeatable=True))
        certificate = read_as(CertificateAnswer, answer.body).certificate
        if certificate.id.lower() != certificate_id.lower():
            raise PermanentError("provider_mismatch", "the gateway answers about another certificate")
        return certificate

    async def page(self, limit: int, marker: str | None = None) -> CertificatePage:
        """List certificates, one page."""
        query = {"limit": str(limit)} | ({} if marker is None else {"marker": marker})
        request = Request("list_certificates", "GET", path_of("v1", "certificates"), query, repeatable=True)
        return read_as(CertificatePage, (await self._transport.send(request)).body)

    async def listed(self) -> Sequence[Certificate]:
        """All pages. PermanentError(`provider_mismatch`) when they go round in a circle: half a list would mislead."""
        certificates: dict[str, Certificate] = {}
        marker: str | None = None
        while True:
            page = await self.page(PAGE, marker)
            fresh = {one.id: one for one in page.certificates if one.id not in certificates}
            certificates |= fresh
            marker = page.after(marker)
            if marker is None:
                return tuple(certificates.values())
            if not fresh:
                raise PermanentError("provider_mismatch", "the gateway lists the same certificates over and over")

    async def create(self, name: str, bundle: Bundle) -> Certificate:
        """Create certificate, an uploaded one."""
        path = path_of("v1", "certificates")
        body = {"name": name, **_material(bundle)}
        expect = frozenset({200, 201})
        answer = await self._transport.send(Request("create_certificate", "POST", path, body=body, expect=expect))
        return read_as(CertificateAnswer, answer.body).certificate

    async def modify(self, certificate_id: str, name: str, bundle: Bundle) -> None:
        """For clouds that have this call; ByCloud's own reference does not document it."""
        path = path_of("v1", "certificates", certificate_id)
        body = {"name": name, **_material(bundle)}
        await self._transport.send(Request("modify_certificate", "PUT", path, body=body, expect=_MODIFIED))

    async def bind(self, certificate_id: str, listener: Binding) -> Bound | None:
        """Create certificate binding; None where the answer does not show it."""
        path = path_of("v1", "certificates", certificate_id, "bindings")
        body = {
            "resource_type": "octavia:listener",
            "resource_id": listener.name,
            "options": {"sni": listener.sni},
        }
        answer = await self._transport.send(Request("create_binding", "POST", path, body=body, expect=_CREATED))
        return None if answer.body is None else read_as(BindingAnswer, answer.body).binding


def _material(bundle: Bundle) -> Mapping[str, object]:
    return {
        "type": "uploaded",
        "domains": list(bundle.leaf.names),
        "certificate": bundle.leaf_pem,
        "private_key": bundle.private_key_pem,
        "chain": bundle.intermediates_pem,
    }
