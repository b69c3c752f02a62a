"""The house keeps its plan: who may import whom, and which names are public."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import carecover
from carecover.case import Case

PACKAGE = Path(carecover.__file__).parent

# design §3: each layer may import what stands before it; rooms of one layer not each other.
LAYERS = [
    {"errors"},
    {"model"},
    {"journal", "facts"},
    {"folder", "keys", "stamps", "provenance", "standing"},
    {"evidence", "analysis", "remediation", "proof", "simulator", "backends", "report"},
    {"register", "underway", "cluster"},
    {"bundles", "ocsp_client", "custody"},
    {"derivation"},
    {"case"},
    {"demo", "errand"},
    {"notebook"},
    {"cli"},
]
LEVEL = {room: level for level, layer in enumerate(LAYERS) for room in layer}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a module imports, anywhere in it (an import inside a function is one too)."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "carecover" else [module]
        elif isinstance(node, ast.ImportFrom):
            names = [f"carecover.{room_of(path)}"]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("carecover.")}
    return {room for room in rooms if room in LEVEL} - {room_of(path)}


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{path.name} is in no layer: put it into design §3 and into this test"
    wrong = {other for other in imported_rooms(path) if LEVEL[other] >= LEVEL[room]}
    assert not wrong, f"{room} may not import {', '.join(sorted(wrong))}"


def test_the_incident_maker_shares_no_code_with_the_readers() -> None:
    for path in (PACKAGE / "simulator").glob("*.py"):
        assert "evidence" not in imported_rooms(path)
        assert "carecover.evidence" not in path.read_text(encoding="utf-8")


def test_nothing_in_the_product_reads_the_truth() -> None:
    for path in MODULES:
        if room_of(path) not in {"simulator", "demo", "cli"}:
            assert "truth.json" not in path.read_text(encoding="utf-8"), path


def test_the_public_names_are_these() -> None:
    assert carecover.__all__ == [
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
    assert all(getattr(carecover, name) is not None for name in carecover.__all__)
    assert set(dir(carecover)) == set(carecover.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        carecover.nothing  # noqa: B018


def test_case_has_few_verbs_and_each_is_explained() -> None:
    public = {name: member for name, member in inspect.getmembers(Case) if not name.startswith("_")}
    assert len(public) <= 20, sorted(public)
    assert all(inspect.getdoc(member) for member in public.values())


def test_every_public_function_and_class_is_explained() -> None:
    bare = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} has no docstring"
        bare += [
            f"{path.name}: {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if not ast.get_docstring(node)
        ]
    assert not bare, bare


def test_a_long_module_says_why() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 600:
            docstring = (ast.get_docstring(ast.parse(text)) or "").casefold()
            assert "long" in docstring, f"{path} has {text.count(chr(10))} lines and does not say why"


def test_help_does_not_wait_for_pandas() -> None:
    slow = {"pandas", "pyarrow", "numpy", "cryptography", "altair", "distributed", "asyncio"}
    code = f"import sys, carecover.cli; carecover.cli.main(['--help']); sys.exit(bool({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1. Hand in the evidence" in done.stdout


def test_every_public_name_has_a_home() -> None:
    for name in carecover.__all__:
        if name != "__version__":
            assert hasattr(importlib.import_module(f"carecover.{carecover._HOMES[name]}"), name)
