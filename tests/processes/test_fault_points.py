"""Hosts that die at every point at which it matters, and what is found afterwards.

Each round orders a death, starts work of every kind, and has the host that was ordered to die, and
its successors, do it. What a client was told is remembered and asked for at the end; then the
journal is read row by row.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from ipydurable.runtime import launch
from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.connection import HostPaths, is_locked
from ipydurable.runtime.core.errors import UnknownInstanceError
from ipydurable.runtime.core.records import Record
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Definition, Kind
from ipydurable.runtime.link import Link
from ipydurable.runtime.ports import EntityQuery, InstanceQuery
from ipydurable.store import open_store
from tests.processes import doomed_host
from tests.processes.doomed_host import ENDING, PURGING, RUNNING, STARTING, Order
from tests.processes.sources import SOURCES, definition, wait_until
from tests.processes.test_bank import ACCOUNT, TRANSFER
from tests.processes.test_bank import definition as made
from tests.semantics.invariants import JournalInvariants

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("IPYDURABLE_FAULT_ROUNDS", "0"))
SEED = int(os.environ.get("IPYDURABLE_SEED", "5"))
ACCOUNTS = 4
START = 100
ITEMS = 4
TIMEOUT_S = 90
# These are passed many times in each round.
OFTEN = RUNNING[:13]
MOST_PASSES = 8
CHANCE_OF_LATER = 0.5
MEAN_LATER_S = 0.003

TALLY = """\
class Tally:
    numbers: list = []

    def add(self, number):
        self.numbers = [*self.numbers, number]
"""
# What it does again in a second execution: everything but its children has other ids there.
DAY = f"""\
async def day(ctx, order):
    from datetime import timedelta

    path, number, rounds, source, target = order
    power = await ctx.call_sub_orchestrator('chain', 3)
    items = [[path, f'{{number}}.{{rounds}}.{{n}}'] for n in range({ITEMS})]
    await ctx.when_all([ctx.call_activity('append', item) for item in items])
    await ctx.create_timer(timedelta(milliseconds=20))
    moved = await ctx.call_sub_orchestrator('transfer', [source, target, 7])
    ctx.signal_entity('Tally@days', 'add', f'{{number}}.{{rounds}}')
    heard = await ctx.wait_for_external_event('go')
    if rounds > 1:
        ctx.continue_as_new([path, number, rounds - 1, source, target])
        return None
    return [power, moved, heard]
"""
SPEAKER = """\
def speak(n):
    print('spoken', n)
    return n
