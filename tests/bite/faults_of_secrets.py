"""Faults of the worker's own secrets: who may read their files, and where they are sent."""

from typing import Final

from tests.bite.fault import Fault

_FILES: Final = "settings/test_named_files.py::"
_CREDENTIALS: Final = (
    "settings/test_credentials.py::test_what_is_open_to_everybody_is_not_read_though_it_was_not_so_at_the_start"
)

OF_SECRETS: Final = (
    Fault(
        "a key may be read by everybody where it stands beside its certificate",
        "settings/loading.py",
        '        ("broker.cert_file", settings.broker.cert_file if settings.broker.key_file is None else None),\n',
        "",
        f"{_FILES}test_a_certificate_in_whose_file_its_key_stands_is_a_secret_and_one_with_a_key_file_is_none",
    ),
    Fault(
        "the broker's password is read from a file that has come to be everybody's",
        "settings/resolve.py",
        "_LONGEST_URL, problem_of_secret)",
        "_LONGEST_URL, problem_of_kind)",
        f"{_CREDENTIALS}[url-388]",
    ),
    Fault(
        "a client's key is read from a file that has come to be everybody's",
        "tls.py",
        "check(identity.key_file, problem_of_secret)",
        "check(identity.key_file)",
        f"{_CREDENTIALS}[client_key-388]",
    ),
    Fault(
        "the listener's key is read from a file that has come to be everybody's",
        "web/encrypting.py",
        "check(http.key_file, problem_of_secret)",
        "check(http.key_file)",
        f"{_CREDENTIALS}[listeners_key-388]",
    ),
    Fault(
        "a listener's key that is no more everybody's is not read again",
        "web/encrypting.py",
        ", one.st_size, one.st_mode)",
        ", one.st_size)",
        "web/test_access.py::test_a_renewed_key_is_taken_once_not_everybody_can_read_it_any_more",
    ),
)
