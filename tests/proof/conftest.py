"""One planned certificate and the tables around it, each story changing one thing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.model import TABLES, Plan, PlanItem
from carecover.proof import Transcript, judge, read_transcript

NOW = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
SERIAL = "6300000a28deadbeef000000000a28"
ROW_HASH = "ab" * 20
OWN: dict[str, object] = {
    "certificate_sha256": "c" * 64,
    "subject": "CN=CA",
    "key_id": "aa",
    "ca_version": 0,
    "not_after": NOW + timedelta(days=3650),
}

ITEM = PlanItem(
    number=1,
    finding_id="orphaned-1",
    serial=SERIAL,
    kind="orphaned",
    action="revoke",
    reason=5,
    method="dummy",
    certificate_sha256=None,
    expected_thumbprint=None,
    not_after="2027-03-01T00:00:00Z",
    ca_cert_index=0,
    ca_key_index=0,
    hash_waived=False,
    original_reason=None,
    original_revoked_at=None,
    subject=None,
    requester=None,
    template=None,
    note=None,
    decided_by="Anna",
)


def crl(name: str, number: object, **changes: object) -> dict[str, object]:
    """A base CRL of key 0, signed by the CA and in force."""
    return {
        "crl_sha256": name,
        "crl_number": None if number is None else str(number),
        "this_update": NOW - timedelta(hours=1),
        "next_update": NOW + timedelta(days=7),
        "is_delta": False,
        "signed_by_ca": True,
        "ca_version": 0,
        "issuer": "CN=CA",
    } | changes


def answer(status: str, **changes: object) -> dict[str, object]:
    """An OCSP answer about the serial number, signed by a responder that the CA authorised, made from the new CRL."""
    return {
        "response_sha256": f"answer-{status}",
        "serial": SERIAL,
        "status": status,
        "reason": 5 if status == "revoked" else None,
        "this_update": NOW - timedelta(hours=1),
        "next_update": NOW + timedelta(days=7),
        "produced_at": NOW - timedelta(minutes=1),
        "responder": "CN=Responder",
        "signed_by_ca": True,
        "signer_key_index": 0,
    } | changes


@dataclass
class Story:
    """A revocation planned with reason 5 after CRL 412, and what was found afterwards."""

    item: PlanItem = ITEM
    last: dict[str, str] = field(default_factory=lambda: {"0": "412"})
    crls: list[dict[str, object]] = field(default_factory=lambda: [crl("new", 414)])
    entries: list[dict[str, object]] = field(
        default_factory=lambda: [{"crl_sha256": "new", "serial": SERIAL, "reason": 5}]
    )
    before: list[dict[str, object]] = field(default_factory=lambda: [crl("old", 412)])
    rows: list[dict[str, object]] | None = None
    points: list[dict[str, object]] = field(default_factory=list)
    fetched: list[dict[str, object]] = field(default_factory=list)
    answers: list[dict[str, object]] = field(default_factory=list)
    certificates: list[dict[str, object]] = field(default_factory=list)
    own: list[dict[str, object]] = field(default_factory=lambda: [OWN])
    log: list[str] | None = None
    log_digest: str | None = None
    whole: bool = True
    failure: datetime | None = None

    def change(self, **changes: Any) -> Story:
        """Change the planned item."""
        self.item = replace(self.item, **changes)
        return self

    @property
    def plan(self) -> Plan:
        """The plan of this one item."""
        return Plan("case", "CA", None, "c" * 64, {"0": "c" * 64}, 99, self.last, (self.item,))

    def transcripts(self) -> list[Transcript]:
        """The log as the bundle would have written it."""
        if self.log is None:
            return []
        lines = [f"@@CR plan {self.log_digest or self.plan.digest}", "@@CR phase apply unknown", *self.log]
        return [read_transcript("\r\n".join(lines).encode())]

    def outcome(self) -> dict[str, Any]:
        """The one row that judge gives."""

        def frame(name: str, rows: list[dict[str, object]]) -> pd.DataFrame:
            return TABLES[name].frame(rows)

        outcomes = judge(
            self.plan,
            transcripts=self.transcripts(),
            view=None if self.rows is None else frame("ca_rows", self.rows),
            crls=frame("crls", self.crls),
            crl_entries=frame("crl_entries", self.entries),
            before_crls=frame("crls", self.before),
            now=NOW,
            cdp_crls=frame("crls", self.points),
            responses=frame("ocsp_responses", self.answers),
            fetched=frame("fetched", self.fetched),
            certificates=frame("certificates", self.certificates),
            ca_certificates=frame("certificates", self.own),
            view_is_whole=self.whole,
            failure=self.failure,
        )
        assert list(outcomes.columns) == [c.name for c in TABLES["outcomes"].columns]
        assert len(outcomes) == 1
        return {str(name): value for name, value in outcomes.to_dict("records")[0].items()}

    def verdict(self) -> tuple[str, str]:
        """The word and the sentence."""
        row = self.outcome()
        return row["verdict"], row["why"]


@pytest.fixture
def story() -> Story:
    """A story that ends well."""
    return Story()
