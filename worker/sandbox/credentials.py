"""What the simulated clouds ask of a call before they do anything: throttle and credentials; and the simulated IAM."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from aiohttp import web

from worker.sandbox.answering import Answering, Result
from worker.sandbox.apig import refused
from worker.sandbox.world import Throttle

_UNITS: Final = ((60, "minute"), (1, "second"))
_SKEW: Final = 900.0
TOKEN_BEGINS: Final = "MIIsandboxtoken0"  # noqa: S105 - made up
"""Of every token, so that one is known wherever it turns up: real ones begin alike too."""


def in_words(calls: int, seconds: float) -> str:
    """As the front gateway says it: `limit:200,time:5 minute`."""
    size, unit = next((one for one in _UNITS if seconds >= one[0]), (1, "second"))
    return f"policy user over ratelimit,limit:{calls},time:{max(1, round(seconds / size))} {unit}"


@dataclass(slots=True)
class Iam:
    """Gives tokens for one user of one account."""

    account: str
    user: str
    password: str
    project: str
    lifetime: float
    tokens: dict[str, float] = field(default_factory=dict)
    """token → when it ends, by the monotonic clock"""
    issued: int = 0

    def obtain(self, _request: web.Request, body: Mapping[str, object]) -> Result:
        """POST /v3/auth/tokens"""
        wanted = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {"name": self.user, "password": self.password, "domain": {"name": self.account}}
                    },
                },
                "scope": {"project": {"name": self.project}},
            }
        }
        if body != wanted:
            return refused(401, "IAM.0011", "The username or password is wrong")
        # Real tokens are several kilobytes long.
        token = TOKEN_BEGINS + base64.b64encode(secrets.token_bytes(9000)).decode()
        self.tokens[token] = time.monotonic() + self.lifetime
        self.issued += 1
        ends = datetime.now(UTC) + timedelta(seconds=self.lifetime)
        told = {"token": {"expires_at": ends.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "methods": ["password"]}}
        return Result(201, told, {"X-Subject-Token": token})

    def is_good(self, token: str) -> bool:
        return self.tokens.get(token, 0) > time.monotonic()


def iam_routes(iam: Iam, answering: Answering) -> web.RouteDef:
    return web.post("/v3/auth/tokens", answering.route("obtain_token", iam.obtain))


@dataclass(frozen=True, slots=True)
class ApigCheck:
    """Throttle, project, token or signature."""

    throttle: Throttle
    iam: Iam
    project_id: str
    access_key: str
    secret_key: str

    def __call__(self, request: web.Request, raw: bytes) -> Result | None:
        exceeded = self.throttle.exceeded()
        if exceeded is not None:
            return refused(429, "APIGW.0308", in_words(*exceeded))
        if request.match_info.get("project") != self.project_id:
            return refused(403, "APIG.1005", "No permissions to request this method")
        if "X-Auth-Token" in request.headers:
            is_good = self.iam.is_good(request.headers["X-Auth-Token"])
            return None if is_good else refused(401, "APIGW.0307", "The token must be updated")
        is_good = _is_signed(request, raw, self.access_key, self.secret_key)
        return None if is_good else refused(401, "APIGW.0301", "Incorrect IAM authentication information")


def _is_signed(request: web.Request, raw: bytes, access_key: str, secret_key: str) -> bool:
    given = request.headers.get("Authorization", "")
    parts = dict(part.strip().partition("=")[::2] for part in given.partition(" ")[2].split(","))
    if parts.get("Access") != access_key or not given.startswith("SDK-HMAC-SHA256 "):
        return False
    stamp = request.headers.get("X-Sdk-Date", "")
    try:
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    names = parts.get("SignedHeaders", "").split(";")
    canonical = "\n".join(
        [
            request.method,
            quote(request.path, safe="/~").rstrip("/") + "/",
            "&".join(
                f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(request.query.items())
            ),
            "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names),
            ";".join(names),
            hashlib.sha256(raw).hexdigest(),
        ]
    )
    text = f"SDK-HMAC-SHA256\n{stamp}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    is_fresh = abs((datetime.now(UTC) - sent).total_seconds()) < _SKEW
    return is_fresh and hmac.compare_digest(signature, parts.get("Signature", ""))
