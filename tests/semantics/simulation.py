"""The real engine in a simulated world: one seed decides what happens next, and what breaks.

Nothing is left to threads or clocks: the engine is stepped by hand, its journal, its executor and
its entities' runner are injected, and a crash is an exception at a named fault point. What a
client was not answered it asks again, as the link does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

from ipydurable.runtime.core.records import Record
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Kind
from ipydurable.runtime.instances import Instance
from ipydurable.runtime.ports import AttemptKey, AttemptRequest, JournalRow
from ipydurable.runtime.requests import (
    RaiseEvent,
    Request,
    Resume,
    Start,
    StartMany,
    Suspend,
    as_repeated,
)
from ipydurable.runtime.testing import MemoryStore
from tests.semantics import language
from tests.semantics.invariants import Invariants
from tests.support.world import World

__all__ = ["FAULT_POINTS", "Simulation"]

FAULT_POINTS = (
    "before an append",
    "after an append",
    "before an activity starts",
    "after an activity has started",
    "before entity operations start",
    "after entity operations have started",
    "before an effect",
    "after an effect",
    "after an answer",
)

_MOST_STEPS = 400
_CHANCE_OF_A_FAULT = 0.08


class CrashError(BaseException):
    """The process ends here: no `except Exception` may stop it."""


class FaultyStore(MemoryStore):
    """A store whose process may end around an append."""

    def __init__(self, reach: Callable[[str], None]) -> None:
        super().__init__()
        self._reach = reach

    def append(self, rows: Sequence[JournalRow], records: Sequence[Record]) -> None:
        """Keep rows and records, unless the process ends before."""
        self._reach("before an append")
        super().append(rows, records)
        self._reach("after an append")


class Simulation(World):
    """A world in which a random generator decides what happens.

    Args:
        rng: Decides everything.
        resident: As `EngineOptions.resident`.

    Attributes:
        crashes: How often the engine ended, by fault point.
        ran: How often the body of each activity ran, by its tag.
    """

    def __init__(self, rng: random.Random, resident: int) -> None:
        self.rng = rng
        self.crashes: dict[str, int] = {}
        self.bodies: dict[str, int] = {}
        self._fault_in = self._raised = 0
        self._unanswered: list[tuple[Request, Future[Any]]] = []
        self._late: list[Callable[[], None]] = []
        super().__init__(
            resident,
            idle_entities=rng.choice([0, 1, 100]),
            decisions_at_once=rng.choice([1, 2, 10_000]),
        )
        self.executor.capacity = rng.choice([1, 1000])
        self.invariants = Invariants(self)
        self.define(self._counted(language.working), name="working")
        self.define(self._counted(language.failing), name="failing")
        self.orchestrator(language.run)
        self.define(language.Log, Kind.ENTITY, name="log")

    def _boot(self) -> None:
        if not isinstance(self.store, FaultyStore):
            self.store = FaultyStore(self._reach)
        self._wrap(self.executor, "an activity starts", "an activity has started")
        self._wrap(self.runner, "entity operations start", "entity operations have started")
        super()._boot()
        after_commit = self.engine.after_commit
        self.engine.after_commit = lambda effect: after_commit(  # type: ignore[method-assign]
            lambda: self._carry_out(effect)
        )

    def _carry_out(self, effect: Callable[[], None]) -> None:
        """Do what was kept for after a commit: answer a client, run an entity."""
        self._reach("before an effect")
        effect()
        self._reach("after an effect")

    def _wrap(self, runner: Any, before: str, after: str) -> None:
        submit = runner.submit

        def submit_unless_it_ends(*args: Any) -> None:
            self._reach(f"before {before}")
            submit(*args)
            self._reach(f"after {after}")

        runner.submit = submit_unless_it_ends

    def _counted(self, body: Callable[[str], str]) -> Callable[[str], str]:
        def counted(tag: str) -> str:
            self.bodies[tag] = self.bodies.get(tag, 0) + 1
            return body(tag)

        return counted

    def _reach(self, point: str) -> None:
        """Pass a fault point; end the process if its time has come."""
        if self._fault_in:
            self._fault_in -= 1
            if not self._fault_in:
                self.crashes[point] = self.crashes.get(point, 0) + 1
                raise CrashError(point)

    # What may happen.

    def begin(self, orders: list[list[Any]]) -> list[str]:
        """Start orchestrations; returns their ids."""
        ids = [f"root-{number}" for number in range(len(orders))]
        for instance_id, order in zip(ids, orders, strict=True):
            payload = self.client.encode(order, "input")
            start = Start(
                name="run", instance_id=instance_id, input=payload, request_id=instance_id
            )
            self._request(StartMany(starts=[start]))
        return ids

    def live_at_random(self) -> None:
        """Let things happen in a random order, with crashes, until nothing is left to happen."""
        for _ in range(_MOST_STEPS):
            if self._is_over:
                break
            if self.rng.random() < _CHANCE_OF_A_FAULT:
                self._fault_in = self.rng.randint(1, 10)
            self._happen(self.rng.choice(self._possible()))
            self._settle_and_check()
        self._fault_in = 0
        self.live_on()

    def live_on(self) -> None:
        """Let everything that can happen happen, without faults, until nothing lives."""
        for _ in range(_MOST_STEPS):
            self._settle_and_check()
            if self._is_over:
                return
            for happen in (
                self._resume_all,
                self._run_all,
                self._raise_everywhere,
                self._let_time_pass,
            ):
                happen()
                self._settle_and_check()
        stuck = {one: self.history(one) for one in self.engine.orchestrations.by_id}
        raise AssertionError(f"they wait for ever: {stuck}")

    @property
    def _is_over(self) -> bool:
        entities_work = self.runner.waiting
        return not (self.engine.orchestrations.by_id or self._unanswered or entities_work)

    def _possible(self) -> list[Callable[[], None]]:
        possible = [self._raise_one, self._let_time_pass, self._crash, self._suspend_or_resume]
        if self.executor.waiting:
            possible += [self._run_an_activity] * 4 + [self._lose_an_activity]
        if self.runner.waiting:
            possible += [self._run_an_entity] * 4
        if self._late:
            possible += [self._tell_late]
        return possible

    def _happen(self, happen: Callable[[], None]) -> None:
        try:
            happen()
        except CrashError:
            self.crash()

    def _settle_and_check(self) -> None:
        while True:
            try:
                self.settle()
                break
            except CrashError:
                self.crash()
        self._unanswered = [(one, future) for one, future in self._unanswered if not future.done()]
        self.invariants.check()

    def crash(self) -> None:
        """End the process: what is not durable is gone, and clients ask again."""
        self._fault_in = 0
        flying = self.executor.waiting.items()
        self._late += [self._late_answer(key, request) for key, (request, _) in flying]
        self.engine.orchestrations.close()
        super().crash()
        unanswered, self._unanswered = self._unanswered, []
        for request, future in unanswered:
            if not future.done():
                self._request(as_repeated(request))

    def _late_answer(self, key: AttemptKey, request: AttemptRequest) -> Callable[[], None]:
        """Return how a worker that was given up, but lives, ends its attempt and tells so."""

        def tell() -> None:
            outcome = self.executor.outcome(request)
            self.engine.post(self.engine._on_attempt_done, key, outcome)

        return tell

    def _request(self, request: Request) -> None:
        answer = self.send(request)
        answer.add_done_callback(lambda _: self._reach("after an answer"))
        self._unanswered.append((request, answer))

    def _crash(self) -> None:
        raise CrashError("between two steps")

    def _raise_one(self) -> None:
        instance = self._any_live()
        if instance is not None:
            self._raise(instance.record.instance_id, self.rng.choice(language.EVENTS))

    def _suspend_or_resume(self) -> None:
        instance = self._any_live()
        if instance is not None and instance.record.status is RuntimeStatus.SUSPENDED:
            self._request(Resume(instance_id=instance.record.instance_id))
        elif instance is not None:
            self._request(Suspend(instance_id=instance.record.instance_id))

    def _resume_all(self) -> None:
        for instance in list(self.engine.orchestrations.by_iid.values()):
            if instance.record.status is RuntimeStatus.SUSPENDED:
                self._request(Resume(instance_id=instance.record.instance_id))

    def _any_live(self) -> Instance | None:
        live = list(self.engine.orchestrations.by_iid.values())
        return self.rng.choice(live) if live else None

    def _raise_everywhere(self) -> None:
        for instance_id in sorted(self.engine.orchestrations.by_id):
            for name in language.EVENTS:
                self._raise(instance_id, name)

    def _raise(self, instance_id: str, name: str) -> None:
        self._raised += 1
        data = self.client.encode(f"{name}#{self._raised}", "data")
        request_id = f"event-{self._raised}"
        # Names of events mean the same in any case.
        self._request(
            RaiseEvent(instance_id=instance_id, name=name.upper(), data=data, request_id=request_id)
        )

    def _let_time_pass(self) -> None:
        self.clock.advance(timedelta(seconds=self.rng.randint(0, 3)))

    def _run_an_activity(self) -> None:
        self.executor.run(self.rng.choice(list(self.executor.waiting)))

    def _lose_an_activity(self) -> None:
        key = self.rng.choice(list(self.executor.waiting))
        if key.number < _MOST_LOST:
            request, _ = self.executor.waiting[key]
            self.executor.lose(key)
            self._late.append(self._late_answer(key, request))

    def _tell_late(self) -> None:
        self._late.pop(self.rng.randrange(len(self._late)))()

    def _run_an_entity(self) -> None:
        self.runner.run(self.rng.randrange(len(self.runner.waiting)))

    def _run_all(self) -> None:
        for key in list(self.executor.waiting):
            self.executor.run(key)
        while self.runner.waiting:
            self.runner.run()


# Three workers that die under an activity fail it; that is no part of the model.
_MOST_LOST = 2
