"""What the simulated API Gateway shows of what it holds."""

from collections.abc import Mapping
from datetime import UTC, datetime

from worker.sandbox.material import names_of
from worker.sandbox.world import Domain, Stored


def certificate_shown(stored: Stored, project_id: str) -> Mapping[str, object]:
    leaf = stored.leaf
    return {
        "id": stored.id,
        "name": stored.name,
        "type": stored.type,
        "instance_id": stored.instance_id or "common",
        "project_id": project_id,
        "common_name": next(iter(names_of(leaf)), ""),
        "san": names_of(leaf),
        "not_before": _time(leaf.not_valid_before_utc),
        "not_after": _time(leaf.not_valid_after_utc),
        "serial_number": str(leaf.serial_number),
        "signature_algorithm": "SHA256-RSA",
        "is_has_trusted_root_ca": stored.trusted_root_ca is not None,
        "version": 3,
        "create_time": _time(stored.created_at),
        "update_time": _time(stored.updated_at),
    }


def domain_shown(domain: Domain) -> Mapping[str, object]:
    """`ssl_id` and `ssl_name` really come back empty."""
    return {
        "url_domain": domain.name,
        "id": domain.id,
        "status": 3,
        "min_ssl_version": "TLSv1.2",
        "is_http_redirect_to_https": False,
        "verified_client_certificate_enabled": domain.client_verification,
        "ssl_id": "",
        "ssl_name": "",
        "api_group_id": domain.group_id,
        "instance_id": domain.instance_id,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
