"""How calls to APIG prove who they come from: an IAM token, a signature with AK/SK, or a token from a file."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from worker.core.errors import PermanentError, TransientError
from worker.core.secret import Secret
from worker.gateways.credentials import read_secret
from worker.gateways.huawei_apig.wire import ApigDialect, is_stale_code
from worker.gateways.redaction import shown
from worker.gateways.exchange import AmbiguousError, client_session, exchange
from worker.settings.model import AkSkAuth, PasswordAuth, TokenAuth

_RENEW_BEFORE: Final = timedelta(minutes=5)
_ALGORITHM: Final = "SDK-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that somebody else keeps fresh in a file: read again for every call."""

    settings: TokenAuth

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        return {"X-Auth-Token": read_secret(self.settings.token_file, "auth.token_file").reveal()}

    def is_stale(self, status: int, code: str | None) -> bool:
        return is_stale_code(status, code)

    async def renew(self) -> None:
        """The next call reads the file again."""


@dataclass(slots=True)
class _Token:
    text: Secret
    renew_at: datetime


@dataclass(slots=True)
class PasswordToken:
    """A token from IAM, for password, account and project; renewed before its 24 hours end, by one call at a time.

    Source: IAM, "Obtaining a User Token Through Password Authentication".
    """

    settings: PasswordAuth
    ca_file: Path | None
    timeout: float
    now: Callable[[], datetime]
    _token: _Token | None = None
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        async with self._renewing:
            token = self._token
            if token is None or self.now() >= token.renew_at:
                token = self._token = await self._obtain()
        return {"X-Auth-Token": token.text.reveal()}

    def is_stale(self, status: int, code: str | None) -> bool:
        return is_stale_code(status, code)

    async def renew(self) -> None:
        """Everybody who waits uses the token that the first of them obtains."""
        refused = self._token
        async with self._renewing:
            if self._token is refused:
                self._token = await self._obtain()

    async def _obtain(self) -> _Token:
        password = read_secret(self.settings.password_file, "auth.password_file")
        endpoint = self.settings.iam_endpoint.rstrip("/")
        url = URL(f"{endpoint}/v3/auth/tokens?nocatalog=1", encoded=True)
        async with client_session(self.ca_file, self.timeout) as session:
            status, headers, content = await self._ask(session, url, password)
        token = headers.get("x-subject-token")
        if status != 201 or not token:  # noqa: PLR2004 - created
            raise self._failure(status, headers, content, password)
        return _Token(Secret(token), self._renewal_of(content))

    async def _ask(
        self, session: aiohttp.ClientSession, url: URL, password: Secret
    ) -> tuple[int, Mapping[str, str], bytes]:
        body = json.dumps(self._identity(password)).encode()
        return await exchange(session, "POST", url, {"Content-Type": "application/json"}, body)

    def _identity(self, password: Secret) -> Mapping[str, object]:
        user = {
            "name": self.settings.user,
            "password": password.reveal(),
            "domain": {"name": self.settings.account},
        }
        return {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": self.settings.project}},
            }
        }

    def _renewal_of(self, content: bytes) -> datetime:
        """Five minutes before the token ends, or for one that lives shortly, after nine tenths of its life."""
        now = self.now()
        ends = _expiry_in(content) or now + timedelta(hours=1)
        return max(ends - _RENEW_BEFORE, now + (ends - now) * 0.9)

    def _failure(
        self, status: int, headers: Mapping[str, str], content: bytes, password: Secret
    ) -> PermanentError | TransientError:
        error = ApigDialect(self.now).failure(status, headers, _json(content))
        if isinstance(error, TransientError):
            return TransientError(error.reason, "IAM is busy or away", hold=error.hold, status=status, code=error.code)
        told = shown(error.message, [password.reveal()])
        return PermanentError("auth_failed", f"IAM gives no token: {told}", status=status, code=error.code)


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _expiry_in(content: bytes) -> datetime | None:
    """`token.expires_at`, such as 2015-11-09T01:42:57.527363Z."""
    body = _json(content)
    token = body.get("token") if isinstance(body, dict) else None
    text = token.get("expires_at") if isinstance(token, dict) else None
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Signature:
    """Signs every call anew with AK/SK. Source: the vendor's API signing guide, algorithm SDK-HMAC-SHA256."""

    settings: AkSkAuth
    endpoint: str
    project_id: str
    now: Callable[[], datetime]

    async def headers(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        secret = read_secret(self.settings.secret_key_file, "auth.secret_key_file")
        signed = {
            "host": urlsplit(self.endpoint).netloc,
            "x-project-id": self.project_id,
            "x-sdk-date": self.now().strftime("%Y%m%dT%H%M%SZ"),
        }
        full_path = urlsplit(self.endpoint).path.rstrip("/") + path
        authorization = sign(self.settings.access_key, secret, method, full_path, query, signed, body)
        return {
            "Host": signed["host"],
            "X-Project-Id": signed["x-project-id"],
            "X-Sdk-Date": signed["x-sdk-date"],
            "Authorization": authorization,
        }

    def is_stale(self, _status: int, _code: str | None) -> bool:
        return False

    async def renew(self) -> None:
        """Nothing to renew."""


def sign(
    access_key: str,
    secret_key: Secret,
    method: str,
    path: str,
    query: Mapping[str, str],
    signed: Mapping[str, str],
    body: bytes,
) -> str:
    """The Authorization header; `signed` holds the signed headers by lower-case name."""
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            method,
            "/".join(quote(segment, safe="~") for segment in path.split("/")).rstrip("/") + "/",
            "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query)),
            "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed)),
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    to_sign = f"{_ALGORITHM}\n{signed['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret_key.reveal().encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}"
