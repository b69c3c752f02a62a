"""The panel of time stamps: a request out, the answer of openssl's authority in."""

from __future__ import annotations

from pathlib import Path

import pytest

from carecover.case import Case
from carecover.notebook import stamp
from carecover.notebook.stamping import StampPanel
from tests.notebook.conftest import hand_over, press, said
from tests.test_stamps import Authority

pytest.importorskip("rfc3161_client")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.found(tmp_path_factory.mktemp("tsa") / "one", "Example")


def give(panel: StampPanel, *files: Path) -> str:
    """Drop these files, and hand them in."""
    panel.upload.clear()
    hand_over(panel.upload, *((file.name, file.read_bytes()) for file in files))
    return press(panel, "Check and keep the answer")


def test_a_request_goes_out_and_its_answer_is_kept(case: Case, authority: Authority, tmp_path: Path) -> None:
    panel = stamp(case)
    assert isinstance(panel, StampPanel)
    assert panel.hand_out.label == "", "there is nothing to download yet"
    request = case.path.with_name(f"{case.path.name}-head.tsq")
    assert str(request) in press(panel, "Make a request")
    assert panel.hand_out.label == f"Download {request.name}"
    assert panel._request() == (request.name, request.read_bytes())

    answer = authority.answer(request, tmp_path / "head.tsr")
    panel.by.value = "Ada Analyst"
    assert "No answer of an authority" in give(panel, authority.root)
    assert "one PEM file beside the answer; there are 0" in give(panel, answer)
    assert "one PEM file beside the answer; there are 2" in give(panel, answer, authority.root, request)
    assert len(case.table("stamps")) == 0
    assert "the journal up to act" in give(panel, answer, authority.root)
    (row,) = case.table("stamps").to_dict("records")
    assert row["by"] == "Ada Analyst"
    assert row["head"] in said(panel)
    assert panel.by.value == ""
    assert case.check() == []


def test_who_hands_an_answer_in_is_asked_and_a_request_that_is_gone_is_not_offered(
    case: Case, authority: Authority, tmp_path: Path
) -> None:
    panel = stamp(case)
    press(panel, "Make a request")
    request = panel._asked()
    assert request is not None
    answer = authority.answer(request, tmp_path / "head.tsr")
    assert "Write your name" in give(panel, answer, authority.root)
    request.unlink()
    assert stamp(case).hand_out.label == "", "there is nothing left to download"
