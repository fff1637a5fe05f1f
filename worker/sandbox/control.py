"""Telling a running sandbox what shall go wrong, and reading what was asked of it, over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

from aiohttp import web
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from worker.sandbox.flaws import FLAW, Flaw
from worker.sandbox.world import CLOUDS, Fault, World

T = TypeVar("T")
_STRICT = with_config(ConfigDict(extra="forbid"))
_FAULT, _FLAW = TypeAdapter(_STRICT(Fault)), TypeAdapter(_STRICT(Flaw))
FAULT: Final[Mapping[str, str]] = {
    "operation": "which call goes wrong; apig, iam or bycloud: every call there",
    "kind": "answer (with status, body and headers; the default), reset, hang, garbage or truncate",
    "status": "of the answer, 500 where nothing is said",
    "body": "of the answer, a JSON object",
    "headers": "of the answer",
    "times": "how many of the next such calls, 1 where nothing is said; null: all, until it is taken back",
    "after_effect": "true: the call does its work all the same, and only its answer is lost",
    "match": "only calls whose path or body has this text",
}
"""What a fault may say, in words."""


@dataclass(frozen=True, slots=True)
class Control:
    """Its root tells what there is. Faults are of the clouds' answers, flaws of their TLS listeners."""

    world: World

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/", self.index),
            web.post("/faults", self.add_fault),
            web.get("/faults", self.faults),
            web.delete("/faults", self.recover),
            web.get("/journal", self.journal),
            web.post("/flaws", self.add_flaw),
            web.get("/flaws", self.flaws),
            web.delete("/flaws", self.mend),
        ]

    async def index(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "POST /faults": FAULT,
                "GET /faults": "every fault, with how many calls it has still to spoil",
                "DELETE /faults": "takes all of them back",
                "GET /journal": "every call so far, without keys",
                "operations": sorted(self.world.operations),
                "example": {"operation": "attach_domains", "status": 429, "times": 3},
                "POST /flaws": FLAW,
                "GET /flaws": "every flaw of the TLS listeners, and at how many handshakes it was shown",
                "DELETE /flaws": "takes all of them back",
            }
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = _read(_FAULT, await request.read(), FAULT)
        if isinstance(fault, web.Response):
            return fault
        if fault.operation not in self.world.operations | CLOUDS:
            known = sorted(self.world.operations | CLOUDS)
            return web.json_response({"problems": ["operation"], "operations": known}, status=400)
        self.world.faults.append(fault)
        return web.json_response({}, status=201)

    async def faults(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(fault) for fault in self.world.faults])

    async def recover(self, _request: web.Request) -> web.Response:
        self.world.faults.clear()
        return web.json_response({})

    async def journal(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self.world.journal])

    async def add_flaw(self, request: web.Request) -> web.Response:
        flaw = _read(_FLAW, await request.read(), FLAW)
        if isinstance(flaw, web.Response):
            return flaw
        return web.json_response(self.world.spoil(flaw).told(), status=201)

    async def flaws(self, _request: web.Request) -> web.Response:
        return web.json_response([flaw.told() for flaw in self.world.flaws])

    async def mend(self, _request: web.Request) -> web.Response:
        self.world.flaws.clear()
        return web.json_response({})


def _read(form: TypeAdapter[T], raw: bytes, fields: Mapping[str, str]) -> T | web.Response:
    """What is posted; or the answer that names what is wrong with it."""
    try:
        return form.validate_json(raw)
    except ValidationError as error:
        places = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False, include_url=False)]
        return web.json_response({"problems": places, "fields": fields}, status=400)
