"""The journal as CASE/UCO: what the ontology's own shapes accept, and nothing of the journal is left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from carecover.case import Case
from carecover.journal import Journal
from carecover.provenance import case_uco
from tests.small_case import Clock

# The ontology comes with the program: nothing is fetched.
VALIDATE: Final = [
    *(sys.executable, "-c", "from case_utils.case_validate import main; main()"),
    "--built-version",
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path]:
    place = tmp_path_factory.mktemp("exported")
    (place / "mails").mkdir()
    hostile = '"><script>\u202e\\u0000 ü'
    for name in ("a.eml", f"{hostile.replace('/', '')}.eml"):
        (place / "mails" / name).write_bytes(b"From: a@example.org\r\n\r\n" + name.encode())
    case = Case.create(place / "case", clock=Clock(), ca=hostile[:20].replace("\u202e", ""))
    case.add([place / "mails", place / "mails" / "a.eml"])
    case.waive("undecided: later", by="Ada <Analyst>")
    case.report(place / "journal.jsonld")
    return case, place / "journal.jsonld"


def nodes(path: Path, kind: str) -> list[dict[str, Any]]:
    graph = json.loads(path.read_text(encoding="utf-8"))["@graph"]
    return [node for node in graph if node["@type"].endswith(f"/{kind}") or node["@type"].endswith(f":{kind}")]


def test_the_ontology_accepts_it(exported: tuple[Case, Path]) -> None:
    pytest.importorskip("case_utils")
    done = subprocess.run([*VALIDATE, "case-1.5.0", str(exported[1])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Conforms: True" in done.stdout


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", ["name", "hash", "time"])
def test_the_ontology_is_no_rubber_stamp(exported: tuple[Case, Path], tmp_path: Path, wrong: str) -> None:
    pytest.importorskip("case_utils")
    text = exported[1].read_text(encoding="utf-8")
    changed = {
        "name": text.replace('"uco-core:name": "create"', '"uco-core:name": ["create", "make"]'),
        "hash": text.replace('"uco-types:hashMethod": "SHA256",', ""),
        "time": text.replace("xsd:dateTime", "xsd:string"),
    }[wrong]
    assert changed != text
    (tmp_path / "wrong.jsonld").write_text(changed, encoding="utf-8")
    done = subprocess.run([*VALIDATE, "case-1.5.0", str(tmp_path / "wrong.jsonld")], capture_output=True, check=False)
    assert done.returncode != 0


def test_every_act_is_an_action_and_every_file_has_its_record(exported: tuple[Case, Path]) -> None:
    case, path = exported
    entries = list(Journal(case.path / "journal.jsonl").entries())
    assert [e.act for e in entries] == ["create", "add", "result", "waive", "report"]
    actions = nodes(path, "InvestigativeAction")
    assert [a["uco-core:name"] for a in actions] == [e.act for e in entries[:-1]], "the export itself comes after it"
    told = {
        a["uco-core:name"]: {f["uco-action:argumentName"]: f["uco-action:value"] for f in a["uco-core:hasFacet"]}
        for a in actions
    }
    for entry in entries[:-1]:
        for name, value in {**entry.details, **entry.how, "digest_of_record": entry.digest}.items():
            if name != "files":
                shown = told[entry.act][name]
                assert shown == value or json.loads(shown) == value
    assert [b.get("case-investigation:wasInformedBy", {}).get("@id") for b in actions[1:]] == [
        a["@id"] for a in actions[:-1]
    ]
    digests = {f["sha256"].upper() for f in entries[1].details["files"]}
    hashes = {
        facet["uco-observable:hash"]["uco-types:hashValue"]["@value"]
        for node in nodes(path, "ObservableObject")
        for facet in node["uco-core:hasFacet"]
        if "uco-observable:hash" in facet
    }
    assert digests <= hashes
    exhibits = [r["case-investigation:exhibitNumber"] for r in nodes(path, "ProvenanceRecord")]
    assert exhibits == ["E0001", "E0002"]
    (person,) = nodes(path, "Person")
    assert person["uco-core:name"] == "Ada <Analyst>"


def test_the_same_journal_gives_the_same_bytes(exported: tuple[Case, Path]) -> None:
    case, path = exported
    entries = list(Journal(case.path / "journal.jsonl").entries())
    assert case_uco(entries[:-1]) == path.read_bytes()
    assert case.check(against=[path]) == []
    ids = [node["@id"] for node in json.loads(path.read_bytes())["@graph"]]
    assert len(ids) == len(set(ids))
    assert json.loads(case_uco([]))["@graph"]
