"""Chain and key as files on the command line."""

import argparse
from pathlib import Path

from worker.core.errors import RefusedError
from worker.core.renewal import InFiles
from worker.core.secret import Secret
from worker.settings import Settings, SettingsError
from worker.trust.files import pem_text
from worker.trust.files import read_material as read_below_roots


def add_material(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    parser.add_argument("--chain", type=Path, required=is_required, help="PEM file: the certificate and its chain")
    parser.add_argument("--key", type=Path, required=is_required, help="PEM file: the private key")


def certificate_named(settings: Settings, name: str) -> None:
    """Raises SettingsError when there is no such certificate."""
    if name not in settings.certificates:
        known = ", ".join(sorted(settings.certificates)[:10]) or "none"
        raise SettingsError([f"certificates: none of the name that was asked for; there are: {known}"])


def read_material(settings: Settings, args: argparse.Namespace) -> tuple[str, Secret] | None:
    """What `--chain` and `--key` name, else the certificate's lineage, else None."""
    if (args.chain is None) != (args.key is None):
        raise SettingsError(["--chain and --key go together"])
    if args.chain is not None:
        return _read(args.chain, "--chain"), Secret(_read(args.key, "--key"))
    lineage = settings.certificates[args.certificate].lineage
    if lineage is None:
        return None
    return read_below_roots(InFiles(lineage.chain, lineage.private_key), settings.trust.roots.files)


def _read(path: Path, option: str) -> str:
    try:
        return pem_text(path.read_bytes(), option)
    except OSError as error:
        raise SettingsError([f"{option}: {error.strerror}"]) from None
    except RefusedError as error:
        raise SettingsError([error.message]) from None
