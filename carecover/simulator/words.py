"""certutil's words: the lines of success and failure in the languages that a source shows.

Where no source shows a word, it is English. Marks, for each language: *seen* is a literal capture, *fixture* a test's
text that was modelled on one. The prefix, the code and its symbol are the same in all of them.

    en  success and failure seen        de  both seen             fr  success seen, failure a fixture
    es  success seen                    it  success seen          pt-BR  success seen, failure a fixture
    ru  success seen                    ja  both seen             zh-CN  success seen, failure a fixture
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from carecover.simulator import behaviour as known
from carecover.simulator.behaviour import Language
from carecover.simulator.rendering import VIEW_COLUMNS
from carecover.simulator.windows import OEM

# The console code pages of these languages' Windows (Microsoft: "Code Page Identifiers"), as Python names them.
CODE_PAGES: Final[Mapping[Language, str]] = MappingProxyType({"ru": "cp866", "ja": "cp932", "zh-CN": "gbk"})


def encoded(text: str, language: Language) -> bytes:
    """What certutil writes into a redirected file: Windows' line ends, the console's code page, ``?`` for the rest."""
    return text.replace("\n", "\r\n").encode(CODE_PAGES.get(language, OEM), "replace")


@dataclass(frozen=True, slots=True)
class _Message:
    """An HRESULT's symbol and its sentence in the languages that are known."""

    symbol: str
    en: str
    de: str | None = None
    fr: str | None = None


# Symbols and English sentences: [MS-ERREF] 2.1.1.
_MESSAGES: Final[Mapping[int, _Message]] = MappingProxyType(
    {
        known.FILE_NOT_FOUND: _Message(
            "ERROR_FILE_NOT_FOUND",
            "The system cannot find the file specified.",
            "Das System kann die angegebene Datei nicht finden.",
            "Le fichier spécifié est introuvable.",
        ),
        known.PATH_NOT_FOUND: _Message("ERROR_PATH_NOT_FOUND", "The system cannot find the path specified."),
        known.ACCESS_DENIED: _Message(
            "ERROR_ACCESS_DENIED", "Access is denied.", "Zugriff verweigert", "Accès refusé."
        ),
        known.INVALID_DATA: _Message("ERROR_INVALID_DATA", "The data is invalid.", "Die Daten sind unzulässig."),
        known.FILE_EXISTS: _Message("ERROR_FILE_EXISTS", "The file exists.", "Die Datei ist vorhanden."),
        known.INVALID_PARAMETER: _Message(
            "ERROR_INVALID_PARAMETER",
            "The parameter is incorrect.",
            "Falscher Parameter.",
            "Paramètre incorrect.",
        ),
        known.DISK_FULL: _Message("ERROR_DISK_FULL", "There is not enough space on the disk."),
        known.DIRECTORY_NOT_EMPTY: _Message("ERROR_DIR_NOT_EMPTY", "The directory is not empty."),
        known.RPC_UNAVAILABLE: _Message(
            "RPC_S_SERVER_UNAVAILABLE",
            "The RPC server is unavailable.",
            "Der RPC-Server ist nicht verfügbar.",
            "Le serveur RPC n\u2019est pas disponible.",
        ),
        known.DS_OBJ_NOT_FOUND: _Message("ERROR_DS_OBJ_NOT_FOUND", "Directory object not found."),
        known.SILENT_CONTEXT: _Message(
            "NTE_SILENT_CONTEXT",
            "Provider could not perform the action since the context was acquired as silent.",
        ),
        known.CRYPT_E_NOT_FOUND: _Message("CRYPT_E_NOT_FOUND", "Cannot find object or property."),
        known.CRYPT_E_EXISTS: _Message("CRYPT_E_EXISTS", "The object or property already exists."),
        known.BAD_REQUESTSTATUS: _Message(
            "CERTSRV_E_BAD_REQUESTSTATUS",
            "The request's current status does not allow this operation.",
        ),
        known.PROPERTY_EMPTY: _Message("CERTSRV_E_PROPERTY_EMPTY", "The requested property value is empty."),
        known.ROLE_CONFLICT: _Message(
            "CERTSRV_E_ROLECONFLICT",
            "The operation is denied. The user has multiple roles assigned and the certification authority is "
            "configured to enforce role separation.",
        ),
        known.RESTRICTED_OFFICER: _Message(
            "CERTSRV_E_RESTRICTEDOFFICER",
            "The operation is denied. It can only be performed by a certificate manager that is allowed to manage "
            "certificates for the current requester.",
        ),
        known.NO_DB_SESSIONS: _Message(
            "CERTSRV_E_NO_DB_SESSIONS",
            "An attempt was made to open a Certification Authority database session, but there are already too many "
            "active sessions. The server may need to be configured to allow additional sessions.",
        ),
        known.CERT_SIGNATURE: _Message(
            "TRUST_E_CERT_SIGNATURE", "The signature of the certificate cannot be verified."
        ),
    }
)
_UNNAMED: Final = _Message("", "The operation failed.")
_WIN32: Final = 0x80070000

