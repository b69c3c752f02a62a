"""The wording that Microsoft documents for the SMTP exit module, and most administrators copy.

https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2003/cc773129(v=ws.10),
"Configuring the SMTP Exit Module". Marked as assumed: the titles of Startup, Shutdown and Imported (the
built-in texts are not published) and of a retrieved pending request.
"""

from __future__ import annotations

from typing import Final

from carecover.evidence.wording import CERTIFICATE, Line, Profile, Wording


def _lines(*given: tuple[str, str | None]) -> tuple[Line, ...]:
    """Lines of the form ``label: value``; a label without a colon of its own column is a text."""
    return tuple(Line(f"{label}:", (column,), ("",)) for label, column in given)


def _title(text: str) -> Line:
    """A title that ends in the name of the CA, or has it in its middle (``%1``)."""
    before, _, after = text.partition("%1")
    return Line(before.strip(), ("ca_name",), (after.strip(),))


_ISSUED: Final = (
    *_lines(
        ("Request ID", "request_id"),
        ("UPN", "upn"),
        ("Requester Name", "requester"),
        ("Serial Number", "serial"),
        ("Valid not before", "not_before"),
        ("Valid not after", "not_after"),
        ("Distinguished Name", "subject"),
        ("Certificate Template", "template"),
        ("Certificate Hash", "thumbprint"),
        ("Request Disposition Message", None),
    ),
    Line("Copy and paste the following in Notepad, save and install"),
    *_lines(("Binary Certificate", CERTIFICATE)),
)

MICROSOFT_SAMPLE: Final = Profile(
    "microsoft-sample",
    (
        Wording("issued", _title("Your certificate has been issued by %1"), _ISSUED, ("request_id", "serial")),
        # Assumed: the sample has no text for these two; the Issued list serves.
        Wording(
            "retrieve_pending",
            _title("Your certificate has been retrieved from %1"),
            _ISSUED,
            ("request_id", "serial"),
        ),
        Wording("imported", _title("A certificate was imported on %1"), _ISSUED, ("request_id", "serial")),
        Wording(
            "denied",
            _title("Your certificate request was denied by %1"),
            _lines(
                ("Your Request ID is", "request_id"),
                ("The Requester Name is", "requester"),
                ("The Request Submission Date was", None),
                ("Subject Name", "subject"),
                ("Request Disposition Message", None),
                ("Request StatusCode", None),
            ),
            ("request_id",),
        ),
        Wording(
            "pending",
            _title("Your certificate is pending on %1"),
            _lines(
                ("Request ID", "request_id"),
                ("UPN", "upn"),
                ("Requester Name", "requester"),
                ("Time submitted", None),
                ("Distinguished Name", "subject"),
                ("Certificate Template used", "template"),
                ("Request Disposition Message", None),
            ),
            ("request_id",),
        ),
        Wording(
            "revoked",
            _title("Your certificate was revoked by %1"),
            _lines(
                ("Request ID", "request_id"),
                ("Revoked when", None),
                ("Effective", "revoked_at"),
                ("Reason for being revoked", "reason"),
                ("UPN", "upn"),
                ("Requester Name", "requester"),
                ("Serial Number", "serial"),
                # Sic: NotBefore and NotAfter.
                ("Was not valid until", "not_before"),
                ("Was not valid after", "not_after"),
                ("Distinguished Name", "subject"),
                ("Certificate Template", "template"),
                ("Certificate Hash", "thumbprint"),
                ("Request Status", None),
            ),
            ("request_id", "serial"),
        ),
        Wording("crl_issued", _title("A new CRL was issued by %1")),
        # Assumed: the built-in texts of Startup and Shutdown are not published.
        Wording("startup", _title("The Certification Authority service on %1 has started")),
        Wording("shutdown", _title("The Certification Authority service on %1 has stopped")),
    ),
)
