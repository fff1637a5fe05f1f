"""How calls to APIG prove who they come from: an IAM token, a signature with AK/SK, or a token from a file."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote, urlsplit

from yarl import URL

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.secret import Secret
from worker.gateways.bodies import lenient
from worker.gateways.exchange import AmbiguousError, exchange, http_client, traced
from worker.gateways.huawei_apig.wire import ApigDialect, is_stale_code
from worker.gateways.redaction import shown
from worker.gateways.transport import OnCall
from worker.lockout import AskedOnce, Refusals
from worker.settings.base import TokenAuth
from worker.settings.credentials import SecretFile, read_id, read_password
from worker.settings.gateways import AkSkAuth, PasswordAuth
from worker.tracing import Call

_RENEW_BEFORE: Final = timedelta(minutes=5)
_ASK_AGAIN_AFTER: Final = timedelta(seconds=30)
_WHERE_UNTOLD: Final = timedelta(hours=1)
_OPERATION: Final = "obtain_token"
_ALGORITHM: Final = "SDK-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that somebody else keeps fresh in a file."""

    file: SecretFile

    @classmethod
    def of(cls, settings: TokenAuth) -> Self:
        return cls(SecretFile(settings.token_file, "auth.token_file"))

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        return {"X-Auth-Token": self.file.secret().reveal()}

    def is_stale(self, status: int, code: str | None) -> bool:
        return is_stale_code(status, code)

    async def renew(self) -> None:
        """The next call reads the file again."""
        self.file.forget()


@dataclass(frozen=True, slots=True)
class _Token:
    text: Secret
    renew_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class PasswordToken:
    """A token from IAM, for password, account and project; renewed before its 24 hours end, by one call at a time.

    Source: IAM, "Obtaining a User Token Through Password Authentication".
    """

    settings: PasswordAuth
    ca_file: Path | None
    timeout: float
    now: Callable[[], datetime]
    proxy: str | None = None
    on_call: OnCall | None = None
    _token: _Token | None = None
    _asking: AskedOnce[_Token] = field(default_factory=AskedOnce)
    _refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self._refusals = Refusals(lambda: self.now().timestamp())

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        token = self._token
        if token is None or self.now() >= token.renew_at:
            token = await self._fresh_or(token)
        return {"X-Auth-Token": token.text.reveal()}

    def is_stale(self, status: int, code: str | None) -> bool:
        return is_stale_code(status, code)

    async def renew(self) -> None:
        await self._asking(self._obtain)

    async def _fresh_or(self, old: _Token | None) -> _Token:
        """While IAM is away, an old token serves as long as it lives; IAM is asked again a little later."""
        try:
            return await self._asking(self._obtain)
        except TransientError:
            if old is None or self.now() >= old.ends_at:
                raise
            self._token = replace(old, renew_at=self.now() + _ASK_AGAIN_AFTER)
            return self._token

    async def _obtain(self) -> _Token:
        password = read_password(self.settings.password_file, "auth.password_file")
        self._refusals.check(password)
        status, headers, content = await self._answer(password)
        token = headers.get("x-subject-token")
        if status != 201 or not token:  # noqa: PLR2004 - created
            error = self._refusal(status, headers, content, password)
            self._refusals.note(password, error)
            raise error
        lifetime = _lifetime(headers, content)
        renew_after = max(lifetime - _RENEW_BEFORE, lifetime * 0.9)
        self._token = _Token(Secret(token), self.now() + renew_after, self.now() + lifetime)
        return self._token

    async def _answer(self, password: Secret) -> tuple[int, Mapping[str, str], bytes]:
        url = URL(f"{self.settings.iam_endpoint.rstrip('/')}/v3/auth/tokens?nocatalog=1", encoded=True)
        body = json.dumps(self._identity(password)).encode()
        try:
            async with http_client(self.ca_file, self.timeout, proxy=self.proxy) as client:
                kind = {"Content-Type": "application/json"}
                call = Call(_OPERATION, "POST", url.host or "", url.port)
                told = await traced(call, exchange(client, "POST", url, kind, body))
        except RotationError as error:
            self._tell(error.reason)
            if isinstance(error, AmbiguousError):
                # A token more does no harm, and the call that needs it was not sent.
                raise TransientError(error.reason, f"IAM: {error.message}") from None
            raise
        self._tell(told[0])
        return told

    def _tell(self, status: int | str) -> None:
        """It waits for no turn: IAM is none of the gateway's."""
        if self.on_call is not None:
            self.on_call(_OPERATION, status, None)

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

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes, password: Secret) -> RotationError:
        if 300 <= status < 400:  # noqa: PLR2004 - HTTP's own classes
            return PermanentError("unexpected_redirect", "IAM answers with a redirect", status=status)
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's own classes
            return TransientError("gateway_unavailable", "IAM answers without a token", status=status)
        error = ApigDialect(self.now).failure(status, headers, lenient(content))
        if isinstance(error, TransientError):
            return TransientError(error.reason, "IAM is busy or away", hold=error.hold, status=status, code=error.code)
        # Not over our own words: what is starred there tells what the password is.
        told = shown(error.message, [password.reveal()])
        return PermanentError("auth_failed", f"IAM gives no token: {told}", status=status, code=error.code)


def _lifetime(headers: Mapping[str, str], content: bytes) -> timedelta:
    """By IAM's own clock, for ours may be wrong. Where it does not tell, an hour: a refused token is renewed anyway."""
    try:
        told_at = parsedate_to_datetime(headers.get("date", ""))
        lifetime = _expiry_in(content) - told_at
    except (ValueError, TypeError, OverflowError):
        return _WHERE_UNTOLD
    return lifetime if lifetime > timedelta(0) else _WHERE_UNTOLD


def _expiry_in(content: bytes) -> datetime:
    """`token.expires_at`, such as 2015-11-09T01:42:57.527363Z. ValueError where there is none."""
    body = lenient(content)
    token = body.get("token") if isinstance(body, dict) else None
    at = datetime.fromisoformat(str(token.get("expires_at") if isinstance(token, dict) else None))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Signature:
    """Signs every call anew with AK/SK. Source: the vendor's API signing guide, algorithm SDK-HMAC-SHA256."""

    settings: AkSkAuth
    secret_key: SecretFile
    endpoint: str
    project_id: str
    now: Callable[[], datetime]

    @classmethod
    def of(cls, settings: AkSkAuth, endpoint: str, project_id: str, now: Callable[[], datetime]) -> Self:
        secret_key = SecretFile(settings.secret_key_file, "auth.secret_key_file")
        return cls(settings, secret_key, endpoint, project_id, now)

    async def headers(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        access_key = read_id(self.settings.access_key, self.settings.access_key_file, "auth.access_key_file")
        signed = {
            "host": urlsplit(self.endpoint).netloc,
            "x-project-id": self.project_id,
            "x-sdk-date": self.now().strftime("%Y%m%dT%H%M%SZ"),
        }
        full_path = urlsplit(self.endpoint).path.rstrip("/") + path
        authorization = sign(access_key, self.secret_key.secret(), method, full_path, query, signed, body)
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
