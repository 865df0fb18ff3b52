"""A driver for end-to-end tests: a private JupyterLab and a page object for one notebook in it.

Selectors are the classes, ids and data attributes that JupyterLab and its own extensions use
as interface. Errors in the browser's console are collected in `LabPage.errors`.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from playwright.sync_api import Locator, Page, expect

CHROME_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PRIVATE_DIRS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "IPYTHONDIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
)
# The news pop-up covers what tests click on; no command line option stops it, this setting does.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
# A prompt tells the end of a cell badly: after a restart its number may be the one it had before.
# The command's own promise tells it; it is kept in the page, so that waiting can have a timeout.
START_COMMAND = """([id, args]) => {
    const command = window.lastCommand = {ended: false, answer: null};
    window.jupyterapp.commands.execute(id, args)
        .then(answer => { command.answer = typeof answer === 'boolean' ? answer : null; })
        .finally(() => requestAnimationFrame(() => { command.ended = true; }));
}"""


class LabServer(NamedTuple):
    """A running JupyterLab: address, token, served folder, folder of its own, log file."""

    url: str
    token: str
    root: Path
    home: Path
    log: Path

    def request(self, method: str, path: str) -> Any:
        """Return the decoded answer of the server's REST API to `method` on `path`."""
        request = urllib.request.Request(
            f"{self.url}{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or "null")

    def stop_kernels(self) -> None:
        """Shut down every session and its kernel, so that no test inherits another's."""
        for session in self.request("GET", "/api/sessions"):
            # A kernel that died or was restarted while we looked has no session to delete.
            with contextlib.suppress(urllib.error.HTTPError):
                self.request("DELETE", f"/api/sessions/{session['id']}")

    def start_over(self) -> None:
        """Leave nothing of a test to the next: kernels, hosts, files, the theme it has chosen."""
        self.stop_kernels()
        for connection in (self.home / "jupyter_runtime_dir").glob("ipydurable-*.json"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(json.loads(connection.read_text())["pid"], signal.SIGKILL)
            connection.unlink(missing_ok=True)
        for entry in self.root.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        shutil.rmtree(self.home / "jupyterlab_settings_dir", ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _private_environment(home: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key != "JUPYTER_TOKEN"}
    for name in PRIVATE_DIRS:
        folder = home / name.lower()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        env[name] = str(folder)
    overrides = Path(env["JUPYTER_CONFIG_DIR"], "labconfig", "default_setting_overrides.json")
    overrides.parent.mkdir(exist_ok=True)
    overrides.write_text(json.dumps(SETTINGS))
    return env


def _wait_until_up(server: LabServer, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            server.request("GET", "/api/status")
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"JupyterLab did not start:\n{server.log.read_text()}"
                ) from error
            # Waits for its end, in case it fails, instead of sleeping.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        else:
            return


@contextlib.contextmanager
def run_lab(root: Path, home: Path) -> Iterator[LabServer]:
    """Serve the folder `root` with a JupyterLab that keeps everything of its own under `home`.

    Raises:
        RuntimeError: It did not start within a minute; the message holds its log.
    """
    server = LabServer(
        f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16), root, home, home / "lab.log"
    )
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--allow-root"),
        f"--port={server.url.rsplit(':', 1)[1]}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={server.token}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.extension_manager=readonly",
    ]
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=_private_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_up(server, process, timeout_s=60)
            yield server
        finally:
            # SIGTERM stops the kernels too; SIGINT would ask a question on the terminal.
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class LabPage:
    """One browser page on one JupyterLab, and what a person does to a notebook in it."""

    def __init__(self, page: Page, server: LabServer) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(text)

    @property
    def panel(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(PANEL)

    def create(self, name: str, cells: list[str]) -> Path:
        """Write a notebook of code cells into the served folder, open it, and return its path."""
        kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernelspec})
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        path = self.server.root / name
        nbformat.write(notebook, path)
        self.open(name)
        return path

    def open(self, name: str) -> None:
        """Open a notebook of the served folder in a fresh layout and wait for its kernel."""
        self.page.goto(
            f"{self.server.url}/lab/tree/{name}?token={self.server.token}&reset",
            wait_until="domcontentloaded",
        )
        self._wait_for_notebook()

    def reload(self) -> None:
        """Reload the page as a person does, and wait until the notebook is back."""
        self.page.reload(wait_until="domcontentloaded")
        self._wait_for_notebook()

    def _wait_for_notebook(self) -> None:
        self.panel.wait_for(timeout=60_000)
        self.panel.locator(".jp-Cell").first.wait_for(timeout=30_000)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the notebook has a connected kernel, busy or idle."""
        # The indicator says "idle" also while there is no kernel, and running a cell then opens
        # a modal question; the kernel's name tells the two apart.
        name = self.panel.locator(".jp-Toolbar-kernelName")
        expect(name).not_to_have_text("No Kernel", timeout=60_000)
        states = ", ".join(
            f".jp-Notebook-ExecutionIndicator[data-status='{state}']" for state in ("idle", "busy")
        )
        self.panel.locator(states).wait_for(timeout=60_000)

    def wait_until_idle(self, timeout_s: float = 60) -> None:
        """Wait until there is a kernel and it runs nothing."""
        self.wait_for_kernel()
        indicator = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
        self.panel.locator(indicator).wait_for(timeout=timeout_s * 1000)

    def command(self, command_id: str, **arguments: Any) -> None:
        """Start a JupyterLab command by its id; steadier than clicking through menus."""
        self.page.evaluate(START_COMMAND, [command_id, arguments])

    def wait_for_command(self, timeout_s: float) -> Any:
        """Wait until the last started command has ended and return what it answered.

        The commands that run cells answer whether all of them succeeded.
        """
        self.page.wait_for_function("window.lastCommand.ended", timeout=timeout_s * 1000)
        return self.page.evaluate("window.lastCommand.answer")

    def menu(self, *labels: str) -> None:
        """Click through a menu by the beginnings of its labels: `menu("Run", "Run All Cells")`."""
        bar, *rest = labels
        label = re.compile(rf"^{re.escape(bar)}$")
        self.page.locator("#jp-MainMenu .lm-MenuBar-item", has_text=label).click()
        for text in rest:
            item = self.page.locator(
                ".lm-Menu-itemLabel", has_text=re.compile(rf"^{re.escape(text)}")
            )
            self.page.locator(".lm-Menu .lm-Menu-item", has=item).last.click()

    def cell(self, index: int) -> Locator:
        """Return the code cell at `index`; markdown cells are not counted."""
        return self.panel.locator(".jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the whole output area of the code cell at `index`."""
        # Not .jp-OutputArea: an Output widget nests another one of those.
        return self.cell(index).locator(".jp-Cell-outputArea")

    def start_cell(self, index: int) -> None:
        """Select the code cell at `index` and start it, without waiting for its end."""
        self.cell(index).locator(".jp-InputArea-prompt").click()
        self.command("notebook:run-cell")

    def run_cell(self, index: int, timeout_s: float = 60) -> str:
        """Run the code cell at `index` to its end, well or not, and return its output's text."""
        self.start_cell(index)
        self.wait_for_command(timeout_s)
        return self.output_text(index)

    def prompt(self, index: int) -> str:
        """Return what stands before the code cell at `index`: "[ ]:", "[*]:" or "[7]:"."""
        return self.cell(index).locator(".jp-InputArea-prompt").inner_text().strip()

    def output_text(self, index: int) -> str:
        """Return the text of the output of the code cell at `index`, empty if it has none."""
        return "\n".join(self.output(index).all_inner_texts()).strip()

    def run_all(self, timeout_s: float = 120) -> None:
        """Run all cells and wait until every code cell has finished.

        Raises:
            AssertionError: A cell failed, and Lab did not go on; the message holds its output.
        """
        self.command("notebook:run-all-cells")
        if not self.wait_for_command(timeout_s):
            failures = self.panel.locator("[data-mime-type='application/vnd.jupyter.stderr']")
            raise AssertionError("\n".join(["a cell failed:", *failures.all_inner_texts()]))

    def restart_kernel(self) -> None:
        """Restart the kernel from the menu, confirm, and wait until the new one is idle."""
        self.menu("Kernel", "Restart Kernel…")
        self.page.locator(".jp-Dialog button.jp-mod-accept").click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self.wait_until_idle()

    def save(self) -> None:
        """Save the notebook and wait until nothing in it is unsaved."""
        self.command("docmanager:save")
        dirty = self.page.locator("#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current.jp-mod-dirty")
        expect(dirty).to_have_count(0, timeout=30_000)

    def screenshot(self, path: Path, index: int | None = None) -> None:
        """Save a picture of the page, or with `index` of that code cell, scrolled into view."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if index is None:
            self.page.screenshot(path=path)
        else:
            self.cell(index).scroll_into_view_if_needed()
            self.cell(index).screenshot(path=path)
