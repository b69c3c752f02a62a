"""The whole demonstration, judged by a program that is not ours.

The bundle has run on the incident's own simulated CA. openssl holds the CRL that came out
against the real lost certificates (which only the truth has): revoked is revoked, kept is
good. The rehearsal's CRL, from a CA made of the evidence alone, must list the same serials.
"""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from carecover import Case, evidence
from carecover.bundles import Handed, Returned
from carecover.bundles import read_back as bundles_read_back
from carecover.demo import run_demo
from carecover.evidence.x509 import certificate_row
from carecover.model import TABLES, Plan
from carecover.proof import judge
from carecover.simulator import Scenario, SimulatedCA, SimulatedHost, make_incident
from tests.proof.authority import TestCA, Wish, index_of, key_of, openssl_says, responder
from tests.proof.conftest import ITEM
from tests.small_case import REVIEWER, decide_everything, sign

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


# ------------------------------------------------------------------ no green where openssl disagrees

LISTED, KEPT = 0x4400000014178D21C3ED6A4575000000000014, 0x4400000015178D21C3ED6A4575000000000015
BEFORE = Wish(number=412, begin=timedelta(days=-6), end=timedelta(days=1))

WISHES: dict[str, Callable[[random.Random], Wish]] = {
    "as it should be": lambda _: Wish(),
    "of another CA": lambda _: Wish(issuer="Other CA", signer=7, key_id=7),
    "of another CA's name": lambda _: Wish(issuer="Other CA"),
    "of another key": lambda _: Wish(signer=7, key_id=7),
    "of another key that names ours": lambda _: Wish(signer=7),
    "that says another key": lambda _: Wish(version=1),
    "without key identifier": lambda _: Wish(key_id=False),
    "without CA version": lambda _: Wish(version=None),
    "expired": lambda r: Wish(begin=timedelta(days=-9), end=timedelta(seconds=-r.randrange(1, 99_999))),
    "of tomorrow": lambda _: Wish(begin=timedelta(days=1)),
    "with an older number": lambda r: Wish(number=r.randrange(0, 413)),
    "dated before the last public one": lambda _: Wish(begin=timedelta(days=-6, hours=-1)),
    "without number": lambda _: Wish(number=None),
    "with a number of 160 bits": lambda r: Wish(number=r.getrandbits(159) | 1 << 158),
    "with a critical number": lambda _: Wish(number_critical=True),
    "with an unknown critical extension": lambda _: Wish(unknown=True),
    "with an unknown extension": lambda _: Wish(unknown=False),
    "with critical reasons": lambda _: Wish(reason_critical=True),
    "a delta": lambda _: Wish(base=412),
    "for CA certificates": lambda _: Wish(scope="ca_certificates"),
    "for user certificates": lambda _: Wish(scope="user_certificates"),
    "for attribute certificates": lambda _: Wish(scope="attribute_certificates"),
    "for some reasons": lambda _: Wish(scope="some_reasons"),
    "indirect": lambda _: Wish(scope="indirect"),
    "for its distribution point": lambda _: Wish(points=["http://a/ca.crl"]),
    "for another distribution point": lambda _: Wish(points=["http://b/ca.crl"]),
}


def _bent(data: bytes, random_: random.Random) -> bytes:
    """As it is, cut off, or with bits that fell over: anywhere, or in the signature."""
    match random_.randrange(8):
        case 0:
            return data[: random_.randrange(len(data))]
        case 1:
            at = random_.randrange(len(data))
        case 2:
            at = random_.randrange(len(data) - 64, len(data))
        case _:
            return data
    return data[:at] + bytes([data[at] ^ 1 << random_.randrange(8)]) + data[at + 1 :]


def _verdicts(place: Path, ca: TestCA, lists: Sequence[bytes], leaves: Sequence[x509.Certificate]) -> list[str]:
    """What carecover makes of the two certificates: one is to be revoked, one to be left alone."""

    def read_back(name: str, files: Sequence[bytes]) -> Returned:
        handed = []
        for number, data in enumerate(files):
            (place / f"{name}{number}").write_bytes(data)
            handed.append(Handed(place / f"{name}{number}", name))
        return bundles_read_back(handed, evidence.Context(), own)

    own = TABLES["certificates"].frame([certificate_row(ca.certificate.public_bytes(Encoding.DER))])
    issued = TABLES["certificates"].frame([certificate_row(each.public_bytes(Encoding.DER)) for each in leaves])
    issued["signed_by_ca"] = True
    before, after = read_back("before", [ca.crl(BEFORE)]), read_back("after", lists)
    plan = Plan(
        "case", ca.name, None, "c" * 64, {"0": "c" * 64}, 99, {"0": "412"},
        (
            replace(ITEM, serial=f"{LISTED:x}", reason=1, not_after=None),
            replace(ITEM, number=2, serial=f"{KEPT:x}", action="leave", reason=None, method="none", not_after=None),
        ),
    )  # fmt: skip
    outcomes = judge(
        plan, transcripts=[], view=None, crls=after.crls, crl_entries=after.crl_entries, before_crls=before.crls,
        now=ca.now, certificates=issued, ca_certificates=own,
    )  # fmt: skip
    return list(outcomes["verdict"])


