"""What to do first, from what the evidence shows: only what applies, the most urgent first.

There is no clock here: a deadline is told as the time that the evidence gives. A step goes
away when the evidence shows that it was done: a CRL handed in, a registry changed, a finding
decided, an outcome proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import pandas as pd

from carecover.analysis.cells import asked_after, cell_moment, cell_value, forward, true
from carecover.analysis.layout import CaLayout
from carecover.analysis.naming import NAME_OF_CA
from carecover.analysis.published import key_of
from carecover.analysis.settings import Settings, read_settings
from carecover.analysis.sources import length, many, shown_value, when
from carecover.model import ACTIONABLE_KINDS, TABLES, CaseFacts, Disposition

When = Literal["stop", "before_start", "now", "later"]

# More distribution points than these are in the certificates themselves.
_MAX_URLS: Final = 6
_ORDER: Final[tuple[When, ...]] = ("stop", "before_start", "now", "later")

_LOG_WANTED: Final = (
    "Fill from elsewhere what the mails do not show: the Security log of the whole gap, AD, endpoints, domain "
    "controllers (event 4768)."
)
# Aspect of the coverage → what to do about its gap. Aspects with one remedy have one step.
_REMEDIES: Final[Mapping[str, str]] = {
    "database view": "Hand in a whole view of the restored database, from request ID 1 on.",
    "filter of the view": "Export the database again, whole and without -restrict.",
    "end of the view": "Export the database again, whole and without -restrict.",
    "certificates of before the backup": "Compare the view's last row with the CA, and the time of the backup.",
    "columns of the view": "Export the view again with the columns that it lacks.",
    "rows that look imported": "Find the view from right after the restore, and the transcripts of what was done.",
    "CA certificate": "Hand in the CA's certificate.",
    "earlier CA certificates": "Hand in the CA's earlier certificates.",
    "request IDs without a trace": "Look for what became of the requests without a trace.",
    "notifications": "Hand in the mailbox that got the CA's mails.",
    "edges of the mailbox": "Look for the mails that the mailbox no longer has.",
    "mails day by day": _LOG_WANTED,
    "requests with a mail": _LOG_WANTED,
    "mails that could not be sent": _LOG_WANTED,
    "events that are mailed": _LOG_WANTED,
    "Security log": "Hand in the rest of the Security log: archived logs, a collector, a SIEM.",
    "start and stop of the service": "Find out when the service ran: System and Security log of the machine.",
    "clocks and time zone": "Set the case's time zone right before you trust a time.",
    "evidence read": "Look at what could not be read: carecover table CASE rejects",
}
# These have steps of their own, or say the same as another.
_ELSEWHERE: Final = ("last published CRL", "last delta CRL", "later CRLs", "request IDs in the gap", "verdict")


@dataclass(frozen=True)
class Situation:
    """The tables that the steps follow from; ``rows`` is the baseline, ``crls`` those that the CA signed."""

    facts: CaseFacts
    findings: pd.DataFrame
    coverage: pd.DataFrame
    decisions: pd.DataFrame
    outcomes: pd.DataFrame
    rows: pd.DataFrame
    certificates: pd.DataFrame
    crls: pd.DataFrame
    registry: pd.DataFrame
    layout: CaLayout = field(default_factory=CaLayout)
    question: str = ""
    """What a person has to settle before anything can be compared with a database; then there is no baseline."""
    exported: bool = False
    """A view of the database was handed in, whether it can serve or not."""

    @property
    def settings(self) -> Settings:
        """What the registry says."""
        return read_settings(self.registry, self.facts.ca)

    @property
    def late(self) -> pd.DataFrame:
        """Rows that the restored CA took itself."""
        return self.rows[asked_after(self.rows, self.facts.cut)]

    @property
    def started(self) -> str:
        """What shows that the restored service ran already; empty where nothing does."""
        if len(self.late):
            return f"it has taken {many(len(self.late), 'request')}"
        if len(self.published_since):
            return "it has published a CRL"
        if len(self.rows) or self.exported:
            # certutil -view asks the running service.
            return "its database was exported"
        return "people say when" if self.facts.restored is not None else ""

    @property
    def published_since(self) -> pd.DataFrame:
        """Signed CRLs of after the cut."""
        cut = self.facts.cut
        return self.crls.iloc[:0] if cut is None else self.crls[self.crls["this_update"] > cut]

    @property
    def published_before(self) -> pd.DataFrame:
        """Signed CRLs of before the cut, the oldest first."""
        cut = self.facts.cut
        before = self.crls if cut is None else self.crls[self.crls["this_update"] <= cut]
        return before[before["this_update"].notna()].sort_values("this_update", kind="stable")

    @property
    def actionable(self) -> pd.DataFrame:
        """Findings that can be acted on."""
        return self.findings[self.findings["kind"].isin(ACTIONABLE_KINDS)]

    @property
    def open(self) -> pd.DataFrame:
        """Findings that nobody decided yet, whether they can be acted on or not."""
        last = self.decisions.drop_duplicates("finding_id", keep="last")
        settled = set(last.loc[last["action"] != "undecided", "finding_id"])
        return self.findings[~self.findings["finding_id"].isin(settled)]

    @property
    def left(self) -> pd.DataFrame:
        """Of these, the ones that can be acted on."""
        return self.open[self.open["kind"].isin(ACTIONABLE_KINDS)]

    @property
    def proved(self) -> bool:
        """Every decision is proved."""
        return bool(len(self.outcomes)) and bool((self.outcomes["verdict"] == "proved").all())

    @property
    def carried_out(self) -> bool:
        """True where something says that the batch was at work on the CA: what only waits shows nothing."""
        acted = self.outcomes["action"].isin(["revoke", "restore", "unrevoke"])
        return self.proved or bool((acted & (self.outcomes["verdict"] != "pending")).any())

    def renewed(self, key: int) -> bool:
        """A CRL of this key that the CA signed after the work was handed in; of a key without decisions, of any."""
        keys = self.findings.set_index("finding_id")["ca_key_index"].reindex(self.outcomes["finding_id"])
        mine = (keys == key).fillna(value=False).to_numpy(dtype=bool)
        shown = self.outcomes["crl"].notna().to_numpy(dtype=bool)
        return bool((shown & mine).any() if mine.any() else shown.any())

    def verdict(self, name: str) -> str:
        """The coverage's verdict on an aspect; empty where it has none."""
        found = self.coverage.loc[self.coverage["aspect"] == name, "verdict"]
        return str(found.iloc[0]) if len(found) else ""

    def gaps(self, prefix: str) -> bool:
        """True where an aspect whose name begins so has a gap."""
        named = self.coverage["aspect"].str.startswith(prefix)
        return bool((true(named) & true(self.coverage["verdict"] == "gap")).any())


