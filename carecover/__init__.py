"""carecover finds and revokes the certificates that a restored Microsoft CA no longer knows.

    >>> import carecover
    >>> case = carecover.Case.create("night", ca="Corp Issuing CA 1")  # doctest: +SKIP
    >>> case.add(["ca-mailbox.mbox", "view.txt", "ca.cer", "last.crl"])  # doctest: +SKIP
    >>> case.findings  # doctest: +SKIP

Without a case: ``read_mail``, ``read_view``, ``read_certificates`` and ``read_crl`` return
plain DataFrames, and ``find_gap`` compares them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from carecover.analysis import find_gap
    from carecover.bundles import Run
    from carecover.case import Case
    from carecover.errors import CarecoverError
    from carecover.evidence import read_certificates, read_crl, read_mail, read_view
    from carecover.model import TABLES, CaseFacts, Plan, RevocationReason, SerialNumber

__all__ = [
    "TABLES",
    "CarecoverError",
    "Case",
    "CaseFacts",
    "Plan",
    "RevocationReason",
    "Run",
    "SerialNumber",
    "__version__",
    "find_gap",
    "read_certificates",
    "read_crl",
    "read_mail",
    "read_view",
]

# Names are looked up when first used, so that `carecover --help` need not import pandas.
_HOMES = {
    "TABLES": "model",
    "CarecoverError": "errors",
    "Case": "case",
    "CaseFacts": "model",
    "Plan": "model",
    "RevocationReason": "model",
    "Run": "bundles",
    "SerialNumber": "model",
    "find_gap": "analysis",
    "read_certificates": "evidence",
    "read_crl": "evidence",
    "read_mail": "evidence",
    "read_view": "evidence",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    if name not in _HOMES:
        raise AttributeError(f"module 'carecover' has no attribute {name!r}")
    return getattr(importlib.import_module(f"carecover.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
