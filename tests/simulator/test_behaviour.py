"""What only a switch or a fault does: each is seen once, from certutil's side and in the database."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.errors import PathError, RunError, UsageError
from carecover.model import Disposition, SerialNumber
from carecover.simulator import Behaviour, Faults, SimulatedCA, SimulatedHost
from carecover.simulator import behaviour as known
from carecover.simulator.authority import der, thumbprint
from carecover.simulator.behaviour import EVERYTHING, ROLES
from carecover.simulator.ca import HangError
from carecover.simulator.publishing import MAX_MISSED
from carecover.simulator.windows import Folder, whoami
from tests.simulator.test_ca import Desk, a_row, incident, lost

MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> MakeDesk:
    """Makes a desk with the restored CA of the incident, in a folder of its own."""
    numbers = iter(range(1000))

    def make(behaviour: Behaviour | None = None, **given: object) -> Desk:
        ca = SimulatedCA.from_state(incident().restored, behaviour=behaviour, **given)  # type: ignore[arg-type]
        place = tmp_path / str(next(numbers))
        place.mkdir()
        return Desk(place, ca)

    return make


def signer(place: Desk) -> str:
    return str(place.ca.stand_in_certificates.iloc[-1]["serial"])


def number_of(data: bytes) -> int:
    value = x509.load_der_x509_crl(data).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert isinstance(value, int)
    return value


def first_number() -> int:
    return incident().restored.crl_number + 1


# ------------------------------------------------------------------------------- signing again


def sign_again(place: Desk) -> tuple[x509.Certificate, x509.Certificate]:
    serial, _ = lost(0)
    place.text("-Cert", signer(place), "-sign", serial, "one.cer")
    place.text("-Cert", signer(place), "-sign", "one.cer", "two.cer", "now+30:05")
    both = [x509.load_der_x509_certificate((place.directory / name).read_bytes()) for name in ("one.cer", "two.cer")]
    return both[0], both[1]


def test_a_file_that_is_signed_again_keeps_its_serial_number_and_lives_as_long_as_asked(desk: MakeDesk) -> None:
    place = desk(Behaviour(dummy_validity=timedelta(hours=1)))
    one, two = sign_again(place)
    assert one.serial_number == two.serial_number
    assert two.not_valid_after_utc - place.ca.now == timedelta(days=30, hours=5)
    assert one.not_valid_after_utc < two.not_valid_after_utc


def test_whether_it_does_so_is_a_switch(desk: MakeDesk) -> None:
    one, two = sign_again(desk(Behaviour(resign_validity="ignored")))
    assert one.not_valid_after_utc == two.not_valid_after_utc
    one, two = sign_again(desk(Behaviour(resign_serial="new")))
    assert one.serial_number != two.serial_number
    place = desk(Behaviour(resign_validity="refused"))
    place.text("-Cert", signer(place), "-sign", "5a01", "one.cer")
    assert place.code("-Cert", signer(place), "-sign", "one.cer", "two.cer", "now+1:00") == known.INVALID_PARAMETER
    assert not (place.directory / "two.cer").exists()


def test_with_a_serial_number_a_validity_is_refused_and_a_file_must_be_there(desk: MakeDesk) -> None:
    place = desk()
    assert place.code("-Cert", signer(place), "-sign", "5a01", "a.cer", "now+1:00") == known.INVALID_PARAMETER
    assert place.code("-Cert", signer(place), "-sign", "no.cer", "a.cer", "now+1:00") == known.FILE_NOT_FOUND
    place = desk(Behaviour(silent_signs=False))
    assert place.code("-silent", "-Cert", signer(place), "-sign", "5a01", "a.cer") == known.SILENT_CONTEXT
    assert not list(place.directory.iterdir())


# ---------------------------------------------------------------------------------- the import


def imported(place: Desk, index: int = 0) -> str:
    serial, data = lost(index)
    (place.directory / f"{serial}.cer").write_bytes(data)
    place.text("-importcert", f"{serial}.cer")
    return serial


def test_what_an_imported_row_is_like_is_a_switch(desk: MakeDesk) -> None:
    newest = incident().restored.next_request_id - 1
    place = desk()
    row = place.row(imported(place))
    assert (row["disposition"], row["request_id"]) == (20, newest + 1)
    place = desk(Behaviour(imported_disposition=Disposition.FOREIGN, imported_hash="none", request_ids_skipped=40))
    row = place.row(imported(place))
    assert (row["disposition"], row["request_id"]) == (12, newest + 41)
    assert row[["thumbprint"]].isna().all()
    assert place.row(imported(place, 1))["request_id"] == newest + 42
    place = desk(Behaviour(imported_hash="other"))
    assert place.row(imported(place))["thumbprint"] not in (None, thumbprint(lost(0)[1]))


def test_mails_are_counted_as_far_as_eventfilter_lets_them(desk: MakeDesk) -> None:
    def act(place: Desk) -> Desk:
        serial = imported(place)
        place.text("-revoke", serial, "6")
        place.text("-revoke", serial, "-1")
        place.text("-crl")
        return place

    assert act(desk()).ca.mails == {
        "EXITEVENT_CERTIMPORTED": 1,
        "EXITEVENT_CERTREVOKED": 2,
        "EXITEVENT_CRLISSUED": 1,
    }
    assert "EXITEVENT_CERTIMPORTED" not in act(desk(Behaviour(import_mails=False))).ca.mails
    place = desk()
    place.ca.hive = place.ca.hive.having("exit\\smtp", EventFilter=0x20)
    assert act(place).ca.mails == {"EXITEVENT_CRLISSUED": 1}


# ------------------------------------------------------------------------ revoking and releasing


def test_what_is_left_of_a_reason_is_a_switch(desk: MakeDesk) -> None:
    serial = a_row(20)
    place = desk(Behaviour(reason_zero="empty"))
    place.text("-revoke", serial, "0")
    assert place.state(serial) == (21, None)
    for release, state in (("clears", (20, None)), ("keeps reason", (20, 6)), ("keeps row", (21, 8))):
        place = desk(replace(Behaviour(), release=release))  # type: ignore[arg-type]
        place.text("-revoke", serial, "6")
        place.text("-revoke", serial, "-1")
        place.text("-crl")
        assert place.state(serial) == state
        assert place.crl().get_revoked_certificate_by_serial_number(int(serial, 16)) is None


# ------------------------------------------------------------------------------------ questions


@pytest.mark.parametrize(("repeated", "hits"), [("and", True), ("first", True), ("last", False), ("refused", None)])
def test_a_column_that_is_restricted_twice(desk: MakeDesk, repeated: str, hits: bool | None) -> None:
    place = desk(replace(Behaviour(), repeated_column=repeated))  # type: ignore[arg-type]
    serial = a_row(20)
    restriction = f"SerialNumber={serial},Request.Disposition>=20,Request.Disposition"
    arguments = ("-out", "SerialNumber")
    if hits is None:
        assert place.code("-view", "-restrict", f"{restriction}<=20", *arguments) == known.INVALID_PARAMETER
    else:
        assert serial in place.text("-view", "-restrict", f"{restriction}<=20", *arguments)
        assert (serial in place.text("-view", "-restrict", f"{restriction}<=9", *arguments)) is (repeated == "first")
        assert (serial in place.text("-view", "-restrict", f"{restriction}>=21", *arguments)) is (repeated == "first")


def test_disposition_without_its_table_may_be_unknown(desk: MakeDesk) -> None:
    place = desk(Behaviour(short_disposition=False))
    assert place.code("-view", "-restrict", "Disposition=20", "-out", "RequestID") == known.INVALID_PARAMETER
    assert "1 Rows" in place.text("-view", "-restrict", "RequestID=2,Request.Disposition>=1", "-out", "RequestID")


def test_hashes_and_ca_certificates_have_another_form(desk: MakeDesk) -> None:
    place = desk(Behaviour(hash_upper=True, ca_cert_form="base64"))
    place.text("-ca.cert", "ca.cer")
    text = (place.directory / "ca.cer").read_bytes()
    assert text.startswith(b"-----BEGIN CERTIFICATE-----")
    assert re.search("^[0-9A-F]{64}$", place.text("-hashfile", "ca.cer", "SHA256"), re.MULTILINE)


# ------------------------------------------------------------------------------------- the CRLs


def test_the_service_publishes_by_itself_between_two_calls_what_is_so_at_that_moment(desk: MakeDesk) -> None:
    serial, other = a_row(20), a_row(21)
    place = desk(Behaviour(publishes_by_timer=timedelta(seconds=3)))
    place.text("-ping")
    assert place.ca.crls == {}
    place.text("-revoke", serial, "1")
    place.text("-ping")
    crl, start = place.crl(), incident().restored.exported_at
    assert crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
    assert crl.get_revoked_certificate_by_serial_number(int(other, 16)) is not None
    assert crl.last_update_utc == start + timedelta(seconds=3) - timedelta(minutes=10)
    assert number_of(place.ca.crls[0]) == first_number()
    # Its moment is before the call in which it is seen: what that call does is not on it.
    place.text("-ping")
    place.text("-ping")
    place.text("-revoke", other, "-1" if place.state(other) == (21, 6) else "1")
    assert number_of(place.ca.crls[0]) == first_number() + 1
    assert place.ca.mails["EXITEVENT_CRLISSUED"] == 2


@pytest.mark.parametrize(("deltas", "step"), [("none", 1), ("same number", 1), ("own number", 2)])
def test_what_a_delta_does_to_the_number(desk: MakeDesk, deltas: str, step: int) -> None:
    place = desk(replace(Behaviour(), delta_crls=deltas))  # type: ignore[arg-type]
    place.text("-crl")
    place.text("-crl")
    assert number_of(place.ca.crls[0]) == first_number() + step
    restriction = ("-view", "-restrict", f"CRLNumber>{first_number() + step - 1}", "-out", "CRLNumber", "CRL")
    assert f"{1 if deltas == 'none' else 2} Rows" in place.text(*restriction)
    if deltas == "none":
        assert place.code("-getcrl", "d.crl", "0", "delta") == known.FILE_NOT_FOUND
    else:
        place.text("-getcrl", "d.crl", "0", "delta")
        delta = x509.load_der_x509_crl((place.directory / "d.crl").read_bytes())
        base = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
        assert base == first_number() + step
        assert number_of((place.directory / "d.crl").read_bytes()) == base + (deltas == "own number")
        assert "CRLDeltaPeriodUnits REG_DWORD = 1" in place.text("-getreg", "CA\\CRLDeltaPeriodUnits")


def test_expired_serial_numbers_stay_where_the_flag_says_so(desk: MakeDesk) -> None:
    serial = a_row(20)
    for flags, kept in ((2, False), (0x202, True)):
        place = desk()
        place.ca.hive = place.ca.hive.having("", CRLFlags=flags)
        place.text("-revoke", serial, "1")
        place.text("-crl")
        place.ca.now += timedelta(days=4000)
        place.text("-crl")
        place.text("-crl")
        found = place.crl().get_revoked_certificate_by_serial_number(int(serial, 16))
        assert (found is not None) is kept


def test_a_publication_that_reaches_one_place_only(desk: MakeDesk) -> None:
    place = desk()
    place.text("-crl")
    place.ca.faults = Faults(unpublished=known.DS_OBJ_NOT_FOUND)
    assert place.code("-crl") == 0x8007208D
    assert number_of(place.ca.crls[0]) == first_number() + 1
    assert number_of(place.ca.crls_elsewhere[0]) == first_number()
    place.text("-getcrl", "new.crl", "0")
    assert number_of((place.directory / "new.crl").read_bytes()) == first_number() + 1


# --------------------------------------------------------------------------- rights and accounts


def test_accounts_of_one_role_do_what_their_role_may(desk: MakeDesk) -> None:
    serial = a_row(20)
    calls: dict[str, tuple[str, ...]] = {
        "key": ("-Cert", "5a", "-sign", "5a01", "d.cer"),
        "officer": ("-revoke", serial, "6"),
        "manager": ("-crl",),
        "backup": ("-backupDB", "b", "KeepLog"),
    }
    for separated in (None, 1):
        for role, rights in ROLES.items():
            place = desk(rights=rights)
            place.ca.hive = place.ca.hive.having("", RoleSeparationEnabled=separated)
            for needed, arguments in calls.items():
                denied = place.code(*arguments) == known.ACCESS_DENIED
                assert denied is (needed != role), (role, needed)
            place.text("-view", "-restrict", "RequestID=2", "-out", "RequestID")


def test_with_role_separation_an_account_of_two_roles_may_do_nothing(desk: MakeDesk) -> None:
    place = desk(Behaviour(access_denied=known.INVALID_DATA))
    place.ca.hive = place.ca.hive.having("", RoleSeparationEnabled=1)
    for arguments in (("-crl",), ("-revoke", a_row(20), "1"), ("-view", "-restrict", "RequestID=2")):
        assert place.code(*arguments) == known.ROLE_CONFLICT
    place.ca.rights = EVERYTHING - {"manager", "backup", "key"}
    assert place.code("-crl") == known.INVALID_DATA
    place.text("-revoke", a_row(20), "1")


def test_a_restricted_officer_is_denied_one_template(desk: MakeDesk) -> None:
    rows = [row for row in incident().restored.rows if row.disposition is Disposition.ISSUED and row.template]
    serials = {row.template.name: str(row.serial) for row in rows if row.template}
    (denied, one), (_, other), *_ = serials.items()
    place = desk(faults=Faults(denied_templates=frozenset({denied})))
    answer = place.call("-revoke", one, "4")
    assert answer.exit_code == known.signed(0x80094009)
    assert b'Revoking "' in answer.output
    assert b"CERTSRV_E_RESTRICTEDOFFICER" in answer.output
    assert place.state(one) == (20, None)
    place.text("-revoke", other, "4")


def test_whoami_tells_a_filtered_administrator_from_a_plain_user(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    def groups(*, elevated: bool, administrator: bool) -> bytes:
        return whoami(elevated=elevated, administrator=administrator)(["/groups"], folder).output

    full, filtered = groups(elevated=True, administrator=True), groups(elevated=False, administrator=True)
    assert b"S-1-5-32-544" in full
    assert b"S-1-16-12288" in full
    assert b"S-1-5-32-544 Group used for deny only" in filtered
    assert b"S-1-16-8192" in filtered
    assert b"S-1-5-32-544" not in groups(elevated=False, administrator=False)


def test_a_cluster_is_seen_in_the_registry(tmp_path: Path) -> None:
    ca, folder = SimulatedCA.from_state(incident().restored), Folder(tmp_path)
    for cluster, code in ((True, 0), (False, 1)):
        reg = SimulatedHost(ca, cluster=cluster).programs["reg.exe"]
        assert reg(["query", "HKLM\\Cluster"], folder).exit_code == code
        assert reg(["query", "HKLM\\Software"], folder).exit_code == 1


# ---------------------------------------------------------------------------------- the backup


def test_a_backup_makes_its_folder_and_refuses_one_that_holds_something(desk: MakeDesk) -> None:
    place = desk()
    text = place.text("-backupDB", "backup", "KeepLog")
    assert "Full database backup for " in text
    assert "Truncating" not in text
    names = sorted(path.name for path in (place.directory / "backup" / "DataBase").iterdir())
    assert names == ["Example Issuing CA 1.edb", "certbkxp.dat", "edb00001.log"]
    assert place.code("-backupDB", "backup") == known.DIRECTORY_NOT_EMPTY
    assert "Database logs successfully truncated." in place.text("-backupDB", "other")
    assert desk(rights=ROLES["manager"]).code("-backupDB", "backup") == known.ACCESS_DENIED
    (place.directory / "file").write_bytes(b"")
    assert place.code("-backupDB", "file") == known.INVALID_PARAMETER


# ------------------------------------------------------------------------------------- faults


def test_a_database_that_goes_down_fails_every_verb_that_asks_it_until_it_is_mended(desk: MakeDesk) -> None:
    place = desk(faults=Faults(down_from=2))
    place.text("-ping")
    answer = place.call("-ping")
    assert b"Server could not be reached: The RPC server is unavailable. 0x800706ba (WIN32: 1722 " in answer.output
    for arguments in (("-view", "-restrict", "RequestID=2"), ("-crl",), ("-revoke", a_row(20), "1"), ("-getcrl", "x")):
        assert place.code(*arguments) == known.RPC_UNAVAILABLE
    place.text("-getreg", "CA\\CRLPeriod")
    place.text("-Cert", signer(place), "-sign", "5a01", "d.cer")
    place.ca.faults = Faults()
    place.text("-crl")


def test_a_call_that_never_answers_may_have_been_carried_out(desk: MakeDesk) -> None:
    serial = a_row(20)
    for faults, state in ((Faults(hang_before=1), (20, None)), (Faults(hang_after=1), (21, 1))):
        place = desk(faults=faults)
        with pytest.raises(HangError):
            place.call("-revoke", serial, "1")
        assert place.state(serial) == state


def test_on_a_full_disk_certutil_fails_and_a_printed_answer_is_cut_off(desk: MakeDesk) -> None:
    place = desk(faults=Faults(disk_full_from=2, disk_keeps=10))
    folder = Folder(place.directory, room=place.ca.room)
    place.ca.certutil(["-ping"], folder)
    folder.write("before.txt", b"0123456789abc")
    answer = place.ca.certutil(["-Cert", signer(place), "-sign", "5a01", "d.cer"], folder)
    assert answer.exit_code == known.signed(known.DISK_FULL)
    folder.write("after.txt", b"0123456789abc")
    assert [(place.directory / n).stat().st_size for n in ("before.txt", "d.cer", "after.txt")] == [13, 10, 10]


def test_a_batch_that_hangs_is_reported_as_one_that_did_not_come_back(desk: MakeDesk) -> None:
    place = desk(faults=Faults(hang_before=1))
    batch = '@echo off\r\n"%SystemRoot%\\System32\\certutil.exe" -ping >nul 2>&1\r\n'
    (place.directory / "a.cmd").write_bytes(batch.encode("ascii"))
    with pytest.raises(RunError, match="did not come back in time"):
        SimulatedHost(place.ca).execute(place.directory, "a.cmd", [], print)
    with pytest.raises(PathError):
        SimulatedHost(place.ca).execute(place.directory, "b.cmd", [], print)


def test_faults_are_all_off_by_default_and_every_switch_says_what_it_rests_on() -> None:
    assert all(not getattr(Faults(), field.name) for field in fields(Faults))
    source = Path(known.__file__).read_text(encoding="utf-8")
    for field in fields(Behaviour):
        found = re.search(rf'    {field.name}: .+\n    """((?s:.+?))"""', source)
        assert found, field.name
        assert re.search("[Aa]ssumed|nferred|nknown|[Kk]now|ocumented|hird-party|seen|efault", found[1]), field.name


def test_flags_of_numbers_are_named_and_bytes_are_dumped(desk: MakeDesk) -> None:
    place = desk()
    place.ca.hive = place.ca.hive.having("", OfficerRights=bytes(range(20)), HighSerial="5a" * 4, CRLFlags=0x202)
    text = place.text("-getreg", "CA\\CRLFlags")
    assert "\n\n  CRLFlags REG_DWORD = 202 (514)\n    CRLF_DELETE_EXPIRED_CRLS -- 2\n" in text
    assert "    CRLF_PUBLISH_EXPIRED_CERT_CRLS -- 200 (512)\n" in text
    assert "  OfficerRights REG_BINARY =\n    0000  00 01 02" in place.text("-getreg", "CA\\OfficerRights")
    assert "  HighSerial REG_SZ = 5a5a5a5a\n" in place.text("-getreg", "CA\\HighSerial")
    assert "    EXITEVENT_CERTIMPORTED -- 200 (512)\n" in place.text("-getreg", "exit\\smtp\\EventFilter")
    assert place.code("-getreg", "CA\\RoleSeparationEnabled") == known.FILE_NOT_FOUND


def test_serial_numbers_of_a_dump_are_lower_case_and_without_quotes(desk: MakeDesk, corpus: Path) -> None:
    place = desk()
    place.text("-revoke", a_row(20), "5")
    place.text("-crl")
    place.text("-getcrl", "new.crl", "0")

    def shapes(text: str) -> list[str]:
        """The lines of the times and the first entry of a CRL, what differs from list to list put away."""
        text = text[text.index(" ThisUpdate") :]
        entry = next(part for part in text.split("  Serial Number: ")[1:] if "Cessation" in part).split("\n\n")[0]
        lines = [*text.split("  Serial Number: ")[0].splitlines(), f"  Serial Number: {entry}"]
        shape = re.sub(r"[0-9]+/[0-9]+/[0-9]{4} [0-9]+:[0-9]{2} [AP]M( GMT)?", "WHEN", "\n".join(lines))
        return re.sub(r"(Number: )[0-9a-f]+|(Entries: )[0-9]+", r"\1\2N", shape).splitlines()

    capture = (corpus / "certutil" / "15-dump-crl-en.txt").read_text(encoding="utf-8")
    assert shapes(place.text("-dump", "new.crl")) == shapes(capture)


def test_a_certificate_is_dumped_with_its_serial_number_and_times(desk: MakeDesk) -> None:
    place = desk()
    one, _ = sign_again(place)
    text = place.text("-gmt", "-dump", "one.cer")
    assert f"\nSerial Number: {SerialNumber(one.serial_number)}\n" in text
    assert re.search(r"\n NotAfter: [0-9/]+ [0-9:]+ [AP]M GMT\n", text)
    assert place.code("-dump", "no.cer") == known.FILE_NOT_FOUND
    (place.directory / "junk").write_bytes(der(one)[:50])
    assert place.code("-dump", "junk") == known.INVALID_DATA


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_lies_in_a_file_certutil_answers(desk: MakeDesk, data: st.DataObject) -> None:
    place = dumped(desk)
    whole = bytearray((place.directory / data.draw(st.sampled_from(["new.crl", "one.cer"]))).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (place.directory / "odd.bin").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for arguments in (["-dump", "odd.bin"], ["-importcert", "odd.bin"]):
        answer = place.call(*arguments)
        assert b"CertUtil: " in answer.output
    place.call("-Cert", signer(place), "-sign", "odd.bin", "made.cer", "now+1:00")


@cache
def dumped(make: MakeDesk) -> Desk:
    """A desk with a CRL and a certificate of its own."""
    place = make()
    place.text("-revoke", a_row(20), "1")
    place.text("-crl")
    place.text("-getcrl", "new.crl", "0")
    place.text("-Cert", signer(place), "-sign", "5a01", "one.cer")
    return place


def test_a_clock_that_jumps_does_not_publish_for_ever(desk: MakeDesk) -> None:
    place = desk(Behaviour(publishes_by_timer=timedelta(seconds=1)))
    place.ca.now += timedelta(days=4000)
    place.text("-ping")
    assert number_of(place.ca.crls[0]) <= first_number() + MAX_MISSED
    place.text("-ping")
    with pytest.raises(UsageError, match="once a second"):
        Behaviour(publishes_by_timer=timedelta(0))


def test_what_a_rehearsal_takes_for_granted_follows_the_switches() -> None:
    said = " ".join(Behaviour(imported_hash="none", delta_crls="own number").assumptions)
    assert "the row carries no hash" in said
    assert "raises the number by two" in said
