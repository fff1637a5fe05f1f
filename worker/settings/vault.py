"""HashiCorp Vault, as the settings tell of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from worker.settings.base import Model, Seconds, TokenAuth, VaultPath


class VaultAppRole(Model):
    kind: Literal["app_role"]
    role_id: str | None = Field(default=None, repr=False)
    """The role's, or `role_id_file`."""
    role_id_file: Path | None = None
    """A file with it: replaced without a restart."""
    secret_id_file: Path
    """A file with a secret id, not wrapped."""
    mount: VaultPath = "approle"
    """Where the auth method lies."""


class VaultKubernetes(Model):
    kind: Literal["kubernetes"]
    role: str
    """As which the pod logs in."""
    jwt_file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    """The service account's token."""
    mount: VaultPath = "kubernetes"
    """Where the auth method lies."""


class Vault(Model):
    """`[trust.vault]`: a KV engine, version 2, for `vault` material."""

    address: str
    """`https://HOST:PORT`."""
    insecure: bool = False
    """Allows `http://` to a host that is not loopback."""
    ca_file: Path | None = None
    """Trusts this CA alone."""
    mount: VaultPath = "secret"
    """Where the engine lies."""
    namespace: VaultPath | None = None
    """Of Vault Enterprise."""
    auth: Annotated[TokenAuth | VaultAppRole | VaultKubernetes, Field(discriminator="kind")]
    timeout_seconds: Seconds = 10
    """For one call."""
