"""Chain and key as files on the command line."""

import argparse
from collections.abc import Collection
from pathlib import Path

from worker.commands.output import listed
from worker.core.nearest import nearest
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY
from worker.core.renewal import InFiles
from worker.core.secret import Secret
from worker.settings import Settings, SettingsError
from worker.trust.files import read_material as read_below_roots
from worker.trust.named import read_named


def add_material(parser: argparse.ArgumentParser, *, is_required: bool) -> None:
    parser.add_argument("--chain", type=Path, required=is_required, help="PEM file: the certificate and its chain")
    parser.add_argument("--key", type=Path, required=is_required, help="PEM file: the private key")


def unknown(section: str, name: str, known: Collection[str]) -> SettingsError:
    """Of a name that the settings do not have."""
    meant = nearest(name, known)
    what_next = f"use a name that the settings have, or add it there below [{section}]"
    problem = f"{section}: none of the name that was asked for; there are: {listed(known)}"
    return SettingsError([problem], next_step=what_next if meant is None else f"did you mean {meant}?")


def certificate_named(settings: Settings, name: str) -> None:
    """Raises SettingsError when there is no such certificate."""
    if name not in settings.certificates:
        raise unknown("certificates", name, settings.certificates)


Material = tuple[str, Secret]
"""A chain and its key."""


def named_material(args: argparse.Namespace) -> Material | None:
    """What `--chain` and `--key` name. Raises RefusedError for what cannot be read."""
    if (args.chain is None) != (args.key is None):
        raise SettingsError(["--chain and --key go together"], next_step="name both files, or neither of them")
    if args.chain is None:
        return None
    return read_named(args.chain, "--chain", LONGEST_CHAIN), Secret(read_named(args.key, "--key", LONGEST_KEY))


def material_of_lineage(settings: Settings, certificate: str) -> Material | None:
    """None where the settings name no lineage."""
    lineage = settings.certificates[certificate].lineage
    if lineage is None:
        return None
    return read_below_roots(InFiles(lineage.chain, lineage.private_key), settings.trust.roots.files)
