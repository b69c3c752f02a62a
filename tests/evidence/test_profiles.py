"""Whatever a CA's mails look like: by its registry at once, by a proposal once it is accepted, never by a guess."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.case import Case
from carecover.errors import EvidenceError, UsageError
from carecover.evidence import Context, configured, kind_of, profiles, read, read_mail
from carecover.evidence.wording import MAX_FORMAT_LINES, Line, Profile, Wording, line_of, lines_of
from carecover.model import TABLES, Reading
from carecover.simulator import Scenario, make_incident
from tests.evidence.conftest import check
from tests.evidence.test_mail import HASH, ISSUED, SERIAL, TITLE_ISSUED, make_mail, make_mbox
from tests.evidence.test_x509 import make_certificate

CA = "Corp Issuing CA"
SMTP = r"ExitModules\CertificateAuthority_MicrosoftDefault.Exit\SMTP"
ARGUMENTS = ("Request.RequestID", "SerialNumber", "DistinguishedName", "NotBefore", "NotAfter", "RawCertificate")
# What a mail says; where a row stands differs, and so does what explained it.
COLUMNS = [
    *("event", "ca_name", "request_id", "serial", "requester", "upn", "subject", "template", "not_before", "not_after"),
    *("revoked_at", "reason", "thumbprint", "certificate_sha256"),
]
KNOBS = {"seed": 5, "certificates": 60, "lost": 15, "pending": 4, "denied": 3, "ordinary_mail": 12, "duplicates": 0.2}


def registry(
    title: str = "Neues Zertifikat von %1",
    lines: tuple[str, ...] = ("Nummer: %2", "Antrag: %1", "Name: %3"),
    arguments: tuple[str, ...] | None = ARGUMENTS,
    *,
    key: str = r"Templates\Default\Issued",
    evidence_id: str = "E0001",
    ca_name: str = CA,
) -> pd.DataFrame:
    values: dict[str, tuple[str, ...] | None] = {
        "TitleFormat": (title,),
        "BodyFormat": lines,
        "BodyArg": arguments,
        "TitleArg": ("SanitizedCAName",),
    }
    told = {name: list(value) for name, value in values.items() if value is not None}
    where = {"key": f"{SMTP}\\{key}", "ca_name": ca_name, "evidence_id": evidence_id}
    return TABLES["registry"].frame([{**where, "name": name, "value": value} for name, value in told.items()])


def reading(tmp_path: Path, mail: bytes, *tables: pd.DataFrame) -> Reading:
    path = tmp_path / "one.eml"
    path.write_bytes(mail)
    known = configured(pd.concat(tables, ignore_index=True)) if tables else ()
    found = read(path, Context(time_zone="Europe/Berlin", profiles=known))
    check(found)
    return found


def only(found: Reading) -> Any:
    (_, row), *more = found.tables["notifications"].iterrows()
    assert not more
    return row


# ------------------------------------------------------------------------- the CA's own registry


def test_a_mail_is_read_by_the_format_of_the_registry(tmp_path: Path) -> None:
    body = f"Nummer: {SERIAL}\nAntrag: 0x14 (20)\nName: CN=a\n\nDieser Text ist vertraulich.\n"
    mail = make_mail(f"Neues Zertifikat von {CA}", body)
    row = only(reading(tmp_path, mail, registry()))
    assert (row["event"], row["serial"], row["request_id"], row["subject"]) == ("issued", SERIAL, 20, "CN=a")
    assert (row["ca_name"], row["profile"], row["flags"]) == (CA, "registry", []), "a disclaimer is no ground"
    assert "notifications" not in reading(tmp_path, mail).tables, "without the registry nobody knows it"


@pytest.mark.parametrize("key", ["Issued", r"Templates\Default\Issued", r"templates\DEFAULT\issued"])
def test_both_layouts_of_the_registry_are_known(key: str) -> None:
    (profile,) = configured(registry(key=key))
    assert [wording.event for wording in profile.wordings] == ["issued"]


@pytest.mark.parametrize("key", [r"Templates\Default\Unknown", r"Templates\Issued\More\Deep", "Templates"])
def test_other_keys_word_nothing(key: str) -> None:
    assert configured(registry(key=key)) == ()


def test_a_template_of_its_own_wording_under_the_same_title(tmp_path: Path) -> None:
    other = registry(lines=("Your server: %3", "No. %2", "Order %1"), key=r"Templates\Web\Issued")
    title = f"Neues Zertifikat von {CA}"
    usual = only(reading(tmp_path, make_mail(title, f"Nummer: {SERIAL}\nAntrag: 7\nName: CN=a\n"), registry(), other))
    web = only(reading(tmp_path, make_mail(title, f"Your server: CN=b\nNo. {SERIAL}\nOrder 8\n"), registry(), other))
    assert (usual["profile"], usual["request_id"], usual["subject"]) == ("registry", 7, "CN=a")
    assert (web["profile"], web["request_id"], web["subject"], web["serial"]) == ("registry (Web)", 8, "CN=b", SERIAL)


def test_the_order_of_the_columns_is_the_registry_s_whatever_the_labels_say(tmp_path: Path) -> None:
    shifted = registry(
        "Your certificate has been issued by %1",
        ("Request ID: %1", "Serial Number: %2", "Distinguished Name: %3"),
        ("SerialNumber", "Request.RequestID", "DistinguishedName"),
    )
    mail = make_mail(body=f"Request ID: {SERIAL}\nSerial Number: 20\nDistinguished Name: CN=a\n")
    row = only(reading(tmp_path, mail, shifted))
    assert (row["serial"], row["request_id"], row["profile"]) == (SERIAL, 20, "registry")


def test_values_stand_anywhere_in_a_line_and_on_the_next(tmp_path: Path) -> None:
    known = registry(lines=("Certificate no. %2 (request %1)", "was made for:", "%3", "Use it from %4 until %5."))
    times = "Use it from 11.07.2026 13:06 until 25.07.2027 13:06.\n"
    body = f"Certificate no. {SERIAL} (request 20)\nwas made for:\nCN=a\n{times}This mail is confidential.\n"
    row = only(reading(tmp_path, make_mail(f"Neues Zertifikat von {CA}", body), known))
    assert (row["serial"], row["request_id"], row["subject"]) == (SERIAL, 20, "CN=a")
    assert row["not_before"] == pd.Timestamp("2026-07-11 11:06Z")
    assert row["not_after"] == pd.Timestamp("2027-07-25 11:06Z")


@pytest.mark.parametrize("absent", ["???", "Unavailable", "%2", "%%2", ""])
def test_what_the_exit_module_prints_for_nothing_is_nothing(tmp_path: Path, absent: str) -> None:
    mail = make_mail(f"Neues Zertifikat von {CA}", f"Nummer: {absent}\nAntrag: 20\nName: {absent}\n")
    row = only(reading(tmp_path, mail, registry()))
    assert pd.isna(row["serial"])
    assert pd.isna(row["subject"])
    assert row["flags"] == []


def test_a_place_typed_twice_or_beyond_the_list_holds_no_value() -> None:
    assert line_of("Number: %%2", ("request_id", "serial")) == Line("Number:", (None,), ("",))
    assert line_of("Number: %9", ("request_id", "serial")) == Line("Number:", (None,), ("",))


def test_a_name_cannot_shift_the_values_of_its_line(tmp_path: Path) -> None:
    known = registry(lines=("For %3, number %2, request %1", "Made by the CA"))
    evil = f"For CN=x, number {'66' * 8}, request 666, number {SERIAL}, request 20\n"
    found = reading(tmp_path, make_mail(f"Neues Zertifikat von {CA}", evil), known)
    assert "notifications" not in found.tables
    assert found.accounting.rejected == 1


def test_a_name_cannot_bring_labels_of_its_own(tmp_path: Path) -> None:
    body = f"Nummer: {SERIAL}\nAntrag: 20\nName: CN=x\nNummer: {'66' * 8}\n"
    row = only(reading(tmp_path, make_mail(f"Neues Zertifikat von {CA}", body), registry()))
    assert row["serial"] == SERIAL
    assert "label_repeated" in row["flags"]


@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_a_format_in_html_is_read_as_html_and_as_text(tmp_path: Path, kind: str) -> None:
    lines = ("<table>", "<tr><td>Nummer</td><td>%2</td></tr>", "<tr><td>Antrag</td><td><b>%1</b></td></tr>", "</table>")
    body = f"<table>\n<tr><td>Nummer</td><td>{SERIAL}</td></tr>\n<tr><td>Antrag</td><td><b>20</b></td></tr>\n</table>\n"
    mail = make_mail(f"Neues Zertifikat von {CA}", body, mime=f"Content-Type: {kind}; charset=utf-8\n")
    row = only(reading(tmp_path, mail, registry(lines=lines)))
    assert (row["serial"], row["request_id"]) == (SERIAL, 20)


@pytest.mark.parametrize("before", ["[EXTERNAL] ", "FW: ", "[EXTERN] WG: ", "AW: [EXTERNAL] "])
def test_a_banner_is_no_part_of_a_title(tmp_path: Path, before: str) -> None:
    row = only(reading(tmp_path, make_mail(before + TITLE_ISSUED, ISSUED)))
    assert (row["event"], row["serial"]) == ("issued", SERIAL)
    assert ("forwarded" in row["flags"]) == (":" in before)


def test_a_wording_that_two_cas_share_names_neither() -> None:
    both = pd.concat([registry(), registry(ca_name="Other", evidence_id="E0002")])
    (profile,) = configured(both)
    assert [wording.ca_name for wording in profile.wordings] == [None]
    (profile,) = configured(registry())
    assert [wording.ca_name for wording in profile.wordings] == [CA]


def test_without_its_list_the_columns_of_a_denial_are_not_guessed() -> None:
    assert configured(registry(key="Denied", lines=("Request %1",), arguments=None)) == ()
    (profile,) = configured(registry(lines=("Request %1, number %4",), arguments=None))
    assert profile.wordings[0].columns == ("ca_name", "request_id", "serial")


def test_an_import_is_a_notification_too(tmp_path: Path) -> None:
    row = only(reading(tmp_path, make_mail(f"A certificate was imported on {CA}", ISSUED)))
    assert (row["event"], row["serial"]) == ("imported", SERIAL)


# ------------------------------------------------------------------------------ hostile formats


@given(
    st.lists(st.text("%123 :aé\n.<>\\", max_size=40), max_size=12),
    st.text("%1 :aé\n", max_size=30),
    st.text("%123 :aé\n.<>\\0", max_size=300),
)
@settings(max_examples=150, deadline=None)
def test_no_format_and_no_body_do_harm(formats: list[str], title: str, body: str) -> None:
    found = configured(registry(title, tuple(formats)))
    with profiles.using(found):
        recognised = profiles.recognise(body[:60])
        if recognised:
            profiles.read(recognised, body, None, None)
        profiles.looks_like_notification(body)
    assert profiles.in_use().profiles == ()


def test_a_giant_format_is_cut_and_a_giant_body_is_gone_through_once(tmp_path: Path) -> None:
    assert len(lines_of([f"Line {n}: %1" for n in range(5_000)], ("serial",))) == MAX_FORMAT_LINES
    known = registry(lines=tuple(f"a a a a {'a ' * n}%2" for n in range(100)))
    found = reading(tmp_path, make_mail(f"Neues Zertifikat von {CA}", "a " * 200_000), known)
    assert found.accounting.units == 1


# ------------------------------------------------------------------------------- the certificate


def forms_of(der: bytes) -> Iterator[tuple[str, str]]:
    text = base64.b64encode(der).decode()
    wrapped = "\n".join(textwrap.wrap(text, 64))
    yield "PEM", f"-----BEGIN CERTIFICATE-----\n{wrapped}\n-----END CERTIFICATE-----"
    yield "bare", wrapped
    yield "re-wrapped", "\n".join(textwrap.wrap(text, 37))
    yield "one line", text
    yield "quoted", "\n".join(f"> {line}" for line in textwrap.wrap(text, 60))
    yield "blank lines", wrapped.replace("\n", "\n\n")
    yield "blanks", f"-----BEGIN CERTIFICATE----- {wrapped.replace(chr(10), ' ')} -----END CERTIFICATE-----"


@pytest.mark.parametrize("form", ["PEM", "bare", "re-wrapped", "one line", "quoted", "blank lines", "blanks"])
@pytest.mark.parametrize("label", ["Binary Certificate: ", "", "See here:\n"])
def test_the_certificate_is_found_wherever_and_however_it_stands(tmp_path: Path, form: str, label: str) -> None:
    der = make_certificate()
    probe = only(reading(tmp_path, make_mail(body=f"Request ID: 20\nBinary Certificate: {dict(forms_of(der))['PEM']}")))
    body = f"Request ID: 20\nSerial Number: ???\n\n{label}{dict(forms_of(der))[form]}\nRegards\nThe CA\n"
    found = reading(tmp_path, make_mail(body=body))
    assert only(found)["certificate_sha256"] == probe["certificate_sha256"]
    assert len(found.tables["certificates"]) == 1
    assert not [flag for flag in only(found)["flags"] if "certificate" in flag]


def attached(data: bytes, kind: str) -> bytes:
    parts = (
        'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\n{body}\n'
        "--b\nContent-Type: {kind}; name=c.cer\nContent-Disposition: attachment; filename=c.cer\n"
        "Content-Transfer-Encoding: base64\n\n{data}\n--b--\n"
    )
    body = "Request ID: 20\nSerial Number: ???"
    made = parts.format(body=body, kind=kind, data=base64.encodebytes(data).decode())
    return make_mail(mime=made, body="")


@pytest.mark.parametrize("kind", ["application/pkix-cert", "application/octet-stream", "application/x-x509-ca-cert"])
def test_an_attached_certificate_is_found(tmp_path: Path, kind: str) -> None:
    der = make_certificate()
    assert len(reading(tmp_path, attached(der, kind)).tables["certificates"]) == 1
    pem = dict(forms_of(der))["PEM"].encode()
    assert len(reading(tmp_path, attached(pem, kind)).tables["certificates"]) == 1


def test_a_certificate_of_somebody_else_in_a_footer_says_nothing(tmp_path: Path) -> None:
    found = reading(tmp_path, make_mail(body=f"{ISSUED}\n\n{dict(forms_of(make_certificate()))['PEM']}\n"))
    assert "certificates" not in found.tables
    assert pd.isna(only(found)["certificate_sha256"])
    assert not [flag for flag in only(found)["flags"] if "certificate" in flag]


# --------------------------------------------------------- one incident, worded in different ways


def make_case(tmp_path: Path, name: str, **knobs: object) -> Case:
    place = tmp_path / name
    incident = make_incident(Scenario(**{**KNOBS, **knobs}))  # type: ignore[arg-type]
    incident.write(place)
    facts: dict[str, Any] = {key: value for key, value in incident.facts.to_json().items() if value is not None}
    case = Case.create(tmp_path / f"{name}-case", **facts)
    case.add([place / "evidence"])
    return case


def said(case: Case, *, but: tuple[str, ...] = ()) -> pd.DataFrame:
    """What the CA's mails say, each as text, in one order."""
    mails = case.table("notifications")
    mails = mails[~mails["event"].isin(but)][COLUMNS]
    # There is no key for a certificate that is fetched: it is mailed by the format of Issued.
    mails = mails.assign(event=mails["event"].replace("retrieve_pending", "issued")).astype(object)
    return mails.where(mails.notna(), "-").astype(str).sort_values(COLUMNS).reset_index(drop=True)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("sample"), "sample")


