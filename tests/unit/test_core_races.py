"""Races: what histories are told of tasks that lost a `when_any`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.context import OrchestrationContext as Context
from ipydurable.runtime.core.events import (
    Event,
    EventFormClosed,
    ExecutionCompleted,
    HistoryEvent,
    RaceDecided,
)
from ipydurable.runtime.core.races import Races, spans_of
from ipydurable.runtime.core.retry import RetryPolicy
from ipydurable.runtime.core.tasks import CompletableTask, Task, WhenAnyTask
from tests.support.core import at, completed, failed, fired, kinds, make, raised, run, started

Told = list[tuple[Any, Any, Any]]


def told(history: list[Event]) -> Told:
    """Return what a history says of races: won, lost, taken up."""
    return [(one.won, one.lost, one.taken_up) for one in history if isinstance(one, RaceDecided)]


def lost(*spans: tuple[int, int], won: int = 1) -> tuple[Any, Any, Any]:
    return ((won, won),), spans, ()


async def two(ctx: Context) -> Any:
    first = await ctx.when_any([ctx.call_activity("a"), ctx.call_activity("b")])
    await ctx.call_activity("after")
    return first.result


def test_the_note_comes_after_what_decided_the_race_and_before_what_followed() -> None:
    """Whoever reads a history in order knows who lost before anything follows from the winner."""
    _, history = run(two, started(), completed(1, "x", 3))
    assert kinds(history)[-3:] == ["TaskCompleted", "RaceDecided", "TaskScheduled"]
    assert history[-2] == RaceDecided(timestamp=at(3), won=((1, 1),), lost=((2, 2),))


def test_a_race_that_is_the_last_thing_is_told_too() -> None:
    """The end says what it gave up, not what had raced."""

    async def program(ctx: Context) -> Any:
        await ctx.when_any([ctx.call_activity("a"), ctx.call_activity("b")])

    _, history = run(program, started(), completed(2))
    assert kinds(history)[-2:] == ["RaceDecided", "ExecutionCompleted"]
    assert told(history) == [lost((1, 1), won=2)]


def test_a_failure_wins_like_any_outcome() -> None:
    _, history = run(two, started(), failed(2, ValueError("no")))
    assert told(history) == [lost((1, 1), won=2)]


def test_tasks_that_are_awaited_again_at_once_have_not_lost() -> None:
    """A loop that takes what comes first has no losers."""

    async def program(ctx: Context) -> Any:
        pending = [ctx.call_activity("a", n) for n in range(5)]
        while len(pending) > 2:
            pending.remove(await ctx.when_any(pending))
        await ctx.call_activity("after")

    _, history = run(program, started(), completed(4), completed(1), completed(3))
    assert told(history) == [lost((2, 2), (5, 5), won=3)]


def test_each_task_is_told_of_once_as_lost_and_once_as_taken_up() -> None:
    """A loop with a step of its own between the races makes two notes, however long it is."""

    async def program(ctx: Context) -> Any:
        pending = [ctx.call_activity("a", n) for n in range(5)]
        while pending:
            pending.remove(await ctx.when_any(pending))
            await ctx.call_activity("use")

    events = [event for n in range(5) for event in (completed(n + 1), completed(n + 6))]
    _, history = run(program, started(), *events)
    assert told(history) == [lost((2, 5)), ((), (), ((2, 5),))]


def test_what_is_awaited_later_is_taken_up() -> None:
    """It had lost, and the code waits for it after all, also if it has settled meanwhile."""

    async def program(ctx: Context) -> Any:
        tasks = [ctx.call_activity("a", n) for n in range(4)]
        await ctx.when_any(tasks)
        await ctx.call_activity("between")
        await ctx.when_all(tasks)

    _, history = run(program, started(), completed(1), completed(3), completed(5))
    assert told(history) == [lost((2, 4)), ((), (), ((2, 4),))]


@pytest.mark.parametrize("uses", ["await", "result", "all", "any"])
def test_a_loser_that_has_settled_is_taken_up_by_whoever_wants_its_result(uses: str) -> None:
    async def program(ctx: Context) -> Any:
        a, b, c = (ctx.call_activity("a", n) for n in range(3))
        await ctx.when_any([a, b, c])
        await ctx.call_activity("between")
        match uses:
            case "await":
                await b
            case "result":
                return b.result
            case "all":
                await ctx.when_all([b])
            case "any":
                await ctx.when_any([b])
        return None

    _, history = run(program, started(), completed(1), completed(2), completed(4))
    assert told(history) == [lost((2, 3)), ((), (), ((2, 2),))]
    assert kinds(history)[-2:] == ["RaceDecided", "ExecutionCompleted"]


def test_what_nobody_looks_at_again_has_lost_for_good() -> None:
    """Whether it is done may be asked; also a group that settles after it has lost stays so."""

    async def program(ctx: Context) -> Any:
        a, b, c = (ctx.call_activity("a", n) for n in range(3))
        await ctx.when_any([a, ctx.when_any([b, c])])
        await ctx.call_activity("between")
        return b.is_complete

    _, history = run(program, started(), completed(1), completed(2), completed(3), completed(4))
    assert told(history) == [lost((2, 3))]


def test_what_something_else_waits_for_has_not_lost() -> None:
    async def program(ctx: Context) -> Any:
        a, b, c = (ctx.call_activity("a", n) for n in range(3))
        both = ctx.when_all([b, c])
        await ctx.when_any([a, b])
        await both

    _, history = run(program, started(), completed(1))
    assert told(history) == []


@pytest.mark.parametrize(
    ("first", "then"),
    [((1, 2), lost((3, 4), won=1)), ((3,), ((((3, 3),)), ((1, 2), (4, 4)), ()))],
)
def test_groups_win_and_lose_as_a_whole(first: tuple[int, ...], then: Any) -> None:
    """A `when_all` in a race names what it consists of; a `when_any` in one what is left of it."""

    async def program(ctx: Context) -> Any:
        a, b, c, d = (ctx.call_activity("a", n) for n in range(4))
        await ctx.when_any([ctx.when_all([a, b]), ctx.when_any([c, d])])
        await ctx.call_activity("after")

    _, history = run(program, started(), *map(completed, first))
    won = ((1, 2),) if first == (1, 2) else then[0]
    assert told(history) == [(won, then[1], ())]


def test_a_loser_of_two_races_at_once_is_named_once() -> None:
    """Both were decided by the same event; what it had lost is taken up as a whole."""

    async def program(ctx: Context) -> Any:
        a, b = ctx.call_activity("a"), ctx.call_activity("b")
        await ctx.when_all([ctx.when_any([a, b]), ctx.when_any([b, a])])
        await ctx.call_activity("between")
        await b

    _, history = run(program, started(), completed(1), completed(3))
    assert told(history) == [lost((2, 2)), ((), (), ((2, 2),))]


def test_entity_calls_lose_with_their_group_unless_something_else_waits_for_them() -> None:
    """What keeps books of a call waits for nothing."""

    async def program(ctx: Context, shares: bool) -> Any:
        call = ctx.call_entity("@counter@one", "add", 1)
        other = ctx.when_all([call]) if shares else None
        group = ctx.when_all([call, ctx.call_activity("a")])
        await ctx.when_any([ctx.call_activity("b"), group])
        await (other or ctx.call_activity("after"))

    assert told(run(program, started(False), completed(3))[1]) == [lost((1, 2), won=3)]
    assert told(run(program, started(True), completed(3))[1]) == [lost((2, 2), won=3)]


def test_tasks_that_are_no_action_are_not_named() -> None:
    races, notes, quick = Races(), list[Event](), CompletableTask[Any]("quick", task_id=1)
    WhenAnyTask([quick, Task("plain")], races.decided)
    quick.complete(None)
    races.tell(at(0), notes.append)
    assert notes == []


def test_a_race_inside_a_when_all_is_told_when_it_is_decided() -> None:
    async def program(ctx: Context) -> Any:
        a, b, c = (ctx.call_activity("a", n) for n in range(3))
        await ctx.when_all([ctx.when_any([a, b]), c])

    _, history = run(program, started(), completed(2), completed(3))
    assert told(history) == [lost((1, 1), won=2)]
    assert kinds(history).index("RaceDecided") == kinds(history).index("TaskCompleted") + 1


def test_a_coroutine_loses_with_what_it_waits_for() -> None:
    async def helper(ctx: Context, name: str) -> Any:
        return await ctx.call_activity(name)

    async def program(ctx: Context) -> Any:
        await ctx.when_any([helper(ctx, "a"), helper(ctx, "b")])
        await ctx.call_activity("after")

    _, history = run(program, started(), completed(1))
    assert told(history) == [((), ((2, 2),), ())]


def test_timers_and_events_are_not_named_and_make_no_note() -> None:
    """What became of them is in the history; a timeout that wins names what it outran."""

    async def program(ctx: Context) -> Any:
        timer = ctx.create_timer(timedelta(seconds=9))
        await ctx.when_any([ctx.wait_for_external_event("x"), timer, ctx.call_activity("a")])
        await ctx.call_activity("after")

    assert told(run(program, started(), completed(2))[1]) == []
    for winner in (fired(1, 9), raised("x")):
        assert told(run(program, started(), winner)[1]) == [((), ((2, 2),), ())]


def test_sub_orchestrations_and_entity_calls_are_named() -> None:
    async def program(ctx: Context) -> Any:
        await ctx.when_any(
            [
                ctx.call_activity("a"),
                ctx.call_sub_orchestrator("child"),
                ctx.call_entity("@counter@one", "add", 1),
            ]
        )
        await ctx.call_activity("after")

    assert told(run(program, started(), completed(1))[1]) == [lost((2, 3))]


def test_an_entity_call_that_lost_is_taken_up_like_others() -> None:
    async def program(ctx: Context) -> Any:
        call = ctx.call_entity("@counter@one", "add", 1)
        await ctx.when_any([ctx.call_activity("a"), call])
        await ctx.call_activity("between")
        await call

    _, history = run(program, started(), completed(2), completed(3))
    assert told(history) == [lost((1, 1), won=2), ((), (), ((1, 1),))]


def test_a_retried_activity_is_named_by_its_first_attempt() -> None:
    async def program(ctx: Context) -> Any:
        again = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
        slow = ctx.call_activity("a", retry_policy=again)
        await ctx.when_any([slow, ctx.call_activity("b")])
        await ctx.call_activity("after")

    _, history = run(program, started(), failed(1, ValueError()), completed(2))
    assert told(history) == [lost((1, 1), won=2)]


def test_a_race_that_is_decided_before_it_begins_has_losers() -> None:
    async def program(ctx: Context) -> Any:
        a, b, c = (ctx.call_activity("a", n) for n in range(3))
        await a
        await ctx.when_any([b, a, c])
        await ctx.call_activity("after")

    assert told(run(program, started(), completed(1))[1]) == [lost((2, 3))]


def test_ten_thousand_losers_are_a_few_numbers() -> None:
    async def program(ctx: Context) -> Any:
        await ctx.when_any([ctx.call_activity("a", n) for n in range(10_000)])
        await ctx.call_activity("after")

    assert told(run(program, started(), completed(77))[1]) == [lost((1, 76), (78, 10_000), won=77)]


def test_code_without_a_race_is_told_nothing_of() -> None:
    async def program(ctx: Context) -> Any:
        await ctx.when_any([ctx.call_activity("a")])
        await ctx.when_all([ctx.call_activity("a"), ctx.call_activity("b")])
        await ctx.call_activity("after")

    assert told(run(program, started(), *map(completed, (1, 2, 3, 4)))[1]) == []


@pytest.mark.parametrize("has_notes", [True, False])
def test_replay_adds_no_note_whether_or_not_history_has_them(has_notes: bool) -> None:
    """Histories of before there were notes replay too, and do not get them then."""
    _, history = run(two, started(), completed(1))
    known = [one for one in history if has_notes or not isinstance(one, RaceDecided)]
    executor = make(two)
    executor.replay(known)  # type: ignore[arg-type]
    assert executor.take_decisions() == []
    executor.process(completed(2))
    assert executor.take_decisions() == []
    executor.process(completed(3))
    assert kinds(executor.take_decisions()) == ["ExecutionCompleted"]


def test_a_race_goes_on_after_replay_as_if_there_had_been_none() -> None:
    """What had lost before is taken up after it; what still races is told then."""

    async def program(ctx: Context) -> Any:
        a, b = ctx.call_activity("a"), ctx.call_activity("b")
        await ctx.when_any([a, b])
        await ctx.call_activity("between")
        await b

    events = [started(), completed(1), completed(3), completed(2)]
    whole = run(program, *events)[1]
    assert told(whole) == [lost((2, 2)), ((), (), ((2, 2),))]
    for cut in range(1, len(whole)):
        if any(whole[cut] is one for one in events):
            _replay_and_go_on(program, whole, cut, events)


def _replay_and_go_on(
    program: Callable[..., Any], whole: list[Event], cut: int, events: list[Any]
) -> None:
    executor = make(program)
    history: list[HistoryEvent] = list(whole[:cut])  # type: ignore[arg-type]
    executor.replay(history)
    for event in events:
        if not any(event is one for one in history):
            history.append(event)
            executor.process(event)
            history.extend(executor.take_decisions())  # type: ignore[arg-type]
    assert history == whole


def test_each_execution_has_races_of_its_own() -> None:
    """What an execution that continued as new gave up is not taken up in the next."""

    async def program(ctx: Context) -> Any:
        await ctx.when_any([ctx.call_activity("a"), ctx.call_activity("b")])
        ctx.continue_as_new(None)

    executor, history = run(program, started(), completed(1))
    assert kinds(history)[-2:] == ["RaceDecided", "ExecutionCompleted"]
    assert isinstance(history[-1], ExecutionCompleted)
    assert history[-1].abandoned == (2,)
    executor.process(completed(2))
    assert executor.take_decisions() == []


def test_a_wait_that_loses_keeps_its_place_among_the_notes() -> None:
    """The note of a race comes first, that of a form which its loser had at the end of the turn."""

    async def program(ctx: Context) -> Any:
        asked = ctx.wait_for_external_event("x", form=bool)
        await ctx.when_any([ctx.call_activity("a"), ctx.call_activity("b"), asked])
        await ctx.call_activity("after")

    _, history = run(program, started(), completed(1))
    assert kinds(history)[-3:] == ["RaceDecided", "TaskScheduled", "EventFormClosed"]
    assert isinstance(history[-1], EventFormClosed)


def test_tasks_that_lose_often_do_not_come_to_have_many_watchers() -> None:
    """Each `when_any` leaves those that lost, so ten thousand of them cost no memory."""
    slow: Task[Any] = Task("slow")
    for _ in range(5):
        quick: CompletableTask[Any] = CompletableTask("quick")
        WhenAnyTask([slow, quick])
        quick.complete(None)
        WhenAnyTask([quick, slow])
        assert not slow.is_awaited
    assert slow._watchers is None


@given(st.sets(st.integers(1, 40)))
def test_spans_name_all_ids_and_no_other(ids: set[int]) -> None:
    """First and last of each run, in order, no two of them adjacent."""
    spans = spans_of(ids)
    assert [one for first, last in spans for one in range(first, last + 1)] == sorted(ids)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(spans))
