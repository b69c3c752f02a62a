"""What verify takes, says and keeps: files of the CA, of distribution points, and odd ones."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count as seconds_from
from pathlib import Path

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from carecover import proof
from carecover.case import Case
from carecover.cli import main
from carecover.errors import PathError, RunError, UsageError
from carecover.evidence.crl import list_parts
from carecover.simulator import make_incident
from tests.proof.test_outcomes import calls
from tests.small_case import ANALYST, REVIEWER, SCENARIO, Story

POINT = "http://pki.example/ca.crl"


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case whose plan was carried out, not verified yet, its bundle beside it."""
    place = tmp_path_factory.mktemp("mended")
    story = Story.begin(place / "story")
    case, host = story.copy("signed", place), story.host()
    case.batch(place / "bundle")
    if case.plan().needs_dummies:
        case.run(place / "bundle", on=host)
        case.pin(place / "bundle", by=REVIEWER)
    case.run(place / "bundle", on=host)
    return place


@pytest.fixture
def fresh(mended: Path, tmp_path: Path) -> Callable[[], tuple[Case, Path]]:
    """A copy of that case, and the folder of what came back."""

    def copy() -> tuple[Case, Path]:
        shutil.copytree(mended / "case", tmp_path / "case")
        begin = Case.open(mended / "case").table("evidence")["added_at"].max().to_pydatetime() + timedelta(hours=2)
        seconds = seconds_from()
        return Case.open(tmp_path / "case", clock=lambda: begin + timedelta(seconds=next(seconds))), mended / "bundle"

    return copy


Fresh = Callable[[], tuple[Case, Path]]


def old_crl(case: Case) -> Path:
    """The list that was public before the work, as the case keeps it."""
    row = case.table("evidence").set_index("kind").loc[["crl"]].iloc[0]
    return Path(row["path"])


def test_what_the_ca_wrote_and_what_clients_fetch_are_two_proofs(fresh: Fresh) -> None:
    case, bundle = fresh()
    outcomes = case.verify([bundle / "logs", bundle / "out"])
    assert set(outcomes["verdict"]) == {"proved"}
    assert outcomes["cdp"].isna().all()
    assert outcomes.attrs["notes"] == []

    outcomes = case.verify([old_crl(case)], fetched_from=POINT)
    changed = outcomes[outcomes["action"] == "revoke"]
    assert not (changed["verdict"] == "proved").all()
    pending = outcomes[outcomes["verdict"] == "pending"]
    assert pending["why"].str.contains("Clients cannot see it yet", regex=False).all()
    assert pending["why"].str.contains(f"at {POINT}, in force until", regex=False).all()
    clock = case.table("visibility").set_index("url")
    assert not clock.loc[POINT, "current"]

    outcomes = case.verify([bundle / "out" / "crl-0.crl"], fetched_from=POINT)
    assert set(outcomes["verdict"]) == {"proved"}
    assert outcomes["cdp"].str.contains(POINT, regex=False).all()
    assert case.table("visibility").set_index("url").loc[POINT, "current"]
    fetched = case.table("fetched")
    assert list(fetched["url"]) == [POINT, POINT]
    assert list(fetched["after_work"]) == [True, True]
    assert case.check() == []


def test_a_fetched_list_alone_is_not_what_the_ca_wrote(fresh: Fresh) -> None:
    case, bundle = fresh()
    outcomes = case.verify([bundle / "out" / "crl-0.crl"], fetched_from=POINT)
    assert set(outcomes["verdict"]) == {"pending"}
    assert outcomes["crl"].isna().all()


