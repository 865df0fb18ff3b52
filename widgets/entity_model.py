"""What an entity's card shows, folded from the updates of the entity: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from ipydurable.runtime.core.entity_events import (
    EntityEvent,
    LockAcquired,
    LockReleased,
    LockRequested,
    LockWithdrawn,
    OperationDone,
    OperationRequested,
)
from ipydurable.runtime.core.entity_state import KEPT_ASIDE
from ipydurable.runtime.core.payload import Blob, Payload
from ipydurable.runtime.core.records import EntityRecord
from ipydurable.runtime.core.special_values import CallArguments
from ipydurable.runtime.ports import EntityUpdate

from .state_tree import TreeNode, Trees, words_of
from .views import epoch_ms

__all__ = ["KEPT", "EntityHead", "EntityModel", "Happening", "Waiting"]

KEPT = 40
"""How many of the last operations are shown."""
_QUEUE_SHOWN = 20
_ATTRIBUTES = 100
_VALUE_CHARS = 120
_CHANGE_CHARS = 60
_CHANGES = 6
_ERROR_CHARS = 400

Decode = Callable[[Payload], Any]


class Waiting(msgspec.Struct, frozen=True):
    """A message that waits for the entity.

    Attributes:
        what: `"lock"`, or the operation with its input.
        who: Who asked: an instance or entity id; empty for a client.
        since: Milliseconds since 1970.
        due: When it is to be done, for one that is scheduled; None for at once.
    """

    what: str
    who: str
    since: float
    due: float | None = None


class Happening(msgspec.Struct):
    """An operation that was done, or a lock that was held.

    Attributes:
        number: Tells them apart, and grows.
        kind: `"operation"` or `"lock"`.
        name: The operation.
        input: Its input, in words.
        who: Who asked for it; empty for a client.
        state: `"completed"`, `"failed"`, or `"running"` for a lock that is held.
        result: What it returned, or why it failed, in words; empty for nothing.
        changes: What it changed: name, value before (None if that is not known) and after.
        more_changes: How many other things it changed.
        together: With how many operations before it the changes were made, in one go.
        at: When it was done, or the lock was taken; milliseconds since 1970.
        queued: Milliseconds it waited; None where that is not known.
        took: Milliseconds it took; None where that is not known, or it goes on.
    """

    number: int
    kind: str
    name: str
    input: str
    who: str
    state: str
    result: str
    at: float
    queued: float | None
    took: float | None
    changes: list[tuple[str, str | None, str]] = []
    more_changes: int = 0
    together: int = 0


class EntityHead(msgspec.Struct):
    """What a card says of the entity besides its state and operations; times in ms since 1970.

    Attributes:
        title: The entity, as people write it.
        now: The host's time.
        exists: Whether anything has ever reached it.
        has_state: Whether it has state.
        modified: When it was last written.
        pending: How many messages wait for it.
        locked_by: The instance whose critical section holds it; empty while it is free.
        locked_at: Since when.
        lock_queue: Who waits for its lock, in order.
        waiting: The first messages that wait.
        kept_aside: Attributes its class no longer has: names and values.
    """

    title: str
    now: float
    exists: bool = False
    has_state: bool = False
    modified: float | None = None
    pending: int = 0
    locked_by: str = ""
    locked_at: float | None = None
    lock_queue: list[str] = []
    waiting: list[Waiting] = []
    kept_aside: list[tuple[str, str]] = []


class _Done(msgspec.Struct):
    """An operation, as it was told; what it shows is worked out when it is shown."""

    gseq: int
    requested: OperationRequested | None
    event: OperationDone
    before: Payload | None
    knows_before: bool
    together: int
    shown: Happening | None = None


class EntityModel:
    """An entity as its updates tell it.

    Args:
        title: The entity, as people write it.
        decode: Gives the value of a payload; may raise.

    Attributes:
        record: Its record; None where nothing has reached it.
        forgotten: How many happenings came before the first that is shown.
    """

    def __init__(self, title: str, decode: Decode) -> None:
        self._title = title
        self._decode = decode
        self._open: dict[int, OperationRequested | LockRequested] = {}
        self._past: list[_Done | Happening] = []
        self._state: Payload | None = None
        self._knows_state = False
        self._iid = 0
        self._now: datetime | None = None
        self._loaded: tuple[Payload | None, Any] = (None, None)
        self.forgotten = 0
        self.record: EntityRecord | None = None

    @property
    def is_told(self) -> bool:
        """Whether it knows anything yet."""
        return self._now is not None

    def apply(self, update: EntityUpdate) -> None:
        """Fold an update; one that begins with everything may follow others."""
        self._now = update.now
        record = update.record
        if update.is_whole or (record is not None and record.iid != self._iid):
            self._start_over()
        if record is None:
            return
        self._iid = record.iid
        # The snapshot may be newer than the first news after it.
        if self.record is None or record.last_seq >= self.record.last_seq:
            self.record = record
        if update.left_out:
            self._knows_state = False
        for gseq, ref, event in update.events:
            self._take(gseq, ref, event)
        for gseq in update.consumed:
            self._open.pop(gseq, None)
        surplus = max(0, len(self._past) - KEPT)
        self.forgotten += surplus
        del self._past[:surplus]

    def head(self) -> EntityHead:
        """Return what is said of it."""
        assert self._now is not None
        head = EntityHead(self._title, epoch_ms(self._now))
        record = self.record
        if record is None:
            return head
        head.exists, head.has_state = True, record.state is not None
        head.modified, head.pending = epoch_ms(record.updated_at), record.pending
        if record.locked_by is not None:
            head.locked_by = record.locked_by.instance_id
            head.locked_at = None if record.locked_at is None else epoch_ms(record.locked_at)
        locks = [one for one in self._open.values() if isinstance(one, LockRequested)]
        head.lock_queue = [one.owner.instance_id for one in locks[:_QUEUE_SHOWN]]
        head.waiting = [self._waiting(one) for one in islice(self._open.values(), _QUEUE_SHOWN)]
        value = self._present()
        if isinstance(value, Mapping) and isinstance(value.get(KEPT_ASIDE), Mapping):
            head.kept_aside = [
                (str(name), words_of(one, _VALUE_CHARS)) for name, one in value[KEPT_ASIDE].items()
            ]
        return head

    def state(self) -> list[TreeNode]:
        """Return its state: the attributes of a class, the items of a dict, or one value."""
        parts = self._parts()
        trees = Trees(len(parts))
        return [trees.node(name, value) for name, value in parts]

    def state_words(self) -> list[tuple[str, str]]:
        """Return its state as text: names and values."""
        return [(name, words_of(value)) for name, value in self._parts()]

    def _parts(self) -> list[tuple[str, Any]]:
        if self.record is None or self.record.state is None:
            return []
        value = self._present()
        if isinstance(value, Mapping):
            value = {name: one for name, one in value.items() if name != KEPT_ASIDE}
            if value:
                return [(str(name), one) for name, one in islice(value.items(), _ATTRIBUTES)]
        return [("state", value)]

    def happenings(self) -> list[Happening]:
        """Return what was done, oldest first."""
        return [self._shown(one) for one in self._past]

    def _start_over(self) -> None:
        self._iid = self.forgotten = 0
        self._open.clear()
        self._past.clear()
        # Unless something before it was left out, an entity begins with no state.
        self._state, self._knows_state, self.record = None, True, None

    def _take(self, gseq: int, ref: int, event: EntityEvent) -> None:
        match event:
            case OperationRequested() | LockRequested():
                self._open[gseq] = event
            case OperationDone():
                requested = self._open.pop(ref, None)
                asked = requested if isinstance(requested, OperationRequested) else None
                self._past.append(self._done(gseq, asked, event))
            case LockAcquired():
                requested = self._open.pop(ref, None)
                self._past.append(_lock_taken(gseq, requested, event))
            case LockReleased():
                self._release(event)
            case LockWithdrawn():
                self._open.pop(ref, None)

    def _done(self, gseq: int, asked: OperationRequested | None, event: OperationDone) -> _Done:
        together = 0
        for one in reversed(self._past):
            # Those of one batch are written at the same time, the change with the last of them.
            if not isinstance(one, _Done) or one.event.sets_state:
                break
            if one.event.timestamp != event.timestamp:
                break
            together += one.event.failure is None
        done = _Done(
            gseq, asked, event, self._state, self._knows_state, together * event.sets_state
        )
        if event.sets_state:
            self._state, self._knows_state = event.state, True
        return done

    def _release(self, event: LockReleased) -> None:
        for one in reversed(self._past):
            if isinstance(one, Happening) and one.state == "running":
                one.state = "completed"
                one.took = epoch_ms(event.timestamp) - one.at
                return

    def _shown(self, one: _Done | Happening) -> Happening:
        if isinstance(one, Happening):
            return one
        if one.shown is None:
            one.shown = self._describe(one)
        return one.shown

    def _describe(self, done: _Done) -> Happening:
        event, asked = done.event, done.requested
        failure = event.failure
        begun, ended = event.started_at, epoch_ms(event.timestamp)
        asked_at = (
            None if asked is None else max(asked.timestamp, asked.scheduled_at or asked.timestamp)
        )
        queued = None
        if begun is not None and asked_at is not None:
            queued = max(0.0, epoch_ms(begun) - epoch_ms(asked_at))
        if failure is not None:
            result = str(failure)[:_ERROR_CHARS]
        else:
            result = "" if event.result in (None, "null") else self._words(event.result)
        happening = Happening(
            number=done.gseq,
            kind="operation",
            name=event.operation,
            input="" if asked is None else self._input(asked.input),
            who=event.sender,
            state="completed" if failure is None else "failed",
            result=result,
            at=ended,
            queued=queued,
            took=None if begun is None else max(0.0, ended - epoch_ms(begun)),
            together=done.together,
        )
        if event.sets_state:
            found = self._differences(done)
            happening.changes, happening.more_changes = (
                found[:_CHANGES],
                max(0, len(found) - _CHANGES),
            )
        return happening

    def _differences(self, done: _Done) -> list[tuple[str, str | None, str]]:
        """Return what changed: names, what it was (None where that is not known), what it is."""
        after = done.event.state
        was = self._short(done.before) if done.knows_before and done.before is not None else None
        if after is None:
            return [("state", was, "deleted")]
        new = self._value(after)
        old = self._value(done.before) if done.before is not None else {}
        if not (done.knows_before and isinstance(new, Mapping) and isinstance(old, Mapping)):
            return [("state", was, self._short(after))]
        found: list[tuple[str, str | None, str]] = []
        for name, value in new.items():
            if name != KEPT_ASIDE and not (name in old and _equal(old[name], value)):
                before = words_of(old[name], _CHANGE_CHARS) if name in old else None
                found.append((str(name), before, words_of(value, _CHANGE_CHARS)))
        found += [
            (str(name), words_of(value, _CHANGE_CHARS), "gone")
            for name, value in old.items()
            if name not in new and name != KEPT_ASIDE
        ]
        return found

    def _waiting(self, event: OperationRequested | LockRequested) -> Waiting:
        since = epoch_ms(event.timestamp)
        if isinstance(event, LockRequested):
            return Waiting("lock", event.owner.instance_id, since)
        due = None if event.scheduled_at is None else epoch_ms(event.scheduled_at)
        words = f"{event.operation}({self._input(event.input)})"
        return Waiting(words, _sender(event), since, due)

    def _input(self, payload: Payload | None) -> str:
        if payload is None:
            return ""
        value = self._value(payload)
        if isinstance(value, CallArguments):
            given = [words_of(one, _CHANGE_CHARS) for one in value.args]
            given += [
                f"{name}={words_of(one, _CHANGE_CHARS)}" for name, one in value.kwargs.items()
            ]
            return ", ".join(given)[:_VALUE_CHARS]
        return words_of(value, _VALUE_CHARS)

    def _words(self, payload: Payload | None) -> str:
        return words_of(self._value(payload), _VALUE_CHARS)

    def _short(self, payload: Payload | None) -> str:
        value = self._value(payload)
        if isinstance(value, Mapping):
            value = {name: one for name, one in value.items() if name != KEPT_ASIDE}
        return words_of(value, _CHANGE_CHARS)

    def _present(self) -> Any:
        """Return its state, loaded once however often it is looked at."""
        payload = None if self.record is None else self.record.state
        if self._loaded[0] is not payload:
            self._loaded = payload, self._value(payload)
        return self._loaded[1]

    def _value(self, payload: Payload | None) -> Any:
        if payload is None:
            return None
        if isinstance(payload, Blob) and not payload.codec:
            return _LeftOut(payload.summary)
        try:
            return self._decode(payload)
        except Exception as error:  # noqa: BLE001  (decoding runs code of the user's classes)
            summary = payload.summary if isinstance(payload, Blob) else ""
            return _LeftOut(f"{summary or 'a value'}, not loaded: {error}"[:_ERROR_CHARS])


class _LeftOut:
    """Stands for a value that is not here."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return f"<{self._words}>"


def _lock_taken(
    gseq: int, requested: OperationRequested | LockRequested | None, event: LockAcquired
) -> Happening:
    at = epoch_ms(event.timestamp)
    return Happening(
        number=gseq,
        kind="lock",
        name="lock",
        input="",
        who=event.owner.instance_id,
        state="running",
        result="",
        at=at,
        queued=None if requested is None else at - epoch_ms(requested.timestamp),
        took=None,
    )


def _sender(event: OperationRequested) -> str:
    return event.sender or (event.caller.instance_id if event.caller else "")


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are surely equal; some compare to more than a truth."""
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  (comparing runs code of the user's classes)
        return False