def list_first_steps(situation: Situation) -> pd.DataFrame:
    """Table ``first_steps``. A key that is at risk is one step, and the only one."""
    schema = TABLES["first_steps"]
    if situation.facts.key_exposed == "yes":
        return schema.frame([_key_at_risk()])
    makers: tuple[Callable[[Situation], Iterator[dict[str, Any]]], ...] = (
        _ask_for_the_key,
        _question,
        _string_serials,
        _copy_crls,
        _copy_database,
        _replay_logs,
        _emergency_crl,
        _no_issuing,
        _lost_ca_certificates,
        _close_gaps,
        _to_be_acknowledged,
        _conflicts,
        _open_decisions,
        _replace_first,
        _mails_of_the_recovery,
        _sign_off,
        _full_backup,
        _check_again,
    )
    if situation.verdict(NAME_OF_CA) == "gap":
        # What is missing, and what does not add up, follows from the name: the rest would be wrong advice.
        makers = (_name_of_the_ca, _ask_for_the_key, _copy_database, _replay_logs, _no_issuing)
    steps = [step for make in makers for step in make(situation)]
    return schema.frame(sorted(steps, key=lambda step: _ORDER.index(step["when"])))


def _step(at: When, step: str, why: str) -> dict[str, Any]:
    return {"when": at, "step": step, "why": why}


# ------------------------------------------------------------------- before everything else


def _key_at_risk() -> dict[str, Any]:
    return _step(
        "stop",
        "Stop. Close the way in, take the CA out of service, have its certificate revoked by its parent, and build a "
        "new one.",
        "The CA's key may be in other hands (--key-exposed yes): whoever has it can sign any serial number, so "
        "revoking the known ones proves nothing.",
    )