"""
SPEAKS = "async def speaks(ctx, n):\n    return await ctx.call_activity('speak', n)\n"


def definitions() -> list[Definition]:
    """Return everything that a round uses, each with a version of its own as real code has."""
    made_alike = [
        *(definition(name) for name in SOURCES),
        made(Kind.ENTITY, "Account", ACCOUNT),
        made(Kind.ENTITY, "Tally", TALLY),
        made(Kind.ORCHESTRATOR, "transfer", TRANSFER),
        made(Kind.ORCHESTRATOR, "day", DAY),
        made(Kind.ACTIVITY, "speak", SPEAKER),
        made(Kind.ORCHESTRATOR, "speaks", SPEAKS),
    ]
    return [msgspec.structs.replace(one, version=one.name) for one in made_alike]


class Round(NamedTuple):
    """What a round has started and was told of."""

    days: list[str]
    events: dict[str, str]
    speaker: str


class Trial:
    """A store whose hosts die, and what must be true of it.

    Args:
        paths: The host's files.
        effects: The file to which activities append.
        rng: Decides who pays whom.

    Attributes:
        died: How many hosts have died, by point.
    """

    def __init__(self, paths: HostPaths, effects: Path, rng: random.Random) -> None:
        self.died: Counter[str] = Counter()
        self._paths = paths
        self._effects = effects
        self._rng = rng
        self._days = 0
        self._events = count(1)
        self._rounds: list[Round] = []
        self._signalled: list[int] = []
        self._deposited = 0
        self._purged: list[str] = []
        self.client = DurableClient(Link(paths), NamespaceConverter({}))
        self.client.define(definitions())
        for n in range(ACCOUNTS):
            self.client.signal_entity(f"Account@{n}", "deposit", START)

    def survive(self, order: Order, *, is_certain: bool = True) -> None:
        """Do a round in which a host dies as ordered, and look at what became of it.

        Args:
            order: Where.
            is_certain: Whether the point is passed so often, be it only somewhat later: some of
                what a host does it does a moment after all has been answered.
        """
        before = len(doomed_host.died_at(self._paths))
        if order.point in STARTING:
            begun = self._begin()
            self._order_and_restart(order)
        else:
            doomed_host.order(self._paths, order)
            begun = self._begin()
        self._finish(begun)
        if order.point in PURGING:
            self._purge(begun)
        if order.point in ENDING:
            self._stop()
        if is_certain:
            wait_until(lambda: len(doomed_host.died_at(self._paths)) > before)
        (self._paths.folder / "order").unlink(missing_ok=True)
        self.died.update(doomed_host.died_at(self._paths)[before:])

    def _order_and_restart(self, order: Order) -> None:
        pid = self.client.host_status().pid
        doomed_host.order(self._paths, order)
        os.kill(pid, signal.SIGKILL)

    def _begin(self) -> Round:
        """Start a round, and note what was acknowledged."""
        orders = []
        for _ in range(2):
            source, target = self._rng.sample(range(ACCOUNTS), 2)
            self._days += 1
            orders.append([str(self._effects), self._days, 2, str(source), str(target)])
        # After a stop this starts a host, which may be the one that was ordered to die.
        days = self.client.start_many("day", orders)
        events = {}
        for one in days:
            # Two, for there are two executions: each takes the first that it has not heard.
            for _ in range(2):
                events[one] = f"go#{next(self._events)}"
                self.client.raise_event(one, "go", events[one])
        self.client.signal_entity("Tally@signals", "add", len(self._signalled))
        self._signalled.append(len(self._signalled))
        self.client.call_entity(f"Account@{self._days % ACCOUNTS}", "deposit", 1, timeout_s=60)
        self._deposited += 1
        begun = Round(days, events, self.client.start("speaks", 3))
        self._rounds.append(begun)
        return begun

    def _finish(self, begun: Round) -> None:
        for one in begun.days:
            record = self.client.wait(one, timeout_s=TIMEOUT_S)
            assert record.status is RuntimeStatus.COMPLETED, record
            power, moved, heard = self.client.decode(record.output)
            assert (power, heard) == (8, begun.events[one])
            assert moved in ("done", "too little")
        speaker = self.client.wait(begun.speaker, timeout_s=TIMEOUT_S)
        assert self.client.decode(speaker.output) == 3
        total = sum(
            self.client.call_entity(f"Account@{n}", "get", timeout_s=60) for n in range(ACCOUNTS)
        )
        assert total == ACCOUNTS * START + self._deposited, "money was made or lost"
        assert self.client.locks() == []

    def _purge(self, begun: Round) -> None:
        assert self.client.purge(begun.speaker) == 1
        self._purged.append(begun.speaker)

    def _stop(self) -> None:
        self.client.stop_host()
        wait_until(lambda: not is_locked(self._paths.lock))

    def check_all(self) -> None:
        """Look at all that ever was acknowledged, then at the file itself."""
        for begun in self._rounds:
            assert all(self.client.get(one).status is RuntimeStatus.COMPLETED for one in begun.days)
        for one in self._purged:
            with pytest.raises(UnknownInstanceError):
                self.client.get(one)
        assert self._numbers("Tally@signals") == self._signalled
        days = [f"{n + 1}.{round_}" for n in range(self._days) for round_ in (2, 1)]
        assert sorted(self._numbers("Tally@days")) == sorted(days)
        ran = Counter(self._effects.read_text(encoding="utf-8").split())
        assert set(ran) == {f"{day}.{n}" for day in days for n in range(ITEMS)}
        outcomes = self.client.sql(
            "SELECT count(*) AS n FROM history WHERE event_type = 'TaskCompleted' "
            "GROUP BY instance_id, execution_id, task_id HAVING count(*) > 1"
        )
        assert outcomes.to_pylist() == [], "a task has completed twice"
        self._stop()
        self.client.close()
        _check_file(self._paths.store, has_gaps=bool(self._purged))

    def _numbers(self, entity: str) -> list[Any]:
        record = self.client.get_entity(entity)
        assert record is not None
        numbers: list[Any] = self.client.decode(record.state)["numbers"]
        return numbers


def _check_file(path: Path, *, has_gaps: bool) -> None:
    """Check the rows of a closed store one by one, and that its tables are their fold."""
    with closing(open_store(path)) as store:
        assert store.recover().report == []
        stored: list[Record] = [
            *store.query(InstanceQuery(limit=None)),
            *store.query_entities(EntityQuery(limit=None)),
        ]
        if has_gaps:
            return
        journal = JournalInvariants()
        for row in store.all_rows():
            journal.check_row(row)
    assert not journal.holders, "a lock is left"
    assert {one.iid: one for one in stored} == journal.records


@pytest.fixture
def trial(paths: HostPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    """Give a trial whose hosts are started as the real ones are, but for the module's name."""
    start = launch._HostProcess

    def start_doomed(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        assert command[2] == "ipydurable.host_main"
        return start([*command[:2], doomed_host.__name__, *command[3:]], **how)

    monkeypatch.setattr(launch, "_HostProcess", start_doomed)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    trial = Trial(paths, tmp_path / "effects", random.Random(SEED))
    yield trial
    trial.client.close()


def _random_order(rng: random.Random, points: list[str]) -> Order:
    """Order a death at any pass of a point, or somewhat later, whatever the host does then."""
    point = rng.choice(points)
    passes = rng.randint(1, MOST_PASSES) if point in OFTEN else 1
    after_s = rng.expovariate(1 / MEAN_LATER_S) if rng.random() < CHANCE_OF_LATER else 0.0
    return Order(point=point, passes=passes, after_s=after_s)


@pytest.mark.timeout(300 + 20 * ROUNDS)
def test_nothing_is_lost_or_done_twice_wherever_a_host_dies(
    trial: Trial, record_property: Callable[[str, object], None]
) -> None:
    """Once at each point of a host's life; in the long form also at any pass, and in between."""
    logging.getLogger(__name__).warning("seed %s, %s rounds", SEED, ROUNDS)
    points = [*RUNNING, *ENDING, *STARTING]
    for point in points:
        trial.survive(Order(point=point))
    assert trial.died == Counter(points)
    rng = random.Random(SEED)
    rounds = len(points)
    # A round may have less to do than was ordered, so that nobody dies in it.
    while trial.died.total() < len(points) + ROUNDS:
        trial.survive(_random_order(rng, points), is_certain=False)
        rounds += 1
        assert rounds < len(points) + 3 * ROUNDS
    trial.check_all()
    record_property("rounds", rounds)
    record_property("hosts that died", trial.died.total())
    for point in points:
        record_property(f"hosts that died {point}", trial.died[point])


def test_what_is_purged_stays_purged_wherever_a_host_dies(trial: Trial) -> None:
    for point in PURGING:
        trial.survive(Order(point=point))
    assert trial.died == Counter(PURGING)
    trial.check_all()
