"""What the figures were measured with: kind of machine and versions, and nothing that names either."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.peers import searcher

_OURS: Final = ("pandas", "pyarrow", "cryptography", "click")


def machine() -> str:
    """Processor, number of processors, memory and system in one sentence."""
    about = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", about.read_text(encoding="utf-8")) if about.is_file() else None
    processor = found[1] if found else platform.machine()
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"
    return f"{os.cpu_count()} × {processor}{memory}, {platform.system()}"


def versions(peers: Path) -> str:
    """Python, the libraries that carecover stands on, and the peers that are there."""
    told = [f"{platform.python_implementation()} {platform.python_version()}", f"carecover {version('carecover')}"]
    told += [f"{name} {version(name)}" for name in _OURS]
    for place in sorted(peers.glob("*.dist-info")):
        name, _, number = place.name.removesuffix(".dist-info").partition("-")
        told.append(f"{name.replace('_', '-')} {number}")
    said = subprocess.run([searcher(), "--version"], capture_output=True, text=True, check=False).stdout
    told.append(said.splitlines()[0] if said else Path(searcher()).name)
    return ", ".join(told)


def load() -> str:
    """How busy the machine is, as a person would say."""
    if not hasattr(os, "getloadavg"):
        return "unknown"
    busy = os.getloadavg()[0]
    return f"{busy:.1f} of {os.cpu_count()} processors were busy when it began"