def _ask_for_the_key(s: Situation) -> Iterator[dict[str, Any]]:
    if s.facts.key_exposed == "unknown":
        yield _step(
            "now" if s.started else "before_start",
            "Ask whether the CA's key may be in other hands. If it may: carecover init CASE --key-exposed yes - and if "
            "it surely is not: carecover init CASE --key-exposed no",
            "If it may be, everything below is the wrong answer: a thief signs serial numbers that nobody knows.",
        )


def _name_of_the_ca(s: Situation) -> Iterator[dict[str, Any]]:
    row = s.coverage[true(s.coverage["aspect"] == NAME_OF_CA)].iloc[0]
    of = row["figure"] or "another"
    yield _step(
        "now" if s.started else "before_start",
        f"Set the CA's name right: what was handed in is of {of}, and in the case it is {s.facts.ca}.",
        str(row["why"]),
    )


def _question(s: Situation) -> Iterator[dict[str, Any]]:
    if s.question:
        yield _step(
            "now",
            "Settle which view is the database, or which CA was restored: nothing is compared before that, and these "
            "steps are only those that need no database.",
            s.question,
        )


def _string_serials(s: Situation) -> Iterator[dict[str, Any]]:
    by_registry = s.settings.string_serials
    back = int(s.findings["circumstances"].map(lambda words: "serial_may_return" in words).sum())
    if s.proved or by_registry is False or not (back or by_registry or s.layout.strings):
        return
    why = (
        "This CA makes serial numbers of a constant and the request ID, and hands the lost IDs out again: it can issue "
        "a lost serial to somebody else, and then revoking the one revokes the other."
    )
    if back:
        why += f" {back} of the lost serials can come back."
    if len(s.late):
        why += f" It has taken {many(len(s.late), 'request')} already: compare their serials first."
    yield _step(
        "now" if s.started else "before_start",
        "Let the restored CA issue nothing before HighSerial is changed: a number from 1 to 0x7f makes random serial "
        "numbers, and the service reads it when it starts (certutil -getreg CA\\HighSerial shows it).",
        why,
    )


# ------------------------------------------------------------------------- save what there is


def _copy_crls(s: Situation) -> Iterator[dict[str, Any]]:
    if s.proved or not any(s.gaps(name) for name in ("last published CRL", "last delta CRL", "later CRLs")):
        return
    urls = _distribution_points(s)
    named = ", ".join(urls[:_MAX_URLS]) + (f" and {len(urls) - _MAX_URLS} more" if len(urls) > _MAX_URLS else "")
    where = f"By its certificates: {named}." if urls else (
        "A certificate of this CA names the places (CRL distribution points)."
    )  # fmt: skip
    ran = f"The restored service has run ({s.started}), so some may be overwritten already. " if s.started else ""
    yield _step(
        "now" if s.started else "before_start",
        "Copy every CRL, base and delta, of every key of the CA from every distribution point, and hand them in. "
        f"{where}",
        f"{ran}They alone prove what was revoked in the gap. The service may publish by itself as soon as it runs, and "
        "overwrites them with lists that lack those revocations.",
    )


def _distribution_points(s: Situation) -> list[str]:
    """Where this CA's lists are; its own certificate names its parent's."""
    issued = s.certificates[true(s.certificates["signed_by_ca"]) & ~true(s.certificates["own_ca"])]
    cells: Iterable[Any] = (*issued["crl_urls"], *s.crls["urls"], *s.crls["delta_urls"])
    return list(dict.fromkeys(shown_value(url) for cell in cells for url in cell))


def _copy_database(s: Situation) -> Iterator[dict[str, Any]]:
    if s.proved:
        return
    logs = "" if s.verdict("Security log") == "good" else ", the Security and the Application log"
    yield _step(
        "now" if s.started else "before_start",
        f"Copy the old database and its transaction logs (CertLog, edb*.log){logs}, before anything overwrites them.",
        "They hold what the restore lost. What the service or a new backup overwrites is gone for good.",
    )


def _replay_logs(s: Situation) -> Iterator[dict[str, Any]]:
    if s.carried_out:
        return
    yield _step(
        "now" if s.started else "before_start",
        "Ask whether the old transaction logs (edb*.log) survived and were replayed. If they survived, restore again "
        "and let them roll forward, on a copy first.",
        "A restore replays the logs that lie in the database's folder; with those of the gap it may close by itself, "
        "and nothing is to be mended by hand. After that a new view makes a new case.",
    )


