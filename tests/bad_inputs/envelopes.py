"""B19 to B27 and B34 to B42: signatures, sealed keys, and keys that lie somewhere."""

import base64
import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey
from joserfc.jws import JWSRegistry

from tests.bad_inputs.der import integer, tlv
from tests.bad_inputs.forging import forged, replaced
from tests.bad_inputs.stage import AUTHORITY, Stage, event_of, header_of, unsigned_with
from tests.bad_inputs.table import Bad
from tests.support.clouds import message
from worker.broker.base import Message
from worker.core.secret import Secret
from worker.trust.sealing import seal
from worker.trust.signing import sign

HELD: Final = {"certificate": "shop", "material": {"kind": "held"}}


def signed(event: Callable[[Stage], Mapping[str, Any]] | None = None, **overrides: Any) -> Callable[[Stage], Message]:
    return lambda stage: stage.signed(event(stage) if event else stage.event(stage.issue()), **overrides)


def spoiled_signature(stage: Stage) -> Message:
    good = stage.signed(stage.event(stage.issue()))
    header, payload, signature = good.body.split(b".")
    return replace(good, body=b".".join((header, payload, signature[:-4][::-1] + signature[-4:])))


def other_payload(stage: Stage) -> Message:
    good, other = (stage.signed(stage.event(stage.issue())) for _ in range(2))
    return replace(
        good, body=b".".join((*good.body.split(b".")[:1], *other.body.split(b".")[1:2], *good.body.split(b".")[2:]))
    )


def relabelled(**changes: Any) -> Callable[[Stage], Message]:
    """Another header over the signature of the old one."""

    def make(stage: Stage) -> Message:
        good = stage.signed(stage.event(stage.issue()))
        return unsigned_with({**header_of(good.body), **changes}, good)

    return make


def unsigned(stage: Stage) -> Message:
    good = relabelled(alg="none")(stage)
    return replace(good, body=good.body.rsplit(b".", 1)[0] + b".")


def resigned(**changes: Any) -> Callable[[Stage], Message]:
    """Soundly signed by the producer, whatever the header says."""

    def make(stage: Stage) -> Message:
        good = stage.signed(stage.event(stage.issue()))
        registry = JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
        header = {**header_of(good.body), **changes}
        payload = base64.urlsafe_b64decode(good.body.split(b".")[1] + b"==")
        return replace(good, body=jws.serialize_compact(header, payload, stage.signing.key, registry=registry).encode())

    return make


def with_shared_secret(stage: Stage) -> Message:
    """The classic confusion: HS256 with the public key as the secret."""
    good = stage.signed(stage.event(stage.issue()))
    key = OctKey.import_key((stage.folder / "keys" / "signer.pub.jwk").read_bytes())
    registry = JWSRegistry(algorithms=["HS256"], strict_check_header=False)
    header = {**header_of(good.body), "alg": "HS256"}
    return replace(good, body=jws.serialize_compact(header, b"{}", key, registry=registry).encode())


def signed_at(**ago: float) -> Callable[[Stage], Message]:
    """Good for an hour, from some time ago; negative: in the future."""

    def make(stage: Stage) -> Message:
        event = json.dumps(stage.event(stage.issue())).encode()
        at = datetime.now(UTC) - timedelta(**ago)
        return message(sign(event, stage.signing, at), content_type="application/jose")

    return make


def sealed(change: Callable[[str], str]) -> Callable[[Stage], Message]:
    """With another JWE than the one that was made."""

    def make(stage: Stage) -> Message:
        event = stage.event(stage.issue())
        material = event["data"]["material"]
        material["private_key_jwe"] = change(material["private_key_jwe"])
        return message(json.dumps(event).encode())

    return make


def with_header(**changes: Any) -> Callable[[str], str]:
    def change(jwe: str) -> str:
        header = {**header_of(jwe.encode()), **changes}
        told = {name: value for name, value in header.items() if value is not None}
        return ".".join((base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("="), *jwe.split(".")[1:]))

    return change


