"""How calls to ByCloud prove who they come from: an API key or a bearer token, and always a region."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from worker.settings.credentials import read_id, read_secret
from worker.settings.gateways import ApiKeyAuth, BearerAuth


@dataclass(frozen=True, slots=True)
class Credentials:
    """Read from their file for every call, so that a changed one needs no restart."""

    settings: ApiKeyAuth | BearerAuth
    region: str

    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        match self.settings:
            case ApiKeyAuth() as pair:
                key_id = read_id(pair.key_id, pair.key_id_file, "auth.key_id_file")
                proof = {"X-Api-Key": f"{key_id}:{read_secret(pair.secret_file, 'auth.secret_file').reveal()}"}
            case BearerAuth(token_file=path):
                proof = {"Authorization": f"Bearer {read_secret(path, 'auth.token_file').reveal()}"}
            case _:
                assert_never(self.settings)
        return {"X-Region": self.region, **proof}

    def is_stale(self, status: int, _code: str | None) -> bool:
        return status == 401 and isinstance(self.settings, BearerAuth)  # noqa: PLR2004 - HTTP's own

    async def renew(self) -> None:
        """The next call reads the file again."""
