"""Made-up incidents with known truth, and a simulated CA to rehearse on.

    make_incident(Scenario(seed=1, certificates=200)) → Incident     .files(), .truth, .write(directory)
    SimulatedCA.from_evidence(…) / .from_state(incident.restored)    answers certutil's verbs
    SimulatedHost(ca).execute(directory, "revoke.cmd", ["preflight"], print)

What is only assumed about real CAs is a switch of ``Behaviour``.
"""

from carecover.simulator.behaviour import Behaviour, Faults
from carecover.simulator.ca import SimulatedCA
from carecover.simulator.host import SimulatedHost
from carecover.simulator.incident import Incident, Scenario, make_incident

__all__ = ["Behaviour", "Faults", "Incident", "Scenario", "SimulatedCA", "SimulatedHost", "make_incident"]
