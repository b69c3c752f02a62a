"""A server for each test, and a bundle to run on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.sshd import Server, missing
from tests.planned_bundle import Bundle


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An sshd that obeys the test; gone at its end."""
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    with Server.begin(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle in a folder whose name would be several words to a shell."""
    place = tmp_path / "the bundle; $(echo) %TEMP% 'x'"
    place.mkdir()
    made = Bundle(place)
    # What is made at the server stays at the server.
    shutil.rmtree(place / "backup", ignore_errors=True)
    return made
