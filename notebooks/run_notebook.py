"""Run a notebook without a browser, with a line of progress for each cell.

    python notebooks/run_notebook.py notebooks/01_quickstart.ipynb

The notebook on disk stays as it is unless --inplace or --output says otherwise. At the end the
text outputs of the last cells are printed. A failing cell ends the run with its traceback and
exit status 1.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

TITLE_WIDTH = 64
ANSI_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookFailedError(Exception):
    """The notebook did not run to its end; the message says why."""


class Progress:
    """Prints `[ 3/12] first line of the cell ... 1.4 s` while a notebook runs.

    Args:
        notebook: The notebook that is about to run; only its code cells are counted.
    """

    def __init__(self, notebook: nbformat.NotebookNode) -> None:
        code = [index for index, cell in enumerate(notebook.cells) if is_code(cell)]
        self._numbers = {index: number for number, index in enumerate(code, start=1)}
        self._started = 0.0

    def start(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        """Print the beginning of a cell's line."""
        if cell_index not in self._numbers:
            return
        self._started = time.monotonic()
        total = len(self._numbers)
        number = f"{self._numbers[cell_index]:>{len(str(total))}}"
        print(f"[{number}/{total}] {title(cell):<{TITLE_WIDTH}}", end="", flush=True)

    def end(self, cell_index: int, **_: object) -> None:
        """Print the end of a cell's line: how long it took."""
        if cell_index in self._numbers:
            print(f" {time.monotonic() - self._started:6.1f} s", flush=True)


def is_code(cell: nbformat.NotebookNode) -> bool:
    """Tell whether there is anything to run in `cell`."""
    return cell.cell_type == "code" and bool(cell.source.strip())


def title(cell: nbformat.NotebookNode) -> str:
    """Return the first line of a cell that says what it does; of a definition, also its name."""
    lines = [line for line in cell.source.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("#")] or lines
    text = said[0].strip()
    if text.startswith("%%"):
        named = [line.strip() for line in said[1:] if re.match(r"(async )?def |class ", line)]
        text = " ".join([text, *named[-1:]])
    return text if len(text) <= TITLE_WIDTH else f"{text[: TITLE_WIDTH - 1]}…"


def output_text(cell: nbformat.NotebookNode) -> str:
    """Return what a cell printed and the text form of what it displayed."""
    parts = []
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type in {"display_data", "execute_result"}:
            parts.append(output.data.get("text/plain", ""))
    text = "\n".join(part.rstrip() for part in parts if part.strip())
    return ANSI_COLOURS.sub("", text)


def run(notebook: nbformat.NotebookNode, folder: Path, timeout_s: int) -> None:
    """Execute `notebook` in place with a kernel of this environment, working in `folder`.

    Raises:
        NotebookFailedError: A cell failed or took longer than `timeout_s`, or the kernel died.
    """
    progress = Progress(notebook)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=timeout_s,
        store_widget_state=False,
        on_cell_start=progress.start,
        on_cell_executed=progress.end,
        resources={"metadata": {"path": str(folder)}},
    )
    # What the kernel itself writes is of interest only when it dies.
    with tempfile.TemporaryFile() as kernel_log:
        try:
            client.execute(stderr=kernel_log)
        except (CellExecutionError, CellTimeoutError) as error:
            raise NotebookFailedError(str(error)) from error
        except (DeadKernelError, RuntimeError) as error:
            kernel_log.seek(0)
            log = kernel_log.read().decode(errors="replace")
            raise NotebookFailedError(f"{error}\n{log}") from error


def print_last(notebook: nbformat.NotebookNode, count: int) -> None:
    """Print the text outputs of the last `count` code cells that have any."""
    shown = [(cell, output_text(cell)) for cell in notebook.cells if is_code(cell)]
    shown = [(cell, text) for cell, text in shown if text]
    for cell, text in shown[len(shown) - min(count, len(shown)) :]:
        print(f"\n--- {title(cell)}\n{text}")


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description="Run a notebook without a browser.")
    parser.add_argument("notebook", type=Path)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--inplace", action="store_true", help="keep the outputs in the notebook")
    target.add_argument("--output", type=Path, help="write the executed notebook here")
    parser.add_argument("--cwd", type=Path, help="folder to work in (default: the notebook's own)")
    parser.add_argument("--timeout", type=int, default=600, help="seconds a cell may take")
    parser.add_argument("--last", type=int, default=4, help="how many outputs to print at the end")
    return parser.parse_args()


def main() -> int:
    """Run the notebook named on the command line; return the exit status."""
    arguments = parse_arguments()
    path: Path = arguments.notebook
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        print(f"Cannot read {path}: {error}", file=sys.stderr)
        return 2
    print(f"Running {path}", flush=True)
    failure = None
    try:
        run(notebook, (arguments.cwd or path.parent).resolve(), arguments.timeout)
    except NotebookFailedError as error:
        failure = ANSI_COLOURS.sub("", str(error)).strip()
    target = path if arguments.inplace else arguments.output
    if target is not None:
        # Written after a failure too: the outputs up to there are what one wants to see.
        nbformat.write(notebook, target)
    if failure is not None:
        print(f"\n{path} failed:\n\n{failure}", file=sys.stderr)
        return 1
    print_last(notebook, arguments.last)
    return 0


if __name__ == "__main__":
    sys.exit(main())
