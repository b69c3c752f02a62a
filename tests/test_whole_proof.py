"""Whole incidents, mended on their own simulated CA, whose new list is then bent: carecover and openssl both judge.

What carecover calls proved is held against the real certificates, which only the truth has:
what was to be revoked must be revoked for openssl, with deltas and without, and what was to
stay valid must be good for it.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ObjectIdentifier

from carecover import Case
from carecover.model import PlanItem
from carecover.simulator import Scenario, SimulatedCA, SimulatedHost, make_incident
from carecover.simulator.scenario import Renewal
from tests.proof.authority import REASONS, key_of, named, openssl
from tests.small_case import REVIEWER, decide_everything, sign

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
RENEWALS: tuple[Renewal, ...] = ("none", "same_key", "new_key")
# openssl looks for deltas only where the base names a place for them.
FRESHEST = x509.FreshestCRL(
    [x509.DistributionPoint([x509.UniformResourceIdentifier("http://d/+.crl")], None, None, None)]
)
DELTAS = ("-use_deltas", "-extended_crl")
STRANGE = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


@dataclass
class Draft:
    """A list that is about to be signed: what a story changes of the CA's own one."""

    issuer: x509.Name
    begin: datetime
    end: datetime
    extensions: list[x509.Extension[x509.ExtensionType]]
    entries: list[x509.RevokedCertificate]
    signer: ec.EllipticCurvePrivateKey
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 = field(default_factory=hashes.SHA256)

    def put(self, value: x509.ExtensionType, *, critical: bool = False) -> None:
        """Set an extension, in the place of its like."""
        self.extensions = [each for each in self.extensions if each.oid != value.oid]
        self.extensions.append(x509.Extension(value.oid, critical, value))

    def drop(self, serial: int) -> None:
        self.entries = [each for each in self.entries if each.serial_number != serial]

    def list(self, serial: int, reason: int, *more: x509.ExtensionType, critical: bool = False) -> None:
        """One more entry, dated now."""
        entry = x509.RevokedCertificateBuilder(serial, self.begin)
        if reason:
            entry = entry.add_extension(x509.CRLReason(REASONS[reason]), critical=critical)
        for each in more:
            entry = entry.add_extension(each, critical=True)
        self.entries.append(entry.build())

    @property
    def number(self) -> int:
        return next(each.value.crl_number for each in self.extensions if isinstance(each.value, x509.CRLNumber))

    def signed(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder(self.issuer, self.begin, self.end)
        for each in self.extensions:
            builder = builder.add_extension(each.value, each.critical)
        for entry in self.entries:
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.signer, self.digest).public_bytes(Encoding.DER)


def _is_delta(der: bytes) -> bool:
    """True for a list that says so; what cannot be read is none."""
    try:
        crl = x509.load_der_x509_crl(der)
        return any(isinstance(each.value, x509.DeltaCRLIndicator) for each in crl.extensions)
    except ValueError:
        return False


