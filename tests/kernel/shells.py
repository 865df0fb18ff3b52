"""An IPython shell of this process and a real kernel, as tests use them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jupyter_client.manager import KernelManager

__all__ = ["FETCH", "REPORT", "WAITS", "Kernel", "Shell", "without_colors"]

FETCH = "%%activity\ndef fetch(city):\n    return len(city)"
REPORT = """%%orchestrator
async def report(ctx, cities):
    return sum(await ctx.when_all([fetch(city) for city in cities]))"""
WAITS = """%%orchestrator
async def waits(ctx):
    return await ctx.wait_for_external_event("go")"""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def without_colors(text: str) -> str:
    """Return text as it reads in a terminal."""
    return _ANSI.sub("", text)


class Shell:
    """An IPython shell that is told cells, and says what came of them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.ip = shell
        self.text = ""
        self.error: BaseException | None = None

    def run(self, cell: str) -> Any:
        """Run a cell; returns its result, keeps its error and all it printed."""
        with capture_output() as captured:
            done = self.ip.run_cell(cell, store_history=True)
        shown = [output.data["text/plain"] for output in captured.outputs]
        self.text = without_colors(captured.stdout + captured.stderr + "\n".join(shown))
        self.error = done.error_in_exec or done.error_before_exec
        return done.result

    def must(self, cell: str) -> Any:
        """Run a cell that may not fail."""
        result = self.run(cell)
        assert self.error is None, self.text
        assert "UsageError" not in self.text, self.text
        return result


class Kernel:
    """A real kernel and what it sends."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self._shown: dict[str, dict[str, Any]] = {}

    def run(self, code: str, meanwhile: Callable[[], None] | None = None) -> list[dict[str, Any]]:
        """Run a cell; returns its outputs as a notebook would keep them, errors among them.

        Args:
            code: The cell.
            meanwhile: Called once the kernel works on it.
        """
        outputs: list[dict[str, Any]] = []
        sent = self.client.execute(code)
        while True:
            message = self._next()
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != sent:
                continue
            if kind in ("display_data", "execute_result", "error", "stream"):
                outputs.append(content)
                content["kind"] = kind
            if kind == "execute_input" and meanwhile is not None:
                meanwhile()
            if kind == "status" and content["execution_state"] == "idle":
                self.client.get_shell_msg(timeout=60)
                return outputs

    def until(self, output: dict[str, Any], text: str) -> str:
        """Wait until a display says `text`, as it may after its cell; returns all it says then."""
        while text not in output["data"]["text/plain"]:
            self._next()
        return output["data"]["text/plain"]

    def restart(self) -> None:
        """Restart the kernel."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        """End it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def _next(self) -> dict[str, Any]:
        """Return the next message; keeps what is shown up to date, as a notebook does."""
        message = self.client.get_iopub_msg(timeout=60)
        content = message["content"]
        name = content.get("transient", {}).get("display_id")
        if message["msg_type"] == "display_data" and name:
            self._shown[name] = content
        elif message["msg_type"] == "update_display_data" and name in self._shown:
            self._shown[name]["data"] = content["data"]
        return message
