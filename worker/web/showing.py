"""Pages and their parts as HTML. All that comes from elsewhere is escaped: the templates mark nothing as safe."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from worker.fleet.values import replay_command
from worker.web import words
from worker.web.certificate import MOST_HISTORY, CertificatePage
from worker.web.overview import KINDS, MOST_LISTED, Overview
from worker.web.reasons import meanings

OVERVIEW_PARTS: Final = ("role", "glance", "attention", "running", "latest", "gateways", "history", "table")
CERTIFICATE_PARTS: Final = ("standing", "now", "deployments", "past")
STATIC: Final[Mapping[str, str]] = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""By name, with their type."""
_WORDS: Final = (
    words.ago,
    words.counted,
    words.hexadecimal,
    words.lasting,
    words.machine_time,
    words.moment,
    words.remaining,
    words.short_serial,
    words.spaced,
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
    made.globals.update({"kinds": KINDS, "meanings": meanings(), "versions": VERSIONS})
    made.globals.update({"most_listed": MOST_LISTED, "most_history": MOST_HISTORY})
    made.globals["replay_command"] = replay_command
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


def overview_parts(view: Overview) -> Mapping[str, str]:
    """HTML by the id of its element."""
    return {name: _rendered(f"overview/{name}.html", view) for name in OVERVIEW_PARTS}


def certificate_parts(view: CertificatePage) -> Mapping[str, str]:
    """Likewise."""
    return {name: _rendered(f"certificate/{name}.html", view) for name in CERTIFICATE_PARTS}


def _rendered(template: str, view: Overview | CertificatePage) -> str:
    return _TEMPLATES.get_template(template).render(view=view).strip()


def overview_html(view: Overview) -> str:
    return _page("overview.html", view, overview_parts(view))


def certificate_html(view: CertificatePage, *, live: str) -> str:
    """`live`: where the page is told what changes."""
    return _page("certificate.html", view, certificate_parts(view), live=live)


def _page(template: str, view: Overview | CertificatePage, parts: Mapping[str, str], **more: object) -> str:
    # What templates have made is escaped already.
    whole = {name: Markup(html) for name, html in parts.items()}  # noqa: S704
    return _TEMPLATES.get_template(template).render(view=view, parts=whole, **more)


def missing_html(name: str) -> str:
    return _TEMPLATES.get_template("missing.html").render(name=name)
