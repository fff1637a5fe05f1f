"""`/status.json`: the fleet, or one certificate of it, for programs."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from worker.fleet.shape import details_json, fleet_json
from worker.fleet.values import FleetSource
from worker.web.patience import PATIENCE, Patient

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Status:
    """Answers from the fleet as it is."""

    source: FleetSource
    patience: float = PATIENCE

    async def status(self, request: web.Request) -> web.StreamResponse:
        """The whole fleet; with `?certificate=NAME` that one with its bindings and its past."""
        name = request.query.get("certificate")
        return await (self._whole(request) if name is None else self._one(name))

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        """In pieces, with turns for others between them: of ten thousand certificates it is many megabytes."""
        answer = web.StreamResponse(headers={"Content-Type": _JSON})
        fleet, patient = await self.source.fleet(), Patient(request, self.patience)
        await answer.prepare(request)
        with suppress(ConnectionError):  # whoever asked has gone, or does not read
            for piece in fleet_json(fleet):
                await patient.of(answer.write(piece))
                await asyncio.sleep(0)
            await patient.of(answer.write_eof())
        return answer

    async def _one(self, name: str) -> web.Response:
        details = await self.source.certificate(name)
        if details is None:
            error = {"reason": "unknown_certificate", "message": "no certificate of the settings has this name"}
            return web.json_response({"error": error}, status=HTTPStatus.NOT_FOUND)
        return web.Response(body=details_json(details), content_type=_JSON)
