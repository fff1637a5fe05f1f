"""Alerts and dashboard: of metrics that there are, as Prometheus understands it, and raised when they should be."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.acme import require
from worker.telemetry import Metrics

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
RULES: Final = DEPLOY / "prometheus" / "rotation-worker.rules.yml"
CASES: Final = sorted(Path(__file__).parent.glob("alerts*.test.yml"))
DASHBOARD: Final[dict[str, Any]] = json.loads((DEPLOY / "grafana" / "rotation-worker.json").read_text(encoding="utf-8"))
_SUFFIXES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_FROM_OUTSIDE: Final = {"job", "instance", "le"}
"""Labels that the scraper adds, and a histogram's own."""


def alerts() -> Sequence[Mapping[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def shown() -> Sequence[str]:
    """Every expression of the dashboard."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def exported() -> Mapping[str, set[str]]:
    """The labels of each series, by its name."""
    told = Metrics()
    ours: list[Any] = [one for name in Metrics.__slots__ if hasattr(one := getattr(told, name), "describe")]
    return {f"{one._name}{suffix}": set(one._labelnames) for one in ours for suffix in _SUFFIXES[one._type]}


def promtool(*words: str | Path) -> str:
    done = subprocess.run([require("promtool"), *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("expr", [*(one["expr"] for one in alerts()), *shown()])
def test_an_expression_is_of_series_that_the_worker_exports(expr: str) -> None:
    there = exported()
    named = set(re.findall(r"\brotation_\w+", expr))
    assert named
    assert named <= set(there)
    labels = set().union(*(there[name] for name in named)) | _FROM_OUTSIDE
    used = {label.strip() for by in re.findall(r"\bby \(([^)]*)\)", expr) for label in by.split(",")}
    assert used <= labels


def test_every_metric_of_the_worker_is_on_the_dashboard() -> None:
    families = {name.removesuffix("_sum").removesuffix("_count").removesuffix("_bucket") for name in exported()}
    shown_ones = " ".join(shown())
    assert sorted(name for name in families if name not in shown_ones) == []


def test_each_alert_is_raised_when_it_should_be_and_not_before() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", *CASES)


def test_no_alert_is_left_untested() -> None:
    tests = [test for file in CASES for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {one["alert"] for one in alerts()}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_what_the_dashboard_asks_is_what_prometheus_understands(tmp_path: Path) -> None:
    asked = [re.sub(r"\$__rate_interval", "5m", expr).replace("$job", "rotation") for expr in shown()]
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", tmp_path / "panels.yml")


def test_when_certificates_end_is_what_the_active_replica_tells_and_any_where_it_tells_nothing(tmp_path: Path) -> None:
    day = 86400
    ends = {("a", "shop"): 10, ("b", "shop"): 80, ("b", "billing"): 30}
    told = {f'rotation_consumer_active{{job="rotation",instance="{one}"}}': int(one == "a") for one in "ab"} | {
        "rotation_certificate_expiry_timestamp_seconds"
        f'{{job="rotation",instance="{one}",certificate="{name}",gateway="g"}}': days * day
        for (one, name), days in ends.items()
    }
    [soonest, table] = [one.replace("$job", "rotation") for one in shown() if "_expiry_" in one]
    each = [
        {"labels": f'{{certificate="{name}",gateway="g"}}', "value": days * day}
        for name, days in (("shop", 10), ("billing", 30))
    ]
    asked = [
        {"expr": soonest, "eval_time": "0s", "exp_samples": [{"labels": "{}", "value": 10 * day}]},
        {"expr": table, "eval_time": "0s", "exp_samples": each},
    ]
    inputs = [{"series": name, "values": str(value)} for name, value in told.items()]
    case = {"interval": "1m", "input_series": inputs, "promql_expr_test": asked}
    (tmp_path / "panels.test.yml").write_text(json.dumps({"rule_files": [], "tests": [case]}))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "panels.test.yml")


@pytest.mark.parametrize(("ups", "shown_up"), [({"a": 1, "b": 0}, 1), ({"a": 0, "b": 1}, 0)])
def test_whether_a_gateway_answers_is_what_the_active_replica_tells(
    tmp_path: Path, ups: Mapping[str, int], shown_up: int
) -> None:
    told = {f'rotation_consumer_active{{job="rotation",instance="{one}"}}': int(one == "a") for one in "ab"} | {
        f'rotation_gateway_up{{job="rotation",instance="{one}",gateway="g"}}': up for one, up in ups.items()
    }
    [panel] = [one.replace("$job", "rotation") for one in shown() if "_gateway_up" in one]
    samples = [{"labels": '{gateway="g"}', "value": shown_up}]
    asked = [{"expr": panel, "eval_time": "0s", "exp_samples": samples}]
    inputs = [{"series": name, "values": str(value)} for name, value in told.items()]
    case = {"interval": "1m", "input_series": inputs, "promql_expr_test": asked}
    (tmp_path / "panel.test.yml").write_text(json.dumps({"rule_files": [], "tests": [case]}))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "panel.test.yml")


def test_the_dashboards_panels_have_places_of_their_own_and_a_source_that_can_be_chosen() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert {panel["datasource"]["uid"], *(one["datasource"]["uid"] for one in panel["targets"])} == {
            "${datasource}"
        }
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "job"]
