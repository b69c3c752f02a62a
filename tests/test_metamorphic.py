"""What is handed in may be ordered, split, packed, converted or doubled: what is found stays.

One simulated incident is handed to a case as it is, and then in other ways. The findings must be the very same, and so
must the verdicts of the coverage. What is taken away adds nothing: nobody knows what a lost mail said, but less
evidence must never make carecover surer. No finding "orphaned" becomes "it is there", and no confidence rises.
"""

from __future__ import annotations

import base64
import bz2
import email
import email.policy
import gzip
import io
import lzma
import random
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from carecover import Case
from carecover.errors import QuestionError
from carecover.model import CaseFacts
from carecover.simulator.incident import make_incident
from carecover.simulator.scenario import Scenario
from tests.evidence.test_ldif import of
from tests.evidence.test_mbox import LINE, escaped, with_length
from tests.evidence.test_msg import compound, message
from tests.evidence.test_pst import FILE, saying, told

Files = Mapping[str, bytes]

SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    "plain": {"seed": 5, "certificates": 16, "ordinary_mail": 8},
    "rich": {
        "seed": 8, "certificates": 24, "ordinary_mail": 8, "audit": True, "audit_all": True, "delta_crls": 1,
        "mail_carries_certificate": 0.5, "originals": 0.3, "lost_mails": 0.1, "other_ca_mails": 4, "forged_issued": 1,
        "forged_revoked": 1, "perfect_revoked": 1, "recovery_mails": True, "gmt": True, "encoding": "utf-8",
    },
    "german": {
        "seed": 13, "certificates": 20, "ordinary_mail": 4, "date_locale": "de-DE", "renewal": "new_key",
        "registry": True, "mail_wording": "german", "audit": True, "passing_holds": 2, "encoding": "utf-16",
    },
}  # fmt: skip
APPROVED: Final = {"approved": {"seed": 5, "certificates": 30, "late_approvals": 3, "ordinary_mail": 4}}
CARRIED: Final = {"carried": {"seed": 8, "certificates": 10, "mail_carries_certificate": 0.5, "ordinary_mail": 0}}
# Columns that say how sure carecover is and what it would do; ``why`` counts the mails, ``evidence`` names files.
SAID: Final = [
    "finding_id", "kind", "serial", "request_id", "ca_cert_index", "ca_key_index", "subject", "requester", "template",
    "not_before", "not_after", "issued_at", "original_revoked_at", "original_reason", "confidence", "blast_radius",
    "suggested_action", "suggested_reason",
]  # fmt: skip
ACTED_ON: Final = {"serial_conflict", "orphaned", "lost_revocation", "lost_release"}
CONFIDENCE: Final = {"low": 0, "medium": 1, "high": 2}


class Told:
    """What a case concludes: findings and verdicts, in one order."""

    def __init__(self, case: Case) -> None:
        findings = case.findings[SAID].sort_values("finding_id", ignore_index=True).astype(object)
        self.findings = findings.where(findings.notna(), None).to_dict("records")
        coverage = case.table("coverage")
        self.verdicts = sorted(zip(coverage["aspect"], coverage["verdict"], strict=True))
        self.rejects = len(case.table("rejects"))
        self.notifications = case.table("notifications")
        said = self.notifications.drop(columns=["evidence_id", "location"]).astype(object)
        self.mails = sorted(said.where(said.notna(), None).to_dict("records"), key=repr)
        self.certificates = case.table("certificates").drop_duplicates("certificate_sha256")


@lru_cache
def incident(name: str) -> tuple[CaseFacts, tuple[bytes, ...], dict[str, bytes]]:
    """What people know, the mails one by one, and all other evidence."""
    made = make_incident(Scenario(**(SCENARIOS | APPROVED | CARRIED)[name]))
    mails = tuple(mail.data for mail in made.postbox.mails)
    others = {
        path.removeprefix("evidence/"): b"".join(pieces)
        for path, pieces in made.files()
        if path.startswith("evidence/") and not path.startswith("evidence/mail/")
    }
    return made.facts, mails, others


