"""The panel of the run: it asks for a real CA only what that needs, and refuses in the panel."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from carecover.case import Case
from carecover.notebook import batch, run
from tests.backends.sshd import Server, missing
from tests.notebook.conftest import press, put


def test_a_run_on_a_real_ca_asks_who_and_where(signed: Case, tmp_path: Path) -> None:
    if lacking := missing():
        pytest.skip(lacking)
    press(batch(signed), "Export")
    panel = run(signed)
    assert [panel.by_ssh.layout.display, panel.real.layout.display] == ["none", "none"]
    put(panel.confirm, value=signed.plan().ca_name)
    put(panel.where, index=1)
    assert [panel.by_ssh.layout.display, panel.real.layout.display] == [None, None]
    assert panel.start.description == "Run on the CA"
    assert "no place to run a bundle" in press(panel, "Run")
    (tmp_path / "server").mkdir()
    with Server.begin(tmp_path / "server") as server:
        put(panel.target, value=str(server.target))
        assert "ssh-keyscan" in press(panel, "Run")
        put(panel.known_hosts, value=str(server.known_hosts))
        put(panel.identity, value=str(server.identity))
        assert "who runs this" in press(panel, "Run")
        put(panel.by, value="Olga Operator")
        put(panel.call, value="revoke.cmd preflight")
        server.obey("printf '<b>\\033[31mall is well\\r\\n'; exit 0")
        assert "Every script ended as it should" in press(panel, "Run")
        assert "&lt;b&gt;" in panel.output.value
        assert "all is well" in panel.output.value
        assert "\033" not in panel.output.value
    put(panel.where, index=2)
    assert panel.by_ssh.layout.display == "none"
    if sys.platform != "win32":
        assert "runs no Windows" in press(panel, "Run")
