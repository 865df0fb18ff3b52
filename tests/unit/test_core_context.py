"""What orchestrator code is given: facts of the instance, ways to ask, and nothing that changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from ipydurable.runtime.core.code import OrchestratorCode
from ipydurable.runtime.core.context import (
    NO_INPUT,
    current_context,
    name_of,
    pack_arguments,
    utc_time,
)
from ipydurable.runtime.core.context import (
    OrchestrationContext as Context,
)
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.events import (
    EntityLockGranted,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    Event,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from ipydurable.runtime.core.retry import RetryOptions
from ipydurable.runtime.core.special_values import CallArguments
from tests.support.core import (
    START,
    PlainConverter,
    at,
    completed,
    failed,
    failure,
    fired,
    kinds,
    make,
    raised,
    result,
    run,
    started,
)

SECOND = timedelta(seconds=1)


class Named:
    """What `%%activity` binds, as far as the context looks at it."""

    __durable_kind__ = "activity"
    __durable_name__ = "fetch"


def fetch() -> None:
    """A plain function; its name is that of the definition."""


def drawn(program: Callable[..., Any], *events: Event) -> Any:
    """Return the one decision that a program draws first."""
    executor, history = run(program, *(events or (started(),)))
    executor.close()
    assert executor.completion is None or executor.completion.failure is None, executor.completion
    return history[1]


class TestFacts:
    def test_they_are_those_of_the_first_event(self) -> None:
        def program(ctx: Context) -> Any:
            return [
                ctx.instance_id,
                ctx.execution_id,
                ctx.parent_instance_id,
                ctx.name,
                ctx.version,
                dict(ctx.tags),
                str(ctx.current_utc_datetime),
                ctx.is_replaying,
                ctx.custom_status,
            ]

        executor, _ = run(program, started(parent="above", tags={"team": "x"}))
        assert result(executor) == [
            *("one", "e1", "above", "program", "v1"),
            {"team": "x"},
            str(START),
            False,
            None,
        ]

    def test_an_instance_of_its_own_has_no_parent(self) -> None:
        assert result(run(lambda ctx: ctx.parent_instance_id is None, started())[0]) is True

    def test_tags_cannot_be_changed_through_the_context(self) -> None:
        def program(ctx: Context) -> Any:
            ctx.tags["team"] = "y"  # type: ignore[index]
            return dict(ctx.tags)

        assert result(run(program, started(tags={"team": "x"}))[0]) == {"team": "x"}

    def test_the_input_can_be_asked_for_again_and_is_a_fresh_copy(self) -> None:
        def program(ctx: Context, given: list[int]) -> Any:
            given.append(2)
            return [given, ctx.get_input(), ctx.get_input() is ctx.get_input()]

        assert result(run(program, started([1]))[0]) == [[1, 2], [1], False]

    def test_without_an_input_there_is_none_to_get(self) -> None:
        assert result(run(lambda ctx: [ctx.get_input()], started())[0]) == [None]

    def test_the_time_is_that_of_the_event_that_drives_the_code(self) -> None:
        async def program(ctx: Context) -> Any:
            times = [str(ctx.current_utc_datetime)]
            await ctx.call_activity("a")
            return [*times, str(ctx.current_utc_datetime)]

        executor, _ = run(program, started(), completed(1, at_s=7))
        assert result(executor) == ["2026-01-01 00:00:00", "2026-01-01 00:00:07"]

    def test_the_custom_status_is_what_was_last_set_also_at_replay(self) -> None:
        async def program(ctx: Context) -> Any:
            ctx.set_custom_status("half")
            await ctx.call_activity("a")
            status = ctx.custom_status
            ctx.set_custom_status(None)
            return [status, ctx.custom_status]

        executor, history = run(program, started(), completed(1))
        assert result(executor) == ["half", None]
        assert kinds(history).count("CustomStatusSet") == 2
        again = make(program)
        again.replay(history)  # type: ignore[arg-type]
        assert again.completion == executor.completion

    def test_there_is_a_current_context_only_while_the_code_runs(self) -> None:
        seen: list[bool] = []

        async def program(ctx: Context) -> Any:
            seen.append(current_context() is ctx)
            await ctx.call_activity("a")
            seen.append(current_context() is ctx)

        run(program, started(), completed(1))
        assert seen == [True, True]
        assert current_context() is None


class TestChance:
    def test_uuids_and_random_numbers_are_the_same_at_every_replay_and_differ_by_draw(self) -> None:
        async def program(ctx: Context) -> Any:
            before = [ctx.new_uuid(), ctx.new_uuid(), ctx.random().random()]
            await ctx.call_activity("a")
            return [*before, ctx.new_uuid(), ctx.random().random()]

        executor, history = run(program, started(), completed(1))
        assert len(set(result(executor))) == 5
        again = make(program)
        again.replay(history)  # type: ignore[arg-type]
        assert again.completion == executor.completion

    def test_the_first_numbers_of_an_execution_are_the_same_for_ever(self) -> None:
        """Recorded once: another seed would break every instance in flight."""

        def program(ctx: Context) -> Any:
            return [ctx.new_uuid(), ctx.random().random()]

        assert result(run(program, started())[0]) == [
            "a92966fa-ad66-5d9e-8285-3ce9dfcd7d69",
            0.14557957941534894,
        ]


class TestNaming:
    @pytest.mark.parametrize("reference", ["fetch", Named(), fetch])
    def test_a_name_a_durable_function_and_a_plain_one_all_mean_the_name(
        self, reference: Any
    ) -> None:
        assert name_of(reference, "activity") == "fetch"
        event = drawn(lambda ctx: ctx.call_activity(reference) and None)
        assert isinstance(event, TaskScheduled)
        assert event.name == "fetch"

    @pytest.mark.parametrize("wrong", [None, 7, object()])
    def test_anything_else_is_refused_at_the_call(self, wrong: Any) -> None:
        executor, _ = run(lambda ctx: ctx.call_activity(wrong), started())
        assert failure(executor).type_name == "TypeError"
        said = failure(executor).message
        assert said.startswith("activity is a name, or what %%activity")
        assert said.endswith(f"; got a {type(wrong).__name__}")


class TestAsking:
    def test_tags_travel_with_the_task_and_are_a_copy(self) -> None:
        def program(ctx: Context) -> None:
            tags = {"a": "1"}
            ctx.call_activity("a", tags=tags)
            tags["a"] = "2"

        assert drawn(program).tags == {"a": "1"}

    def test_no_input_and_none_differ(self) -> None:
        assert drawn(lambda ctx: ctx.call_activity("a") and None).input is None
        assert drawn(lambda ctx: ctx.call_activity("a", None) and None).input == "null"
        assert repr(NO_INPUT) == "NO_INPUT"

    def test_sub_orchestrations_take_an_id_by_position_as_in_durable_functions(self) -> None:
        event = drawn(lambda ctx: ctx.call_sub_orchestrator("child", 1, "chosen") and None)
        assert isinstance(event, SubOrchestrationInstanceCreated)
        assert (event.instance_id, event.explicit_id, event.input) == ("chosen", True, "1")

    @pytest.mark.parametrize(
        "ask",
        [
            lambda ctx, retry: ctx.call_activity_with_retry("a", retry, 1),
            lambda ctx, retry: ctx.call_sub_orchestrator_with_retry("a", retry, 1, "x"),
        ],
        ids=["activity", "sub-orchestration"],
    )
    def test_retries_have_their_azure_names_too(self, ask: Any) -> None:
        async def program(ctx: Context) -> None:
            await ask(ctx, RetryOptions(1000, 2))

        _, history = run(program, started(), failed(1, ValueError("x")), fired(2, 2))
        assert [getattr(event, "input", None) for event in (history[1], history[-1])] == ["1", "1"]
        assert [event.origin for event in (history[1], history[-1])] == [0, 1]  # type: ignore[attr-defined]

    def test_groups_have_their_azure_names_too(self) -> None:
        def program(ctx: Context) -> Any:
            first = yield ctx.task_any([ctx.call_activity("a")])
            rest = yield ctx.task_all([ctx.call_activity("b")])
            return [first.result, rest]

        assert result(run(program, started(), completed(1, 1), completed(2, 2))[0]) == [1, [2]]

    def test_after_the_end_nothing_is_asked_for(self) -> None:
        """Calls from a `finally` that runs as the code is closed."""
        given: list[Any] = []

        async def program(ctx: Context) -> Any:
            try:
                await ctx.call_activity("a")
            finally:
                given.append(ctx.wait_for_external_event("e", timeout=SECOND))
                given.append(ctx.create_timer(SECOND))
                given.append(ctx.lock_entities("Account@a"))
                ctx.send_event("x", "go")
                ctx.signal_entity("Account@a", "add")

        executor, history = run(program, started())
        executor.close()
        assert kinds(history) == ["ExecutionStarted", "TaskScheduled"]
        assert executor.take_decisions() == []
        assert [task.is_complete for task in given] == [False] * 3
        executor.process(raised("e"))
        assert not given[0].is_complete

    def test_an_event_wait_that_timed_out_without_having_lost_takes_nothing(self) -> None:
        async def program(ctx: Context) -> Any:
            wait = ctx.wait_for_external_event("e", timeout=SECOND)
            wait.cancel()
            return await ctx.wait_for_external_event("e")

        assert result(run(program, started(), raised("e", 5))[0]) == 5


class TestTimes:
    @pytest.mark.parametrize(
        ("when", "fires_at"),
        [
            (SECOND, START + SECOND),
            (timedelta(0), START),
            (timedelta(weeks=520), START + timedelta(weeks=520)),
            (datetime(2030, 1, 1), datetime(2030, 1, 1)),
            (datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 1)),
            (datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2029, 12, 31, 22)),
            (datetime(2001, 1, 1), datetime(2001, 1, 1)),
        ],
    )
    def test_relative_naive_aware_and_past_times_become_naive_utc(
        self, when: Any, fires_at: datetime
    ) -> None:
        event = drawn(lambda ctx: ctx.create_timer(when) and None)
        assert isinstance(event, TimerCreated)
        assert event.fire_at == fires_at

    @pytest.mark.parametrize(
        ("when", "says"),
        [
            (-SECOND, "must not be negative"),
            (timedelta.max, "would fire after the year 9999"),
            (5, "write timedelta(seconds=5)"),
            ("2026-01-01", "a datetime or a timedelta, not a str"),
        ],
    )
    @pytest.mark.parametrize(
        "ask",
        [
            lambda ctx, when: ctx.create_timer(when),
            lambda ctx, when: ctx.signal_entity("Account@a", "add", signal_time=when),
            lambda ctx, when: ctx.wait_for_external_event("e", timeout=when),
        ],
        ids=["timer", "signal", "event"],
    )
    def test_what_is_no_time_is_refused_where_it_is_given(
        self, ask: Callable[[Context, Any], Any], when: Any, says: str
    ) -> None:
        executor, history = run(lambda ctx: ask(ctx, when), started())
        assert says in failure(executor).message
        assert kinds(history) == ["ExecutionStarted", "ExecutionCompleted"]

    def test_a_timer_needs_a_time(self) -> None:
        executor, _ = run(lambda ctx: ctx.create_timer(None), started())  # type: ignore[arg-type]
        assert "a datetime or a timedelta, not a NoneType" in failure(executor).message

    def test_an_aware_time_beyond_the_year_9999_is_refused_in_the_same_words(self) -> None:
        last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
        executor, _ = run(lambda ctx: ctx.create_timer(last), started())
        assert failure(executor).type_name == "ValueError"
        assert "year 9999" in failure(executor).message


class TestEntities:
    @pytest.mark.parametrize(
        "entity",
        [
            lambda ctx: ctx.entity("Account", "a"),
            lambda ctx: ctx.entity("Account@a"),
            lambda ctx: ctx.entity(EntityInstanceId("account", "a")),
            lambda ctx: ctx.call("entity", "Account", ("a",), {}),
        ],
    )
    def test_an_entity_is_called_like_an_object(self, entity: Any) -> None:
        async def program(ctx: Context) -> Any:
            proxy = entity(ctx)
            assert repr(proxy) == "<entity @account@a>"
            proxy.signal("open", signal_time=SECOND)
            proxy.add(5)
            proxy.transfer("b", amount=1)
            proxy.call("get")
            proxy.call("transfer", "c", amount=2)
            proxy.signal("transfer", "d", 3)
            await ctx.wait_for_external_event("end")

        _, history = run(program, started())
        signal, *calls, last = history[1:]
        assert isinstance(signal, EntityOperationSignaled)
        assert isinstance(last, EntityOperationSignaled)
        assert last.input == '{"$args":["d",3],"$kwargs":{}}'
        assert (signal.operation, signal.input) == ("open", None)
        assert signal.scheduled_at == START + SECOND
        assert {type(call) for call in calls} == {EntityOperationCalled}
        assert [(call.operation, call.input) for call in calls] == [  # type: ignore[attr-defined]
            ("add", "5"),
            ("transfer", '{"$args":["b"],"$kwargs":{"amount":1}}'),
            ("get", None),
            ("transfer", '{"$args":["c"],"$kwargs":{"amount":2}}'),
        ]

    def test_locks_may_be_given_as_one_iterable_in_any_order_and_more_than_once(self) -> None:
        def program(ctx: Context) -> Any:
            yield ctx.lock_entities(f"Account@{key}" for key in "bab")

        _, history = run(program, started())
        assert isinstance(history[1], EntityLockRequested)
        assert history[1].entity_ids == ("@account@a", "@account@b")

    def test_code_that_leaves_memory_inside_a_critical_section_gives_nothing_back(self) -> None:
        """The section is left by the closing of the code only: replay is inside it again."""

        async def program(ctx: Context) -> Any:
            async with ctx.lock_entities("Account@a"):
                await ctx.wait_for_external_event("more")

        granted = EntityLockGranted(timestamp=at(1), task_id=1)
        executor, history = run(program, started(), granted)
        executor.close()
        assert executor.take_decisions() == []
        assert kinds(history) == ["ExecutionStarted", "EntityLockRequested", "EntityLockGranted"]

    def test_private_names_are_no_operations(self) -> None:
        """Or `copy`, `pickle` and notebooks would call the entity when they look at the proxy."""

        def program(ctx: Context) -> Any:
            return hasattr(ctx.entity("Account@a"), "_repr_html_")

        executor, history = run(program, started())
        assert result(executor) is False
        assert kinds(history) == ["ExecutionStarted", "ExecutionCompleted"]


class TestCallsLikeFunctions:
    @pytest.mark.parametrize(
        ("args", "kwargs", "value"),
        [
            ((), {}, NO_INPUT),
            ((1,), {}, 1),
            ((None,), {}, None),
            ((1, 2), {}, CallArguments((1, 2))),
            ((), {"n": 1}, CallArguments((), {"n": 1})),
            ((1,), {"n": 2}, CallArguments((1,), {"n": 2})),
        ],
    )
    def test_the_arguments_become_the_input(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
    ) -> None:
        assert pack_arguments(args, kwargs) == value

    @pytest.mark.parametrize(
        ("kind", "event"),
        [("activity", TaskScheduled), ("orchestrator", SubOrchestrationInstanceCreated)],
    )
    def test_the_kind_decides_what_is_asked_for(self, kind: str, event: type[Event]) -> None:
        found = drawn(lambda ctx: ctx.call(kind, "a", (1, 2), {}) and None)
        assert isinstance(found, event)
        assert PlainConverter().decode(found.input) == CallArguments((1, 2))  # type: ignore[attr-defined]


class TestBeginning:
    """How the input meets the parameters of the orchestrator."""

    @staticmethod
    def begin(function: Callable[..., Any], value: Any = NO_INPUT) -> Any:
        context: Any = "ctx"
        return OrchestratorCode(function, PlainConverter(), {}).begin(context, value)

    def test_several_arguments_are_spread_over_the_parameters(self) -> None:
        arguments = CallArguments((1,), {"unit": "m"})
        assert repr(arguments) == "(1, unit='m')"
        assert self.begin(lambda ctx, n, unit="s": [ctx, n, unit], arguments) == ["ctx", 1, "m"]

    def test_a_default_is_used_where_there_is_no_input(self) -> None:
        assert self.begin(lambda ctx, n=5: n) == 5
        assert self.begin(lambda ctx, n=5: n, 6) == 6

    def test_one_input_goes_into_star_args(self) -> None:
        assert self.begin(lambda ctx, *rest: rest, 1) == (1,)
        assert self.begin(lambda *everything: everything, 1) == ("ctx", 1)

    def test_keyword_only_parameters_take_no_single_input(self) -> None:
        assert self.begin(lambda ctx, *, unit="s": unit, "ignored") == "s"
        assert self.begin(lambda ctx, *, unit="s": unit, CallArguments((), {"unit": "m"})) == "m"

    def test_an_input_that_cannot_be_decoded_fails_the_instance_before_it_begins(self) -> None:
        seen: list[str] = []
        damaged = msgspec.structs.replace(started("text"), input="{")
        executor, _ = run(lambda ctx, value: seen.append("begun"), damaged)
        assert failure(executor).type_name == "DecodingError"
        assert seen == []


class TestLogger:
    def test_it_is_silent_while_the_code_replays(self, caplog: pytest.LogCaptureFixture) -> None:
        log = logging.getLogger("tests.replay_safe")

        async def program(ctx: Context) -> None:
            safe = ctx.create_replay_safe_logger(log)
            safe.info("before %s", "it")
            await ctx.call_activity("a")
            safe.info("after")

        with caplog.at_level(logging.INFO, log.name):
            _, history = run(program, started())
            executor = make(program)
            executor.replay(history)  # type: ignore[arg-type]
            executor.process(completed(1))
        assert caplog.messages == ["before it", "after"]

    def test_levels_count_as_ever(self, caplog: pytest.LogCaptureFixture) -> None:
        log = logging.getLogger("tests.replay_safe")

        def program(ctx: Context) -> Any:
            safe = ctx.create_replay_safe_logger(log)
            return [safe.isEnabledFor(level) for level in (logging.DEBUG, logging.ERROR)]

        with caplog.at_level(logging.WARNING, log.name):
            assert result(run(program, started())[0]) == [False, True]


def test_an_executor_ignores_outcomes_before_the_first_event() -> None:
    """A message that overtakes the start has nothing to reach."""
    executor = make(lambda ctx: "done")
    executor.process(completed(1))
    assert (executor.completion, executor.ignored) == (None, 1)
    assert executor.waiting_line() == ""
    executor.process(started())
    assert result(executor) == "done"


def test_an_open_executor_tells_what_it_waits_for() -> None:
    async def program(ctx: Context) -> Any:
        wait = ctx.wait_for_external_event("Go")
        await ctx.when_any([wait, ctx.call_activity("a")])
        await ctx.call_activity("b")

    executor, _ = run(program, started(), completed(1))
    assert executor.open_task_ids == (2,)
    assert (executor.is_open(1), executor.is_open(2)) == (False, True)
    assert executor.awaited_events == ("Go",)
    assert executor.lost_waits == ("Go",)
    assert "test_core_context.py, line" in executor.waiting_line()
    executor.close()


class TestZones:
    def test_the_zone_of_the_machine_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Naive times are UTC, and others are turned into it."""
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        try:
            naive = datetime(2026, 7, 1, 12)
            aware = naive.replace(tzinfo=timezone(timedelta(hours=5)))
            assert utc_time(naive, START) == naive
            assert utc_time(aware, START) == datetime(2026, 7, 1, 7)
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_what_is_no_time_is_refused_with_what_to_write(self) -> None:
        with pytest.raises(TypeError) as refused:
            utc_time(5, START)  # type: ignore[arg-type]
        assert str(refused.value) == (
            "a time is a datetime or a timedelta, not a int: "
            "write timedelta(seconds=5), for example"
        )


def test_continuing_as_new_keeps_events_unless_told_otherwise() -> None:
    def kept(**more: bool) -> int:
        async def program(ctx: Context) -> None:
            await ctx.wait_for_external_event("go")
            ctx.continue_as_new(**more)

        executor, _ = run(program, started(), raised("other"), raised("go"))
        return len(executor.carried_over)

    assert (kept(), kept(save_events=True), kept(save_events=False)) == (1, 1, 0)


def test_a_private_name_is_no_operation_of_an_entity() -> None:
    executor, _ = run(lambda ctx: ctx.entity("Account@a")._balance, started())
    assert (failure(executor).type_name, failure(executor).message) == (
        "AttributeError",
        "_balance",
    )


def test_an_entity_that_is_called_like_a_class_takes_its_key_by_name_too() -> None:
    executor, _ = run(lambda ctx: repr(ctx.call("entity", "Account", (), {"key": "a"})), started())
    assert result(executor) == "<entity @account@a>"
