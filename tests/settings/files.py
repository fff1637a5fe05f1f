"""Valid settings as TOML text with overridable parts, on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.settings import Settings, SettingsError
from worker.settings.loading import load

APIG = """
[gateways.apig-main]
kind = "huawei_apig"
endpoint = "https://apig.example.com"
project_id = "p1"
auth = {kind = "token", token_file = "token"}
"""
BYCLOUD = """
[gateways.bycloud-sp]
kind = "bycloud"
endpoint = "https://api.example.com"
region = "sao1"
auth = {kind = "bearer", token_file = "token"}
"""
VAULT = """
[trust.vault]
address = "https://vault.example.com:8200"
auth = AUTH
"""
PREVIOUS = """
[trust]
recipient_keys = ["worker.jwk"]
[trust.previous]
folder = "previous"
"""
GATEWAYS = APIG + BYCLOUD
LISTENER = 'listeners = [{id = "6f6f1f8e-6d2c-4c4f-9a53-0d7a4f3b8c11"}]'


def certificate(deployment: str, *, name: str = "shop", more: str = "") -> str:
    """One certificate with one deployment, whose settings are given."""
    return f'[certificates.{name}]\nproducers = ["acme-1"]\n{more}\n[[certificates.{name}.deployments]]\n{deployment}\n'


def in_place(**overrides: str) -> str:
    """An APIG deployment; the values are TOML."""
    fields = {"gateway": '"apig-main"', "certificate_id": '"c1"', "domains": '"attached"', **overrides}
    return "\n".join(f"{key} = {value}" for key, value in fields.items() if value)


def written(folder: Path, text: str, name: str = "worker.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return load(written(folder, text), environ or {})


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Sequence[str]:
    """What loading complains of, without the file's path; nothing when it loads."""
    path = written(folder, text)
    try:
        load(path, environ or {})
    except SettingsError as error:
        return [problem.removeprefix(f"{path}: ") for problem in error.problems]
    return []
