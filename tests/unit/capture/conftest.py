"""Cells of a real IPython, and another process that knows nothing of them."""

import atexit
import base64
import json
import linecache
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from ipydurable.capture import Captured, capture
from ipydurable.runtime.core.payload import Payload

# Builds each namespace it is sent and evaluates an expression in it.
OTHER_PROCESS = """
import asyncio, base64, inspect, json, sys, traceback
import msgspec
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.definitions import CodePackage
from ipydurable.runtime.namespace import build_namespace
from ipydurable.runtime.stubs import Stub

for line in sys.stdin:
    package, expression, encodes = json.loads(line)
    package = msgspec.msgpack.decode(base64.b64decode(package), type=CodePackage)
    answer = {}
    try:
        namespace = build_namespace(package, Stub)
        namespace.update(ENTRY=namespace[package.entry], inspect=inspect)
        value = eval(expression, namespace)
        value = asyncio.run(value) if inspect.iscoroutine(value) else value
        answer["result"] = repr(value)
        if encodes:
            payload = NamespaceConverter(namespace).encode(value, "result")
            data = msgspec.msgpack.encode(payload)
            answer["payload"] = base64.b64encode(data).decode()
    except Exception:
        answer["error"] = traceback.format_exc()
    print(json.dumps(answer), flush=True)
"""


class OtherProcess:
    """A Python that knows nothing of the notebook."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def ask(self, captured: Captured, expression: str, *, encodes: bool = False) -> dict[str, str]:
        """Evaluate an expression in the package's namespace."""
        package = base64.b64encode(msgspec.msgpack.encode(captured.package)).decode()
        self._process.stdin.write(json.dumps([package, expression, encodes]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def run(self, captured: Captured, expression: str) -> str:
        """Evaluate an expression that must succeed; returns the `repr` of its value."""
        answer = self.ask(captured, expression)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def give(self, captured: Captured, expression: str) -> Payload:
        """Evaluate an expression that must succeed; returns its value as it would be stored."""
        answer = self.ask(captured, expression, encodes=True)
        assert "error" not in answer, answer["error"]
        return msgspec.msgpack.decode(base64.b64decode(answer["payload"]), type=Payload)

    def fail(self, captured: Captured, expression: str) -> str:
        """Evaluate an expression that must fail; returns the traceback."""
        return self.ask(captured, expression)["error"]


class Notebook:
    """Cells in a real IPython."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def run(self, cell: str) -> None:
        """Run a cell."""
        result = self.shell.run_cell(textwrap.dedent(cell).strip() + "\n", store_history=True)
        result.raise_error()

    def capture(self, name: str, **options) -> Captured:
        """Capture what a global name is bound to."""
        return capture(self.shell.user_ns[name], name=name, **options)


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Iterator[OtherProcess]:
    """Another Python, for all tests of a file."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
    ) as process:
        yield OtherProcess(process)
        process.stdin.close()


@pytest.fixture
def notebook(monkeypatch) -> Iterator[Notebook]:
    """A fresh IPython."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    for name in ("displayhook", "excepthook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    lines = dict(linecache.cache)
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    InteractiveShell._instance = shell
    with shell.builtin_trap:
        yield Notebook(shell)
    InteractiveShell.clear_instance()
    # Each would collect garbage when Python ends: hundreds of them take minutes.
    atexit.unregister(shell.atexit_operations)
    linecache.cache.clear()
    linecache.cache.update(lines)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A folder for modules, on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
