"""The journal in the words of CASE/UCO (https://caseontology.org), as JSON-LD: every act, every file, who and when.

Each act is an InvestigativeAction, each piece of evidence has a ProvenanceRecord, each file its SHA-256. Names of nodes
follow from the journal, so the same journal gives the same bytes. The tests hold what comes out against the
ontology's own shapes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from carecover.journal import GENESIS, Entry
from carecover.model import canonical_json

_CONTEXT: Final = {
    "kb": "urn:carecover:",
    "case-investigation": "https://ontology.caseontology.org/case/investigation/",
    "uco-action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "uco-core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "uco-identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
    "uco-observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "uco-tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "uco-types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
# Acts that bring files in; what the others name is what they made.
_BRINGING: Final = ("add", "verify")

_Node = dict[str, Any]


def case_uco(entries: Sequence[Entry]) -> bytes:
    """The whole journal as one JSON-LD document, in UTF-8."""
    graph = _Graph(entries[0].digest if entries else GENESIS)
    before: str | None = None
    for entry in entries:
        before = graph.act(entry, before)
    head = entries[-1].digest if entries else GENESIS
    name = str(entries[0].details.get("name", "")) if entries else ""
    bundle = {
        "@id": graph.name("Bundle", "all"),
        "@type": "uco-core:Bundle",
        "uco-core:name": name,
        # Under this label 'carecover check CASE --against FILE' finds it.
        "uco-core:description": f"journal_head {head}",
        "uco-core:object": [{"@id": node["@id"]} for node in graph.nodes.values() if node["@type"] in _OBJECTS],
    }
    nodes = [bundle, *graph.nodes.values()]
    text = json.dumps({"@context": _CONTEXT, "@graph": nodes}, ensure_ascii=False, indent=1)
    return (text + "\n").encode("utf-8")


_OBJECTS: Final = (
    "case-investigation:InvestigativeAction",
    "case-investigation:ProvenanceRecord",
    "uco-identity:Person",
    "uco-identity:Identity",
    "uco-observable:ObservableObject",
    "uco-tool:Tool",
)


class _Graph:
    """Nodes by their names, each once, in the order in which the journal speaks of them."""

    def __init__(self, first: str) -> None:
        self._space = uuid.uuid5(uuid.NAMESPACE_OID, first)
        self.nodes: dict[str, _Node] = {}

    def name(self, kind: str, key: str) -> str:
        """The name of a node: its kind, and a UUID that follows from the case and ``key``."""
        return f"kb:{kind}-{uuid.uuid5(self._space, f'{kind} {key}')}"

    def act(self, entry: Entry, before: str | None) -> str:
        """Put one act in, and all that it speaks of; returns its name. ``before`` is the act before it."""
        said = entry.details
        name = self.name("InvestigativeAction", entry.digest)
        at = {"@type": "xsd:dateTime", "@value": entry.at}
        version = entry.how.get("version") or str(said.get("version", ""))
        told = {k: v for k, v in said.items() if not (k == "files" or (k == "version" and not entry.how))}
        told |= {**entry.how, "number": entry.number, "digest_of_record": entry.digest}
        node: _Node = {
            "@id": name,
            "@type": "case-investigation:InvestigativeAction",
            "uco-core:name": entry.act,
            "uco-core:hasFacet": [self._argument(name, key, value) for key, value in sorted(told.items())],
            "uco-action:startTime": at,
            "uco-action:endTime": at,
            "uco-action:performer": {"@id": self._performer(entry)},
            "uco-action:instrument": {"@id": self._tool(version)},
        }
        if before is not None:
            node["case-investigation:wasInformedBy"] = {"@id": before}
        self.nodes[name] = node
        files = [self._file(f) for f in _files(said.get("files"))]
        if files and entry.act in _BRINGING:
            node["uco-action:object"] = [{"@id": file} for file in dict.fromkeys(files)]
            records = [self._provenance(entry, f, file) for f, file in zip(_files(said["files"]), files, strict=True)]
            node["uco-action:result"] = [{"@id": record} for record in records]
        elif files:
            node["uco-action:result"] = [{"@id": file} for file in dict.fromkeys(files)]
        elif isinstance(said.get("sha256"), str):
            made = self._file({"path": str(said.get("path", "decisions.jsonl")), "sha256": said["sha256"]})
            node["uco-action:result"] = [{"@id": made}]
        return name

    def _performer(self, entry: Entry) -> str:
        """Who is said to have done it; where nobody is named, the account that it was done from."""
        person = entry.details.get("by")
        if isinstance(person, str):
            return self._put("Person", person, {"@type": "uco-identity:Person", "uco-core:name": person})
        account = f"{entry.how.get('account', 'not recorded')} on {entry.how.get('host', 'not recorded')}"
        return self._put("Identity", account, {"@type": "uco-identity:Identity", "uco-core:name": account})

    def _tool(self, version: str) -> str:
        said = {"uco-core:name": "carecover", "uco-tool:version": version}
        return self._put("Tool", version, {"@type": "uco-tool:Tool", **said})

    def _argument(self, action: str, key: str, value: object) -> _Node:
        text = value if isinstance(value, str) else canonical_json(value).decode("utf-8")
        return {
            "@id": self.name("ActionArgumentFacet", f"{action} {key}"),
            "@type": "uco-action:ActionArgumentFacet",
            "uco-action:argumentName": key,
            "uco-action:value": text,
        }

    def _file(self, record: Mapping[str, Any]) -> str:
        """One file by its place and content."""
        path, sha256 = str(record["path"]), str(record["sha256"])
        key = f"{sha256} {path}"
        facet: _Node = {"@id": self.name("FileFacet", key), "@type": "uco-observable:FileFacet"}
        facet["uco-observable:filePath"] = path
        facet["uco-observable:fileName"] = path.replace("\\", "/").rsplit("/", 1)[-1]
        content: _Node = {
            "@id": self.name("ContentDataFacet", key),
            "@type": "uco-observable:ContentDataFacet",
            "uco-observable:hash": {
                "@id": self.name("Hash", key),
                "@type": "uco-types:Hash",
                "uco-types:hashMethod": "SHA256",
                # Upper case is the canonical spelling of xsd:hexBinary.
                "uco-types:hashValue": {"@type": "xsd:hexBinary", "@value": sha256.upper()},
            },
        }
        if "size" in record:
            facet["uco-observable:sizeInBytes"] = content["uco-observable:sizeInBytes"] = record["size"]
        facets = {"uco-core:hasFacet": [facet, content]}
        return self._put("ObservableObject", key, {"@type": "uco-observable:ObservableObject", **facets})

    def _provenance(self, entry: Entry, record: Mapping[str, Any], file: str) -> str:
        exhibit = str(record.get("evidence_id") or f"act {entry.number}")
        said = {"case-investigation:exhibitNumber": exhibit, "uco-core:object": {"@id": file}}
        kind = "case-investigation:ProvenanceRecord"
        return self._put("ProvenanceRecord", f"{entry.digest} {file}", {"@type": kind, **said})

    def _put(self, kind: str, key: str, body: _Node) -> str:
        name = self.name(kind, key)
        self.nodes.setdefault(name, {"@id": name, **body})
        return name


def _files(found: object) -> list[Mapping[str, Any]]:
    """The files of a record: those that came as they are, those that were made by name and SHA-256."""
    if isinstance(found, Mapping):
        return [{"path": name, "sha256": digest} for name, digest in found.items()]
    return list(found) if isinstance(found, list) else []