@pytest.mark.parametrize("wording", ["english", "german", "html", "override"])
def test_one_incident_in_the_wording_of_a_registry_says_the_same(tmp_path: Path, sample: Case, wording: str) -> None:
    locale = "de-DE" if wording in ("german", "html") else "en-US"
    case = make_case(tmp_path, wording, mail_wording=wording, registry=True, date_locale=locale)
    pd.testing.assert_frame_equal(said(case), said(sample))
    assert not len(case.table("rejects"))
    used = case.table("profiles")
    assert (
        used.loc[used["origin"] == "registry", "mails"].sum()
        > 9 * used.loc[used["origin"] == "built_in", "mails"].sum() / 2
    )
    assert used["mails"].sum() == len(case.table("notifications"))
    assert list(case.findings["serial"].dropna().sort_values()) == list(
        sample.findings["serial"].dropna().sort_values()
    )


def test_an_unknown_wording_counts_once_a_person_accepts_it(tmp_path: Path, sample: Case) -> None:
    case = make_case(tmp_path, "unknown", mail_wording="german", date_locale="de-DE")
    assert set(case.table("notifications")["event"]) == {"startup", "shutdown"}
    seen = case.profile()
    proposed = seen[seen["origin"] == "proposed"]
    assert list(proposed["event"]) == ["issued", "revoked", "pending", "denied"]
    assert (proposed["agreeing"] > 0).all()
    assert all("event issued" in example for example in proposed["examples"].iloc[0])
    assert set(case.table("notifications")["event"]) == {"startup", "shutdown"}, "a proposal counts for nothing"

    case.profile(accept=list(proposed["profile_id"]), by="Ana Beck")
    # A new list is told by a title alone: there is nothing in such a mail to learn from.
    pd.testing.assert_frame_equal(said(case), said(sample, but=("crl_issued",)))
    assert case.check() == []
    again = Case.open(case.path)
    pd.testing.assert_frame_equal(said(again), said(case))

    case.profile(withdraw=list(proposed["profile_id"]), by="Ana Beck")
    assert set(case.table("notifications")["event"]) == {"startup", "shutdown"}
    with pytest.raises(UsageError, match="no wording that was accepted"):
        case.profile(withdraw=["0123456789"], by="Ana Beck")
    with pytest.raises(UsageError, match="no wording that is proposed"):
        case.profile(accept=["\x1b[31m"], by="Ana Beck")
    with pytest.raises(UsageError, match="name"):
        case.profile(accept=["0123456789"])


