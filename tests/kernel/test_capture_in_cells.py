"""What cells capture, through a real host: values that come home, modules, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipydurable.runtime.core.errors import NotDurableError
from tests.kernel.shells import Shell

pytestmark = pytest.mark.processes


@pytest.fixture
def beside(shell: Shell) -> Iterator[Path]:
    """Return the notebook's folder, in which modules are found; forgets them at the end."""
    folder = Path.cwd()
    shell.must(f"import sys\nsys.path.insert(0, {str(folder)!r})")
    before = set(sys.modules)
    yield folder
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_an_exception_of_the_notebook_is_caught_by_its_class_across_processes(shell: Shell) -> None:
    """A worker raises it, the host's orchestrator catches it, and knows a subclass from another."""
    shell.must("class Busy(Exception): pass\nclass VeryBusy(Busy): pass")
    shell.must(
        "%%activity\ndef serve(n):\n    raise {1: VeryBusy, 2: Busy, 3: KeyError}[n](f'number {n}')"
    )
    shell.must(
        "%%orchestrator\nasync def asks(ctx):\n"
        "    found = []\n"
        "    for n in (1, 2, 3):\n"
        "        try:\n"
        "            await serve(n)\n"
        "        except VeryBusy as error:\n"
        "            found.append(['very', isinstance(error, Busy)])\n"
        "        except Busy as error:\n"
        "            found.append(['busy', 'number 2' in str(error)])\n"
        "        except KeyError:\n"
        "            found.append(['key'])\n"
        "    return found"
    )
    assert shell.must("asks.start().result(60)") == [["very", True], ["busy", True], ["key"]]


def test_values_of_the_notebooks_classes_come_home_as_such(shell: Shell) -> None:
    """Dataclasses, enums and plain instances keep their class over worker, host and notebook."""
    shell.must(
        "import enum\nfrom dataclasses import dataclass\n"
        "class Color(enum.Enum):\n    RED = 1\n"
        "@dataclass\nclass Point:\n    x: int\n    color: Color\n"
        "class Plain:\n    def __init__(self, x): self.x = x"
    )
    shell.must(
        "%%activity\ndef paint(point, plain):\n"
        "    assert type(point) is Point and type(plain) is Plain\n"
        "    return [Point(point.x + 1, Color.RED), Plain(plain.x + 1)]"
    )
    shell.must(
        "%%orchestrator\nasync def gallery(ctx, point):\n"
        "    painted, plain = await paint(point, Plain(1))\n"
        "    assert isinstance(painted, Point) and painted.color is Color.RED\n"
        "    return painted, plain"
    )
    home = "(type(a) is Point, a.color is Color.RED, a.x, type(b) is Plain, b.x)"
    shell.must("a, b = gallery.start(Point(1, Color.RED)).result(60)")
    assert shell.must(home) == (True, True, 2, True, 2)


def test_a_change_of_a_module_beside_the_notebook_is_reported(shell: Shell, beside: Path) -> None:
    """At the next start, once; and by the cell that makes a version of it."""
    module = beside / "rates_next_to_it.py"
    module.write_text("RATE = 1\n")
    shell.must("import rates_next_to_it, importlib")
    cell = "%%activity\ndef rated(): return rates_next_to_it.RATE"
    shell.must(cell)
    shell.must("%%orchestrator\nasync def rates(ctx): return await rated()")
    assert shell.must("rates.start().result(60)") == 1
    assert "changed" not in shell.text

    module.write_text("RATE = 22\n")
    shell.must("run = rates.start()")
    assert "rates_next_to_it.py has changed since rated was defined" in shell.text
    assert "importlib.reload(rates_next_to_it)" in shell.text
    shell.must("run = rates.start()")
    assert "has changed" not in shell.text

    shell.must("importlib.reload(rates_next_to_it)")
    shell.must(cell)
    assert shell.text.strip().splitlines()[0] == "activity rated v2 · new runs take it"
    assert "⚠ the module rates_next_to_it has changed since v1" in shell.text
    assert shell.must("rates.start().result(60)") == 22
    (change,) = shell.must("rated.diff()").changes
    assert change.what == "module rates_next_to_it"


def test_a_cell_moved_to_a_module_unchanged_keeps_its_version(shell: Shell, beside: Path) -> None:
    """Decorators in a .py file give the definitions that the cells gave: no new version."""
    helper = "LIMIT = 3\ndef capped(n):\n    return min(n, LIMIT)\n"
    activity = "def fetch_moved(n):\n    return capped(n)\n"
    flow = "async def flow_moved(ctx):\n    return await fetch_moved(5)\n"
    shell.must(helper)
    shell.must(f"%%activity --retries 2 --timeout 1m\n{activity}")
    shell.must(f"%%orchestrator\n{flow}")
    before = [shell.ip.user_ns[name].version for name in ("fetch_moved", "flow_moved")]
    assert shell.must("flow_moved.start().result(60)") == 3

    (beside / "moved_cells.py").write_text(
        "from ipydurable import activity, orchestrator\n\n"
        f"{helper}\n@activity(retries=2, timeout='1m')\n{activity}\n@orchestrator\n{flow}"
    )
    shell.must("del fetch_moved, flow_moved, capped, LIMIT")
    shell.must("from moved_cells import fetch_moved, flow_moved")

    assert [shell.ip.user_ns[name].version for name in ("fetch_moved", "flow_moved")] == before
    assert shell.must("flow_moved.start().result(60)") == 3
    assert shell.must("len(fetch_moved.versions), len(flow_moved.versions)") == (1, 1)


def test_what_cannot_be_made_durable_is_named_with_its_line_in_the_cell(shell: Shell) -> None:
    """The error names variable, type, line of the cell, and what to do."""
    shell.must("import sqlite3\ndatabase = {'main': sqlite3.connect(':memory:')}")
    shell.run(
        "%%activity\ndef query():\n    x = 1\n    return database['main'].execute('SELECT 1')"
    )
    assert isinstance(shell.error, NotDurableError)
    number = shell.ip.execution_count - 1
    assert "database['main']" in str(shell.error)
    assert "Connection" in str(shell.error)
    assert "open it" in str(shell.error)
    assert f"Cell In[{number}], line 4" in str(shell.error)
    shell.must("database['main'].close()")


def test_a_large_captured_value_is_reported_with_its_name(shell: Shell) -> None:
    """Over 10 MB it would be stored with every version, so the cell says which variable it is."""
    shell.must("import numpy as np\nsmall, large = np.zeros(1_000), np.zeros(1_500_000)")
    shell.must("%%activity\ndef sums(): return small.sum() + large.sum()")
    assert "⚠ sums takes the variable 'large' along" in shell.text
    assert "12 MB" in shell.text
    assert "'small'" not in shell.text
