"""The renewal message as it arrives: a CloudEvent, read strictly. Errors tell the field, never its value."""

import base64
import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Never

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from worker.core.errors import RefusedError, unchained
from worker.core.pieces import is_in_pieces, may_be_key, odd_in, texts_in
from worker.core.quoting import keys_in, those_quoting
from worker.core.renewal import Held, InFiles, InVault, Material, Plain, Reason, Renewal, Sealed
from worker.core.secret import Secret
from worker.core.unrepeated import without_repeats

LONGEST_BODY: Final = 262_144
SCHEMA: Final = "urn:cert-rotation-worker:renewal:1"
CONTENT_TYPE: Final = "application/cloudevents+json"
TYPE: Final = "certificate.renewed"
_DEEPEST: Final = 20
# Only by an escape can half a character come into a text that was read as UTF-8.
_SURROGATE: Final = re.compile(r"\\u[dD]")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,40}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")

Text = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,1000}$")]
Pem = Annotated[str, StringConstraints(max_length=131_072)]
Id = Annotated[str, StringConstraints(pattern=rf"^{_ID.pattern}$")]
Name = Annotated[str, StringConstraints(pattern=rf"^{_NAME.pattern}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class SealedMaterial(_Model):
    kind: Literal["sealed"]
    chain_pem: Pem
    private_key_jwe: Pem = Field(repr=False)


class FileMaterial(_Model):
    kind: Literal["file"]
    chain: Text
    private_key: Text


class VaultMaterial(_Model):
    kind: Literal["vault"]
    path: Text
    version: Annotated[int, Field(ge=1)] | None = None


class PlainMaterial(_Model):
    kind: Literal["plain"]
    chain_pem: Pem
    private_key_pem: Pem = Field(repr=False)


class HeldMaterial(_Model):
    kind: Literal["held"]


class RenewalData(_Model):
    certificate: Name
    material: Annotated[
        SealedMaterial | FileMaterial | VaultMaterial | PlainMaterial | HeldMaterial, Field(discriminator="kind")
    ]
    reason: Reason = "renewal"
    allow_shorter_validity: bool = False


class RenewalEvent(_Model):
    """CloudEvents 1.0 in structured JSON; extension attributes may be there and are not read."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Id
    source: Text
    type: Literal["certificate.renewed"]
    subject: Name | None = None
    time: Text | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: Literal["urn:cert-rotation-worker:renewal:1"] | None = None
    data: RenewalData


@unchained
def parse(body: bytes) -> RenewalEvent:
    """Reasons: `too_large`, `malformed`, `unsupported_version`."""
    if len(body) > LONGEST_BODY:
        raise RefusedError("too_large", f"the message has over {LONGEST_BODY} bytes")
    document = _document(body)
    schema = document.get("dataschema")
    if isinstance(schema, str) and schema != SCHEMA:
        raise RefusedError("unsupported_version", "dataschema: another version than this worker speaks")
    try:
        event = RenewalEvent.model_validate(document)
    except ValidationError as error:
        raise RefusedError("malformed", _places(error)) from None
    if any(_EXTENSION.fullmatch(name) is None for name in event.model_extra or {}):
        raise RefusedError("malformed", "an attribute's name is not one that CloudEvents allow")
    if event.subject not in (None, event.data.certificate):
        raise RefusedError("malformed", "subject: differs from data.certificate")
    return event


def _places(error: ValidationError) -> str:
    places = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        is_known = one["type"] != "extra_forbidden"
        path = ".".join(str(part) for part in (one["loc"] if is_known else one["loc"][:-1]))
        places.append(f"{path}: {one['type']}" if is_known else f"{path}: a field that is not known")
    return "; ".join(places[:5])


@unchained
def _document(body: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8, without what Python's reader lets pass: repeats, NaN, depth, lone surrogates."""
    try:
        text = body.decode("utf-8")
        document = _DECODER.decode(text)
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise RefusedError("malformed", "the message is no valid JSON in UTF-8") from None
    if not isinstance(document, dict) or _depth(document) > _DEEPEST:
        raise RefusedError("malformed", "the message is no JSON object of a sane depth")
    return document


def _refuse(_constant: str) -> Never:
    raise ValueError("not a number of JSON")


def _short_int(digits: str) -> int:
    if len(digits) > 19:  # noqa: PLR2004 - 64 bits
        raise ValueError("too long a number")
    return int(digits)


_DECODER: Final = json.JSONDecoder(object_pairs_hook=without_repeats, parse_constant=_refuse, parse_int=_short_int)


def _depth(value: object) -> int:
    """Nesting, without recursion."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        depth += 1
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def renewal_from(event: RenewalEvent, producer: str, traceparent: str | None) -> Renewal:
    """The message as a value, once somebody vouched for its producer."""
    data = event.data
    return Renewal(
        id=event.id,
        certificate=data.certificate,
        producer=producer,
        material=_material(data),
        reason=data.reason,
        allow_shorter_validity=data.allow_shorter_validity,
        traceparent=traceparent,
        time=_moment(event.time),
    )


def composed(
    *,
    renewal_id: str,
    source: str,
    certificate: str,
    material: Mapping[str, str],
    at: datetime,
    reason: Reason = "renewal",
    allow_shorter_validity: bool = False,
) -> bytes:
    """A renewal message. Raises RefusedError for what the worker would refuse: it is read as the worker reads it."""
    event = {
        "specversion": "1.0",
        "id": renewal_id,
        "source": source,
        "type": TYPE,
        "subject": certificate,
        "time": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": SCHEMA,
        "data": {
            "certificate": certificate,
            "material": material,
            "reason": reason,
            "allow_shorter_validity": allow_shorter_validity,
        },
    }
    body = json.dumps(event).encode()
    parse(body)
    return body


def _moment(text: str | None) -> datetime | None:
    """None where there is none, or none that says in which zone."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def _material(data: RenewalData) -> Material:
    match data.material:
        case PlainMaterial(chain_pem=chain, private_key_pem=key):
            return Plain(chain, Secret(key))
        case SealedMaterial(chain_pem=chain, private_key_jwe=jwe):
            return Sealed(chain, Secret(jwe))
        case FileMaterial(chain=chain, private_key=key):
            return InFiles(chain, key)
        case VaultMaterial(path=path, version=version):
            return InVault(path, version)
        case HeldMaterial():
            return Held()


def identify(body: bytes) -> tuple[str | None, str | None]:
    """Certificate name and renewal id of a message that may be bad otherwise, for its event and its dead letter.

    No id or name that may be a key, or a piece of one: it would be told to all who hear events. Nor one that quotes a
    key that the message itself brings in the open. None at all where more is in it than is compared.
    """
    certificate, renewal_id, _ = identified(body, None)
    return certificate, renewal_id


def identified(body: bytes, message_id: str | None) -> tuple[str | None, str | None, str | None]:
    """The same, and the message id with which it came, by the same rule."""
    if len(body) > LONGEST_BODY:
        return None, None, None
    document = _readable(body)
    data = document.get("data")
    certificate = _if_sound(data.get("certificate") if isinstance(data, dict) else None, _NAME)
    renewal_id = _if_sound(document.get("id"), _ID)
    texts, keys = texts_in(document), keys_in(document)
    if texts is None or keys is None:
        return None, None, None  # too much to be compared with
    quoting = those_quoting((certificate, renewal_id, message_id), keys)
    is_split = is_in_pieces(texts)
    is_split_there = message_id is not None and is_in_pieces(dict.fromkeys((*texts, message_id)))
    return (
        _if_harmless(certificate, quoting, is_split=is_split),
        _if_harmless(renewal_id, quoting, is_split=is_split),
        _if_harmless(message_id, quoting, is_split=is_split_there),
    )


def _readable(body: bytes) -> Mapping[str, Any]:
    """The message, or of what is none, its text: a key may stand there too."""
    try:
        return _document(_unsigned(body))
    except RefusedError:
        return {"": body.decode("utf-8", "replace")}


def _if_harmless(text: str | None, quoting: Collection[str], *, is_split: bool) -> str | None:
    """Not where it may be a key, or quotes one, nor a piece of one that is split."""
    return None if text is None or may_be_key(text) or (is_split and odd_in(text)) or text in quoting else text


def _unsigned(body: bytes) -> bytes:
    """The payload of what looks like a compact JWS, whoever signed it; any other body as it is."""
    parts = body.split(b".")
    if body[:1] == b"{" or len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return body
    with suppress(ValueError):
        return base64.b64decode(parts[1] + b"=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
    return body


def _if_sound(value: object, pattern: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None
