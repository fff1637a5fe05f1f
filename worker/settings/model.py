"""Every setting, its type and its default: the one source of the settings reference and the example file."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from worker.core.stance import Stance
from worker.settings.base import Identifier, Model, Seconds, Uuid, VaultPath, Wave
from worker.settings.gateways import Gateway
from worker.settings.http import Http
from worker.settings.timed import Timed
from worker.settings.vault import Vault
from worker.settings.verify import Endpoint, Verify

CERTIFICATE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CertificateName = Annotated[str, StringConstraints(pattern=rf"^{CERTIFICATE_NAME.pattern}$")]


class Broker(Model):
    """`[broker]`. With `sqlite:///PATH` the embedded engine is used, and only `url` and `prefetch` matter."""

    url: str = Field(default="amqp://guest:guest@127.0.0.1:5672/", repr=False)
    """`amqp://` or `amqps://`, for a path the virtual host; or `sqlite:///PATH` for the embedded engine."""
    url_file: Path | None = None
    """Instead of `url`: a file with it. `ROTATION_BROKER__URL` takes the place of both."""
    ca_file: Path | None = None
    """At TLS, trusts this CA alone."""
    cert_file: Path | None = None
    """Who we are at TLS; where the URL has no password, to the broker too (EXTERNAL)."""
    key_file: Path | None = None
    """Of `cert_file`, and not encrypted. Without it the key stands in `cert_file`, which is a secret then."""
    insecure: bool = False
    """Allows `amqp://` to a host that is not loopback."""
    prefetch: int = Field(default=32, ge=1, le=1000)
    """Rotations in flight."""
    declare_: bool = Field(default=True, alias="declare")
    """False: objects are looked at and not made, which needs no configure right."""
    exchange: str = "certificate.renewals"
    """Where renewals are published."""
    queue: str = "certificate.rotation"
    """What the worker takes them from."""
    binding_keys: tuple[str, ...] = ("certificate.renewed",)
    """Of the queue at the exchange; `publish` writes `certificate.renewed`."""
    parking_exchange: str = "certificate.rotation.parked"
    """By which copies are parked; where nothing is said, it and `dead_queue` are named after the queue."""
    dead_queue: str = "certificate.rotation.dead"
    """Where what was given up waits for somebody."""
    events_exchange: str = "certificate.events"
    """Where outcomes are published."""
    history_stream: str = "certificate.rotation.history"
    """Which keeps them."""
    delivery_limit: int = Field(default=20, ge=1)
    """Deliveries of a message that kills the worker, until it is given up."""
    history_days: int = Field(default=90, ge=1)
    """How long outcomes are kept."""
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
    """For one call with its repeats; waiting under the limits is not counted."""
    slice_seconds: Seconds = 900
    """A longer rotation goes back to the broker in between, and goes on where it was."""
    parking_seconds: tuple[Seconds, ...] = Field(default=(30, 120, 600, 3600), min_length=1)
    """For how long a renewal is put off after its first, second, … try; the last counts for all that follow."""
    attempts: int = Field(default=12, ge=1)
    """Tries until it is given up."""
    drain_seconds: Seconds = 30
    """What is in hand at SIGTERM has so long to finish; then it goes back to the broker."""


class Producer(Model):
    """`[trust.producers.NAME]`."""

    public_key: Path | None = None
    """The JWK that its signatures verify with; none for a producer that its AMQP user vouches for."""


class Roots(Model):
    """`[trust.roots]`."""

    files: tuple[Path, ...] = ()
    """Folders below which renewals may name files; links have to end there too."""


class Previous(Model):
    """`[trust.previous]`: where the last good chain and key of certificates with `keep_previous` lie, sealed."""

    folder: Path | None = None
    """The worker's own, mode 0700; or `vault`."""
    vault: VaultPath | None = None
    """Below it, at `trust.vault.mount`, one secret for each."""


class CertificateRules(Model):
    """`[trust.rules]`: what becomes of a certificate that breaks a rule which is not everybody's."""

    private_ca: bool | None = None
    """Its certificates need no CT and no authority key identifiers. Unless said: whether `ca_bundle` is a file."""
    no_sct: Stance | None = None
    """Unless said: "warn", and "allow" for a private CA."""
    must_staple: Stance = "refuse"
    """It demands OCSP stapling."""
    cn_not_in_san: Stance = "warn"
    """Its common name is none of its names."""
    key_reused: Literal["warn", "allow"] = "warn"
    """Nobody is refused for it: the worker may not remember."""
    allow_p521: bool = False
    """Takes EC keys on P-521, which some clients do not."""


