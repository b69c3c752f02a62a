"""Nothing that evidence or a person wrote reaches a batch: whatever the text, its bytes are those of the calm case.

Two doors: the plan (any text in any of its fields) and the case (evil mails, rows, certificates, facts and names go
through readers, findings, decisions and plan into a bundle on disk). That the same bytes then start the same programs
in Wine is shown in tests/wine.
"""

from __future__ import annotations

import base64
import csv
import io
import mailbox
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover import Case
from carecover.errors import CarecoverError
from carecover.model import Action, Plan
from carecover.remediation import certificate_name, check_dummies, grammar, pinned_bundle
from carecover.simulator import SimulatedCA, SimulatedHost, make_incident
from carecover.simulator.windows import OEM
from tests.remediation.conftest import ORPHAN, Incident, certificate
from tests.small_case import REVIEWER, SCENARIO, Clock, sign

# What does harm in some container of some cmd.exe, or looks like a marker of ours; each would leave a file "pwned".
EVIL: Final = (
    *("& echo x>pwned", '" & echo x>pwned & "', "| echo x>pwned", ") & echo x>pwned", "> pwned", ">>pwned", "<pwned"),
    *("x\r\necho x>pwned", "x\necho x>pwned", "x\recho x>pwned", "\r\n\r\necho x>pwned\r\n", "^", "x^\r\necho x>pwned"),
    *("%COMSPEC%", "%COMSPEC:~0,1%", "%0", "%~f0", "%~dp0", "%%", "%", "100% x", "!COMSPEC!", "!", "/?", "on", "off"),
    *('"', '""', "'", "`", "x\x00y", "\x1a", "\x1b[2J", "\x85echo x>pwned", "\u2028echo x>pwned", "\uff06 echo x"),
    *("\ufeff@echo off", "\u202eexe.dmc", "\u200b", "\u00e9\u00fc\u00df", "\ud800", "\udfff\ud800", "CON", "nul", "-f"),
    *(
        "..\\..\\x",
        "C:\\x",
        "\\\\host\\share",
        "find.cmd",
        "@@CR end 0",
        "@@CR 1 00 done 0",
        "$(id)",
        "`id`",
        "a" * 9000,
    ),
    *("certutil -deleterow 1", ":eof", "goto :eof", "rem", "%RANDOM%%TIME%", "' OR 1=1 --", "=cmd|' /C calc'!A0"),
)
# Half characters come no further than the doors (below): a plan is JSON in UTF-8.
_WHOLE: Final = tuple(word for word in EVIL if not re.search("[\ud800-\udfff]", word))
ANY = (
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.sampled_from(_WHOLE)
    | st.lists(st.sampled_from(_WHOLE)).map("".join)
)


@cache
def calm() -> tuple[Plan, Mapping[str, bytes], Any, bytes]:
    """The plan of the room's small incident, its certificates, the CA's own, and a dummy."""
    incident: Incident = _incident()
    return incident.plan(), incident.certificates, incident.ca_certificates, certificate(ORPHAN, subject="dummy")


def _incident() -> Incident:
    from tests.remediation import conftest  # noqa: PLC0415 - the fixture's own function

    made: Incident = conftest.incident.__wrapped__()  # type: ignore[attr-defined]
    return made


def bundle_of(plan: Plan) -> dict[str, bytes]:
    """The whole bundle of a plan, its dummy pinned."""
    _, certificates, own, dummy = calm()
    name = next(certificate_name(item) for item in plan.items if item.method == "dummy")
    return pinned_bundle(plan, certificates, check_dummies(plan, {name: dummy}, own), {ORPHAN: dummy})


@cache
def calm_bundle(config: str | None) -> dict[str, bytes]:
    return bundle_of(replace(calm()[0], config=config))


def batches(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.endswith(".cmd")}


def without_digest(data: bytes, plan: Plan) -> bytes:
    """The digest of a plan is of all its text: the one thing that must differ."""
    return data.replace(plan.digest.encode("ascii"), b"the digest")


