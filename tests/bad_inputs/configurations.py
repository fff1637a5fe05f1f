"""B80 to B86: settings with which the worker does not start."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from joserfc.jwk import ECKey, RSAKey

from tests.settings.files import APIG, GATEWAYS, VAULT, certificate, in_place, written
from worker.sandbox.ca import Authority
from worker.trust.keys import made

SECRET: Final = "hunter2"
SHOP: Final = GATEWAYS + certificate(in_place())
TO_IAM: Final = (
    '{kind = "password", iam_endpoint = "http://127.0.0.1:5000", account = "a", user = "u", password_file = "token",'
    ' project = "eu"}'
)
WITH_CLIENT_CA: Final = GATEWAYS + certificate(in_place(trusted_root_ca_file='"ca.pem"'))


@dataclass(frozen=True, slots=True)
class Wrong:
    """Ends with status 78 and one line, which begins with the place and never holds the value."""

    number: str
    what: str
    place: str
    write: Callable[[Path], Path]
    environ: Mapping[str, str] = field(default_factory=dict)


def text(content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "token").touch(mode=0o600)
        return written(folder, content)

    return write


def huge(folder: Path) -> Path:
    path = written(folder, "")
    with path.open("r+b") as file:
        file.truncate(100_000_000)
    return path


def for_everybody(folder: Path) -> Path:
    path = written(folder, "")
    path.chmod(0o666)
    return path


def in_a_folder_of_all(folder: Path) -> Path:
    """Nobody but its owner can write the file, and everybody can put another one in its place."""
    key = made(folder / "keys", "acme", signs=True)[1]
    key.parent.chmod(0o777)
    return written(folder, f'[trust.producers.acme]\npublic_key = "keys/{key.name}"')


def public_with(**members: object) -> Callable[[Path], Path]:
    """A producer's public key with more in it."""

    def write(folder: Path) -> Path:
        key = made(folder, "acme", signs=True)[1]
        key.write_text(json.dumps(json.loads(key.read_text()) | members))
        return written(folder, f'[trust.producers.acme]\npublic_key = "{key.name}"')

    return write


def recipient(fields: Callable[[], Mapping[str, object]]) -> Callable[[Path], Path]:
    """The worker's own key file holds this."""

    def write(folder: Path) -> Path:
        key = folder / "worker.jwk"
        key.touch(mode=0o600)
        key.write_text(json.dumps(fields()))
        return written(folder, '[trust]\nrecipient_keys = ["worker.jwk"]')

    return write


def signing_key(folder: Path) -> Path:
    """A producer's key where the worker's own belongs."""
    private, _ = made(folder, "producer", signs=True)
    return written(folder, f'[trust]\nrecipient_keys = ["{private.name}"]')


def private_for_public(section: str, key: str, *, signs: bool) -> Callable[[Path], Path]:
    """The private half, where the public one belongs."""

    def write(folder: Path) -> Path:
        private, _ = made(folder, "acme", signs=signs)
        return written(folder, f'[{section}]\n{key} = "{private.name}"')

    return write


def fifo(content: str | None) -> Callable[[Path], Path]:
    """Beside the settings; None: in their place. Nobody ever writes into it."""

    def write(folder: Path) -> Path:
        os.mkfifo(folder / "fifo", 0o600)
        return folder / "fifo" if content is None else written(folder, content)

    return write


def key_of_all(folder: Path) -> Path:
    private, _ = made(folder, "worker", signs=False)
    private.chmod(0o644)
    return written(folder, f'[trust]\nrecipient_keys = ["{private.name}"]')


def both_in_one(folder: Path) -> Path:
    """A client certificate and its key, in a file that everybody can read."""
    client = Authority.create().issue(["worker"])
    both = written(folder, client.chain_pem + client.private_key_pem, "client.pem")
    both.chmod(0o644)
    return written(folder, f'[broker]\nurl = "amqps://worker@mq.example.com/"\ncert_file = "{both.name}"')


def with_password(folder: Path) -> Path:
    """Of a broker elsewhere, in a file that everybody can read."""
    path = written(folder, f'[broker]\nurl = "amqps://u:{SECRET}@mq.example.com/"')
    path.chmod(0o644)
    return path