def _disagreements(place: Path, seed: int) -> tuple[list[str], int]:
    """One random story: where carecover is green and openssl is not of its opinion; and how often it was green."""
    random_ = random.Random(seed)
    ca = TestCA(NOW)
    points = ["http://a/ca.crl"] if random_.random() < 0.5 else []
    leaves = [ca.issue(LISTED, points=points), ca.issue(KEPT, points=points)]
    lists, told = [], []
    for number in range(random_.choice([1, 1, 2])):
        # The first stories take each wish once, so that none is left out by chance.
        names = list(WISHES)
        # After that every other list is a good one: a judge that is never green would pass as well.
        usual = ["as it should be"] * len(names)
        name = names[seed] if seed < len(names) and number == 0 else random_.choice([*names, *usual])
        wish = WISHES[name](random_)
        entries = {LISTED: random_.choice([1, 1, 1, 4, 8])} if random_.random() < 0.8 else {}
        entries |= {KEPT: 6} if random_.random() < 0.2 else {}
        if number and wish.number is not None:
            wish = replace(wish, number=wish.number + random_.randrange(2), begin=wish.begin + timedelta(minutes=1))
        lists.append(_bent(ca.crl(replace(wish, entries=entries)), random_))
        told.append(f"{name} {entries}")
    mine = _verdicts(place, ca, lists, leaves)
    wrong, green = [], 0
    for verdict, leaf, expected in zip(mine, leaves, ("revoked", "good"), strict=True):
        if verdict == "proved":
            green += 1
            if (said := openssl_says(place, ca, lists, leaf)) != expected:
                wrong.append(f"seed {seed}: {told}: green, but openssl says {said} instead of {expected}")
    return wrong, green


def test_no_outcome_is_green_where_openssl_disagrees(tmp_path: Path) -> None:
    found = [_disagreements(tmp_path, seed) for seed in range(45)]
    assert [text for wrong, _ in found for text in wrong] == []
    assert sum(green for _, green in found) >= 12, "a judge that is never green cannot be wrong"


@pytest.mark.thorough
def test_no_outcome_is_green_where_openssl_disagrees_in_many_stories(tmp_path: Path) -> None:
    found = [_disagreements(tmp_path, seed) for seed in range(45, 1_000)]
    assert [text for wrong, _ in found for text in wrong] == []
    assert sum(green for _, green in found) >= 200


# ------------------------------------------------------------------------ a real OCSP responder


class Lived:
    """A small incident of today (a responder's clock cannot be set), mended on its own simulated CA."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.now = datetime.now(UTC).replace(microsecond=0)
        incident = make_incident(Scenario(seed=5, certificates=40, failure=self.now - timedelta(hours=52)))
        incident.write(place / "incident")
        facts = json.loads((place / "incident" / "facts.json").read_text(encoding="utf-8"))
        self.case = Case.create(place / "case", clock=self.clock, **facts)
        self.case.add([place / "incident" / "evidence"])
        decide_everything(self.case)
        sign(self.case)
        bundle, ca = place / "bundle", SimulatedCA.from_state(incident.restored)
        self.case.batch(bundle)
        if self.case.plan().needs_dummies:
            self.case.run(bundle, on=SimulatedHost(ca))
            self.case.pin(bundle, by=REVIEWER)
        self.case.run(bundle, on=SimulatedHost(ca))
        self.case.verify([bundle / "logs", bundle / "out"])
        self.crl = bundle / "out" / "crl-0.crl"
        self.authority = incident.restored.authority

    def clock(self) -> datetime:
        self.now = max(self.now + timedelta(seconds=1), datetime.now(UTC).replace(microsecond=0))
        return self.now

    @contextmanager
    def responder(self, name: str, index: str) -> Iterator[str]:
        """openssl as the Online Responder, with a signing certificate that the CA issued."""
        folder = self.place / name
        folder.mkdir()
        key, ca_key = key_of(77), self.authority.key(0)
        begin = datetime.now(UTC) - timedelta(days=1)
        signer = (
            x509.CertificateBuilder(
                self.authority.name, x509.Name([]), key.public_key(), 0x5177, begin, begin + timedelta(days=14)
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("ocsp")]), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        with responder(folder, self.authority.certificates[0], signer, key, index) as url:
            yield url


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return Lived(tmp_path_factory.mktemp("lived"))


def test_a_real_responder_is_asked_and_its_answers_agree(lived: Lived) -> None:
    before = lived.case.table("outcomes")
    assert set(before["verdict"]) == {"proved"}, before[["serial", "action", "verdict", "why"]].to_string()
    assert before["ocsp"].isna().all(), "nothing is asked without being told to"
    serials = list(before["serial"])
    with lived.responder("new", index_of(lived.crl, serials)) as url:
        outcomes = lived.case.verify(ask_ocsp=url)
    assert set(outcomes["verdict"]) == {"proved"}, outcomes[["serial", "why"]].to_string()
    revoked = outcomes["action"] == "revoke"
    assert revoked.sum() >= 5
    assert outcomes.loc[revoked, "ocsp"].str.startswith(f"OCSP ({url}): revoked").all()
    assert outcomes.loc[~revoked, "ocsp"].str.startswith(f"OCSP ({url}): good").all()
    clock = lived.case.table("visibility")
    assert clock.loc[clock["url"] == url, "current"].tolist() == [True]
    assert lived.case.check() == []


def test_a_responder_that_says_good_of_what_is_revoked_is_never_green(lived: Lived) -> None:
    serials = list(lived.case.table("outcomes")["serial"])
    index = "".join(f"V\t491231235959Z\t\t{serial.upper()}\tunknown\t/CN={serial}\n" for serial in serials)
    with lived.responder("stale", index) as url:
        outcomes = lived.case.verify(ask_ocsp=url)
    wrong = outcomes[outcomes["action"] == "revoke"]
    assert not (wrong["verdict"] == "proved").any()
    assert wrong["why"].str.contains(f"OCSP ({url}): good", regex=False).all()
    # What the same place answers later is what counts; here another one takes its place, and the old word stands.
    with lived.responder("unknowing", "") as other:
        outcomes = lived.case.verify(ask_ocsp=other)
    assert not (outcomes["verdict"] == "proved").any()
    assert outcomes["ocsp"].str.contains(f"OCSP ({other}): unknown", regex=False).all()
