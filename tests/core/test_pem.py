"""Strict PEM at its limits. What else it refuses: `test_certificate`."""

import pytest

from worker.core.errors import RefusedError
from worker.core.pem import LONGEST_CHAIN, LONGEST_KEY, MOST_CERTIFICATES, certificates_in, private_key_in


def block(label: str, text: str = "TUlJ") -> str:
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"


CERTIFICATE, KEY = block("CERTIFICATE"), block("PRIVATE KEY")


def reason_of(read: object, text: str) -> str | None:
    try:
        certificates_in(text) if read is certificates_in else private_key_in(text)
    except RefusedError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    ("read", "text", "longest"), [(certificates_in, CERTIFICATE, LONGEST_CHAIN), (private_key_in, KEY, LONGEST_KEY)]
)
def test_so_long_a_text_is_read_and_no_longer(read: object, text: str, longest: int) -> None:
    assert reason_of(read, text.ljust(longest, "\n")) is None
    assert reason_of(read, text.ljust(longest + 1, "\n")) == "too_large"


def test_so_many_certificates_are_read_and_no_more() -> None:
    assert certificates_in(CERTIFICATE * MOST_CERTIFICATES) == (CERTIFICATE,) * MOST_CERTIFICATES
    assert reason_of(certificates_in, CERTIFICATE * (MOST_CERTIFICATES + 1)) == "too_many_certs"


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
def test_a_key_is_the_one_block_that_is_a_key(label: str) -> None:
    assert private_key_in(block("EC PARAMETERS") + "\n" + block(label)) == block(label)
    assert reason_of(private_key_in, block(label) + KEY) == "pem_garbage"
    assert reason_of(private_key_in, block("PUBLIC KEY")) == "pem_label"


def test_where_it_stops_being_pem_is_told_by_the_block() -> None:
    with pytest.raises(RefusedError, match="chain: something other than PEM at block 2"):
        certificates_in(CERTIFICATE + "prose\n" + CERTIFICATE)
