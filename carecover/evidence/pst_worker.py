"""The process that reads an Outlook data file with libpff: run by ``pst``, it may crash or hang without harm.

It is a script and imports nothing of carecover. Its one argument is the file's path, or "-" for
the file itself on the standard input. It writes one JSON object a line: a message, a fault with
the place where it is, or at the end the numbers of messages found both ways. libpff's folder
tables list only what the tables say and its tree of items only what the nodes say; neither has
all of the other, so both are walked, and a message is its node.
"""

# ruff: noqa: ANN401 - nobody has written down the types of libpff

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

# What the process may use; libpff needs a gigabyte for a folder of 100,000 messages.
MEMORY_LIMIT: Final = 4 << 30
# A value or attached mail that is larger is told and left out.
MAX_VALUE: Final = 64 << 20
# Folders in folders, messages in messages.
MAX_DEPTH: Final = 50
# MAPI properties that make a letter, and those of attachments.
WANTED: Final = frozenset(
    (0x0037, 0x1000, 0x1013, 0x1009, 0x007D, 0x1035, 0x0071, 0x0039, 0x0E06, 0x5D01, 0x5D02, 0x0C1F, 0x0065)
) | {0x3FFD, 0x3FDE}
_NAMES: Final = (0x3707, 0x3704)
_MIME_TAG, _METHOD = 0x370E, 0x3705
# The lower five bits of a node's number say what it is ([MS-PST] 2.2.2.1).
_NORMAL_MESSAGE: Final = 4
_BEAT: Final = 200


def main() -> None:
    """Read the file that the arguments name."""
    limit_memory()
    import pypff  # noqa: PLC0415 - only here: the memory is limited first, and mypy has no types of it

    file = pypff.file()
    try:
        if sys.argv[1] == "-":
            file.open_file_object(io.BytesIO(sys.stdin.buffer.read()))
        else:
            file.open(sys.argv[1])
        tell_messages(file)
    except (OSError, ValueError, TypeError, MemoryError, OverflowError) as error:
        tell({"error": sentence(error)})


def limit_memory() -> None:
    """Bound the process's memory where the system can (POSIX)."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - there is none on Windows

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def tell(body: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.buffer.write(json.dumps(body).encode("ascii") + b"\n")
    sys.stdout.buffer.flush()


def sentence(error: BaseException) -> str:
    """What libpff says first, without its call stack."""
    return str(error).split(". ")[0][:300] or type(error).__name__


def tell_messages(file: Any) -> None:
    """Tell every message once, whichever way it is found."""
    seen: dict[int, set[str]] = {}
    folders: set[int] = set()
    waiting: list[tuple[Any, str, int]] = [(file.root_item, "", 0)]
    while waiting:
        item, place, depth = waiting.pop()
        for way, child in children(item, place):
            number = identifier(child, place)
            if number is None:
                continue
            if is_message(child, way, number):
                known = seen.setdefault(number, set())
                if not known:
                    tell_message(child, place)
                known.add(way)
            elif way == "tree" and type(child).__name__ == "folder" and number not in folders and depth < MAX_DEPTH:
                folders.add(number)
                waiting.append((child, folder_name(child, place), depth + 1))
    for number in range(count(file, "number_of_orphan_items", "")):
        orphan = fetched(file, "get_orphan_item", number, "orphans")
        node = None if orphan is None else identifier(orphan, "orphans")
        if node is not None and is_message(orphan, "orphans", node) and node not in seen:
            seen[node] = {"orphans"}
            tell_message(orphan, "orphans")
    ways = [*seen.values()]
    tell({"tree": sum("tree" in w for w in ways), "tables": sum("tables" in w for w in ways), "all": len(ways)})


def children(item: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What is in a folder, by its nodes and by its tables."""
    for way, number_of, get in (
        ("tree", "number_of_sub_items", "get_sub_item"),
        ("tables", "number_of_sub_messages", "get_sub_message"),
    ):
        for number in range(count(item, number_of, place)):
            if number % _BEAT == 0:
                tell({"beat": number})
            child = fetched(item, get, number, place)
            if child is not None:
                yield way, child


