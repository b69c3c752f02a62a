"""A simulated server: runs a bundle's batch files beside a simulated CA.

``SimulatedHost`` is a backend as the run of a bundle wants one (``execute``): the very file
that is carried to the CA is interpreted, line by line, in the folder it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from carecover.errors import PathError, RunError
from carecover.simulator import behaviour as known
from carecover.simulator.ca import HangError, KilledError, SimulatedCA
from carecover.simulator.cmd import Script, run
from carecover.simulator.commandline import UnsupportedCallError
from carecover.simulator.windows import CallResult, Folder, Program, fc, find, reg, tzutil, wevtutil, whoami

# As carecover.proof.transcript knows it.
_MARK: Final = b"@@CR simulated\r\n"
_CERT_ENROLL: Final = "C:\\Windows\\System32\\CertSrv\\CertEnroll\\"


class SimulatedHost:
    """The server of one simulated CA.

    ``elevated`` tells how the command prompt was opened, ``administrator`` whether its account is one, ``environment``
    which variables were set in it (COMPUTERNAME is the CA's server), ``logs`` what its event logs hold (channel →
    XML), ``enrolled`` what lies in CertEnroll (file name → bytes), ``cluster`` whether it is a node of a cluster.
    ``says_so``: logs and views end with a line by which anybody can tell them from those of a CA.
    """

    name: Final = "simulator"

    def __init__(
        self,
        ca: SimulatedCA,
        *,
        elevated: bool = True,
        administrator: bool = True,
        environment: Mapping[str, str] | None = None,
        logs: Mapping[str, bytes] | None = None,
        enrolled: Mapping[str, bytes] | None = None,
        cluster: bool = False,
        says_so: bool = False,
    ) -> None:
        self._ca = ca
        self._whoami = whoami(elevated=elevated, administrator=administrator)
        self._cluster = cluster
        self._says_so = says_so
        self._environment = {"COMPUTERNAME": ca.computer, **(environment or {})}
        self._logs = dict(logs or {})
        self._outside = {_CERT_ENROLL + name: data for name, data in (enrolled or {}).items()}

    @property
    def details(self) -> Mapping[str, str]:
        """Nothing: there is no machine."""
        return {}

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        """Run ``script`` in ``directory``, where it leaves its logs, and return its exit code.

        Raises PathError where the script is missing, RefusedError where it is outside the
        form of carecover's batches, and RunError where it would hang at a dialog or was
        killed.
        """
        try:
            data = (directory / script).read_bytes()
        except OSError as error:
            raise PathError(f"{directory / script} cannot be read: {error.strerror}. Write the bundle again.") from None
        before = _sizes(directory)
        try:
            return run(
                Script.parse(data, script),
                Folder(directory, self._outside, self._ca.room),
                self.programs,
                arguments=arguments,
                now=lambda: self._ca.now,
                on_output=on_output,
                environment=self._environment,
            )
        except HangError as error:
            raise RunError(f"{script} did not come back in time: {error}") from None
        except KilledError as error:
            raise RunError(f"{script} was interrupted: {error} Run it again; it goes on where the CA stands.") from None
        finally:
            if self._says_so:
                for kept, size in _sizes(directory).items():
                    if size != before.get(kept):
                        with kept.open("ab") as file:
                            # A line that was cut off must not swallow it.
                            file.write(b"\r\n" + _MARK)

    @property
    def programs(self) -> Mapping[str, Program]:
        """What a batch can start on this server: file name in lower case → program."""
        return {
            "certutil.exe": self._certutil,
            "find.exe": find,
            "fc.exe": fc,
            "whoami.exe": self._whoami,
            "wevtutil.exe": wevtutil(self._logs),
            "reg.exe": reg(self._ca.hive.reg_file(), cluster=self._cluster),
            "tzutil.exe": tzutil,
        }

    def _certutil(self, arguments: Sequence[str], folder: Folder) -> CallResult:
        try:
            return self._ca.certutil(arguments, folder)
        except UnsupportedCallError as error:
            # A batch has to live with any answer; the words stay in its log.
            return CallResult(known.signed(known.INVALID_PARAMETER), str(error).encode("ascii", "replace") + b"\r\n")


def _sizes(directory: Path) -> dict[Path, int]:
    """The logs and views of a bundle as they are now."""
    kept = (*(directory / "logs").glob("*.log"), *(directory / "out").glob("*view.txt"))
    return {file: file.stat().st_size for file in kept}
