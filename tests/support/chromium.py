"""Debian's Chromium without a window, told what to do over its DevTools protocol."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.acme import require

_FLAGS: Final = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--lang=en-GB",
)
_TROUBLE: Final = frozenset({"error", "warning", "assert"})


@dataclass(frozen=True, slots=True)
class Look:
    """What a reader's screen is like."""

    width: int = 1280
    height: int = 900
    is_dark: bool = False
    is_phone: bool = False
    has_scripts: bool = True
    scale: float = 1.0
    """Pixels of a picture for each of the page."""


@dataclass(slots=True, eq=False)
class Tab:
    """One page that is open."""

    browser: "Chromium"
    session: str
    troubles: list[str] = field(default_factory=list)
    """Errors and warnings of the console, refused content included, and exceptions."""
    requests: list[str] = field(default_factory=list)
    """Every address that was asked for."""
    passwords: list[str] = field(default_factory=list)
    """What its reader types, one each time that the browser asks for one; then the reader gives up."""
    asked_for: list[Mapping[str, Any]] = field(default_factory=list)
    """The challenges that the browser has asked its reader about."""
    _loaded: asyncio.Event = field(default_factory=asyncio.Event)
    _typing: set[asyncio.Task[Any]] = field(default_factory=set)

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        return await self.browser.call(method, session=self.session, **params)

    async def open(self, url: str) -> None:
        """Until it has loaded."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await self._loaded.wait()

    async def with_a_reader_who_types(self, *passwords: str) -> None:
        """From now on."""
        self.passwords = list(passwords)
        await self.call("Fetch.enable", handleAuthRequests=True)

    def _soon(self, method: str, **params: object) -> None:
        task = asyncio.create_task(self.call(method, **params))
        self._typing.add(task)
        task.add_done_callback(self._typing.discard)

    def _answer(self, params: Mapping[str, Any]) -> None:
        self.asked_for.append(params["authChallenge"])
        answer = {"response": "CancelAuth"}
        if self.passwords:
            answer = {"response": "ProvideCredentials", "username": "anybody", "password": self.passwords.pop(0)}
        self._soon("Fetch.continueWithAuth", requestId=params["requestId"], authChallengeResponse=answer)

    async def run(self, script: str) -> Any:
        """An expression's value, or what its promise brings."""
        told = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """The expression's value, once it is neither false nor empty."""
        while not (value := await self.run(script)):
            await asyncio.sleep(0.02)
        return value

    async def press(self, key: str, code: int = 0) -> None:
        for kind in ("keyDown", "keyUp"):
            text = "\r" if key == "Enter" and kind == "keyDown" else ""
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=code)

    async def picture(self, *, is_whole: bool = False) -> bytes:
        """PNG of what is in view, or of all of the page."""
        told = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        return base64.b64decode(told["data"])

    def hear(self, method: str, params: Mapping[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Fetch.requestPaused":
                self._soon("Fetch.continueRequest", requestId=params["requestId"])
            case "Fetch.authRequired":
                self._answer(params)
            case "Runtime.exceptionThrown":
                self.troubles.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in _TROUBLE:
                self.troubles.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in _TROUBLE:
                self.troubles.append(json.dumps(params["entry"]))


@dataclass(slots=True, eq=False)
class Chromium:
    """A browser of the test's own."""

    socket: aiohttp.ClientWebSocketResponse
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _tabs: dict[str, Tab] = field(default_factory=dict)

    async def call(self, method: str, *, session: str | None = None, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        place = {} if session is None else {"sessionId": session}
        await self.socket.send_json({"id": number, "method": method, "params": params, **place})
        told = await answer
        assert "error" not in told, f"{method}: {told.get('error')}"
        result: dict[str, Any] = told["result"]
        return result

    async def listen(self) -> None:
        """Until the browser ends."""
        async for message in self.socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told.get("sessionId") in self._tabs:
                self._tabs[told["sessionId"]].hear(told["method"], told["params"])

    @asynccontextmanager
    async def tab(self, look: Look | None = None) -> AsyncIterator[Tab]:
        look = look or Look()
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Network", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        await _dress(tab, look)
        try:
            yield tab
        finally:
            await self.call("Target.disposeBrowserContext", browserContextId=context)


async def _dress(tab: Tab, look: Look) -> None:
    size = {"width": look.width, "height": look.height, "deviceScaleFactor": look.scale, "mobile": look.is_phone}
    await tab.call("Emulation.setDeviceMetricsOverride", **size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if look.is_dark else "light"}
    await tab.call("Emulation.setEmulatedMedia", features=[scheme])
    if not look.has_scripts:
        await tab.call("Emulation.setScriptExecutionDisabled", value=True)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Chromium]:
    """Its profile is in `folder`, and nobody else's. Missing, it is a skip by name here and a failure in CI."""
    program = require("chromium")
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    child = await asyncio.create_subprocess_exec(
        *(program, *_FLAGS, *as_root, f"--user-data-dir={folder}", "about:blank"),
        env={**os.environ, "HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        address = await _address(folder, child)
        async with aiohttp.ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket:
            browser = Chromium(socket)
            listening = asyncio.create_task(browser.listen())
            yield browser
            listening.cancel()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _address(folder: Path, child: asyncio.subprocess.Process) -> str:
    told = folder / "DevToolsActivePort"
    while not (told.exists() and len(lines := told.read_text().splitlines()) > 1):
        assert child.returncode is None, "chromium has ended"
        await asyncio.sleep(0.05)
    port, path = lines[:2]
    return f"ws://127.0.0.1:{port}{path}"
