"""Evidence: files → tables.

``read`` is the driver: any file, told apart by content, with accounting and rejects. The
``read_*`` functions are for who wants one DataFrame and no case; they put what was counted
and what was rejected into ``.attrs["accounting"]`` (a dict) and ``.attrs["rejects"]`` (a
list of dicts). ``verify_signatures`` is the one place where a signature is believed.
"""

from __future__ import annotations

from carecover.evidence.configured import configured
from carecover.evidence.dates import DATE_FLAGS
from carecover.evidence.distant import Distant
from carecover.evidence.driver import MAIL_KINDS, kind_of, read, read_all, read_elsewhere, unexplained_mails
from carecover.evidence.excerpt import Excerpt, excerpt
from carecover.evidence.frames import read_certificates, read_crl, read_mail, read_view
from carecover.evidence.learning import Unexplained
from carecover.evidence.lint import lint_crls
from carecover.evidence.signatures import verify_responses, verify_signatures
from carecover.evidence.units import Context, RangeStore
from carecover.evidence.usage import profile_rows
from carecover.evidence.wording import Profile, Wording

READER_VERSION = "26"
"""Part of every cache key: to be raised whenever a reader would give other rows for the same bytes."""

__all__ = [
    "DATE_FLAGS",
    "MAIL_KINDS",
    "READER_VERSION",
    "Context",
    "Distant",
    "Excerpt",
    "Profile",
    "RangeStore",
    "Unexplained",
    "Wording",
    "configured",
    "excerpt",
    "kind_of",
    "lint_crls",
    "profile_rows",
    "read",
    "read_all",
    "read_certificates",
    "read_crl",
    "read_elsewhere",
    "read_mail",
    "read_view",
    "unexplained_mails",
    "verify_responses",
    "verify_signatures",
]
