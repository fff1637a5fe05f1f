"""`rotation-worker rotate` and `plan`: a certificate that is good and odd is warned of."""

import json
from pathlib import Path

from tests.commands.processes import run
from worker.sandbox import Sandbox
from worker.sandbox.playground import Playground


async def test_a_warning_is_shown_and_stands_in_the_way_of_nothing(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        ground = Playground(sandbox, tmp_path)
        settings = Path(str((await ground.laid_out())["settings"]))
        settings.write_text(settings.read_text() + '[trust.rules]\nno_sct = "warn"\n')
        issued = ground.authority.issue(["www.example.com"])
        for name, text in (("chain.pem", issued.chain_pem), ("key.pem", issued.private_key_pem)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        words = ("shop", "--config", settings, "--chain", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
        planned = json.loads((await run("plan", *words, "--json"))[1])
        assert [one["warnings"] for one in planned] == [["no_sct"], ["no_sct"]]
        assert "  warnings: no_sct\n" in (await run("plan", *words))[1]
        status, said, _ = await run("rotate", *words)
        assert (status, "\n  warning: no_sct\n" in said) == (0, True)
        assert json.loads((await run("rotate", *words, "--json"))[1])["warnings"] == ["no_sct"]
