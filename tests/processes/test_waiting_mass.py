"""Many instances that wait, for timers and for events: memory, and a restart with them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.benchmarks.bench import fresh_bench
from tests.benchmarks.restarts import waiting_mass
from tests.benchmarks.sizes import Sizes

pytestmark = pytest.mark.processes

WAITING = int(os.environ.get("IPYDURABLE_WAITING", "2000"))
# With a hundred thousand that is under 500 MB and 20 seconds, an idle host included.
MOST_MB = 80 + WAITING * 0.0042
MOST_RESTART_S = 10 + WAITING * 0.0001


@pytest.mark.timeout(900)
def test_instances_that_wait_cost_little(record_property: Callable[[str, object], None]) -> None:
    """Each that is woken at random gives its result, after a restart."""
    sizes = Sizes()
    sizes.waiting, sizes.events = WAITING, WAITING // 10
    with fresh_bench() as bench:
        figures = list(waiting_mass(bench, sizes))
    for one in figures:
        record_property(f"{one.case}, {one.unit}", round(one.value, 1))
    assert max(one.value for one in figures if one.unit == "MB") < MOST_MB
    assert next(one.value for one in figures if one.unit == "s") < MOST_RESTART_S
