"""Pages and their parts as HTML. All that comes from elsewhere is escaped: the templates mark nothing as safe."""

import asyncio
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from worker.fleet.values import Remedy
from worker.fleet.waiting import SHOWN
from worker.reasons import GIVEN_UP, meanings
from worker.web import formatting
from worker.web.certificate import MOST_HISTORY, CertificatePage
from worker.web.overview import KINDS, MOST_LISTED, Overview

OVERVIEW_PARTS: Final = ("role", "glance", "attention", "running", "latest", "gateways", "history", "table")
CERTIFICATE_PARTS: Final = ("standing", "now", "deployments", "past")
_NOT_KEPT: Final = "Its body was not kept, for it may hold a key: there is nothing to replay. Publish the renewal anew:"
_REMEDIES: Final[Mapping[Remedy, str]] = {
    "replay": "Once what was wrong is mended, put it back:",
    "find": "Once what was wrong is mended, put it back. Its id is in this list, as long as it lies there:",
    "publish": _NOT_KEPT,
    "new_key": _NOT_KEPT,
}
_AT_ONCE: Final = 1000
"""Pieces of HTML made in one go: a few milliseconds' work."""
STATIC: Final[Mapping[str, str]] = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""By name, with their type."""
_WORDS: Final = (
    formatting.ago,
    formatting.counted,
    formatting.hexadecimal,
    formatting.duration,
    formatting.machine_time,
    formatting.moment,
    formatting.remaining,
    formatting.short_serial,
    formatting.spaced,
)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("worker.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({one.__name__: one for one in _WORDS})
    made.filters.update({"key": _key, "path": path_of})
    made.globals.update({"kinds": KINDS, "meanings": meanings(), "given_up": GIVEN_UP, "versions": VERSIONS})
    made.globals.update({"most_listed": MOST_LISTED, "most_history": MOST_HISTORY, "most_parked": SHOWN})
    made.globals["remedies"] = _REMEDIES
    return made


def _visible(value: object) -> object:
    """What others have named, without what would turn lines around, hide, or be no text at all."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(one if one.isprintable() else "\ufffd" for one in value)


def _key(*names: object) -> str:
    """An element's id: what it is of may have any letters."""
    return "k" + hashlib.sha256("\n".join(map(str, names)).encode(errors="replace")).hexdigest()[:12]


def path_of(name: str) -> str:
    return f"/certificates/{quote(name, safe='')}"


def static_file(name: str) -> bytes:
    return (files("worker.web") / "static" / name).read_bytes()


VERSIONS: Final = {name: hashlib.sha256(static_file(name)).hexdigest()[:12] for name in STATIC}
"""Of each static file: another content has another address, so that it may be kept for long."""
_TEMPLATES: Final = _environment()


def load_templates() -> None:
    """All of them, so that no reader waits for it, and nothing else that goes on."""
    for name in _TEMPLATES.list_templates():
        _TEMPLATES.get_template(name)


async def overview_parts(view: Overview) -> Mapping[str, str]:
    """HTML by the id of its element."""
    return {name: await _rendered(f"overview/{name}.html", view) for name in OVERVIEW_PARTS}


async def certificate_parts(view: CertificatePage, *, is_news: bool = False) -> Mapping[str, str]:
    """Likewise. Not all of it is told as news."""
    names = [name for name in CERTIFICATE_PARTS if not (is_news and view.is_still and name == "deployments")]
    return {name: await _rendered(f"certificate/{name}.html", view) for name in names}


async def _rendered(template: str, view: Overview | CertificatePage) -> str:
    """Others have their turns in between."""
    pieces: list[str] = []
    for number, piece in enumerate(_TEMPLATES.get_template(template).generate(view=view)):
        pieces.append(piece)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return "".join(pieces).strip()


async def overview_html(view: Overview) -> str:
    return _page("overview.html", view, await overview_parts(view))


async def certificate_html(view: CertificatePage, *, live: str) -> str:
    """`live`: where the page is told what changes."""
    return _page("certificate.html", view, await certificate_parts(view), live=live)


def _page(template: str, view: Overview | CertificatePage, parts: Mapping[str, str], **more: object) -> str:
    # What templates have made is escaped already.
    whole = {name: Markup(html) for name, html in parts.items()}  # noqa: S704
    return _TEMPLATES.get_template(template).render(view=view, parts=whole, **more)


def missing_html(name: str) -> str:
    return _TEMPLATES.get_template("missing.html").render(name=name)
