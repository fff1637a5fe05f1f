"""One trace from the producer over each call to a cloud to the event, and no secret in it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.support.clouds import Running, renewal, settings_for
from tests.support.fake_vault import FakeVault, serving
from tests.support.gateways import AUTHORITY
from tests.support.judging import kept_by_all
from worker.app import run
from worker.broker import broker_of
from worker.sandbox import Sandbox
from worker.sandbox.world import Fault
from worker.settings import Settings
from worker.tracing.exporting import exporting

NAME = "www.example.com"
TRACE, PRODUCER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{PRODUCER}-01"
TOLD_OF_CALLS = {
    *("http.request.method", "http.request.resend_count", "http.response.status_code", "error.type"),
    *("server.address", "server.port", "rotation.operation", "rotation.gateway", "rotation.wait_seconds"),
}
TOLD_OF_ROTATIONS = {
    *("messaging.operation.type", "rotation.certificate", "rotation.renewal_id", "rotation.attempt"),
    *("rotation.outcome", "rotation.reason", "error.type"),
}


@asynccontextmanager
async def traced(settings: Settings, spans: InMemorySpanExporter) -> AsyncIterator[Running]:
    """A worker whose spans are all there once the block was left."""
    stopping, broker = asyncio.Event(), broker_of(settings, kept_by_all)
    worker = asyncio.create_task(run(settings, stopping=stopping, tracing=exporting(spans)))
    try:
        yield Running(broker)
    finally:
        stopping.set()
        await worker
        await broker.close()


def shop(sandbox: Sandbox, folder: Path, **more: Any) -> Settings:
    sandbox.world.add_domain(sandbox.world.add_group(sandbox.world.add_instance()), NAME)
    deployment = {"gateway": "apig", "name": "shop", "domains": (NAME,)}
    return settings_for(sandbox, AUTHORITY, folder, {"shop": (deployment,)}, **more)


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """Of the trace, the span and its parent."""
    parent = None if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


def split(spans: InMemorySpanExporter) -> tuple[Sequence[ReadableSpan], Sequence[ReadableSpan]]:
    """Rotations and calls, in the order in which they began."""
    found = sorted(spans.get_finished_spans(), key=lambda span: span.start_time or 0)
    of = {kind: [one for one in found if one.kind is kind] for kind in (SpanKind.CONSUMER, SpanKind.CLIENT)}
    return of[SpanKind.CONSUMER], of[SpanKind.CLIENT]


async def test_each_call_is_a_span_of_the_rotation_which_goes_on_in_the_producers_trace(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    async with Sandbox() as sandbox:
        settings = shop(sandbox, tmp_path)
        sandbox.world.faults.append(Fault("attach_domains", status=503))
        async with traced(settings, spans) as worker:
            event = await worker.outcome(replace(renewal(AUTHORITY.issue([NAME])), traceparent=PARENT))
        journal = list(sandbox.world.journal)
    (rotation,), calls = split(spans)
    trace, span, parent = ids(rotation)
    assert (trace, parent) == (TRACE, PRODUCER)
    assert event["traceparent"] == f"00-{TRACE}-{span}-01"
    assert {ids(call)[0::2] for call in calls} == {(TRACE, span)}
    assert sorted(call.name for call in calls) == sorted(f"{one.method} {one.operation}" for one in journal)
    assert rotation.attributes is not None
    assert rotation.attributes["rotation.outcome"] == "succeeded"
    assert rotation.attributes["rotation.renewal_id"] == event["causationid"]


async def test_a_call_tells_what_came_of_it_and_how_often_it_was_sent_before(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    async with Sandbox() as sandbox:
        settings = shop(sandbox, tmp_path)
        sandbox.world.faults += [Fault("list_certificates", status=503), Fault("list_certificates", kind="reset")]
        async with traced(settings, spans) as worker:
            await worker.outcome(renewal(AUTHORITY.issue([NAME])))
    told = [dict(call.attributes or {}) for call in split(spans)[1] if call.name == "GET list_certificates"][:3]
    seen = [(one.get("http.request.resend_count"), one.get("http.response.status_code")) for one in told]
    assert seen == [(None, 503), (1, None), (2, 200)]
    assert [one.get("error.type") for one in told] == ["503", "gateway_unavailable", None]
    assert {(one["rotation.gateway"], one["server.address"]) for one in told} == {("apig", "127.0.0.1")}


async def test_a_renewal_without_a_trace_begins_one_that_its_event_tells(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    async with Sandbox() as sandbox, traced(shop(sandbox, tmp_path), spans) as worker:
        event = await worker.outcome(renewal(AUTHORITY.issue(["other.example.com"])))
    ((rotation,), _calls) = split(spans)
    trace, span, parent = ids(rotation)
    assert (event["traceparent"].startswith(f"00-{trace}-{span}-"), parent) == (True, None)
    assert (rotation.attributes or {})["error.type"] == "name_not_covered"
    assert not rotation.status.is_ok


async def test_every_attempt_is_a_part_of_the_same_trace(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    async with Sandbox() as sandbox:
        settings = shop(sandbox, tmp_path)
        sandbox.world.faults.append(Fault("create_certificate", status=503, after_effect=False, times=1))
        sandbox.world.faults.append(Fault("attach_domains", status=429, times=6))
        async with traced(settings, spans) as worker:
            event = await worker.outcome(replace(renewal(AUTHORITY.issue([NAME])), traceparent=PARENT))
    rotations, _ = split(spans)
    assert [(one.attributes or {})["rotation.attempt"] for one in rotations] == [1, 2]
    assert [(one.attributes or {})["rotation.outcome"] for one in rotations] == ["parked", "succeeded"]
    assert {ids(one)[0::2] for one in rotations} == {(TRACE, PRODUCER)}
    assert event["traceparent"].split("-")[2] == ids(rotations[-1])[1]


async def test_a_trace_that_is_not_sampled_is_passed_on_and_not_told(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    async with Sandbox() as sandbox, traced(shop(sandbox, tmp_path), spans) as worker:
        sent = replace(renewal(AUTHORITY.issue([NAME])), traceparent=f"00-{TRACE}-{PRODUCER}-00")
        event = await worker.outcome(sent)
    assert spans.get_finished_spans() == ()
    assert event["traceparent"].split("-")[1::2] == [TRACE, "00"]


async def test_spans_tell_nothing_but_what_is_listed_and_no_secret(tmp_path: Path) -> None:
    """A gateway that answers with what it was sent, and one that refuses the credentials."""
    spans = InMemorySpanExporter()
    issued = AUTHORITY.issue([NAME])
    async with Sandbox() as sandbox:
        settings = shop(sandbox, tmp_path)
        body = {"error_code": "APIG.2012", "error_msg": f"bad value: {issued.private_key_pem}"}
        sandbox.world.faults.append(Fault("create_certificate", status=400, body=body))
        async with traced(settings, spans) as worker:
            for sent in (issued, AUTHORITY.issue([NAME])):
                await worker.outcome(renewal(sent))
        secrets = [sandbox.config.password, sandbox.config.project_id, *sandbox.iam.tokens]
    rotations, calls = split(spans)
    assert set().union(*(one.attributes or {} for one in rotations)) <= TOLD_OF_ROTATIONS
    assert set().union(*(one.attributes or {} for one in calls)) <= TOLD_OF_CALLS
    written = "".join(one.to_json() for one in (*rotations, *calls))
    assert [secret for secret in secrets if secret in written] == []
    assert [one.events for one in (*rotations, *calls) if one.events] == []
    assert "obtain_token" in written


async def test_asking_vault_is_a_part_of_it(tmp_path: Path) -> None:
    spans, elsewhere = InMemorySpanExporter(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ca.pem").write_text(AUTHORITY.root_pem)
    (elsewhere / "secret-id").touch(mode=0o600)
    (elsewhere / "secret-id").write_text(FakeVault().secret_id)
    issued, tls = AUTHORITY.issue([NAME]), AUTHORITY.issue(["127.0.0.1"])
    async with Sandbox() as sandbox, serving(FakeVault(), elsewhere, tls) as vault:
        vault.write("certs/shop", issued)
        auth = {"kind": "app_role", "role_id": vault.role_id, "secret_id_file": elsewhere / "secret-id"}
        own = {"address": vault.address, "ca_file": elsewhere / "ca.pem", "auth": auth}
        trust = {"ca_bundle": str(tmp_path / "roots.pem"), "vault": own}
        async with traced(shop(sandbox, tmp_path, trust=trust), spans) as worker:
            event = await worker.outcome(renewal(issued, material={"kind": "vault", "path": "certs/shop"}))
        hidden = [*vault.tokens, vault.secret_id, vault.role_id, "certs/shop"]
    assert event["data"]["outcome"] == "succeeded"
    (rotation,), calls = split(spans)
    assert [call.name for call in calls if "vault" in call.name] == ["POST vault", "GET vault"]
    assert {ids(call)[2] for call in calls} == {ids(rotation)[1]}
    written = "".join(call.to_json() for call in calls)
    assert [one for one in hidden if one in written] == []


async def test_lines_of_the_log_tell_their_trace(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    async with Sandbox() as sandbox:
        with capture_logs([merge_contextvars]) as told:
            async with traced(shop(sandbox, tmp_path), spans) as worker:
                await worker.outcome(replace(renewal(AUTHORITY.issue([NAME])), traceparent=PARENT))
    assert {line.get("trace_id") for line in told if line["event"].startswith("rotation.")} == {TRACE}
