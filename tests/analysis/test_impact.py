"""What a revocation would hit: who and what, and how far a list grows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from carecover.analysis import make_impact, make_owners
from carecover.analysis.impact import LARGE_CRL, MAX_ITEMS, blast_radius, is_infrastructure, replace_first
from carecover.model import TABLES

CUT = datetime(2026, 3, 1, tzinfo=UTC)
LATER = CUT + timedelta(days=100)
CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
SERVER = "1.3.6.1.5.5.7.3.1"
CLIENT = "1.3.6.1.5.5.7.3.2"


def certificate(*eku: str, is_ca: bool = False) -> dict[str, Any]:
    return {"eku": list(eku), "is_ca": is_ca}


def found(*rows: dict[str, Any]) -> pd.DataFrame:
    """Findings that say what the test is about; each gets a serial number of its own."""
    base = {"kind": "orphaned", "ca_key_index": 0, "not_after": LATER, "infrastructure": False, "replace_first": False}
    return TABLES["findings"].frame(
        [
            {**base, "serial": f"44{number:08x}", "finding_id": f"orphaned-44{number:08x}", **row}
            for number, row in enumerate(rows)
        ]
    )


def counted(table: pd.DataFrame, aspect: str) -> dict[str | None, str]:
    rows = table[table["aspect"] == aspect]
    return {None if pd.isna(item) else item: figure for item, figure in zip(rows["item"], rows["figure"], strict=True)}


def impact(findings: pd.DataFrame, **more: Any) -> pd.DataFrame:
    empty = {"crls": TABLES["crls"].empty(), "crl_entries": TABLES["crl_entries"].empty(), "cut": CUT}
    return make_impact(findings, **{**empty, **more})


# ------------------------------------------------------------------------- one certificate


@pytest.mark.parametrize(
    ("template", "held", "stops"),
    [
        ("WebServer", None, True),
        ("Contoso Web-Server v2", None, True),
        ("Machine", None, True),
        (None, certificate(SERVER), True),
        ("User", certificate(CLIENT, SERVER), True),
        ("User", certificate(CLIENT), False),
        ("CodeSigning", certificate(CODE_SIGNING), False),
        (None, None, False),
    ],
)
def test_what_serves_is_replaced_first(template: str | None, held: dict[str, Any] | None, stops: bool) -> None:
    assert replace_first(template, held, LATER, CUT, infrastructure=False) is stops


def test_infrastructure_is_always_replaced_first_while_it_is_valid() -> None:
    assert is_infrastructure("Kerberos Authentication", None)
    assert is_infrastructure(None, certificate(is_ca=True))
    assert replace_first("User", None, LATER, CUT, infrastructure=True)
    assert not replace_first("WebServer", None, CUT, CUT, infrastructure=True), "it ended at the cut"
    assert replace_first("WebServer", None, None, CUT, infrastructure=False), "an unknown end is still to come"
    assert not replace_first("WebServer", None, LATER, CUT, infrastructure=True, revoked=True)


def test_the_words_say_what_to_do() -> None:
    told = blast_radius("WebServer", "CN=www", LATER, infrastructure=False, replace=True)
    assert told.endswith("A computer may serve with it: replace it before you revoke it.")
    assert "Replace it before" in blast_radius("CA", None, None, infrastructure=True, replace=True)
    assert "Replace" not in blast_radius("User", "CN=x", LATER, infrastructure=False)


def test_what_had_expired_or_is_on_hold_is_not_said_to_be_hit() -> None:
    over = blast_radius("CA", "CN=old", CUT, infrastructure=True, cut=CUT)
    assert "nobody accepts it any more" in over
    assert "eplace" not in over
    held = blast_radius("WebServer", "CN=www", LATER, infrastructure=False, held=True)
    assert held.startswith("It is on hold, so nobody accepts it now")
    assert "taken off hold" in held
    assert "Revoking hits" not in held


# --------------------------------------------------------------------------------- owners


def test_owners_are_one_row_a_requester_the_most_urgent_first() -> None:
    table = make_owners(
        found(
            {"requester": "CORP\\alice", "template": "User", "subject": "CN=Alice", "suggested_action": "restore"},
            {"requester": None, "template": "User"},
            {"requester": "corp\\ALICE", "template": "User", "not_after": LATER + timedelta(days=1)},
            {
                "requester": "CORP\\WEB01$",
                "infrastructure": True,
                "replace_first": True,
                "suggested_action": "revoke",
                "suggested_reason": 1,
            },
            {"requester": "CORP\\bob", "kind": "lost_pending", "serial": None},
        )
    )
    assert table["requester"].fillna("?").tolist() == ["CORP\\WEB01$", "CORP\\alice", "?"]
    assert table["account"].fillna("?").tolist() == ["machine", "user", "?"]
    assert table["certificates"].tolist() == [1, 2, 1]
    machine, alice, unknown = table.to_dict("records")
    assert (machine["infrastructure"], machine["replace_first"]) == (1, 1)
    assert machine["suggested"] == ["revoke (1 Key Compromise)"]
    assert (alice["templates"], alice["subjects"], alice["suggested"]) == (["User"], ["CN=Alice"], ["restore"])
    assert alice["serials"] == ["4400000000", "4400000002"]
    assert alice["last_not_after"] == LATER + timedelta(days=1)
    assert unknown["suggested"] == []


@given(st.lists(st.tuples(st.sampled_from([None, "a\\x", "A\\X", "b\\y$", ""]), st.booleans()), max_size=12))
def test_no_certificate_is_lost_or_counted_twice(rows: list[tuple[str | None, bool]]) -> None:
    findings = found(*({"requester": name, "replace_first": flag} for name, flag in rows))
    table = make_owners(findings)
    assert table["certificates"].sum() == len(rows)
    assert table["replace_first"].sum() == sum(flag for _, flag in rows)
    assert sorted(s for serials in table["serials"] for s in serials) == sorted(findings["serial"])


def test_hostile_names_are_data() -> None:
    names = ["=cmd|' /C calc'!A0", "<script>", "\x1b[31m", "x" * 5000, "\udcff".encode("utf-8", "replace").decode()]
    findings = found(*({"requester": name, "subject": name, "template": name} for name in names))
    assert sorted(make_owners(findings)["requester"]) == sorted(names)
    assert len(counted(impact(findings), "template")) == len(names)


# --------------------------------------------------------------------------------- impact


def test_nothing_found_hits_nothing() -> None:
    assert impact(TABLES["findings"].empty()).empty
    assert make_owners(TABLES["findings"].empty()).empty


def test_every_certificate_is_in_one_bucket_of_validity() -> None:
    ends = [
        datetime.min.replace(tzinfo=UTC),
        CUT,
        CUT + timedelta(seconds=1),
        CUT + timedelta(days=30),
        CUT + timedelta(days=31),
        CUT + timedelta(days=365),
        datetime(9999, 12, 31, tzinfo=UTC),
        None,
    ]
    assert counted(impact(found(*({"not_after": end} for end in ends))), "validity left") == {
        "expired": "2 certificates",
        "up to 30 days": "2 certificates",
        "up to 90 days": "1 certificate",
        "up to a year": "1 certificate",
        "more than a year": "1 certificate",
        "unknown": "1 certificate",
    }


def test_without_a_restore_time_validity_left_is_not_made_up() -> None:
    told = impact(found({}, {"not_after": None}), cut=None)
    assert counted(told, "validity left") == {"not counted": "1 certificate", "unknown": "1 certificate"}
    assert "not expired" not in " ".join(told["figure"])


def test_templates_beyond_the_bound_are_counted_together() -> None:
    told = counted(
        impact(found(*({"template": f"T{n}"} for n in range(MAX_ITEMS + 7)), {"template": "T0"})), "template"
    )
    assert len(told) == MAX_ITEMS + 1
    assert told["T0"] == "2 certificates, 2 not expired by the restore"
    assert told["all others"] == "7 certificates of 7 templates"


def test_machines_and_people_are_told_apart() -> None:
    told = impact(found({"requester": "C\\PC$"}, {"requester": "C\\bob"}, {"requester": "c\\BOB"}, {}))
    assert counted(told, "requester") == {
        "machine": "1 certificate of 1 requester",
        "user": "2 certificates of 1 requester",
        "unknown": "1 certificate",
    }


def test_code_signing_is_told_by_the_certificate_or_by_the_template() -> None:
    certificates = TABLES["certificates"].frame(
        [{"certificate_sha256": "a" * 64, "eku": [CODE_SIGNING]}, {"certificate_sha256": "b" * 64, "eku": [CLIENT]}]
    )
    findings = found(
        {"original_sha256": "a" * 64},
        {"original_sha256": "b" * 64},
        {"template": "Contoso Code Signing"},
        {},
    )
    told = counted(impact(findings, certificates=certificates), "use")
    assert told == {"code signing": "2 certificates", "unknown": "1 certificate"}


def test_a_new_date_is_told_with_what_it_means_for_a_stolen_key() -> None:
    old = CUT - timedelta(days=3)
    findings = found(
        {"original_revoked_at": old, "original_reason": 1},
        {"original_revoked_at": old, "original_reason": 4},
        {"original_reason": -1, "original_revoked_at": old},
    )
    told = impact(findings)
    assert counted(told, "revocation date") == {"set anew": "2 certificates"}
    assert "For 1 the key was compromised" in " ".join(told["why"])


# ------------------------------------------------------------------------ growth of the CRL


def crl(serials: list[str], number: int = 7) -> bytes:
    """A list as a CA signs it, one entry with reason 1 for each."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corp Issuing CA")]))
        .last_update(CUT)
        .next_update(LATER)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(int(serial, 16))
            .revocation_date(CUT)
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
            .build()
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def listed(serials: list[str], der: bytes | None = None, **more: Any) -> dict[str, pd.DataFrame]:
    row = {"crl_sha256": "c" * 64, "crl_number": "7", "signed_by_ca": True, "is_delta": False, "ca_version": 0}
    return {
        "crls": TABLES["crls"].frame([{**row, "der": der, **more}]),
        "crl_entries": TABLES["crl_entries"].frame(
            [{"crl_sha256": "c" * 64, "serial": s, "reason": 1} for s in serials]
        ),
    }


