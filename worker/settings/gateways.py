"""The clouds, as the settings tell of them: where they are, how often they may be asked, and who asks."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from worker.settings.base import Identifier, Model, Seconds, TokenAuth


class Limit(Model):
    """At most `calls` in any window of `seconds`."""

    calls: int = Field(ge=1)
    seconds: Seconds


class PasswordAuth(Model):
    """A user of IAM: for its password there is a token, which is renewed before its end."""

    kind: Literal["password"]
    iam_endpoint: str
    """`https://HOST` of IAM, which gives the tokens."""
    account: str
    """The account's name: IAM's domain."""
    user: str
    """The IAM user's name."""
    password_file: Path
    """A file with its password."""
    project: str
    """The name of the project that tokens are for, such as the region's."""


class AkSkAuth(Model):
    """Each call is signed."""

    kind: Literal["ak_sk"]
    access_key: str | None = Field(default=None, repr=False)
    """The key's id, or `access_key_file`."""
    access_key_file: Path | None = None
    """Keys are replaced in pairs: where both are files, without a restart."""
    secret_key_file: Path
    """A file with the secret."""


class ApiKeyAuth(Model):
    """Of a service account."""

    kind: Literal["api_key"]
    key_id: str | None = Field(default=None, repr=False)
    """The key's id, or `key_id_file`."""
    key_id_file: Path | None = None
    """As `access_key_file`."""
    secret_file: Path
    """A file with the secret."""


class BearerAuth(Model):
    kind: Literal["bearer"]
    token_file: Path
    """A file with a token that somebody else keeps fresh."""


class GatewayCommon(Model):
    endpoint: str
    """`https://HOST` of the API."""
    insecure: bool = False
    """Allows `http://` to a host that is not loopback."""
    ca_file: Path | None = None
    """Trusts this CA alone."""
    proxy: str | None = None
    """`http://HOST:PORT`: a tunnel for TLS. None in the environment is used."""
    concurrency: int = Field(default=8, ge=1, le=1000)
    """Calls under way at once."""
    call_timeout_seconds: Seconds = 30
    """For one try of one call."""
    settle_seconds: Seconds = 15
    """How long the gateway may take until what it accepted can be read."""


class HuaweiApig(GatewayCommon):
    """`[gateways.NAME]` with `kind = "huawei_apig"`."""

    kind: Literal["huawei_apig"]
    project_id: Identifier
    """Of the project that the gateway is in."""
    domains_per_attach: int = Field(default=20, ge=1, le=1000)
    """How many domains are attached by one call."""
    limits: tuple[Limit, ...] = Field(
        default=(Limit(calls=20, seconds=1), Limit(calls=3000, seconds=300)), min_length=1
    )
    """All of them are kept; what the gateway's answers say of its own is kept besides."""
    auth: Annotated[PasswordAuth | AkSkAuth | TokenAuth, Field(discriminator="kind")]


class ByCloud(GatewayCommon):
    """`[gateways.NAME]` with `kind = "bycloud"`."""

    kind: Literal["bycloud"]
    region: Identifier
    """Where the certificates and listeners are."""
    limits: tuple[Limit, ...] = Field(
        default=(Limit(calls=60, seconds=60), Limit(calls=1000, seconds=3600)), min_length=1
    )
    """As at APIG."""
    auth: Annotated[ApiKeyAuth | BearerAuth, Field(discriminator="kind")]


Gateway = Annotated[HuaweiApig | ByCloud, Field(discriminator="kind")]
