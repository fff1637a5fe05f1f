"""The simulated ByCloud: certificates, and their bindings to Octavia listeners."""

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from worker.sandbox.answering import Answering, Result
from worker.sandbox.material import Refusal, judge, names_of
from worker.sandbox.world import Listener, Stored, Throttle, World


def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> Result:
    error = {"code": status, "message": message, "request_id": uuid.uuid4().hex}
    return Result(status, {"error": error}, headers)


@dataclass(frozen=True, slots=True)
class ByCloudCheck:
    """Throttle, region, credentials."""

    throttle: Throttle
    key_id: str
    secret: str
    token: str
    region: str

    def __call__(self, request: web.Request, _raw: bytes) -> Result | None:
        exceeded = self.throttle.exceeded()
        if exceeded is not None:
            _, seconds = exceeded
            return refused(429, "rate limit exceeded", {"Retry-After": str(int(seconds))})
        proofs = (request.headers.get("X-Api-Key"), request.headers.get("Authorization"))
        if f"{self.key_id}:{self.secret}" != proofs[0] and f"Bearer {self.token}" != proofs[1]:
            return refused(401, "authentication required or token invalid")
        is_here = request.headers.get("X-Region") == self.region
        return None if is_here else refused(400, "X-Region is required")

    def told(self) -> Mapping[str, str]:
        """Headers of every answer, where there is a limit at all. `-Reset` is in whole seconds of Unix time."""
        if (window := self.throttle.left()) is None:
            return {}
        calls, left, seconds = window
        reset = str(math.ceil(time.time() + seconds))
        return {"X-RateLimit-Limit": str(calls), "X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": reset}


@dataclass(slots=True)
class ByCloud:
    """One region. `has_put`: whether it has the call that its reference does not document."""

    world: World
    activation_seconds: float = 0.0
    busy_seconds: float = 0.0
    has_put: bool = False
    _busy_until: dict[str, float] = field(default_factory=dict)
    """load balancer → when it takes the next change"""

    def routes(self, answering: Answering) -> Sequence[web.RouteDef]:
        one = "/v1/certificates/{certificate}"
        listener = "/v1/load-balancers/{lb}/listeners/{listener}/certificates"
        return [
            web.post("/v1/certificates", answering.route("create_upload", self.create)),
            web.get("/v1/certificates", answering.route("list_uploads", self.list)),
            web.get(one, answering.route("show_upload", self.show)),
            web.put(one, answering.route("modify_upload", self.modify)),
            web.post(f"{one}/bindings", answering.route("create_binding", self.bind)),
            web.get(listener, answering.route("listener_certificates", self.at_listener)),
        ]

    def create(self, _request: web.Request, body: Mapping[str, object]) -> Result:
        leaf = judge(f"{body.get('certificate')}{body.get('chain') or ''}", body.get("private_key"))
        if isinstance(leaf, Refusal):
            return refused(422, leaf.message)
        if body.get("type") != "uploaded" or not isinstance(body.get("name"), str):
            return refused(400, "name and type are required")
        if any(one.name == body["name"] for one in self.world.uploads.values()):
            return refused(409, "a certificate of that name already exists")
        stored = Stored(
            str(uuid.uuid4()),
            str(body["name"]),
            f"{body['certificate']}{body.get('chain') or ''}",
            str(body["private_key"]),
            leaf,
            type="uploaded",
        )
        self.world.uploads[stored.id] = stored
        self.world.propagate(stored.id)
        if self.activation_seconds:
            stored.status = "pending_issuance"
            self.world.later(lambda: setattr(stored, "status", "active"))
        return Result(201, {"certificate": self._shown(stored)})

    def list(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        everything = list(self.world.uploads.values())
        limit, marker = min(int(request.query.get("limit", "20")), 100), request.query.get("marker")
        start = next((number + 1 for number, one in enumerate(everything) if one.id == marker), 0)
        page = everything[start : start + limit]
        has_more = start + limit < len(everything)
        meta = {"total": len(everything), "limit": limit, "marker": page[-1].id if page else None, "has_more": has_more}
        return Result(200, {"certificates": [self._shown(one) for one in page], "meta": meta})

    def show(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        stored = self.world.uploads.get(request.match_info["certificate"])
        return refused(404, "not found") if stored is None else Result(200, {"certificate": self._shown(stored)})

    def modify(self, request: web.Request, body: Mapping[str, object]) -> Result:
        stored = self.world.uploads.get(request.match_info["certificate"])
        if not self.has_put:
            return refused(405, "method not allowed")
        if stored is None:
            return refused(404, "not found")
        leaf = judge(f"{body.get('certificate')}{body.get('chain') or ''}", body.get("private_key"))
        if isinstance(leaf, Refusal):
            return refused(422, leaf.message)
        stored.chain_pem = f"{body['certificate']}{body.get('chain') or ''}"
        stored.private_key_pem, stored.leaf = str(body["private_key"]), leaf
        stored.updated_at = datetime.now(UTC)
        self.world.propagate(stored.id)
        return Result(200, {"certificate": self._shown(stored)})

    def bind(self, request: web.Request, body: Mapping[str, object]) -> Result:
        stored = self.world.uploads.get(request.match_info["certificate"])
        listener = self.world.listeners.get(str(body.get("resource_id")))
        if body.get("resource_type") != "octavia:listener":
            return refused(400, "resource_type must be octavia:listener")
        if stored is None or listener is None:
            return refused(404, "resource not found")
        options = body.get("options")
        sni = bool(options.get("sni")) if isinstance(options, dict) else False
        if stored.status != "active":
            return refused(409, "certificate is not active")
        if listener.bindings.get(sni) == stored.id:
            return refused(409, "binding already exists")
        if self._busy_until.get(listener.load_balancer, 0) > time.monotonic():
            return refused(409, f"Load Balancer {listener.load_balancer} is immutable and cannot be updated.")
        self._busy_until[listener.load_balancer] = time.monotonic() + self.busy_seconds
        listener.bindings[sni] = stored.id
        self.world.propagate(stored.id)
        return Result(201, {"binding": _bound(stored, listener, sni=sni)})

    def at_listener(self, request: web.Request, _body: Mapping[str, object]) -> Result:
        listener = self.world.listeners.get(request.match_info["listener"])
        if listener is None:
            return refused(404, "not found")
        found = [self.world.uploads[one] for one in listener.bindings.values()]
        return Result(200, {"certificates": [self._shown(one) for one in found]})

    def _shown(self, stored: Stored) -> Mapping[str, object]:
        bindings = [
            _bound(stored, listener, sni=sni)
            for listener in self.world.listeners.values()
            for sni, certificate_id in listener.bindings.items()
            if certificate_id == stored.id
        ]
        return {
            "id": stored.id,
            "crn": f"crn:sao1:certificate:{stored.id}",
            "name": stored.name,
            "type": stored.type,
            "domains": names_of(stored.leaf),
            "status": stored.status,
            "expires_at": stored.leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "error_message": None,
            "bindings": bindings,
            "created_at": stored.created_at.isoformat(),
            "updated_at": stored.updated_at.isoformat(),
        }


def _bound(stored: Stored, listener: Listener, *, sni: bool) -> Mapping[str, object]:
    return {
        "id": str(uuid.uuid5(uuid.UUID(stored.id), f"{listener.id}{sni}")),
        "certificate_id": stored.id,
        "resource_type": "octavia:listener",
        "resource_id": listener.id,
        "options": {"sni": sni},
        "status": "active",
        "error_message": None,
    }
