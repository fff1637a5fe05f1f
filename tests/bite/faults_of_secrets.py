"""Faults of the worker's own secrets: who may read their files, and where they are sent."""

from typing import Final

from tests.bite.fault import Fault

_FILES: Final = "settings/test_named_files.py::"

OF_SECRETS: Final = (
    Fault(
        "a key may be read by everybody where it stands beside its certificate",
        "settings/loading.py",
        '        ("broker.cert_file", settings.broker.cert_file if settings.broker.key_file is None else None),\n',
        "",
        f"{_FILES}test_a_certificate_in_whose_file_its_key_stands_is_a_secret_and_one_with_a_key_file_is_none",
    ),
)
