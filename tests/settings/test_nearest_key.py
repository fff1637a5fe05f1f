"""A mistyped key is told with the one that was meant: of those that may stand at that very place."""

from pathlib import Path

import pytest

from tests.settings.files import APIG, certificate, in_place, problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[brokr]", "brokr: unknown key (did you mean broker?)"),
        ("[broker]\nprefech = 3", "broker.prefech: unknown key (did you mean prefetch?)"),
        ("[broker]\ndeclared = false", "broker.declared: unknown key (did you mean declare?)"),
        ("[broker]\nendpoint = 3", "broker.endpoint: unknown key"),
        (APIG + "endpont = 1", "gateways.apig-main.endpont: unknown key (did you mean endpoint?)"),
        (
            APIG.replace("token_file", "tokenfile"),
            "gateways.apig-main.auth.tokenfile: unknown key (did you mean token_file?)",
        ),
        (
            APIG + certificate(in_place(sertificate_id='"c1"')),
            "certificates.shop.deployments.0.sertificate_id: unknown key (did you mean certificate_id?)",
        ),
        (
            APIG + certificate(in_place(), more="verify = {endpoint = []}"),
            "certificates.shop.verify.endpoint: unknown key (did you mean endpoints?)",
        ),
    ],
)
def test_a_mistyped_key_is_told_with_what_was_meant(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems(tmp_path, text)
