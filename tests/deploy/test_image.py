"""The container image: what its file says of it, and what comes of its steps when they are done here by hand."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.support.image import environment_of, instructions, stages
from tests.support.ports import free_port

ROOT: Final = Path(__file__).parents[2]
FINAL: Final = stages(ROOT)[-1]
_ALONE: Final = """
import sys, worker.cli, worker.app, worker.broker.rabbitmq, worker.broker.sqlite, worker.commands.run
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
print("\\n".join(file for file in files if "site-packages" in file))
print(worker.__file__)
"""


def test_the_images_labels_say_what_the_package_says() -> None:
    [told] = [rest for name, rest in FINAL if name == "LABEL"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', told))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {"title": "rotation-worker", "licenses": project["license"]}
    assert labels == {**names, "description": project["description"], "version": project["version"]}


def test_what_is_copied_into_the_build_is_not_kept_out_of_it() -> None:
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [rest.split()[:-1] for name, rest in instructions(ROOT) if name == "COPY" and not rest.startswith("--")]
    assert not [file for files in copied for file in files if file in left_out or file.startswith(".")]


def health_check() -> Sequence[str]:
    [told] = [rest for name, rest in FINAL if name == "HEALTHCHECK"]
    words: list[str] = json.loads(told.partition(" CMD ")[2])
    return words


@dataclass(slots=True)
class Build:
    """One stage; the container's `/` is a folder. Of the commands only those that name its folders can be run so."""

    home: Path
    others: Mapping[str, Path] = field(default_factory=dict)
    workdir: Path = Path()

    def carry_out(self, steps: Sequence[tuple[str, str]]) -> None:
        for name, rest in steps:
            match name:
                case "WORKDIR":
                    self.workdir = self.at(rest)
                    self.workdir.mkdir(parents=True)
                case "COPY":
                    self._copy(rest.split())
                case "RUN":
                    self._run(rest)
                case _:
                    assert name in {"FROM", "LABEL", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}

    def at(self, path: str) -> Path:
        return self.home / path.lstrip("/") if path.startswith("/") else self.workdir / path

    def _copy(self, words: Sequence[str]) -> None:
        options = [one for one in words if one.startswith("--")]
        *sources, target = [one for one in words if not one.startswith("--")]
        [origin] = [self.others[one.partition("=")[2]] for one in options if one.startswith("--from")] or [ROOT]
        to = self.at(target)
        to.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            from_ = origin / source.lstrip("/")
            if from_.is_dir():
                shutil.copytree(from_, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
                continue
            if target.endswith("/"):
                to.mkdir(parents=True, exist_ok=True)
            shutil.copy(from_, to)

    def _run(self, command: str) -> None:
        here = re.sub(r"(?<=[ =])/", f"{self.home}/", command)
        words = re.sub(r"\bpython -m pip\b", f"{sys.executable} -m pip", here)
        done = subprocess.run(["sh", "-c", words], cwd=self.workdir, check=False, capture_output=True, text=True)
        if "Failed to establish a new connection" in done.stderr and not os.environ.get("CI"):
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stderr


def _python() -> str:
    """Without this environment's packages."""
    return str(getattr(sys, "_base_executable", sys.executable))


@pytest.mark.timeout(600)
def test_what_its_steps_make_runs_alone_and_is_healthy(tmp_path: Path) -> None:
    first, last = Build(tmp_path / "build"), Build(tmp_path / "image", {"build": tmp_path / "build"})
    first.carry_out(stages(ROOT)[0])
    last.carry_out(FINAL)
    told, port = environment_of(ROOT), free_port()
    env = {name: str(last.at(value)) if value.startswith("/") else value for name, value in told.items()}
    env |= {"ROTATION_HTTP__LISTEN": f"127.0.0.1:{port}", "ROTATION_BROKER__URL": f"sqlite:///{tmp_path}/broker"}
    words = [_python(), "-S", "-c", _ALONE]
    alone = subprocess.run(words, check=True, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert alone.stdout.split() == [str(last.at("/app/worker/__init__.py"))]
    entry, command = [json.loads(rest) for name, rest in FINAL if name in ("ENTRYPOINT", "CMD")]
    child = subprocess.Popen([_python(), "-S", *entry[1:], *command], env=env, cwd=tmp_path)
    try:
        check = [word.replace(":8080/", f":{port}/") for word in health_check()][1:]
        while subprocess.run([_python(), "-S", *check], check=False, capture_output=True).returncode:
            assert child.poll() is None
            time.sleep(0.2)
    finally:
        child.send_signal(signal.SIGTERM)
        status = child.wait()
    assert status == 0
