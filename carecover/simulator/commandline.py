"""The command lines of certutil that a simulated CA understands; every other one is loud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from carecover.errors import CarecoverError

_VERBS: Final = frozenset(
    {
        *("view", "sign", "importcert", "revoke", "crl", "getcrl", "ca.cert", "ping", "hashfile", "getreg"),
        *("cainfo", "usage", "dump", "backupdb"),
    }
)
_WITH_VALUE: Final = frozenset({"config", "cert", "restrict", "out"})
_FLAGS: Final = frozenset({"gmt", "seconds", "silent", "v"})
# How certutil itself writes a verb in its last line.
_SPELLING: Final[Mapping[str, str]] = {
    **{"crl": "CRL", "getcrl": "GetCRL", "cainfo": "CAInfo", "usage": "uSAGE", "backupdb": "backupDB"},
}


# Verbs that ask the service or its database; the others work on files, the registry and the key.
SERVICE: Final = frozenset(
    {"view", "importcert", "revoke", "crl", "getcrl", "ca.cert", "cainfo", "ping", "backupdb"},
)


class RefusalError(Exception):
    """certutil answers with an HRESULT; ``said`` is what it prints before its last two lines."""

    def __init__(self, hresult: int, said: str = "") -> None:
        super().__init__(f"{hresult:#010x}")
        self.hresult = hresult
        self.said = said


class UnsupportedCallError(CarecoverError):
    """A call of certutil that no batch of carecover makes, so the simulated CA has no answer."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """One call, taken apart: verb, values in order, options with a value, flags."""

    verb: str
    values: tuple[str, ...]
    options: Mapping[str, str]
    flags: frozenset[str]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Self:
        """Take arguments apart, in whatever order and case they stand; raises UnsupportedCallError."""
        verb: str | None = None
        values: list[str] = []
        options: dict[str, str] = {}
        flags: set[str] = set()
        rest = iter(arguments)
        for argument in rest:
            name = argument[1:].lower()
            if not argument.startswith("-") or argument[1:].isdigit():
                values.append(argument)
            elif name in _WITH_VALUE:
                value = next(rest, None)
                if value is None:
                    raise UnsupportedCallError(f"certutil {argument} needs a value.")
                options[name] = value
            elif name in _FLAGS:
                flags.add(name)
            elif verb is None and name in _VERBS and (name != "usage" or argument == "-uSAGE"):
                verb = name
            else:
                # -f, -deleterow and the like are what carecover must never send.
                raise UnsupportedCallError(f"The simulated CA has no answer to certutil {' '.join(arguments)}.")
        if verb is None:
            raise UnsupportedCallError("certutil was called without a verb.")
        return cls(verb, tuple(values), options, frozenset(flags))

    @property
    def spelling(self) -> str:
        """The verb as certutil writes it in its last line."""
        return _SPELLING.get(self.verb, self.verb)

    def exactly(self, count: int) -> tuple[str, ...]:
        """The values, of which there must be ``count``."""
        if len(self.values) != count:
            raise UnsupportedCallError(
                f"certutil -{self.verb} takes {count} values here, not {' '.join(self.values) or 'none'}."
            )
        return self.values
