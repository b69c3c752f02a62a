"""The package as it is built: with the review grid where npm builds one, and without it where it cannot be built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PARTS = (
    "carecover", "grid", "notebooks", "data", "pyproject.toml", "README.md", "LICENSE", "start.py", "requirements.lock",
)  # fmt: skip
_BUILDS = """\
#!/bin/sh
case "$*" in *" run build"*)
  for name in grid.js grid.css LICENSES.txt; do echo made > {tree}/carecover/notebook/_grid/$name; done ;;
esac
"""
_FAILS = "#!/bin/sh\necho 'the registry cannot be reached' >&2\nexit 1\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The checkout, without anything that was built in it."""
    place = tmp_path / "tree"
    place.mkdir()
    for part in _PARTS:
        source = _ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("_grid", "node_modules", "__pycache__")
            shutil.copytree(source, place / part, ignore=ignored)
        elif source.is_file():
            shutil.copy(source, place / part)
    return place


def built(tree: Path, npm: str | None) -> set[str]:
    """Names in the wheel that is built where npm is this script, or is not there."""
    tools = tree.parent / "tools"
    tools.mkdir()
    if npm is not None:
        (tools / "npm").write_text(npm.format(tree=tree) if "{tree}" in npm else npm, encoding="utf-8")
        (tools / "npm").chmod(0o755)
    # Nothing is found but what lies there, and what the stand-in itself needs.
    environment = {**os.environ, "PATH": str(tools)}
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(line, cwd=tree, env=environment, check=True, capture_output=True)
    (wheel,) = (tree / "dist").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.skipif(os.name == "nt", reason="npm stands in as a script of a POSIX shell")
def test_where_npm_builds_the_grid_it_is_packed_with_its_licences(tree: Path) -> None:
    names = built(tree, _BUILDS)
    for name in ("grid.js", "grid.css", "LICENSES.txt"):
        assert f"carecover/notebook/_grid/{name}" in names
    assert "carecover/_notebooks/1-explore.ipynb" in names


@pytest.mark.skipif(os.name == "nt", reason="npm stands in as a script of a POSIX shell")
@pytest.mark.parametrize("npm", [_FAILS, None], ids=["failing", "absent"])
def test_without_npm_the_package_is_built_all_the_same(tree: Path, npm: str | None) -> None:
    names = built(tree, npm)
    assert not any(name.endswith(("grid.js", "grid.css")) for name in names)
    assert "carecover/notebook/grid.py" in names
