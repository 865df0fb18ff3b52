"""Every Python block of the documentation runs as a cell, and gives what it says."""

from __future__ import annotations

import atexit
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config

from ipydurable.functions import DECLARED
from tests.docs.pages import PAGES, Block, blocks
from tests.kernel.shells import Shell

_STATED = re.compile(r"^(?P<code>\S.*?)\s+# → (?P<value>.+)$", re.MULTILINE)
_CHECK = "_stated_value_"
_WIDTH = 92

WITH_CODE = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Block], Any]]:
    """Run blocks as cells of one shell in an empty folder, as a reader does."""
    monkeypatch.setenv("IPYDURABLE_IDLE_S", "2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    imported = set(sys.modules)
    declared = dict(DECLARED)
    DECLARED.clear()  # What other tests declare is not for a reader's shell.
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = Shell(TerminalInteractiveShell.instance(config=config))
    shell.ip.user_ns[_CHECK] = _check
    try:
        yield lambda block: _run(shell, block)
    finally:
        shell.run("%durable stop")
        shell.run("%unload_ext ipydurable")
        shell.ip.restore_sys_module_state()
        atexit.unregister(shell.ip.atexit_operations)
        TerminalInteractiveShell.clear_instance()
        for name in set(sys.modules) - imported:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]
        DECLARED.clear()
        DECLARED.update(declared)


def _check(value: Any, stated: str, place: str) -> None:
    assert repr(value) == stated, f"{place} gives {value!r}, not {stated}"


def _run(shell: Shell, block: Block) -> None:
    """Run a block, and the tests that it defines; or see that it is what the last one said."""
    if block.output:
        said, stated = (" ".join(text.split()) for text in (shell.text, block.text))
        assert stated in said, f"{block.place}: {shell.text}"
        return
    before = set(shell.ip.user_ns)
    shell.run(_with_checks(block))
    if block.raises:
        assert type(shell.error).__name__ == block.raises, f"{block.place}: {shell.text}"
        return
    assert shell.error is None, f"{block.place}: {shell.text}"
    assert "UsageError" not in shell.text, f"{block.place}: {shell.text}"
    for name in set(shell.ip.user_ns) - before:
        function = shell.ip.user_ns[name]
        if name.startswith("test_") and inspect.isfunction(function):
            with pytest.MonkeyPatch.context() as patch:
                function(**dict.fromkeys(inspect.signature(function).parameters, patch))


def _with_checks(block: Block) -> str:
    """Return a block in which each `expression  # → value` is a check of that."""
    if block.text.startswith("%%"):
        return block.text
    return _STATED.sub(
        lambda found: f"{_CHECK}({found['code']}, {found['value']!r}, {block.place!r})", block.text
    )


@pytest.mark.processes
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_in_order(page: Path, run: Callable[[Block], Any]) -> None:
    """Each block succeeds, or raises what it says it does, in one namespace a page."""
    for block in blocks(page):
        if (block.language == "python" and not block.not_run) or block.output:
            run(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_can_be_copied(page: Path) -> None:
    """Each has a language, so that none is forgotten; few are not run; none must be scrolled."""
    found = blocks(page)
    python = [block for block in found if block.language == "python"]
    assert all(block.language for block in found)
    assert sum(bool(block.not_run) for block in python) <= len(python) // 4
    lines = [line for block in found for line in block.text.splitlines()]
    assert [line for line in lines if len(line) > _WIDTH] == []
