"""Every scenario has the same outcome and the same history, whichever way it runs."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipydurable.functions import DurableFunction
from ipydurable.runtime.definitions import Definition, Kind
from ipydurable.runtime.ports import InstanceQuery
from tests.conformance import common, entity_common
from tests.conformance.backends import WAYS, Backend, TimedClient, make_backend
from tests.conformance.histories import Histories, histories_of
from tests.conformance.scenario import SCENARIOS, Scenario, World

_MODULES = [
    importlib.import_module(f"tests.conformance.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("scenarios_*.py"))
]
_REFERENCE = WAYS[0]


def _functions() -> dict[tuple[Kind, str], DurableFunction]:
    """Return the durable functions of all modules; of several of one name the first."""
    functions: dict[tuple[Kind, str], DurableFunction] = {}
    for module in (common, entity_common, *_MODULES):
        for value in vars(module).values():
            if isinstance(value, DurableFunction):
                known = functions.setdefault((value.kind, value.name), value)
                assert known.__module__ == value.__module__, f"two modules define {value.name}"
    return functions


class Runner:
    """Runs scenarios, on backends that are started when they are first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._backends: dict[str, Backend] = {}
        self._runs = itertools.count(1)
        self._histories: dict[tuple[str, str], Histories] = {}

    def run(self, scenario: Scenario, way: str) -> Any:
        """Run a scenario and return its outcome; its histories are kept."""
        backend = self._backends.get(way) or self._start(way)
        assert backend.is_alive, "the engine has died in an earlier scenario"
        client = TimedClient(backend, vars(sys.modules[scenario.script.__module__]))
        prefix = f"{scenario.name}-{next(self._runs)}."
        scratch = self._folder / f"{prefix}{way}"
        scratch.mkdir()
        world = World(backend, client, prefix, scratch)
        try:
            outcome = scenario.script(world)
            self._histories[scenario.name, way] = histories_of(client, prefix)
        finally:
            for record in client.query(InstanceQuery(prefix=prefix)):
                client.terminate(record.instance_id)
        return outcome

    def histories(self, scenario: Scenario, way: str) -> Histories:
        """Return the histories of a scenario, which is run if it has not been."""
        if (scenario.name, way) not in self._histories:
            self.run(scenario, way)
        return self._histories[scenario.name, way]

    def close(self) -> None:
        """End all backends."""
        for backend in self._backends.values():
            backend.close()

    def _start(self, way: str) -> Backend:
        folder = self._folder / way
        folder.mkdir()
        backend = self._backends[way] = make_backend(way, folder)
        TimedClient(backend, {}).define(_definitions())
        return backend


def _definitions() -> list[Definition]:
    return [function.definition for function in _functions().values()]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = Runner(tmp_path_factory.mktemp("conformance"))
    yield runner
    runner.close()


def _runs() -> list[Any]:
    return [
        pytest.param(
            scenario,
            way,
            id=f"{scenario.topic}.{scenario.name}-{way}",
            marks=[pytest.mark.processes] if way == "host" else [],
        )
        for scenario in SCENARIOS
        for way in scenario.ways
    ]


@pytest.mark.parametrize(("scenario", "way"), _runs())
def test_scenario(runner: Runner, scenario: Scenario, way: str) -> None:
    """A scenario gives what it says, and its history is that of the reference way."""
    assert runner.run(scenario, way) == scenario.gives
    reference = _REFERENCE if _REFERENCE in scenario.ways else scenario.ways[0]
    expected, found = runner.histories(scenario, reference), runner.histories(scenario, way)
    if scenario.order_varies:
        assert _counted(found) == _counted(expected)
    else:
        assert found == expected


def _counted(histories: Histories) -> Counter[tuple[object, ...]]:
    """Count what happened, without the action ids, which go by the order of events."""
    return Counter(
        tuple(part for part in line if not _is_about_ids(part))
        for several in histories.values()
        for lines in several
        for line in lines
    )


def _is_about_ids(part: object) -> bool:
    return isinstance(part, tuple) and part[0] in ("task_id", "origin", "instance", "failed_tasks")


def test_there_is_a_scenario_for_all_of_the_model() -> None:
    """At least 120 scenarios, each with a name of its own and a sentence on what it shows."""
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names)) >= 120
    assert [scenario.name for scenario in SCENARIOS if not scenario.script.__doc__] == []