def count(item: Any, number_of: str, place: str) -> int:
    """How many there are of something; a folder that cannot say so is told."""
    try:
        return int(getattr(item, number_of, 0))
    except (OSError, MemoryError, ValueError, OverflowError) as error:
        # The tables of nodes that are no folders of messages cannot be read.
        if place and number_of != "number_of_sub_messages":
            tell({"fault": sentence(error), "place": place})
        return 0


def fetched(item: Any, get: str, number: int, place: str) -> Any:
    """One of them, or None; a fault is told, a kind that libpff has no name for is not (MemoryError)."""
    try:
        return getattr(item, get)(number)
    except MemoryError:
        return None
    except (OSError, ValueError, OverflowError) as error:
        tell({"fault": sentence(error), "place": f"{place}, item {number}"})
        return None


def identifier(item: Any, place: str) -> int | None:
    """The number of an item's node; one that has none is told."""
    try:
        return int(item.identifier)
    except (OSError, MemoryError, ValueError, OverflowError) as error:
        tell({"fault": sentence(error), "place": place})
        return None


def is_message(item: Any, way: str, number: int) -> bool:
    """True for a message; the tree has tables too that look like one."""
    return type(item).__name__ == "message" and (way == "tables" or number & 31 == _NORMAL_MESSAGE)


def folder_name(folder: Any, place: str) -> str:
    """The path of a folder in the file."""
    try:
        name = folder.name
    except (OSError, ValueError):
        name = None
    return f"{place}/{name}" if place and name else name or place


def tell_message(message: Any, place: str) -> None:
    """One message with what is attached to it."""
    try:
        tell({"id": message.identifier, "folder": place, "message": letter(message, 0)})
    except (OSError, MemoryError, ValueError, OverflowError) as error:
        tell({"fault": sentence(error), "place": f"{place}, node {message.identifier}"})


def letter(message: Any, depth: int) -> dict[str, Any]:
    """Properties and attached mails of a message."""
    body: dict[str, Any] = {"properties": properties(message, WANTED), "attached": [], "faults": []}
    for number in range(message.number_of_attachments):
        try:
            found = attached(message.get_attachment(number), depth)
        except (OSError, MemoryError, ValueError, OverflowError) as error:
            body["faults"].append(f"Attachment {number}: {sentence(error)}")
            continue
        if found is not None:
            body["attached"].append(found)
    return body


def attached(attachment: Any, depth: int) -> dict[str, Any] | None:
    """A mail that is attached, embedded or as a file; None for anything else."""
    about = properties(attachment, frozenset((*_NAMES, _MIME_TAG, _METHOD)))
    if attachment.number_of_sub_items:
        inner = attachment.get_sub_item(0)
        if depth >= MAX_DEPTH:
            raise ValueError("it lies in too many others")
        return {"embedded": letter(inner, depth + 1)} if type(inner).__name__ == "message" else None
    words = b"".join(base64.b64decode(value).replace(b"\0", b"").lower() + b"\n" for _, _, value in about)
    ends = words.split(b"\n")
    if not (any(word.endswith((b".eml", b".msg")) for word in ends) or b"message/rfc822" in ends):
        return None
    size = attachment.get_size()
    if size > MAX_VALUE:
        raise ValueError(f"it has more than {MAX_VALUE} bytes")
    return {"file": base64.b64encode(attachment.read_buffer(size)).decode("ascii")}


def properties(item: Any, wanted: frozenset[int]) -> list[tuple[int, int, str]]:
    """Number, type and value of the properties that are wanted."""
    found = []
    for number in range(item.number_of_record_sets):
        record_set = item.get_record_set(number)
        for place in range(record_set.number_of_entries):
            entry = record_set.get_entry(place)
            if entry.entry_type in wanted:
                data = entry.data or b""
                if len(data) <= MAX_VALUE:
                    found.append((entry.entry_type, entry.value_type, base64.b64encode(data).decode("ascii")))
    return found


if __name__ == "__main__":
    main()
