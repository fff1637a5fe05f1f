"""The container image's environment, as settings."""

import json
import re
from pathlib import Path

from worker.settings.loading import load

ROOT = Path(__file__).parents[2]


def test_a_container_listens_where_others_can_reach_it() -> None:
    environ = dict(re.findall(r" (ROTATION_[A-Z]+__[A-Z_]+)=(\S+)", (ROOT / "Dockerfile").read_text()))
    http = load(ROOT / "config" / "worker.toml", environ).http
    assert (http.listen, http.only_probes, http.is_guarded) == ("0.0.0.0:8080", True, False)


def final_stage() -> list[tuple[str, str]]:
    """The instructions from the last FROM on."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    steps = [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if re.match("[A-Z]+ ", line)]
    last = max(number for number, (name, _) in enumerate(steps) if name == "FROM")
    return steps[last:]


def test_the_image_has_no_shell_and_is_nobodys_root() -> None:
    (_, base), *steps = final_stage()
    assert re.fullmatch(r"gcr\.io/distroless/python3-debian12:nonroot@sha256:[0-9a-f]{64}", base)
    assert "RUN" not in dict(steps), "there is nothing that could run it"
    # Kubernetes can check a number alone.
    users = [value for name, value in steps if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    started = [json.loads(value) for name, value in steps if name in ("ENTRYPOINT", "CMD")]
    assert all(isinstance(one, list) for one in started), "as a list it needs no shell"