def test_the_growth_is_what_a_real_list_grows_by() -> None:
    old = [f"58{n:036x}" for n in range(40)]
    new = [f"44{n:036x}" for n in range(30)] + [f"f4{n:036x}" for n in range(30)]
    findings = found(*({"serial": serial} for serial in new), {"serial": old[0]})
    (figure,) = counted(impact(findings, **listed(old, crl(old))), "CRL").values()
    before, after = crl(old), crl(old + new)
    assert figure.startswith("40 entries,")
    assert "at most 100 entries" in figure
    now, then = (int(part.split(" bytes")[0].rsplit(" ", 1)[-1].replace(",", "")) for part in figure.split("→"))
    assert now == pytest.approx(len(before), abs=2), "a signature differs by a byte or two from time to time"
    assert then == pytest.approx(len(after), abs=8), "so do the lengths that surround the entries"


def test_what_is_kept_does_not_grow_the_list() -> None:
    decisions = TABLES["decisions"].frame(
        [
            {"finding_id": "orphaned-4400000000", "action": "revoke", "reason": 1},
            {"finding_id": "orphaned-4400000000", "action": "leave"},
            {"finding_id": "orphaned-4400000001", "action": "revoke", "reason": 1},
        ]
    )
    told = counted(impact(found({}, {}, {}), decisions=decisions, **listed([])), "CRL")
    assert "at most 2 entries" in told["key 0"]


