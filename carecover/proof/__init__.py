"""What is proved about each decision: transcripts, later views and new CRLs → outcomes.

    read_transcript(bytes) → Transcript        judge(plan, …) → table outcomes
    last_trust_moment(crls) → datetime | None

Knows nothing of what produced its inputs: a rehearsal, a run and a stranger's files are
judged by the same rules.
"""

from carecover.proof.outcomes import judge, last_trust_moment
from carecover.proof.transcript import MAX_TRANSCRIPT_BYTES, Run, Step, Transcript, is_transcript, read_transcript

__all__ = [
    "MAX_TRANSCRIPT_BYTES",
    "Run",
    "Step",
    "Transcript",
    "is_transcript",
    "judge",
    "last_trust_moment",
    "read_transcript",
]
