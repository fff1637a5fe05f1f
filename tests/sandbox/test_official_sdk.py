"""The vendor's own SDK judges the simulated gateway: paths, verbs, envelopes, signature."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from worker.sandbox import Sandbox
from worker.sandbox.ca import Authority

NAME = "www.example.com"


def everything(endpoint: str, sandbox: Sandbox, first: Any, second: Any) -> list[Any]:
    """Create, show, modify, attach, list, detach, delete; runs in a thread, for the SDK is synchronous."""
    from huaweicloudsdkapig.v2 import (  # noqa: PLC0415 - importing it writes below HOME, which the test sets first
        ApigClient,
        AttachOrDetachDomainInfo,
        AttachOrDetachDomainsReqBody,
        BatchAssociateDomainsV2Request,
        BatchDisassociateDomainsV2Request,
        CertificateForm,
        CreateCertificateV2Request,
        DeleteCertificateV2Request,
        ListAttachedDomainsV2Request,
        ListCertificatesV2Request,
        ShowDetailsOfCertificateV2Request,
        UpdateCertificateV2Request,
    )
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415

    own = sandbox.config
    credentials = BasicCredentials(own.access_key, own.secret_key, own.project_id)
    client = ApigClient.new_builder().with_credentials(credentials).with_endpoint(endpoint).build()

    def form(issued: Any) -> Any:
        return CertificateForm(name="cert_demo", cert_content=issued.chain_pem, private_key=issued.private_key_pem)

    def domains() -> Any:
        return AttachOrDetachDomainsReqBody(domains=[AttachOrDetachDomainInfo(domain=NAME)])

    created = client.create_certificate_v2(CreateCertificateV2Request(body=form(first)))
    client.update_certificate_v2(UpdateCertificateV2Request(certificate_id=created.id, body=form(second)))
    shown = client.show_details_of_certificate_v2(ShowDetailsOfCertificateV2Request(certificate_id=created.id))
    client.batch_associate_domains_v2(BatchAssociateDomainsV2Request(certificate_id=created.id, body=domains()))
    attached = client.list_attached_domains_v2(ListAttachedDomainsV2Request(certificate_id=created.id))
    listed = client.list_certificates_v2(ListCertificatesV2Request(name="cert_demo"))
    client.batch_disassociate_domains_v2(BatchDisassociateDomainsV2Request(certificate_id=created.id, body=domains()))
    client.delete_certificate_v2(DeleteCertificateV2Request(certificate_id=created.id))
    return [created.id, shown.serial_number, attached.bound_domains[0].url_domain, listed.certs[0].id]


@pytest.mark.filterwarnings("ignore")
async def test_the_official_sdk_works_against_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    authority = Authority.create()
    first, second = authority.issue([NAME]), authority.issue([NAME])
    async with Sandbox() as sandbox:
        sandbox.world.add_domain(sandbox.world.add_group(sandbox.world.add_instance()), NAME)
        told = await asyncio.to_thread(everything, sandbox.apig_endpoint, sandbox, first, second)
        operations = [call.operation for call in sandbox.world.journal]
    assert told == [told[0], str(second.serial_number), NAME, told[0]]
    assert operations == [
        "create_certificate",
        "modify_certificate",
        "show_certificate",
        "attach_domains",
        "list_domains",
        "list_certificates",
        "detach_domains",
        "delete_certificate",
    ]
    assert sandbox.world.certificates == {}
