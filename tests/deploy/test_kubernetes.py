"""The manifests, as Kubernetes' own schemas have them; how they guard the pods is `test_hardening`'s."""

from typing import Any

import pytest

from tests.deploy.test_hardening import DOCUMENTS, kubernetes
from tests.support.charts import VERSIONS, check
from worker.settings import Settings


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: str(one["kind"]))
def test_kubernetes_knows_every_field_of_the_manifests(document: dict[str, Any], version: str) -> None:
    check(document, version)


def test_a_field_that_kubernetes_does_not_know_is_noticed() -> None:
    budget = kubernetes("PodDisruptionBudget")
    misspelt = {**budget, "spec": {**budget["spec"], "minAvailible": 1}}
    with pytest.raises(Exception, match="minAvailible"):
        check(misspelt, VERSIONS[0])


def test_the_probes_ask_for_what_is_served() -> None:
    [container] = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    [port] = container["ports"]
    assert Settings().http.listen.rpartition(":")[2] == str(port["containerPort"])
    assert {container[f"{name}Probe"]["httpGet"]["port"] for name in asked} == {port["name"]}
    [served] = kubernetes("Service")["spec"]["ports"]
    assert served["targetPort"] == port["name"]


def test_whoever_reads_the_page_stays_with_one_replica() -> None:
    assert kubernetes("Service")["spec"]["sessionAffinity"] == "ClientIP"


def test_replicas_are_spread_and_their_memory_has_an_end() -> None:
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    keys = [one["topologyKey"] for one in pod["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    [container] = pod["containers"]
    assert {"memory", "ephemeral-storage"} == set(container["resources"]["limits"])
    assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["requests"])


def test_the_network_lets_out_what_the_settings_reach_and_no_more() -> None:
    spec = kubernetes("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    ports = {(port["protocol"], port["port"]) for way in spec["egress"] for port in way["ports"]}
    assert ports == {("UDP", 53), ("TCP", 53), ("TCP", 5671), ("TCP", 443)}
    assert [port["port"] for way in spec["ingress"] for port in way["ports"]] == ["http"]