def _all_decided(s: Situation) -> bool:
    return bool(len(s.actionable)) and not len(s.left)


# --------------------------------------------------------------------------- keep clients safe


def _emergency_crl(s: Situation) -> Iterator[dict[str, Any]]:
    if s.proved:
        return
    since = s.published_since
    if len(since):
        newest = since.sort_values("this_update", kind="stable").iloc[-1]
        if s.renewed(key_of(newest.to_dict()) or 0):
            return
        number, at = shown_value(newest["crl_number"], 50), when(cell_moment(newest["this_update"]))
        yield _step(
            "now",
            "Look at what the restored CA has published since: what it does not know to be revoked is not on it.",
            f"It published CRL {number or 'of unknown number'} at {at}, after the restore. Whoever fetches it sees "
            "certificates as good that were revoked.",
        )
        return
    for crl in _newest_bases(s.published_before):
        ends = cell_moment(crl["next_update"])
        if ends is None or s.renewed(key_of(crl) or 0):
            continue
        number, key = shown_value(crl["crl_number"], 50), key_of(crl) or 0
        cut = s.facts.cut
        past = " That was before the restore: clients refuse everything by now." if cut and ends <= cut else ""
        yield _step(
            "now",
            f"The last CRL of key {key} ({number or 'no number'}) ends on {when(ends)}: have a new one out before; at "
            "once, where that is past. Where that is too soon for the work here, sign the old one again as an "
            "emergency CRL: certutil -sign old.crl new.crl now+14:00 -2.5.29.46 (14 days, without the place of "
            "deltas); +serial,serial lists certificates at once.",
            f"Clients accept it until then.{past} The next CRL that the CA makes itself replaces the emergency one, "
            "and drops what the database does not know by then.",
        )


def _newest_bases(crls: pd.DataFrame) -> list[Mapping[Any, Any]]:
    """The newest base list of each key; the one that ends first comes first."""
    newest = {key_of(c) or 0: c for c in crls.to_dict("records") if cell_value(c["is_delta"]) is not True}
    ends = [(end, key) for key, crl in newest.items() if (end := cell_moment(crl["next_update"])) is not None]
    return [newest[key] for _, key in sorted(ends)]


def _no_issuing(s: Situation) -> Iterator[dict[str, Any]]:
    if s.proved:
        return
    holding = [d.value for d in Disposition if d.holds_certificate]
    issued = int(s.late["disposition"].isin(holding).sum())
    why = "A restored CA is online at once, with its templates, and takes the lost request IDs for new requests."
    if issued:
        why += f" It has issued {many(issued, 'certificate')} since the restore."
    yield _step(
        "now" if s.started else "before_start",
        "Keep the CA in maintenance mode (no templates, no requests) until the gap is worked off.",
        why,
    )


# ------------------------------------------------------------------------------- see and decide


def _lost_ca_certificates(s: Situation) -> Iterator[dict[str, Any]]:
    count = int((s.open["kind"] == "lost_ca_certificate").sum())
    if count and not s.proved:
        yield _step(
            "now",
            "Find the CA certificate and the key that a renewal made after the backup: on the old disks, in the HSM, "
            "in AD (the AIA container).",
            f"{many(count, 'finding')} of kind lost_ca_certificate: what that key signed the restored CA can neither "
            "import nor revoke, and no dummy is possible. Nor can it renew that key's CRL.",
        )


def _to_be_acknowledged(s: Situation) -> Iterator[dict[str, Any]]:
    """Findings without a certificate to act on, which somebody has to see to all the same."""
    if s.proved:
        return
    kinds = s.open["kind"].value_counts()
    if count := int(kinds.get("suspect_notification", 0)):
        yield _step(
            "now",
            f"Look at {many(count, 'mail')} that do not add up before anybody acts on a mail.",
            "Anyone can send a mail in the CA's name; a forged one can want a good certificate revoked, or a serial "
            "number imported. Findings of kind suspect_notification say what is wrong with each.",
        )
    bare = (s.open["kind"] == "unaccounted_request") & s.open["issued_at"].notna()
    if count := int(bare.sum()):
        yield _step(
            "now",
            f"Find the serial numbers behind {many(count, 'request')} said to be issued: by key identifier, requester "
            "and subject, in AD, on endpoints, in other logs.",
            "A log or a mail says that a certificate was issued, and gives no serial number to revoke it by.",
        )
    if count := int(kinds.get("lost_pending", 0)):
        yield _step(
            "now",
            f"Have {many(count, 'request')} made again that waited for an officer when the CA was lost.",
            "The restored CA does not know them, and may have given their request IDs to others: never resolve by ID.",
        )


