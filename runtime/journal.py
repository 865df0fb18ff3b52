"""Group commit: one thread that appends everything pending at once and then says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from .core.errors import StoreError
from .core.records import Record
from .ports import JournalRow, KeptOutput, Store

__all__ = ["Batch", "InlineJournal", "Journal", "ThreadedJournal"]

_log = logging.getLogger(__name__)

_PROJECT_EVERY_S = 0.25
_AT_REST_AFTER_S = 1.0
_CHECKPOINT_EVERY_S = 5.0
_RETRY_AFTER_S = 1.0


class Batch:
    """Rows that become durable together, and what may happen once they are.

    Attributes:
        rows: New journal rows in order.
        records: Copies of the records they changed.
        effects: What the engine does after the commit; only the engine looks inside.
        outputs: What the attempts printed whose end is among the rows; kept before them.
    """

    __slots__ = ("effects", "outputs", "records", "rows")

    def __init__(
        self,
        rows: list[JournalRow],
        records: list[Record],
        effects: list[Any],
        outputs: list[KeptOutput],
    ) -> None:
        self.rows = rows
        self.records = records
        self.effects = effects
        self.outputs = outputs


class Journal:
    """Makes batches durable in order.

    Args:
        store: Where to.
        on_durable: Called with the batches of one commit, in order.
        on_broken: Called with the error where nothing can ever be written again.
    """

    def __init__(
        self,
        store: Store,
        on_durable: Callable[[list[Batch]], None],
        on_broken: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._on_durable = on_durable
        self._on_broken = on_broken
        self.trouble: str = ""
        """Why nothing is being written at the moment, for people; empty when all is well."""

    linger_s = 0.0
    """How long rows that nobody waits for are best collected before they are submitted."""

    def submit(self, batch: Batch) -> None:
        """Take a batch; returns before it is durable, if that is quicker."""
        raise NotImplementedError

    def append_here(self, batch: Batch) -> bool:
        """Make a batch durable before returning; False where it must be submitted instead.

        For a caller who has nothing else to do until then.
        """
        raise NotImplementedError

    def run_exclusively(self, work: Callable[[], None]) -> None:
        """Run `work` where nothing is being appended (purging, for instance)."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what was submitted, and stop."""
        raise NotImplementedError

    def _append(self, batches: list[Batch]) -> None:
        outputs = [output for batch in batches for output in batch.outputs]
        if outputs:
            self._store.keep_outputs(outputs)
            for batch in batches:
                batch.outputs = []
        if len(batches) == 1:
            rows, records = batches[0].rows, batches[0].records
        else:
            rows = [row for batch in batches for row in batch.rows]
            newest = {record.iid: record for batch in batches for record in batch.records}
            records = list(newest.values())
        if rows:
            self._store.append(rows, records)


class InlineJournal(Journal):
    """Appends at once, in the caller's thread: for tests and simulations."""

    def submit(self, batch: Batch) -> None:
        """Append the batch before returning."""
        self._append([batch])
        self._on_durable([batch])

    def append_here(self, batch: Batch) -> bool:
        """Append the batch before returning, as always."""
        self.submit(batch)
        return True

    def run_exclusively(self, work: Callable[[], None]) -> None:
        """Run `work` now."""
        work()

    def close(self) -> None:
        """Bring the projections up to date."""
        self._store.project()


