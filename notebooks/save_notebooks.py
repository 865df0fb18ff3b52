"""Execute the tutorials and save them as they are committed; `make notebooks`.

    python -m notebooks.save_notebooks [NOTEBOOK ...]

Kept are the outputs that any viewer can show: text, HTML, pictures. Left out is what changes with
each run or only works with a kernel: widget models, times, the version of Python. What
code-hosting pages do not draw becomes a picture; see `notebooks.pictures`.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat

from notebooks.pictures import add_pictures
from notebooks.run_notebook import NotebookFailedError, run
from tests.e2e.browser import REMEDY, find_browser

FOLDER = Path(__file__).parent
DROPPED = frozenset({"application/vnd.jupyter.widget-view+json"})
GONE = 'class="ipd-gone"'  # of an output that was taken away
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leave out of an executed notebook what is not to be committed."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if keep(output)]


def keep(output: nbformat.NotebookNode) -> bool:
    """Trim one output; tell whether anything is left to be shown."""
    if output.output_type not in {"display_data", "execute_result"}:
        return True
    for mime in DROPPED & output.data.keys():
        del output.data[mime]
        if output.data.keys() <= {"text/plain"}:
            return False  # the name of a Python object, where a button was
    return any(str(shown).strip() and GONE not in str(shown) for shown in output.data.values())


def save(path: Path) -> None:
    """Execute one notebook in a folder of its own and write it back.

    Raises:
        NotebookFailedError: It failed; the file is as it was.
    """
    print(f"Running {path}", flush=True)
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run(notebook, Path(folder), timeout_s=120)
    executable = find_browser()
    if executable is None:
        raise NotebookFailedError(REMEDY)
    add_pictures(notebook, executable)
    tidy(notebook)
    nbformat.write(notebook, path)


def main() -> int:
    """Save the notebooks named on the command line, or all; return the exit status."""
    # The hosts that the notebooks start need not outlive them for long.
    os.environ.setdefault("IPYDURABLE_IDLE_S", "5")
    paths = [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        try:
            save(path)
        except NotebookFailedError as error:
            print(f"\n{path} failed:\n\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
