"""Telling a running sandbox what shall go wrong, and reading what was asked of it, over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from aiohttp import web
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from worker.sandbox.world import Fault, World

_FAULT = TypeAdapter(with_config(ConfigDict(extra="forbid"))(Fault))
FAULT: Final[Mapping[str, str]] = {
    "operation": "which call goes wrong",
    "kind": "answer (with status, body and headers; the default), reset, hang, garbage or truncate",
    "status": "of the answer, 500 where nothing is said",
    "body": "of the answer, a JSON object",
    "headers": "of the answer",
    "times": "how many of the next such calls, 1 where nothing is said",
    "after_effect": "true: the call does its work all the same, and only its answer is lost",
    "match": "only calls whose path or body has this text",
}
"""What a fault may say, in words."""


@dataclass(frozen=True, slots=True)
class Control:
    """Its root tells what there is; `POST /faults` takes a Fault as JSON; `GET /journal` gives every call so far."""

    world: World

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/", self.index),
            web.post("/faults", self.add_fault),
            web.get("/journal", self.journal),
        ]

    async def index(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "POST /faults": FAULT,
                "GET /journal": "every call so far, without keys",
                "operations": sorted(self.world.operations),
                "example": {"operation": "attach_domains", "status": 429, "times": 3},
            }
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = _FAULT.validate_json(await request.read())
        except ValidationError as error:
            places = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False, include_url=False)]
            return web.json_response({"problems": places, "fields": FAULT}, status=400)
        if fault.operation not in self.world.operations:
            known = sorted(self.world.operations)
            return web.json_response({"problems": ["operation"], "operations": known}, status=400)
        self.world.faults.append(fault)
        return web.json_response({}, status=201)

    async def journal(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self.world.journal])