def _close_gaps(s: Situation) -> Iterator[dict[str, Any]]:
    if s.proved:
        return
    if all(s.verdict(name) == "gap" for name in ("database view", "CA certificate", "notifications")):
        yield _step(
            "now",
            "Hand in the evidence: carecover add CASE PATH… Take it from the CA with the read-only collect.cmd that "
            "carecover collect-kit DIR makes, and from the mailbox that got the CA's mails.",
            "There is no view of the database, no certificate of the CA and no mail in this case yet.",
        )
        return
    steps: dict[str, list[str]] = {}
    # What could not be read may be anything: nothing is missing for certain, but somebody has to look.
    unread = (s.coverage["aspect"] == "evidence read") & (s.coverage["verdict"] == "unknown")
    for row in s.coverage[true(unread | (s.coverage["verdict"] == "gap"))].to_dict("records"):
        name = str(row["aspect"])
        if name.startswith(_ELSEWHERE):
            continue
        step = _REMEDIES.get(name, f"Close the gap in the evidence: {name}.")
        steps.setdefault(step, []).append(str(row["why"]))
    if s.verdict("Security log") == "good":
        # Then it is here, and says what it can.
        steps.pop(_LOG_WANTED, None)
    for step, whys in steps.items():
        yield _step("now", step, " ".join(whys))


def _conflicts(s: Situation) -> Iterator[dict[str, Any]]:
    count = int((s.open["kind"] == "serial_conflict").sum())
    if count and not s.proved:
        yield _step(
            "now",
            f"Look at {many(count, 'serial number')} with two certificates each, and find out who holds which, before "
            "anybody acts on them.",
            "Revoking such a serial number revokes both certificates, and an import is refused. Where one of them must "
            "stay valid, it is replaced first.",
        )


def _open_decisions(s: Situation) -> Iterator[dict[str, Any]]:
    left = s.left
    if s.proved or not len(left):
        return
    infrastructure, again = true(left["infrastructure"]), true(left["suggested_action"] == "revoke")
    releases = left["kind"] == "lost_release"
    # A hold helps neither a certificate that is on hold nor one of two with the same serial number.
    plain = left["suggested_action"].isna() & ~infrastructure & left["kind"].isin(["orphaned", "lost_revocation"])
    if count := int(infrastructure.sum()):
        yield _step(
            "now",
            f"Look at {many(count, 'finding')} about infrastructure one by one, and decide each by its serial number.",
            "CAs, domain controllers, OCSP responders and agents carry others' trust; --all never takes them.",
        )
    if count := int((again & ~infrastructure).sum()):
        yield _step(
            "now",
            f"Decide {many(count, 'revocation')} that clients no longer see: --action suggested revokes as before.",
            "They were revoked before the failure, and the restored CA takes the certificates as valid or does not "
            "know them.",
        )
    if count := int((releases & ~infrastructure).sum()):
        shown = int((releases & ~infrastructure & left["suggested_action"].notna()).sum())
        yield _step(
            "now",
            f"Decide {many(count, 'release')} from hold that the restore undid: --action suggested takes off hold what "
            "is shown to have been released; of the others, ask who released them.",
            "The next CRL of the restored CA lists these certificates as on hold again, and their holders are locked "
            f"out. A signed CRL or the CA's log shows the release of {shown:,} of them; a mail alone settles none.",
        )
    if count := int(plain.sum()):
        yield _step(
            "now",
            f"Ask the owners about {many(count, 'finding')} without a suggestion; a hold (reason 6) buys time.",
            "Nothing proves what is to become of them, and only a hold can be taken back.",
        )
    yield _step(
        "now",
        f"Decide what is not decided: {many(len(left), 'finding')} in all (carecover decide).",
        f"Decided of those that can be acted on: {len(s.actionable) - len(left)} of {len(s.actionable)}.",
    )


