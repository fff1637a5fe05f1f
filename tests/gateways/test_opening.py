"""Each kind of gateway that the settings know can be opened, and costs nothing until it is."""

import subprocess
import sys
from typing import get_args

from worker.gateways import OPENERS
from worker.settings import gateways


def test_every_kind_of_the_settings_has_an_opener() -> None:
    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(gateways.Gateway)[0])}
    assert set(OPENERS) == kinds


def test_the_protocol_is_imported_without_an_http_client() -> None:
    code = "import sys, worker.gateways.base; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
