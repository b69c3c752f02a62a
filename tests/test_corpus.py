"""Everything real at once: every file of the corpus goes into one case, and nothing is lost without a reason.

The counts were read by eye, file by file, and are pinned for every kind but mails (of which
tests/evidence/test_mail.py tells more): files, units, parsed, irrelevant, duplicate, rejected.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from carecover.case import Case

PINNED = {
    "certificate": (295, 299, 281, 3, 0, 15),
    "crl": (161, 161, 157, 0, 0, 4),
    "ocsp": (14, 14, 11, 0, 0, 3),
    "ldif": (9, 10, 2, 8, 0, 0),
    "dump": (31, 52, 51, 0, 0, 1),
    "events": (24, 1292, 29, 1260, 0, 3),
    "view_text": (15, 42, 37, 4, 0, 1),
    "view_csv": (1, 3, 3, 0, 0, 0),
    "registry": (7, 8, 6, 2, 0, 0),
    "certutil": (42, 42, 0, 0, 0, 42),
}
OF_MAIL = {"mail", "mbox", "msg", "pst", "archive", "unknown"}
# What a reject may be about, and how often, where no mail is concerned.
REASONS = {
    "This is what certutil ": 42,
    "This ESE database is none of a CA": 8,
    "It is not a well-formed X.509 certificate": 8,
    "A serial number must be a positive number": 5,
    "It is not a well-formed X.509 CRL": 4,
    "This is a certificate request (PKCS #10)": 3,
    "This is a PEM file of 'CERTIFICATE REQUEST'": 3,
    "A serial number has at most 40 hex digits": 2,
    "It is not a well-formed OCSP response": 2,
    "A part of the log with all its events cannot be read": 2,
    "The responder answered 'unauthorized'": 1,
    "'00' is no serial number": 1,
    "This is a part of a certutil -view capture": 1,
    "The event cannot be read": 1,
}
FOLDERS = ("certs", "certutil", "edb", "evtx", "exitmail", "ldif")


def test_every_file_of_the_corpus_in_one_case(corpus: Path, tmp_path: Path) -> None:
    case = Case.create(tmp_path / "case", ca="CVI Issuing CA 1", time_zone="Europe/Berlin")
    case.add([corpus])
    files, counts, rejects = case.table("evidence"), case.table("accounting"), case.table("rejects")
    on_disk = [path for path in corpus.rglob("*") if path.is_file()]
    assert len(files) == len(counts) == len(on_disk), "every file is one row of evidence, and one account"
    assert set(files["kind"]) == {*PINNED, *OF_MAIL}
    parts = counts["parsed"] + counts["irrelevant"] + counts["duplicate"] + counts["rejected"]
    assert (counts["units"] == parts).all()
    assert (counts["units"] > 0).all()
    assert len(rejects) == counts["rejected"].sum()
    joined = counts.merge(files[["evidence_id", "kind", "path"]], on="evidence_id")
    columns = ["units", "parsed", "irrelevant", "duplicate", "rejected"]
    for kind, pinned in PINNED.items():
        of_kind = joined[joined["kind"] == kind]
        assert (len(of_kind), *(int(of_kind[column].sum()) for column in columns)) == pinned, kind
    told = rejects.merge(files[["evidence_id", "path"]], on="evidence_id")
    own = told[told["path"].map(lambda path: Path(path).parent.name in FOLDERS)]
    for start, times in REASONS.items():
        assert int(own["reason"].str.startswith(start).sum()) == times, start
    assert rejects["reason"].str.len().min() > 15
    assert rejects["reason"].str.endswith((".", "view.txt")).all()
    assert not rejects["reason"].str.contains("Traceback|Error\\(|ParseError", regex=True).any()
    case.check()
    found = case.table("certificates")
    assert len(found) == PINNED["certificate"][2] + PINNED["ldif"][2]
    assert pd.isna(found["signed_by_ca"]).all() or not found["signed_by_ca"].fillna(value=False).any()
