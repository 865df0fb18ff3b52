"""The version of the same content is the same in every kernel, however its cells look."""

import ast
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.capture.conftest import Notebook
from tests.unit.capture.test_versions import PROGRAM, version_of

KERNEL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from ipydurable.capture import capture
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
for cell in json.load(sys.stdin):
    shell.run_cell(cell, store_history=True).raise_error()
print(capture(shell.user_ns["f"], name="f").version, end="")
"""
IMPORTS, *CELLS = [part.strip("\n") for part in PROGRAM.strip("\n").split("\n\n")]


def _commented(cell: str) -> str:
    cell = cell.replace('"', "'").replace("by=2):", 'by=2):\n    """Said."""')
    return f"# why\n{cell}  # so"


def _shuffled(seed: int) -> list[str]:
    """Return the cells in another order, in which they can be run all the same."""
    functions = [cell for cell in CELLS if cell.startswith(("def helper", "double"))]
    others = [cell for cell in CELLS if cell not in functions]
    random.Random(seed).shuffle(functions)
    # Nothing but `f`, whose default is LIMIT, needs the rest while it is defined.
    return [*functions, *others] if seed % 2 else [*others[:-1], *functions, others[-1]]


FORMS: dict[str, Callable[[], list[str]]] = {
    "cell by cell": lambda: CELLS,
    "in one cell": lambda: ["\n\n".join(CELLS)],
    "in another order": lambda: _shuffled(1),
    "in yet another order": lambda: _shuffled(2),
    "run twice, the first time otherwise": lambda: [
        *CELLS,
        "LIMIT = 99\ndef helper(x): return x",
        *CELLS,
    ],
    "with comments, docstrings and other quotes": lambda: [*map(_commented, CELLS)],
    "in another format": lambda: [ast.unparse(ast.parse(cell)) for cell in CELLS],
    "among other cells": lambda: [part for cell in CELLS for part in ("x = {1, 2}", cell)],
}


@pytest.mark.parametrize("form", FORMS)
def test_kernels_agree_whatever_their_hash_seed_and_the_form_of_the_cells(
    form: str, notebook: Notebook
) -> None:
    here = version_of(notebook, PROGRAM)
    for seed in ("1", "99"):
        found = subprocess.run(
            [sys.executable, "-c", KERNEL],
            input=json.dumps([IMPORTS, *FORMS[form]()]),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.stdout == here, found.stderr