_COMPLETED: Final[Mapping[str, str]] = {
    "de": "-{verb}-Befehl wurde erfolgreich ausgeführt.",
    "fr": "-{verb} La commande s\u2019est terminée correctement.",
    "es": "-{verb} comando completado correctamente.",
    "it": "- Esecuzione comando {verb} riuscita.",
    "pt-BR": "-{verb} : comando concluído com êxito.",
    "ru": "-{verb} — команда успешно выполнена.",
    "ja": "-{verb} コマンドは正常に完了しました。",
    "zh-CN": "-{verb} 命令成功完成。",
}
_FAILED: Final[Mapping[str, str]] = {
    "de": "-{verb}-Befehl ist fehlgeschlagen: {code}",
    "fr": "-{verb} La commande a échoué : {code}",
    "pt-BR": "-{verb} comando FALHOU: {code}",
    "ja": "-{verb} コマンド エラーです: {code}",
    "zh-CN": "-{verb} 命令失败: {code}",
}


def code_text(hresult: int) -> str:
    """An HRESULT as certutil prints it: ``0x80070057 (WIN32: 87 ERROR_INVALID_PARAMETER)``."""
    symbol = _MESSAGES.get(hresult, _UNNAMED).symbol
    number = f"WIN32: {hresult & 0xFFFF}" if hresult & 0xFFFF0000 == _WIN32 else f"{known.signed(hresult)}"
    return f"{hresult:#010x} ({number}{' ' + symbol if symbol else ''})"


def sentence(hresult: int, language: Language) -> str:
    """The system's message for an HRESULT, in English where no translation is known."""
    message = _MESSAGES.get(hresult, _UNNAMED)
    return {"de": message.de, "fr": message.fr}.get(language) or message.en


def completed(verb: str, language: Language) -> str:
    """certutil's last line after success."""
    text = _COMPLETED.get(language, "-{verb} command completed successfully.").format(verb=verb)
    return f"CertUtil: {text}\n"


def failed(verb: str, hresult: int, language: Language) -> str:
    """certutil's last two lines after a failure; both go to standard output."""
    code = code_text(hresult)
    text = _FAILED.get(language, "-{verb} command FAILED: {code}").format(verb=verb, code=code)
    return f"CertUtil: {text}\nCertUtil: {sentence(hresult, language)}\n"


_GARBLED: Final = str.maketrans("aeiounAEIOUN", "äéîöüñÄÉÎÖÜÑ")


def garbled(text: str) -> str:
    """Every word outside quotes in a language that nobody reads; numbers, values and schema names stay."""

    def word(match: re.Match[str]) -> str:
        name = match[0] in VIEW_COLUMNS or match[0] == "CRLNumber"
        kept = name or match[0].startswith(("0x", '"')) or re.fullmatch("(?:[0-9a-f]{2})+", match[0])
        return match[0] if kept else match[0].translate(_GARBLED)

    return re.sub(r'"[^"]*"|[^\s"]+', word, text)