def _replace_first(s: Situation) -> Iterator[dict[str, Any]]:
    if s.carried_out:
        return
    used = s.actionable[true(s.actionable["replace_first"]) & (s.actionable["kind"] != "lost_release")]
    last = s.decisions.drop_duplicates("finding_id", keep="last")
    chosen = set(last.loc[last["action"] == "revoke", "finding_id"])
    if count := int(used["finding_id"].isin(chosen).sum()):
        yield _step(
            "now",
            f"Replace {many(count, 'certificate')} that {'is' if count == 1 else 'are'} to be revoked, before the "
            "batch runs (table owners names the holders).",
            "They are in use: what depends on them stops when the new CRL is out.",
        )
    unsettled = used["finding_id"].isin(set(s.left["finding_id"])) & (used["suggested_action"] != "restore").fillna(
        value=True
    )
    if count := int(unsettled.sum()):
        yield _step(
            "now",
            f"Before any of {many(count, 'certificate')} in use is revoked, replace it (table owners names the "
            "holders).",
            "Nothing suggests to revoke them, and something works with them: it stops when a CRL lists them.",
        )


def _mails_of_the_recovery(s: Situation) -> Iterator[dict[str, Any]]:
    if s.carried_out or not len(s.actionable):
        return
    kept = set(s.decisions.loc[s.decisions["action"].isin(["leave", "undecided"]), "finding_id"])
    planned = s.actionable[~s.actionable["finding_id"].isin(kept)]
    imported = int((planned["kind"] == "orphaned").sum())
    settings = s.settings
    events = [
        f"'{name}' {count}"
        for name, event, count in (
            ("revoked", "revoked", f"up to {many(len(planned), 'time')}"),
            ("imported", "imported", f"up to {many(imported, 'time')}"),
            ("CRL issued", "crl_issued", "for every publication"),
        )
        if settings.may_be_mailed(event) and (event != "imported" or imported)
    ]
    if not events or not len(planned) or s.verdict("notifications") == "gap":
        return
    known = "By its EventFilter" if settings.filters else "Where its exit module is on (EventFilter was not handed in)"
    yield _step(
        "now",
        "Warn the requesters and whoever reads the CA's mailbox before the batch runs.",
        f"{known} the CA mails during the recovery: {', '.join(events)}. Requesters are told that their certificate "
        "was revoked; these mails are no evidence of the gap.",
    )


def _sign_off(s: Situation) -> Iterator[dict[str, Any]]:
    if _all_decided(s) and not s.carried_out:
        yield _step(
            "now",
            "Sign the plan, by two people: carecover sign-off, then rehearse, then batch.",
            f"Nothing is open: {many(len(s.actionable), 'finding')} that can be acted on, all decided.",
        )


# ---------------------------------------------------------------------------------- afterwards


def _full_backup(s: Situation) -> Iterator[dict[str, Any]]:
    if len(s.actionable) or len(s.rows):
        yield _step(
            "later",
            "Make a new full backup of the CA when the work is done, before it leaves maintenance mode.",
            "Earlier backups cannot be joined to a restored database, and lack what was mended.",
        )


def _check_again(s: Situation) -> Iterator[dict[str, Any]]:
    if not len(s.actionable):
        return
    bases = _newest_bases(s.published_since) or _newest_bases(s.published_before)
    dates = next((told for crl in bases if (told := _schedule(crl, s.settings))), "")
    yield _step(
        "later",
        f"Check again at the next two base CRLs that the CA publishes on its schedule: carecover verify.{dates}",
        "A dummy that expires too early, or an emergency CRL's entry that is not in the database, drops off there.",
    )


def _schedule(crl: Mapping[Any, Any], settings: Settings) -> str:
    """The next two dates by a list and the CA's period; empty where they are not known."""
    begins, following = cell_moment(crl["this_update"]), cell_moment(crl["next_publish"])
    if begins is None or following is None:
        return ""
    period = settings.crl_period or following - forward(begins)
    if period <= timedelta():
        return ""
    dates = when(following)
    if following < datetime.max.replace(tzinfo=following.tzinfo) - period:
        dates += f" and {when(following + period)}"
    return f" By the newest CRL handed in that is {dates} (every {length(period)}); a new CRL sets its own."
