"""One piece of work in a process of its own: what has to be imported and loaded first, the work, what it found.

``python -m benchmarks.work NAME FOLDER FILE`` does it once and prints one line of JSON: the seconds of the
work alone, its peak of memory and what was in memory before it (MB), and what it found.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from benchmarks.truths import Truth


def _nothing(_result: Any) -> None:
    return None


def _as_it_is(folder: Path) -> Any:
    return folder


@dataclass(frozen=True)
class Work:
    """``do`` is timed: it gets what ``load`` made of the corpus's folder, and the name of the file."""

    do: Callable[[Any, str], Any]
    found: Callable[[Any], Truth | None] = _nothing
    """What was found, told when the clock has stopped."""
    load: Callable[[Path], Any] = _as_it_is


_CLEAR: Final = Path("/proc/self/clear_refs")
_STATUS: Final = Path("/proc/self/status")


def _peak_mb() -> float:
    """Most memory of this process since the last reset (Linux), else since its start; mapped pages count."""
    if _STATUS.is_file():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines() if ":" in line)
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 1000
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1_000_000 if sys.platform == "darwin" else 1000)


def once(name: str, folder: Path, file: str) -> dict[str, Any]:
    """Do the work of this name (``module.function``) once."""
    module, _, function = name.rpartition(".")
    work: Work = getattr(importlib.import_module(f"benchmarks.{module}"), function)()
    loaded = work.load(folder)
    gc.collect()
    with contextlib.suppress(OSError):
        # 5 resets the peak to what is in memory now.
        _CLEAR.write_text("5", encoding="ascii")
    before = _peak_mb()
    start = perf_counter()
    result = work.do(loaded, file)
    seconds = perf_counter() - start
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    peak = max(_peak_mb(), children)
    return {"seconds": seconds, "peak_mb": peak, "before_mb": before, "found": work.found(result)}


if __name__ == "__main__":
    print(json.dumps(once(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