# ------------------------------------------------------------------------------------ the plan

# Text for people. What else a plan holds is numbers, hashes and words of ours, and refused where it is not
# (test_bundle.py: "another kind").
OF_THE_PLAN: Final = ("case", "ca_name", "waivers")
OF_AN_ITEM: Final = (
    *("finding_id", "kind", "subject", "requester", "template", "note", "decided_by", "original_revoked_at"),
)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(ANY, min_size=len(OF_AN_ITEM) + 3, max_size=len(OF_AN_ITEM) + 3), config=ANY)
def test_whatever_a_plan_says_to_people_its_batches_are_the_same(texts: list[str], config: str) -> None:
    plan = calm()[0]
    case, ca_name, waiver, *of_item = texts
    items = tuple(
        replace(item, **{name: of_item[(n + item.number) % len(of_item)] for n, name in enumerate(OF_AN_ITEM)})  # type: ignore[arg-type]
        for item in plan.items
    )
    wild = replace(plan, case=case, ca_name=ca_name, waivers=(waiver,), items=items)
    same_batches(plan, wild)
    # A configuration string that is none of a host and a name is left out, as if nobody had given one.
    same_batches(replace(plan, config=None), replace(wild, config=config + "&"))


def same_batches(calm_plan: Plan, wild: Plan) -> None:
    files, before = bundle_of(wild), calm_bundle(calm_plan.config)
    assert files.keys() == before.keys(), "file names too"
    assert {"prepare.cmd", "revoke.cmd", "undo.cmd"} <= files.keys()
    for name, data in batches(files).items():
        grammar.check(data)
        assert without_digest(data, wild) == without_digest(before[name], calm_plan), name


@settings(max_examples=60, deadline=None)
@given(
    config=ANY
    | st.builds("{}\\{}".format, ANY, ANY)
    | st.from_regex(r"[0-9A-Za-z.-]{1,20}\\[0-9A-Za-z ._()&%^!'\"-]{1,20}", fullmatch=True)
)
def test_a_configuration_string_is_written_only_where_it_can_do_nothing(config: str) -> None:
    files = bundle_of(replace(calm()[0], config=config))
    for name, data in batches(files).items():
        grammar.check(data)
        written = re.findall(rb'set "CACONFIG=(.*)"', data)
        if re.fullmatch(r"[0-9A-Za-z.-]+\\[0-9A-Za-z ._()-]+", config):
            assert written in ([config.encode("ascii")], []), name
        else:
            assert written == [], name
            assert b"CACONFIG" not in data, name


# ------------------------------------------------------------------------------------ the case


def evil(n: int) -> str:
    return EVIL[n % len(EVIL)]


def evil_mailbox(data: Path, target: Path) -> None:
    """Every value of every notification that is not a number, a date or a hash is replaced."""
    labels = "Requester Name|UPN|Distinguished Name|Certificate Template|Certificate Template used|Request Disposition"
    at = iter(range(1 << 20))

    def bad(match: re.Match[str]) -> str:
        # A mail's line ends are the mail's own: a value with a line end is two lines, as in a real mail.
        return f"{match[1]}: {evil(next(at))}"

    pieces = []
    box = mailbox.mbox(data)
    for message in box:
        payload = message.get_payload(decode=True)
        if not isinstance(payload, bytes) or "Request ID:" not in (text := payload.decode("latin-1")):
            pieces.append(message.as_bytes(unixfrom=True))
            continue
        body = re.sub(rf"(?m)^({labels}): [^\r\n]*", bad, text).encode("utf-8", "surrogatepass")
        for name in ("Content-Type", "Content-Transfer-Encoding"):
            del message[name]
        message["Content-Type"] = 'text/plain; charset="utf-8"'
        message["Content-Transfer-Encoding"] = "base64"
        message.set_payload(base64.encodebytes(body).decode("ascii"))
        pieces.append(message.as_bytes(unixfrom=True))
    box.close()
    target.write_bytes(b"\n".join(pieces))


