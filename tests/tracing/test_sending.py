"""To whom spans are sent: to the collector that is named, if it is the one, and to nobody else."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from opentelemetry.sdk.trace.export import SpanExportResult
from structlog.testing import capture_logs

from tests.support.ownership import given_away
from tests.tracing.collector import LONG, collecting
from tests.tracing.collector import Collector as Far
from worker.collector import Collector
from worker.sandbox.ca import Authority
from worker.settings.tracing import CollectorFiles, collector_files
from worker.tracing import Subject
from worker.tracing.exporting import exporting
from worker.tracing.sending import sending

AUTHORITY = Authority.create()
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
UNUSABLE = "OTEL_EXPORTER_OTLP_CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY: cannot be used "


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def server(folder: Path, *, asks: bool = False) -> ssl.SSLContext:
    issued = AUTHORITY.issue(["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(written(folder, "server.pem", issued.private_key_pem + issued.chain_pem))
    if asks:
        context.load_verify_locations(cadata=AUTHORITY.root_pem)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return written(tmp_path, "ca.pem", AUTHORITY.root_pem)


async def sent(far: Far, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many spans more have come."""
    monkeypatch.setenv(ENDPOINT, far.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    before, tracing = len(far.spans), exporting(sending(collector.context))
    with tracing.rotation(None, Subject("shop", None, 1)):
        pass
    await asyncio.to_thread(tracing.close)
    return len(far.spans) - before


async def test_no_span_goes_to_a_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as far, collecting() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await sent(far, Collector(CollectorFiles()), monkeypatch) == 1
        assert proxy.bodies == []


async def test_the_collector_is_verified_and_the_environment_has_no_keys_of_its_connections_written_down(
    tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    other = written(tmp_path, "other.pem", Authority.create().root_pem)
    # What counts for the library alone.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    async with collecting(server(tmp_path)) as far:
        assert await sent(far, Collector(CollectorFiles(ca)), monkeypatch) == 1
        for files in (CollectorFiles(), CollectorFiles(other)):
            assert await sent(far, Collector(files), monkeypatch) == 0
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(ca))
        assert await sent(far, Collector(CollectorFiles(other)), monkeypatch) == 0, "one context has it all"
    assert not keys.exists()


@pytest.mark.parametrize("is_tls", [True, False])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_of_a_collectors_answer_only_the_beginning_is_read_and_nothing_is_inflated(
    tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, *, is_tls: bool
) -> None:
    async with collecting(server(tmp_path) if is_tls else None) as far:
        far.encoding = encoding
        monkeypatch.setenv(ENDPOINT, far.url)
        exporter = sending(Collector(CollectorFiles(ca)).context)
        assert await asyncio.to_thread(exporter.export, []) is SpanExportResult.SUCCESS
        assert far.accepted == "identity"
    assert 0 < far.sent < LONG


async def test_one_connection_is_enough_for_answers_that_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as far:
        monkeypatch.setenv(ENDPOINT, far.url)
        exporter = sending(Collector(CollectorFiles()).context)
        for _ in range(3):
            assert await asyncio.to_thread(exporter.export, []) is SpanExportResult.SUCCESS
        assert len(far.peers) == 1


async def test_who_we_are_is_shown_to_the_collector_by_files_that_are_read_again_when_they_change(
    tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    us = AUTHORITY.issue(["worker.example.com"], usage=CLIENT)
    cert, key = written(tmp_path, "us.pem", us.chain_pem), written(tmp_path, "us.key", us.private_key_pem)
    collector = Collector(CollectorFiles(ca, cert, key))
    async with collecting(server(tmp_path, asks=True)) as far:
        assert await sent(far, Collector(CollectorFiles(ca)), monkeypatch) == 0
        assert await sent(far, collector, monkeypatch) == 1
        stranger = Authority.create().issue(["worker.example.com"], usage=CLIENT)
        written(tmp_path, "us.pem", stranger.chain_pem)
        written(tmp_path, "us.key", stranger.private_key_pem)
        assert await sent(far, collector, monkeypatch) == 0
        written(tmp_path, "us.pem", us.chain_pem + us.private_key_pem)
        assert await sent(far, Collector(CollectorFiles(ca, cert)), monkeypatch) == 1, "the key may stand there too"


def test_a_key_that_everybody_can_read_shows_nobody_who_we_are(tmp_path: Path) -> None:
    us = AUTHORITY.issue(["worker.example.com"], usage=CLIENT)
    cert, key = written(tmp_path, "us.pem", us.chain_pem), written(tmp_path, "us.key", us.private_key_pem)
    key.chmod(0o644)
    collector = Collector(CollectorFiles(None, cert, key))
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(OSError, match="cannot be used"):
                collector.context()
    assert logs == [
        {
            "event": "tracing.files_refused",
            "log_level": "warning",
            "error": f"{UNUSABLE}(the file can be read by everybody)",
        }
    ]
    key.chmod(0o600)
    made = collector.context()
    key.unlink()
    assert collector.context() is made, "until there is another one"


def test_who_we_are_is_read_again_when_the_key_is_somebody_elses_now(tmp_path: Path) -> None:
    us = AUTHORITY.issue(["worker.example.com"], usage=CLIENT)
    cert, key = written(tmp_path, "us.pem", us.chain_pem), written(tmp_path, "us.key", us.private_key_pem)
    collector = Collector(CollectorFiles(None, cert, key))
    made = collector.context()
    assert collector.context() is made
    given_away(key)
    assert collector.context() is not made


def test_the_variables_of_traces_go_before_those_of_all_signals() -> None:
    every = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/a", "OTEL_EXPORTER_OTLP_CLIENT_KEY": ""}
    ours = {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/b", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": "/c"}
    assert collector_files(every) == CollectorFiles(Path("/a"))
    assert collector_files(every | ours) == CollectorFiles(Path("/b"), Path("/c"))
    assert collector_files({}) == CollectorFiles()
