"""Calls to a server that is no gateway, which is Vault: the rules of `exchange`, without limits and repeats."""

from collections.abc import Mapping
from pathlib import Path

from yarl import URL

from worker.gateways.bodies import lenient, parsed
from worker.gateways.exchange import HttpClient, exchange, http_client, traced
from worker.tls import Identity
from worker.tracing import Call

_OK = 200


class Asking:
    """Asks one server. `timeout` in seconds for each call; no answer is read beyond `longest` bytes."""

    def __init__(
        self, address: str, ca_file: Path | None, timeout: float, *, longest: int, identity: Identity | None = None
    ) -> None:
        self._address = address.rstrip("/")
        self._ca_file = ca_file
        self._timeout = timeout
        self._longest = longest
        self._identity = identity
        self._client: HttpClient | None = None

    async def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, object]:
        """Status, and the JSON of the answer: read strictly where it says 200, else as far as it is JSON.

        Raises what `exchange` raises.
        """
        url = URL(f"{self._address}{path}", encoded=True)
        answer = exchange(self._open_client(), method, url, headers, body, self._longest)
        status, _told, content = await traced(Call("vault", method, url.host or "", url.port), answer)
        return status, parsed(content, status) if status == _OK else lenient(content)

    def _open_client(self) -> HttpClient:
        if self._client is None:
            self._client = http_client(self._ca_file, self._timeout, identity=self._identity)
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
