"""A sandbox to play with: something stored and bound at each cloud, a renewal for it, and settings that fit."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from worker.sandbox.ca import Authority
from worker.sandbox.server import Sandbox, SandboxConfig

_NAME: Final = "www.example.com"
_ALL: Final = "*.example.com"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_OLD: Final = timedelta(days=60)
_SETTINGS: Final = """\
# For this sandbox alone: it ends when the sandbox ends.
[broker]
url = "sqlite:///queue.db"
[retry]
parking_seconds = [1, 5, 30]
[trust]
ca_bundle = "ca.pem"
[trust.roots]
files = ["."]
[publish]
spool = "spool"
producer = "sandbox"
[http]
listen = "127.0.0.1:0"
[gateways.apig]
kind = "huawei_apig"
endpoint = "{apig}"
{insecure}project_id = "{project_id}"
auth = {{kind = "password", iam_endpoint = "{iam}", account = "{account}", user = "{user}", password_file = "password", project = "{project}"}}
[gateways.bycloud]
kind = "bycloud"
endpoint = "{bycloud}"
{insecure}region = "{region}"
auth = {{kind = "api_key", key_id = "{key_id}", secret_file = "secret"}}
[certificates.shop]
producers = ["sandbox"]
[[certificates.shop.deployments]]
gateway = "apig"
certificate_id = "{apig_certificate}"
domains = "attached"
[[certificates.shop.deployments]]
gateway = "bycloud"
strategy = "replace"
certificate_id = "{bycloud_certificate}"
listeners = [{{id = "{listener}"}}]
"""  # noqa: E501 - as a settings file has it


@dataclass(frozen=True, slots=True)
class Playground:
    """`folder` is given what one needs to be the sandbox's user."""

    sandbox: Sandbox
    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.create("Sandbox"))
    domains: int = 1
    """On the one certificate at APIG."""

    @property
    def _names(self) -> Sequence[str]:
        """What its certificates are for."""
        return [_NAME] if self.domains == 1 else [_NAME, _ALL]

    async def laid_out(self) -> Mapping[str, object]:
        """All that there is, as it is announced. Its secrets are made up, and good on this loopback alone."""
        places = {**self._places(), **self._login()}
        for name, content in self._files(places).items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_text(content)
        ports = await self.sandbox.open_listeners()
        files = {
            "settings": str(self.folder / "worker.toml"),
            "ca_file": str(self.folder / "ca.pem"),
            "renewed": {"chain": str(self.folder / "chain.pem"), "key": str(self.folder / "key.pem")},
        }
        return {**places, "tls_ports": dict(ports), "server_name": _NAME, **files}

    @property
    def _insecure(self) -> str:
        """A line where the worker takes no `http://` without it."""
        return "" if self.sandbox.config.host in _LOOPBACK else "insecure = true\n"

    def _places(self) -> dict[str, str]:
        """What is stored and bound at each cloud, and where they are."""
        world = self.sandbox.world
        old = self.authority.issue(self._names, not_before=datetime.now(UTC).replace(microsecond=0) - _OLD)
        certificate, upload = world.add_certificate(old, "shop"), world.add_upload(old, "shop", type="uploaded")
        instance = world.add_instance()
        group = world.add_group(instance)
        domain, listener = world.add_domain(group, _NAME), world.add_listener()
        more = [world.add_domain(group, f"www{number}.example.com") for number in range(2, self.domains + 1)]
        world.bind(certificate, domain, *more)
        world.bind_listener(upload, listener)
        return {
            "apig": self.sandbox.apig_endpoint,
            "iam": self.sandbox.iam_endpoint,
            "bycloud": self.sandbox.bycloud_endpoint,
            "control": self.sandbox.control_endpoint,
            "apig_certificate": certificate,
            "instance": instance,
            "group": group,
            "domain": domain,
            "bycloud_certificate": upload,
            "listener": listener,
        }

    def _login(self) -> dict[str, str]:
        own = self.sandbox.config
        names = ("project_id", "account", "user", "password", "project", "access_key", "secret_key")
        return {name: getattr(own, name) for name in (*names, "region", "key_id", "secret", "token")}

    def _files(self, places: Mapping[str, str]) -> Mapping[str, str]:
        renewed = self.authority.issue(self._names)
        return {
            "ca.pem": self.authority.root_pem,
            "chain.pem": renewed.chain_pem,
            "key.pem": renewed.private_key_pem,
            "password": places["password"],
            "secret": places["secret"],
            "worker.toml": _SETTINGS.format_map({**places, "insecure": self._insecure}),
        }


async def serve(
    config: SandboxConfig, folder: Path, announce: Callable[[Mapping[str, object]], None], domains: int = 1
) -> None:
    """Runs a sandbox until SIGTERM, or until it is cancelled."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Sandbox(config) as sandbox:
        announce(await Playground(sandbox, folder, domains=domains).laid_out())
        await stopping.wait()
