"""A real JupyterLab with a real browser before it: what the stories of this folder are told with.

The server is started by the product's own ``carecover lab``. Every request that would leave this machine is refused
and remembered, and so is every error of a page or of the console: a story that ends with one has failed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Route, WebSocket, WebSocketRoute
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from carecover.notebook.lab import lay_out, start_lab

CHROMIUM: Final = Path("/usr/bin/chromium")
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
# A machine that does other things as well may be slow: this only bounds what hangs for ever.
PATIENCE_SECONDS: Final = 180
WIDE: Final = (1600, 1000)
NARROW: Final = (900, 1000)
# A notebook whose first cell is this one works as it does where the grid was never built.
_UNBUILT: Final = "from carecover.notebook import grid; grid.BUNDLE = grid.BUNDLE / 'never built'"
# What is drawn from the address bar or made by the page itself; everything else is a request.
_OF_THE_PAGE: Final = frozenset({"data", "blob", "about"})
# JupyterLab asks for a workspace or settings that nobody saved yet, and says so itself; and a kernel that is restarted
# may still close what the browser has closed already.
_HARMLESS: Final = re.compile(r"the server responded with a status of 404 \(Not Found\)|^Comm not found for comm id ")

_KERNEL_STATUS: Final = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status"
_IDLE: Final = f"() => ({_KERNEL_STATUS})() === 'idle'"


def missing() -> str | None:
    """What is lacking for a browser test, as a sentence; None where all is there."""
    if not CHROMIUM.is_file():
        return f"There is no {CHROMIUM} here: install Debian's package chromium to test in a real browser."
    return None


class Server:
    """JupyterLab as ``carecover lab`` starts it, in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        """Start it and wait until it answers; ``folder`` takes the notebooks and all that Jupyter keeps."""
        self.root = folder / "notebooks"
        self._runtime = folder / "jupyter" / "runtime"
        self._output = folder / "server.txt"
        own = {
            "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }  # fmt: skip
        self._own = {name: str(folder / "jupyter" / place) for name, place in own.items()}
        themes = folder / "jupyter" / "settings" / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
        themes.parent.mkdir(parents=True)
        # Light or dark as the browser prefers: so each story chooses for itself.
        themes.write_text(json.dumps({"adaptive-theme": True}), encoding="utf-8")
        flags = ["--no-browser", "--allow-root", "--ServerApp.port=0", "--LabApp.expose_app_in_browser=True"]
        start_lab(None, notebooks=self.root, arguments=flags, runner=self._start)
        self.address, self.token = self._answering()

    def _start(self, line: Sequence[str], environment: Mapping[str, str]) -> int:
        with self._output.open("wb") as output:
            own = {**environment, **self._own}
            self._process = subprocess.Popen(line, env=own, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        return 0

    def _answering(self) -> tuple[str, str]:
        """Address and token, by the file that the server writes; raises where it ended or never answers."""
        for _ in _patiently():
            assert self._process.poll() is None, self._printed()
            for file in self._runtime.glob("jpserver-*.json"):
                try:
                    known = json.loads(file.read_text(encoding="utf-8"))
                    address, token = f"http://127.0.0.1:{known['port']}/", str(known["token"])
                    with urllib.request.urlopen(f"{address}api/status?token={token}", timeout=10):  # noqa: S310
                        return address, token
                except (OSError, ValueError):
                    continue
        raise AssertionError(f"JupyterLab did not answer:\n{self._printed()}")

    def _printed(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def call(self, method: str, path: str) -> Any:
        """Ask the server itself."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.address}api/{path}", method=method, headers=headers)  # noqa: S310 - its own
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            data = answer.read()
        return json.loads(data) if data else None

    def end(self) -> None:
        """End the server, and with it every kernel."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Seen:
    """What went on in a browser that nobody looks at."""

    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def route(self, route: Route) -> None:
        """Let through what stays on this machine; refuse and remember the rest."""
        if is_local(route.request.url):
            route.continue_()
        else:
            self.refused.append(route.request.url)
            route.abort()

    def socket(self, socket: WebSocket) -> None:
        """A socket cannot be refused here, but it can be seen."""
        if not is_local(socket.url):
            self.refused.append(socket.url)

    def console(self, message: ConsoleMessage) -> None:
        """Remember what the page complains of."""
        if message.type == "error" and not _HARMLESS.search(message.text):
            self.errors.append(f"console: {message.text}")


def is_local(url: str) -> bool:
    """True for this machine, and for what a page makes by itself."""
    parts = urlsplit(url)
    return parts.scheme in _OF_THE_PAGE or (parts.scheme in ("http", "ws") and parts.hostname == "127.0.0.1")


@dataclass
class Lossy:
    """A connection to the kernel on which the first message with each of these words is lost, either way."""

    words: list[bytes]
    lost: list[bytes] = field(default_factory=list)

    def route(self, page: WebSocketRoute) -> None:
        """Stand between page and server."""
        server = page.connect_to_server()
        page.on_message(lambda message: self._pass_on(message, server))
        server.on_message(lambda message: self._pass_on(message, page))

    def _pass_on(self, message: str | bytes, to: WebSocketRoute) -> None:
        data = message.encode() if isinstance(message, str) else message
        word = next((word for word in self.words if word in data), None)
        if word is None:
            to.send(message)
        else:
            self.words.remove(word)
            self.lost.append(word)


class Tab:
    """One tab with one notebook in it."""

    def __init__(self, server: Server, page: Page) -> None:
        self.page = page
        self._server = server

    def open(self, notebook: Path) -> None:
        """Open a notebook below the server's folder and wait until its kernel is idle."""
        path = quote(notebook.relative_to(self._server.root).as_posix())
        place = f"lab/workspaces/auto-{id(self.page)}/tree/{path}?reset&token={self._server.token}"
        self.page.goto(self._server.address + place)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE_SECONDS * 1000)
        self.idle()

    def idle(self) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(_IDLE, timeout=PATIENCE_SECONDS * 1000, polling=100)

    def status(self) -> object:
        """What the kernel does, as JupyterLab has it."""
        return self.page.evaluate(_KERNEL_STATUS)

    def command(self, name: str) -> None:
        """Carry out a command of JupyterLab, and wait for its end."""
        self.page.evaluate("name => window.jupyterapp.commands.execute(name).then(() => null)", name)

    def run_all(self) -> None:
        """Run every cell, wait for the end, and see that none of them failed."""
        self.command("notebook:run-all-cells")
        self.idle()
        assert self.error_outputs() == []

    def restart(self) -> None:
        """Restart the kernel, as the menu does but without its question; the panels that stand there are dead then."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        self.idle()

    def error_outputs(self) -> list[str]:
        """What cells printed that is no output: errors, and text on stderr."""
        found = self.page.locator(
            '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
        )
        return found.all_inner_texts()

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def panel(self, title: str) -> Panel:
        """The panel with this heading, scrolled to."""
        heading = self.page.get_by_role("heading", name=title, exact=True)
        found = self.page.locator(".carecover").filter(has=heading).first
        found.wait_for(state="attached", timeout=PATIENCE_SECONDS * 1000)
        found.scroll_into_view_if_needed(timeout=PATIENCE_SECONDS * 1000)
        return Panel(self, found)

    def picture(self, place: Path) -> Path:
        """What the window shows, as a PNG."""
        self.page.screenshot(path=place, timeout=PATIENCE_SECONDS * 1000)
        return place


class Panel:
    """One panel, worked as a person works it: by the names that stand on its controls."""

    def __init__(self, tab: Tab, at: Locator) -> None:
        self.tab, self.at = tab, at

    def put(self, label: str, value: str) -> None:
        """Type into the field with this label."""
        box = self.at.get_by_label(label, exact=True).first
        box.fill(value)
        box.blur()

    def choose(self, label: str, option: str) -> None:
        """Choose from the list with this label."""
        self.at.get_by_label(label, exact=True).first.select_option(label=option)

    def drop(self, files: Sequence[Path]) -> None:
        """Choose files in the browser's own dialog."""
        with self.tab.page.expect_file_chooser() as chooser:
            self.at.get_by_role("button", name=re.compile("Choose files")).click()
        chooser.value.set_files(files)
        self.says(re.compile(f"^{len(files)} files? ready"))

    def press(self, name: str, *, until: str | re.Pattern[str]) -> str:
        """Press a button and wait until the panel says something; return that."""
        self.at.get_by_role("button", name=name, exact=True).first.click()
        return self.says(until)

    def says(self, words: str | re.Pattern[str]) -> str:
        """Wait until the panel shows these words; return the smallest part that has them."""
        found = self.at.get_by_text(words).last
        try:
            found.wait_for(timeout=PATIENCE_SECONDS * 1000)
        except PlaywrightTimeoutError as error:
            shown = self.at.inner_text()
            raise AssertionError(
                f"{words!r} is not in the panel; kernel: {self.tab.status()}; panel:\n{shown}"
            ) from error
        return found.inner_text()

    def picture(self, place: Path) -> Path:
        """The panel alone, as a PNG; the window is made as high as it takes."""
        size = self.tab.page.viewport_size
        box = self.at.bounding_box()
        assert size is not None
        assert box is not None
        high = max(size["height"], int(box["height"]) + 240)
        self.tab.page.set_viewport_size({"width": size["width"], "height": high})
        self.at.scroll_into_view_if_needed()
        self.at.screenshot(path=place, timeout=PATIENCE_SECONDS * 1000)
        self.tab.page.set_viewport_size(size)
        return place


def begun(tab: Tab) -> None:
    """Wait until the grid shows what Python sent."""
    drawn = tab.page.locator('.ccg[data-ready="1"]')
    drawn.wait_for(timeout=PATIENCE_SECONDS * 1000)
    drawn.scroll_into_view_if_needed()


def unbuild(notebook: Path) -> None:
    """Let a notebook work as it does where the grid was never built."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))
    code = next(cell for cell in cells["cells"] if cell["cell_type"] == "code")
    code["source"] = [f"{_UNBUILT}\n", *code["source"]]
    notebook.write_text(json.dumps(cells), encoding="utf-8")


@contextmanager
def browsing(server: Server, browser: Browser) -> Iterator[Desktop]:
    """A browser session of its own; at the end nothing may have been refused, and no page complained."""
    seen = Seen()
    desktop = Desktop(server, browser, seen)
    try:
        yield desktop
    finally:
        desktop.close()
    assert seen.refused == [], f"nothing asks for anything outside this machine: {seen.refused}"
    assert seen.errors == [], f"no page and no console complains: {seen.errors}"


class Desktop:
    """Tabs of one browser session, and the folder that their notebooks lie in."""

    def __init__(self, server: Server, browser: Browser, seen: Seen) -> None:
        self.server, self.seen = server, seen
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def lay_out(self, name: str, *, case: Path | None = None) -> Path:
        """A folder with the notebooks as they are delivered; their case lies, or will lie, there as ``my-case``."""
        folder = self.server.root / name
        shutil.rmtree(folder, ignore_errors=True)
        lay_out(folder)
        if case is not None:
            shutil.copytree(case, folder / "my-case")
        return folder

    def tab(
        self, notebook: Path, *, size: tuple[int, int] = WIDE, dark: bool = False, lossy: Lossy | None = None
    ) -> Tab:
        """A new tab on a notebook."""
        context = self._browser.new_context(
            accept_downloads=True, service_workers="block", color_scheme="dark" if dark else "light",
            viewport={"width": size[0], "height": size[1]},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self._contexts.append(context)
        context.route("**/*", self.seen.route)
        if lossy is not None:
            context.route_web_socket(re.compile("/channels"), lossy.route)
        page = context.new_page()
        page.on("websocket", self.seen.socket)
        page.on("console", self.seen.console)
        page.on("pageerror", lambda error: self.seen.errors.append(f"page: {error}"))
        tab = Tab(self.server, page)
        tab.open(notebook)
        return tab

    def close(self) -> None:
        """Close every tab and end every kernel: the next story begins with none."""
        for context in self._contexts:
            context.close()
        for session in self.server.call("GET", "sessions"):
            self.server.call("DELETE", f"sessions/{session['id']}")


def pictures(tmp_path: Path) -> Path:
    """Where pictures go: CARECOVER_PICTURES, to be looked at; else a folder that goes away."""
    place = Path(os.environ.get("CARECOVER_PICTURES") or tmp_path / "pictures")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _patiently() -> Iterator[None]:
    """Again and again, until patience ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
