"""Execute the tutorials and save them as they are committed; `make notebooks`.

    python -m notebooks.save_notebooks [NOTEBOOK ...]

Kept are the outputs that any viewer can show: text, HTML, pictures. Left out is what changes with
each run or only works with a kernel: widget models, times, the version of Python. Plotly figures
get a picture beside them, since code-hosting pages do not draw them.
"""

import base64
import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat

from notebooks.run_notebook import NotebookFailedError, run

FOLDER = Path(__file__).parent
PLOTLY = "application/vnd.plotly.v1+json"
DROPPED = frozenset({"application/vnd.jupyter.widget-view+json"})
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PICTURE_WIDTH_PX = 900
DRAW = """async ([figure, width]) => {
    const {data, layout} = figure;
    const size = {width, height: layout.height || 420};
    const light = {...layout, ...size, paper_bgcolor: "white"};
    return await Plotly.toImage({data, layout: light}, {format: "png", scale: 1.5, ...size});
}"""


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
    return any(str(shown).strip() for shown in output.data.values())


def add_pictures(notebook: nbformat.NotebookNode) -> None:
    """Give each plotly figure the PNG that viewers without plotly show; needs a Chromium."""
    figures = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if PLOTLY in output.get("data", {})
    ]
    if not figures:
        return
    import plotly
    from playwright.sync_api import sync_playwright

    from tests.e2e.browser import REMEDY, find_browser

    executable = find_browser()
    if executable is None:
        raise NotebookFailedError(REMEDY)
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(path=script)
        for data in figures:
            url = page.evaluate(DRAW, [json.loads(json.dumps(data[PLOTLY])), PICTURE_WIDTH_PX])
            data["image/png"] = base64.b64encode(base64.b64decode(url.partition(",")[2])).decode()
            # The HTML form of a figure loads or contains plotly itself: megabytes.
            data.pop("text/html", None)
            title = data[PLOTLY]["layout"].get("title", {}).get("text", "")
            data["text/plain"] = f"Figure: {title.partition('<br>')[0]}"
        browser.close()


def save(path: Path) -> None:
    """Execute one notebook in a folder of its own and write it back.

    Raises:
        NotebookFailedError: It failed; the file is as it was.
    """
    print(f"Running {path}", flush=True)
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run(notebook, Path(folder), timeout_s=120)
    add_pictures(notebook)
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
