"""docs/asyncapi.yaml: what is sent and received, from the broker's objects and the messages' schemas."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any, Final, get_args

import yaml

from tests.docs.pages import ROOT
from worker.broker.topology import topology
from worker.core.message import TYPE
from worker.core.outcome import Outcome
from worker.settings import Settings

VERSION: Final = "3.0.0"
_BINDING: Final = "0.3.0"
_SCHEMA: Final = "application/schema+json;version=2020-12"
_JSON: Final = "application/cloudevents+json"
_MEANINGS: Final[Mapping[Outcome, str]] = {
    "succeeded": "Every binding of every deployment serves the renewed certificate.",
    "failed": "Something does not, for good or after the last try; each failed binding is listed with its reason.",
    "superseded": "Something newer is in service, or was asked for.",
}


def document() -> str:
    text = yaml.safe_dump(described(), sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `make docs` from the models and the topology.\n{text}"


def described() -> Mapping[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": project["name"],
            "version": project["version"],
            "description": project["description"],
            "license": {"name": project["license"]},
        },
        "defaultContentType": _JSON,
        "servers": {"broker": {"host": "rabbitmq.example.com:5671", "protocol": "amqps", "protocolVersion": "0.9.1"}},
        "channels": {"renewals": _renewals(), **{outcome: _outcome_channel(outcome) for outcome in get_args(Outcome)}},
        "operations": {"receiveRenewal": _receiving(), **dict(map(_sending, get_args(Outcome)))},
        "components": {"messages": {**_renewal_messages(), **dict(map(_outcome_message, get_args(Outcome)))}},
    }


def _reference(*steps: str) -> Mapping[str, str]:
    return {"$ref": f"#/{'/'.join(steps)}"}


def _exchange(name: str) -> Mapping[str, Any]:
    [found] = [one for one in topology(Settings().broker, ()).exchanges if one.name == name]
    exchange = {"name": found.name, "type": found.kind, "durable": True, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}}


def _renewals() -> Mapping[str, Any]:
    broker = Settings().broker
    return {
        "address": TYPE,
        "title": "Renewals",
        "description": f"Bound to the queue {broker.queue}, of which one worker is the active consumer.",
        "messages": {name: _reference("components", "messages", name) for name in _renewal_messages()},
        "bindings": _exchange(broker.exchange),
    }


def _outcome_channel(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "address": f"certificate.rotation.{outcome}",
        "title": f"Rotations that ended as {outcome}",
        "description": _MEANINGS[outcome],
        "messages": {outcome: _reference("components", "messages", outcome)},
        "bindings": _exchange(Settings().broker.events_exchange),
    }


def _receiving() -> Mapping[str, Any]:
    return {
        "action": "receive",
        "channel": _reference("channels", "renewals"),
        "summary": "Takes a renewal. Its signature tells who sent it, or the AMQP user in `user-id`.",
        "bindings": {"amqp": {"deliveryMode": 2, "ack": True, "bindingVersion": _BINDING}},
    }


def _sending(outcome: Outcome) -> tuple[str, Mapping[str, Any]]:
    return f"send{outcome.capitalize()}", {
        "action": "send",
        "channel": _reference("channels", outcome),
        "summary": "Confirmed by the broker before the renewal is settled; a repeat after a crash has the same id.",
        "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": _BINDING}},
    }


def _example(name: str) -> Mapping[str, Any]:
    return {"name": name, "payload": json.loads((ROOT / f"docs/examples/{name}.json").read_text(encoding="utf-8"))}


def _payload(name: str) -> Mapping[str, Any]:
    return {"schemaFormat": _SCHEMA, "schema": {"$ref": f"./schemas/{name}.v1.json"}}


def _renewal_messages() -> Mapping[str, Mapping[str, Any]]:
    signed = "A compact JWS (Ed25519) whose payload is that JSON: docs/sealing.md."
    return {
        "renewal": {
            "title": "A certificate was renewed",
            "contentType": _JSON,
            "payload": _payload("renewal"),
            "correlationId": {"location": "$message.payload#/id"},
            "examples": [_example("renewal")],
        },
        "signedRenewal": {
            "title": "A certificate was renewed, and its producer signs for it",
            "contentType": "application/jose",
            "payload": {"type": "string", "description": signed, "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$"},
        },
    }


def _outcome_message(outcome: Outcome) -> tuple[str, Mapping[str, Any]]:
    return outcome, {
        "title": f"A rotation ended as {outcome}",
        "contentType": _JSON,
        "payload": _payload("outcome"),
        "correlationId": {"location": "$message.payload#/causationid"},
        "examples": [_example(f"outcome-{outcome}")],
    }
