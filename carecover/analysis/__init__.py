"""Tables → findings and coverage.

The doors: ``assemble_baseline`` makes one database view of what was handed in (or asks),
``find_gap`` compares it with everything else, ``assess_coverage`` says how far to believe it.
``make_impact`` and ``make_owners`` say what a revocation would hit. All are pure functions of tables.
"""

from carecover.analysis.baseline import Baseline, assemble_baseline
from carecover.analysis.coverage import assess_coverage
from carecover.analysis.gap import find_gap
from carecover.analysis.impact import make_impact, make_owners

__all__ = ["Baseline", "assemble_baseline", "assess_coverage", "find_gap", "make_impact", "make_owners"]