def test_a_time_stamp_proves_no_decision_and_it_is_told_where_it_belongs(fresh: Fresh, tmp_path: Path) -> None:
    case, bundle = fresh()
    # RFC 3161 2.4.2: granted, then a token, here with nothing signed in it.
    token = "301c06092a864886f70d010702a00f300d060b2a864886f70d0109100104"
    (tmp_path / "head.tsr").write_bytes(bytes.fromhex(f"30233003020100{token}"))
    with pytest.raises(
        PathError, match=r"was not taken.+add CASE FILE --authority PEM.+\d+ other files were taken"
    ) as found:
        case.verify([tmp_path / "head.tsr", bundle / "logs", bundle / "out"])
    assert isinstance(found.value.finished, pd.DataFrame)
    assert found.value.finished.attrs["notes"] == []
    assert set(case.table("outcomes")["verdict"]) == {"proved"}
    assert case.check() == []


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed case whose exported bundle ran on the simulator, and that was rehearsed; the bundle beside it."""
    place = tmp_path_factory.mktemp("rehearsed")
    case = Story.begin(place / "story").copy("signed", place)
    case.batch(place / "bundle")
    case.run(place / "bundle")
    case.rehearse()
    return place


@pytest.mark.parametrize("kind", ["run", "rehearsal"])
def test_what_a_simulated_run_left_is_not_the_cas(rehearsed: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(rehearsed / "case", tmp_path / "case")
    case = Case.open(tmp_path / "case")
    (left,) = case.path.glob(f"runs/*-{kind}")
    first, before = list(case.table("first_steps")["step"]), len(list(case._journal.entries()))
    assert any(step.startswith("The last CRL of key 0 ") for step in first)
    named = "the rehearsal" if kind == "rehearsal" else "the run on the simulator"
    with pytest.raises(PathError, match=rf"this is what {named} of .+ UTC left, on a simulated CA") as found:
        case.verify([left])
    assert "Hand in what the CA's own folders logs and out hold. Nothing else was taken." in str(found.value)
    assert len(list(case._journal.entries())) == before, "nothing of it is in the case"
    assert case.table("outcomes").empty
    assert list(case.table("first_steps")["step"]) == first
    with pytest.raises(PathError, match="It says nothing of your CA"):
        case.add([left])
    assert case.check() == []


def test_a_log_of_another_simulated_ca_says_so_itself(fresh: Fresh, rehearsed: Path) -> None:
    case, bundle = fresh()
    (left,) = (rehearsed / "case").glob("runs/*-rehearsal")
    with pytest.raises(PathError, match="a rehearsal, or a run on the simulator") as found:
        case.verify([left / "logs"])
    assert isinstance(found.value.finished, pd.DataFrame)
    outcomes = case.verify([bundle / "logs", bundle / "out"])
    assert set(outcomes["verdict"]) == {"proved"}, "a simulated CA that stands for the real one counts as one"


def test_what_an_older_version_took_of_a_simulated_run_is_used_for_nothing(
    rehearsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(rehearsed / "case", tmp_path / "case")
    case = Case.open(tmp_path / "case")
    (left,) = case.path.glob("runs/*-rehearsal")
    first = list(case.table("first_steps")["step"])
    (nothing := tmp_path / "nothing.txt").write_text("nothing", encoding="ascii")
    with monkeypatch.context() as older:
        older.setattr("carecover.bundles.simulation_of", lambda *_: None)
        case.verify([left / "logs", left / "out"])
    case._read_back = None
    outcomes = case.verify([nothing])
    assert outcomes["transcript"].isin(["nothing to do"]).sum() == outcomes["transcript"].notna().sum()
    assert outcomes["database"].isna().all()
    notes = outcomes.attrs["notes"]
    assert any("this is what the rehearsal of" in note for note in notes)
    assert all("on a simulated CA. It says nothing of your CA" in note for note in notes[:-1]), notes
    assert [s for s in first if s.startswith("The last CRL")] == [
        s for s in case.table("first_steps")["step"] if s.startswith("The last CRL")
    ]
    (told,) = case.check()
    assert "says of the outcomes does not come out again" in told, "what the older version made of it was wrong"


def test_an_error_page_instead_of_a_list_is_told(fresh: Fresh, tmp_path: Path) -> None:
    case, bundle = fresh()
    (tmp_path / "ca.crl").write_text("<html><h1>404 Not Found</h1></html>", encoding="ascii")
    case.verify([bundle / "logs", bundle / "out"])
    outcomes = case.verify([tmp_path / "ca.crl"], fetched_from=POINT)
    assert set(outcomes["verdict"]) == {"pending"}
    assert outcomes["why"].str.contains(f"what was fetched at {POINT} cannot be read as a CRL", regex=False).all()
    assert len(outcomes.attrs["notes"]) == 1


def test_a_list_that_is_cut_off_is_told_by_name(
    fresh: Fresh, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, bundle = fresh()
    (tmp_path / "cut.crl").write_bytes((bundle / "out" / "crl-0.crl").read_bytes()[:-100])
    outcomes = case.verify([tmp_path / "cut.crl"])
    (note,) = outcomes.attrs["notes"]
    assert "cut.crl" in note
    assert "cut off: 100 bytes are missing" in note
    assert set(outcomes["verdict"]) == {"pending"}
    assert main(["verify", str(case.path), str(tmp_path / "cut.crl")]) == 1
    assert "cut off: 100 bytes are missing" in capsys.readouterr().err


def test_an_old_list_may_be_added_with_the_place_it_was_copied_from(
    fresh: Fresh, capsys: pytest.CaptureFixture[str]
) -> None:
    case, _ = fresh()
    assert main(["add", str(case.path), str(old_crl(case)), "--fetched-from", POINT]) == 0
    capsys.readouterr()
    (row,) = case.table("fetched").to_dict("records")
    assert (row["url"], row["kind"], row["after_work"]) == (POINT, "crl", False)
    here = case.table("visibility").set_index("url").loc[POINT]
    assert here["kind"] == "base"
    assert pd.isna(here["current"]), "what was there before the work says nothing about now"


def test_what_is_no_place_is_refused_before_anything_is_taken(fresh: Fresh) -> None:
    case, bundle = fresh()
    before = len(case.table("fetched"))
    for url in ("", "ca.crl", "javascript:alert(1)", "http://user:pass@a/", "http://a/\x1b[2J", "C:\\ca.crl"):
        with pytest.raises(UsageError):
            case.verify([bundle / "out"], fetched_from=url)
        with pytest.raises(UsageError):
            case.add([bundle / "out"], fetched_from=url)
    with pytest.raises(UsageError):
        case.verify(ask_ocsp="file:///etc/passwd")
    assert len(case.table("fetched")) == before
    assert case.table("outcomes").empty


def test_a_responder_that_is_not_there_is_told_and_nothing_is_lost(
    fresh: Fresh, capsys: pytest.CaptureFixture[str]
) -> None:
    case, bundle = fresh()
    with pytest.raises(RunError, match="0 answers were kept"):
        case.verify([bundle / "logs", bundle / "out"], ask_ocsp="http://127.0.0.1:1/")
    assert set(case.table("outcomes")["verdict"]) == {"proved"}
    assert main(["verify", str(case.path), "--ask-ocsp", "http://127.0.0.1:1/"]) == 5
    assert "cannot be asked" in capsys.readouterr().err
    assert main(["verify", str(case.path)]) == 2


def test_what_the_new_list_changed_was_all_planned(fresh: Fresh) -> None:
    case, bundle = fresh()
    case.verify([bundle / "logs", bundle / "out"])
    changes = case.table("crl_changes")
    planned = {item.serial: item.action for item in case.plan().items}
    added = changes[changes["change"] == "added"]
    assert len(added) >= 5
    assert set(added["serial"]) <= {serial for serial, action in planned.items() if action == "revoke"}
    assert not (changes["verdict"] == "unexpected").any(), changes.to_string()


def test_lists_for_an_online_responder(fresh: Fresh, capsys: pytest.CaptureFixture[str]) -> None:
    case, bundle = fresh()
    items = case.plan().items
    local = case.table("local_crl")
    assert set(local["serial"]) == {item.serial for item in items if item.action == "revoke"}
    assert local["revoked_at"].notna().all()
    assert not local["proved"].any()
    case.verify([bundle / "logs", bundle / "out"])
    assert case.table("local_crl")["proved"].all()
    issued = case.table("issued_serials")
    rows = case.table("ca_rows")
    assert set(rows.loc[rows["disposition"].isin([20, 21]), "serial"]) <= set(issued["serial"])
    assert issued["serial"].is_unique
    assert main(["table", str(case.path), "local_crl"]) == 0
    assert capsys.readouterr().out.startswith("ca_key_index,serial,reason,revoked_at")


VICTIM = 0x49000000AA00BB00CC00DD00EE0000000000AA


def copy_of(crl: x509.CertificateRevocationList, number: int, begin: datetime, *, add: Sequence[int] = ()) -> bytes:
    """The same list under another number and date, signed by the CA's own key."""
    builder = x509.CertificateRevocationListBuilder(crl.issuer, begin, crl.next_update_utc)
    for extension in crl.extensions:
        numbered = isinstance(extension.value, x509.CRLNumber)
        builder = builder.add_extension(x509.CRLNumber(number) if numbered else extension.value, extension.critical)
    for entry in crl:
        builder = builder.add_revoked_certificate(entry)
    for serial in add:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, begin).build())
    key = make_incident(SCENARIO).restored.authority.key(0)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def stale(view: Path, target: Path) -> Path:
    """The view as it was while the batch was not half through: everything issued, nothing revoked."""
    text = view.read_bytes().replace(b"0x15 (21) -- Revoked", b"0x14 (20) -- Issued")
    target.write_bytes(re.sub(rb"Revocation Reason: 0x.*", b"Revocation Reason: EMPTY", text))
    return target


