"""What comes over the wire, over real sockets: answers that are none, broken connections, redirects, TLS, secrets."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from worker.core.errors import PermanentError, RotationError, TransientError
from worker.core.secret import Secret
from worker.gateways.exchange import LONGEST_BODY, tls_context
from worker.gateways.huawei_apig.wire import ApigDialect
from worker.gateways.transport import AmbiguousError, Request, Transport, path_of
from worker.limits import Limits, Window
from worker.sandbox.ca import Authority

AUTHORITY: Final = Authority.create()
GET: Final = Request("show", "GET", "/v1/a", repeatable=True)
POST: Final = Request("create", "POST", "/v1/a", body={"a": 1})
RESET: Final = b"RESET"
SILENCE: Final = b"SILENCE"
TOKEN: Final = "token-0123456789-" * 600


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer that keeps the connection."""
    named = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GOOD: Final = http(200, b'{"a": 1}')


@dataclass
class FarEnd:
    """Writes these bytes for one request after the other, and then the last for ever; keeps what it was sent."""

    answers: list[bytes]
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    endpoint: str = ""
    serving: list[asyncio.Task[None]] = field(default_factory=list)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.requests.append(await _request(reader))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer == SILENCE:
                    await reader.read()
                if answer in (RESET, SILENCE):
                    break
                writer.write(answer)
                await writer.drain()
                if b"Content-Length: 99999" in answer:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> tuple[str, Mapping[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
    return line, headers, await reader.readexactly(int(headers.get("content-length", 0)))


@asynccontextmanager
async def listening(
    *answers: bytes, tls: ssl.SSLContext | None = None, at: tuple[str, int] = ("127.0.0.1", 0)
) -> AsyncIterator[FarEnd]:
    far = FarEnd(list(answers))
    server = await asyncio.start_server(far.accept, *at, limit=2**20, ssl=tls)
    far.endpoint = f"http{'s' if tls else ''}://{at[0]}:{server.sockets[0].getsockname()[1]}"
    try:
        yield far
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*far.serving)


def serving(name: str, folder: Path) -> ssl.SSLContext:
    """TLS with a certificate for that name."""
    issued = AUTHORITY.issue([name])
    pem = folder / "server.pem"
    pem.write_text(issued.private_key_pem + issued.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


class TokenBearer:
    async def headers(self, _method: str, _path: str, _query: Mapping[str, str], _body: bytes) -> Mapping[str, str]:
        return {"X-Auth-Token": TOKEN}

    def is_stale(self, _status: int, _code: str | None) -> bool:
        return False

    async def renew(self) -> None:
        """Never stale."""


@asynccontextmanager
async def transport(endpoint: str, **overrides: Any) -> AsyncIterator[Transport]:
    fields: dict[str, Any] = {
        "gateway": "apig",
        "endpoint": endpoint,
        "limits": Limits([Window(100, 1)], 8),
        "authenticator": TokenBearer(),
        "dialect": ApigDialect(lambda: datetime.now(UTC)),
        "timeout": 20,
        "deadline": 0.1,
        "ca_file": None,
        "chance": lambda: 0.0,
        "wall_clock": lambda: datetime.now(UTC),
    }
    opened = Transport(**{**fields, **overrides})
    try:
        yield opened
    finally:
        await opened.close()


async def failed(request: Request, *answers: bytes, **overrides: Any) -> RotationError:
    async with listening(*answers) as far, transport(far.endpoint, **overrides) as one:
        with pytest.raises(RotationError) as caught:
            await one.send(request)
        assert len(far.requests) == 1
    return caught.value


async def test_a_request_is_sent_as_it_was_asked() -> None:
    asked = replace(POST, path="/v1/a/b", query={"name": "a b", "x": "é~"}, body={"key": Secret("s3cret")})
    async with listening(http(200, b'{"a": [1]}', X_Request_Id="r")) as far, transport(far.endpoint + "/") as one:
        answer = await one.send(asked)
    [(line, headers, body)] = far.requests
    assert line == "POST /v1/a/b?name=a%20b&x=%C3%A9~ HTTP/1.1"
    assert json.loads(body) == {"key": "s3cret"}
    assert (headers["content-type"], headers["accept-encoding"]) == ("application/json", "identity")
    assert headers["x-auth-token"] == TOKEN
    assert (answer.status, answer.body, answer.headers["x-request-id"]) == (200, {"a": [1]}, "r")


GARBAGE: Final = {
    "no JSON": http(200, b"<html>busy</html>"),
    "cut JSON": http(200, b'{"a": '),
    "a name twice": http(200, b'{"a": 1, "a": 2}'),
    "no UTF-8": http(200, b'{"a": "\xff"}'),
    "deep": http(200, b"[" * 100_000),
    "a number too long": http(200, b"1" * 5000),
    "inflatable": http(200, gzip.compress(b'{"a": 1}'), Content_Encoding="gzip"),
    "too long": http(200, b" " * (LONGEST_BODY + 1)),
    "another success": http(206, b"{}"),
    "truncated": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{",
    "no HTTP": b"hello\r\n\r\n",
    "a header too long": http(200, b"{}", X_Long="x" * 70_000),
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "reset": RESET,
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_an_answer_that_is_none_leaves_the_effect_of_a_change_unknown(answer: bytes) -> None:
    error = await failed(POST, answer)
    assert isinstance(error, AmbiguousError)
    assert error.reason == "gateway_unavailable"


async def test_silence_ends_with_the_timeout() -> None:
    error = await failed(POST, SILENCE, timeout=0.1)
    assert isinstance(error, AmbiguousError)


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with listening(GOOD) as far:
        pass
    async with transport(far.endpoint) as one:
        with pytest.raises(TransientError) as caught:
            await one.send(POST)
    assert not isinstance(caught.value, AmbiguousError)
    assert caught.value.reason == "gateway_unavailable"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with listening(GOOD) as elsewhere:
        error = await failed(replace(POST, repeatable=True), http(status, Location=elsewhere.endpoint))
        assert elsewhere.requests == []
    assert isinstance(error, PermanentError)
    assert (error.reason, error.status) == ("unexpected_redirect", status)


async def test_what_an_error_says_is_shown_without_secrets_and_bounded() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
    said = {
        "error_code": "APIG.2012",
        "error_msg": f"bad\x1b[31m {TOKEN[:2000]} MIGHAgEAMBMGByqGSM49 {'xxx ' * 150}{key}",
    }
    request = replace(POST, body={"private_key": Secret(key)})
    error = await failed(request, http(400, json.dumps(said).encode()))
    assert error.message.startswith("bad [31m *** *** xxx")
    assert len(error.message) == 200
    assert str(error) == error.message
    assert not [shown for shown in (str(error), repr(error), repr(request)) if "MIGH" in shown or TOKEN[:16] in shown]


async def test_no_cookie_is_kept() -> None:
    async with listening(http(200, b"{}", Set_Cookie="a=b")) as far, transport(far.endpoint) as one:
        await one.send(GET)
        await one.send(GET)
    assert "cookie" not in far.requests[1][1]


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(GOOD) as proxy, listening(GOOD) as far, transport(far.endpoint) as one:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        await one.send(GET)
        assert (len(proxy.requests), len(far.requests)) == (0, 1)


async def test_the_environment_does_not_have_the_keys_of_connections_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, keys = tmp_path / "ca.pem", tmp_path / "keys"
    ca.write_text(AUTHORITY.root_pem)
    tls = serving("127.0.0.1", tmp_path)
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    async with listening(GOOD, tls=tls) as far, transport(far.endpoint, ca_file=ca) as one:
        assert (await one.send(GET)).body == {"a": 1}
    assert not keys.exists()


async def test_a_proxy_of_the_settings_is_a_tunnel_that_reads_nothing(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(AUTHORITY.root_pem)
    heard = b""

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, port = head.split()[1].decode().partition(":")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        there, back = await asyncio.open_connection(host, int(port))
        heard += head

        async def carried(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> bytes:
            seen = b""
            while piece := await source.read(65536):
                seen += piece
                target.write(piece)
            target.close()
            return seen

        heard += b"".join(await asyncio.gather(carried(reader, back), carried(there, writer)))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    tls = serving("127.0.0.1", tmp_path)
    async with listening(GOOD, tls=tls) as far, transport(far.endpoint, ca_file=ca, proxy=proxy) as one:
        assert (await one.send(GET)).body == {"a": 1}
    server.close()
    await server.wait_closed()
    assert len(far.requests) == 1
    assert heard.startswith(b"CONNECT 127.0.0.1:")
    assert TOKEN.encode() not in heard


async def test_tls_is_verified_against_the_ca_file(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(AUTHORITY.root_pem)
    async with listening(GOOD, tls=serving("127.0.0.1", tmp_path)) as far, transport(far.endpoint, ca_file=ca) as one:
        assert (await one.send(GET)).body == {"a": 1}


@pytest.mark.parametrize(("name", "is_known"), [("127.0.0.1", False), ("other.example.com", True)])
async def test_a_gateway_that_does_not_verify_hears_nothing(tmp_path: Path, name: str, is_known: bool) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(AUTHORITY.root_pem)
    known = ca if is_known else None
    async with listening(GOOD, tls=serving(name, tmp_path)) as far, transport(far.endpoint, ca_file=known) as one:
        with pytest.raises(PermanentError) as caught:
            await one.send(GET)
        assert far.requests == []
    assert caught.value.reason == "gateway_untrusted"


async def test_a_gateway_without_tls_on_its_port_is_out_of_reach() -> None:
    def speak_plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(400))
        writer.close()

    server = await asyncio.start_server(speak_plainly, "127.0.0.1", 0)
    async with server, transport(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as one:
        with pytest.raises(TransientError) as caught:
            await one.send(POST)
    assert not isinstance(caught.value, AmbiguousError)
    assert caught.value.reason == "gateway_unavailable"


@pytest.mark.parametrize("content", [None, "no certificates"])
def test_a_ca_file_that_cannot_be_read_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PermanentError) as caught:
        tls_context(path)
    assert caught.value.reason == "gateway_untrusted"


def test_nothing_older_than_tls_1_2_is_spoken() -> None:
    context = tls_context(None)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_path_is_built_of_ids_alone() -> None:
    assert path_of("v2", "0f1e", "apigw") == "/v2/0f1e/apigw"


@pytest.mark.parametrize("segment", ["", ".", "..", "../x", "a/b", "a?b", "a#b", "a%2fb", " a", "a\n", "ä", "-a"])
def test_an_id_that_could_leave_its_place_is_refused(segment: str) -> None:
    with pytest.raises(PermanentError) as caught:
        path_of("v2", segment)
    assert caught.value.reason == "bad_request"
    assert not segment.strip(".") or segment not in str(caught.value)
