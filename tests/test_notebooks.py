"""The tutorials: they run from a clean kernel, and what is committed of them reads well."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest

from notebooks.pictures import DRAWN, PLOTLY, is_drawing, split
from notebooks.run_notebook import run
from notebooks.save_notebooks import DROPPED, METADATA, tidy

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))
MOST_BYTES = 500_000
QUICK = [path for path in NOTEBOOKS if path.name[:2] in {"05", "07"}]  # 07 keeps its store
RERUN = NOTEBOOKS if os.environ.get("IPYDURABLE_RERUN_ALL") == "1" else QUICK
RUN_ONCE = [path for path in NOTEBOOKS if path not in QUICK]

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells that are run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def blank(path: Path, id_prefix: str = "") -> nbformat.NotebookNode:
    """Return a notebook as before its first run, with cells of other ids."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell["id"] = f"{id_prefix}{cell.id}"
    for cell in code_cells(notebook):
        cell.outputs = []
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return all outputs."""
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def noise(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what no reader should have to see: errors, warnings, progress of libraries."""
    return [
        str(output.get("text") or output.get("evalue"))
        for output in outputs(notebook)
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def test_there_are_eight_in_order():
    """They are numbered from the quickstart to the reading of histories."""
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 9)]


@pytest.mark.processes
@pytest.mark.parametrize("path", RUN_ONCE, ids=lambda path: path.stem)
def test_a_clean_kernel_runs_it(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every cell succeeds, its asserts included, and nothing is said that is no part of it."""
    monkeypatch.setenv("IPYDURABLE_IDLE_S", "2")
    notebook = blank(path)

    run(notebook, tmp_path, timeout_s=100)

    assert noise(notebook) == []


@pytest.mark.processes
@pytest.mark.parametrize("path", RERUN, ids=lambda path: path.stem)
def test_a_clean_kernel_runs_it_twice_and_another_again(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also `Run All` a second time, and `Restart and Run All`, on the store that is there then."""
    monkeypatch.setenv("IPYDURABLE_IDLE_S", "2")
    twice, restarted = blank(path), blank(path)
    twice.cells += blank(path, "again-").cells

    for notebook in (twice, restarted):
        run(notebook, tmp_path, timeout_s=100)
        assert noise(notebook) == []


@each
def test_what_is_committed_was_executed_and_is_small(path: Path):
    """Each cell has run, in order and without an error, and the file loads quickly."""
    notebook = nbformat.read(path, as_version=4)

    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert noise(notebook) == []
    assert path.stat().st_size < MOST_BYTES


@each
def test_what_is_committed_is_tidy_and_needs_no_kernel(path: Path):
    """No widgets, no empty outputs, no times of cells; pictures of figures, timelines, graphs."""
    notebook = nbformat.read(path, as_version=4)
    before = nbformat.writes(notebook)
    tidy(notebook)

    assert nbformat.writes(notebook) == before
    assert notebook.metadata == METADATA
    for output in outputs(notebook):
        data = output.get("data", {})
        assert not DROPPED & data.keys()
        assert PLOTLY not in data or "image/png" in data
        assert "data" not in output or not is_drawing(output)
    assert any(DRAWN in output.get("metadata", {}) for output in outputs(notebook))


@each
def test_it_says_what_to_try_and_leads_to_the_next(path: Path):
    """The last words are what to try next; all links to other notebooks lead somewhere."""
    notebook = nbformat.read(path, as_version=4)
    last = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"][-1]
    following = NOTEBOOKS[(NOTEBOOKS.index(path) + 1) % len(NOTEBOOKS)].name

    assert last.startswith("## What to try next")
    assert f"({following})" in last
    for cell in notebook.cells:
        for link in re.findall(r"\]\(([^)#:]+)\)", cell.source):
            assert (path.parent / link).exists(), link


def test_a_drawing_becomes_a_picture_and_its_table() -> None:
    """Both are shown where neither styles nor drawings are; the whole is kept for other pages."""
    table = '<details style="order:2"><table></table></details>'
    html = f"<div><b>report</b>{table}<svg></svg></div>"
    output = nbformat.v4.new_output("execute_result", {"text/html": html, "text/plain": "report"})
    assert is_drawing(output)

    picture, below = split(output, "UE5H")

    assert picture.data == {"image/png": "UE5H", "text/plain": "report"}
    assert picture.metadata == {DRAWN: html}
    assert below.data["text/html"] == table
    assert not is_drawing(picture)


def test_tidying_leaves_out_what_changes_or_cannot_be_shown():
    """Widget models, buttons, blank outputs and Jupyter's notes go; what reads stays."""
    model = {mime: {} for mime in DROPPED}
    shown = [
        {"text/html": "", "text/plain": " "},
        {"text/html": '<style></style><div class="ipd-gone"></div>', "text/plain": ""},
        {"text/plain": "Button()", **model},
        {"text/plain": "half done", "text/html": "<b>half done</b>", **model},
    ]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown]
    outputs.append(nbformat.v4.new_output("stream", text="hello"))
    cell = nbformat.v4.new_code_cell("x", outputs=outputs)
    cell.metadata = {"execution": {"iopub.status.busy": "now"}}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})

    tidy(notebook)

    assert [output.get("data") for output in cell.outputs] == [
        {"text/plain": "half done", "text/html": "<b>half done</b>"},
        None,
    ]
    assert cell.metadata == {}
    assert notebook.metadata == METADATA