def test_what_the_last_view_shows_is_how_it_is_now(fresh: Fresh, tmp_path: Path) -> None:
    """A look before the work was done must not stay red for ever; one after it that shows the old state is red."""
    case, bundle = fresh()
    outcomes = case.verify([bundle / "out" / "crl-0.crl", stale(bundle / "out" / "view.txt", tmp_path / "view.txt")])
    revoked = outcomes["action"] == "revoke"
    assert set(outcomes.loc[revoked, "verdict"]) == {"contradicted"}
    outcomes = case.verify([bundle / "logs", bundle / "out"])
    assert set(outcomes["verdict"]) == {"proved"}, outcomes[["serial", "why"]].to_string()
    outcomes = case.verify([tmp_path / "view.txt"])
    assert set(outcomes.loc[revoked, "verdict"]) == {"contradicted"}


def test_views_of_one_moment_that_disagree_need_a_person(fresh: Fresh, tmp_path: Path) -> None:
    case, bundle = fresh()
    outcomes = case.verify([bundle / "out", stale(bundle / "out" / "view.txt", tmp_path / "view.txt")])
    revoked = outcomes[outcomes["action"] == "revoke"]
    assert set(revoked["verdict"]) == {"contradicted"}
    assert revoked["why"].str.contains("do not agree about this serial number", regex=False).all()


