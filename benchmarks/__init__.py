"""What carecover costs, beside what a user would take instead. Run by ``python3 start.py bench``.

``corpora`` makes the evidence with the simulator, ``contests`` says who does which work,
``product`` and ``peers`` do it, ``measure`` runs each in a fresh process, in turn, and
``page`` writes what came of it into docs/performance.md. Nothing here is installed with
carecover, and no figure is a bare time: machines differ, and one machine differs from hour
to hour.
"""