def test_each_key_has_its_own_list() -> None:
    told = counted(impact(found({}, {"ca_key_index": 1}, {"ca_key_index": None}), **listed(["11"])), "CRL")
    assert told["key 0"].startswith("1 entry, ")
    assert told["key 1"].startswith("at most 1 entry")
    assert told["key unknown"].startswith("at most 1 entry")


@pytest.mark.parametrize(
    "change",
    [
        {"signed_by_ca": False},
        {"signed_by_ca": None},
        {"is_delta": True},
        {"crl_number": None},
        {"crl_number": "9" * 5000},
        {"scope": ["user_certificates"]},
        {"ca_version": 0x10001},
    ],
)
def test_a_list_that_is_not_the_whole_list_of_the_key_is_not_counted(change: dict[str, Any]) -> None:
    assert counted(impact(found({}), **listed(["11"], **change)), "CRL")["key 0"].startswith("at most 1 entry")


def test_a_list_too_large_for_clients_is_warned_of() -> None:
    small = impact(found({}), **listed(["11"], b"x" * 1000))
    large = impact(found({}), **listed(["11"], b"x" * LARGE_CRL))
    assert "OSSL_HTTP_DEFAULT_MAX_CRL_LEN" not in " ".join(small["why"])
    assert "OSSL_HTTP_DEFAULT_MAX_CRL_LEN" in " ".join(large["why"])