def evil_view(data: Path, target: Path) -> None:
    """Every text of a row but its serial, hash, number and dates."""
    text = data.read_bytes().decode(OEM)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    columns = [rows[0].index(name) for name in ("Requester Name", "Certificate Template", "Issued Common Name")]
    columns.append(rows[0].index("Issued Distinguished Name"))
    for n, row in enumerate(rows[1:]):
        for k, column in enumerate(columns):
            if row[column] != "EMPTY":
                row[column] = evil(n * len(columns) + k).replace("\0", "")
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    target.write_bytes(out.getvalue().encode("utf-8", "surrogatepass"))


def evil_certificates() -> Iterator[tuple[str, bytes]]:
    """The found certificates anew: same serial numbers, same key of the CA, other subjects."""
    authority = make_incident(SCENARIO).restored.authority
    key = ec.generate_private_key(ec.SECP256R1())
    for n, (name, pieces) in enumerate(make_incident(SCENARIO).files()):
        if not name.startswith("evidence/found/"):
            continue
        data = b"".join(pieces)
        old = x509.load_pem_x509_certificate(data) if data[:1] == b"-" else x509.load_der_x509_certificate(data)
        text = evil(n).encode("utf-8", "replace").decode()[:64] or "x"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        builder = x509.CertificateBuilder(
            old.issuer, subject, key.public_key(), old.serial_number, old.not_valid_before_utc, old.not_valid_after_utc
        ).add_extension(x509.SubjectAlternativeName([x509.DNSName(f"x{n}.example")]), critical=False)
        made = builder.sign(authority.key(0), hashes.SHA256())
        yield f"found-{n}.cer", made.public_bytes(serialization.Encoding.DER)


def evil_case(place: Path) -> Case:
    """An incident whose every text is evil; whoever works on it writes evil names and notes."""
    incident = place / "incident"
    make_incident(SCENARIO).write(incident)
    hand_in = place / "& echo x ^ %COMSPEC% !x!"
    hand_in.mkdir()
    evil_mailbox(incident / "evidence" / "mail" / "ca-mailbox.mbox", hand_in / 'a" & echo x & ".mbox')
    evil_view(incident / "evidence" / "database" / "view.csv", hand_in / "%0.csv")
    for name, data in evil_certificates():
        (hand_in / name).write_bytes(data)
    facts = {"time_zone": "Europe/Berlin", "failure": "2026-10-06T11:47:12Z", "backup": "2026-09-27T02:00:00Z"}
    named = {"ca": "Example Issuing CA 1", "date_order": "mdy", "config": 'pki01"&echo x>pwned&"\\Example %0'}
    try:
        case = Case.create(place / "case ^&!", clock=Clock(), **facts, **named)
    except CarecoverError:
        # Refused at the door; the name alone is as it may be.
        case = Case.create(place / "case ^&!", clock=Clock(), **facts, **{**named, "config": "pki01\\Example%0 & x"})
    case.add([hand_in, incident / "evidence" / "ca", incident / "evidence" / "crl"])
    return case


def decide_with_evil_words(case: Case) -> set[str]:
    """A decision for all that can be decided, each in the name of somebody evil; the words that were taken."""
    taken = set()
    findings = case.findings
    acts: dict[str, tuple[Action, int | None]] = {
        "orphaned": ("revoke", 6),
        "lost_revocation": ("revoke", 1),
        "lost_release": ("unrevoke", None),
    }
    acts |= {"serial_conflict": ("leave", None)}
    for n, row in enumerate(findings.to_dict("records")):
        if row["kind"] not in acts or not isinstance(row["serial"], str):
            continue
        action, reason = acts[row["kind"]]
        for shift in range(len(EVIL)):
            word = evil(n + shift)
            try:
                case.decide(
                    serials=[row["serial"]], action=action, reason=reason, by=f"Ada {word}"[:60], note=word[:200]
                )
            except CarecoverError:
                continue
            taken.add(word)
            break
    return taken


