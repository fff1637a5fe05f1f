"""The Helm chart: rendered by Helm itself, it is the manifests; and its schema refuses what would not do."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from tests.deploy.test_hardening import DOCUMENTS
from tests.settings.files import loaded
from tests.support.charts import CHART, VERSIONS, check, documents, rendered, tool

SCHEMA: Final[dict[str, Any]] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
OURS: Final = {"app.kubernetes.io/name"}
"""Labels that the manifests have; Helm's charts have more."""
EVERYTHING: Final = {
    "replicas": 3,
    "image": {"digest": f"sha256:{'a' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "volumes": [{"name": "shop", "secret": {"secretName": "shop-tls", "defaultMode": 0o440}}],
    "volumeMounts": [{"name": "shop", "mountPath": "/etc/certificates/shop", "readOnly": True}],
    "serviceAccount": {"automountToken": True, "annotations": {"example.com/role": "rotation"}},
    "podAnnotations": {"example.com/team": "edge"},
    "podLabels": {"example.com/tier": "ops"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "edge", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "networkPolicy": {"ports": [5671, 443, 8200]},
}


def plain(value: Any) -> Any:
    """Without what only a chart adds: further labels, the checksum that makes pods new, and what is said by default."""
    match value:
        case Mapping():
            left_out = {"annotations", "imagePullPolicy", "app.kubernetes.io/instance"}
            kept = {key: one for key, one in value.items() if key not in left_out}
            if "app.kubernetes.io/name" in kept:
                kept = {key: one for key, one in kept.items() if key in OURS}
            return {key: plain(one) for key, one in kept.items() if key != "labels" or "helm.sh/chart" not in one}
        case list():
            return [plain(one) for one in value]
        case str():
            return "\n".join(line.rstrip() for line in value.strip().splitlines())
        case _:
            return value


def unlabelled(document: Mapping[str, Any]) -> Any:
    """The manifests label their objects where something looks for them."""
    told = plain(document)
    return {**told, "metadata": {key: one for key, one in told["metadata"].items() if key != "labels"}}


def test_the_chart_with_nothing_said_is_the_manifests() -> None:
    chart = {one["kind"]: one for one in documents()}
    manifests = {one["kind"]: one for one in DOCUMENTS if one["kind"] != "Namespace"}
    assert set(chart) == set(manifests)
    for kind, manifest in manifests.items():
        ours, theirs = unlabelled(chart[kind]), unlabelled(manifest)
        if kind == "Deployment":
            for one in (ours, theirs):
                one["spec"]["template"].pop("metadata")
        assert ours == theirs, kind


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["nothing", "everything"])
def test_kubernetes_knows_every_field_of_what_is_rendered(values: dict[str, Any], version: str) -> None:
    for document in documents(values, "edge"):
        check(document, version)


def test_what_guards_and_reaches_the_pods_finds_them_by_release() -> None:
    chart = {one["kind"]: one for one in documents({}, "edge")}
    labels = chart["Deployment"]["spec"]["template"]["metadata"]["labels"]
    deployment, budget = chart["Deployment"]["spec"]["selector"], chart["PodDisruptionBudget"]["spec"]["selector"]
    policy, service = chart["NetworkPolicy"]["spec"]["podSelector"], chart["Service"]["spec"]["selector"]
    for selector in (deployment["matchLabels"], budget["matchLabels"], policy["matchLabels"], service):
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/instance"] == "edge"


def test_values_reach_the_pods() -> None:
    chart = {one["kind"]: one for one in documents(EVERYTHING, "edge")}
    pod = chart["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert chart["Deployment"]["spec"]["replicas"] == 3
    assert container["image"].endswith(f"/rotation-worker@sha256:{'a' * 64}")
    assert {"name": "shop", "mountPath": "/etc/certificates/shop", "readOnly": True} in container["volumeMounts"]
    assert pod["automountServiceAccountToken"] is chart["ServiceAccount"]["automountServiceAccountToken"] is True
    assert pod["tolerations"] == EVERYTHING["tolerations"]
    assert [port["port"] for port in chart["NetworkPolicy"]["spec"]["egress"][1]["ports"]] == [5671, 443, 8200]


def test_the_operator_of_prometheus_scrapes_every_replica_where_it_is_asked_to() -> None:
    told = {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}}
    [monitor] = [one for one in documents({"podMonitor": told}, "edge") if one["kind"] == "PodMonitor"]
    chart = {one["kind"]: one for one in documents({}, "edge")}
    pods = chart["Deployment"]["spec"]["template"]
    [port] = [one["name"] for one in pods["spec"]["containers"][0]["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pods["metadata"]["labels"].items()
    token = {"credentials": {"name": VALUES["secret"], "key": "http-token"}}
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {"port": port, "path": "/metrics", "interval": "1m", "authorization": token}
    assert "PodMonitor" not in chart


def test_without_its_policy_the_notes_say_what_that_means() -> None:
    made = rendered({"networkPolicy": {"enabled": False}})
    assert not made["networkpolicy.yaml"].strip()
    told = " ".join(made["NOTES.txt"].split())
    assert (
        "There is no NetworkPolicy: whoever reaches the pods may ask them. Status page and metrics are then guarded"
        in told
    )
    assert "with neither, nothing but /livez and /readyz is served." in told
    assert "There is no NetworkPolicy" not in rendered()["NOTES.txt"]


def test_other_settings_make_other_pods() -> None:
    made = [rendered({"settings": text})["deployment.yaml"] for text in ("[broker]\n", "[http]\n")]
    assert made[0] != made[1]


def test_helm_has_nothing_against_it() -> None:
    report = tool("helm_python").lint(CHART, {}, strict=True)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"replica": 2}, ""),
        ({"replicas": 0}, "replicas"),
        ({"image": {"repository": "x", "tag": "a b"}}, "image.tag"),
        ({"image": {"repository": "x", "digest": "sha256:1"}}, "image.digest"),
        ({"settings": ""}, "settings"),
        ({"settings": '[broker]\nurl = "amqps://me:secret@rabbit/"\n'}, "settings"),
        ({"settings": "-----BEGIN EC PRIVATE KEY-----"}, "settings"),
        ({"networkPolicy": {"ports": [0]}}, "networkPolicy.ports.0"),
        ({"secret": "Not A Name"}, "secret"),
        ({"podMonitor": {"interval": "often"}}, "podMonitor.interval"),
        ({"resources": {"limits": {"memory": "much"}}}, "resources.limits.memory"),
    ],
)
def test_values_that_would_not_do_are_refused_at_their_place(values: dict[str, Any], place: str) -> None:
    validator = jsonschema.Draft7Validator(SCHEMA)
    found = [".".join(map(str, error.absolute_path)) for error in validator.iter_errors({**VALUES, **values})]
    assert found == [place]


def test_the_schema_is_one_and_knows_every_value_that_there_is() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(VALUES)
    assert set(SCHEMA["properties"]) == {*VALUES, "global"}


def test_every_value_is_used_and_no_other_is() -> None:
    templates = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())
    assert {found.partition(".")[0] for found in re.findall(r"\.Values\.([\w.]+)", templates)} == set(VALUES)


def test_the_settings_among_the_values_are_settings_and_the_chart_is_of_this_version(tmp_path: Path) -> None:
    assert loaded(tmp_path, VALUES["settings"]).http.listen == "0.0.0.0:8080"
    project = tomllib.loads((CHART.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (about["version"], about["appVersion"]) == (project["version"], project["version"])
