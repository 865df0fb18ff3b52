"""Which operation led to which: derived from a history, in which it is not written down. Pure.

Code runs from one wait to the next, so what a history records between two incoming events was asked
for because of the first of them. Three rules say what else it was waiting for:

- When nothing else was open, everything that had come in unused was waited for: a join.
- While something was open, only its siblings of the same name were: a stage of a pipeline.
- A timer or an external event that led on while others of its turn were open, or the reverse, is
  the winner of a race; those others have lost, unless something follows from them later.

What raced besides is written down (`RaceDecided`); in histories of before there were such notes,
activities that race look like branches of different length, and are drawn as those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from ipydurable.runtime.core import events as ev

from .views import RowKind

__all__ = ["Causality", "NodeKey", "Operation"]

_WAITS = (RowKind.TIMER, RowKind.EVENT)


class NodeKey(NamedTuple):
    """What operations share that are drawn as one.

    Attributes:
        layer: How many steps from the start, from 1.
        kind: What they stand for.
        name: Their name.
        section: Action id of the lock request in whose critical section they are; 0 for none.
    """

    layer: int
    kind: RowKind
    name: str
    section: int


@dataclass(slots=True, eq=False)
class Operation:
    """One logical operation, all its attempts taken together.

    Attributes:
        node: What it is drawn as part of.
        turn: The turn in which it was asked for.
        parents: The nodes of what had to happen before; empty for the start.
        target: The entity, or the child instance.
        is_done: Whether its outcome has come in.
        is_used: Whether something followed from it.
        has_won: Whether it is the winner of a race.
        has_lost: Whether it is the loser of a race, or was given up at the end.
        in_race: Whether it was a race that it lost.
        is_out: Whether a note says that it lost, and none that it is waited for again.
    """

    node: NodeKey
    turn: int
    parents: frozenset[NodeKey]
    target: str = ""
    is_done: bool = False
    is_used: bool = False
    has_won: bool = False
    has_lost: bool = False
    in_race: bool = False
    is_out: bool = False


@dataclass(slots=True)
class _Turn:
    """What was asked for in one turn, and what is still open of it, by node."""

    layer: int = 1
    parents: frozenset[NodeKey] = frozenset()
    open: dict[NodeKey, set[Operation]] = field(default_factory=dict)


class Causality:
    """Folds the history events of one instance.

    Attributes:
        operations: By action id of their first attempt.
        events: External events in the order they came.
        ending: What the end followed from; None before it.
        last: The parents of what would be asked for now, for waits that leave no trace.
        changed: Operations whose use, loss or victory changed since the reader last cleared it.
    """

    def __init__(self) -> None:
        self._execution_id = ""
        self._start_over()

    def _start_over(self) -> None:
        self.operations: dict[int, Operation] = {}
        self.events: list[Operation] = []
        self.ending: frozenset[NodeKey] | None = None
        self.changed: set[Operation] = set()
        self._first: dict[int, Operation] = {}
        self._turns = [_Turn()]
        self._is_new = False
        self._trigger: Operation | None = None
        self._pool: dict[Operation, None] = {}
        self._open: set[Operation] = set()
        self._section = 0
        self._locks: dict[int, int] = {}
        self._stages: dict[NodeKey, set[tuple[RowKind, str]]] = {}
        self._races: list[tuple[frozenset[Operation], list[Operation]]] = []

    @property
    def last(self) -> tuple[int, frozenset[NodeKey]]:
        """The layer and parents of what the code asks for, or waits for, now."""
        turn = self._turns[-1]
        if self._open:
            return turn.layer, turn.parents
        parents = frozenset(one.node for one in self._pool if not one.is_out)
        if not parents:
            return turn.layer, turn.parents
        return 1 + max(one.layer for one in parents), parents

    def fold(self, event: ev.Event) -> None:
        """Apply one event; kinds that concern no operation are ignored."""
        apply = self._FOLDS.get(type(event))
        if apply is not None:
            apply(self, event)

    def _started(self, event: ev.ExecutionStarted) -> None:
        if event.execution_id != self._execution_id:
            self._execution_id = event.execution_id
            self._start_over()

    def _ended(self, event: ev.ExecutionCompleted) -> None:
        for task_id in event.abandoned:
            operation = self._first.get(task_id)
            if operation is not None:
                self._lose(operation, in_race=False)
        # The end waits for nothing: what is still open was given up.
        self._open.clear()
        self.ending = self._use() or self._turns[-1].parents

    def _rewound(self, event: ev.ExecutionRewound) -> None:
        self.ending = None
        redone = self._known((one, one) for one in event.task_ids)
        for operation in redone:
            self._reopen(operation)
        # What they had won is open again, as is what the end had given up.
        for winners, losers in self._races:
            if not winners.isdisjoint(redone):
                self._find(losers)
        self._find(
            one for one in self._first.values() if one.has_lost and not (one.in_race or one.is_done)
        )

    def _race_decided(self, event: ev.RaceDecided) -> None:
        self._find(self._known(event.taken_up))
        losers = [one for one in self._known(event.lost) if not one.is_done]
        winners = {one for one in self._known(event.won) if one.is_done}
        for operation in losers:
            self._lose(operation, in_race=True)
            self._siblings(operation).discard(operation)
            operation.is_out = True
        if losers:
            for winner in winners:
                self._win(winner)
            if self._trigger is not None:
                winners.add(self._trigger)
            self._races.append((frozenset(winners), losers))

    def _known(self, spans: Iterable[tuple[int, int]]) -> list[Operation]:
        ids = (task_id for first, last in spans for task_id in range(first, last + 1))
        return [self._first[task_id] for task_id in ids if task_id in self._first]

    def _find(self, operations: Iterable[Operation]) -> None:
        """Take back that operations have lost: what is open of them is waited for."""
        for operation in operations:
            operation.has_lost = operation.in_race = operation.is_out = False
            self.changed.add(operation)
            if operation.is_done:
                if not operation.is_used:
                    self._pool[operation] = None
            else:
                self._open.add(operation)
                self._siblings(operation).add(operation)

    def _scheduled(self, event: ev.TaskScheduled) -> None:
        self._asked(RowKind.ACTIVITY, event.name, event.task_id, origin=event.origin)

    def _child(self, event: ev.SubOrchestrationInstanceCreated) -> None:
        self._asked(
            RowKind.ORCHESTRATION,
            event.name,
            event.task_id,
            origin=event.origin,
            target=event.instance_id,
        )

    def _called(self, event: ev.EntityOperationCalled) -> None:
        name = _entity_name(event.entity_id, event.operation)
        self._asked(RowKind.ENTITY_CALL, name, event.task_id, target=event.entity_id)

    def _signalled(self, event: ev.EntityOperationSignaled) -> None:
        name = _entity_name(event.entity_id, event.operation)
        self._point(RowKind.SIGNAL, name, event.task_id, event.entity_id)

    def _sent(self, event: ev.EventSent) -> None:
        self._point(RowKind.EVENT_SENT, event.name, event.task_id, event.instance_id)

    def _timer(self, event: ev.TimerCreated) -> None:
        if event.origin and event.origin in self._first:
            self._reopen(self._first[event.origin])
        else:
            self._asked(RowKind.TIMER, "timer", event.task_id)

    def _lock(self, event: ev.EntityLockRequested) -> None:
        self._locks[event.task_id] = len(event.entity_ids)
        self._asked(RowKind.LOCK, "lock", event.task_id, target=", ".join(event.entity_ids))

    def _granted(self, event: ev.EntityLockGranted) -> None:
        self._settled(event)
        self._section = event.task_id

    def _unlocked(self, event: ev.EntityUnlockSent) -> None:
        left = self._locks[event.lock_id] = self._locks.get(event.lock_id, 1) - 1
        if left <= 0 and self._section == event.lock_id:
            self._section = 0

    def _settled(self, event: Any) -> None:
        operation = self._first.get(event.task_id)
        if operation is not None and not operation.is_done:
            self._came_in(operation)

    def _raised(self, event: ev.EventRaised) -> None:
        trigger = self._trigger
        if trigger is not None and trigger.is_out:
            # Nobody waited for it: this follows from what came before.
            self._trigger = next((one for one in reversed(self._pool) if not one.is_out), None)
        if self._trigger is not None and self._pool and not self._open:
            # Nothing else was to be waited for: the wait for it followed from what came before.
            self._next_turn(RowKind.EVENT, event.name)
        turn = self._turns[-1]
        node = NodeKey(turn.layer, RowKind.EVENT, event.name, self._section)
        operation = Operation(node, len(self._turns) - 1, turn.parents)
        self.events.append(operation)
        self._came_in(operation)

    def _came_in(self, operation: Operation) -> None:
        operation.is_done = True
        self._open.discard(operation)
        self._siblings(operation).discard(operation)
        self._pool[operation] = None
        self._trigger, self._is_new = operation, True

    def _siblings(self, operation: Operation) -> set[Operation]:
        return self._turns[operation.turn].open.setdefault(operation.node, set())

    def _reopen(self, operation: Operation) -> None:
        operation.is_done = operation.is_used = operation.has_won = False
        self.changed.add(operation)
        self._pool.pop(operation, None)
        self._open.add(operation)
        self._siblings(operation).add(operation)
        if self._trigger is operation:
            self._is_new = False

    def _asked(
        self, kind: RowKind, name: str, task_id: int, *, origin: int = 0, target: str = ""
    ) -> None:
        first = self._first.get(origin or task_id)
        if first is not None:
            self._first[task_id] = first
            self._reopen(first)
            return
        operation = self._add(kind, name, task_id, target)
        self._open.add(operation)
        self._siblings(operation).add(operation)

    def _point(self, kind: RowKind, name: str, task_id: int, target: str) -> None:
        if task_id not in self._first:
            self._add(kind, name, task_id, target).is_done = True

    def _add(self, kind: RowKind, name: str, task_id: int, target: str) -> Operation:
        if self._is_new:
            self._next_turn(kind, name)
        turn = self._turns[-1]
        node = NodeKey(turn.layer, kind, name, self._section)
        operation = Operation(node, len(self._turns) - 1, turn.parents, target)
        self.operations[task_id] = self._first[task_id] = operation
        return operation

    def _next_turn(self, kind: RowKind, name: str) -> None:
        parents = self._use((kind, name)) or self._turns[-1].parents
        layer = 1 + max((one.layer for one in parents), default=0)
        self._turns.append(_Turn(layer, parents))

    def _use(self, asked: tuple[RowKind, str] | None = None) -> frozenset[NodeKey]:
        """Take what the present turn followed from out of what came in; see the module.

        Args:
            asked: Kind and name of what was asked for first; None for the end.
        """
        trigger, self._is_new = self._trigger, False
        if trigger is None or not self._pool:
            return frozenset()
        self._decide_race(trigger)
        is_join = not self._open
        stages = self._stages.setdefault(trigger.node, set())
        if asked is not None and asked in stages:
            # The last of a stage goes the way of those before it, though nothing else is open.
            is_join = False
        elif asked is not None and self._siblings(trigger):
            stages.add(asked)
        used = [
            one
            for one in self._pool
            if one is trigger
            or (is_join and not one.has_lost)
            or (one.node == trigger.node and not one.is_out)
        ]
        for one in used:
            del self._pool[one]
            one.is_used, one.has_lost, one.in_race, one.is_out = True, False, False, False
            self.changed.add(one)
        return frozenset(one.node for one in used)

    def _decide_race(self, winner: Operation) -> None:
        for node, others in self._turns[winner.turn].open.items():
            # Siblings of the same name go their own ways, each when its turn comes.
            if node == winner.node or not others:
                continue
            if node.kind in _WAITS or winner.node.kind in _WAITS:
                self._win(winner)
                for other in others:
                    self._lose(other, in_race=True)

    def _win(self, operation: Operation) -> None:
        operation.has_won = True
        self.changed.add(operation)

    def _lose(self, operation: Operation, *, in_race: bool) -> None:
        operation.has_lost = True
        operation.in_race = operation.in_race or in_race
        self._open.discard(operation)
        self._pool.pop(operation, None)
        self.changed.add(operation)

    _FOLDS: ClassVar[dict[type[ev.Event], Callable[[Any, Any], None]]] = {
        ev.ExecutionStarted: _started,
        ev.ExecutionCompleted: _ended,
        ev.ExecutionRewound: _rewound,
        ev.RaceDecided: _race_decided,
        ev.TaskScheduled: _scheduled,
        ev.TaskCompleted: _settled,
        ev.TaskFailed: _settled,
        ev.SubOrchestrationInstanceCreated: _child,
        ev.SubOrchestrationInstanceCompleted: _settled,
        ev.SubOrchestrationInstanceFailed: _settled,
        ev.TimerCreated: _timer,
        ev.TimerFired: _settled,
        ev.EventSent: _sent,
        ev.EventRaised: _raised,
        ev.EntityOperationCalled: _called,
        ev.EntityOperationSignaled: _signalled,
        ev.EntityOperationCompleted: _settled,
        ev.EntityOperationFailed: _settled,
        ev.EntityLockRequested: _lock,
        ev.EntityLockGranted: _granted,
        ev.EntityUnlockSent: _unlocked,
    }


def _entity_name(entity_id: str, operation: str) -> str:
    return f"{entity_id.removeprefix('@').partition('@')[0]}.{operation}"
