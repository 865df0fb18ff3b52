"""Histories of the shapes that a graph must show, as the engine writes them."""

from __future__ import annotations

from ipydurable.runtime.core import events as ev
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.widgets.graph_model import GraphModel
from tests.widgets.scenarios import BOOM, Story, at

__all__ = [
    "chain",
    "critical_section",
    "mirrors",
    "model_of",
    "nested",
    "pipelines",
    "race",
    "suppliers",
    "three",
]


def model_of(story: Story, moment: float = 1e6) -> GraphModel:
    """Return the graph model of a story up to a moment (seconds)."""
    model = GraphModel()
    for update in story.updates(moment):
        model.apply(update)
    return model


def three() -> Story:
    """Three activities, one after the other."""
    story = Story("greet", "greet-1")
    for n, name in enumerate(("load", "clean", "save")):
        story.activity(name, n, n + 0.1, n + 0.9, input='"a.csv"')
    story.end(2.95, result='"ok"')
    return story


def race(*, fired: bool = False) -> Story:
    """An activity races a timer and wins; a second step follows."""
    story = Story("quote", "quote-8")
    story.timer(0, 30, fired=fired)
    story.activity("ask_supplier", 0.0, 0.1, 2.0, input='"ACME"')
    story.activity("book", 2.0, 2.1, 3.0, input='"ACME"')
    story.end(3.05, result='"booked"')
    return story


def suppliers() -> Story:
    """Two activities and a sub-orchestration race each other; a second step follows."""
    story = Story("quote", "quote-9")
    story.activity("ask_acme", 0.0, 0.1, 2.0, input='"ACME"')
    story.activity("ask_bolts", 0.0, 0.1, 6.0, input='"Bolts & Co"')
    story.child("ask_abroad", 0.0, None, "quote-9-abroad")
    story.tell(ev.RaceDecided(timestamp=at(2.0), won=((1, 1),), lost=((2, 3),)))
    story.activity("book", 2.0, 2.1, 3.0, input='"ACME"')
    story.end(3.05, result='"booked"')
    return story


def mirrors(count: int = 4) -> Story:
    """The same page is asked of several mirrors; the first answer is taken."""
    story = Story("download", "download-2")
    for n in range(count):
        story.activity("fetch", 0.0, 0.1, 5.0 + n if n != 1 else 1.0, input=f'"mirror {n + 1}"')
    lost = ((1, 1), (3, count))
    story.tell(ev.RaceDecided(timestamp=at(1.0), won=((2, 2),), lost=lost))
    story.activity("unpack", 1.0, 1.1, 2.0, input='"a.zip"')
    story.end(2.05, result='"a.csv"')
    return story


def pipelines(count: int = 3) -> Story:
    """Each page is fetched, then parsed; a report needs all that was parsed."""
    story = Story("crawl", "crawl-1")
    for n in range(count):
        story.activity("fetch", 0, 0.1, 1.0 + n)
    for n in range(count):
        story.activity("parse", 1.0 + n, 1.1 + n, 1.4 + n)
    story.activity("report", 0.4 + count, 0.5 + count, 1.4 + count)
    story.end(1.5 + count)
    return story


def chain(count: int) -> Story:
    """`count` equal activities, one after the other."""
    story = Story("poll", "poll-1")
    for n in range(count):
        story.activity("check", n, n + 0.1, n + 0.9)
    story.end(count)
    return story


def sequence(count: int, *names: str) -> Story:
    """`count` activities, one after the other, whose names take turns: a hundred a second."""
    story = Story("work", "work-1")
    for n in range(count):
        story.activity(names[n % len(names)], n / 100, n / 100 + 0.001, n / 100 + 0.009)
    return story


def critical_section(*, ended: bool = True) -> Story:
    """A transfer between two accounts in a critical section, and a signal to an audit."""
    story = Story("transfer", "transfer-3")
    story.activity("check_limits", 0, 0.05, 0.4)
    lock = story.next_id()
    ids = ("@account@alice", "@account@bob")
    story.tell(ev.EntityLockRequested(timestamp=at(0.4), task_id=lock, entity_ids=ids))
    story.tell(ev.EntityLockGranted(timestamp=at(0.6), task_id=lock))
    now = 0.6
    for entity, operation in zip(ids, ("withdraw", "deposit"), strict=True):
        call = story.next_id()
        story.tell(
            ev.EntityOperationCalled(
                timestamp=at(now), task_id=call, entity_id=entity, operation=operation, input="50"
            )
        )
        now += 0.2
        story.tell(ev.EntityOperationCompleted(timestamp=at(now), task_id=call, result="50"))
    for entity in ids:
        story.tell(
            ev.EntityUnlockSent(
                timestamp=at(now), task_id=story.next_id(), entity_id=entity, lock_id=lock
            )
        )
    story.tell(
        ev.EntityOperationSignaled(
            timestamp=at(now),
            task_id=story.next_id(),
            entity_id="@audit@bank",
            operation="record",
            input="50",
        )
    )
    story.activity("send_receipt", now, now + 0.1, now + 0.9)
    if ended:
        story.end(now + 0.95, result='"ok"')
    return story


def nested() -> tuple[Story, dict[str, Story]]:
    """Two sub-orchestrations side by side, one of which fails once; and their own stories."""
    story = Story("nightly", "nightly-1")
    ids = []
    for region in ("EU", "US"):
        task_id = story.next_id()
        ids.append((task_id, f"nightly-1:{region}"))
        story.tell(
            ev.SubOrchestrationInstanceCreated(
                timestamp=at(0),
                task_id=task_id,
                instance_id=f"nightly-1:{region}",
                name=f"load_{region.lower()}",
                input=f'"{region}"',
            )
        )
    for number, (task_id, _) in enumerate(ids):
        story.tell(
            ev.SubOrchestrationInstanceCompleted(
                timestamp=at(4 + number), task_id=task_id, result="1"
            )
        )
    story.activity("merge", 5, 5.1, 6)
    story.end(6.1, result='"ok"')
    children = {}
    for _, instance_id in ids:
        child = Story(instance_id.replace("nightly-1:", "load_").lower(), instance_id)
        for n in range(16):
            child.activity("fetch", 0, 0.1, 1.0 + n * 0.1, failure=BOOM if n == 3 else None)
        child.activity("store", 2.6, 2.7, 3.5)
        child.end(3.9, RuntimeStatus.COMPLETED, result="1")
        children[instance_id] = child
    return story, children
