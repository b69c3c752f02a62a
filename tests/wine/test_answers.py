"""How the batches read what programs answer, in a real command interpreter: as in ours, and for the same reasons."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from carecover.simulator import Behaviour, Faults
from carecover.simulator.behaviour import Language
from tests.planned_bundle import ABORTED, DONE, OPEN, REFUSED, incident, make_plan
from tests.test_precautions import DISK_FULL, LDAP, is_dummy, is_row, one
from tests.wine.both import Both, WatchedBundle
from tests.wine.wine import Wine, WineHost

RESTORED = incident().truth["crl"]["restored"]


@pytest.mark.parametrize("language", ["de", "none"])
def test_a_high_serial_is_found_in_any_language(both: Both, language: Language) -> None:
    def story(bundle: WatchedBundle) -> None:
        bundle.ready()
        begun = len(bundle.seen.starts)
        for phase in ("apply", "publish", "status"):
            assert bundle.run("revoke.cmd", phase) == DONE, bundle.lines
        # Of the certificate: nothing but certutil is started.
        others = [start.program for start in bundle.seen.starts[begun:] if start.program != "certutil.exe"]
        assert len(others) <= 3 * 6, others

    behaviour = Behaviour(language=language, hash_spaced=True, high_serials_padded=language == "de")
    both(story, plan=one(is_dummy, serial="ff00000001"), behaviour=behaviour)


def test_the_backup_the_hints_and_the_accounts(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        shutil.rmtree(bundle.directory / "backup")
        assert bundle.run("revoke.cmd", "preflight") == DONE, bundle.lines
        assert any("mails" in line for line in bundle.lines)
        assert bundle.run("revoke.cmd", "preflight", cluster=True) == REFUSED
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        bundle.ca.faults = Faults(fail_verb={"backupdb": DISK_FULL})
        assert bundle.run("revoke.cmd", "backup") == ABORTED
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        bundle.ca.faults = Faults()
        assert bundle.run("revoke.cmd", "backup") == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "apply", "FIRST", elevated=False, administrator=False) == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "apply", "NOBACKUP") == DONE

    both(story, plan=one(is_row))


def test_a_batch_that_was_cut_off_does_nothing(both: Both, wine: Wine) -> None:
    def story(bundle: WatchedBundle) -> None:
        whole = (bundle.directory / "revoke.cmd").read_bytes()
        (bundle.directory / "revoke.cmd").write_bytes(whole[: whole.index(b'set "WHOLE=1"')])
        assert bundle.run("revoke.cmd", "preflight") == REFUSED
        assert bundle.run("revoke.cmd", "apply", "NOBACKUP") == REFUSED
        assert not bundle.ca.calls
        # All but the last certificate and what stands behind it: our interpreter reads no such file.
        (bundle.directory / "revoke.cmd").write_bytes(whole[: whole.rindex(b"call :item")])
        said: list[str] = []
        host = WineHost(bundle.ca, wine=wine)
        assert host.execute(bundle.directory, "revoke.cmd", ["apply", "NOBACKUP"], said.append) == REFUSED
        assert "not whole" in "".join(said)
        assert not bundle.ca.calls
        (bundle.directory / "revoke.cmd").write_bytes(whole)
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines

    both(story, plan=one(is_row))


def test_new_crls_are_counted_and_looked_through(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("revoke.cmd", "publish", "PARTIAL") == OPEN
        assert not any("not in the new CRL" in line for line in bundle.lines)
        assert bundle.run("revoke.cmd", "apply") == DONE
        bundle.ca.faults = Faults(fail_verb={"crl": LDAP})
        assert bundle.run("revoke.cmd", "publish") == ABORTED
        bundle.ca.faults = Faults()
        assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines

    both(story, plan=replace(one(is_row), last_crl_numbers={"0": str(RESTORED + 2)}))


def test_too_many_new_crls_are_asked_for_twice(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("revoke.cmd", "publish", "PARTIAL") == REFUSED
        assert any("MANY" in line for line in bundle.lines)
        assert bundle.ca.crls == {}

    both(story, plan=replace(make_plan(), items=(), last_crl_numbers={"0": str(RESTORED + 22)}))
