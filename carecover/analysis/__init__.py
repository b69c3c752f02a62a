"""Tables → findings and coverage.

Three doors: ``assemble_baseline`` makes one database view of what was handed in (or asks),
``find_gap`` compares it with everything else, ``assess_coverage`` says how far to believe it.
All three are pure functions of tables.
"""

from carecover.analysis.baseline import Baseline, assemble_baseline
from carecover.analysis.coverage import assess_coverage
from carecover.analysis.gap import find_gap

__all__ = ["Baseline", "assemble_baseline", "assess_coverage", "find_gap"]
