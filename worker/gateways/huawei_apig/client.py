"""APIG's calls, one method each. Sources: the vendor's API reference, API Gateway v2."""

from collections.abc import Sequence
from math import inf
from typing import Final

from worker.core.bundle import Bundle
from worker.core.deployment import Binding
from worker.core.errors import PermanentError
from worker.core.planning import Stored
from worker.gateways.bodies import read_as
from worker.gateways.huawei_apig.paging import all_pages
from worker.gateways.huawei_apig.wire import (
    AddedCertificate,
    BoundDomain,
    BoundDomainPage,
    Certificate,
    CertificatePage,
    Group,
)
from worker.gateways.transport import Request, Transport, path_of

# Longer pages are cut to this length silently.
PAGE: Final = 500
# Documented are 200 for creating, 201 for adding, 204 for the rest: what means the same is not refused.
_STORED: Final = frozenset({200, 201})
_NO_CONTENT: Final = frozenset({200, 204})


class ApigClient:
    """One project's certificates."""

    def __init__(self, transport: Transport, project_id: str) -> None:
        self._transport = transport
        self._project_id = project_id

    def _certificates(self, *segments: str) -> str:
        return path_of("v2", self._project_id, "apigw", "certificates", *segments)

    def _group(self, binding: Binding, *segments: str) -> str:
        if binding.instance_id is None or binding.group_id is None:
            raise PermanentError("bad_request", "the domain has no instance or group")
        groups = ("instances", binding.instance_id, "api-groups", binding.group_id)
        return path_of("v2", self._project_id, "apigw", *groups, *segments)

    def _domain(self, binding: Binding, *segments: str) -> str:
        return self._group(binding, "domains", binding.domain_id or "", *segments)

    async def show(self, certificate_id: str) -> Certificate:
        """Querying Certificate Details."""
        path = self._certificates(certificate_id)
        answer = await self._transport.send(Request("show_certificate", "GET", path, repeatable=True))
        certificate = read_as(Certificate, answer.body)
        if certificate.id != certificate_id:
            raise PermanentError("provider_mismatch", "the gateway answers about another certificate")
        return certificate

    async def page(self, offset: int, limit: int, name: str | None = None) -> CertificatePage:
        """Querying SSL Certificates, one page."""
        query = {"offset": str(offset), "limit": str(limit)} | ({} if name is None else {"name": name})
        request = Request("list_certificates", "GET", self._certificates(), query, repeatable=True)
        return read_as(CertificatePage, (await self._transport.send(request)).body)

    async def listed(self, name: str | None = None) -> Sequence[Certificate]:
        """All pages; `name` is the gateway's own filter, which need not be exact."""
        return await all_pages(lambda offset: self.page(offset, PAGE, name))

    async def bound_page(self, certificate_id: str, offset: int) -> BoundDomainPage:
        """Querying Domain Names of a Certificate, one page."""
        path = self._certificates(certificate_id, "attached-domains")
        query = {"offset": str(offset), "limit": str(PAGE)}
        answer = await self._transport.send(Request("list_domains", "GET", path, query, repeatable=True))
        return read_as(BoundDomainPage, answer.body)

    async def bound_domains(self, certificate_id: str) -> Sequence[BoundDomain]:
        """All pages; a domain on one instance once, also with custom ports."""
        rows = await all_pages(lambda offset: self.bound_page(certificate_id, offset))
        distinct: dict[tuple[str, str | None], BoundDomain] = {}
        for row in rows:
            distinct.setdefault((row.url_domain.lower(), row.instance_id), row)
        return list(distinct.values())

    async def create(self, name: str, bundle: Bundle, trusted_root_ca: str | None) -> Certificate:
        """Creating an SSL Certificate; a global one."""
        body = {"name": name, "type": "global", **_material(bundle)} | _optional("trusted_root_ca", trusted_root_ca)
        request = Request("create_certificate", "POST", self._certificates(), body=body, expect=_STORED)
        return read_as(Certificate, (await self._transport.send(request)).body)

    async def modify(self, stored: Stored, trusted_root_ca: str | None, bundle: Bundle) -> Certificate:
        """Modifying an SSL Certificate: replaces everything, so that all that shall stay is sent again."""
        body = {"name": stored.name, "type": stored.scope or "global", **_material(bundle)}
        body |= _optional("instance_id", stored.instance_id) | _optional("trusted_root_ca", trusted_root_ca)
        path = self._certificates(stored.certificate_id)
        answer = await self._transport.send(Request("modify_certificate", "PUT", path, body=body))
        return read_as(Certificate, answer.body)

    async def delete(self, certificate_id: str) -> None:
        """Deleting an SSL Certificate; refused while anything is bound."""
        path = self._certificates(certificate_id)
        await self._transport.send(Request("delete_certificate", "DELETE", path, repeatable=True, expect=_NO_CONTENT))

    async def attach(self, certificate_id: str, domains: Sequence[Binding], patience: float = inf) -> None:
        """Binding an SSL Certificate to a Domain Name, for many at once. The flag is always sent: else it may move.

        `patience` in seconds, as a request has it.
        """
        body = {"domains": [_attached(domain) for domain in domains]}
        path = self._certificates(certificate_id, "domains", "attach")
        request = Request(
            "attach_domains", "POST", path, body=body, repeatable=True, expect=_NO_CONTENT, patience=patience
        )
        await self._transport.send(request)

    async def detach(self, certificate_id: str, domains: Sequence[Binding]) -> None:
        """Unbinding an SSL Certificate from a Domain Name, for many at once. What is not bound there may stay so."""
        body = {"domains": [_place(domain) for domain in domains]}
        path = self._certificates(certificate_id, "domains", "detach")
        request = Request("detach_domains", "POST", path, body=body, repeatable=True, expect=_NO_CONTENT)
        await self._transport.send(request)

    async def add_to_domain(self, domain: Binding, name: str, bundle: Bundle) -> AddedCertificate:
        """Adding a Certificate to a Domain Name: uploads and binds in one call."""
        body = {"name": name, **_material(bundle)}
        path = self._domain(domain, "certificate")
        request = Request("add_certificate", "POST", path, body=body, expect=_STORED)
        return read_as(AddedCertificate, (await self._transport.send(request)).body)

    async def attach_to_domain(self, domain: Binding, certificate_id: str, *, client_verification: bool) -> None:
        """Binding a certificate to one domain by its id; of one that is bound, only the flag is set."""
        body = {"certificate_ids": [certificate_id], "verified_client_certificate_enabled": client_verification}
        path = self._domain(domain, "certificates", "attach")
        request = Request("attach_to_domain", "POST", path, body=body, repeatable=True, expect=_NO_CONTENT)
        await self._transport.send(request)

    async def group(self, domain: Binding) -> Group:
        """Querying Details of an API Group: its domains with their ids and certificates."""
        request = Request("show_group", "GET", self._group(domain), repeatable=True)
        return read_as(Group, (await self._transport.send(request)).body)

    async def close(self) -> None:
        await self._transport.close()


def _material(bundle: Bundle) -> dict[str, object]:
    return {"cert_content": bundle.chain_pem, "private_key": bundle.private_key_pem}


def _optional(name: str, value: str | None) -> dict[str, object]:
    return {} if value is None else {name: value}


def _place(domain: Binding) -> dict[str, object]:
    return {"domain": domain.name} | ({} if domain.instance_id is None else {"instance_ids": [domain.instance_id]})


def _attached(domain: Binding) -> dict[str, object]:
    flag = domain.client_verification
    return _place(domain) | ({} if flag is None else {"verified_client_certificate_enabled": flag})
