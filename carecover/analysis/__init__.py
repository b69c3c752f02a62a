"""Tables → findings and coverage.

The doors: ``assemble_baseline`` makes one database view of what was handed in (or asks),
``find_gap`` compares it with everything else (``investigate`` also gives the
trail of request IDs and the CA's serial layout behind the findings), ``assess_coverage`` says how far to believe it,
(``assess_lists``: how far the CRLs alone reach),
``make_activity`` shows the days one by one, and ``list_first_steps`` says what to do first.
``make_impact`` and ``make_owners`` say what a revocation would hit. All are pure functions of tables.
"""

from carecover.analysis.activity import make_activity
from carecover.analysis.baseline import Baseline, assemble_baseline
from carecover.analysis.coverage import assess_coverage, assess_lists
from carecover.analysis.first_steps import Situation, list_first_steps
from carecover.analysis.gap import EVIDENCE, Evidence, Investigation, find_gap, investigate
from carecover.analysis.impact import make_impact, make_owners

__all__ = [
    "EVIDENCE",
    "Baseline",
    "Evidence",
    "Investigation",
    "Situation",
    "assemble_baseline",
    "assess_coverage",
    "assess_lists",
    "find_gap",
    "investigate",
    "list_first_steps",
    "make_activity",
    "make_impact",
    "make_owners",
]
