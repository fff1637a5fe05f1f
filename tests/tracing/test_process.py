"""Traces of `rotation-worker run`, as the standard variables say: sent by OTLP, and never in the way."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.processes import run_code
from tests.support.clouds import renewal
from tests.support.keys_made import traces_of
from tests.support.ports import free_port
from tests.support.stage import AUTHORITY, domain_of, staged
from tests.tracing.collector import collecting
from tests.tracing.test_traces import PARENT, PRODUCER, TRACE
from worker.settings import SettingsError
from worker.settings.tracing import are_traces_wanted

QUICK = {"parking_seconds": [1, 2], "deadline_seconds": 10, "drain_seconds": 30}


async def test_the_collector_gets_one_trace_whole_by_the_time_the_worker_has_ended(tmp_path: Path) -> None:
    issued = AUTHORITY.issue([domain_of("shop")])
    async with collecting() as collector, staged(tmp_path, embedded(tmp_path), retry=QUICK) as stage:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "rotations-of-acme"}
        async with stage.worker(environ=environ) as worker:
            await stage.door.publish_renewal(replace(renewal(issued), traceparent=PARENT))
            await worker.tells("rotation.finished", outcome="succeeded", trace_id=TRACE)
        (event,) = await stage.events()
        journal = list(stage.sandbox.world.journal)
        secrets = [stage.sandbox.config.password, *stage.sandbox.iam.tokens, *traces_of(issued.private_key_pem)]
    (rotation,) = [span for span in collector.spans if span.name == "rotation"]
    calls = [span for span in collector.spans if span is not rotation and span.name != "rotation"]
    assert (rotation.trace_id, rotation.parent_id) == (TRACE, PRODUCER)
    assert event["traceparent"] == f"00-{TRACE}-{rotation.span_id}-01"
    assert {(call.trace_id, call.parent_id) for call in calls} == {(TRACE, rotation.span_id)}
    assert sorted(call.told["rotation.operation"] for call in calls) == sorted(one.operation for one in journal)
    assert collector.services == {"rotations-of-acme"}
    written = b"".join(collector.bodies)
    assert [secret for secret in secrets if secret.encode() in written] == []


async def test_a_collector_that_is_away_costs_no_rotation_and_no_end(tmp_path: Path) -> None:
    async with staged(tmp_path, embedded(tmp_path), retry=QUICK) as stage:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
        async with stage.worker(environ=environ) as worker:
            await stage.renew()
            await stage.books()
            await worker.tells("library.told")
        assert {line["logger"].partition(".")[0] for line in worker.lines() if line["event"] == "library.told"} <= {
            "opentelemetry",
            "urllib3",
        }


def embedded(folder: Path) -> Mapping[str, str]:
    return {"url": f"sqlite:///{folder}/queue.db"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "a"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_traces_are_wanted_where_it_is_said_where_they_go(environ: Mapping[str, str], wanted: bool) -> None:
    assert are_traces_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_what_cannot_be_done_is_a_mistake_in_the_settings(environ: Mapping[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as told:
        are_traces_wanted(environ)
    assert [problem.partition(":")[0] for problem in told.value.problems] == [name]


@pytest.mark.parametrize("endpoint", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
@pytest.mark.parametrize("headers", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"])
def test_a_key_is_sent_to_no_collector_in_the_open(endpoint: str, headers: str) -> None:
    far, key = {endpoint: "HTTP://collector.example.com:4318"}, {headers: "api-key=hidden"}
    with pytest.raises(SettingsError) as told:
        are_traces_wanted(far | key)
    [problem] = told.value.problems
    assert problem.startswith(f"{endpoint}: {headers} would be sent in the open")
    assert "hidden" not in problem
    for near in (
        "http://127.0.0.1:4318",
        "http://[::1]:4318",
        "http://localhost:4318",
        "https://collector.example.com",
    ):
        assert are_traces_wanted({endpoint: near} | key)
    assert are_traces_wanted(far | {headers: ""}), "spans alone are no secret"


def test_a_password_in_a_collectors_url_is_not_sent_in_the_open_either() -> None:
    name = "OTEL_EXPORTER_OTLP_ENDPOINT"
    for url in ("http://us:hidden@collector.example.com", "http://us:hidden@[::1"):
        with pytest.raises(SettingsError) as told:
            are_traces_wanted({name: url})
        assert [problem.partition(":")[0] for problem in told.value.problems] == [name]
        assert "hidden" not in str(told.value)
    assert are_traces_wanted({name: "https://us:hidden@collector.example.com"})


STARTING = """
import os, sys
{before}
import worker.commands.run as command
from worker.cli import main
async def started(settings, *, read_again, tracing, manager):
    print(type(tracing).__name__, "opentelemetry" in sys.modules)
command._read, command.run = lambda _args: None, started
sys.exit(main(["run"]))
"""
WITHOUT = "sys.modules['opentelemetry'] = None"
WANTED = "os.environ['OTEL_TRACES_EXPORTER'] = 'otlp'"


async def test_nothing_of_it_is_loaded_unless_it_is_wanted() -> None:
    assert await run_code(STARTING.format(before="")) == (0, "_Nothing False\n", "")
    assert await run_code(STARTING.format(before=WANTED)) == (0, "Exporting True\n", "")


async def test_without_the_extra_the_worker_says_what_is_missing_and_starts() -> None:
    status, said, complaints = await run_code(STARTING.format(before=f"{WITHOUT}\n{WANTED}"))
    assert (status, said) == (0, "_Nothing True\n")
    assert '"event": "tracing.missing"' in complaints
