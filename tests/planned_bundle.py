"""A plan made from an incident's truth, its bundle in a folder, and the restored CA that it is run on."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from carecover.model import Plan, PlanItem
from carecover.remediation import Backend, certificate_name, check_dummies, pinned_bundle, prepare_bundle
from carecover.simulator import Behaviour, Faults, Incident, Scenario, SimulatedCA, SimulatedHost, make_incident
from carecover.simulator import behaviour as known
from carecover.simulator.behaviour import EVERYTHING

BACKED = "backup/DataBase/certbkxp.dat"
DONE, OPEN, USAGE, REFUSED, ABORTED = 0, 1, 2, 3, 5

# What one certificate of the plan is to end as: disposition and reason.
State = tuple[int, int | None]


@cache
def incident() -> Incident:
    """One small incident for all tests of batches; it is never changed."""
    return make_incident(Scenario(seed=7, certificates=60, lost=12, releases=1, lost_revocations=2, holds=0))


class Bundle:
    """A plan, its files in a folder, and the CA it is run on."""

    def __init__(
        self,
        directory: Path,
        behaviour: Behaviour | None = None,
        plan: Plan | None = None,
        host: Callable[..., Backend] = SimulatedHost,
    ) -> None:
        self.host = host
        self.directory = directory
        self.plan = plan or make_plan()
        self.behaviour = behaviour or Behaviour()
        self.lines: list[str] = []
        self.ca = self.new_ca()
        self.write(prepare_bundle(self.plan, certificates()))
        self.back_up()

    def new_ca(self, faults: Faults | None = None, rights: frozenset[known.Right] = EVERYTHING) -> SimulatedCA:
        """The restored CA as it was when the view was exported."""
        return SimulatedCA.from_state(incident().restored, behaviour=self.behaviour, faults=faults, rights=rights)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files into the folder, as whoever carries the bundle does."""
        for name, data in files.items():
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_bytes(data)

    def finish(self) -> None:
        """What a person does after an interruption: the same again, to the end."""
        if not (self.directory / "revoke.cmd").exists():
            assert self.run("prepare.cmd", "GO") == DONE, self.lines
            self.pin()
        assert self.run("revoke.cmd", "apply") == DONE, self.lines
        assert self.run("revoke.cmd", "publish") == DONE, self.lines

    def run(
        self,
        script: str,
        *arguments: str,
        elevated: bool = True,
        environment: Mapping[str, str] | None = None,
        **server: bool,
    ) -> int:
        """The exit code of one script; ``server``: what else SimulatedHost may be told of it."""
        self.lines.clear()
        host = self.host(self.ca, elevated=elevated, environment=environment, **server)
        return host.execute(self.directory, script, arguments, self.lines.append)

    def back_up(self) -> None:
        """What a backup made by hand leaves: without it nothing is applied."""
        self.write({BACKED: b"restore map"})

    def pin(self) -> None:
        """Check the dummies and write the rest of the bundle."""
        names = [certificate_name(item) for item in self.plan.items if item.method == "dummy"]
        found = {name: (self.directory / name).read_bytes() for name in names if (self.directory / name).exists()}
        pins = check_dummies(self.plan, found, self.ca.stand_in_certificates)
        by_serial = {item.serial: found[certificate_name(item)] for item in self.plan.items if item.method == "dummy"}
        self.write(pinned_bundle(self.plan, certificates(), pins, by_serial))

    def ready(self) -> Bundle:
        """Prepared, pinned; nothing has been imported."""
        assert self.run("prepare.cmd", "GO") == DONE, self.lines
        self.pin()
        return self

    def states(self) -> dict[str, State | None]:
        """What the CA says of each planned serial number."""
        return states(self.ca, self.plan)


def states(ca: SimulatedCA, plan: Plan) -> dict[str, State | None]:
    """Disposition and reason of each planned serial number; None where the CA has no row."""
    table = ca.table()
    found = {}
    for serial, disposition, reason in zip(table["serial"], table["disposition"], table["reason"], strict=True):
        found[serial] = (int(disposition), None if reason is None or str(reason) == "<NA>" else int(reason))
    return {item.serial: found.get(item.serial) for item in plan.items}


@cache
def certificates() -> Mapping[str, bytes]:
    """Every certificate that a bundle may need, by SHA-256."""
    lost = [base64.b64decode(item["certificate"]) for item in incident().truth["lost"]]
    own = list(SimulatedCA.from_state(incident().restored).stand_in_certificates["der"])
    return {hashlib.sha256(data).hexdigest(): data for data in [*lost, *own]}