class ThreadedJournal(Journal):
    """Appends in a writer thread: whatever comes in during a commit forms the next one."""

    # A commit costs most of a millisecond of a processor, which activities could have had.
    linger_s = 0.02

    def __init__(
        self,
        store: Store,
        on_durable: Callable[[list[Batch]], None],
        on_broken: Callable[[Exception], None],
    ) -> None:
        super().__init__(store, on_durable, on_broken)
        self._queue: SimpleQueue[Batch | Callable[[], None] | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._put_count = 0  # by the engine's thread
        self._taken_count = 0  # by the writer
        self._is_unprojected = threading.Event()
        self._writer = threading.Thread(target=self._write, name="ipydurable-writer", daemon=True)
        self._closing = threading.Event()
        self._checkpointer = threading.Thread(
            target=self._checkpoint, name="ipydurable-checkpoint", daemon=True
        )
        # No commit waits for the tables: bringing them up to date may take many milliseconds.
        self._projector = threading.Thread(
            target=self._keep_projecting, name="ipydurable-tables", daemon=True
        )
        self._writer.start()
        self._projector.start()
        self._checkpointer.start()

    def submit(self, batch: Batch) -> None:
        """Queue the batch for the next commit."""
        self._put(batch)

    def append_here(self, batch: Batch) -> bool:
        """Append a batch in the caller's thread; False where the writer is at work.

        Waking the writer, and being woken by it, takes a fifth of the time of a lone step.
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            if self._put_count != self._taken_count:
                return False  # What was submitted before comes first.
            try:
                self._append([batch])
            except StoreError:
                return False  # The writer tries on, and says what is wrong.
        finally:
            self._turn.release()
        self._on_durable([batch])
        self._note_unprojected()
        return True

    def run_exclusively(self, work: Callable[[], None]) -> None:
        """Run `work` in the writer thread, after what was submitted before."""
        self._put(work)

    def close(self) -> None:
        """Write what was submitted, and end the threads."""
        self._closing.set()
        self._queue.put(None)
        self._is_unprojected.set()
        for thread in (self._writer, self._projector, self._checkpointer):
            thread.join()
        self._project()

    def _note_unprojected(self) -> None:
        if not self._is_unprojected.is_set():
            self._is_unprojected.set()

    def _put(self, item: Batch | Callable[[], None]) -> None:
        self._put_count += 1
        self._queue.put(item)

    def _write(self) -> None:
        try:
            self._write_all()
        except Exception as error:  # noqa: BLE001  (whoever owns the engine must hear of it)
            _log.exception("the journal's writer ends")
            self._on_broken(error)

    def _write_all(self) -> None:
        is_open = True
        while is_open:
            batches, works, is_open = self._take()
            with self._turn:
                if batches:
                    self._do_until_it_works(partial(self._append, batches))
                    self._on_durable(batches)
                    self._note_unprojected()
                for work in works:
                    self._do_until_it_works(work)
                self._taken_count += len(batches) + len(works)

    def _take(self) -> tuple[list[Batch], list[Callable[[], None]], bool]:
        """Wait for something to do; return batches, other work, and whether more can come."""
        batches: list[Batch] = []
        works: list[Callable[[], None]] = []
        item = self._queue.get()
        try:
            while True:
                if item is None:
                    return batches, works, False
                if isinstance(item, Batch):
                    batches.append(item)
                else:
                    works.append(item)
                    return batches, works, True
                item = self._queue.get_nowait()
        except Empty:
            return batches, works, True

    def _do_until_it_works(self, work: Callable[[], None]) -> None:
        while True:
            try:
                work()
            except StoreError as error:
                if str(error) != self.trouble:
                    _log.error("cannot write the journal, trying on: %s", error)
                self.trouble = str(error)
                if self._closing.wait(_RETRY_AFTER_S):
                    raise
            else:
                self.trouble = ""
                return

    def _keep_projecting(self) -> None:
        while self._is_unprojected.wait() and not self._closing.wait(_PROJECT_EVERY_S):
            self._is_unprojected.clear()
            self._project()
            if not self._is_unprojected.wait(_AT_REST_AFTER_S):
                self._store.give_back_memory()

    def _project(self) -> None:
        try:
            self._store.project()
        except StoreError as error:
            _log.warning("cannot update the tables, trying again later: %s", error)
            self._is_unprojected.set()

    def _checkpoint(self) -> None:
        while not self._closing.wait(_CHECKPOINT_EVERY_S):
            try:
                self._store.checkpoint()
            except StoreError as error:
                _log.warning("cannot checkpoint, trying again later: %s", error)