def test_the_baseline_handed_in_again_is_no_later_view(fresh: Fresh) -> None:
    case, bundle = fresh()
    paths = case.table("evidence").set_index("evidence_id")["path"]
    files = [Path(paths[name]) for name in case.table("ca_rows")["evidence_id"].unique()]
    assert files
    case.verify([bundle / "out" / "crl-0.crl"])
    outcomes = case.verify(files)
    assert outcomes["database"].isna().all()
    assert "the baseline itself" in " ".join(outcomes.attrs["notes"])
    # What only the database can show is open, not failed.
    assert set(outcomes.loc[outcomes["action"] == "restore", "verdict"]) == {"pending"}
    case.verify([bundle / "out"])
    assert set(case.verify(files)["verdict"]) == {"proved"}


def test_a_row_that_was_not_asked_for_is_not_called_missing(fresh: Fresh, tmp_path: Path) -> None:
    """A view with one row of the database: what it leaves out may well be there."""
    case, bundle = fresh()
    text = (bundle / "out" / "view.txt").read_bytes()
    end = b"command completed successfully.\r\n"
    (tmp_path / "view.txt").write_bytes(text[: text.index(end) + len(end)])
    outcomes = case.verify([bundle / "out" / "crl-0.crl", tmp_path / "view.txt"])
    assert outcomes["database"].notna().sum() == 1
    restored = outcomes[outcomes["action"] == "restore"]
    assert set(restored["verdict"]) == {"pending"}
    assert restored["why"].str.contains("leaves rows out", regex=False).all()


