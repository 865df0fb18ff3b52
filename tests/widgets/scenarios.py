"""Histories as the engine writes them, for the tests and pictures of the views."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.records import InstanceRecord, fold
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.ports import InstanceUpdate, OpenForm, RunningAttempt

START = datetime(2026, 11, 21, 9, 30)
BOOM = FailureDetails(
    error_type="builtins.ConnectionError",
    message="api.weather.example refused the connection",
    stack_trace=(
        "Traceback (most recent call last):\n"
        '  File "Cell In[3]", line 4, in fetch\n'
        "    return client.get(city)\n"
        "ConnectionError: api.weather.example refused the connection"
    ),
    cause=FailureDetails(error_type="builtins.OSError", message="[Errno 111]"),
)


def at(seconds: float) -> datetime:
    """Return the moment `seconds` after the start."""
    return START + timedelta(seconds=seconds)


class Story:
    """Collects the history of one instance, told in any order, and plays it back."""

    def __init__(self, name: str = "report", instance_id: str = "report-7f3a") -> None:
        self.name = name
        self.instance_id = instance_id
        self.events: list[tuple[float, ev.HistoryEvent]] = []
        self.attempts: list[tuple[float, float, RunningAttempt]] = []
        self.awaited: list[tuple[float, float, str]] = []
        self.child_forms: list[tuple[float, float, OpenForm]] = []
        self._task_id = 0
        self.tell(
            ev.ExecutionStarted(
                timestamp=at(0),
                instance_id=instance_id,
                execution_id="e1",
                name=name,
                version="c0ffee",
                input='["Basel", "Zürich"]',
            )
        )

    def tell(self, event: ev.HistoryEvent) -> None:
        """Add an event at its own time."""
        self.events.append(((event.timestamp - START).total_seconds(), event))

    def next_id(self) -> int:
        """Draw an action id."""
        self._task_id += 1
        return self._task_id

    def activity(
        self,
        name: str,
        scheduled: float,
        started: float,
        ended: float | None,
        *,
        input: str = '"Basel"',
        failure: FailureDetails | None = None,
        origin: int = 0,
        worker: str = "process 4711",
    ) -> int:
        """Tell one attempt of an activity; returns its action id."""
        task_id = self.next_id()
        self.tell(
            ev.TaskScheduled(
                timestamp=at(scheduled), task_id=task_id, name=name, input=input, origin=origin
            )
        )
        running = RunningAttempt(task_id=task_id, number=1, started_at=at(started), worker=worker)
        self.attempts.append((started, float("inf") if ended is None else ended, running))
        if ended is not None:
            record = ev.AttemptRecord(started_at=at(started), worker=worker, version="5ca1ab1e")
            if failure is None:
                self.tell(
                    ev.TaskCompleted(
                        timestamp=at(ended), task_id=task_id, result='{"t": 7.5}', attempt=record
                    )
                )
            else:
                self.tell(
                    ev.TaskFailed(
                        timestamp=at(ended), task_id=task_id, failure=failure, attempt=record
                    )
                )
        return task_id

    def timer(self, created: float, fires: float, *, fired: bool = True, origin: int = 0) -> int:
        """Tell a timer, or the delay before a retry of `origin`; returns its action id."""
        task_id = self.next_id()
        self.tell(
            ev.TimerCreated(
                timestamp=at(created), task_id=task_id, fire_at=at(fires), origin=origin
            )
        )
        if fired:
            self.tell(ev.TimerFired(timestamp=at(fires), task_id=task_id, fire_at=at(fires)))
        return task_id

    def child(self, name: str, created: float, ended: float | None, instance_id: str) -> int:
        """Tell a sub-orchestration; returns its action id."""
        task_id = self.next_id()
        self.tell(
            ev.SubOrchestrationInstanceCreated(
                timestamp=at(created),
                task_id=task_id,
                instance_id=instance_id,
                name=name,
                explicit_id=True,
            )
        )
        if ended is not None:
            self.tell(ev.SubOrchestrationInstanceCompleted(timestamp=at(ended), task_id=task_id))
        return task_id

    def wait(self, begun: float, name: str, raised: float | None = None) -> None:
        """Tell that the code waits for an external event, and when it was raised."""
        self.awaited.append((begun, float("inf") if raised is None else raised, name))
        if raised is not None:
            self.tell(ev.EventRaised(timestamp=at(raised), name=name, input='{"by": "Ana"}'))

    def end(
        self,
        seconds: float,
        status: RuntimeStatus = RuntimeStatus.COMPLETED,
        *,
        result: str | None = None,
        failure: FailureDetails | None = None,
    ) -> None:
        """Tell how the execution ended."""
        self.tell(
            ev.ExecutionCompleted(
                timestamp=at(seconds), status=status, result=result, failure=failure
            )
        )

    def rows(self) -> list[tuple[int, ev.HistoryEvent]]:
        """Return the history in order, with sequence numbers."""
        ordered = sorted(self.events, key=lambda told: told[0])
        return [(seq, event) for seq, (_, event) in enumerate(ordered, 1)]

    def updates(self, *moments: float) -> Iterator[InstanceUpdate]:
        """Yield what a subscriber is told at each moment (seconds): everything, then the news."""
        record = InstanceRecord(
            iid=1, instance_id=self.instance_id, name=self.name, created_at=at(0), updated_at=at(0)
        )
        rows, told = self.rows(), 0
        for moment in moments:
            news = []
            while told < len(rows) and rows[told][1].timestamp <= at(moment):
                news.append(rows[told])
                folded = fold(record, 1, *rows[told])
                assert folded is not None
                record = folded
                told += 1
            running = [attempt for start, end, attempt in self.attempts if start <= moment < end]
            yield InstanceUpdate(
                record=copy.copy(record),
                events=news,
                running=running,
                now=at(moment),
                awaited_events={
                    name: at(begun)
                    for begun, raised, name in self.awaited
                    if begun <= moment < raised
                },
                child_forms=[
                    form for begun, ended, form in self.child_forms if begun <= moment < ended
                ],
            )


def small(cities: int = 6) -> Story:
    """A report: some fetches with a retry, a timer, an entity call, an event, a summary."""
    story = Story()
    names = ["Basel", "Zürich", "Genève", "Lugano", "Bern", "Chur", "Sion", "Aarau"]
    for n in range(cities):
        story.activity("fetch", 0.02, 0.1 + n * 0.12, 1.4 + n * 0.55, input=f'"{names[n % 8]}"')
    first = story.activity("convert", 0.02, 0.3, 0.9, failure=BOOM, input='{"unit": "°C"}')
    story.timer(0.9, 1.9, origin=first)
    story.activity("convert", 1.9, 2.0, 2.7, failure=BOOM, origin=first)
    story.timer(2.7, 4.7, origin=first)
    story.activity("convert", 4.7, 4.75, 5.6, origin=first)
    call = story.next_id()
    story.tell(
        ev.EntityOperationCalled(
            timestamp=at(5.6),
            task_id=call,
            entity_id="@budget@team-a",
            operation="spend",
            input="12",
        )
    )
    story.tell(ev.EntityOperationCompleted(timestamp=at(5.9), task_id=call, result="88"))
    story.timer(5.9, 7.4)
    story.tell(ev.EventRaised(timestamp=at(7.8), name="approve", input='{"by": "Ana"}'))
    story.activity("summarise", 7.8, 7.9, 9.6, input="[7.5, 8.1, 6.9]")
    story.end(9.62, result='{"mean": 7.5, "cities": 6}')
    return story


def fan_out(count: int, workers: int = 40, fail: float = 0.01, seed: int = 3) -> Story:
    """`count` fetches on `workers` processes, between a plan and a summary."""
    random.seed(seed)
    story = Story("crawl", "crawl-2026-11-21")
    story.activity("plan", 0, 0.02, 0.4, input="null")
    free = [0.45] * workers
    last = 0.0
    for n in range(count):
        start = min(free)
        end = start + random.lognormvariate(-0.6, 0.55)
        free[free.index(start)] = end
        failure = BOOM if random.random() < fail else None
        story.activity(
            "fetch",
            0.45,
            start,
            end,
            input=f'"page-{n:05}"',
            failure=failure,
            worker=f"process {4700 + n % workers}",
        )
        last = max(last, end)
    story.activity("summarise", last, last + 0.05, last + 1.2, input="null")
    story.end(last + 1.21, result='"done"')
    return story


def failed() -> Story:
    """A run whose last activity fails for good."""
    story = Story("import_orders", "orders-31")
    for n, name in enumerate(("download", "validate", "clean")):
        story.activity(name, n * 1.2, n * 1.2 + 0.05, n * 1.2 + 1.1, input='"orders.csv"')
    first = story.activity("load", 3.6, 3.7, 4.3, failure=BOOM)
    story.timer(4.3, 5.3, origin=first)
    story.activity("load", 5.3, 5.4, 6.2, failure=BOOM, origin=first)
    story.end(
        6.25,
        RuntimeStatus.FAILED,
        failure=FailureDetails(
            error_type="ipydurable.TaskFailedError",
            message="activity load (task 4) failed: ConnectionError: api.weather.example refused "
            "the connection",
            stack_trace='Traceback (most recent call last):\n  File "Cell In[5]", line 7, in '
            "import_orders\nTaskFailedError: …",
            cause=BOOM,
        ),
    )
    return story


def waiting() -> Story:
    """A run that fetched, waited an hour for a timer, went on, and waits for an approval."""
    story = Story("approval", "approval-12")
    story.activity("prepare", 0, 0.1, 2.2, input='"contract 12"')
    story.timer(2.3, 3600)
    story.activity("remind", 3600, 3600.1, 3601.4, input='"ana@example.org"')
    story.wait(3601.4, "approve")
    return story


def parked() -> Story:
    """A run that cannot go on: its code changed in a way that its history does not fit."""
    story = Story("settle", "settle-8")
    story.activity("fetch_rates", 0, 0.05, 1.1, input='"CHF"')
    story.activity("book", 1.1, 1.2, 2.4, input="120")
    story.tell(
        ev.ExecutionSuspended(
            timestamp=at(2.5),
            reason="The code does not do what the history of settle-8 says.\n"
            "history:  activity 'book' (task 2)\n"
            "code:     activity 'convert' (task 2), at Cell In[9], line 5",
            failure=FailureDetails(
                error_type="ipydurable.NonDeterminismError",
                message="the code calls 'convert' at Cell In[9], line 5",
            ),
        )
    )
    return story


def nested() -> tuple[Story, dict[str, Story]]:
    """A run with sub-orchestrations, one of which has one of its own; and their stories by id."""
    story = Story("month_end", "month-end-11")
    story.activity("plan", 0, 0.05, 0.8, input="null")
    children = {}
    for n, country in enumerate(("CH", "DE", "FR")):
        name = f"month-end-11:{country}"
        story.child("close_books", 0.8, 4 + n if n < 2 else None, name)
        child = children[name] = Story("close_books", name)
        child.activity("load", 0.9, 1.0, 2.2 + n / 3, input=f'"{country}"')
        child.activity("reconcile", 2.6, 2.7, 3.9 + n if n < 2 else None, input=f'"{country}"')
    inner = children["month-end-11:FR"]
    inner.child("audit", 2.7, None, "audit-1")
    children["audit-1"] = Story("audit", "audit-1")
    children["audit-1"].activity("sample", 2.8, 2.9, 3.3)
    children["audit-1"].activity("check", 3.3, 3.4, None)
    return story, children


class Backstage:
    """Answers what a timeline asks of the host, from stories.

    Args:
        others: Stories of other instances, by id.
        moment: How much of them has happened, in seconds.
        past: Stories of earlier generations.

    Attributes:
        done: The commands that were carried out, with their arguments.
        printed: What attempts printed, by their numbers.
        followed: The instances that are followed now.
    """

    def __init__(
        self,
        others: dict[str, Story] | None = None,
        moment: float = 1e5,
        past: list[Story] | None = None,
    ) -> None:
        self.others = others or {}
        self.moment = moment
        self.past = past or []
        self.printed = {2: "asking api.weather.example\n"}
        self.done: list[tuple[str, dict[str, object]]] = []
        self.followed: dict[str, Callable[[InstanceUpdate], None]] = {}

    def commands(self) -> dict[str, Callable[..., None]]:
        """Note what was asked for."""
        names = ("answer", "raise_event", "suspend", "resume", "terminate", "rewind")
        return {name: partial(self._note, name) for name in names}

    def _note(self, name: str, /, **arguments: object) -> None:
        self.done.append((name, arguments))

    def follow(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Tell all that has happened to another instance."""
        self.followed[instance_id] = tell
        tell(next(self.others[instance_id].updates(self.moment)))
        return lambda: self.followed.pop(instance_id) and None

    def execution(self, generation: int) -> InstanceUpdate:
        """Tell an earlier execution."""
        return next(self.past[generation].updates(1e5))

    def more(self, kind: str = "", **_: object) -> dict[str, object]:
        """Tell the code that ran, and what it printed; of a call the entity's side."""
        if kind == "call":
            moments = {"requested_at": 5.6, "started_at": 5.7, "finished_at": 5.9}
            zero = START.replace(tzinfo=UTC).timestamp()
            times = {name: (zero + moment) * 1000 for name, moment in moments.items()}
            return {"operation": {"status": "completed", **times}}
        code = {
            "number": 2,
            "of": 3,
            "version": "5ca1ab1e0000",
            "place": "Cell In[3], line 2",
            "source": "def load(city):\n    return client.get(city)\n",
        }
        outputs = [
            {"attempt": number, "items": [{"kind": "stdout", "text": text}]}
            for number, text in self.printed.items()
        ]
        if kind == "orchestration":
            return {"code": code}
        return {"code": code, "output": outputs}
