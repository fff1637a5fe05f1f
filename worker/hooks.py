"""What ACME clients hand to a hook: certbot, lego 4 and 5, acme.sh, dehydrated. Imports nothing that takes time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEPLOY: Final = "deploy_cert"
# dehydrated wants hooks to pass over the verbs that they do not know. No domain looks like one.
_VERB: Final = re.compile(r"[a-z]+(?:_+[a-z]+)+")
_DEHYDRATED_WORDS: Final = 5
_ACME_SH_WORDS: Final = 5


@dataclass(frozen=True, slots=True)
class HookRenewal:
    """What was renewed: the client's own name for it, its domains where the client tells them, and its files."""

    lineage: str
    domains: tuple[str, ...]
    chain: Path
    private_key: Path

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that the settings may call it by; the client's own name first."""
        return tuple(dict.fromkeys((self.lineage, *self.domains)))


@dataclass(frozen=True, slots=True)
class NotOurs:
    """A call that is about something else than a renewed certificate: nothing to do, and no error."""

    verb: str


def read_hook(argv: Sequence[str], environ: Mapping[str, str]) -> HookRenewal | NotOurs | None:
    """By the words where there are any, else by the environment; None when no client's way is recognised."""
    if argv:
        return _from_words(argv)
    return _certbot(environ) or _lego_5(environ) or _lego_4(environ)


def _from_words(argv: Sequence[str]) -> HookRenewal | NotOurs | None:
    verb, *words = argv
    if verb == _DEPLOY and len(words) >= _DEHYDRATED_WORDS:
        domain, key, _certificate, chain = words[:4]
    elif verb != _DEPLOY and _VERB.fullmatch(verb):
        return NotOurs(verb)
    elif len(argv) == _ACME_SH_WORDS:
        domain, key, _certificate, _ca, chain = argv
    else:
        return None
    return HookRenewal(domain, (domain,), Path(chain), Path(key))


def _certbot(environ: Mapping[str, str]) -> HookRenewal | None:
    lineage = environ.get("RENEWED_LINEAGE")
    if not lineage:
        return None
    folder = Path(lineage)
    domains = tuple(environ.get("RENEWED_DOMAINS", "").split())
    return HookRenewal(folder.name, domains, folder / "fullchain.pem", folder / "privkey.pem")


def _lego_5(environ: Mapping[str, str]) -> HookRenewal | None:
    domains = tuple(name.strip() for name in environ.get("LEGO_HOOK_CERT_DOMAINS", "").split(",") if name.strip())
    lineage = environ.get("LEGO_HOOK_CERT_NAME") or next(iter(domains), None)
    return _lego(lineage, domains, environ.get("LEGO_HOOK_CERT_PATH"), environ.get("LEGO_HOOK_CERT_KEY_PATH"))


def _lego_4(environ: Mapping[str, str]) -> HookRenewal | None:
    domain = environ.get("LEGO_CERT_DOMAIN")
    domains = (domain,) if domain else ()
    return _lego(domain, domains, environ.get("LEGO_CERT_PATH"), environ.get("LEGO_CERT_KEY_PATH"))


def _lego(lineage: str | None, domains: tuple[str, ...], chain: str | None, key: str | None) -> HookRenewal | None:
    return HookRenewal(lineage, domains, Path(chain), Path(key)) if lineage and chain and key else None
