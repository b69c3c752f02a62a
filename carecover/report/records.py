"""The sections that record what people did and handed in: decisions and evidence, row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from carecover.model import ACTIONS, SignOff
from carecover.report.document import MAX_LIST, Block, Columns, Items, Paragraph, Section, clean
from carecover.report.material import Material, counts, file_name, parsed, reason_text, rows_of, word

# The columns of every table here, left to right.
_SIGN_OFFS: Final[Columns] = (
    ("column_person", "name"),
    ("column_role", "text"),
    ("column_when", "time"),
    ("column_signed", "text"),
    ("column_digest", "digest"),
    ("column_fingerprint", "detail"),
)
_DECISIONS: Final[Columns] = (
    ("column_serial", "serial"),
    ("column_action", "text"),
    ("column_reason", "text"),
    ("column_method", "text"),
    ("column_by", "name"),
    ("column_when", "time"),
    ("column_note", "detail"),
)
_WATCH: Final[Columns] = (
    ("column_serial", "serial"),
    ("column_subject", "name"),
    ("column_ends", "time"),
    ("column_note", "detail"),
)
_EVIDENCE: Final[Columns] = (
    ("column_id", "name"),
    ("column_file", "name"),
    ("column_file_kind", "text"),
    ("column_bytes", "number"),
    ("column_units", "number"),
    ("column_parsed", "number"),
    ("column_irrelevant", "number"),
    ("column_duplicate", "number"),
    ("column_rejected", "number"),
    ("column_sha256", "detail"),
)
_REJECTS: Final[Columns] = (
    ("column_id", "name"),
    ("column_place", "text"),
    ("column_stage", "text"),
    ("column_bytes", "number"),
    ("column_why", "detail"),
    ("column_sha256", "detail"),
)

_LOG: Final[Columns] = (
    ("column_number", "number"),
    ("column_when", "time"),
    ("column_act", "text"),
    ("column_person", "name"),
    ("column_entry", "serial"),
    ("column_command", "detail"),
)
_STAMPS: Final[Columns] = (
    ("column_stamped", "time"),
    ("column_up_to", "number"),
    ("column_head", "serial"),
    ("column_authority", "name"),
    ("column_person", "name"),
    ("column_kept", "time"),
    ("column_sha256", "detail"),
)
MAX_LOG: Final = 100
# Authorities may write whole seconds only.
_SECOND: Final = timedelta(seconds=1)


def decisions(case: Material) -> Section:
    """Who decided what and why, and who signed it."""
    say, plan, table = case.say, case.plan, case.decisions
    blocks: list[Block] = []
    if plan is not None:
        good = Paragraph(say("sign_offs_good"), "good")
        blocks.append(good if case.signed else Paragraph(say("sign_offs_open"), "warning"))
    if case.sign_offs:
        signed = (
            (
                s.person,
                s.role,
                s.at,
                say("signed_key" if s.public_key else "signed_name"),
                s.digest,
                _fingerprint(case, s),
            )
            for s in case.sign_offs
        )
        blocks.append(case.sheet("sign_offs_caption", _SIGN_OFFS, signed, len(case.sign_offs)))
        if by_name := sum(s.public_key is None for s in case.sign_offs):
            blocks.append(Paragraph(say("signed_by_name", n=by_name), "warning"))
    else:
        blocks.append(Paragraph(say("sign_offs_none"), "warning"))
    if plan is not None and plan.waivers:
        blocks.append(Items(tuple(clean(w) for w in plan.waivers[:MAX_LIST]), say("waivers")))
    if table.empty:
        blocks.append(Paragraph(say("decisions_none")))
        return Section("decisions", say("decisions"), tuple(blocks))
    blocks.append(Paragraph(case.listed("action", counts(table, "action", ACTIONS)) + "."))
    methods = {item.finding_id: say(f"method_{item.method}") for item in plan.items} if plan else {}
    names = ("finding_id", "serial", "action", "reason", "decided_by", "decided_at", "note")
    rows = (
        (serial, action, reason_text(reason), methods.get(str(finding)), person, at, note)
        for finding, serial, action, reason, person, at, note in rows_of(table, names)
    )
    blocks.append(case.sheet("decisions_caption", _DECISIONS, rows, len(table), "decisions"))
    left = [item for item in plan.items if item.action == "leave"] if plan else []
    if left:
        watched = ((i.serial, i.subject, parsed(i.not_after), i.note) for i in left)
        blocks += [Paragraph(say("watch_lead")), case.sheet("watch", _WATCH, watched, len(left), "decisions")]
    return Section("decisions", say("decisions"), tuple(blocks))


def _fingerprint(case: Material, signed: SignOff) -> str | None:
    """Which key signed; to outsiders it would say who."""
    return None if case.edition == "redacted" else signed.fingerprint


def evidence(case: Material) -> Section:
    """What was handed in, what became of it, and what could not be used."""
    say = case.say
    files, accounting, rejects = (case.table(name) for name in ("evidence", "accounting", "rejects"))
    custody = case.open_field("custody", "custody_prompt")
    log = [*_stamps(case), *_log(case)]
    if files.empty:
        return Section("evidence", say("evidence"), (Paragraph(say("evidence_none"), "warning"), custody, *log))
    parts = ("parsed", "irrelevant", "duplicate", "rejected")
    sums = {name: int(accounting[name].sum()) for name in ("units", *parts)}
    blocks: list[Block] = [Paragraph(say("evidence_lead", **sums))]
    if sums["units"] != sum(sums[part] for part in parts):
        blocks.append(Paragraph(say("evidence_identity_broken", units=sums["units"]), "bad"))
    per_file = accounting.groupby("evidence_id")[["units", *parts]].sum()
    rows = (
        (number, file_name(path), word(kind), size, *(per_file[n].get(number) for n in ("units", *parts)), sha256)
        for number, path, kind, size, sha256 in rows_of(files, ("evidence_id", "path", "kind", "size", "sha256"))
    )
    blocks.append(case.sheet("evidence_caption", _EVIDENCE, rows, len(files), "evidence"))
    if rejects.empty:
        blocks.append(Paragraph(say("rejects_none")))
    else:
        refused = rows_of(rejects, ("evidence_id", "location", "stage", "size", "reason", "sha256"))
        blocks.append(case.sheet("rejects_caption", _REJECTS, refused, len(rejects), "rejects"))
    return Section("evidence", say("evidence"), (*blocks, custody, *log))


def _stamps(case: Material) -> list[Block]:
    """What somebody else's clock says of the journal: the time stamps that the case keeps, or that there are none."""
    say, table = case.say, case.table("stamps")
    if table.empty:
        return [Paragraph(say("stamps_none"))]
    names = ("stamped_at", "act", "head", "authority", "by", "kept_at", "sha256")
    rows = ((at, act, str(head)[:16], *rest) for at, act, head, *rest in rows_of(table, names))
    reached = [int(act) for act in table["act"].dropna()]
    blocks: list[Block] = [
        Paragraph(say("stamps_lead", n=max(reached, default=0))),
        case.sheet("stamps_caption", _STAMPS, rows, len(table), "stamps"),
    ]
    written = {act.number: act.at for act in case.acts}
    known = table.dropna(subset=["act", "stamped_at"])
    said = zip(known["act"], known["stamped_at"], strict=True)
    if early := sum(act in written and stamped + _SECOND < written[act] for act, stamped in said):
        blocks.append(Paragraph(say("stamps_early", n=early), "warning"))
    return blocks


def _log(case: Material) -> list[Block]:
    """The journal's acts: who did what, when, and by which command."""
    if not case.acts:
        return []
    # The last ones tell of the work; the first of a long journal are in the file.
    told = ((str(a.number), a.at, a.act, a.by, a.digest[:16], a.command) for a in case.acts[-MAX_LOG:])
    return [Paragraph(case.say("log_lead"), "quiet"), case.sheet("log_caption", _LOG, told, len(case.acts))]
