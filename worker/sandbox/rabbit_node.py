"""A private RabbitMQ node on loopback, with everything of its own below one folder; needs an installed server."""

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CTL: Final = SERVER.with_name("rabbitmqctl")
_BOOT_SECONDS: Final = 60
_CONFIGURATION: Final = """\
loopback_users.guest = true
log.console = false
disk_free_limit.absolute = 100MB
"""


@dataclass(frozen=True, slots=True)
class RabbitNode:
    """One broker below `home`, reachable on loopback alone. `start` may follow `stop` or `kill9`: the data stays."""

    home: Path
    name: str
    port: int
    dist_port: int
    epmd_port: int

    @classmethod
    def below(cls, home: Path) -> "RabbitNode":
        home.mkdir(parents=True)
        (home / "rabbitmq.conf").write_text(_CONFIGURATION, encoding="ascii")
        (home / "enabled_plugins").write_text("[].\n", encoding="ascii")
        (home / "env.conf").touch()
        return cls(home, f"rotation-{uuid.uuid4().hex[:8]}@localhost", *_free_ports(3))

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Returns when it takes connections."""
        self._spawn("epmd", ["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)])
        _wait(lambda: _listens(self.epmd_port), "epmd does not start")
        self._spawn("server", [str(SERVER)])
        _wait(self._greets, "RabbitMQ does not start")

    def stop(self) -> None:
        """In order: a broker killed too soon after a declaration would lose what it confirmed."""
        self._signal("server", signal.SIGTERM)
        self._signal("epmd", signal.SIGTERM)

    def kill9(self) -> None:
        self._signal("server", signal.SIGKILL)
        self._signal("epmd", signal.SIGKILL)

    def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl`'s output. Raises `RuntimeError` with what it complained of."""
        command = [str(_CTL), "-q", *arguments]
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            cwd=self.home,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _spawn(self, role: str, command: list[str]) -> None:
        with (self.home / f"{role}.out").open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                cwd=self.home,
                env=self._environment(),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        process.returncode = 0  # it may outlive this process: the last one to use it stops it by its id
        (self.home / f"{role}.pid").write_text(str(process.pid), encoding="ascii")

    def _signal(self, role: str, number: signal.Signals) -> None:
        """To the process group that `_spawn` has made; returns when its leader and the Erlang machine are gone."""
        leader = int((self.home / f"{role}.pid").read_text(encoding="ascii"))
        with suppress(ProcessLookupError):
            os.killpg(leader, number)
        _wait(lambda: not _is_alive(leader), f"{role} does not stop")
        if role == "server":
            _wait(lambda: not _listens(self.port), "RabbitMQ does not stop")

    def _greets(self) -> bool:
        """It listens some time before it talks."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(b"AMQP\x00\x00\x09\x01")
            return link.recv(1) == b"\x01"
        return False

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return inherited | {
            "HOME": str(self.home),
            "ERL_CRASH_DUMP": str(self.home / "erl_crash.dump"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(self.home / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    return False


def _is_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait(is_so: Callable[[], bool], otherwise: str) -> None:
    """The broker is another process: there is nothing to wait on but its behaviour."""
    end = time.monotonic() + _BOOT_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.05)
