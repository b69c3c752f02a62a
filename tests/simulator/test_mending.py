"""Views that are no baseline, and the mails that the recovery itself causes."""

from __future__ import annotations

import csv
import io
import re
from email.utils import parsedate_to_datetime
from pathlib import Path

from carecover.simulator.incident import Scenario, make_incident
from tests.simulator.test_incident import MAIL, VIEW, content, notifications, rows_of

CSV = "evidence/database/view.csv"


def test_a_filtered_view_shows_its_command_and_only_issued_rows() -> None:
    files = content(make_incident(Scenario(certificates=60, view="filtered")))
    text = files[VIEW].decode("cp850")
    command, _, rest = text.partition("\r\n")
    assert '-view -restrict "Disposition=20"' in command
    rows = rows_of("\r\n" + rest)
    assert {row["Request Disposition"] for row in rows.values()} == {"0x14 (20) -- Issued"}
    assert f"\r\n{len(rows)} Rows\r\n" in rest, "its own counts agree: only the command tells"
    whole = rows_of(content(make_incident(Scenario(certificates=60)))[VIEW].decode("cp850"))
    assert 0 < len(rows) < len(whole)


def test_a_cut_view_lacks_its_last_rows_and_nothing_in_it_tells() -> None:
    whole = rows_of(content(make_incident(Scenario(certificates=60)))[VIEW].decode("cp850"))
    files = content(make_incident(Scenario(certificates=60, view="cut")))
    text = files[VIEW].decode("cp850")
    rows = rows_of(text)
    assert list(rows) == list(whole)[: len(rows)]
    assert len(rows) < len(whole)
    assert f"{len(rows)} Rows\r\n" in text
    assert len(list(csv.DictReader(io.StringIO(files[CSV].decode("cp850"), newline="")))) == len(rows)


def test_a_late_view_holds_imported_rows_whose_serials_carry_other_request_ids() -> None:
    incident = make_incident(Scenario(seed=3, certificates=120, lost=40, view="late"))
    before = rows_of(content(make_incident(Scenario(seed=3, certificates=120, lost=40)))[VIEW].decode("cp850"))
    rows = rows_of(content(incident)[VIEW].decode("cp850"))
    new = [row for i, row in rows.items() if i not in before]
    states = {item["serial"]: item["state"] for item in incident.truth["lost"]}
    imported = [row for row in new if row["Serial Number"].strip('"') in states]
    assert len(new) == len(imported) + 2, "the restored CA issued two more meanwhile"
    assert 0 < len(imported) < len(states)
    for row in imported:
        serial = row["Serial Number"].strip('"')
        assert int(serial[-8:], 16) != int(row["Request ID"].split()[0], 16)
        assert row["Request Disposition"][:9] == ("0x14 (20)" if states[serial] == "issued" else "0x15 (21)")
    again = [item for item in incident.truth["lost_revocations"] if item["shown_by"]]
    assert again
    for item in again:
        assert rows[item["request_id"]]["Request Disposition"] == "0x15 (21) -- Revoked"
        assert before[item["request_id"]]["Request Disposition"][:9] in ("0x14 (20)", "0x15 (21)")


def test_the_mails_of_the_recovery_come_after_the_restore_and_make_nothing_expected(tmp_path: Path) -> None:
    quiet = make_incident(Scenario(seed=3, certificates=120, lost=40))
    incident = make_incident(Scenario(seed=3, certificates=120, lost=40, recovery_mails=True))
    known = {str(mail["Message-ID"]) for _, _, mail in notifications(content(quiet)[MAIL], tmp_path)}
    more = [m for m in notifications(content(incident)[MAIL], tmp_path) if str(m[2]["Message-ID"]) not in known]
    assert all(parsedate_to_datetime(str(mail["Date"])) > incident.history.restored_at for _, _, mail in more)
    subjects = {re.sub(" (on|by) Example.*", "", subject) for subject, _, _ in more}
    assert subjects == {"A certificate was imported", "Your certificate was revoked", "A new CRL was issued"}
    assert incident.truth["expected"] == quiet.truth["expected"]
