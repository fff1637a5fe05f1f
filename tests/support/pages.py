"""The status page of any fleet on a socket of its own, and its HTML as a tree."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from aiohttp import web

from worker.fleet.values import FleetSource
from worker.web.page import add_page

_VOID: Final = frozenset({"meta", "link", "img", "input", "br"})


@asynccontextmanager
async def page_of(source: FleetSource) -> AsyncIterator[str]:
    """Its address, without a slash at the end."""
    app = web.Application()
    add_page(app, source)
    # Whoever is not ended by the page itself is waited for, longer than any test may take.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=3600)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Element:
    """Of a tree of HTML."""

    name: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Of all that is in it, with single spaces."""
        told = (one if isinstance(one, str) else one.text for one in self.children)
        return " ".join(" ".join(told).split())

    def all(self, name: str = "", **attributes: str) -> Sequence["Element"]:
        """Below it, with that name and those attributes."""
        return [one for one in self._below() if name in ("", one.name) and one.has(attributes)]

    def one(self, name: str = "", **attributes: str) -> "Element":
        (found,) = self.all(name, **attributes)
        return found

    def has(self, attributes: dict[str, str]) -> bool:
        return all(self.attributes.get(key.replace("_", "-")) == value for key, value in attributes.items())

    def _below(self) -> Iterator["Element"]:
        for one in self.children:
            if isinstance(one, Element):
                yield one
                yield from one._below()


class _Reader(HTMLParser):
    """Strict: what is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag, f"{tag} is closed and was not open"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def tree(html: str) -> Element:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    (root,) = reader.open
    return root
