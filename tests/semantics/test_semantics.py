"""Whatever breaks, a program does what the fault-free model says it may do, and nothing else."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from ipydurable.runtime import engine
from ipydurable.runtime.core.events import TaskCompleted, TaskFailed, TaskScheduled
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import Stream
from tests.semantics.language import ENTITIES, programs
from tests.semantics.model import FAILED, Meaning, TooManyMeaningsError, explains, meanings
from tests.semantics.simulation import FAULT_POINTS, Simulation

PROGRAMS = int(os.environ.get("IPYDURABLE_PROGRAMS", "200"))

roots = st.integers(1, 2).flatmap(
    lambda count: st.tuples(
        *(st.tuples(st.integers(1, 2), programs(f"{place}.")) for place in range(count))
    )
)


def outcome_of(world: Simulation, instance_id: str) -> Any:
    record = world.record(instance_id)
    assert record.status in (RuntimeStatus.COMPLETED, RuntimeStatus.FAILED), record
    return FAILED if record.status is RuntimeStatus.FAILED else world.output(instance_id)


def without_numbers(outcome: Any, numbers: list[str]) -> Any:
    """Return an outcome without the numbers of its external events, which go to `numbers`."""
    if isinstance(outcome, list):
        return [without_numbers(one, numbers) for one in outcome]
    if isinstance(outcome, str) and "#" in outcome:
        name, _, number = outcome.partition("#")
        numbers.append(number)
        return name
    return outcome


def effects_of(world: Simulation) -> Counter[str]:
    """Count the recorded results of activities, and what entities remember, by tag."""
    effects: Counter[str] = Counter()
    tags: dict[tuple[int, int], str] = {}
    for row in world.store.rows:
        if row.stream is not Stream.HISTORY:
            continue
        match row.event:
            case TaskScheduled():
                assert isinstance(row.event.input, str)
                tags[row.iid, row.event.task_id] = msgspec.json.decode(row.event.input)
            case TaskCompleted() | TaskFailed():
                effects[f"ran {tags[row.iid, row.event.task_id]}"] += 1
    for entity in ENTITIES:
        state = world.state(f"@log@{entity}")
        effects.update(f"{entity} has {tag}" for tag in (state or {"tags": []})["tags"])
    return effects


def of_root(effects: Counter[str], place: int) -> Counter[str]:
    return Counter({tag: n for tag, n in effects.items() if f" {place}." in tag})


@given(
    orders=roots,
    seed=st.integers(0, 2**32 - 1),
    resident=st.sampled_from([0, 1, 1000]),
    batch=st.sampled_from([2, 5, 10_000]),
)
@example(  # events that continue-as-new carried over came after newer ones, after a crash
    orders=((2, [["activity", "0.1"], ["activity", "0.2"], ["activity", "0.3"]]),),
    seed=0,
    resident=0,
    batch=2,
)
@example(  # an event whose answer was lost was raised again for the next execution
    orders=((3, [["event", "red"]]),), seed=13, resident=0, batch=10_000
)
@settings(deadline=None, max_examples=PROGRAMS)
def test_programs_do_what_the_model_allows(
    orders: tuple[tuple[int, list[Any]], ...], seed: int, resident: int, batch: int
) -> None:
    try:
        possible = [meanings(program, rounds) for rounds, program in orders]
    except TooManyMeaningsError:
        assume(False)
        raise
    # So small that a batch may be full before all messages are applied.
    with patch.object(engine, "_MAX_ROWS_PER_BATCH", batch):
        world = Simulation(random.Random(seed), resident)
        ids = world.begin([list(order) for order in orders])
        world.live_at_random()
    event(f"crashes: {min(sum(world.crashes.values()), 10)}")
    effects = effects_of(world)
    for place, instance_id in enumerate(ids):
        numbers: list[str] = []
        outcome = without_numbers(outcome_of(world, instance_id), numbers)
        mine = of_root(effects, place)
        assert len(numbers) == len(set(numbers)), f"an event was taken twice: {numbers}"
        assert explains(possible[place], outcome, mine), (orders[place], outcome, mine)
    for tag, count in effects.items():
        if tag.startswith("ran "):
            assert world.bodies[tag.removeprefix("ran ")] >= count, f"{tag} but nobody ran it"


def test_every_fault_point_is_reached() -> None:
    program = [["all", [["activity", f"0.{n}"] for n in range(4)]], ["call", "a", "0.9"]]
    crashes: Counter[str] = Counter()
    for seed in range(80):
        world = Simulation(random.Random(seed), 0)
        world.begin([[2, program]])
        world.live_at_random()
        crashes.update(world.crashes)
    assert set(crashes) == set(FAULT_POINTS)


@pytest.mark.parametrize(
    ("outcome", "effects", "is_allowed"),
    [
        ([[0, "0.1/1"]], {"ran 0.1/1": 1, "ran 0.2/1": 0}, True),
        ([[0, "0.1/1"]], {"ran 0.1/1": 1, "ran 0.2/1": 1}, True),
        ([[1, "0.2/1"]], {"ran 0.2/1": 1}, True),
        ([[1, "0.1/1"]], {"ran 0.1/1": 1}, False),
        ([[0, "0.1/1"]], {"ran 0.1/1": 2}, False),
        ([[0, "0.1/1"]], {}, False),
        (FAILED, {}, False),
    ],
)
def test_the_model_allows_just_what_a_race_may_give(
    outcome: Any, effects: dict[str, int], is_allowed: bool
) -> None:
    possible: list[Meaning] = meanings([["any", [["activity", "0.1"], ["activity", "0.2"]]]])
    assert explains(possible, outcome, Counter(effects)) is is_allowed