class Mended:
    """A small incident whose plan was carried out; ``judge`` holds a set of lists against it, on both sides."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place = place
        renewal = RENEWALS[seed % 3]
        failure = NOW - timedelta(hours=52)
        scenario = Scenario(seed=seed, certificates=45, lost=10, failure=failure, renewal=renewal)
        self.incident = make_incident(scenario)
        self.incident.write(place / "incident")
        facts = json.loads((place / "incident" / "facts.json").read_text(encoding="utf-8"))
        case = Case.create(place / "case", clock=lambda: NOW, **facts)
        case.add([place / "incident" / "evidence"])
        decide_everything(case)
        sign(case)
        self.bundle, ca = place / "bundle", SimulatedCA.from_state(self.incident.restored)
        case.batch(self.bundle)
        if case.plan().needs_dummies:
            case.run(self.bundle, on=SimulatedHost(ca))
            case.pin(self.bundle, by=REVIEWER)
        case.run(self.bundle, on=SimulatedHost(ca))
        self.items, self.last = case.plan().items, case.plan().last_crl_numbers
        self.authority = self.incident.restored.authority
        self.lists = {
            int(path.stem.removeprefix("crl-")): path.read_bytes() for path in (self.bundle / "out").glob("crl-*.crl")
        }
        self.leaves = self._leaves(case)
        pems = [each.public_bytes(Encoding.PEM) for each in self.authority.certificates]
        (place / "cas.pem").write_bytes(b"".join(pems))
        for number, pem in enumerate(pems):
            (place / f"ca-{number}.pem").write_bytes(pem)
        self.runs = 0

    def _leaves(self, case: Case) -> dict[str, x509.Certificate]:
        """The real certificate of every planned serial number that has not ended."""
        life = self.incident.history.life
        ids = {f["serial"]: f["request_id"] for f in case.findings.to_dict("records")}
        found = {}
        for item in self.items:
            leaf = x509.load_der_x509_certificate(life.certificate(int(ids[item.serial])))
            assert f"{leaf.serial_number:x}".zfill(len(item.serial)) == item.serial
            if leaf.not_valid_after_utc > NOW:
                found[item.serial] = leaf
        for serial, leaf in found.items():
            (self.place / f"{serial}.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
        return found

    def draft(self, key: int) -> Draft:
        """The CA's own new list of a key, to be changed."""
        crl = x509.load_der_x509_crl(self.lists[key])
        ends = crl.next_update_utc
        assert ends is not None
        return Draft(crl.issuer, crl.last_update_utc, ends, list(crl.extensions), list(crl), self.authority.key(key))

    def carecover_says(self, lists: Sequence[bytes]) -> dict[str, str]:
        """Serial → verdict, of a fresh copy of the case to which everything that came back is handed."""
        self.runs += 1
        folder = self.place / f"run{self.runs}"
        shutil.copytree(self.place / "case", folder / "case")
        handed = []
        for number, data in enumerate(lists):
            (folder / f"{number}.crl").write_bytes(data)
            handed.append(folder / f"{number}.crl")
        views = (self.bundle / "out").glob("*view.txt")
        outcomes = Case.open(folder / "case", clock=lambda: NOW).verify([self.bundle / "logs", *views, *handed])
        shutil.rmtree(folder)
        return dict(zip(outcomes["serial"], outcomes["verdict"], strict=True))

    def openssl_says(self, lists: Sequence[bytes], serials: Sequence[str], *more: str) -> dict[str, str]:
        """Serial → revoked, good or unknown."""
        blocks = ""
        for der in lists:
            if more != DELTAS and _is_delta(der):
                # Told nothing of deltas, openssl takes one for a whole list; a client without them fetches none.
                continue
            (self.place / "one.crl").write_bytes(der)
            # Of two certificates of one name openssl tries only one here.
            for path in self.place.glob("ca-*.pem"):
                checked = openssl("crl", "-inform", "DER", "-in", str(self.place / "one.crl"), "-CAfile", str(path))
                if "verify OK" in checked.stderr:
                    blocks += checked.stdout
                    break
        (self.place / "crls.pem").write_text(blocks, encoding="ascii")
        names = [str(self.place / f"{serial}.pem") for serial in serials]
        answer = openssl(
            "verify", "-crl_check", *more, "-attime", str(int(NOW.timestamp())), "-CAfile",
            str(self.place / "cas.pem"), "-CRLfile", str(self.place / "crls.pem"), *names,
        )  # fmt: skip
        said = dict.fromkeys(serials, "unknown")
        errors: list[int] = []
        for line in answer.stderr.splitlines():
            if found := re.match(r"error (\d+) at", line):
                errors.append(int(found[1]))
            elif found := re.match(r"error (.+\.pem): verification failed", line):
                said[Path(found[1]).stem] = "revoked" if 23 in errors else "unknown"
                errors = []
        for line in answer.stdout.splitlines():
            if line.endswith(".pem: OK"):
                said[Path(line.removesuffix(": OK")).stem] = "good"
        return said

    def disagreements(self, name: str, lists: Sequence[bytes]) -> tuple[list[str], int]:
        """Where carecover is green and openssl is not of its opinion, and how often it was green."""
        verdicts = self.carecover_says(lists)
        green = [item for item in self.items if verdicts[item.serial] == "proved" and item.serial in self.leaves]
        wrong = []
        for more in ((), DELTAS):
            said = self.openssl_says(lists, [item.serial for item in green], *more) if green else {}
            for item in green:
                expected = "revoked" if item.action == "revoke" else "good"
                if said[item.serial] != expected:
                    wrong.append(f"{name} {more}: {item.serial} {item.action}, openssl says {said[item.serial]}")
        return wrong, len(green)


# --------------------------------------------------------------------------- what is done to the list

Bend = Callable[[Draft, PlanItem, PlanItem | None, random.Random], None]


def _indirect(draft: Draft, item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
    """The planned serial number, of another CA: only who knows the extension sees that."""
    draft.drop(int(item.serial, 16))
    draft.list(int(item.serial, 16), 1, x509.CertificateIssuer([x509.DirectoryName(named("Other CA"))]))


def _scoped(scope: str) -> Bend:
    def bend(draft: Draft, _item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
        draft.put(
            x509.IssuingDistributionPoint(
                full_name=[x509.UniformResourceIdentifier("http://partition/7.crl")] if scope == "point" else None,
                relative_name=None,
                only_contains_user_certs=scope == "user",
                only_contains_ca_certs=scope == "ca",
                only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}) if scope == "reasons" else None,
                indirect_crl=scope == "indirect",
                only_contains_attribute_certs=scope == "attributes",
            ),
            critical=True,
        )

    return bend


