"""The panels that the notebooks show: skins over ``Case``, one call a step.

    from carecover.notebook import open_case, facts, add_evidence, …
    case = open_case("my-case")
    add_evidence(case)

Each function returns a widget that shows the case as it is, and whose buttons call the verb
of ``Case`` with its name. Run a cell again, restart the kernel, open the notebook tomorrow:
nothing is lost, because nothing is kept here. ``case`` itself is a plain ``carecover.Case``.
"""

from carecover.notebook.deciding import decide
from carecover.notebook.exploring import (
    add_evidence,
    baseline,
    coverage,
    findings,
    first_steps,
    open_case,
    timeline,
)
from carecover.notebook.exporting import batch
from carecover.notebook.learning import wordings
from carecover.notebook.pinning import pin
from carecover.notebook.proving import verify
from carecover.notebook.reporting import report
from carecover.notebook.running import rehearse, run
from carecover.notebook.signing import plan, sign
from carecover.notebook.stamping import stamp
from carecover.notebook.stating import facts
from carecover.report import use_offline_renderer

__all__ = [
    "add_evidence",
    "baseline",
    "batch",
    "coverage",
    "decide",
    "facts",
    "findings",
    "first_steps",
    "open_case",
    "pin",
    "plan",
    "rehearse",
    "report",
    "run",
    "sign",
    "stamp",
    "timeline",
    "verify",
    "wordings",
]

# Altair's own default asks a CDN for its scripts; whoever draws charts of a case's tables gets none of that.
use_offline_renderer()
