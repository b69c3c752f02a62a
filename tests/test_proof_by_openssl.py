"""The whole demonstration, judged by a program that is not ours.

The bundle has run on the incident's own simulated CA. openssl holds the CRL that came out
against the real lost certificates (which only the truth has): revoked is revoked, kept is
good. The rehearsal's CRL, from a CA made of the evidence alone, must list the same serials.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from carecover import Case
from carecover.demo import run_demo

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demonstration") / "out"
    assert "of 34 decisions proved" in run_demo(out, 1, lambda _line: None, lambda: NOW)
    return out


def test_openssl_agrees_about_every_lost_certificate(demonstration: Path, tmp_path: Path) -> None:
    outcomes = Case.open(demonstration / "case", clock=lambda: NOW).table("outcomes")
    assert set(outcomes["verdict"]) == {"proved"}
    actions = dict(zip(outcomes["serial"], outcomes["action"], strict=True))
    ca = x509.load_der_x509_certificate(next((demonstration / "evidence" / "ca").glob("*.cer")).read_bytes())
    crl = x509.load_der_x509_crl((demonstration / "bundle" / "out" / "crl-0.crl").read_bytes())
    (tmp_path / "trust.pem").write_bytes(ca.public_bytes(Encoding.PEM) + crl.public_bytes(Encoding.PEM))
    truth = json.loads((demonstration / "truth.json").read_text(encoding="utf-8"))
    judged = {"revoke": 0, "restore": 0, "leave": 0}
    for lost in truth["lost"]:
        certificate = x509.load_der_x509_certificate(base64.b64decode(lost["certificate"]))
        if certificate.not_valid_after_utc <= NOW:
            continue
        (tmp_path / "lost.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        moment = str(int(NOW.timestamp()))
        trust, leaf = str(tmp_path / "trust.pem"), str(tmp_path / "lost.pem")
        answer = openssl("verify", "-crl_check", "-attime", moment, "-CAfile", trust, leaf)
        action = actions[lost["serial"]]
        judged[action] += 1
        if action == "revoke":
            assert answer.returncode == 2, answer
            assert "error 23" in answer.stderr
        else:
            assert answer.returncode == 0, answer.stderr
    assert judged["revoke"] >= 10
    assert judged["restore"] >= 3


def test_the_rehearsals_list_names_the_same_serials(demonstration: Path) -> None:
    def serials(crl: Path) -> set[str]:
        printed = openssl("crl", "-inform", "DER", "-noout", "-text", "-in", str(crl)).stdout
        return set(re.findall(r"Serial Number: ([0-9A-F]+)", printed))

    rehearsed = next((demonstration / "case" / "runs").glob("*-rehearsal")) / "out" / "crl-0.crl"
    real = serials(demonstration / "bundle" / "out" / "crl-0.crl")
    assert len(real) > 20
    assert serials(rehearsed) == real
