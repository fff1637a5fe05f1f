"""What the settings say of a certificate's names and places, as the worker takes it."""

from pathlib import Path

from tests.settings.files import GATEWAYS, LISTENER, certificate, loaded
from worker.building import certificates_of, intake_of
from worker.core.renewal import InFiles

DEPLOYMENT = f'gateway = "bycloud-sp"\nstrategy = "replace"\nname = "shop"\n{LISTENER}'
MORE = """
names = ["*.example.com"]
files_below = "live/shop"
vault_below = "certs/shop"
verify.endpoints = [
    "www.example.com:443", "10.0.0.7:443", "[::1]:443", "localhost:8443",
    {address = "10.0.0.7:443", server_name = "api.example.com"},
]
lineage = {chain = "live/shop/chain.pem", private_key = "live/shop/key.pem"}
"""
TRUST = '[trust]\nreplay_window_seconds = 60\n[trust.roots]\nfiles = ["le"]\n'


def test_what_is_asked_for_at_its_endpoints_a_certificate_must_be_for(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GATEWAYS + TRUST + certificate(DEPLOYMENT, more=MORE))
    assert list(certificates_of(settings)["shop"].names) == ["*.example.com", "www.example.com", "api.example.com"]


def test_where_material_may_lie_is_part_of_the_trust(tmp_path: Path) -> None:
    text, beside = GATEWAYS + TRUST + certificate(DEPLOYMENT, more=MORE), 'gateway = "apig-main"\ncertificate_id = "b1"'
    blog = certificate(f'{beside}\ndomains = "attached"', name="blog")
    trust = intake_of(loaded(tmp_path, text + blog)).trust
    assert (trust.files_below, trust.vault_below) == ({"shop": "live/shop"}, {"shop": "certs/shop"})
    assert trust.lineages == {"shop": InFiles("live/shop/chain.pem", "live/shop/key.pem")}
    assert trust.replay_window == 60
