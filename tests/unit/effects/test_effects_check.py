"""What the check of an orchestrator's source finds, and what it leaves alone."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ipydurable.capture import capture
from ipydurable.effects_check import Finding, check_effects
from ipydurable.functions import DurableFunction, OrchestratorFunction
from ipydurable.runtime.definitions import CodePackage, Kind
from tests.conformance import scenarios_durable_functions_samples as samples

HERE = Path(__file__).parent
MARK = re.compile(r"#([!?]) ([a-z ]+)")


def blocks(file: str) -> list[pytest.param]:
    """Return the cells of a corpus by their titles."""
    parts = (HERE / file).read_text().split("\n=== ")[1:]
    return [pytest.param(body, id=title) for title, _, body in (p.partition("\n") for p in parts)]


OFFENCES = blocks("offences.txt")
CLEAN = blocks("clean.txt")


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """A module of a cell."""
    module = ModuleType("cell")
    sys.modules["cell"] = module
    yield module
    del sys.modules["cell"]
    linecache.cache.pop("Cell In[1]", None)


def check(module: ModuleType, source: str) -> list[Finding]:
    """Run a cell and check its orchestrator."""
    name = "Cell In[1]"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module.__file__ = name
    exec(compile(source, name, "exec"), vars(module))
    run = vars(module)["run"]
    found = capture(run, name="run", kind=Kind.ORCHESTRATOR, home="cell")
    return check_effects(found.package, vars(module))


def expected(source: str) -> list[tuple[int, str, bool]]:
    """Return what the marks of a cell say: line, kind, and whether it is a hint."""
    return [
        (number, mark[2].strip(), mark[1] == "?")
        for number, line in enumerate(source.splitlines(), start=1)
        for mark in MARK.finditer(line)
    ]


def test_the_corpus_is_large_enough() -> None:
    assert len(OFFENCES) >= 80
    assert len(CLEAN) >= 40


@pytest.mark.parametrize("source", OFFENCES)
def test_an_offence_is_found_on_its_line(module: ModuleType, source: str) -> None:
    found = [(one.line, one.kind, one.is_hint) for one in check(module, source)]
    assert sorted(found) == sorted(expected(source))


@pytest.mark.parametrize("source", OFFENCES)
def test_an_offence_says_why_and_what_to_write(module: ModuleType, source: str) -> None:
    for one in check(module, source):
        assert one.code in " ".join(source.split())
        assert one.reason
        assert one.remedy
        assert str(one).startswith(f"Cell In[1], line {one.line}: {one.code} · ")


@pytest.mark.parametrize("source", OFFENCES)
def test_a_comment_on_the_line_silences_it(module: ModuleType, source: str) -> None:
    silenced = re.sub(r"#[!?] .*", "# durable: ok", source)
    assert check(module, silenced) == []


@pytest.mark.parametrize("source", CLEAN)
def test_what_is_fine_is_left_alone(module: ModuleType, source: str) -> None:
    assert check(module, source) == []


@pytest.mark.parametrize(
    "orchestrator",
    [one for one in vars(samples).values() if isinstance(one, OrchestratorFunction)],
    ids=lambda one: one.name,
)
def test_nothing_is_found_in_the_public_samples(orchestrator: DurableFunction) -> None:
    assert check_effects(orchestrator.definition.package, vars(samples)) == []


def test_a_package_that_comes_from_elsewhere_needs_no_live_values() -> None:
    package = CodePackage(entry="run", values={"SEEN": "[]"})
    assert check_effects(package) == []
