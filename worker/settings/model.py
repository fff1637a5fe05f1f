"""Every setting, its type and its default: the one source of the settings reference and the example file."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from worker.core.stance import Stance
from worker.settings.base import Identifier, Model, Seconds, Uuid, VaultPath, Wave
from worker.settings.http import Http
from worker.settings.timed import Timed
from worker.settings.verify import Endpoint, Verify

CERTIFICATE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CertificateName = Annotated[str, StringConstraints(pattern=rf"^{CERTIFICATE_NAME.pattern}$")]


class Broker(Model):
    """`[broker]`. With `sqlite:///PATH` the embedded engine is used, and only `url` and `prefetch` matter."""

    url: str = Field(default="amqp://guest:guest@127.0.0.1:5672/", repr=False)
    url_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    """Who we are at TLS; where the URL has no password, to the broker too (EXTERNAL)."""
    key_file: Path | None = None
    insecure: bool = False
    """Allows `amqp://` to a host that is not loopback."""
    prefetch: int = Field(default=32, ge=1, le=1000)
    """Rotations in flight."""
    declare_: bool = Field(default=True, alias="declare")
    exchange: str = "certificate.renewals"
    queue: str = "certificate.rotation"
    binding_keys: tuple[str, ...] = ("certificate.renewed",)
    parking_exchange: str = "certificate.rotation.parked"
    """Where nothing is said, this and the next are named after the queue."""
    dead_queue: str = "certificate.rotation.dead"
    events_exchange: str = "certificate.events"
    history_stream: str = "certificate.rotation.history"
    delivery_limit: int = Field(default=20, ge=1)
    history_days: int = Field(default=90, ge=1)
    timeout_seconds: Seconds = 30
    """For connecting, publishing, closing."""

    @property
    def in_hand(self) -> int:
        """Deliveries taken: more than are worked on, so that urgent ones are seen, and those for another gateway."""
        return min(self.prefetch * 4, 1000)

    @model_validator(mode="before")
    @classmethod
    def _named_after_the_queue(cls, given: Any) -> Any:
        """What is parked or buried is put back into its own queue: no two queues share where it lies."""
        queue = given.get("queue") if isinstance(given, dict) else None
        if not isinstance(queue, str):
            return given
        return {"parking_exchange": f"{queue}.parked", "dead_queue": f"{queue}.dead", **given}


class Retry(Model):
    """`[retry]`."""

    deadline_seconds: Seconds = 120
    slice_seconds: Seconds = 900
    parking_seconds: tuple[Seconds, ...] = Field(default=(30, 120, 600, 3600), min_length=1)
    attempts: int = Field(default=12, ge=1)
    drain_seconds: Seconds = 30
    """What is in hand at SIGTERM has so long to finish; then it goes back to the broker."""


class Producer(Model):
    """`[trust.producers.NAME]`."""

    public_key: Path | None = None


class Roots(Model):
    """`[trust.roots]`."""

    files: tuple[Path, ...] = ()


class TokenAuth(Model):
    kind: Literal["token"]
    token_file: Path


class VaultAppRole(Model):
    kind: Literal["app_role"]
    role_id: str | None = Field(default=None, repr=False)
    role_id_file: Path | None = None
    secret_id_file: Path
    mount: VaultPath = "approle"


class VaultKubernetes(Model):
    kind: Literal["kubernetes"]
    role: str
    jwt_file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    mount: VaultPath = "kubernetes"


class Vault(Model):
    """`[trust.vault]`: a KV engine, version 2, for `vault` material."""

    address: str
    insecure: bool = False
    """Allows `http://` to a host that is not loopback."""
    ca_file: Path | None = None
    mount: VaultPath = "secret"
    namespace: VaultPath | None = None
    auth: Annotated[TokenAuth | VaultAppRole | VaultKubernetes, Field(discriminator="kind")]
    timeout_seconds: Seconds = 10


class Previous(Model):
    """`[trust.previous]`: where the last good chain and key of certificates with `keep_previous` lie, sealed."""

    folder: Path | None = None
    vault: VaultPath | None = None
    """Below it, at `trust.vault.mount`, one secret for each."""


class CertificateRules(Model):
    """`[trust.rules]`: what becomes of a certificate that breaks a rule which is not everybody's."""

    private_ca: bool | None = None
    """Its certificates need no CT and no authority key identifiers. Unless said: whether `ca_bundle` is a file."""
    no_sct: Stance | None = None
    """Unless said: "warn", and "allow" for a private CA."""
    must_staple: Stance = "refuse"
    cn_not_in_san: Stance = "warn"
    key_reused: Literal["warn", "allow"] = "warn"
    """Nobody is refused for it: the worker may not remember."""
    allow_p521: bool = False


class Trust(Model):
    """`[trust]`."""

    allow_plain_keys: bool = False
    allow_staging_issuers: bool = False
    recipient_keys: tuple[Path, ...] = ()
    require_signature: bool = False
    audience: str = "rotation-worker"
    producers: dict[str, Producer] = Field(default={})
    roots: Roots = Roots()
    vault: Vault | None = None
    previous: Previous | None = None
    ca_bundle: str = "system"
    minimum_remaining_seconds: float = Field(default=0, ge=0, allow_inf_nan=False)
    replay_window_seconds: float = Field(default=604_800, gt=0, le=31_536_000)
    """How old a signature may be, whatever its message says."""
    rules: CertificateRules = CertificateRules()


class Limit(Model):
    """At most `calls` in any window of `seconds`."""

    calls: int = Field(ge=1)
    seconds: Seconds


class PasswordAuth(Model):
    kind: Literal["password"]
    iam_endpoint: str
    account: str
    user: str
    password_file: Path
    project: str


