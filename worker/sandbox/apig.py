"""The simulated API Gateway, as strict as the real one is documented to be, with its traps."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web
from cryptography import x509

from worker.core.names import uncovered
from worker.sandbox.answering import Answering, Result
from worker.sandbox.apig_shown import certificate_shown, domain_shown
from worker.sandbox.material import Refusal, judge, names_of
from worker.sandbox.world import Domain, Stored, World

T = TypeVar("T")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,49}")
_FIELDS: Final = frozenset({"name", "cert_content", "private_key", "type", "instance_id", "trusted_root_ca"})
# What the official SDK sends besides: it is taken and ignored, as by the real gateway.
_IGNORED: Final = frozenset({"algorithm_type"})
_DEFAULT_PAGE: Final = 20
_LONGEST_PAGE: Final = 500


def refused(status: int, code: str, message: str) -> Result:
    return Result(status, {"error_code": code, "error_msg": message})


def _missing(what: str = "certificate", code: str = "APIG.3021") -> Result:
    return refused(404, code, f"The {what} does not exist")


@dataclass(frozen=True, slots=True)
class Apig:
    """Certificates and domains of one project."""

    world: World
    project_id: str

    def routes(self, answering: Answering) -> Sequence[web.RouteDef]:
        root = "/v2/{project}/apigw"
        one = f"{root}/certificates/{{certificate}}"
        domain = f"{root}/instances/{{instance}}/api-groups/{{group}}/domains/{{domain}}"
        table = [
            ("POST", f"{root}/certificates", "create_certificate", self.create),
            ("GET", f"{root}/certificates", "list_certificates", self.list),
            ("GET", one, "show_certificate", self.show),
            ("PUT", one, "modify_certificate", self.modify),
            ("DELETE", one, "delete_certificate", self.delete),
            ("GET", f"{one}/attached-domains", "list_domains", self.attached),
            ("POST", f"{one}/domains/attach", "attach_domains", self.attach),
            ("POST", f"{one}/domains/detach", "detach_domains", self.detach),
            ("POST", f"{domain}/certificates/attach", "attach_to_domain", self.attach_by_id),
            ("POST", f"{domain}/certificates/detach", "detach_from_domain", self.detach_by_id),
            ("POST", f"{domain}/certificate", "add_certificate", self.add),
            ("GET", f"{domain}/certificate/{{certificate}}", "show_domain_certificate", self.show),
            ("DELETE", f"{domain}/certificate/{{certificate}}", "remove_certificate", self.remove),
            ("GET", f"{root}/instances/{{instance}}/api-groups/{{group}}", "show_group", self.group),
        ]
        return [web.route(method, path, answering.route(name, work)) for method, path, name, work in table]

    def create(self, _request: web.Request, body: Mapping[str, object]) -> Result:
        leaf = self._checked(body)
        if isinstance(leaf, Result):
            return leaf
        if len(self.world.certificates) >= self.world.certificate_quota:
            return refused(403, "APIG.3100", "The certificate quota is used up")
        if any(one.name == body["name"] for one in self.world.certificates.values()):
            return refused(400, "APIG.3325", "The certificate name already exists")
        stored = self._as_stored(uuid.uuid4().hex, body, leaf)
        self.world.certificates[stored.id] = stored
        self.world.propagate(stored.id)
        return Result(200, certificate_shown(stored, self.project_id))

    def _as_stored(self, certificate_id: str, body: Mapping[str, object], leaf: x509.Certificate) -> Stored:
        stored = _stored(certificate_id, body, leaf)
        if self.world.drops_client_ca > 0:
            self.world.drops_client_ca -= 1
            stored.trusted_root_ca = None
        return stored

    def _checked(self, body: Mapping[str, object]) -> x509.Certificate | Result:
        name, scope = body.get("name"), body.get("type", "global")
        if set(body) - _FIELDS - _IGNORED:
            return refused(400, "APIG.2012", "Invalid parameter value,parameterName:unknown")
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            return refused(400, "APIG.2012", "Invalid parameter value,parameterName:name")
        if scope not in ("global", "instance"):
            return refused(400, "APIG.2012", "Invalid parameter value,parameterName:type")
        if scope == "instance" and body.get("instance_id") not in self.world.instances:
            return refused(404, "APIG.3030", "The instance does not exist")
        if scope == "global" and body.get("instance_id") is not None:
            return refused(400, "APIG.2012", "Invalid parameter value,parameterName:instance_id")
        leaf = judge(body.get("cert_content"), body.get("private_key"))
        return refused(400, leaf.code, leaf.message) if isinstance(leaf, Refusal) else leaf

    def modify(self, request: web.Request, body: Mapping[str, object]) -> Result:
        """A full replacement: what is not sent is gone. What is bound serves it by itself."""
        old = self.world.certificates.get(request.match_info["certificate"])
        if old is None:
            return _missing()
        leaf = self._checked(body)
        if isinstance(leaf, Result):
            return leaf
        new = self._as_stored(old.id, body, leaf)
        new.created_at = old.created_at
        if self.world.put_moves_flags or (new.trusted_root_ca is not None and old.trusted_root_ca is None):
            for domain in self.world.bound_to(old.id):
                domain.client_verification = False
        self.world.certificates[old.id] = new
        self.world.propagate(old.id)
        return Result(200, certificate_shown(new, self.project_id))

    def show(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        stored = self.world.certificates.get(request.match_info["certificate"])
        return _missing() if stored is None else Result(200, certificate_shown(stored, self.project_id))

    def list(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        """Items lack the serial number and the beginning."""
        wanted = request.query.get("name", "")
        found = [one for one in self.world.certificates.values() if wanted in one.name]
        page = _page(request, found)
        items = [
            {
                key: value
                for key, value in certificate_shown(one, self.project_id).items()
                if key not in ("serial_number", "not_before")
            }
            for one in page
        ]
        return Result(200, {"size": len(page), "total": len(found), "certs": items})

    def delete(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        certificate_id = request.match_info["certificate"]
        if certificate_id not in self.world.certificates:
            return _missing()
        if self.world.bound_to(certificate_id):
            return refused(400, "APIG.3715", "The certificate is bound to domains")
        del self.world.certificates[certificate_id]
        return Result(204)

    def attached(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        certificate_id = request.match_info["certificate"]
        if certificate_id not in self.world.certificates:
            return _missing()
        found = self.world.bound_to(certificate_id)
        page = _page(request, found)
        return Result(
            200, {"size": len(page), "total": len(found), "bound_domains": [domain_shown(one) for one in page]}
        )

    def attach(self, request: web.Request, body: Mapping[str, object]) -> Result:
        """All or nothing. Without instance_ids, every instance that has the name; without a flag, it moves."""
        stored = self.world.certificates.get(request.match_info["certificate"])
        if stored is None:
            return _missing()
        chosen: list[tuple[Domain, bool]] = []
        for item in _items(body):
            found = self._named(item)
            if not found:
                return _missing("URL domain", "APIG.3020")
            if any(uncovered([domain.name], names_of(stored.leaf)) for domain in found):
                return refused(400, "APIG.2103", "The certificate does not cover the domain")
            if stored.type == "instance" and any(domain.instance_id != stored.instance_id for domain in found):
                return refused(400, "APIG.2051", "The certificate belongs to another gateway")
            flag = item.get("verified_client_certificate_enabled")
            wanted = flag if isinstance(flag, bool) else stored.trusted_root_ca is not None
            chosen += [(domain, wanted) for domain in found]
        if not chosen:
            return refused(400, "APIG.2012", "Invalid parameter value,parameterName:domains")
        for domain, flag in chosen:
            if self.world.attach_adds and domain.certificate_id not in (None, stored.id):
                domain.former.add(str(domain.certificate_id))
            domain.certificate_id = stored.id
            domain.client_verification = flag and stored.name not in self.world.flagless
            domain.former.discard(stored.id)
        self.world.propagate(stored.id)
        return Result(204)

    def _named(self, item: Mapping[str, object]) -> Sequence[Domain]:
        instances = item.get("instance_ids")
        return [
            domain
            for domain in self.world.domains.values()
            if domain.name == item.get("domain")
            and (not isinstance(instances, list) or domain.instance_id in instances)
        ]

    def detach(self, request: web.Request, body: Mapping[str, object]) -> Result:
        certificate_id = request.match_info["certificate"]
        found = [
            domain for item in _items(body) for domain in self._named(item) if domain.is_shown_with(certificate_id)
        ]
        if not found:
            return refused(400, "APIG.2000", "Invalid parameters: no valid domain name")
        for domain in found:
            if domain.certificate_id == certificate_id:
                domain.certificate_id = None
            domain.former.discard(certificate_id)
        return Result(204)

    def _domain(self, request: web.Request) -> Domain | Result:
        place = request.match_info
        if place["instance"] not in self.world.instances:
            return _missing("instance", "APIG.3030")
        if self.world.groups.get(place["group"]) != place["instance"]:
            return _missing("API group", "APIG.3001")
        domain = self.world.domains.get(place["domain"])
        if domain is None or domain.group_id != place["group"]:
            return _missing("URL domain", "APIG.3020")
        return domain

    def _by_id(self, request: web.Request, body: Mapping[str, object]) -> tuple[Domain, Stored] | Result:
        domain = self._domain(request)
        if isinstance(domain, Result):
            return domain
        ids = body.get("certificate_ids")
        if not isinstance(ids, list) or len(ids) != 1:
            return refused(400, "APIG.2012", "Invalid parameter value,parameterName:certificate_ids")
        stored = self.world.certificates.get(ids[0])
        return _missing() if stored is None else (domain, stored)

    def attach_by_id(self, request: web.Request, body: Mapping[str, object]) -> Result:
        found = self._by_id(request, body)
        if isinstance(found, Result):
            return found
        domain, stored = found
        flag = body.get("verified_client_certificate_enabled")
        domain.certificate_id = stored.id
        domain.client_verification = flag if isinstance(flag, bool) else stored.trusted_root_ca is not None
        self.world.propagate(stored.id)
        return Result(204)

    def detach_by_id(self, request: web.Request, body: Mapping[str, object]) -> Result:
        found = self._by_id(request, body)
        if isinstance(found, Result):
            return found
        domain, stored = found
        if domain.certificate_id != stored.id:
            return _missing("binding", "APIG.3097")
        domain.certificate_id = None
        return Result(204)

    def add(self, request: web.Request, body: Mapping[str, object]) -> Result:
        """Uploads and binds; what was bound before stays stored, bound to nothing."""
        domain = self._domain(request)
        if isinstance(domain, Result):
            return domain
        made = self.create(request, body)
        if not made.is_good or not isinstance(made.body, dict):
            return made
        stored = self.world.certificates[made.body["id"]]
        if uncovered([domain.name], names_of(stored.leaf)):
            del self.world.certificates[stored.id]
            return refused(400, "APIG.2103", "The certificate does not cover the domain")
        domain.certificate_id, domain.client_verification = stored.id, stored.trusted_root_ca is not None
        self.world.propagate(stored.id)
        told = {
            "ssl_name": stored.name,
            "url_domain": domain.name,
            "ssl_id": stored.id,
            "id": f" {domain.id}",
            "status": 3,
        }
        return Result(201, told)

    def remove(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        domain = self._domain(request)
        if isinstance(domain, Result):
            return domain
        if domain.certificate_id != request.match_info["certificate"]:
            return _missing("binding", "APIG.3097")
        domain.certificate_id = None
        return Result(204)

    def group(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        place = request.match_info
        if self.world.groups.get(place["group"]) != place["instance"]:
            return _missing("API group", "APIG.3001")
        domains = [one for one in self.world.domains.values() if one.group_id == place["group"]]
        return Result(200, {"id": place["group"], "url_domains": [self._in_group(one) for one in domains]})

    def _in_group(self, domain: Domain) -> Mapping[str, object]:
        stored = self.world.certificates.get(domain.certificate_id or "")
        return {
            "id": domain.id,
            "domain": domain.name,
            "cname_status": 3,
            "ssl_id": domain.certificate_id or "",
            "ssl_name": "" if stored is None else stored.name,
            "verified_client_certificate_enabled": domain.client_verification,
        }


def _items(body: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    items = body.get("domains")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _page(request: web.Request, items: Sequence[T]) -> Sequence[T]:
    """As documented: 20 by default, more than 500 silently become 500, an offset below 0 becomes 0."""
    offset = max(int(request.query.get("offset", "0")), 0)
    limit = min(int(request.query.get("limit", str(_DEFAULT_PAGE))), _LONGEST_PAGE)
    return items[offset : offset + limit]


def _stored(certificate_id: str, body: Mapping[str, object], leaf: x509.Certificate) -> Stored:
    ca, instance = body.get("trusted_root_ca"), body.get("instance_id")
    return Stored(
        certificate_id,
        str(body["name"]),
        str(body["cert_content"]),
        str(body["private_key"]),
        leaf,
        type=str(body.get("type", "global")),
        instance_id=instance if isinstance(instance, str) else None,
        trusted_root_ca=ca if isinstance(ca, str) and ca else None,
    )
