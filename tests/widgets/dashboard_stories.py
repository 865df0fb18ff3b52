"""Stores as a dashboard shows them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from ipydurable.runtime.ports import LaneLoad, StoreUpdate, Work
from ipydurable.widgets.dashboard import Dashboard
from ipydurable.widgets.dashboard_model import (
    InFlight,
    Overview,
    Wait,
    bin_width_ms,
    histogram,
)
from tests.widgets.table_stories import FakeRows

__all__ = ["NOW", "NOW_MS", "FakeInstances", "FakeStore", "beat_at", "busy", "empty", "large"]

NOW = datetime(2026, 11, 21, 9, 0)
NOW_MS = NOW.replace(tzinfo=UTC).timestamp() * 1000
MINUTE = 60_000.0
HOUR = 60 * MINUTE


class FakeInstances(FakeRows):
    """Many instances, as the host gives pages of them."""

    def __init__(self, count: int) -> None:
        rows: list[list[Any]] = []
        for n in range(count):
            status = "Completed"
            note = ""
            if n % 37 == 5:
                status, note = (
                    "Failed",
                    "fetch: ConnectionError: rates.example refused the connection",
                )
            elif n < 6:
                status, note = "Running", "waits for activity fetch (running)"
            elif n % 53 == 7:
                status, note = "Suspended", "parked: activity 'double' is missing from the code"
            name = ("monthly_report", "transfer", "audit")[n % 3]
            begun = NOW_MS - n * 9 * MINUTE
            ended = None if status in ("Running", "Suspended") else begun + 2400 + n % 7 * 900
            rows.append(
                [f"{name}-{n * 7919 % 65536:04x}", name, status, begun, begun + 20, ended, note]
            )
        super().__init__(rows, {"id": 0, "name": 1, "status": 2, "created": 3, "took": 5})

    def matches(self, row: list[Any], query: Any) -> bool:
        """Whether a row is looked for."""
        if query.get("status") and row[2] not in query["status"]:
            return False
        if query.get("from") is not None and not query["from"] <= row[3] < query["to"]:
            return False
        return super().matches(row, query)


class FakeStore:
    """A store whose overview is made up; counts how often it was taken."""

    def __init__(self, overview: Overview, rows: FakeRows) -> None:
        self.overview = overview
        self.rows = rows
        self.spans: list[str] = []
        self.opened: list[str] = []

    def take(self, span: str) -> Overview:
        """Return the overview."""
        self.spans.append(span)
        return self.overview

    def dashboard(self) -> Dashboard:
        """Return a dashboard of it."""
        return Dashboard(self.take, self.rows, self.opened.append)


def beat_at(seconds: float, gseq: int, work: int = 5) -> StoreUpdate:
    """Return a beat so many seconds before now."""
    now = NOW - timedelta(seconds=seconds)
    names = ["fetch_rates", "clean", "render_pdf", "upload", "fetch_rates"]
    return StoreUpdate(
        now=now,
        gseq=gseq,
        live=45 if work else 3,
        lanes=[
            LaneLoad(name="processes", capacity=4, in_flight=work and 9, ready=work * 28),
            LaneLoad(name="asyncio", capacity=100, in_flight=work and 3, ready=0),
            LaneLoad(name="threads", capacity=8, in_flight=0, ready=0),
        ],
        work=[
            Work(
                worker=f"process {4711 + n}" if n < 4 else "event loop",
                executor="processes" if n < 4 else "asyncio",
                name=names[n % 5],
                instance_id=f"monthly_report-{n * 7919 % 65536:04x}",
                since=now - timedelta(seconds=(5 - n % 5) ** 3 + 1),
            )
            for n in range(work)
        ],
        held=12 if work else 0,
    )


def _rows(count: int, hours: float, seed: int = 3) -> Any:
    """Return counts by bar for so many instances in the last hours."""
    rnd = random.Random(seed)
    width = bin_width_ms(hours * HOUR)
    begin = (NOW_MS - hours * HOUR) // width * width
    bars = int((NOW_MS - begin) // width) + 1
    rows = []
    for place in range(bars):
        wave = 1.2 + rnd.random() + 0.8 * ((place * 7) % 24 > 11)
        done = int(count / bars * wave / 2)
        rows.append((place, "Completed", done))
        if rnd.random() < 0.35:
            rows.append((place, "Failed", max(1, int(done * rnd.random() * 0.2))))
    rows += [(bars - 1, "Running", max(1, count // 60)), (bars - 2, "Running", 2)]
    rows += [(bars // 3, "Suspended", max(1, count // 200)), (bars // 2, "Terminated", 3)]
    return histogram(rows, begin, width, NOW_MS)


def _wait(n: int, minutes: float, what: str, **more: Any) -> Wait:
    name = ("monthly_report", "transfer", "audit")[n % 3]
    return Wait(
        f"{name}-{n * 7919 % 65536:04x}", name, "Running", what, NOW_MS - minutes * MINUTE, **more
    )


def busy() -> FakeStore:
    """A store in which much goes on, and some things are stuck."""
    waits = [
        Wait(
            "transfer-e8c1",
            "transfer",
            "Suspended",
            "somebody to resume it",
            NOW_MS - 26 * HOUR,
            hint="parked: activity 'double' of the history is missing from the code, line 12",
        ),
        _wait(1, 52 * 60, "external event approve"),
        _wait(4, 190, "lock on Account@alice, held by transfer-9d21", entity_id="@account@alice"),
        _wait(
            6,
            75,
            "sub-orchestration audit-77f1 (suspended)",
            hint="it goes on when audit-77f1 is resumed",
        ),
        _wait(2, 12, "activity fetch_rates (queued) and 184 more"),
        _wait(3, 6, "entity call withdraw on @account@bob", entity_id="@account@bob"),
        _wait(9, 2, "activity render_pdf (running)"),
        _wait(7, 600, "timer", until=NOW_MS + 14 * HOUR),
        _wait(8, 300, "timer", until=NOW_MS + 20 * MINUTE),
        _wait(5, 30, "timer", until=NOW_MS + 5 * MINUTE),
    ]
    overview = Overview(
        now=NOW_MS,
        store="/home/ana/reports/durable.duckdb",
        size=48_300_000,
        trouble="",
        counts=[
            ("Completed", 1841),
            ("Running", 33),
            ("Pending", 2),
            ("Suspended", 10),
            ("Terminated", 3),
            ("Failed", 41),
        ],
        names=[("monthly_report", 812), ("transfer", 640), ("audit", 478)],
        histogram=_rows(1900, 30),
        waits=waits,
        versions=[
            InFlight("audit", 1, 3, 1),
            InFlight("monthly_report", 4, 21, 4),
            InFlight("monthly_report", 3, 6, 4),
            InFlight("transfer", 2, 3, 2),
        ],
    )
    return FakeStore(overview, FakeInstances(1930))


def large() -> FakeStore:
    """A store with a hundred thousand instances, at rest."""
    overview = Overview(
        now=NOW_MS,
        store="/data/durable.duckdb",
        size=2_840_000_000,
        trouble="",
        counts=[("Completed", 98_412), ("Suspended", 3), ("Failed", 1_585)],
        names=[("score", 99_000), ("train_a_model_with_a_long_name_indeed", 1_000)],
        histogram=_rows(100_000, 24 * 40, seed=8),
        waits=[],
        versions=[],
    )
    return FakeStore(overview, FakeInstances(3000))


def empty() -> FakeStore:
    """A store in which nothing has happened yet."""
    overview = Overview(
        now=NOW_MS,
        store="durable.duckdb",
        size=270_000,
        trouble="",
        counts=[],
        names=[],
        histogram=histogram([], NOW_MS - HOUR, bin_width_ms(HOUR), NOW_MS),
        waits=[],
        versions=[],
    )
    return FakeStore(overview, FakeInstances(0))
