"""Exploring: a long past through a real host into DataFrames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from ipydurable.store_data import ClientData

from .bench import Bench, Figure, check
from .growth import write_past
from .sizes import Sizes

__all__ = ["frames"]


def frames(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Read all events, and all activities, of a store as DataFrames: host, link, pandas."""
    with TemporaryDirectory(prefix="ipydurable-bench-") as folder:
        write_past(Path(folder) / "durable.duckdb", sizes.explored)
        with closing(Bench(Path(folder))) as long:
            data = ClientData(long.client)
            data.history(limit=1)  # imports pandas and pyarrow in both processes
            began = time.perf_counter()
            events = data.history()
            took = time.perf_counter() - began
            check("events", len(events) >= sizes.explored, True)
            check("in order", events["gseq"].is_monotonic_increasing, True)
            target = 1.0 if sizes.divisor == 1 else None
            yield Figure("W14 frames", f"{sizes.explored:,} events", took, "s", target)
            del events
            began = time.perf_counter()
            activities = data.activities()
            yield Figure(
                "W14 frames",
                f"{len(activities):,} activities of them",
                time.perf_counter() - began,
                "s",
            )
            one = str(activities["instance_id"].iloc[-1])
            began = time.perf_counter()
            check("one", len(data.activities(one)) > 0, True)
            yield Figure("W14 frames", "those of one instance", time.perf_counter() - began, "s")