def test_a_log_that_is_too_large_to_be_read_does_not_close_the_case(
    fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, bundle = fresh()
    case.verify([bundle / "logs", bundle / "out"])
    monkeypatch.setattr(proof.transcript, "MAX_TRANSCRIPT_BYTES", 1000)
    (tmp_path / "apply.log").write_bytes(b"@@CR plan " + b"a" * 64 + b"\r\n" + b"x" * 1000)
    outcomes = case.verify([tmp_path / "apply.log"])
    assert "apply.log: The transcript has more than" in " ".join(outcomes.attrs["notes"])
    assert set(case.table("outcomes")["verdict"]) == {"proved"}


def test_a_mailed_certificate_does_not_say_that_a_dropped_one_had_ended(fresh: Fresh, tmp_path: Path) -> None:
    """Whoever wants a revocation to vanish unseen mails a certificate of that serial number that ended long ago."""
    case, bundle = fresh()
    new = x509.load_der_x509_crl((bundle / "out" / "crl-0.crl").read_bytes())
    failure = SCENARIO.failure
    (tmp_path / "old.crl").write_bytes(copy_of(new, 800, failure - timedelta(days=1), add=[VICTIM]))
    (tmp_path / "new.crl").write_bytes(copy_of(new, 801, new.last_update_utc))
    ended = failure - timedelta(days=300)
    key = ec.generate_private_key(ec.SECP256R1())
    forged = x509.CertificateBuilder(
        new.issuer, x509.Name([]), key.public_key(), VICTIM, ended - timedelta(days=1), ended
    ).sign(key, hashes.SHA256())
    (tmp_path / "forged.cer").write_bytes(forged.public_bytes(Encoding.DER))
    case.add([tmp_path / "old.crl", tmp_path / "forged.cer"])
    case.decide(serials=[f"{VICTIM:x}"], action="leave", by=ANALYST)
    outcomes = case.verify([tmp_path / "new.crl"])
    changes = case.table("crl_changes").set_index("serial").loc[f"{VICTIM:x}"]
    assert (changes["change"], changes["verdict"]) == ("dropped", "unexpected")
    assert f"{VICTIM:x}" in " ".join(outcomes.attrs["notes"])


def element(tag: int, content: bytes) -> bytes:
    """One DER element; its length in the fewest octets."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | octets]) + size.to_bytes(octets, "big") + content


def swollen(crl: x509.CertificateRevocationList, count: int) -> bytes:
    """The same list with so many entries more, put together as bytes: the library's builder would take minutes."""
    tbs = crl.tbs_certlist_bytes
    _, revoked, _ = list_parts(tbs)
    assert revoked is not None
    head, tail = b"\x30\x20\x02\x0f\x5a" + bytes(10), b"\x17\x0d261001000000Z"
    many = b"".join(head + number.to_bytes(4, "big") + tail for number in range(count))
    # version, signature, issuer, thisUpdate, nextUpdate; entries; extensions
    parts = [element(each.tag, tbs[each.start : each.stop]) for each in list_parts(tbs)[0]]
    place = parts.index(element(revoked.tag, tbs[revoked.start : revoked.stop]))
    parts[place] = element(0x30, many + tbs[revoked.start : revoked.stop])
    signed = element(0x30, b"".join(parts))
    signature = make_incident(SCENARIO).restored.authority.key(0).sign(signed, ec.ECDSA(hashes.SHA256()))
    return element(0x30, signed + parts[1] + element(3, b"\0" + signature))


def test_a_larger_list_takes_as_many_steps_more_as_it_has_entries(fresh: Fresh, tmp_path: Path) -> None:
    case, bundle = fresh()
    new = x509.load_der_x509_crl((bundle / "out" / "crl-0.crl").read_bytes())
    now = new.last_update_utc + timedelta(hours=1)
    taken = []
    for count in (1_000, 5_000, 9_000):
        place = tmp_path / str(count)
        shutil.copytree(case.path, place / "case")
        (place / "new.crl").write_bytes(swollen(new, count))
        copy = Case.open(place / "case", clock=lambda: now)
        taken.append(calls(partial(copy.verify, [bundle / "logs", bundle / "out" / "view.txt", place / "new.crl"])))
        assert {"proved"} <= set(copy.table("outcomes")["verdict"]) <= {"proved", "pending"}
    assert taken[2] - taken[1] < 1.2 * (taken[1] - taken[0])


@pytest.mark.thorough
def test_a_list_of_a_million_entries_goes_through_verify_in_bounded_memory(fresh: Fresh, tmp_path: Path) -> None:
    """In a process of its own, whose address space has an end."""
    case, bundle = fresh()
    new = x509.load_der_x509_crl((bundle / "out" / "crl-0.crl").read_bytes())
    (tmp_path / "new.crl").write_bytes(swollen(new, 1_000_000))
    program = (
        "import resource, sys; from datetime import datetime; from carecover import Case;"
        "resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30));"
        "case = Case.open(sys.argv[1], clock=lambda: datetime.fromisoformat(sys.argv[2]));"
        "print(*sorted(set(case.verify(sys.argv[3:])['verdict'])))"
    )
    now = (new.last_update_utc + timedelta(hours=1)).isoformat()
    files = (bundle / "logs", bundle / "out" / "view.txt", bundle / "out" / "undo-view.txt", tmp_path / "new.crl")
    answer = subprocess.run(
        [sys.executable, "-c", program, case.path, now, *files], capture_output=True, text=True, check=False
    )
    assert answer.stdout.split() == ["proved"], answer.stderr[-2000:]


def test_an_undecided_case_has_nothing_for_a_local_crl(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "empty", ca="CA")
    for name in ("local_crl", "visibility", "crl_changes", "crl_lint", "fetched", "issued_serials"):
        assert case.table(name).empty, name
