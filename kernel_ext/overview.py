"""A store as a whole, worked out in the host: counts, a histogram, what waits, versions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.ports import StoreUpdate
from ipydurable.runtime.requests import LockInfo
from ipydurable.runtime.waits import OpenTask

if TYPE_CHECKING:
    from ipydurable.widgets.dashboard_model import Histogram, InFlight, Overview, Wait

__all__ = ["take_beat", "take_overview"]

_WAITS_TOLD = 30
_NAMES_TOLD = 200
_ANSWER_S = 10.0
# The longest without news: those that need somebody first, then those that wait.
_OLDEST = """
(SELECT instance_id, name, status, epoch_ms(updated_at) AS since, suspend_reason
 FROM instances WHERE status = 'Suspended' ORDER BY updated_at LIMIT 60)
UNION ALL
(SELECT instance_id, name, status, epoch_ms(updated_at) AS since, NULL
 FROM instances WHERE status = 'Running' ORDER BY updated_at LIMIT 60)
"""
_VERSIONS = """
WITH live AS (
  SELECT name, version, count(*) AS n FROM instances
  WHERE status IN ('Pending', 'Running', 'Suspended') GROUP BY ALL),
known AS (
  SELECT name, version, max(number) AS number FROM definitions WHERE kind = 'orchestrator'
  GROUP BY ALL)
SELECT live.name, coalesce(known.number, 0) AS number, n,
  (SELECT max(number) FROM known newest WHERE newest.name = live.name) AS newest
FROM live LEFT JOIN known ON known.name = live.name AND known.version = live.version
ORDER BY live.name, number DESC LIMIT 40
"""


def take_overview(client: DurableClient, span: str = "all") -> Overview:
    """Return a store as it is now. Asks the host several times, each time for little.

    Args:
        client: Reaches the host.
        span: How far back the histogram looks; see `SPANS`.
    """
    from ipydurable.widgets.dashboard_model import Overview, ordered

    status = client.host_status()
    now = datetime.now(UTC).timestamp() * 1000
    found = client.sql("SELECT name, status, count(*) AS n FROM instances GROUP BY ALL").to_pylist()
    counts: dict[str, int] = {}
    names: dict[str, int] = {}
    for row in found:
        counts[row["status"]] = counts.get(row["status"], 0) + row["n"]
        names[row["name"]] = names.get(row["name"], 0) + row["n"]
    return Overview(
        now=now,
        store=status.store,
        size=_size(status.store),
        trouble=status.trouble,
        counts=[(one, counts[one]) for one in ordered(counts)],
        names=sorted(names.items(), key=lambda one: (-one[1], one[0]))[:_NAMES_TOLD],
        histogram=_histogram(client, span, now),
        waits=_waits(client),
        versions=_versions(client),
    )


def take_beat(client: DurableClient) -> StoreUpdate:
    """Return what a follower of the store is told now."""
    first: Future[StoreUpdate] = Future()

    def tell(update: StoreUpdate) -> None:
        if not first.done():
            first.set_result(update)

    end = client.subscribe("", tell)
    try:
        return first.result(_ANSWER_S)
    finally:
        end()


def _histogram(client: DurableClient, span: str, now: float) -> Histogram:
    from ipydurable.widgets.dashboard_model import SPANS, bin_width_ms, histogram

    back = SPANS.get(span, 0)
    begin = now - back
    if not back:
        first = client.sql("SELECT epoch_ms(min(created_at)) AS first FROM instances").to_pylist()
        begin = first[0]["first"] if first[0]["first"] is not None else now - SPANS["1h"]
    width = bin_width_ms(max(now - begin, 1.0))
    # At a round time, so that bars stay the same from one look to the next.
    begin = begin // width * width
    rows = client.sql(
        "SELECT ((epoch_ms(created_at) - $begin) // $width)::BIGINT AS place, status, "
        "count(*) AS n FROM instances WHERE created_at >= make_timestamp_ms($begin) GROUP BY ALL",
        {"begin": int(begin), "width": width},
    ).to_pylist()
    told = [(row["place"], row["status"], row["n"]) for row in rows]
    return histogram(told, begin, width, now)


def _waits(client: DurableClient) -> list[Wait]:
    from ipydurable.widgets.dashboard_model import sorted_waits

    rows = client.sql(_OLDEST).to_pylist()
    if not rows:
        return []
    tasks = client.open_tasks(row["instance_id"] for row in rows)
    if not tasks:
        # An archive knows what is stored, and nobody who would know more.
        rows = [row for row in rows if row["status"] == "Suspended"]
    is_locking = any(task.kind == "lock" for found in tasks.values() for task in found)
    locks = client.locks() if is_locking else []
    waits = [_wait(row, tasks.get(row["instance_id"], []), locks) for row in rows]
    return sorted_waits(waits)[:_WAITS_TOLD]


def _wait(row: dict[str, Any], tasks: Sequence[OpenTask], locks: Sequence[LockInfo]) -> Wait:
    """Return what an instance waits for: what came first of it, and how much else."""
    from ipydurable.widgets.dashboard_model import Wait

    wait = Wait(row["instance_id"], row["name"], row["status"], "", row["since"])
    if row["status"] == "Suspended":
        wait.what = "somebody to resume it"
        wait.hint = row["suspend_reason"] or ""
        return wait
    if not tasks:
        wait.what = "its turn"
        return wait
    task = min(tasks, key=lambda one: one.since or datetime.max)  # noqa: DTZ901  (naive UTC)
    wait.what = " ".join(part for part in (task.kind, task.name) if part)
    if task.state:
        wait.what += f" ({task.state})"
    wait.hint = task.hint
    if task.since is not None:
        wait.since = _ms(task.since)
    if task.until is not None:
        wait.until = _ms(task.until)
    if task.kind == "lock":
        _tell_holder(wait, task, locks)
    elif task.kind == "entity call":
        wait.entity_id = task.name.rpartition(" on ")[2]
    if len(tasks) > 1:
        wait.what += f" and {len(tasks) - 1:,} more"
    return wait


def _tell_holder(wait: Wait, task: OpenTask, locks: Sequence[LockInfo]) -> None:
    """Say who holds the lock that an instance waits for."""
    for lock in locks:
        if wait.instance_id in lock.queue:
            wait.entity_id = lock.entity_id
            entity = EntityInstanceId.parse(lock.entity_id)
            wait.what = f"lock on {entity.name}@{entity.key}"
            if lock.owner:
                wait.what += f", held by {lock.owner}"
            return
    del task


def _versions(client: DurableClient) -> list[InFlight]:
    from ipydurable.widgets.dashboard_model import InFlight

    return [
        InFlight(row["name"], row["number"], row["n"], row["newest"] or 0)
        for row in client.sql(_VERSIONS).to_pylist()
    ]


def _size(store: str) -> int:
    """Return how large a store's files are."""
    size = 0
    for name in (store, f"{store}.wal"):
        with contextlib.suppress(OSError):
            size += Path(name).stat().st_size
    return size


def _ms(when: datetime) -> float:
    return when.replace(tzinfo=UTC).timestamp() * 1000
