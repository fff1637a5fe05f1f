"""How calls to ByCloud prove who they come from: an API key or a bearer token, and always a region."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, assert_never

from worker.settings.credentials import SecretFile, read_id
from worker.settings.gateways import ApiKeyAuth, BearerAuth


@dataclass(frozen=True, slots=True)
class Credentials:
    """From files: a changed one needs no restart."""

    settings: ApiKeyAuth | BearerAuth
    file: SecretFile
    region: str

    @classmethod
    def of(cls, settings: ApiKeyAuth | BearerAuth, region: str) -> Self:
        match settings:
            case ApiKeyAuth(secret_file=path):
                return cls(settings, SecretFile(path, "auth.secret_file"), region)
            case BearerAuth(token_file=path):
                return cls(settings, SecretFile(path, "auth.token_file"), region)
            case _:
                assert_never(settings)

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        secret = self.file.secret()
        match self.settings:
            case ApiKeyAuth(key_id=text, key_id_file=path):
                proof = {"X-Api-Key": f"{read_id(text, path, 'auth.key_id_file')}:{secret.reveal()}"}
            case BearerAuth():
                proof = {"Authorization": f"Bearer {secret.reveal()}"}
            case _:
                assert_never(self.settings)
        return {"X-Region": self.region, **proof}

    def is_stale(self, status: int, _code: str | None) -> bool:
        return status == 401 and isinstance(self.settings, BearerAuth)  # noqa: PLR2004 - HTTP's own

    async def renew(self) -> None:
        """The next call reads the file again."""
        self.file.forget()