class Trust(Model):
    """`[trust]`."""

    allow_plain_keys: bool = False
    """Takes renewals whose key is in the open."""
    allow_staging_issuers: bool = False
    """Takes certificates of CAs for tests, such as Let's Encrypt's staging and Pebble."""
    recipient_keys: tuple[Path, ...] = ()
    """Private JWKs that open sealed keys, the newest first."""
    require_signature: bool = False
    """Refuses renewals that are not signed."""
    audience: str = "rotation-worker"
    """Who signed renewals have to be for."""
    producers: dict[str, Producer] = Field(default={})
    roots: Roots = Roots()
    vault: Vault | None = None
    previous: Previous | None = None
    ca_bundle: str = "system"
    """A PEM file with the roots that chains must lead to; or those of the system."""
    minimum_remaining_seconds: float = Field(default=0, ge=0, allow_inf_nan=False)
    """Refuses certificates that expire sooner."""
    replay_window_seconds: float = Field(default=604_800, gt=0, le=31_536_000)
    """How old a signature may be, whatever its message says."""
    rules: CertificateRules = CertificateRules()

    @model_validator(mode="before")
    @classmethod
    def _roots_of_chains(cls, told: Any) -> Any:
        """`ca_bundle` may also stand below `[trust.roots]`, with the other roots."""
        roots = told.get("roots") if isinstance(told, dict) else None
        if not isinstance(roots, dict) or "ca_bundle" not in roots or "ca_bundle" in told:
            return told
        rest = {name: value for name, value in roots.items() if name != "ca_bundle"}
        return {**told, "roots": rest, "ca_bundle": roots["ca_bundle"]}


class Domain(Model):
    """One domain of a deployment; for `per_domain` its three ids, else its name."""

    domain: str | None = None
    """Its name."""
    instance_ids: tuple[Identifier, ...] = ()
    """Only there; none: wherever the name is."""
    verified_client_certificate_enabled: bool | None = None
    """Whether clients have to show certificates; none: as it is."""
    instance_id: Identifier | None = None
    """The gateway instance, for `per_domain`."""
    group_id: Identifier | None = None
    """The API group, for `per_domain`."""
    domain_id: Identifier | None = None
    """The domain, for `per_domain`."""


class Listener(Model):
    """One Octavia listener."""

    id: Uuid
    """Its id."""
    sni: bool = False
    """Binds the certificate beside the default one, for clients that ask by name."""
    load_balancer: Uuid | None = None
    """Whose it is: its listeners are changed one after another."""
    endpoint: str | Endpoint | None = None
    """Where it is looked at what it serves: `HOST:PORT`, or address and name."""


class Deployment(Model):
    """`[[certificates.NAME.deployments]]`."""

    gateway: str
    """Its name in `[gateways]`."""
    strategy: Literal["in_place", "per_domain", "blue_green", "rebind", "replace"] = "in_place"
    """How it is put into service."""
    certificate_id: Identifier | None = None
    """The stored certificate, where it is always the same; or `name`."""
    name: str | None = None
    """By which it is looked up, and created when there is none; `blue_green` puts a fingerprint behind it."""
    domains: Literal["attached"] | tuple[str | Domain, ...] | None = None
    """At APIG, those that are bound already, or these."""
    listeners: tuple[Listener, ...] = ()
    """At ByCloud."""
    trusted_root_ca_file: Path | None = None
    """The client CA, which is sent again with every modification when the stored certificate has one."""
    waves: tuple[Wave, ...] = Field(default=(1, 0.1, 1.0), min_length=1)
    """How many bindings have moved after each wave: 1 is one of them, 1.0 are all."""
    retire_after_seconds: float = Field(default=0, ge=0, allow_inf_nan=False)
    """For so long `blue_green` keeps the old stored certificate after what replaced it has succeeded."""


class Lineage(Model):
    """`[certificates.NAME.lineage]`: below one of `trust.roots.files`."""

    chain: str
    """The path of the leaf with its chain."""
    private_key: str
    """The path of its key."""


class Certificate(Timed):
    """`[certificates.NAME]`."""

    producers: tuple[str, ...] = Field(min_length=1)
    """Who may renew it."""
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
    """How often what lies on disk is compared with what the gateways hold."""


class Publish(Model):
    """`[publish]`: read by `rotation-worker publish`, often on another host."""

    recipient_key: Path | None = None
    """The public JWK that keys are sealed to."""
    producer: str | None = None
    """In whose name it is published."""
    producer_key: Path | None = None
    """The private JWK that signs in that name."""
    audience: str = "rotation-worker"
    """Of the worker that the messages are for: its `trust.audience`."""
    expires_after_seconds: Seconds = 604_800
    """For how long a signed message is good."""
    spool: Path = Path("/var/spool/rotation-worker")
    """A folder in which renewals wait until the broker has confirmed them."""
    names: dict[str, str] = Field(default={})
    """By the ACME client's name for a certificate, that in the worker's settings."""
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
    """Every `*.toml` in it adds certificates; a name twice is an error."""
    sweep: Sweep = Sweep()
    publish: Publish = Publish()
    http: Http = Http()

    @property
    def names_broker(self) -> bool:
        """Whether anything is said of it, be it the default."""
        return "broker" in self.model_fields_set

    @property
    def names_publish(self) -> bool:
        """As `names_broker`."""
        return "publish" in self.model_fields_set