def test_an_evil_case_writes_batches_of_the_same_form(tmp_path: Path) -> None:
    case = evil_case(tmp_path)
    assert len(case.findings) >= 10, "the evidence was read"
    taken = decide_with_evil_words(case)
    assert len(taken) >= 5, "and somebody evil decided"
    case.waive('undecided: " & echo x>pwned & " %COMSPEC%', by=REVIEWER)
    plan = case.plan()
    read = "".join(str(getattr(item, name)) for item in plan.items for name in OF_AN_ITEM)
    assert sum(word in read for word in EVIL if len(word) > 3) >= 10, "evil reached the plan"
    sign(case)
    out = tmp_path / "bundle"
    case.batch(out)
    host = SimulatedHost(SimulatedCA.from_state(make_incident(SCENARIO).restored))
    if plan.needs_dummies:
        case.run(out, on=host)
        case.pin(out, by=REVIEWER)
    reference = bundle_of(calm()[0])
    written = {path.name: path.read_bytes() for path in out.rglob("*.cmd")}
    assert {"prepare.cmd", "revoke.cmd"} <= written.keys()
    for name, data in written.items():
        grammar.check(data)
        assert form(data) == form(reference[name]) or name not in reference, name
    names = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    plain = re.compile(
        r"(?:certs|dummies)/[0-9a-f]{2,40}\.cer|(?:logs|out|work)/[a-z0-9.-]+|[a-z]+\.(?:cmd|cer|html|json)|README\.txt"
    )
    assert [name for name in names if not plain.fullmatch(name)] == []


def form(data: bytes) -> list[bytes]:
    """A batch without its data: what stands in a line of data or of a setting is replaced, repetitions are one."""
    lines: list[bytes] = []
    for line in data.split(b"\r\n"):
        kept = re.sub(rb'^(call :(?:item|sign|save|files?|[a-z_]+)) ".*"$', rb"\1 data", line)
        kept = re.sub(
            rb'^set "(PLAN|CASHA|CASPACED|NEWEST|LASTCRL|CRLBEHIND|[A-Z]*)=[0-9a-f ]*"$', rb'set "\1=data"', kept
        )
        kept = re.sub(rb'^set "CAHOST=[0-9A-Za-z.-]*"$', b'set "CAHOST=data"', kept)
        kept = re.sub(
            rb'^(set "SEEK [0-9a-f]+=1"|if "(%SEEK [0-9a-f]+%)+%LEFT .*" call :unlisted ".*")$', b"data", kept
        )
        kept = re.sub(rb"@@CR calls [0-9]+|[0-9]+ (calls|minutes)|MAILS\+[0-9]+", b"data", kept)
        kept = kept.replace(b'-config "%CACONFIG%" ', b"")
        # Only a bundle that a case wrote names its journal.
        head = re.fullmatch(rb'>>"%LOG%" echo @@CR journal-head [0-9a-f]{64}', kept)
        if head or b'set "CACONFIG=' in kept or (lines and lines[-1] == kept):
            continue
        lines.append(kept)
    return lines


@pytest.mark.parametrize("word", [word for word in EVIL if word not in _WHOLE])
def test_half_characters_come_no_further_than_the_door(tmp_path: Path, word: str) -> None:
    case = Case.create(tmp_path / "case", clock=Clock())
    for door in (
        lambda: Case.create(tmp_path / "case", clock=Clock(), ca=f"Example {word}"),
        lambda: Case.create(tmp_path / "case", clock=Clock(), config=f"pki01\\Example {word}"),
        lambda: case.waive(f"undecided: {word}", by=REVIEWER),
        lambda: case.waive("undecided: so", by=f"Rob {word}"),
    ):
        with pytest.raises(CarecoverError):
            door()
