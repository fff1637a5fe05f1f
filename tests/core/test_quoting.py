"""What quotes a private key, in whatever form that lies in its file."""

from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from worker.core.pem import private_key_in
from worker.core.quoting import quotes
from worker.core.secret import Secret

KEY: Final = ec.generate_private_key(ec.SECP256R1())
NUMBER: Final = KEY.private_numbers().private_value
SEC1: Final = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
CURVE: Final = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
LAIN: Final = {
    "alone": SEC1,
    "with its curve in front": CURVE + SEC1,
    "after a byte order mark": "\ufeff" + SEC1,
    "after a blank line": "\n" + SEC1,
    "in the lines of Windows": SEC1.replace("\n", "\r\n"),
}
QUOTED: Final = {"decimal": str(NUMBER)[:40], "hex": f"{NUMBER:064x}"[:40]}


@pytest.mark.parametrize("lain", LAIN)
@pytest.mark.parametrize("quoted", QUOTED)
def test_a_key_is_known_again_in_every_form_in_which_it_is_taken(lain: str, quoted: str) -> None:
    assert private_key_in(LAIN[lain]) == SEC1
    assert quotes(f"order-{QUOTED[quoted]}", [Secret(LAIN[lain])])


def test_of_two_keys_in_a_file_each_is_known_again() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert quotes(f"order-{QUOTED['decimal']}", [Secret(other.decode() + SEC1)])
