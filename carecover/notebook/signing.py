"""The plan to read before anybody signs, and the signatures of two people under it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.custody import plan_file
from carecover.errors import CarecoverError, RefusedError, UsageError
from carecover.journal import Entry
from carecover.model import Plan, PlanItem, RevocationReason, Role, SignOff, nearly_the_same
from carecover.notebook import markup
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, WIDE, Panel, Rows, button, choice, entry, person_in
from carecover.notebook.secret import SecretBox
from carecover.remediation import ASSUMED, differences, duration, estimate, explain, for_ever, phases, stops_working
from carecover.report.document import clean


class PlanPanel(Panel):
    """The plan as it is now: what it does, for how long, what stays for ever, what stops working."""

    title = "The plan"
    step = "sign"
    leads = False
    hint = (
        "What the decisions come to. Both people read this before they sign; plan.html in the bundle says the same. "
        "Whoever wants something else decides anew above."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.told, self.work, self.breaks_title = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.breaks = Rows(
            [Head("serial", "serial number", "code"), Head("subject", "subject"), Head("template", "template"),
             Head("mark", "mark", "badge"), Head("blast_radius", "what its revocation hits")],
            "what stops working",
        )  # fmt: skip
        self.items_title = widgets.HTML()
        self.items = Rows(
            [Head("number", "no.", "code"), Head("action", "action"), Head("reason", "reason"),
             Head("serial", "serial number", "code"), Head("how", "how"), Head("template", "template"),
             Head("dates", "date of revocation"), Head("by", "decided by"), Head("note", "note"),
             Head("subject", "subject")],
            "steps of the plan",
        )  # fmt: skip
        self.waiver = entry("Waiver", placeholder="undecided: why · hash: why · hash SERIAL: why · baseline: why")
        self.waived_by = entry("Your name")
        self.waive = button("Waive in writing", self._waive)
        self.waivers = widgets.Accordion([widgets.VBox([self.waiver, self.waived_by, self.waive])], layout=WIDE)
        self.waivers.set_title(0, "Go on although something is open …")
        shown = [self.told, self.work, self.breaks_title, self.breaks, self.items_title, self.items]
        return [*shown, self.waivers]

    def show(self) -> None:
        for part in (self.told, self.work, self.breaks_title, self.items_title):
            part.value = ""
        self.breaks.show(pd.DataFrame())
        self.items.show(pd.DataFrame())
        self._offer_waiver()
        plan = self.desk.plan
        self.told.value = markup.block(f"<h4>What it means</h4>{markup.bullets(explain(plan))}")
        self.work.value = _work(plan)
        hit = stops_working(plan, self.desk.table("findings"))
        self.breaks_title.value = markup.block("<h4>What stops working</h4>" + ("" if len(hit) else _NOTHING_KNOWN))
        marks = hit["infrastructure"].map({True: "others depend on it"}).fillna("replace first")
        self.breaks.show(hit.assign(mark=marks))
        self.items_title.value = markup.block("<h4>Certificate by certificate</h4>")
        self.items.show(_items(plan))

    def _offer_waiver(self) -> None:
        """Only where something is open, or was waived before and may be again in other words."""
        try:
            plan = self.desk.plan
        except CarecoverError:
            self.waivers.layout.display = None
            return
        open_now = any(item.action == "undecided" or item.hash_waived for item in plan.items) or plan.waivers
        self.waivers.layout.display = None if open_now else "none"

    def _waive(self) -> None:
        def verb() -> str:
            self.case.waive(self.waiver.value, by=person_in(self.waived_by))
            self.waiver.value = self.waived_by.value = ""
            return "The waiver is part of the plan now: both people sign it."

        self.act(verb, self.waive)


_NOTHING_KNOWN: Final = (
    '<p class="cc-quiet">Nothing in this plan is infrastructure, or known to be in use. Whoever holds one of the '
    "certificates may know better.</p>"
)


def _work(plan: Plan) -> str:
    """Scripts, phases and calls, the estimate, and what cannot be undone."""
    calls = estimate(plan)
    rows = pd.DataFrame(
        [{"call": p.call, "what": p.what, "calls": p.calls, "time": p.time} for p in phases(calls)],
        columns=["call", "what", "calls", "time"],
    ).astype({"calls": "Int64"})
    heads = [Head("call", "script", "code"), Head("calls", "calls of certutil"), Head("time", "time"),
             Head("what", "what it does")]  # fmt: skip
    total = sum(calls.values())
    guess = f"{duration(total).capitalize()} in all for {total:,} calls, at {ASSUMED}."
    return (
        markup.block("<h4>What runs, and for how long</h4>")
        + markup.table(rows, heads, caption="what runs, and for how long")
        + markup.block(f'<p class="cc-quiet">{markup.text(guess)}</p><h4>What cannot be undone</h4>')
        + markup.bullets(for_ever(plan))
    )


class SignPanel(Panel):
    """The digest of the plan as it is now, and the two signatures under it."""

    title = "Two signatures"
    step = "sign"
    hint = (
        "An analyst and a reviewer, two different people, sign the same plan, each after reading it. Compare the "
        "digest: it is what you sign, and it stands in every script, log and report. Any change voids both signatures."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.signed = widgets.HTML()
        self.by = entry("Your name")
        self.role = choice("You sign as", [(role, role) for role in get_args(Role)])
        self.key = entry(
            "Key file", placeholder="path of your key on the machine that runs this notebook; empty: by name only",
            tooltip="A file with your own key on the machine that runs this notebook, outside the case", layout=FULL,
        )  # fmt: skip
        keys = markup.block(f'<p class="cc-quiet">{_KEYS}</p>')
        self.password = SecretBox("Its password")
        self.different = widgets.Checkbox(description="", indent=False, layout=WIDE)
        self.on_change(self._ask_who, self.by)
        self.on_change(self._ask, self.key)
        self.read = widgets.Checkbox(
            description="I have read the plan with this digest and answer for it", indent=False, layout=WIDE
        )
        self.sign = button("Sign this plan", self._sign, main=True)
        self.withdraw = button("Withdraw your signature", self._withdraw)
        self.why = entry("Why", placeholder="what is wrong with the plan that you signed")
        self.back = widgets.VBox([self.why, self.withdraw])
        self.taking_back = widgets.Accordion([self.back], layout=WIDE)
        self.taking_back.set_title(0, "Withdraw your own signature …")
        signing = [self.role, self.key, self.password, widgets.HTML(keys), self.different, self.read, self.sign]
        self.form = widgets.VBox(signing)
        self.who = widgets.VBox([self.by])
        self.shown: str | None = None
        return [self.signed, self.who, self.form, self.message, self.taking_back]

    def show(self) -> None:
        self.shown = None
        self.form.layout.display = self.by.layout.display = self.taking_back.layout.display = "none"
        self.others: Sequence[SignOff] = ()
        self._ask()
        self.signed.value = self._voided(None)
        plan = self.need_plan()
        standing = self.case.sign_offs(plan)
        self.shown = plan.digest
        missing = [role for role in get_args(Role) if role not in {s.role for s in standing}]
        self.role.options = missing
        self.others = standing
        self.form.layout.display = None if missing else "none"
        self.taking_back.layout.display = None if standing else "none"
        self.by.layout.display = None
        # Once both have signed, a name is needed only to withdraw.
        self.who.children = [self.by] if missing else []
        self.back.children = [self.why, self.withdraw] if missing else [self.by, self.why, self.withdraw]
        self._ask_who()
        lines = "".join(
            f"<dt>{s.role}</dt><dd>✓ {markup.text(s.person)}, {markup.text(s.at)} UTC, {_with(s)}</dd>"
            for s in standing
        )
        lines += "".join(f"<dt>{role}</dt><dd>not signed yet</dd>" for role in missing)
        digest = f'<p class="cc-digest">{markup.code(plan.digest)}</p>'
        whole = "" if missing else markup.note("Signed by two people. Any change voids both signatures.", "good")
        told = f"<h4>Digest of the plan</h4>{digest}<h4>Signatures</h4><dl>{lines}</dl>"
        self.signed.value = self._voided(plan, standing) + markup.block(told) + whole

    def _ask(self) -> None:
        self.password.layout.display = None if self.key.value.strip() else "none"

    def _ask_who(self) -> None:
        """A name that is nearly the other's may be that person's, mistyped: whoever signs says which."""
        alike = [other.person for other in self.others if nearly_the_same(other.person, self.by.value)]
        self.different.layout.display = None if alike else "none"
        self.different.value = False
        if alike:
            self.different.description = (
                f"{clean(self.by.value, 60)} and {clean(alike[0], 60)} are two different people"
            )

    def _voided(self, plan: Plan | None, standing: Sequence[SignOff] = ()) -> str:
        """What a change has done to the signatures, until somebody signs anew: when, by whom, and what is different."""
        history = self.desk.history
        last = next((e for e in reversed(history) if e.act in ("sign", "void")), None)
        if standing or last is None or last.act != "void":
            return ""
        old = last.details["digest"]
        names = [e.details["by"] for e in history if e.act == "sign" and e.details["digest"] == old]
        people = " and ".join(dict.fromkeys(names))
        if "why" in last.details:
            withdrawn = f"{last.details['by']} withdrew from plan {old[:12]}…, which {people} had signed"
            told = [f"Void since {markup.moment(last.at)}: {withdrawn}: {last.details['why']}"]
            return markup.note("\n".join([*told, *self._different(old, plan, withdrawn=True), _ANEW]), "bad")
        cause = _cause(history[last.number - 2])
        told = [
            f"Void since {markup.moment(last.at)}: {cause}, after {people} signed plan {old[:12]}….",
            *self._different(old, plan),
            _ANEW,
        ]
        return markup.note("\n".join(told), "bad")

    def _different(self, old: str, plan: Plan | None, *, withdrawn: bool = False) -> list[str]:
        """What the signed plan had otherwise; the case keeps it."""
        if plan is None:
            return []
        try:
            signed = Plan.from_json(json.loads((self.case.path / plan_file(old)).read_bytes()))
        except (OSError, ValueError, CarecoverError):
            return ["What was signed cannot be read any more: 'carecover check' says what is wrong."]
        if signed.digest != plan.digest:
            return differences(signed, plan)
        if withdrawn:
            return []
        return ["It was changed back since: the plan is the one that was signed, but the signatures stay void."]

    def _sign(self) -> None:
        # Taken first: whatever comes of it, it is in no box any more.
        password = self.password.take()

        def verb() -> str:
            if not self.read.value:
                raise UsageError("Read the plan above, tick the box, then sign.")
            if self.shown is None:
                raise RefusedError("There is no plan yet that could be signed.")
            if self.different.layout.display is None and not self.different.value:
                raise RefusedError(
                    "That name is nearly the name of the one who has signed. The second signature must be another "
                    "person's: mend the name, or tick the box if these are two different people."
                )
            key = Path(self.key.value.strip()).expanduser() if self.key.value.strip() else None
            signature = self.case.sign_off(
                by=person_in(self.by), role=self.role.value, key=key, password=password or None, digest=self.shown,
                different=bool(self.different.value),
            )  # fmt: skip
            # The next to sign is somebody else.
            self.by.value, self.key.value = "", ""
            how = "by name only" if signature.fingerprint is None else f"with the key {signature.fingerprint[:16]}…"
            return f"{signature.person} signed as {signature.role}, {how}: plan {signature.digest[:12]}…."

        self.act(verb, self.sign)
        # Whoever signs reads and ticks for himself, and after a change once more.
        self.read.value = False

    def _withdraw(self) -> None:
        def verb() -> str:
            taken = self.case.sign_off(by=person_in(self.by), withdraw=self.why.value)
            self.by.value = self.why.value = ""
            return f"{taken.person} has withdrawn: every signature under plan {taken.digest[:12]}… is void."

        self.act(verb, self.withdraw)


_KEYS: Final = (
    "A key is made in a terminal of this machine: carecover keygen FILE. Two tabs of one notebook share "
    "this form: each of the two people signs for themselves, one after the other."
)


def _with(signature: SignOff) -> str:
    """What stands behind a name: a key that others know, or nothing."""
    if signature.fingerprint is None:
        return "by name only"
    return f"with the key {markup.code(signature.fingerprint)}"


_ANEW: Final = "The plan as it is now has to be read and signed again."
_CAUSES: Final = {
    "decide": "{by} decided about {rows} of the findings",
    "waive": "{by} waived in writing ({note})",
    "facts": "the facts were changed",
    "add": "evidence was added",
    "baseline": "{by} chose another baseline",
    "profile": "{by} changed which wordings of mails count",
}


def _cause(entry: Entry) -> str:
    """The act by which a signed plan became another one."""
    said = _CAUSES.get(entry.act, "the case was changed ({act})")
    known = {name: entry.details.get(name, "somebody") for name in ("by", "rows", "note")}
    return said.format(act=entry.act, **known)


_HOW: Final = {
    "row": "the database has it",
    "original": "import the original",
    "dummy": "sign and import a dummy",
    "none": "nothing to do",
}


def _dates(item: PlanItem) -> str | None:
    """Old and new date of what is revoked again; certutil -revoke takes none."""
    if item.action != "revoke":
        return None
    new = "the day of apply"
    return (
        new if item.original_revoked_at is None else f"before: {markup.moment(item.original_revoked_at)}; anew: {new}"
    )


def _items(plan: Plan) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "number": str(i.number), "action": i.action, "serial": i.serial, "subject": i.subject,
                "template": i.template, "how": _HOW[i.method], "note": i.note, "by": i.decided_by,
                "dates": _dates(i),
                "reason": None if i.reason is None else f"{i.reason} {RevocationReason(i.reason).designation}",
            }
            for i in plan.items
        ]
    )  # fmt: skip


# ------------------------------------------------------------------------------- the door


def plan(case: Case) -> Panel:
    """Read what the plan does, for how long, what stays for ever and what stops working."""
    return PlanPanel(case)


def sign(case: Case) -> Panel:
    """Sign the plan: an analyst and a reviewer."""
    return SignPanel(case)
