"""The container image's environment, as settings."""

import re
from pathlib import Path

from worker.settings.loading import load

ROOT = Path(__file__).parents[2]


def test_a_container_listens_where_others_can_reach_it() -> None:
    environ = dict(re.findall(r"^ENV (ROTATION_[A-Z_]+)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert load(ROOT / "config" / "worker.toml", environ).http.listen == "0.0.0.0:8080"
