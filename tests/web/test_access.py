"""Who may see what the worker serves, and how a browser is told to handle it."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from structlog.testing import capture_logs

from tests.support.fleets import StillFleet, sample_fleet
from tests.support.ownership import given_away
from worker.broker.base import BrokerState
from worker.sandbox.ca import Authority, Issued
from worker.settings import SettingsError
from worker.settings.http import Http
from worker.telemetry import Metrics
from worker.verification import served_chain
from worker.web.access import HEADERS, PROBES, Guard
from worker.web.server import Health, application, serving

TOKEN = "an-operators-token-of-some-length"
AUTHORITY = Authority.create()
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


def _paths() -> tuple[str, ...]:
    """All that is served but the probes, as the application knows it."""

    async def nothing() -> BrokerState:
        raise AssertionError

    app = application(Health(nothing, Metrics()), Guard(Http()), StillFleet(sample_fleet(0)))
    known = (one.canonical for one in app.router.resources())
    return tuple(path.format(name=NAMES.get(path, "")) for path in known if path not in PROBES)


NAMES = {
    "/static/{name}": "page.css",
    **dict.fromkeys(("/certificates/{name}", "/certificates/{name}/live"), "shop-00001"),
}
PATHS = _paths()


@asynccontextmanager
async def served(listen: str = "127.0.0.1:0", **settings: Any) -> AsyncIterator[int]:
    async def state() -> BrokerState:
        return BrokerState(is_connected=False, is_active=False)

    http = Http(listen=listen, **settings)
    async with serving(Health(state, Metrics()), http, StillFleet(sample_fleet(50))) as port:
        yield port


async def asked(
    port: int, path: str, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> tuple[int, Any, Mapping[str, str]]:
    url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=tls or True) as answer:
        if answer.content_type == "text/event-stream":
            return answer.status, "", answer.headers
        is_json = answer.content_type == "application/json"
        return answer.status, await (answer.json() if is_json else answer.text()), answer.headers


async def sent(port: int, raw: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """What is answered to these bytes: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    head, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
    headers = {
        name.decode(): value.strip().decode()
        for name, _, value in (one.partition(b":") for one in rest.split(b"\r\n") if one)
    }
    body = b"" if raw.startswith(b"HEAD") else await reader.readexactly(int(headers["Content-Length"]))
    writer.close()
    return int(head.split()[1]), headers, body


def secret(folder: Path, text: str = TOKEN) -> Path:
    file = folder / "token"
    file.touch(mode=0o600)
    file.write_text(text)
    return file


def files(folder: Path, issued: Issued) -> dict[str, Any]:
    """A server's certificate and key."""
    chain, key = folder / "http.pem", folder / "http.key"
    key.touch(mode=0o600)
    chain.write_text(issued.chain_pem)
    key.write_text(issued.private_key_pem)
    return {"cert_file": chain, "key_file": key}


def basic(password: str) -> str:
    return f"Basic {b64encode(f'anybody:{password}'.encode()).decode()}"


def test_all_that_is_served_is_known_here() -> None:
    assert {"/", "/live", "/metrics", "/status.json", "/static/page.css", "/certificates/shop-00001/live"} <= set(PATHS)


