"""Telling a running sandbox what shall go wrong, and reading what was asked of it, over HTTP."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from worker.sandbox.world import Fault, World

_FAULT = TypeAdapter(Fault)


@dataclass(frozen=True, slots=True)
class Control:
    """`POST /faults` takes a Fault as JSON; `GET /journal` gives every call so far, without keys."""

    world: World

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/faults", self.add_fault), web.get("/journal", self.journal)]

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            self.world.faults.append(_FAULT.validate_json(await request.read()))
        except ValidationError as error:
            places = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False, include_url=False)]
            return web.json_response({"problems": places}, status=400)
        return web.json_response({}, status=201)

    async def journal(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(call) for call in self.world.journal])
