"""Findings → decisions → plan → bundle: what will be done, who answers for it, and the files that do it.

decided = decide(findings, select_all="orphaned", action="revoke", reason=1, by="Ada", at=now)
plan = make_plan(case="c1", facts=facts, findings=findings, decisions=decided.rows, …)
check_signoffs(plan, signoffs)
files = prepare_bundle(plan, certificates)                    # prepare.cmd, where dummies are needed
pins = check_dummies(plan, dummy_files, ca_certificates)
files = longer_bundle(plan, certificates, pins, dummies, now=now)   # longer.cmd, where some end too early
files = pinned_bundle(plan, certificates, pins, dummies)      # revoke.cmd
"""

from carecover.remediation.backend import Backend
from carecover.remediation.bundle import certificate_name, estimate, pinned_bundle, prepare_bundle
from carecover.remediation.collect import collect_kit
from carecover.remediation.decisions import Decided, Skipped, current, decide, take_suggestions
from carecover.remediation.handout import CA_TRUE
from carecover.remediation.longer import longer_bundle
from carecover.remediation.outlook import ASSUMED, differences, duration, for_ever, phases, stops_working
from carecover.remediation.pin import MAX_DUMMY, check_dummies, dummy_names, leftovers
from carecover.remediation.plan import KEEP_EXPIRED, check_key, check_signoffs, check_waiver, explain, make_plan

__all__ = [
    "ASSUMED",
    "CA_TRUE",
    "KEEP_EXPIRED",
    "MAX_DUMMY",
    "Backend",
    "Decided",
    "Skipped",
    "certificate_name",
    "check_dummies",
    "check_key",
    "check_signoffs",
    "check_waiver",
    "collect_kit",
    "current",
    "decide",
    "differences",
    "dummy_names",
    "duration",
    "estimate",
    "explain",
    "for_ever",
    "leftovers",
    "longer_bundle",
    "make_plan",
    "phases",
    "pinned_bundle",
    "prepare_bundle",
    "stops_working",
    "take_suggestions",
]
