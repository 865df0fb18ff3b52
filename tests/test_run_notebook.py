"""The runner behind `make quickstart`, as a person at a terminal meets it."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

RUNNER = Path(__file__).resolve().parent.parent / "notebooks" / "run_notebook.py"


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of one markdown cell and the given code cells."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("# A notebook")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, path)
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the runner and return its end, with what it printed."""
    command = [sys.executable, str(RUNNER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.processes
def test_progress_and_last_outputs(tmp_path: Path):
    """Each code cell has its line of progress, the last outputs follow, the file is unchanged."""
    path = write_notebook(
        tmp_path / "good.ipynb",
        "print('first')",
        "# what it is about\nfrom pathlib import Path\nprint(Path.cwd())",
        "import sys; print('second'); 40 + 2",
    )
    before = path.read_bytes()

    done = run(path, "--last", 2)

    assert done.returncode == 0, done.stderr
    assert "[1/3] print('first')" in done.stdout
    assert "[2/3] from pathlib import Path" in done.stdout
    assert str(tmp_path) in done.stdout
    assert done.stdout.endswith("second\n42\n")
    assert "\nfirst\n" not in done.stdout
    assert path.read_bytes() == before


@pytest.mark.processes
def test_a_failing_cell_fails_the_run(tmp_path: Path):
    """A cell that fails ends the run with its error and status 1; --output keeps the evidence."""
    path = write_notebook(tmp_path / "bad.ipynb", "print('fine')", "1 / 0", "print('not reached')")
    kept = tmp_path / "kept.ipynb"

    done = run(path, "--output", kept)

    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "[3/3]" not in done.stdout
    assert nbformat.read(kept, as_version=4).cells[1].outputs[0].text == "fine\n"


@pytest.mark.processes
def test_a_dead_kernel_fails_the_run(tmp_path: Path):
    """A kernel that dies ends the run with status 1 and is named as the cause."""
    path = write_notebook(tmp_path / "dead.ipynb", "import os; os._exit(3)")

    done = run(path)

    assert done.returncode == 1
    assert "Kernel died" in done.stderr


@pytest.mark.parametrize("text", ["no JSON", "{}"])
def test_a_file_that_is_no_notebook(tmp_path: Path, text: str):
    """A file that is no notebook is answered in a line, not with a traceback."""
    path = tmp_path / "junk.ipynb"
    path.write_text(text)

    done = run(path)

    assert done.returncode == 2
    assert done.stderr.startswith(f"Cannot read {path}")
    assert "Traceback" not in done.stderr