def with_ca(content: str, pem: Callable[[Authority], str], mode: int = 0o644) -> Callable[[Path], Path]:
    """`ca.pem` beside the settings."""

    def write(folder: Path) -> Path:
        (folder / "ca.pem").write_text(pem(Authority.create()))
        (folder / "ca.pem").chmod(mode)
        return text(content)(folder)

    return write


def root(authority: Authority) -> str:
    return authority.root_pem


def root_and_key(authority: Authority) -> str:
    return authority.root_pem + authority.issue(["client.example.com"]).private_key_pem


def broker(url: str) -> Callable[[Path], Path]:
    return text(f'[broker]\nurl = "{url}"')


ROWS: Final = (
    Wrong(
        "B80",
        "`no_verify_ssl` in the broker's URL",
        "broker.url: ",
        broker(f"amqps://u:{SECRET}@mq.example.com/?no_verify_ssl=1"),
    ),
    Wrong("B80", "`amqp://` to another host", "broker.url: ", broker(f"amqp://u:{SECRET}@mq.example.com/")),
    Wrong(
        "B80", "`http://` endpoint", "gateways.apig-main.endpoint: ", text(APIG.replace("https://apig", "http://apig"))
    ),
    Wrong(
        "B80",
        "a password in an endpoint",
        "gateways.apig-main.endpoint: ",
        text(APIG.replace("https://", f"https://u:{SECRET}@")),
    ),
    Wrong(
        "B80",
        "a proxy between the worker and an `http://` IAM",
        "gateways.apig-main.proxy: ",
        text(
            APIG.replace('{kind = "token", token_file = "token"}', TO_IAM) + 'proxy = "http://proxy.example.com:3128"'
        ),
    ),
    Wrong(
        "B81",
        "a secret in the file",
        "gateways.apig-main.auth.token: unknown key",
        text(APIG.replace('token_file = "token"', f'token_file = "token", token = "{SECRET}"')),
    ),
    Wrong(
        "B81",
        "a secret in the environment",
        "ROTATION_GATEWAYS__APIG_MAIN__AUTH__TOKEN: ",
        text(APIG),
        {"ROTATION_GATEWAYS__APIG_MAIN__AUTH__TOKEN": SECRET},
    ),
    Wrong(
        "B81", "the broker's password in a file that everybody can read", "broker.url: has a password", with_password
    ),
    Wrong(
        "B82",
        "a certificate called `../x`",
        "certificates.../x",
        text(GATEWAYS + certificate(in_place(), name='"../x"')),
    ),
    Wrong(
        "B82",
        "a stored certificate `../x`",
        "certificates.shop.deployments.0.certificate_id: ",
        text(GATEWAYS + certificate(in_place(certificate_id=f'"../{SECRET}"'))),
    ),
    Wrong(
        "B83",
        "one stored certificate twice",
        "certificates.blog.deployments.0.certificate_id: ",
        text(SHOP + certificate(in_place(), name="blog")),
    ),
    Wrong("B84", "a key twice", "line 3: queue stands twice", text(f'[broker]\nqueue = "a"\nqueue = "{SECRET}"')),
    Wrong(
        "B84",
        "NaN for a limit",
        "gateways.apig-main.limits.0.seconds: ",
        text(APIG + "limits = [{calls = 1, seconds = nan}]"),
    ),
    Wrong("B84", "10,000 nested arrays", "nested too deeply", text("a = " + "[" * 10_000 + "]" * 10_000)),
    Wrong("B84", "100 MB", "over 1048576 bytes", huge),
    Wrong("B84", "a file that everybody may write", "the file can be written by everybody", for_everybody),
    Wrong(
        "B84",
        "CAs of the broker that everybody may write",
        "broker.ca_file: the file can be written by everybody",
        with_ca('[broker]\nca_file = "ca.pem"', root, 0o666),
    ),
    Wrong(
        "B84",
        "CAs of Vault that everybody may write",
        "trust.vault.ca_file: the file can be written by everybody",
        with_ca(VAULT.replace("AUTH", '{kind = "token", token_file = "token"}') + 'ca_file = "ca.pem"', root, 0o666),
    ),
    Wrong(
        "B84",
        "CAs of a gateway that everybody may write",
        "gateways.apig-main.ca_file: the file can be written by everybody",
        with_ca(f'{APIG}ca_file = "ca.pem"', root, 0o666),
    ),
    Wrong(
        "B84",
        "a client CA that everybody may write",
        "certificates.shop.deployments.0.trusted_root_ca_file: the file can be written by everybody",
        with_ca(WITH_CLIENT_CA, root, 0o646),
    ),
    Wrong(
        "B84",
        "a client CA's file with a key in it",
        "certificates.shop.deployments.0.trusted_root_ca_file: a block that is no CERTIFICATE",
        with_ca(WITH_CLIENT_CA, root_and_key),
    ),
    Wrong(
        "B84",
        "a client CA's file that holds something else",
        "certificates.shop.deployments.0.trusted_root_ca_file: something other than PEM",
        with_ca(WITH_CLIENT_CA, lambda _authority: SECRET),
    ),
    Wrong("B84", "a file that is not there", "No such file or directory", lambda folder: folder / "none.toml"),
    Wrong("B84", "no UTF-8", "not in UTF-8", lambda folder: _bytes(folder, b'[broker]\nqueue = "\xff"')),
    Wrong("B84", "a FIFO for the settings", "not a regular file", fifo(None)),
    Wrong("B84", "a FIFO for the roots", "trust.ca_bundle: not a regular file", fifo('[trust]\nca_bundle = "fifo"')),
    Wrong(
        "B84",
        "a FIFO for a key",
        "trust.recipient_keys.0: not a regular file",
        fifo('[trust]\nrecipient_keys = ["fifo"]'),
    ),
    Wrong(
        "B84",
        "a device for a public key",
        "trust.producers.acme.public_key: not a regular file",
        text('[trust.producers.acme]\npublic_key = "/dev/zero"'),
    ),
    Wrong(
        "B84",
        "a key in a folder that everybody may write",
        "trust.producers.acme.public_key: the folder ",
        in_a_folder_of_all,
    ),
    Wrong(
        "B85",
        "a public key that is for something else",
        "trust.producers.acme.public_key: use: not that of a key that verifies signatures",
        public_with(use="enc"),
    ),
    Wrong(
        "B85",
        "a public key with something else in it",
        "trust.producers.acme.public_key: members that are none of a public JWK's: 1",
        public_with(hunter=SECRET),
    ),
    Wrong(
        "B85",
        "the public half of the worker's key",
        "trust.recipient_keys.0: no private key",
        recipient(lambda: ECKey.generate_key("P-256").as_dict(private=False)),
    ),
    Wrong(
        "B85",
        "an RSA key",
        "trust.recipient_keys.0: no JWK",
        recipient(lambda: RSAKey.generate_key(2048).as_dict(private=True)),
    ),
    Wrong(
        "B85",
        "a producer's private key for its public one",
        "trust.producers.acme.public_key: holds a private key; here belongs the public one",
        private_for_public("trust.producers.acme", "public_key", signs=True),
    ),
    Wrong(
        "B85",
        "the worker's private key for its public one",
        "publish.recipient_key: holds a private key; here belongs the public one",
        private_for_public("publish", "recipient_key", signs=False),
    ),
    Wrong("B85", "a producer's key", "trust.recipient_keys.0: neither an EC nor an X25519 key", signing_key),
    Wrong(
        "B85", "a key that everybody can read", "trust.recipient_keys.0: the file can be read by everybody", key_of_all
    ),
    Wrong(
        "B85",
        "a key beside its certificate, in a file that everybody can read",
        "broker.cert_file: the file can be read by everybody",
        both_in_one,
    ),
    Wrong(
        "B86", "nobody may renew a certificate", "certificates.shop.producers: ", text(SHOP.replace('["acme-1"]', "[]"))
    ),
)


def _bytes(folder: Path, content: bytes) -> Path:
    path = folder / "worker.toml"
    path.write_bytes(content)
    return path