@pytest.mark.parametrize("path", [*PATHS, "/nowhere", "/livez"])
async def test_whatever_is_answered_has_the_headers_that_a_scanner_looks_for(path: str) -> None:
    async with served() as port:
        _, _, headers = await asked(port, path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "aiohttp" not in headers["Server"]
    assert {name: headers[name] for name in ("Cache-Control", "X-Content-Type-Options", "Referrer-Policy")} == {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    assert {"Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"} <= set(headers)


@pytest.mark.parametrize("path", PATHS)
async def test_on_loopback_everybody_may_look_but_no_page_of_another_name_that_leads_there(path: str) -> None:
    async with served() as port:
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "worker.localhost"):
            assert (await asked(port, path, {"Host": host}))[0] == 200, host
        for host in ("rebound.example.com", "127.0.0.1.example.com", "", "[", "10.0.0.7:80"):
            status, told, _ = await asked(port, path, {"Host": host})
            assert status in (400, 403), host
            assert "http.token_file" in str(told) or status == 400
        status, told, _ = await asked(port, "/readyz", {"Host": "rebound.example.com"})
        assert (status, told) == (503, {"status": "not ready"})


@pytest.mark.parametrize("path", PATHS)
async def test_with_a_token_nobody_else_may_look_not_even_on_loopback(tmp_path: Path, path: str) -> None:
    wrong: list[Mapping[str, str]] = [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer "},
        {"Authorization": basic("")},
        {"Authorization": "Basic %%%"},
        {"Authorization": f"Token {TOKEN}"},
    ]
    async with served(token_file=secret(tmp_path)) as port:
        for headers in wrong:
            status, told, answered = await asked(port, path, headers)
            assert (status, TOKEN in str(told)) == (401, False)
            assert answered["WWW-Authenticate"].startswith("Bearer")
        for method in ("HEAD", "POST", "OPTIONS", "DELETE"):
            assert (await sent(port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()))[0] == 401
        for given in (f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(TOKEN)):
            assert (await asked(port, path, {"Authorization": given, "Host": "worker.example.com"}))[0] == 200


@pytest.mark.parametrize("given", [b"Bearer \xff\xfe", b"Basic \xff", b"Basic /////w==", b"\xff", "Bearer ä".encode()])
async def test_a_token_of_any_bytes_at_all_is_another_token_and_no_bug(tmp_path: Path, given: bytes) -> None:
    async with served(token_file=secret(tmp_path)) as port:
        raw = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + given + b"\r\n\r\n"
        assert (await sent(port, raw))[0] == 401
    async with served() as port:
        raw = b"GET /metrics HTTP/1.1\r\nHost: " + given + b"\r\n\r\n"
        assert (await sent(port, raw))[0] in (400, 403)


GARBAGE = {
    "no method": b"MARK\r\n\r\n",
    "no HTTP": b"\x16\x03\x01MARK\r\n\r\n",
    "another protocol": b"GET /MARK HTTP/9.9\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: localhost\r\n: MARK\r\n\r\n",
    "a zero in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: MARK\x00\r\n\r\n",
    "a length that is none": b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: MARK\r\n\r\n",
    "a header without an end": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"MARK" * 9000 + b"\r\n\r\n",
    "an address without an end": b"GET /" + b"MARK" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another expectation": b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: MARK\r\n\r\n",
}


@pytest.mark.parametrize("what", GARBAGE)
async def test_what_is_no_request_gets_no_word_of_it_back_nor_of_what_serves_it(what: str) -> None:
    async with served() as port:
        with capture_logs() as logged:
            status, headers, body = await sent(port, GARBAGE[what])
        assert (await asked(port, "/livez"))[0] == 200
    assert 400 <= status < 500
    assert headers["Server"] == "rotation-worker"
    assert headers.keys() >= HEADERS.keys()
    assert b"MARK" not in body
    assert b"aiohttp" not in body
    assert logged == [], "strangers write no log"


async def test_a_bug_is_answered_with_the_headers_too_and_without_a_word_of_it() -> None:
    async def state() -> BrokerState:
        raise RuntimeError("MARK")

    async with serving(Health(state, Metrics()), Http(listen="127.0.0.1:0"), StillFleet(sample_fleet(0))) as port:
        status, headers, body = await sent(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status, headers["Server"], b"MARK" in body) == (500, "rotation-worker", False)
    assert headers.keys() >= HEADERS.keys()


async def test_probes_need_no_token_and_tell_no_details_without_one(tmp_path: Path) -> None:
    async with served(token_file=secret(tmp_path)) as port:
        assert (await asked(port, "/livez"))[0] == 200
        status, told, _ = await asked(port, "/readyz")
        assert (status, told) == (503, {"status": "not ready"})
        _, told, _ = await asked(port, "/readyz", {"Authorization": f"Bearer {TOKEN}"})
        assert told["reasons"] == ["the broker is not connected"]


async def test_a_token_that_was_replaced_needs_no_restart_and_an_unreadable_one_opens_nothing(tmp_path: Path) -> None:
    file = secret(tmp_path)
    async with served(token_file=file) as port:
        file.write_text(f"{TOKEN}-2")
        assert (await asked(port, "/metrics", {"Authorization": f"Bearer {TOKEN}"}))[0] == 401
        assert (await asked(port, "/metrics", {"Authorization": f"Bearer {TOKEN}-2"}))[0] == 200
        file.unlink()
        for given in (f"Bearer {TOKEN}-2", "Bearer "):
            assert (await asked(port, "/metrics", {"Authorization": given}))[0] == 401


@pytest.mark.parametrize("text", ["short", "", "two\nlines of a token that is long"])
async def test_a_token_that_is_none_is_an_error_at_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="token_file") as refused:
        async with served(token_file=secret(tmp_path, text)):
            pass
    assert text == "" or text not in str(refused.value)


