"""B43 to B53: keys, and how they are written."""

import json
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from tests.bad_inputs.forging import (
    Forged,
    Numbers,
    any_key_pem,
    composite,
    dh_of,
    dsa_of,
    explicit,
    forged,
    mersenne,
    of_size,
    sound,
    spki_of,
    with_exponent,
    with_key,
    with_wrong_exponent,
)
from tests.bad_inputs.stage import AUTHORITY, Material, Stage, event_of
from tests.bad_inputs.table import Bad
from tests.support.clouds import message
from worker.broker.base import Message
from worker.sandbox.ca import Issued

Make = Callable[[Stage], Message]


def sealed(make: Callable[[Stage], Material], certificate: str = "shop") -> Make:
    return lambda stage: stage.sealed(make(stage), certificate)


def dressed(*, chain: Callable[[str], str] = str, key: Callable[[str], str] = str) -> Make:
    """A sound one whose texts were changed."""

    def make(stage: Stage) -> Message:
        one = stage.issue()
        stage.keep_secret(one.private_key_pem)
        return stage.sealed(Forged(chain(one.chain_pem), key(one.private_key_pem)))

    return make


def swapped(stage: Stage) -> Material:
    one = stage.issue()
    stage.keep_secret(one.private_key_pem)
    return Forged(one.private_key_pem, one.chain_pem)


def key_in_chain(stage: Stage) -> Material:
    one = stage.issue()
    stage.keep_secret(one.private_key_pem)
    return Forged(one.chain_pem + one.private_key_pem, one.private_key_pem)


def encrypted(stage: Stage) -> Material:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    return Forged(stage.issue(key=key).chain_pem, text)


def encrypted_traditionally(stage: Stage) -> Material:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")).decode()
    return Forged(stage.issue(key=key).chain_pem, text)


def leaf_of(numbers: Callable[[], Numbers]) -> Make:
    """A certificate for that RSA key, and the key."""

    def make(stage: Stage) -> Material:
        own = numbers()
        return Forged(forged(stage.issue(), AUTHORITY, with_key(own.spki)).chain_pem, own.pem)

    return sealed(make)


def key_of(numbers: Callable[[], Numbers]) -> Make:
    """That RSA key behind a sound RSA certificate."""
    return sealed(lambda stage: Forged(stage.issue(key=sound()).chain_pem, numbers().pem))


def certified(generate: Callable[[], PrivateKeyTypes]) -> Make:
    """A certificate for a key of that kind, and the key."""

    def make(stage: Stage) -> Material:
        key = generate()
        leaf = forged(stage.issue(), AUTHORITY, with_key(spki_of(key.public_key())))
        return Forged(leaf.chain_pem, any_key_pem(key))

    return sealed(make)


def held(generate: Callable[[], PrivateKeyTypes]) -> Make:
    """A key of that kind behind a sound certificate."""
    return sealed(lambda stage: Forged(stage.issue().chain_pem, any_key_pem(generate())))


def beside(private_key_pem: Callable[[], str]) -> Make:
    """That behind a sound certificate."""
    return sealed(lambda stage: Forged(stage.issue().chain_pem, private_key_pem()))


def dsa_keys_in_the_open(_stage: Stage) -> Message:
    keys = [dsa_of(size) for size in range(7500, 7508)]
    return message(json.dumps(event_of({"certificate": "shop", "keys": keys})).encode())