def concluded(name: str, files: Files, *, unknown: Sequence[str] = ()) -> Told:
    """The conclusions from files handed in as one folder; ``unknown``: facts that nobody gave."""
    facts = incident(name)[0]
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            place = Path(folder, "evidence", path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        known: dict[str, Any] = {
            key: value for key, value in facts.to_json().items() if value is not None and key not in unknown
        }
        case = Case.create(Path(folder, "case"), **known)
        case.add([Path(folder, "evidence")])
        return Told(case)


@lru_cache
def expected(name: str) -> Told:
    """The conclusions from the incident as it is."""
    _, mails, others = incident(name)
    told = concluded(name, {**others, "mail/inbox.mbox": mboxrd(mails)})
    assert len(told.findings) > 3
    assert len(told.notifications) > 10
    return told


def same(told: Told, name: str) -> None:
    assert told.findings == expected(name).findings
    assert told.verdicts == expected(name).verdicts
    assert told.rejects == expected(name).rejects


# -------------------------------------------------------------------------------------- forms of mail


def mboxrd(mails: Sequence[bytes]) -> bytes:
    return b"".join(LINE + escaped(m, again=True) + b"\n" for m in mails)


def takeout(mails: Sequence[bytes]) -> bytes:
    start = b"From 1844273419387412%03d@xxx Sat Jul 11 13:17:00 +0000 2026\nX-GM-THRID: 1844\nX-Gmail-Labels: Inbox\n"
    joined = b"".join(start % n + escaped(m, again=False) + b"\n" for n, m in enumerate(mails))
    return joined.replace(b"\n", b"\r\n")


def thunderbird(mails: Sequence[bytes]) -> bytes:
    start = b"From - Sat Jul 11 13:17:00 2026\nX-Mozilla-Status: 0001\n"
    return b"".join(start + escaped(m, again=False) + b"\n" for m in mails)


def maildir(mails: Sequence[bytes]) -> Files:
    flags = ("", ":2,S", ":2,RS", ";2,F")
    return {
        f"Maildir/{'cur' if flags[n % 4] else 'new'}/{1_700_000_000 + n}.M{n}P1.mx1{flags[n % 4]}": m
        for n, m in enumerate(mails)
    }


def eml(mails: Sequence[bytes]) -> Files:
    return {f"{n:05}.eml": m.replace(b"\n", b"\r\n") for n, m in enumerate(mails)}


def outlook(mail: bytes) -> dict[int, str] | None:
    """The properties that Outlook keeps of a mail of plain text; None where it has parts."""
    parsed = email.message_from_bytes(mail, policy=email.policy.default)
    if parsed.is_multipart() or parsed.get_content_type() != "text/plain":
        return None
    head = mail.partition(b"\n\n")[0].decode("ascii")
    body = parsed.get_content()
    if "\ufffd" in body:
        # A mail that says ASCII and has other letters: whoever brought it into Outlook looked at them.
        letters = parsed.get_payload(decode=True)
        assert isinstance(letters, bytes)
        body = letters.decode("utf-8")
    return {0x007D: head, 0x0037: str(parsed["subject"]), 0x1000: body.replace("\n", "\r\n")}


def msg(mails: Sequence[bytes]) -> Files:
    made: dict[str, bytes] = {}
    for n, mail in enumerate(mails):
        texts = outlook(mail)
        made[f"{n}.eml" if texts is None else f"{n}.msg"] = mail if texts is None else compound(message(texts))
    return made


def carried(mails: Sequence[bytes]) -> Files:
    """Somebody forwards the mails as attachments, some at a time, and one of them as files in base64."""
    made = {}
    for at in range(0, len(mails), 7):
        parts = []
        for n, mail in enumerate(mails[at : at + 7]):
            if n % 2:
                coded = base64.encodebytes(mail)
                head = b"Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
                parts.append(head + b'Content-Disposition: attachment; filename="x.eml"\n\n' + coded)
            else:
                parts.append(b"Content-Type: message/rfc822\n\n" + mail)
        body = b"".join(b"--=_outer_=\n" + part + b"\n" for part in parts) + b"--=_outer_=--\n"
        head = b"From: a@b.example\nTo: c@d.example\nSubject: FW: mails of the CA\nMIME-Version: 1.0\n"
        head += b'Message-ID: <fw%d@b.example>\nContent-Type: multipart/mixed; boundary="=_outer_="\n\n' % at
        made[f"fw{at}.eml"] = head + body
    return made


def zipped(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: Files, form: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{form}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def split(mails: Sequence[bytes], count: int) -> Files:
    return {f"box{n}.mbox": mboxrd(mails[n::count]) for n in range(count) if mails[n::count]}


FORMS: Final[dict[str, Callable[[Sequence[bytes]], Files]]] = {
    "mboxo": lambda m: {"box": b"".join(LINE + escaped(each, again=False) + b"\n" for each in m)},
    "mboxrd": lambda m: {"box": mboxrd(m)},
    "mboxcl": lambda m: {"box": b"".join(LINE + with_length(escaped(each, again=False)) + b"\n" for each in m)},
    "mboxcl2": lambda m: {"box": b"".join(LINE + with_length(each) + b"\n" for each in m)},
    "mbox of Windows": lambda m: {"box": b"\xef\xbb\xbf" + mboxrd(m).replace(b"\n", b"\r\n")},
    "Gmail Takeout": lambda m: {"All mail.mbox": takeout(m)},
    "Thunderbird": lambda m: {"Inbox": thunderbird(m)},
    "Maildir": maildir,
    "eml": eml,
    "msg": msg,
    "many mailboxes": lambda m: split(m, 5),
    "attached": carried,
    "zip of eml": lambda m: {"mails.zip": zipped(eml(m))},
    "zip of msg": lambda m: {"mails.zip": zipped(msg(m))},
    "tar of a Maildir": lambda m: {"box.tar": tarred(maildir(m))},
    "tar.gz": lambda m: {"box.tgz": tarred(maildir(m), "gz")},
    "tar.bz2": lambda m: {"box.tbz": tarred(split(m, 2), "bz2")},
    "tar.xz": lambda m: {"box.txz": tarred(eml(m), "xz")},
    "gz": lambda m: {"box.mbox.gz": gzip.compress(mboxrd(m))},
    "bz2": lambda m: {"box.mbox.bz2": bz2.compress(mboxrd(m))},
    "xz": lambda m: {"box.mbox.xz": lzma.compress(mboxrd(m))},
    "nested": lambda m: {
        "all.zip": zipped(
            {"in/a.tar.gz": tarred(eml(m[::2]), "gz"), "b.zip": zipped({"c.mbox.xz": lzma.compress(mboxrd(m[1::2]))})}
        )
    },
}
ANY_NAME: Final = st.sampled_from(sorted(SCENARIOS))
# A failing incident is as easy to read as a smaller one, and each example reads a whole case.
_NO_SHRINKING: Final = (Phase.explicit, Phase.reuse, Phase.generate)
FEW: Final = settings(
    deadline=None, max_examples=3, derandomize=True, phases=_NO_SHRINKING, suppress_health_check=list(HealthCheck)
)
MANY: Final = settings(deadline=None, max_examples=150, phases=_NO_SHRINKING, suppress_health_check=list(HealthCheck))


def in_form(name: str, form: str) -> None:
    _, mails, others = incident(name)
    told = concluded(name, {**others, **{f"mail/{path}": data for path, data in FORMS[form](mails).items()}})
    same(told, name)
    assert told.mails == expected(name).mails


@pytest.mark.parametrize("form", FORMS)
def test_whatever_form_the_mails_come_in_the_findings_are_the_same(form: str) -> None:
    in_form("rich", form)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["plain", "german"])
@pytest.mark.parametrize("form", FORMS)
def test_other_incidents_in_every_form_are_the_same_too(name: str, form: str) -> None:
    in_form(name, form)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_mailbox_of_outlook_says_what_the_mails_say(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but Outlook writes a .pst: what the worker says of one is written here."""
    _, mails, others = incident(name)
    kept = [(mail, outlook(mail)) for mail in mails]
    lines = [
        {"id": 32 * n + 4, "folder": "Top/Inbox", "message": told(texts)}
        for n, (_, texts) in enumerate(kept)
        if texts is not None
    ]
    assert len(lines) > 20
    saying(tmp_path, monkeypatch, *lines, {"tree": len(lines), "tables": len(lines), "all": len(lines)})
    rest = {f"mail/{n}.eml": mail for n, (mail, texts) in enumerate(kept) if texts is None}
    same(concluded(name, {**others, **rest, "mail/backup.pst": FILE}), name)


# ------------------------------------------------------------------------------- order, parts and copies


@FEW
@given(ANY_NAME, st.randoms(use_true_random=False), st.integers(1, 6))
def test_shuffled_and_split_mails_say_the_same(name: str, chance: random.Random, count: int) -> None:
    shuffled_and_split(name, chance, count)


@pytest.mark.thorough
@MANY
@given(ANY_NAME, st.randoms(use_true_random=False), st.integers(1, 6))
def test_mails_shuffled_and_split_many_times_say_the_same(name: str, chance: random.Random, count: int) -> None:
    shuffled_and_split(name, chance, count)


def shuffled_and_split(name: str, chance: random.Random, count: int) -> None:
    _, mails, others = incident(name)
    mixed = list(mails)
    chance.shuffle(mixed)
    same(concluded(name, {**others, **{f"mail/{p}": data for p, data in split(mixed, count).items()}}), name)


@FEW
@given(ANY_NAME, st.data())
def test_mails_in_two_mailboxes_are_one_event(name: str, data: st.DataObject) -> None:
    doubled(name, data)


@pytest.mark.thorough
@MANY
@given(ANY_NAME, st.data())
def test_mails_in_two_mailboxes_are_always_one_event(name: str, data: st.DataObject) -> None:
    doubled(name, data)


def doubled(name: str, data: st.DataObject) -> None:
    """The second recipient's mailbox has other forms of the same mails, in the file or beside it."""
    _, mails, others = incident(name)
    again = data.draw(st.lists(st.sampled_from(mails), min_size=1, max_size=2 * len(mails)))
    form = FORMS[data.draw(st.sampled_from(sorted(FORMS)))]
    where = data.draw(st.sampled_from(["the same file", "another file"]))
    files = {"inbox": mboxrd([*mails, *again])} if where == "the same file" else {"inbox": mboxrd(mails)}
    files |= {f"second/{path}": made for path, made in form(again).items()}
    same(concluded(name, {**others, **{f"mail/{path}": made for path, made in files.items()}}), name)


@pytest.mark.parametrize("gone", [b"has been retrieved from", b"has been issued by"])
def test_a_certificate_that_was_issued_and_then_fetched_is_one_finding(gone: bytes) -> None:
    """Its request waited: the CA says Issued when it is approved, and RetrievePending when it is fetched."""
    name = "approved"
    _, mails, others = incident(name)
    fetched = [mail for mail in mails if b"has been retrieved from" in mail.partition(b"\n\n")[0]]
    serials = {serial for mail in fetched if (serial := re.search(rb"Serial Number: ([0-9a-f]+)", mail))}
    about = {serial[1] for serial in serials}
    orphaned = [each["serial"] for each in expected(name).findings if each["kind"] == "orphaned"]
    twice = [serial.decode() for serial in about if serial.decode() in orphaned]
    assert twice
    assert len(orphaned) == len(set(orphaned)), "one finding each"
    fewer = [m for m in mails if not (gone in m.partition(b"\n\n")[0] and any(serial in m for serial in about))]
    assert len(fewer) < len(mails)
    told = concluded(name, {**others, "mail/inbox.mbox": mboxrd(fewer)})
    assert [each["serial"] for each in told.findings if each["kind"] == "orphaned"] == orphaned


# ------------------------------------------------------------------------------------------- taken away


@FEW
@given(ANY_NAME, st.data())
def test_a_mail_that_is_taken_away_never_makes_carecover_surer(name: str, data: st.DataObject) -> None:
    taken_away(name, data)


@pytest.mark.thorough
@MANY
@given(ANY_NAME, st.data())
def test_any_mails_that_are_taken_away_never_make_carecover_surer(name: str, data: st.DataObject) -> None:
    taken_away(name, data)


def taken_away(name: str, data: st.DataObject) -> None:
    _, mails, others = incident(name)
    gone = data.draw(st.sets(st.sampled_from(range(len(mails))), min_size=1, max_size=len(mails)))
    files = {**others, "mail/inbox": mboxrd([m for n, m in enumerate(mails) if n not in gone])}
    before, after = expected(name), concluded(name, files)
    found = {each["serial"]: each for each in before.findings if each["kind"] in ACTED_ON}
    for each in after.findings:
        if each["kind"] not in ACTED_ON:
            continue
        was = found.get(each["serial"])
        assert was is not None, "less evidence does not find more"
        assert CONFIDENCE[each["confidence"]] <= CONFIDENCE[was["confidence"]] or was["kind"] != each["kind"]
        if was["kind"] == "orphaned":
            assert each["kind"] == "orphaned", "what was missing from the database is not there now"


@pytest.mark.parametrize("name", SCENARIOS)
def test_without_any_mail_nothing_is_said_to_be_there(name: str) -> None:
    _, _, others = incident(name)
    after = concluded(name, others)
    lost = {each["serial"] for each in expected(name).findings if each["kind"] == "orphaned"}
    assert not [e for e in after.findings if e["serial"] in lost and e["kind"] in ACTED_ON and e["kind"] != "orphaned"]
    assert after.verdicts != expected(name).verdicts, "the coverage says that there is no mail"


# ------------------------------------------------------------------------- the rest of what is handed in


def repacked(name: str, change: Callable[[str, bytes], Files]) -> None:
    """All that is no mail, each file changed into others."""
    _, mails, others = incident(name)
    files: dict[str, bytes] = {"mail/inbox.mbox": mboxrd(mails)}
    for path, data in others.items():
        files |= change(path, data)
    same(concluded(name, files), name)


def as_certificates(form: str) -> Callable[[str, bytes], Files]:
    def change(path: str, data: bytes) -> Files:
        if not path.endswith(".cer"):
            return {path: data}
        load = load_pem_x509_certificate if data.startswith(b"-----") else load_der_x509_certificate
        certificate = load(data)
        der, pem = certificate.public_bytes(Encoding.DER), certificate.public_bytes(Encoding.PEM)
        return {
            "DER": {path: der},
            "PEM": {path: pem.replace(b"\n", b"\r\n")},
            "PKCS #7": {path: pkcs7.serialize_certificates([certificate], Encoding.DER)},
            "LDIF": {f"{path}.ldf": b"dn: CN=x\n" + of(der).encode()},
            "base64": {path: base64.b64encode(der)},
            "zip": {f"{path}.zip": zipped({"a.cer": pem})},
            "twice": {path: data, f"again/{path}": der, f"more/{path}": pem},
        }[form]

    return change


@pytest.mark.parametrize("form", ["DER", "PEM", "PKCS #7", "LDIF", "base64", "zip", "twice"])
def test_certificates_in_any_form_lead_to_the_same_findings(form: str) -> None:
    repacked("rich", as_certificates(form))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_views_in_any_encoding_and_archive_lead_to_the_same_findings(encoding: str) -> None:
    """Text and csv of one export lie in one archive: neither is the later view of the other."""
    _, mails, others = incident("rich")
    views = {p: d.decode("utf-8").encode(encoding) for p, d in others.items() if p.startswith("database/")}
    assert len(views) == 2
    rest = {p: d for p, d in others.items() if p not in views} | {"mail/inbox.mbox": mboxrd(mails)}
    same(concluded("rich", {**rest, "database.zip": zipped(views)}), "rich")


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_of_it_in_one_archive_leads_to_the_same_findings(name: str) -> None:
    _, mails, others = incident(name)
    same(concluded(name, {"all.zip": zipped({**others, **eml(mails)})}), name)
    same(concluded(name, {"all.tgz": tarred({**others, "box.gz": gzip.compress(mboxrd(mails))}, "gz")}), name)


def test_a_later_view_in_the_same_archive_is_asked_about() -> None:
    """It holds what was issued since: mixed in, that would not look lost."""
    facts, _, others = incident("rich")
    text = others["database/view.txt"].decode("utf-8")
    rows = text.split("\nRow ")
    older = "\nRow ".join(rows[:-4]) + "\n" + f"Maximum Row Index: {len(rows) - 5}\n\n{len(rows) - 5} Rows\n"
    older += "CertUtil: -view command completed successfully.\n"
    with pytest.raises(QuestionError, match="Take it apart"):
        concluded("rich", {"all.zip": zipped({"restored.txt": older.encode(), "today.txt": text.encode()})})
    assert facts.restored is not None


# ------------------------------------------------------------------------------ a certificate and its mail


def test_what_a_certificate_says_wins_over_its_mail_and_settles_its_dates() -> None:
    _, sent, rest = incident("carried")
    told = concluded("carried", {**rest, "mail/inbox.mbox": mboxrd(sent)}, unknown=("time_zone", "date_order"))
    mails = told.notifications[told.notifications["event"] == "issued"]
    carried = mails[mails["certificate_sha256"].notna()]
    carried = carried[~carried["flags"].map(lambda flags: "certificate_not_verified" in flags)]
    others = mails[mails["certificate_sha256"].isna()]
    open_dates = {"zone_from_date_header", "zone_assumed_utc", "date_order_unknown"}
    assert len(carried) > 3
    assert any(open_dates & {*flags} for flags in others["flags"]), "these mails leave no date open"
    for row in carried.to_dict("records"):
        assert not open_dates & {*row["flags"]}
        (certificate,) = told.certificates[
            told.certificates["certificate_sha256"] == row["certificate_sha256"]
        ].to_dict("records")
        for column in ("serial", "thumbprint", "subject", "template", "not_before", "not_after"):
            assert row[column] == certificate[column], column