def test_a_forged_flood_is_never_proposed_above_the_true_wording(tmp_path: Path) -> None:
    case = make_case(tmp_path, "flood", mail_wording="german", date_locale="de-DE")
    public = case.table("ca_rows")["serial"].dropna().head(3)
    mails = [
        make_mail(f"Revocation {n}", f"Certificate: {serial}\nDigest: {HASH}\nOwner: CN=victim{n}\n", number=n)
        for n, serial in enumerate([*public, *(f"{n:016x}" for n in range(1 << 56, (1 << 56) + 300))])
    ]
    (tmp_path / "flood.mbox").write_bytes(make_mbox(*mails))
    before = case.profile()
    case.add([tmp_path / "flood.mbox"])
    after = case.profile()
    true = list(before.loc[before["origin"] == "proposed", "profile_id"])
    assert list(after.loc[after["origin"] == "proposed", "profile_id"])[: len(true)] == true
    flood = after[after["title"].str.startswith("Revocation")]
    assert (flood["agreeing"] == 0).all(), "serial numbers are public; what else the rows hold is not in these mails"


def test_a_forged_mail_in_the_wording_of_the_registry_counts_no_more_than_one_in_the_sample(tmp_path: Path) -> None:
    knobs: dict[str, object] = {"forged_revoked": 6, "perfect_revoked": 2, "forged_issued": 4}
    plain = make_case(tmp_path, "plain", **knobs)
    own = make_case(tmp_path, "own", mail_wording="german", registry=True, **knobs)
    told = ["kind", "serial", "confidence", "suggested_action", "suggested_reason"]

    def findings(case: Case) -> list[tuple[str, ...]]:
        return sorted(tuple(map(str, row)) for row in case.findings[told].to_numpy())

    assert findings(own) == findings(plain)


def test_a_wording_is_the_same_in_the_journal() -> None:
    wording = Wording("issued", line_of("x %1", ("ca_name",)), lines_of(["No. %1, %2"], ("serial", None)), ("serial",))
    assert Wording.from_json(wording.to_json()) == wording
    with pytest.raises(ValueError, match="exploded"):
        Wording.from_json({**wording.to_json(), "event": "exploded"})
    assert Profile("a", (wording,)).origin == "built_in"


def test_who_wants_one_table_hands_the_registry_in_beside_the_mails(tmp_path: Path) -> None:
    make_case(tmp_path, "german", mail_wording="german", registry=True, date_locale="de-DE")
    files = [p for p in (tmp_path / "german" / "evidence").rglob("*") if p.is_file()]
    box = next(p for p in files if kind_of(p) == "mbox")
    (export,) = (p for p in files if kind_of(p) == "registry")
    alone, with_it = read_mail(box), read_mail(box, registry=export)
    assert len(with_it) > 2 * len(alone)
    assert "registry" in set(with_it["profile"])
    with pytest.raises(EvidenceError, match="is not an export of the registry"):
        read_mail(box, registry=box)