def _again(reason: int, *, critical: bool = False) -> Bend:
    def bend(draft: Draft, item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
        draft.drop(int(item.serial, 16))
        draft.list(int(item.serial, 16), reason, critical=critical)

    return bend


def _twice(draft: Draft, item: PlanItem, _kept: PlanItem | None, random_: random.Random) -> None:
    draft.list(int(item.serial, 16), random_.choice([1, 4, 6, 8]))
    random_.shuffle(draft.entries)


def _kept_listed(draft: Draft, _item: PlanItem, kept: PlanItem | None, random_: random.Random) -> None:
    if kept is not None:
        draft.list(int(kept.serial, 16), random_.choice([0, 1, 4, 6]))


def _moved(begin: timedelta = timedelta(), end: timedelta = timedelta()) -> Bend:
    def bend(draft: Draft, _item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
        draft.begin, draft.end = draft.begin + begin, draft.end + end

    return bend


def _numbered(step: int) -> Bend:
    def bend(draft: Draft, _item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
        draft.put(x509.CRLNumber(max(0, draft.number + step)))

    return bend


def _future(draft: Draft, item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
    """Revoked from next year on: openssl calls that revoked."""
    draft.drop(int(item.serial, 16))
    entry = x509.RevokedCertificateBuilder(int(item.serial, 16), NOW + timedelta(days=365))
    entry = entry.add_extension(x509.InvalidityDate(NOW + timedelta(days=365)), critical=False)
    if item.reason:
        entry = entry.add_extension(x509.CRLReason(REASONS.get(item.reason, REASONS[1])), critical=False)
    draft.entries.append(entry.build())


def _set(**changes: object) -> Bend:
    def bend(draft: Draft, _item: PlanItem, _kept: PlanItem | None, _r: random.Random) -> None:
        for name, value in changes.items():
            setattr(draft, name, value)

    return bend


BENDS: Mapping[str, Bend] = {
    "as the CA wrote it": lambda *_: None,
    "without a planned one": lambda d, item, *_: d.drop(int(item.serial, 16)),
    "with one that is to stay valid": _kept_listed,
    "with another reason": _again(4),
    "taken off again in a base": _again(8),
    "on hold": _again(6),
    "listed twice": _twice,
    "of a revocation in the future": _future,
    "with a certificate issuer": _indirect,
    "with a critical reason": _again(1, critical=True),
    "for CA certificates": _scoped("ca"),
    "for user certificates": _scoped("user"),
    "for attribute certificates": _scoped("attributes"),
    "for some reasons": _scoped("reasons"),
    "indirect": _scoped("indirect"),
    "a partition": _scoped("point"),
    "ended": _moved(timedelta(days=-20), timedelta(days=-19)),
    "of tomorrow": _moved(timedelta(days=1), timedelta(days=1)),
    "of before the failure": _moved(timedelta(days=-6)),
    "with the last number": _numbered(-1),
    "with an old number": _numbered(-90),
    "with a number far above": _numbered(1 << 150),
    "with an unknown critical extension": lambda d, *_: d.put(STRANGE, critical=True),
    "with an unknown extension": lambda d, *_: d.put(STRANGE),
    "of another CA": _set(issuer=named("Other CA")),
    "of another CA of this name": _set(signer=key_of(7)),
    "over SHA-384": _set(digest=hashes.SHA384()),
    "over SHA-512": _set(digest=hashes.SHA512()),
}


def _bent(data: bytes, random_: random.Random) -> bytes:
    """Sometimes cut off, with bytes behind it, or with a bit that fell over."""
    match random_.randrange(10):
        case 0:
            return data[: random_.randrange(len(data))]
        case 1:
            return data + random_.choice([b"\0", b"\r\n", b"x", data])
        case 2:
            at = random_.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << random_.randrange(8)]) + data[at + 1 :]
        case _:
            return data


def _delta(mended: Mended, key: int, random_: random.Random) -> bytes:
    """A delta over the new list, or over another: takes off, revokes, or says nothing."""
    draft, item, kept = mended.draft(key), *_pair(mended, key, random_)
    number = draft.number
    draft.entries = []
    for serial in (int(item.serial, 16), *([int(kept.serial, 16)] if kept else [])):
        if reason := random_.choice([None, 1, 4, 6, 8, 8]):
            draft.list(serial, reason)
    draft.put(x509.CRLNumber(number + random_.choice([-1, 0, 1, 1, 2])))
    draft.put(x509.DeltaCRLIndicator(max(0, number + random_.choice([-2, 0, 0, 0, 1]))), critical=True)
    if random_.random() < 0.2:
        draft.signer = key_of(7)
    if random_.random() < 0.2:
        draft.put(STRANGE, critical=True)
    return draft.signed()


def _pair(mended: Mended, key: int, random_: random.Random) -> tuple[PlanItem, PlanItem | None]:
    """A planned revocation of this key, and one that is to stay valid."""
    mine = [item for item in mended.items if item.ca_key_index == key and item.serial in mended.leaves]
    revoked = [item for item in mine if item.action == "revoke"]
    kept = [item for item in mine if item.action != "revoke"]
    return random_.choice(revoked or mine), random_.choice(kept) if kept else None


def _story(mended: Mended, name: str, random_: random.Random) -> tuple[str, list[bytes]]:
    """One set of lists: one of them bent, perhaps a second one, perhaps deltas, perhaps the old ones again."""
    keys = sorted({item.ca_key_index for item in mended.items} & mended.lists.keys())
    victim = random_.choice(keys)
    lists = [data for key, data in mended.lists.items() if key != victim]
    told = name
    for turn in range(random_.choice([1, 1, 2])):
        draft = mended.draft(victim)
        chosen = name if turn == 0 else random_.choice([*BENDS, *(["as the CA wrote it"] * len(BENDS))])
        BENDS[chosen](draft, *_pair(mended, victim, random_), random_)
        draft.put(FRESHEST)
        if turn:
            # openssl goes by dates, Windows by numbers: a story in which both agree about which is newer.
            draft.put(x509.CRLNumber(draft.number + 1))
            draft.begin += timedelta(minutes=1)
            told += f", then {chosen}"
        lists.append(_bent(draft.signed(), random_))
    if random_.random() < 0.4:
        told += ", a delta"
        lists.append(_delta(mended, victim, random_))
    if random_.random() < 0.2:
        told += ", the old lists"
        lists += [path.read_bytes() for path in sorted((mended.place / "incident" / "evidence" / "crl").glob("*.crl"))]
    random_.shuffle(lists)
    return told, lists


def _search(place: Path, seeds: Sequence[int], names: Sequence[str]) -> tuple[list[str], int, int]:
    """What is wrong, how many stories there were, and how many greens."""
    wrong, stories, greens = [], 0, 0
    for seed in seeds:
        mended = Mended(place / str(seed), seed)
        random_ = random.Random(seed)
        for name in names:
            told, lists = _story(mended, name, random_)
            found, green = mended.disagreements(f"seed {seed}: {told}", lists)
            wrong += found
            greens += green
            stories += 1
    return wrong, stories, greens


def test_a_mended_incident_is_green_on_both_sides(tmp_path: Path) -> None:
    mended = Mended(tmp_path / "it", 2)
    wrong, green = mended.disagreements("as it is", list(mended.lists.values()))
    assert wrong == []
    assert green == len(mended.leaves) >= 8


def test_a_delta_that_clients_use_takes_the_green_away(tmp_path: Path) -> None:
    mended, key = Mended(tmp_path / "it", 3), 0
    item, _ = _pair(mended, key, random.Random(1))
    base, delta = mended.draft(key), mended.draft(key)
    base.put(FRESHEST)
    delta.put(x509.DeltaCRLIndicator(base.number), critical=True)
    delta.put(x509.CRLNumber(base.number + 1))
    delta.entries = []
    delta.list(int(item.serial, 16), 8)
    lists = [base.signed(), delta.signed()]
    assert mended.openssl_says(lists, [item.serial]) == {item.serial: "revoked"}
    assert mended.openssl_says(lists, [item.serial], *DELTAS) == {item.serial: "good"}
    verdicts = mended.carecover_says(lists)
    assert verdicts.pop(item.serial) == "contradicted"
    assert set(verdicts.values()) == {"proved"}


def test_no_bent_list_of_a_whole_rehearsal_is_green_where_openssl_disagrees(tmp_path: Path) -> None:
    wrong, stories, greens = _search(tmp_path, [4], list(BENDS))
    assert wrong == []
    assert stories == len(BENDS)
    assert greens >= 50, "a judge that is never green cannot be wrong"


@pytest.mark.thorough
def test_no_bent_list_of_many_rehearsals_is_green_where_openssl_disagrees(tmp_path: Path) -> None:
    wrong, stories, greens = _search(tmp_path, range(10, 40), list(BENDS))
    print(f"{stories} stories, {greens} greens")
    assert wrong == []
    assert greens >= 30 * 50
