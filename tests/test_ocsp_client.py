"""Asking a responder: bounded in every way, and nothing else in the product opens a connection."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import carecover
from carecover import ocsp_client
from carecover.errors import RefusedError, RunError, UsageError
from tests.proof.authority import TestCA
from tests.proof.conftest import NOW

Handle = Callable[[BaseHTTPRequestHandler, bytes], None]
Serve = Callable[[Handle], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server on loopback that does with each POST what the story wants; gives its URL."""
    servers: list[HTTPServer] = []

    def start(handle: Handle) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                handle(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/ocsp?a=b"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def reply(body: bytes, status: int = 200, **headers: str) -> Handle:
    def handle(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return handle


def ask(url: str, serials: tuple[str, ...] = ("4400",)) -> list[tuple[str, bytes]]:
    return list(ocsp_client.ask(url, [(serial, b"question " + serial.encode()) for serial in serials]))


def test_each_serial_is_asked_about_in_a_post_of_its_own(serve: Serve) -> None:
    seen: list[tuple[str, str | None, bytes]] = []

    def handle(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append((handler.path, handler.headers["Content-Type"], body))
        reply(b"answer to " + body)(handler, body)

    assert ask(serve(handle), ("01", "02")) == [("01", b"answer to question 01"), ("02", b"answer to question 02")]
    assert seen == [("/ocsp?a=b", "application/ocsp-request", b"question " + s) for s in (b"01", b"02")]


def test_a_question_names_the_certificate_by_hashes_and_has_no_nonce() -> None:
    ca = TestCA(NOW)
    request = ocsp.load_der_ocsp_request(ocsp_client.question(ca.certificate.public_bytes(Encoding.DER), "4400ff"))
    assert request.serial_number == 0x4400FF
    leaf = ca.issue(0x4400FF)
    known = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert request.issuer_key_hash == known
    assert len(request.extensions) == 0


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    reached: list[bytes] = []
    other = serve(lambda _, body: reached.append(body))
    with pytest.raises(RunError, match="HTTP status 302"):
        ask(serve(reply(b"", 302, Location=other)))
    assert reached == []


@pytest.mark.parametrize("status", [404, 500, 401])
def test_another_status_is_no_answer(serve: Serve, status: int) -> None:
    with pytest.raises(RunError, match=f"HTTP status {status}"):
        ask(serve(reply(b"<html>", status)))


def test_an_answer_that_is_too_large_is_not_taken(serve: Serve) -> None:
    with pytest.raises(RunError, match="more than 65536 bytes"):
        ask(serve(reply(b"x" * (ocsp_client.MAX_ANSWER_BYTES + 1))))


def test_nobody_at_home(serve: Serve) -> None:
    del serve
    with pytest.raises(RunError, match="cannot be asked"):
        ask("http://127.0.0.1:1/")


def test_a_responder_that_trickles_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes within the timeout of a single read; the whole answer never does."""
    monkeypatch.setattr(ocsp_client, "TIMEOUT", 0.5)
    stop = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
        for _second in range(600):
            if stop.wait(0.1):
                return
            handler.wfile.write(b"X-More: a\r\n")

    url = serve(trickle)
    try:
        with pytest.raises(RunError, match="too slow"):
            ask(url)
    finally:
        stop.set()


def test_all_answers_together_have_an_end_too(serve: Serve) -> None:
    moments = iter([0.0, 1.0, 121.0])
    answers = ocsp_client.ask(serve(reply(b"answer")), [("01", b""), ("02", b"")], clock=lambda: next(moments))
    assert next(answers) == ("01", b"answer")
    with pytest.raises(RunError, match="the rest was left out"):
        next(answers)


def test_too_many_questions_are_not_begun() -> None:
    with pytest.raises(RefusedError, match="1001 serial numbers"):
        ask("http://127.0.0.1:1/", tuple(f"{n:04x}" for n in range(1, 1002)))


@pytest.mark.parametrize(
    "url",
    [
        "", "ocsp", "ftp://a/", "file:///etc/passwd", "ldap://a/", "http://", "http:///x", "http://a b/",
        "http://a/\r\nX: y", "http://user:secret@a/", "http://a:0/", "http://a:99999/", "http://a:x/", "http://[::1/", "http://a/#b",
        "http://ä/", "http://a/" + "x" * 3000, "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_responder_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError):
        ask(url)


def test_nothing_else_in_the_product_opens_a_connection() -> None:
    """Promise 12: nothing calls home. The laboratory listens, on loopback, through JupyterLab."""
    network = {
        "socket",
        "ssl",
        "http",
        "urllib.request",
        "ftplib",
        "smtplib",
        "requests",
        "httpx",
        "aiohttp",
    }
    package = Path(carecover.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name in network or name.split(".")[0] in network for name in names):
                found.add(path.name)
    assert found == {"ocsp_client.py"}
    # A kernel's own loop is looked at now and then; what opens connections of it is named nowhere.
    asks = re.compile(r"\b(open_connection|create_connection|create_server|start_server|open_unix_connection)\b")
    assert not [path.name for path in package.rglob("*.py") if asks.search(path.read_text(encoding="utf-8"))]
