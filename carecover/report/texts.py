"""Every sentence of the report, as data: another language is another mapping with the same keys (see ``german``).

``{name}`` is a value; numbers are written ``{n:,}``. Where a text has two forms, the one
before ``|`` is for exactly one ``n``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from carecover.errors import UsageError
from carecover.report.german import GERMAN, GERMAN_VALUES
from carecover.report.recorded import Catalogue, pairs

_ENGLISH: Final = {
    "title": "Post-incident report",
    "subtitle": "Certificates that the restored certification authority no longer knew",
    "skip": "Skip to the summary",
    "contents": "Contents",
    "unknown": "not known",
    "unnamed_ca": "Certification authority (name not known)",
    "more_rows": "The first {shown:,} of {total:,} rows. All of them: carecover table CASE {source}",
    "more_rows_plain": "The first {shown:,} of {total:,} rows.",
    "open_field": "to be filled in",
    "about": "About this report",
    "picture_caption": "Figure 1. The gap. {description}",
    "picture_empty": "Figure 1. {description}",
    "footer": "Made by carecover {version} at {made_at} from the case “{case}”. Everything in it can be recomputed "
    "from the case folder.",
    # ------------------------------------------------------------------------------ status
    "status_exposed": "The CA key is said to be exposed. Revoking single certificates does not cure that: "
    "decommission the CA, revoke its certificate, rebuild.",
    "status_no_plan": "Findings only: no plan has been made yet.",
    "status_unsigned": "Not signed off: the plan below has not been signed by two different people.",
    "status_not_verified": "Signed off, not verified: nothing is proved about the CA yet.",
    "status_proved": "The one decision is proved.|All {n:,} decisions are proved.",
    "status_open": "{proved:,} of {n:,} decisions are proved; {open:,} still need something.",
    "status_bad": "{bad:,} of {n:,} decisions failed or are contradicted: a person must look.",
    "status_dropped": "{n:,} serial number was lost from the new CRL: whatever else is proved, that has to be mended "
    "first.|{n:,} serial numbers were lost from the new CRL: whatever else is proved, that has to be mended first.",
    # -------------------------------------------------------------------------------- head
    "head_case": "Case",
    "head_ca": "Certification authority",
    "head_config": "Configuration string",
    "head_certificate": "CA certificate, SHA-256",
    "head_backup": "Last good backup",
    "head_failure": "Failure",
    "head_restored": "Restored",
    "head_key": "CA key exposed",
    "head_plan": "Digest of the plan",
    "head_journal": "Head of the journal",
    "head_version": "Made with",
    "head_made_at": "Made at",
    "head_zone": "Time zone of the case",
    "authors": "Written by",
    "authors_prompt": "Who wrote this, who approved it, and who may read it.",
    "key_yes": "yes",
    "key_no": "no, as stated by the people in charge",
    "key_unknown": "not stated",
    # ----------------------------------------------------------------------------- summary
    "summary": "Summary",
    "summary_what": "The certification authority was lost and restored from its last backup. What it had issued and "
    "revoked since that backup is not in its database: those certificates work in the world, and the restored CA "
    "knows nothing of them or trusts them again.",
    "summary_dates": "Last good backup {backup}, failure {failure}, restored {restored}.",
    "tile_lost": "certificate missing from the restored database|certificates missing from the restored database",
    "tile_revoked": "revocation lost: the certificate is trusted again|revocations lost: the certificates are "
    "trusted again",
    "tile_decided": "decision in the plan|decisions in the plan",
    "tile_proved": "decision proved by a new CRL|decisions proved by a new CRL",
    "summary_none": "Nothing was found that the restored CA is wrong about. That is only as good as the evidence: "
    "see coverage.",
    "summary_lost": "Lost: {text}.",
    "summary_decided": "Decided: {text}.",
    "summary_undecided": "No decision is part of a plan yet.",
    "summary_verdicts": "Verified: {text}.",
    "summary_unverified": "Nothing is proved yet: no outcome has been verified.",
    "summary_until": "Until {until} clients may still trust the last lists from before: caches cannot be called back.",
    "summary_until_past": "The last CRL from before the work ended on {until}: no client can trust it any more.",
    "summary_until_unknown": "Until when clients may trust an old CRL is not known: no old CRL with a checked "
    "signature is in the evidence.",
    "summary_rehearsed": "The plan was rehearsed against a simulated CA: logic checked against assumptions, never "
    "tested on your CA.",
    "summary_owners": "One owner has to be told.|{n:,} owners have to be told.",
    "summary_replace": "{n:,} certificate in use has to be replaced before it is revoked, if it is.|{n:,} certificates "
    "in use have to be replaced before they are revoked, if they are.",
    "and": ", ",
    "kind_orphaned": "{n:,} orphaned certificate|{n:,} orphaned certificates",
    "kind_lost_revocation": "{n:,} lost revocation|{n:,} lost revocations",
    "kind_lost_release": "{n:,} release from hold lost|{n:,} releases from hold lost",
    "kind_serial_conflict": "{n:,} serial number with two certificates|{n:,} serial numbers with two certificates each",
    "kind_reused_request_id": "{n:,} request ID handed out again|{n:,} request IDs handed out again",
    "kind_unaccounted_request": "{n:,} request without a trace|{n:,} requests without a trace",
    "kind_lost_pending": "{n:,} pending request lost|{n:,} pending requests lost",
    "kind_crl_number_regression": "{n:,} CRL number fallen back|{n:,} CRL numbers fallen back",
    "kind_lost_ca_certificate": "{n:,} certificate of a lost CA renewal|{n:,} certificates of a lost CA renewal",
    "kind_suspect_notification": "{n:,} notification that does not add up|{n:,} notifications that do not add up",
    "action_revoke": "{n:,} to revoke",
    "action_restore": "{n:,} to import again and keep valid",
    "action_unrevoke": "{n:,} to take off hold",
    "action_leave": "{n:,} to leave and watch",
    "action_undecided": "{n:,} undecided",
    "verdict_proved": "{n:,} proved",
    "verdict_pending": "{n:,} pending",
    "verdict_failed": "{n:,} failed",
    "verdict_contradicted": "{n:,} contradicted",
    # ------------------------------------------------------------------------ what happened
    "happened": "What happened",
    "events": "Events in order",
    "events_lead": "Times in UTC and in {zone}. Times of the incident are as stated by people; all others were "
    "recorded.",
    "events_lead_utc": "Times in UTC; the case names no other zone. Times of the incident are as stated by people; "
    "all others were recorded.",
    "events_none": "No event has a known time.",
    "column_utc": "UTC",
    "column_local": "Local time",
    "column_what": "What",
    "column_event": "What",
    "event_backup": "Last good backup",
    "event_failure": "The CA failed",
    "event_restored": "The CA was restored",
    "event_first_lost": "First certificate missing from the restored database was issued",
    "event_last_lost": "Last certificate missing from the restored database was issued",
    "event_evidence": "Evidence handed in: {name}|Evidence handed in: {n:,} files, {name} first",
    "event_signed": "Plan signed by {person} ({role})",
    "event_rehearsed": "Plan rehearsed against a simulated CA",
    "event_run": "Bundle run, on: {name}",
    "event_crl": "CRL {number} of the CA begins",
    "event_crl_delta": "Delta CRL {number} of the CA begins",
    "event_until": "Last old CRL ends: from here on no client can trust it",
    "cause": "Root cause",
    "systems": "Systems affected",
    "custody": "Chain of custody",
    "cause_prompt": "Why the CA was lost, why the backup was that old, and whether the CA key was ever at risk.",
    # ------------------------------------------------------------------------------- impact
    "impact": "Impact",
    "impact_none": "No certificate is affected as far as the evidence shows.",
    "column_template": "Template",
    "column_requester": "Requester",
    "column_last_end": "Last one ends (UTC)",
    "impact_infrastructure": "{n:,} of the certificates below belongs to the infrastructure (CA, domain controller, "
    "OCSP, registration authority or recovery agent) and has to be decided by itself.|{n:,} of the certificates "
    "below belong to the infrastructure (CA, domain controllers, OCSP, registration authorities or recovery agents) "
    "and have to be decided one by one.",
    "impact_prompt": "Systems and business processes that were hit, and for how long.",
    "impact_lead": "What revoking the certificates of the findings would hit. Use and infrastructure are told by "
    "template names and, where the certificate was found, by what it may be used for.",
    "impact_caption": "Blast radius",
    "replace_lead": "Replace before you revoke: something works with these now, and stops if they are revoked. Whether "
    "they are, the decisions say.",
    "replace_caption": "To be replaced before they are revoked, if they are",
    "owners_caption": "Owners: who holds the certificates of the findings",
    "column_item": "Which",
    "column_account": "Account",
    "column_certificates": "Certificates",
    "column_infrastructure": "Infrastructure",
    "column_replace": "To be replaced first",
    # -------------------------------------------------------------------------- first steps
    "steps": "What is still to be done first",
    "steps_none": "Nothing in the evidence asks for anything to be done first any more.",
    "steps_caption": "First steps, the most urgent first",
    "steps_stop": "Stop, and settle this first: {step}",
    "steps_stop_more": "{n:,} more thing stops the work: see what is still to be done first.|{n:,} more things stop "
    "the work: see what is still to be done first.",
    "column_urgency": "When",
    "column_step": "What to do",
    "column_asks": "Why",
    # ----------------------------------------------------------------------------- findings
    "findings": "Findings",
    "findings_none": "There are no findings.",
    "findings_caption": "Findings that can be acted on",
    "told_lead": "What has no serial number to act on, or nothing that a batch could do: to be known and acknowledged.",
    "told_caption": "Findings to be acknowledged",
    "suspect_lead": "These notifications do not add up. They were taken as suspect: none of them counts as evidence "
    "for anything in this report, and nothing is suggested because of them.",
    "suspect_caption": "Suspect notifications: never evidence",
    "column_request": "Request ID",
    "column_suggested": "Suggested",
    "column_circumstances": "Circumstances",
    "trace_title": "Requests without a trace: what helps and what does not",
    "trace_lead": "{n:,} request ID was handed out before the failure and nothing shows a certificate for it that "
    "could be acted on: it may have been issued.|{n:,} request IDs were handed out before the failure and nothing "
    "shows certificates for them that could be acted on: some may have been issued.",
    "trace_random": "They cannot be revoked. A CRL names serial numbers, and those of this CA hold random bytes: "
    "nobody can compute the serial number from the request ID.",
    "trace_string": "The serial numbers of this CA have a constant prefix, the index of the CA certificate and the "
    "request ID: they can be worked out, and the restored CA can hand the very same ones out again. carecover revokes "
    "none of them by guess.",
    "trace_unknown": "They cannot be revoked without their serial numbers, and nothing shows how this CA makes them.",
    "trace_helps": "What still helps: deterministic OCSP (Windows, KB2960124). A responder that is given the serial "
    "numbers that were issued (table issued_serials) answers Unknown for every other one, and clients that ask it "
    "refuse them.",
    "trace_helps_not": "What does not help: a new CRL, the local CRL of a responder (both need the serial number), and "
    "a responder without that list, which answers Good for what no CRL names. Clients that read only CRLs go on "
    "trusting such a certificate until it ends or the CA's own certificate is revoked.",
    "trace_search": "So look further: the CA's Security log, logon events 4768 and certificate stores of domain "
    "controllers, directories, scans of servers, backups of the mailbox. What turns up is added as evidence.",
    "outages_caption": "Days on which mails are missing, or are fewer than on other days like them",
    "column_day": "Day",
    "column_mails": "Mails",
    "column_events": "Events",
    "column_requests": "Requests in the database",
    "column_serial": "Serial number",
    "column_kind": "Kind",
    "column_subject": "Subject",
    "column_ends": "Ends (UTC)",
    "column_confidence": "Confidence",
    "column_why": "Why",
    "column_evidence": "Evidence",
    "coverage": "How far the evidence can be believed to be complete",
    "coverage_none": "Coverage was not assessed.",
    "column_aspect": "Looked at",
    "column_figure": "Counted",
    "column_verdict": "Verdict",
    "column_meaning": "What it means",
    # ---------------------------------------------------------------------------- decisions
    "decisions": "Decisions and four eyes",
    "decisions_none": "No decision has been recorded.",
    "decisions_caption": "Decisions",
    "sign_offs_caption": "Signatures under the plan",
    "sign_offs_none": "Nobody has signed a plan.",
    "sign_offs_good": "Two different people signed exactly this plan.",
    "sign_offs_open": "The plan as it stands does not bear the signatures of two different people, one analyst and "
    "one reviewer. Any change of a plan voids its signatures.",
    "column_person": "Person",
    "column_role": "Role",
    "column_when": "When (UTC)",
    "column_digest": "Digest signed",
    "column_action": "Action",
    "column_reason": "Reason",
    "column_by": "Decided by",
    "column_note": "Note",
    "column_method": "How",
    "method_row": "the row is there",
    "method_original": "import the original",
    "method_dummy": "sign and import a dummy",
    "method_none": "nothing to do",
    "waivers": "Waived in writing",
    "watch": "Watch list",
    "watch_lead": "Left as they are, by decision. They stay trusted until they end.",
    # ---------------------------------------------------------------------------- rehearsal
    "rehearsal": "What the rehearsal showed",
    "rehearsal_lead": "Logic checked against assumptions, never tested on your CA. The plan's own batch ran against "
    "a simulated CA that was rebuilt from the evidence; a real one may behave differently.",
    "rehearsal_none": "The plan has not been rehearsed.",
    "rehearsal_other_plan": "The rehearsal was of an earlier plan (digest {digest}), not of this one.",
    "phases_caption": "Calls of the batch",
    "column_phase": "Call",
    "column_code": "Exit code",
    "verdicts_would": "What the simulated CA's own CRL shows: {text}.",
    "assumptions": "Assumptions behind it",
    "rehearsal_open_caption": "What was not proved even on the simulated CA",
    # ---------------------------------------------------------------------------- execution
    "execution": "Execution and proof",
    "execution_none": "The plan has not been carried out, or nothing of it has been handed to verify.",
    "runs_caption": "Runs of the batch",
    "column_run": "Run",
    "column_transcript": "Transcript, SHA-256",
    "outcomes_caption": "What is proved about every decision",
    "outcomes_lead": "Proved means: a CRL that the CA signed, in force, with a number above the last public one, "
    "says so. Unproved ones come first.",
    "column_ocsp": "OCSP",
    "dates_lead": "{n:,} certificate had been revoked before the failure and gets a new revocation date: certutil "
    "-revoke takes none.|{n:,} certificates had been revoked before the failure and get a new revocation date: "
    "certutil -revoke takes none.",
    "dates_signatures": "A signature with a time stamp between the two dates counts as made before the revocation, and "
    "so as good: that matters for code signing and for signed documents. Where such signatures exist, distrust the "
    "certificate on the clients as well.",
    "dates_stolen": "For {n:,} of them the key was compromised: what its thief signed between the two dates now counts "
    "as the owner's. Tell those who rely on such signatures the old date.",
    "dates_held": "{n:,} of them had been on hold: between the restore and the new CRL the hold was not in force.",
    "dates_caption": "Revocation dates, old and new",
    "date_to_come": "not yet",
    "column_old_date": "Before the failure (UTC)",
    "column_new_date": "By the new CRL (UTC)",
    "column_between": "Days between",
    "places_lead": "Two proofs, and they are apart: what the CA wrote is proved above, what clients can fetch is "
    "proved here, place by place. A client that has an old list or answer need not look again before that ends.",
    "places_current": "At {n:,} of {of:,} places the new list or answer was fetched.",
    "places_caption": "Visibility clock: where clients ask, and until when they may believe an old answer",
    "place_base": "base CRL",
    "place_delta": "delta CRL",
    "place_ocsp": "OCSP",
    "current_yes": "yes",
    "current_no": "no",
    "current_unknown": "not seen",
    "column_place_kind": "Kind",
    "column_key": "CA key",
    "column_current": "New one there",
    "column_until": "Old one until (UTC)",
    "column_url": "Address",
    "column_seen": "Fetched there",
    "changes_lost": "{n:,} serial number dropped out of the new CRL and nobody planned that: clients take the "
    "certificate as valid.|{n:,} serial numbers dropped out of the new CRL and nobody planned that: clients take "
    "these certificates as valid.",
    "changes_kept": "Nothing dropped out of the new CRL that should be there.",
    "changes_caption": "Old and new CRL, entry by entry",
    "column_change": "Change",
    "column_from_to": "Lists",
    "column_reasons": "Reason",
    "lint_caption": "What the CRLs do that RFC 5280 or AD CS does not",
    "column_severity": "Severity",
    "column_rule": "Rule",
    "column_log": "Log",
    "column_database": "Database",
    "column_crl": "CRL",
    "column_cdp": "Distribution point",
    "crls_caption": "Certificate revocation lists in the evidence",
    "column_number": "Number",
    "column_begins": "Begins (UTC)",
    "column_entries": "Entries",
    "column_signature": "Signed by this CA",
    "column_base": "Kind",
    "base": "base",
    "delta": "delta",
    "yes": "yes",
    "no": "not shown",
    # --------------------------------------------------------------------------- open risks
    "risks": "Open risks",
    "risk_unseen": "Certificates that no evidence names. The absence of a mail never proves the absence of a "
    "certificate.",
    "risk_unseen_gaps": "The coverage above has {n:,} gap or open question.|The coverage above has {n:,} gaps and "
    "open questions.",
    "risk_until": "Clients that cached an old CRL may trust a revoked certificate until {until}.",
    "risk_until_unknown": "Clients that cached an old CRL may trust a revoked certificate until it ends; when that "
    "is, the evidence does not show.",
    "risk_ocsp": "OCSP answers and the caches of responders live by their own times; they were not examined here.",
    "risk_ocsp_seen": "OCSP answers were examined as far as they were handed in; other responders and caches live by "
    "their own times.",
    "risk_trace": "{n:,} request has no trace: if it was issued, its certificate is trusted and cannot be revoked (see "
    "findings).|{n:,} requests have no trace: what was issued of them is trusted and cannot be revoked (see findings).",
    "risk_dropped": "{n:,} serial number was lost from the new CRL.|{n:,} serial numbers were lost from the new CRL.",
    "risk_redated": "{n:,} certificate is revoked with a later date than before the failure: older signatures count "
    "again.|{n:,} certificates are revoked with a later date than before the failure: older signatures count again.",
    "risk_reused": "{n:,} request ID was handed out twice, before the failure and after the restore: records that "
    "know certificates by request ID mix them up.|{n:,} request IDs were handed out twice, before the failure and "
    "after the restore: records that know certificates by request ID mix them up.",
    "risk_key_yes": "The CA key is said to be exposed: forged certificates can bear any serial number, so no "
    "comparison with a database can be complete.",
    "risk_key_unknown": "Nobody has stated whether the CA key was exposed. If it was, none of this helps: forged "
    "certificates can bear any serial number.",
    "risk_watch": "{n:,} certificate was left as it is and stays trusted (watch list).|{n:,} certificates were left "
    "as they are and stay trusted (watch list).",
    "risk_undecided": "{n:,} finding that could be acted on has no decision.|{n:,} findings that could be acted on "
    "have no decision.",
    "risk_waivers": "{n:,} safeguard was waived in writing (see decisions).|{n:,} safeguards were waived in writing "
    "(see decisions).",
    "risk_dummies": "{n:,} serial number stands in the database by a dummy: if the dummy ends before the real "
    "certificate, the serial drops out of the CRL.|{n:,} serial numbers stand in the database by dummies: if a "
    "dummy ends before the real certificate, the serial drops out of the CRL.",
    "risk_rejects": "{n:,} unit of evidence could not be used; it may have named something that is missing "
    "here.|{n:,} units of evidence could not be used; they may have named something that is missing here.",
    "risk_suspect": "{n:,} notification does not add up. Whoever sent it may have wanted a good certificate "
    "revoked.|{n:,} notifications do not add up. Whoever sent them may have wanted good certificates revoked.",
    "risk_unproved": "{n:,} decision is not proved.|{n:,} decisions are not proved.",
    "risk_baseline": "The baseline reaches up to request ID {newest:,}. What the CA has issued since its export is "
    "in no finding.",
    "risk_external": "Relying parties outside the organisation: whether they check revocation at all is not known "
    "here.",
    # ----------------------------------------------------------------------------- evidence
    "evidence": "Evidence",
    "evidence_none": "No evidence has been handed in.",
    "evidence_lead": "Files are known by their SHA-256 and were never changed. Units: {units:,} found = {parsed:,} "
    "used + {irrelevant:,} irrelevant + {duplicate:,} seen before + {rejected:,} rejected.",
    "evidence_identity_broken": "The units do not add up: {units:,} were found. Run carecover check.",
    "evidence_caption": "Inventory and accounting",
    "column_id": "No.",
    "column_file": "File",
    "column_file_kind": "Kind",
    "column_bytes": "Bytes",
    "column_sha256": "SHA-256",
    "column_added": "Added (UTC)",
    "column_units": "Units",
    "column_parsed": "Used",
    "column_irrelevant": "Irrelevant",
    "column_duplicate": "Seen before",
    "column_rejected": "Rejected",
    "rejects": "What could not be used",
    "rejects_none": "Nothing was rejected.",
    "rejects_caption": "Rejected units of evidence",
    "column_place": "Place",
    "column_stage": "Stage",
    "custody_prompt": "Who collected the evidence, where and when; who kept it; how far the clocks were off.",
    # ------------------------------------------------------------------------------- method
    "method": "Method and limits",
    "method_1": "Evidence is read by its content, never changed, and known by its SHA-256. Every unit of it is "
    "used, irrelevant, seen before or rejected with a reason; the sum is checked.",
    "method_2": "A certificate is known by its serial number, compared as a number, and by its hash. Request IDs "
    "are no identity: a restored CA hands them out again.",
    "method_3": "Missing is what the evidence shows as issued and what the database does not have right after the "
    "restore, within the range that the export covers.",
    "method_4": "Mail is unauthenticated. Mail alone never suggests revoking a certificate that the database shows "
    "as good.",
    "method_5": "A suggestion is never applied by itself: every decision has a person, a time and a reason, and two "
    "different people sign the digest of the whole plan.",
    "method_6": "The journal is a chain of SHA-256 digests: an edit of an older entry shows. That its end was cut "
    "off shows only by comparing its head with the one printed here.",
    "method_7": "Limits: nothing here was tried on a real CA before it ran on yours; how a CA answers where "
    "Microsoft's documents are silent is assumed, and said so, in the documentation.",
    "method_8": "Suspect notifications are shown, never counted: a mail that does not add up is evidence for nothing.",
    "method_9": "The figure in brackets after a caption counts its rows and names the table of the case that they come "
    "from; carecover table CASE NAME gives the whole of it.",
    "method_recorded": "Columns marked so hold the words of the case's tables, which are English: as recorded.",
    "reasons_caption": "Reasons for revocation",
    "column_designation": "Designation",
    "column_use": "When to use it",
    "lessons": "Lessons and actions",
    "lessons_prompt": "What changes, who owns it, by when: more frequent backups, an exit module that keeps "
    "certificates, event filters, retention of mail, practised restores.",
    # ----------------------------------------------------------- editions, fields, closing
    "table": "table",
    "page": "Page",
    "of": "of",
    "picture": "Timeline of the gap",
    "recorded": "as recorded, in English",
    "notes": "Notes",
    "and_more": "and {{n}} more",
    "withheld": "withheld in this edition",
    "head_edition": "Edition",
    "edition_full": "full",
    "edition_redacted": "for outsiders: names are pseudonyms, free text is left out",
    "head_readers": "Readers",
    "readers_all": "leadership: {leadership}; legal: all but {not_legal}; technical: all",
    "readers_leadership": "leadership; the whole report has {n:,} sections",
    "readers_legal": "legal; the whole report has {n:,} sections",
    "readers_technical": "technical; this is the whole report",
    "new_crls_caption": "Certificate revocation lists handed in after the work",
    "classification": "Classification",
    "approvers": "Approved by",
    "event_first_mail": "First mail of the CA after the restore",
    "event_first_decision": "First decision recorded",
    "column_signed": "Signed",
    "column_fingerprint": "Key, SHA-256",
    "signed_key": "with a key",
    "signed_name": "by name only",
    "signed_by_name": "{n:,} of the signatures is a name that somebody typed: nothing proves who that was.|{n:,} of "
    "the "
    "signatures are names that somebody typed: nothing proves who that was.",
    "log_lead": "Every act is a line of the journal, and each line holds the digest of the one before. The head "
    "printed "
    "above fixes all of it up to this report.",
    "log_caption": "Custody log: the newest acts of the journal",
    "stamps_none": "The case keeps no time stamp of an authority (RFC 3161): when something was done, only the clock "
    "of the machine says.",
    "stamps_lead": "A time-stamping authority (RFC 3161) signed that the journal existed at the times below, with all "
    "that it said until then. What came after act {n:,} has no such stamp: its times are those of the machine's clock.",
    "stamps_caption": "Time stamps of the journal",
    "stamps_early": "{n:,} of them is of an earlier time than the machine wrote for what it stamps: one of the two "
    "clocks was wrong.|{n:,} of them are of an earlier time than the machine wrote for what they stamp: one of the two "
    "clocks was wrong.",
    "column_stamped": "Existed at (UTC)",
    "column_up_to": "Up to act",
    "column_head": "Head stamped, begins",
    "column_authority": "Authority",
    "column_kept": "Handed in (UTC)",
    "column_act": "Act",
    "column_entry": "Digest begins",
    "column_command": "Command",
    "column_state": "State",
    "dummies_caption": "Dummies that the CA signed; a leftover one is dangerous until it is revoked or destroyed",
    "risk_leftover": "{n:,} dummy is left over: it is a certificate of this CA until it is revoked or every copy is "
    "destroyed.|{n:,} dummies are left over: they are certificates of this CA until they are revoked or every copy is "
    "destroyed.",
    "monitor": "To be watched from now on",
    "monitor_1": "Each new CRL of the CA: its number grows, and every serial number of the plan stays on it until the "
    "certificate ends.",
    "monitor_2": "Each distribution point and responder: what is fetched there is the newest list.",
    "monitor_3": "Use of the certificates on the watch list, and of serial numbers that the database does not know.",
    "monitor_4": "Mails and events that turn up later: add them to the case, and look at the findings again.",
    "lessons_caption": "Lessons and actions",
    "column_lesson": "What changes",
    "column_owner": "Owner",
    "column_due": "Due",
    "other": "Alternative explanations that were considered",
    "other_1": "A certificate that is missing may have been deleted from the database, or its template keeps it out: "
    "then nothing was lost by the restore. What was issued before the backup is marked so.",
    "other_2": "A mail may be forged or belong to another CA of the same name: findings that rest on mails alone say "
    "so, and notifications that do not add up count for nothing.",
    "other_3": "A request ID without a trace may be a request that failed, was denied or is pending, and no "
    "certificate.",
    "other_4": "A day without mails may be a day without certificates: such days are compared with others like them "
    "and "
    "with the logs.",
    "other_5": "The times stated by people may be wrong: whatever depends on them moves with them.",
    "appendices": "Appendices",
    "appendices_lead": "The tables below are the whole of what this report counts. They are handed in beside it as one "
    "workbook (report --output FILE.xlsx) or as CSV files (FILE.zip); the bundle with revoke.cmd and undo.cmd lies "
    "where "
    "it was exported.",
    "tables_caption": "Tables of the case",
    "column_table": "Table",
    "column_rows": "Rows",
    "column_row": "One row is",
    "glossary": "The words of this report.",
    "term_orphan": "Orphaned certificate",
    "meaning_orphan": "Issued by the CA, missing from its restored database: it works, and cannot be revoked as it is.",
    "term_baseline": "Baseline",
    "meaning_baseline": "The view of the database right after the restore, before any mending.",
    "term_dummy": "Dummy",
    "meaning_dummy": "A certificate signed only to carry a serial number into the database, so that it can be revoked.",
    "term_plan": "Plan",
    "meaning_plan": "The decisions in order, frozen; known by its digest, which two people sign.",
    "term_bundle": "Bundle",
    "meaning_bundle": "The folder with the batch files that carry a plan out on the CA.",
    "term_pin": "Pin",
    "meaning_pin": "The check of every dummy, and its hash written into the batch before anything is imported.",
    "term_crl": "CRL",
    "meaning_crl": "Certificate revocation list: the signed list of serial numbers that are no longer to be trusted.",
    "term_ocsp": "OCSP",
    "meaning_ocsp": "The protocol by which a client asks a responder about one serial number.",
    "term_hold": "Hold",
    "meaning_hold": "A revocation for the time being; the only one that can be undone.",
    # ---------------------------------------------------------------------------- timeline
    "step_hour": "hour",
    "step_six hours": "six hours",
    "step_day": "day",
    "step_week": "week",
    "step_four weeks": "four weeks",
    "step_year": "year",
    "mark_backup": "backup",
    "mark_failure": "failure",
    "mark_restored": "restored",
    "series_known": "known to the restored database",
    "series_lost": "missing from it",
    "series_revoked": "revocation lost",
    "axis_certificates": "certificates per {step}",
    "axis_mails": "mails a day",
    "drawn_nothing": "Nothing to draw yet: no dated certificate and no time of the incident is known.",
    "drawn_no_marks": "no times of the incident are known",
    "drawn_aside": " {n:,} earlier or later ones are not drawn.",
    "drawn": "Certificates per {step} from {start} to {end}: {known:,} that the restored database knows, {lost:,} that "
    "it does not, and {revoked:,} lost revocations. Marks: {marks}.",
    "drawn_more": " and {n:,} more",
    "drawn_missing": "mails are missing or fewer than usual on {days}",
    "drawn_none_missing": "no day stands out",
    "drawn_mails": " Mails per day, {n:,} in all: {missing}.",
}

LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"en": MappingProxyType(_ENGLISH), "de": MappingProxyType(GERMAN)}
)
# Words of the case's tables, by language; English ones stand as they are.
VALUES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({"en": {}, "de": MappingProxyType(GERMAN_VALUES)})
# What stands between thousands.
_MARKS: Final = {"en": ",", "de": "."}


class Words:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        """Raises UsageError for a language that has no texts."""
        if language not in LANGUAGES:
            raise UsageError(f"There is no report in '{language}'; there is one in: {', '.join(LANGUAGES)}.")
        self.language = language
        self._texts = LANGUAGES[language]

    def __call__(self, key: str, **values: object) -> str:
        """The sentence ``key`` with its values."""
        text = self._texts[key]
        if "|" in text:
            one, many = text.split("|")
            text = one if values.get("n") == 1 else many
        if self.language != "en":
            values = {name: _Number(v) if isinstance(v, int) and v is not True else v for name, v in values.items()}
        return text.format(**values)

    def number(self, value: int) -> str:
        """A number with this language's mark between thousands."""
        return f"{value:,}".replace(",", _MARKS[self.language])

    def recorded(self, text: str) -> tuple[str, bool]:
        """A sentence of the case's tables in this language; as it is, and True, where this language has none."""
        catalogue = _catalogue(self.language)
        told = text if catalogue is None else catalogue.told(text)
        return (text, True) if told is None else (told, False)

    def value(self, text: str) -> str:
        """A word of a table in this language; what is none of ours stays as it is."""
        return VALUES[self.language].get(text, text)


@cache
def _catalogue(language: str) -> Catalogue | None:
    """What the tables can say in a language; None where that is the language of the tables."""
    return None if language == "en" else Catalogue(pairs(language), VALUES[language])


class _Number(int):
    """A number that other languages than English part by stops."""

    def __format__(self, form: str) -> str:
        return int.__format__(int(self), form).replace(",", ".")
