"""What a gateway has stored, as TOML that can be pasted into the settings and loads there, whatever the names are."""

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from worker.commands.output import shown
from worker.core.deployment import Binding
from worker.core.events import rfc3339
from worker.core.uploads import base_name
from worker.gateways.base import Discovered
from worker.settings import Settings
from worker.settings.checks import problems_in
from worker.settings.model import Certificate

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME: Final = 80
_LAST_SHORT: Final = 0xFFFF


def as_settings(settings: Settings, gateway: str, found: Sequence[Discovered]) -> Iterator[str]:
    """A block for each; as a comment what is in the settings already, or cannot be used as it is."""
    kind = settings.gateways[gateway].kind
    managed = _managed(settings, gateway, found)
    taken = set(settings.certificates)
    for one in found:
        name = _free_name(one.stored.name, taken)
        block = "\n".join(_block(name, gateway, kind, one))
        why = _why_not(one, kind, block, settings, managed)
        if why is None:
            taken.add(name)
            managed.listeners.update(_owned(one.bindings))
            yield f"{_headline(one)}\n{block}\n"
        else:
            yield "\n# ".join([f"{_headline(one)}; {why}", *block.split("\n")]) + "\n"


@dataclass(frozen=True, slots=True)
class _Managed:
    """What is the deployments' own at a gateway, in lower case but for the bases."""

    named: frozenset[str]
    """Ids and names of stored certificates."""
    bases: frozenset[str]
    """What stands before the fingerprint in the names of `replace`'s uploads, where its deployment has no name."""
    listeners: set[str]
    """Those whose one default certificate somebody puts there."""


def _why_not(found: Discovered, kind: str, block: str, settings: Settings, managed: _Managed) -> str | None:
    """Why the block cannot be pasted as it is; None where it can."""
    # Uploads carry the deployment's name in front of theirs.
    name = found.stored.name.lower()
    is_ours = found.stored.certificate_id.lower() in managed.named or name in managed.named
    is_ours = is_ours or base_name(found.stored.name) in managed.bases
    if is_ours or any(name.startswith((f"{one}_", f"{one}-")) for one in managed.named):
        return "in the settings already"
    if kind == "bycloud" and not found.bindings:
        return "bound to no listener"
    if not managed.listeners.isdisjoint(_owned(found.bindings)):
        return "its listener is another certificate's already"
    return None if _loads(block, settings) else "not usable as it is"


def _managed(settings: Settings, gateway: str, found: Sequence[Discovered]) -> _Managed:
    certificates = settings.certificates.values()
    here = [one for certificate in certificates for one in certificate.deployments if one.gateway == gateway]
    replaced = {(one.certificate_id or "").lower() for one in here if one.strategy == "replace" and one.name is None}
    origins = {base_name(one.stored.name) for one in found if one.stored.certificate_id.lower() in replaced}
    return _Managed(
        named=frozenset(key.lower() for one in here for key in (one.certificate_id, one.name) if key is not None),
        bases=frozenset(origins - {""}),
        listeners={listener.id.lower() for one in here for listener in one.listeners if not listener.sni},
    )


def _owned(bindings: Sequence[Binding]) -> Iterator[str]:
    """Beside an SNI certificate there is room for others."""
    return (one.name.lower() for one in bindings if one.kind == "listener" and not one.sni)


def _headline(found: Discovered) -> str:
    stored, times = found.stored, len(found.bindings)
    expires = "unknown" if stored.not_after is None else rfc3339(stored.not_after)
    return f"# {shown(stored.name)}, expires {expires}, bound {times} time{'' if times == 1 else 's'}"


def _free_name(name: str, taken: Collection[str]) -> str:
    """What the settings take as a certificate's name, and no other has."""
    allowed = _NOT_IN_NAMES.sub("-", name).strip("._-")[:_LONGEST_NAME] or "certificate"
    return next(one for one in _numbered(allowed) if one not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _block(name: str, gateway: str, kind: str, found: Discovered) -> Iterator[str]:
    yield f"[certificates.{quoted(name)}]"
    yield 'producers = ["CHANGE-ME"]'
    yield f"[[certificates.{quoted(name)}.deployments]]"
    yield f"gateway = {quoted(gateway)}"
    yield f"certificate_id = {quoted(found.stored.certificate_id)}"
    if kind == "huawei_apig":
        names = ", ".join(sorted({shown(one.name) for one in found.bindings})) or "nothing"
        yield f'domains = "attached"   # now: {names}'
        if found.stored.has_trusted_root_ca:
            yield '# trusted_root_ca_file = "client-ca.pem"   # it has a client CA, which must be sent again'
    else:
        yield f'strategy = "{"replace" if found.is_uploaded else "rebind"}"'
        yield f"listeners = [{', '.join(_listener(one) for one in found.bindings)}]"


def _listener(binding: Binding) -> str:
    return f"{{id = {quoted(binding.name)}, sni = {str(binding.sni).lower()}}}"


def quoted(text: str) -> str:
    """A TOML string in ASCII."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    number = ord(character)
    if character in '"\\':
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    if 0xD800 <= number <= 0xDFFF:  # noqa: PLR2004 - half of a pair: TOML has no word for it
        return "?"
    return f"\\u{number:04x}" if number <= _LAST_SHORT else f"\\U{number:08x}"


def _loads(block: str, settings: Settings) -> bool:
    try:
        certificates = tomllib.loads(block)["certificates"]
        pasted = {name: Certificate.model_validate(one) for name, one in certificates.items()}
    except (ValidationError, tomllib.TOMLDecodeError):
        return False
    return not problems_in(settings.model_copy(update={"certificates": pasted}))