def explicit_curve(stage: Stage) -> Material:
    """The key's own file alone spells its curve out: it is written anew, and good."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Forged(stage.issue(key=key).chain_pem, explicit(key)[1])


def of_another(stage: Stage) -> Material:
    return Forged(stage.issue().chain_pem, stage.issue().private_key_pem)


def rsa_of_another(stage: Stage) -> Material:
    return Forged(stage.issue(key=sound()).chain_pem, any_key_pem(rsa.generate_private_key(65537, 2048)))


def sound_rsa(stage: Stage) -> Issued:
    return stage.issue(key=sound())


ROWS: Final = (
    Bad("B43", "encrypted PKCS#8", sealed(encrypted), "key_encrypted"),
    Bad("B43", "encrypted the old way", sealed(encrypted_traditionally), "key_encrypted"),
    Bad("B44", "two keys", dressed(key=lambda text: text * 2), "pem_garbage"),
    Bad("B45", "a key behind the chain", sealed(key_in_chain), "pem_label", is_withheld=True),
    Bad("B46", "chain and key swapped", sealed(swapped), "pem_label", is_withheld=True),
    Bad(
        "B46",
        "the chain for a key as well",
        sealed(lambda stage: Forged(stage.good_leaf.chain_pem, stage.good_leaf.chain_pem)),
        "pem_garbage",
    ),
    Bad(
        "B47",
        "byte order mark",
        dressed(chain=lambda text: "\ufeff" + text, key=lambda text: "\ufeff" + text),
        "rotated",
        "succeeded",
        "changed",
    ),
    Bad(
        "B47",
        "line ends of Windows",
        dressed(chain=lambda text: text.replace("\n", "\r\n"), key=lambda text: text.replace("\n", "\r\n")),
        "rotated",
        "succeeded",
        "changed",
    ),
    Bad("B47", "line ends of old Macs", dressed(chain=lambda text: text.replace("\n", "\r")), "pem_garbage"),
    Bad("B47", "NUL behind it", dressed(chain=lambda text: text + "\0"), "pem_garbage"),
    Bad("B47", "NUL within", dressed(chain=lambda text: text.replace("M", "\0", 1)), "pem_garbage"),
    Bad("B47", "prose behind it", dressed(chain=lambda text: text + "and so on\n"), "pem_garbage"),
    Bad("B47", "prose in front", dressed(chain=lambda text: "Bag Attributes\n" + text), "pem_garbage"),
    Bad("B47", "quotes around it", dressed(chain=lambda text: f'"{text}"'), "pem_garbage"),
    Bad("B47", "`\\n` spelled out", dressed(chain=lambda text: text.replace("\n", "\\n")), "pem_garbage"),
    Bad("B47", "prose behind the key", dressed(key=lambda text: text + "and so on\n"), "pem_garbage"),
    Bad("B47", "a key with `\\n` spelled out", dressed(key=lambda text: text.replace("\n", "\\n")), "pem_garbage"),
    Bad("B47", "no key", dressed(key=lambda _text: ""), "pem_empty"),
    Bad("B48", "RSA-512", leaf_of(lambda: of_size(512)), "weak_key"),
    Bad("B48", "RSA-1024", leaf_of(lambda: of_size(1024)), "weak_key"),
    Bad("B48", "RSA-2047", leaf_of(lambda: of_size(2047)), "weak_key"),
    Bad("B49", "a certificate of RSA-8192", leaf_of(lambda: of_size(8192)), "weak_key"),
    Bad("B49", "a certificate of RSA-16384", leaf_of(lambda: of_size(16384)), "weak_key"),
    Bad("B49", "a key of RSA-8192 as short as it can be", key_of(lambda: of_size(8192)), "key_mismatch"),
    Bad("B49", "a key of RSA-8192", key_of(lambda: mersenne(3217, 4423)), "too_large"),
    Bad("B49", "a key of RSA-16384", key_of(lambda: of_size(16384)), "too_large"),
    Bad("B50", "20,902 bits of Mersenne's primes", key_of(lambda: mersenne(9689, 11213)), "too_large"),
    Bad("B51", "a factor that is no prime", leaf_of(composite), "key_unparseable"),
    Bad("B51", "a wrong private exponent", key_of(with_wrong_exponent), "key_unparseable"),
    Bad("B51", "a certificate with exponent 1", leaf_of(lambda: of_size(2048, 1)), "cert_unparseable"),
    Bad("B51", "a certificate with exponent 3", leaf_of(lambda: of_size(2048, 3)), "rsa_exponent"),
    Bad("B51", "a key with exponent 1", key_of(lambda: with_exponent(1)), "key_mismatch"),
    Bad("B51", "a key with exponent 3", key_of(lambda: with_exponent(3)), "key_mismatch"),
    Bad("B52", "P-224", certified(lambda: ec.generate_private_key(ec.SECP224R1())), "ec_curve"),
    Bad("B52", "P-521", certified(lambda: ec.generate_private_key(ec.SECP521R1())), "ec_curve"),
    Bad("B52", "secp256k1", certified(lambda: ec.generate_private_key(ec.SECP256K1())), "ec_curve"),
    Bad("B52", "brainpool", certified(lambda: ec.generate_private_key(ec.BrainpoolP256R1())), "ec_curve"),
    Bad("B52", "Ed25519", certified(ed25519.Ed25519PrivateKey.generate), "key_type"),
    Bad("B52", "X25519", certified(x25519.X25519PrivateKey.generate), "key_type"),
    Bad("B52", "DSA", certified(lambda: dsa.generate_private_key(1024)), "key_type"),
    Bad("B52", "a DSA key of 7,600 bits", beside(lambda: dsa_of(7600)), "key_type"),
    Bad("B52", "a DH key of 7,600 bits", beside(lambda: dh_of(7600)), "key_type"),
    Bad("B52", "a DSA key of 32,768 bits", beside(lambda: dsa_of(32768)), "too_large"),
    Bad("B52", "eight DSA keys in the open", dsa_keys_in_the_open, "malformed", is_withheld=True),
    Bad("B52", "a key of Ed25519", held(ed25519.Ed25519PrivateKey.generate), "key_type"),
    Bad("B52", "a key on secp256k1", held(lambda: ec.generate_private_key(ec.SECP256K1())), "key_mismatch"),
    Bad("B52", "a P-256 key that spells its curve out", sealed(explicit_curve), "rotated", "succeeded", "changed"),
    Bad("B53", "the key of another certificate", sealed(of_another), "key_mismatch"),
    Bad("B53", "an RSA key of another certificate", sealed(rsa_of_another), "key_mismatch"),
)
