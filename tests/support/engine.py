"""A Compose file's services without a container engine: each sees the files, names and ports that its container would.

Left out, for want of images: other users than root, and the libraries of the broker's image in place of this machine's.
"""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.image import environment_of

ROOT: Final = Path(__file__).parents[2]
_UP: Final = """
import fcntl, signal, socket, struct
with socket.socket() as link:
    fcntl.ioctl(link, 0x8914, struct.pack("16sh22x", b"lo", 0x1))  # SIOCSIFFLAGS: it is up
print("up", flush=True)
signal.pause()
"""
_OVER: Final = ("/run", "/var/lib", "/var/spool")
"""Where an image has nothing that its services need, and this machine has things of its own."""
_BROKER: Final = {
    "HOME": "/var/lib/rabbitmq",
    "RABBITMQ_NODENAME": "rabbit@localhost",
    "RABBITMQ_CONFIG_FILE": "/var/lib/rabbitmq/rabbitmq.conf",
    "RABBITMQ_CONF_ENV_FILE": "/dev/null",
    "RABBITMQ_ENABLED_PLUGINS_FILE": "/var/lib/rabbitmq/enabled_plugins",
    "RABBITMQ_LOG_BASE": "/var/lib/rabbitmq/log",
    "RABBITMQ_MNESIA_BASE": "/var/lib/rabbitmq/mnesia",
    "RABBITMQ_PID_FILE": "/var/lib/rabbitmq/pid",
}
_BROKER_STARTS: Final = (
    "cat /etc/rabbitmq/conf.d/*.conf > $RABBITMQ_CONFIG_FILE; echo '[].' > $RABBITMQ_ENABLED_PLUGINS_FILE;"
    " exec /usr/lib/rabbitmq/bin/rabbitmq-server"
)


def may_separate() -> bool:
    """Whether processes may be given a network and files of their own."""
    return subprocess.run(["unshare", "-m", "-n", "-p", "-f", "true"], check=False, capture_output=True).returncode == 0


@dataclass(frozen=True, slots=True)
class Engine:
    """One network for all services; a volume is a folder below `home`."""

    file: Path
    home: Path
    network: int
    """Process id of whoever holds it open."""
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def services(self) -> Mapping[str, Any]:
        return dict(yaml.safe_load(self.file.read_text(encoding="utf-8"))["services"])

    async def run(self, name: str, *command: str) -> tuple[int, str]:
        """A one-shot: exit status and stdout. `command` in place of the file's own."""
        child = await self._spawn(name, self._words(name, command), stdout=asyncio.subprocess.PIPE)
        said, _ = await child.communicate()
        return child.returncode or 0, said.decode()

    async def up(self, name: str) -> None:
        """Started, and healthy as its own check says."""
        if "build" not in self.services[name]:
            await self._map_ports()
        child = await self._spawn(name, self._words(name, ()), stdout=asyncio.subprocess.DEVNULL)
        self.started.append(child)
        while await self._is_sick(name):
            assert child.returncode is None, f"{name} has ended"
            await asyncio.sleep(0.2)

    async def _map_ports(self) -> None:
        """Erlang's port mapper. The first to need it would start it: a check, which takes it along when it ends."""
        mapper = (*self._network, "epmd")
        self.started.append(await asyncio.create_subprocess_exec(*mapper, "-address", "127.0.0.1"))
        quiet = asyncio.subprocess.DEVNULL
        while await (await asyncio.create_subprocess_exec(*mapper, "-names", stdout=quiet, stderr=quiet)).wait():
            await asyncio.sleep(0.1)

    @property
    def _network(self) -> Sequence[str]:
        """In front of a command: it is within the services' network."""
        return ("nsenter", f"--net=/proc/{self.network}/ns/net")

    async def _is_sick(self, name: str) -> bool:
        test = self.services[name]["healthcheck"]["test"]
        assert test[0] == "CMD", "no shell is needed"
        words = [{"python3": sys.executable, "rabbitmq-diagnostics": _DIAGNOSTICS}.get(one, one) for one in test[1:]]
        quiet = asyncio.subprocess.DEVNULL
        child = await self._spawn(name, words, stdout=quiet, stderr=quiet)
        return await child.wait() != 0

    async def _spawn(self, name: str, words: Sequence[str], **streams: Any) -> asyncio.subprocess.Process:
        into = (*self._network, "unshare", "-m", "-p", "-f", "--kill-child")
        seeing = ("--mount-proc", "sh", "-ec", "\n".join(self._sees(self.services[name])), "sh")
        own = self.services[name].get("environment", {})
        env = {**os.environ, **_BROKER} if name == "rabbitmq" else {**environment_of(ROOT), "PATH": os.environ["PATH"]}
        return await asyncio.create_subprocess_exec(
            *into, *seeing, *words, env={**env, "PYTHONPATH": str(ROOT), **own}, **streams
        )

    def _words(self, name: str, command: Sequence[str]) -> Sequence[str]:
        service = self.services[name]
        if "build" not in service:
            return ("sh", "-c", _BROKER_STARTS)
        first, *entry = service.get("entrypoint", ["python3", "-m", "worker"])
        assert first == "python3"
        return (sys.executable, *entry, *(command or service["command"]))

    def _sees(self, service: Mapping[str, Any]) -> Iterator[str]:
        """A script that lays out a container's files, and goes on as the words after it."""
        yield "mount --make-rprivate /"
        yield f"mount --bind {shlex.quote(str(self.home / 'etc'))} /etc"
        yield from (f"mount -t tmpfs none {folder}" for folder in _OVER)
        for volume in service["volumes"]:
            source, target, *how = volume.split(":")
            yield from _bound(self._source(source), target, is_read_only=how == ["ro"])
        for told in service.get("tmpfs", ()):
            target, _, how = told.partition(":")
            yield f"mkdir -p {target}; mount -t tmpfs -o {how or 'mode=1777'} none {target}"
        if service.get("read_only"):
            yield "mount --bind / /; mount -o remount,bind,ro /; mount -o remount,bind,ro /etc"
        yield 'exec "$@"'

    def _source(self, told: str) -> Path:
        if told.startswith("."):
            return (self.file.parent / told).resolve()
        (self.home / told).mkdir(exist_ok=True)
        return self.home / told


_DIAGNOSTICS: Final = "/usr/lib/rabbitmq/bin/rabbitmq-diagnostics"


def _bound(source: Path, target: str, *, is_read_only: bool) -> Iterator[str]:
    from_, to = shlex.quote(str(source)), shlex.quote(target)
    yield f"mkdir -p {to}" if source.is_dir() else f"mkdir -p $(dirname {to}); : >> {to}"
    yield f"mount --bind {from_} {to}"
    if is_read_only:
        yield f"mount -o remount,bind,ro {to}"


@asynccontextmanager
async def engine(file: Path, home: Path) -> AsyncIterator[Engine]:
    """All that it starts ends with the block."""
    shutil.copytree("/etc", home / "etc", symlinks=True, ignore_dangling_symlinks=True)
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    (home / "etc" / "hosts").write_text(f"127.0.0.1 localhost {' '.join(services)}\n")
    holder = await asyncio.create_subprocess_exec(
        *("unshare", "-n", sys.executable, "-c", _UP), stdout=asyncio.subprocess.PIPE
    )
    own = Engine(file, home, holder.pid)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"up\n"
        yield own
    finally:
        for child in (*own.started, holder):
            if child.returncode is None:
                child.kill()
            await child.wait()