def part(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    def changed(jwe: str) -> str:
        parts = jwe.split(".")
        return ".".join((*parts[:number], change(parts[number]), *parts[number + 1 :]))

    return changed


def sealed_for(certificate: str | None = None, renewal_id: str | None = None) -> Callable[[Stage], Message]:
    """Moved into another renewal than the one that it was sealed for."""

    def make(stage: Stage) -> Message:
        event, one = stage.event(stage.issue()), stage.issue()
        bound = (certificate or "shop", renewal_id or str(event["id"]))
        jwe = seal(Secret(one.private_key_pem), *bound, stage.recipient)
        event["data"]["material"].update(chain_pem=one.chain_pem, private_key_jwe=jwe)
        return message(json.dumps(event).encode())

    return make


def to_stranger(stage: Stage) -> Message:
    return message(json.dumps(replace(stage, recipient=ECKey.generate_key("P-256")).event(stage.issue())).encode())


def plain(stage: Stage) -> Message:
    one = stage.issue()
    stage.keep_secret(one.private_key_pem)
    material = {"kind": "plain", "chain_pem": one.chain_pem, "private_key_pem": one.private_key_pem}
    return message(json.dumps(event_of({"certificate": "shop", "material": material})).encode())


def plain_as_jwe(stage: Stage) -> Message:
    one = stage.issue()
    stage.keep_secret(one.private_key_pem)
    material = {"kind": "sealed", "chain_pem": one.chain_pem, "private_key_jwe": one.private_key_pem}
    return message(json.dumps(event_of({"certificate": "shop", "material": material})).encode())


def key_as_chain(stage: Stage) -> Message:
    event = stage.event(stage.issue())
    disguised = base64.b64encode(stage.issue().private_key_pem.encode()).decode()
    stage.secrets.add(disguised)
    event["data"]["material"]["chain_pem"] = disguised
    return message(json.dumps(event).encode())


def material(**fields: Any) -> Callable[[Stage], Message]:
    return lambda _stage: message(json.dumps(event_of({"certificate": "shop", "material": fields})).encode())


def lying(make: Callable[[Stage], Mapping[str, str]]) -> Callable[[Stage], Message]:
    """Material in files, once they were laid there."""
    return lambda stage: material(kind="file", **make(stage))(stage)


def link_out(stage: Stage) -> Mapping[str, str]:
    outside = stage.folder / "secret.pem"
    outside.write_text("a secret of somebody else")
    (stage.lineages / "link.pem").symlink_to(outside)
    return {"chain": "link.pem", "private_key": "link.pem"}


def fifo(stage: Stage) -> Mapping[str, str]:
    os.mkfifo(stage.lineages / "fifo.pem", 0o600)
    return {"chain": "fifo.pem", "private_key": "fifo.pem"}


def device(stage: Stage) -> Mapping[str, str]:
    (stage.lineages / "zero.pem").symlink_to("/dev/zero")
    return {"chain": "zero.pem", "private_key": "zero.pem"}


def hard_link(stage: Stage) -> Mapping[str, str]:
    """To what is no PEM: no part of it is told."""
    outside = stage.folder / "outside"
    outside.write_text("hunter2:a secret of somebody else\n")
    outside.chmod(0o600)
    (stage.lineages / "hard.pem").hardlink_to(outside)
    return {"chain": "hard.pem", "private_key": "hard.pem"}


def hard_link_to_key(stage: Stage) -> Mapping[str, str]:
    """A sound pair, if it were not that the key lies outside."""
    one, outside = stage.issue(), stage.folder / "outside-key.pem"
    (stage.lineages / "linked-chain.pem").write_text(one.chain_pem)
    outside.touch(mode=0o600)
    outside.write_text(one.private_key_pem)
    (stage.lineages / "linked-key.pem").hardlink_to(outside)
    return {"chain": "linked-chain.pem", "private_key": "linked-key.pem"}


def unreadable_leaf(stage: Stage) -> Mapping[str, str]:
    """Of a version that there is not."""
    one = stage.issue()
    (stage.lineages / "v7.pem").write_text(forged(one, AUTHORITY, replaced(0, tlv(0xA0, integer(6)))).chain_pem)
    (stage.lineages / "v7.key").touch(mode=0o600)
    (stage.lineages / "v7.key").write_text(one.private_key_pem)
    stage.keep_secret(one.private_key_pem)
    return {"chain": "v7.pem", "private_key": "v7.key"}


UNOPENED: Final = "another algorithm than the one of ours"
"""Said by who has looked at the header alone: no key was tried."""
ROWS: Final = (
    Bad("B19", "a signature over something else", spoiled_signature, "bad_signature"),
    Bad("B19", "another payload than the signed one", other_payload, "bad_signature"),
    Bad("B19", "signed by a stranger", signed(key=OKPKey.generate_key("Ed25519")), "bad_signature"),
    Bad("B20", "`alg: none`", unsigned, "bad_signature"),
    Bad("B20", "HS256 with the public key as the secret", with_shared_secret, "bad_signature", is_withheld=True),
    Bad("B20", "`alg: ES256`", relabelled(alg="ES256"), "bad_signature"),
    Bad("B20", "`alg: []`", relabelled(alg=[]), "bad_signature"),
    Bad("B21", "unknown `kid`", signed(producer="stranger"), "unauthorized_producer"),
    Bad("B22", "`crit`", relabelled(crit=["x"], x=1), "malformed"),
    Bad("B22", "`b64: false`", relabelled(b64=False, crit=["b64"]), "malformed"),
    Bad("B22", "`jwk` in the header", resigned(jwk={"kty": "OKP"}), "malformed"),
    Bad("B23", "a header of 1 MB", relabelled(kid="x" * 1_000_000), "too_large"),
    Bad("B23", "a header of 100 kB", relabelled(kid="x" * 100_000), "malformed"),
    Bad("B24", "expired", signed_at(hours=2), "stale_message"),
    Bad("B24", "signed in the future", signed_at(minutes=-10), "stale_message"),
    Bad("B25", "for another worker", signed(audience="another"), "wrong_audience"),
    Bad("B26", "the same message again", lambda stage: stage.good, "already_current", "succeeded", "read"),
    Bad(
        "B27",
        "the same certificate in another message",
        lambda stage: stage.sealed(stage.good_leaf),
        "already_current",
        "succeeded",
        "read",
    ),
    Bad("B34", "sealed to somebody else", to_stranger, "cannot_decrypt"),
    Bad("B35", "the tag cut short", sealed(part(4, lambda tag: tag[:-4])), "cannot_decrypt", is_withheld=True),
    Bad("B35", "no tag", sealed(part(4, lambda _tag: "")), "cannot_decrypt", is_withheld=True),
    Bad(
        "B35",
        "a point beside the curve",
        sealed(with_header(epk={"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43})),
        "cannot_decrypt",
    ),
    Bad(
        "B35",
        "a point of another curve",
        sealed(with_header(epk={"kty": "OKP", "crv": "X25519", "x": "A" * 43})),
        "cannot_decrypt",
    ),
    Bad("B35", "no point", sealed(with_header(epk=None)), "cannot_decrypt"),
    Bad(
        "B36",
        "`zip: DEF`, a bomb",
        sealed(
            lambda jwe: part(
                3, lambda _: base64.urlsafe_b64encode(zlib.compress(b"\0" * 9_000_000)).decode().rstrip("=")
            )(with_header(zip="DEF")(jwe))
        ),
        "cannot_decrypt",
        says=UNOPENED,
    ),
    Bad(
        "B37",
        "PBES2 of ten million rounds",
        sealed(with_header(alg="PBES2-HS256+A128KW", p2c=10_000_000, p2s="AAAAAAAAAAA")),
        "cannot_decrypt",
        says=UNOPENED,
    ),
    Bad("B37", "RSA-OAEP", sealed(with_header(alg="RSA-OAEP")), "cannot_decrypt", says=UNOPENED),
    Bad("B37", "`alg: dir`", sealed(with_header(alg="dir")), "cannot_decrypt", says=UNOPENED, is_withheld=True),
    Bad("B38", "sealed for another certificate", sealed_for(certificate="other"), "envelope_mismatch"),
    Bad("B38", "sealed for another renewal", sealed_for(renewal_id="another"), "envelope_mismatch"),
    Bad("B39", "a key in the open", plain, "plain_key_refused", says="exposed", is_withheld=True),
    Bad(
        "B39", "a key in the open in place of the JWE", plain_as_jwe, "cannot_decrypt", says="exposed", is_withheld=True
    ),
    Bad("B39", "a key in base64 in place of the chain", key_as_chain, "pem_garbage", is_withheld=True),
    Bad("B40", "material at a URL", material(kind="url", url="http://169.254.169.254/latest"), "malformed"),
    Bad(
        "B40",
        "a URL for a path",
        material(kind="file", chain="http://169.254.169.254/c", private_key="http://169.254.169.254/k"),
        "file_not_found",
    ),
    Bad(
        "B41",
        "a path out of the roots",
        material(kind="file", chain="../../etc/shadow", private_key="../../etc/shadow"),
        "file_outside_roots",
    ),
    Bad(
        "B41",
        "a path from the top",
        material(kind="file", chain="/etc/shadow", private_key="/etc/shadow"),
        "file_outside_roots",
    ),
    Bad("B41", "a link out of the roots", lying(link_out), "file_outside_roots"),
    Bad("B41", "a link to /dev/zero", lying(device), "file_outside_roots"),
    Bad("B41", "a FIFO", lying(fifo), "file_not_regular"),
    Bad("B41", "a folder", material(kind="file", chain=".", private_key="."), "file_not_regular"),
    Bad("B41", "a hard link to a key out of the roots", lying(hard_link_to_key), "file_permissions"),
    Bad("B41", "a hard link to what is no PEM", lying(hard_link), "file_permissions"),
    Bad("B41", "a certificate of version 7 in a file", lying(unreadable_leaf), "cert_unparseable"),
    Bad("B42", "Vault, where none is known", material(kind="vault", path="certificates/shop"), "vault_not_configured"),
)
