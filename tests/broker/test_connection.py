"""What a connection to the broker is made of."""

from pathlib import Path

import pytest
from yarl import URL

from worker.broker.connection import Connector
from worker.core.secret import Secret
from worker.settings.model import Broker


def test_the_environment_does_not_have_the_keys_of_the_connection_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "amqps://127.0.0.1/"
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = Connector(Broker(url=url), Secret(url))._tls(URL(url))
    assert context is not None
    assert not list(tmp_path.iterdir())
    assert not context.keylog_filename