@cache
def make_plan() -> Plan:
    """Every action and method once or twice."""
    truth, ca = incident().truth, SimulatedCA.from_state(incident().restored)
    rows = ca.table().set_index("serial")
    own = ca.stand_in_certificates.iloc[-1]
    items: list[PlanItem] = []

    def add(serial: str, **values: object) -> None:
        base = {
            "number": len(items) + 1,
            "finding_id": f"finding {serial}",
            "serial": serial,
            "certificate_sha256": None,
            "expected_thumbprint": None,
            "not_after": None,
            "ca_cert_index": 0,
            "ca_key_index": 0,
            "hash_waived": False,
            "original_reason": None,
            "original_revoked_at": None,
            "subject": None,
            "requester": None,
            "template": None,
            "note": None,
            "decided_by": "Ada",
            "reason": None,
        }
        items.append(PlanItem(**{**base, **values}))  # type: ignore[arg-type]

    lost = truth["lost"]
    for item, reason in zip(lost[:3], (1, 0, 6), strict=True):
        original = {"certificate_sha256": item["certificate_sha256"], "expected_thumbprint": item["thumbprint"]}
        add(item["serial"], kind="orphaned", action="revoke", reason=reason, method="original", **original)
    for item, reason in zip(lost[3:6], (4, 0, 6), strict=True):
        end = {"not_after": item["not_after"]}
        add(item["serial"], kind="orphaned", action="revoke", reason=reason, method="dummy", **end)
    kept = lost[6]
    original = {"certificate_sha256": kept["certificate_sha256"], "expected_thumbprint": kept["thumbprint"]}
    add(kept["serial"], kind="orphaned", action="restore", method="original", **original)
    for item in truth["lost_revocations"]:
        row = {"expected_thumbprint": rows.loc[item["serial"], "thumbprint"]}
        add(item["serial"], kind="lost_revocation", action="revoke", reason=item["reason"], method="row", **row)
    for item in truth["lost_releases"]:
        row = {"expected_thumbprint": rows.loc[item["serial"], "thumbprint"]}
        add(item["serial"], kind="lost_release", action="unrevoke", method="row", **row)
    add(lost[7]["serial"], kind="orphaned", action="leave", method="none")
    return Plan(
        case="rehearsal",
        ca_name="Example Issuing CA 1",
        config=None,
        ca_certificate_sha256=own["certificate_sha256"],
        signer_sha256={"0": own["certificate_sha256"]},
        newest_request_id=int(rows["request_id"].max()),
        last_crl_numbers={"0": str(truth["crl"]["last_published"])},
        items=tuple(items),
    )


def planned(plan: Plan, *, released: bool = False) -> dict[str, State | None]:
    """What the CA says of each planned serial number when all is done; the release is undo.cmd's."""
    end: dict[str, State | None] = {}
    for item in plan.items:
        if item.action == "revoke":
            end[item.serial] = (21, item.reason)
        elif item.action == "unrevoke":
            end[item.serial] = (20, None) if released else (21, 6)
        else:
            end[item.serial] = (20, None) if item.action == "restore" else None
    return end


# As openssl words them; reason 0 is an entry without a reason.
REASONS = (
    *(None, "Key Compromise", "CA Compromise", "Affiliation Changed", "Superseded", "Cessation Of Operation"),
    "Certificate Hold",
)


def openssl_entries(crl: Path, ca: Path) -> dict[int, str | None]:
    """Serial number → reason of each entry, as openssl reads a list whose signature it has verified."""
    pem = crl.with_suffix(".ca.pem")
    subprocess.run(["openssl", "x509", "-inform", "DER", "-in", str(ca), "-out", str(pem)], check=True)
    command = ["openssl", "crl", "-inform", "DER", "-in", str(crl), "-CAfile", str(pem), "-noout", "-text"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    pem.unlink()
    assert "verify OK" in said.stderr + said.stdout
    found: dict[int, str | None] = {}
    for entry in said.stdout.split("Serial Number: ")[1:]:
        reason = re.search(r"X509v3 CRL Reason Code:\s+(.+)", entry)
        found[int(entry.split()[0], 16)] = reason[1].strip() if reason else None
    return found


def the_crl_says_what_the_plan_says(bundle: Bundle) -> None:
    """What was saved, in the eyes of openssl."""
    entries = openssl_entries(bundle.directory / "out" / "crl-0.crl", bundle.directory / "ca.cer")
    for item in bundle.plan.items:
        serial = int(item.serial, 16)
        if item.action == "revoke":
            assert entries[serial] == REASONS[item.reason or 0]
        elif item.action == "restore":
            assert serial not in entries
