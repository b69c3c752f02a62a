"""What is proved about each decision: transcripts, later views, new CRLs and OCSP answers → outcomes.

    read_transcript(bytes) → Transcript        judge(plan, …) → table outcomes
    make_visibility(…) → table visibility      trusted_until(visibility) → datetime | None
    compare_lists(plan, …) → table crl_changes local_crl(…), issued_serials(…) → for an Online Responder

Knows nothing of what produced its inputs: a rehearsal, a run and a stranger's files are
judged by the same rules.
"""

from carecover.proof.changes import compare_lists, warnings_about
from carecover.proof.exports import issued_serials, local_crl
from carecover.proof.outcomes import judge
from carecover.proof.transcript import (
    MAX_TRANSCRIPT_BYTES,
    Run,
    Step,
    Transcript,
    is_simulated,
    is_transcript,
    read_transcript,
)
from carecover.proof.visibility import clock_sentence, make_visibility, remaining, trusted_until

__all__ = [
    "MAX_TRANSCRIPT_BYTES",
    "Run",
    "Step",
    "Transcript",
    "clock_sentence",
    "compare_lists",
    "is_simulated",
    "is_transcript",
    "issued_serials",
    "judge",
    "local_crl",
    "make_visibility",
    "read_transcript",
    "remaining",
    "trusted_until",
    "warnings_about",
]
