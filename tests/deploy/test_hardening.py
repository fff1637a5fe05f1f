"""What surrounds the worker denies it, and everybody else, what it does not need."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands.processes import run_code
from tests.settings.files import loaded
from tests.support.acme import SCRIPT, require
from worker.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "rotation-worker.service"
DOCUMENTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes" / "rotation-worker.yaml").read_text(encoding="utf-8"))
)
AFTER_A_COMMAND = """
import ctypes, resource
from worker.cli import main
main(["history", "--config", "/nowhere"])
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3))
"""


def kubernetes(kind: str) -> dict[str, Any]:
    [found] = [one for one in DOCUMENTS if one["kind"] == kind]
    return found


async def test_a_command_leaves_no_picture_of_its_memory() -> None:
    _status, said, _ = await run_code(AFTER_A_COMMAND)
    assert said.splitlines()[-1] == "(0, 0) 0"


def test_the_unit_is_exposed_to_little(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/rotation-worker/bin/rotation-worker", str(SCRIPT)))
    judged = subprocess.run(
        [require("systemd-analyze"), "security", "--offline=true", "--threshold=20", "--no-pager", unit],
        check=False,
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout.splitlines()[-1]
    verified = subprocess.run(["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_unit_waits_longer_than_a_drain_lasts_and_leaves_wrong_settings_alone() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    [stop] = [int(line.partition("=")[2]) for line in lines if line.startswith("TimeoutStopSec=")]
    assert stop > Settings().retry.drain_seconds
    assert "RestartPreventExitStatus=78 243" in lines


def test_what_is_kept_for_putting_back_lies_below_the_units_state_and_is_none_of_its_links() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    example = (DEPLOY.parent / "config" / "worker.toml").read_text(encoding="utf-8")
    [folder] = re.findall(r'^# folder = "(.+?)"', example, re.MULTILINE)
    [state] = [line.partition("=")[2] for line in lines if line.startswith("StateDirectory=")]
    # With DynamicUser the state directory itself is a link.
    assert Path(folder).parent == Path("/var/lib") / state
    assert {"StateDirectoryMode=0700", "UMask=0077"} <= set(lines)


def test_a_pod_may_do_nothing_but_work() -> None:
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["terminationGracePeriodSeconds"] > Settings().retry.drain_seconds
    assert kubernetes("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_pods_secrets_are_files_that_others_cannot_read() -> None:
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert "env" not in container
    [secret] = [one["secret"] for one in pod["volumes"] if "secret" in one]
    assert not secret["defaultMode"] & 0o007
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_a_certificate_is_never_without_a_worker() -> None:
    spec = kubernetes("Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert kubernetes("PodDisruptionBudget")["spec"]["minAvailable"] == 1


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy"])
def test_what_guards_the_pods_finds_them(kind: str) -> None:
    spec = kubernetes(kind)["spec"]
    selector = spec["selector"] if "selector" in spec else spec["podSelector"]
    labels = kubernetes("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert selector["matchLabels"].items() <= labels.items()


def test_the_settings_in_the_manifest_are_settings(tmp_path: Path) -> None:
    settings = loaded(tmp_path, kubernetes("ConfigMap")["data"]["worker.toml"])
    assert settings.http.listen == "0.0.0.0:8080"