async def test_where_nothing_guards_them_only_the_probes_are_served_elsewhere() -> None:
    async with served("0.0.0.0:0", only_probes=True) as port:
        assert (await asked(port, "/livez"))[0] == 200
        assert (await asked(port, "/readyz"))[1] == {"status": "not ready"}
        for path in PATHS:
            assert (await asked(port, path))[0] == 404


async def test_who_has_a_certificate_of_the_operators_needs_no_token(tmp_path: Path) -> None:
    operators = Authority.create()
    (tmp_path / "operators.pem").write_text(operators.root_pem)
    settings = {**files(tmp_path, AUTHORITY.issue(["localhost"])), "client_ca_file": tmp_path / "operators.pem"}
    async with served(**settings) as port:
        stranger, operator = trusting(), trusting()
        (tmp_path / "operator").mkdir()
        mine = files(tmp_path / "operator", operators.issue(["operator.example.com"], usage=CLIENT))
        operator.load_cert_chain(mine["cert_file"], mine["key_file"])
        assert (await asked(port, "/livez", tls=stranger))[0] == 200
        assert (await asked(port, "/metrics", tls=stranger))[0] == 401
        status, _, headers = await asked(port, "/metrics", tls=operator)
        assert (status, "Strict-Transport-Security" in headers) == (200, True)
        (tmp_path / "other").mkdir()
        others = files(tmp_path / "other", Authority.create().issue(["operator.example.com"], usage=CLIENT))
        stranger.load_cert_chain(others["cert_file"], others["key_file"])
        with pytest.raises(aiohttp.ClientError):
            await asked(port, "/metrics", tls=stranger)


async def test_a_certificate_that_was_renewed_is_served_without_a_restart(tmp_path: Path) -> None:
    first = AUTHORITY.issue(["localhost"])
    renewed = AUTHORITY.issue(["localhost"], not_before=datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))
    async with served(**files(tmp_path, first)) as port:
        serials = [await serial(port)]
        files(tmp_path, renewed)
        serials.append(await serial(port))
        (tmp_path / "http.pem").write_text("garbage")
        serials.append(await serial(port))
    assert serials == [first.serial_number, renewed.serial_number, renewed.serial_number]


async def test_a_renewed_key_is_taken_once_not_everybody_can_read_it_any_more(tmp_path: Path) -> None:
    first, renewed = AUTHORITY.issue(["localhost"]), AUTHORITY.issue(["localhost"])
    async with served(**files(tmp_path, first)) as port:
        serials = [await serial(port)]
        (tmp_path / "http.key").chmod(0o644)
        files(tmp_path, renewed)
        with capture_logs() as logs:
            serials.append(await serial(port))
        (tmp_path / "http.key").chmod(0o600)
        serials.append(await serial(port))
    assert serials == [first.serial_number, first.serial_number, renewed.serial_number]
    [told] = [one for one in logs if one["event"] == "http.certificate_unreadable"]
    assert told["error"] == "the file can be read by everybody"


async def test_a_key_is_read_again_when_it_is_somebody_elses_now(tmp_path: Path) -> None:
    async with served(**files(tmp_path, AUTHORITY.issue(["localhost"]))) as port:
        with capture_logs() as logs:
            await serial(port)
            given_away(tmp_path / "http.key")
            await serial(port)
    assert [one["event"] for one in logs].count("http.certificate_renewed") == 1


@pytest.mark.parametrize("broken", ["cert_file", "key_file"])
async def test_a_certificate_that_cannot_be_used_is_an_error_at_start(tmp_path: Path, broken: str) -> None:
    settings = files(tmp_path, AUTHORITY.issue(["localhost"]))
    settings[broken].write_text("garbage")
    with pytest.raises(SettingsError, match=r"http\.cert_file"):
        async with served(**settings):
            pass


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY.root_pem)
    context.check_hostname = False
    return context


async def serial(port: int) -> int:
    chain = await served_chain("127.0.0.1", port, "localhost")
    return x509.load_der_x509_certificate(chain[0]).serial_number
