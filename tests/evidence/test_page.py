"""docs/evidence.md says what is read and within which limits; it must be true."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from carecover.evidence.driver import ARCHIVE, READERS, UNKNOWN

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")


def test_every_kind_of_evidence_is_named_with_its_tests() -> None:
    rows = dict(re.findall(r"^\|[^|]+\| `(\w+)` \|[^|]+\| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert set(rows) == {reader.kind for reader in READERS} | {ARCHIVE, UNKNOWN}
    for kind, tests in rows.items():
        for name in tests.split(", "):
            assert (ROOT / "tests" / "evidence" / f"{name}.py").is_file(), (kind, name)


def test_every_limit_is_what_the_page_says() -> None:
    limits = re.findall(r"^\| `(\w+)\.(\w+)` \| ([\d,]+) \|", PAGE, re.MULTILINE)
    assert len(limits) > 30
    for module, name, value in limits:
        stated = int(value.replace(",", ""))
        assert getattr(importlib.import_module(f"carecover.evidence.{module}"), name) == stated, name


# What is shown of a name, what follows from the limit of a text, what bounds a fallback, and twins of limits named.
SMALL = {
    "unpacking.MAX_SHOWN_NAME",
    "mail.MAX_TEXT_BYTES",
    "mime.MAX_STRUCTURED_HEADER",
    "pst_worker.MAX_DEPTH",
}


def test_no_limit_of_mails_and_archives_is_left_out() -> None:
    for module in ("unpacking", "zips", "tars", "mime", "mail", "ole", "pst_worker"):
        source = (ROOT / "carecover" / "evidence" / f"{module}.py").read_text(encoding="utf-8")
        for name in re.findall(r"^(MAX_\w+|MEMORY_LIMIT|RATIO_FREE): Final", source, re.MULTILINE):
            limit = f"{module}.{name}"
            assert (f"`{limit}`" in PAGE) != (limit in SMALL), limit