class AkSkAuth(Model):
    kind: Literal["ak_sk"]
    access_key: str | None = Field(default=None, repr=False)
    access_key_file: Path | None = None
    """Keys are replaced in pairs: where both are files, without a restart."""
    secret_key_file: Path


class ApiKeyAuth(Model):
    kind: Literal["api_key"]
    key_id: str | None = Field(default=None, repr=False)
    key_id_file: Path | None = None
    """As `access_key_file`."""
    secret_file: Path


class BearerAuth(Model):
    kind: Literal["bearer"]
    token_file: Path


class GatewayCommon(Model):
    endpoint: str
    insecure: bool = False
    """Allows `http://` to a host that is not loopback."""
    ca_file: Path | None = None
    proxy: str | None = None
    """`http://HOST:PORT`: a tunnel for TLS. None in the environment is used."""
    concurrency: int = Field(default=8, ge=1, le=1000)
    """Calls under way at once."""
    call_timeout_seconds: Seconds = 30
    settle_seconds: Seconds = 15
    """How long the gateway may take until what it accepted can be read."""


class HuaweiApig(GatewayCommon):
    """`[gateways.NAME]` with `kind = "huawei_apig"`."""

    kind: Literal["huawei_apig"]
    project_id: Identifier
    domains_per_attach: int = Field(default=20, ge=1, le=1000)
    limits: tuple[Limit, ...] = Field(
        default=(Limit(calls=20, seconds=1), Limit(calls=3000, seconds=300)), min_length=1
    )
    auth: Annotated[PasswordAuth | AkSkAuth | TokenAuth, Field(discriminator="kind")]


class ByCloud(GatewayCommon):
    """`[gateways.NAME]` with `kind = "bycloud"`."""

    kind: Literal["bycloud"]
    region: Identifier
    limits: tuple[Limit, ...] = Field(
        default=(Limit(calls=60, seconds=60), Limit(calls=1000, seconds=3600)), min_length=1
    )
    auth: Annotated[ApiKeyAuth | BearerAuth, Field(discriminator="kind")]


Gateway = Annotated[HuaweiApig | ByCloud, Field(discriminator="kind")]


class Domain(Model):
    """One domain of a deployment; for `per_domain` its three ids, else its name."""

    domain: str | None = None
    instance_ids: tuple[Identifier, ...] = ()
    verified_client_certificate_enabled: bool | None = None
    instance_id: Identifier | None = None
    group_id: Identifier | None = None
    domain_id: Identifier | None = None


class Listener(Model):
    """One Octavia listener."""

    id: Uuid
    sni: bool = False
    load_balancer: Uuid | None = None
    endpoint: str | Endpoint | None = None
    """Where it is looked at what it serves."""


class Deployment(Model):
    """`[[certificates.NAME.deployments]]`."""

    gateway: str
    strategy: Literal["in_place", "per_domain", "blue_green", "rebind", "replace"] = "in_place"
    certificate_id: Identifier | None = None
    name: str | None = None
    domains: Literal["attached"] | tuple[str | Domain, ...] | None = None
    listeners: tuple[Listener, ...] = ()
    trusted_root_ca_file: Path | None = None
    waves: tuple[Wave, ...] = Field(default=(1, 0.1, 1.0), min_length=1)
    """How many bindings have moved after each wave: 1 is one of them, 1.0 are all."""
    retire_after_seconds: float = Field(default=0, ge=0, allow_inf_nan=False)
    """For so long `blue_green` keeps the old stored certificate once nothing is bound to it any more."""


class Lineage(Model):
    """`[certificates.NAME.lineage]`: below one of `trust.roots.files`."""

    chain: str
    private_key: str


class Certificate(Timed):
    """`[certificates.NAME]`."""

    producers: tuple[str, ...] = Field(min_length=1)
    deployments: tuple[Deployment, ...] = Field(min_length=1)
    verify_: Verify = Field(default=Verify(), alias="verify")
    lineage: Lineage | None = None
    names: tuple[str, ...] = ()
    """What a renewed certificate must be for, besides its domains and the names of `verify`."""
    files_below: str | None = None
    """The only folder, below `trust.roots.files`, in which a message may name files."""
    vault_below: VaultPath | None = None
    """As `files_below`, for `vault` material."""
    keep_previous: bool = False
    """Keeps what was verified last in `trust.previous`, so that it can be put back."""


class Sweep(Model):
    """`[sweep]`."""

    every_seconds: Seconds = 21600


class Publish(Model):
    """`[publish]`: read by `rotation-worker publish`, often on another host."""

    recipient_key: Path | None = None
    producer: str | None = None
    producer_key: Path | None = None
    audience: str = "rotation-worker"
    """Of the worker that the messages are for: its `trust.audience`."""
    expires_after_seconds: Seconds = 604_800
    """For how long a signed message is good."""
    spool: Path = Path("/var/spool/rotation-worker")
    names: dict[str, str] = Field(default={})
    plain: bool = False
    """Sends the key in the open. Only for a worker with `trust.allow_plain_keys`."""


class Settings(Model):
    """The whole file."""

    broker: Broker = Broker()
    retry: Retry = Retry()
    trust: Trust = Trust()
    gateways: dict[Identifier, Gateway] = Field(default={})
    certificates: dict[CertificateName, Certificate] = Field(default={})
    certificates_dir: Path | None = None
    sweep: Sweep = Sweep()
    publish: Publish = Publish()
    http: Http = Http()

    @property
    def names_broker(self) -> bool:
        """Whether anything is said of it, be it the default."""
        return "broker" in self.model_fields_set
