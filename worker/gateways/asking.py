"""Calls to a server that is no gateway, which is Vault: the rules of `exchange`, without limits and repeats."""

from collections.abc import Mapping
from pathlib import Path

import aiohttp
from yarl import URL

from worker.gateways.bodies import lenient, parsed
from worker.gateways.exchange import client_session, exchange, traced
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
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, object]:
        """Status, and the JSON of the answer: read strictly where it says 200, else as far as it is JSON.

        Raises what `exchange` raises.
        """
        url = URL(f"{self._address}{path}", encoded=True)
        answer = exchange(self._open_session(), method, url, headers, body, self._longest)
        status, _told, content = await traced(Call("vault", method, url.host or "", url.port), answer)
        return status, parsed(content, status) if status == _OK else lenient(content)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = client_session(self._ca_file, self._timeout, identity=self._identity)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
