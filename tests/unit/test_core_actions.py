"""Actions: what each writes down in full, what its task is called, and what it refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from ipydurable.runtime.core.code import OrchestratorCode, Resolved
from ipydurable.runtime.core.context import OrchestrationContext
from ipydurable.runtime.core.entity_ids import EntityInstanceId
from ipydurable.runtime.core.errors import TaskFailedError, WaitTimeoutError
from ipydurable.runtime.core.events import (
    CustomStatusSet,
    EntityLockGranted,
    EntityLockRequested,
    EntityOperationCalled,
    EntityOperationFailed,
    EntityOperationSignaled,
    EntityUnlockSent,
    Event,
    EventFormOpened,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionTerminated,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskScheduled,
    TimerCreated,
)
from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.core.ids import child_instance_id
from ipydurable.runtime.core.retry import RetryPolicy
from ipydurable.runtime.core.status import RuntimeStatus
from tests.support.core import (
    PlainConverter,
    at,
    completed,
    failed,
    failure,
    fired,
    kinds,
    raised,
    result,
    run,
    started,
)

NOW = at(5)
ALICE = EntityInstanceId("account", "alice")
BOB = EntityInstanceId("account", "bob")
ONCE_MORE = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)


class _NamingConverter(PlainConverter):
    def encode(self, value: Any, where: str) -> Any:
        raise ValueError(f"cannot store the {where}")


def drawn(ask: Callable[[OrchestrationContext], Any]) -> list[Event]:
    """Return what a program writes down that asks five seconds after its start."""

    async def program(ctx: OrchestrationContext) -> Any:
        await ctx.wait_for_external_event("go")
        ask(ctx)
        await ctx.wait_for_external_event("never")

    code = OrchestratorCode(program, PlainConverter(), {})
    executor = OrchestrationExecutor(code, lambda kind, name: Resolved(f"{kind} {name} v1"))
    for event in (started(), raised("go", at_s=5)):
        executor.process(event)
    assert executor.completion is None, executor.completion
    return executor.take_decisions()


class TestWhatIsWrittenDown:
    """All of it: the time is that of the event that led to it, not that of the start."""

    def test_an_activity(self) -> None:
        assert drawn(lambda ctx: ctx.call_activity("fetch", 7, tags={"city": "Zürich"})) == [
            TaskScheduled(
                timestamp=NOW,
                task_id=1,
                name="fetch",
                version="activity fetch v1",
                input="7",
                tags={"city": "Zürich"},
            )
        ]

    def test_a_sub_orchestration(self) -> None:
        assert drawn(lambda ctx: ctx.call_sub_orchestrator("part", [1], tags={"a": "b"})) == [
            SubOrchestrationInstanceCreated(
                timestamp=NOW,
                task_id=1,
                instance_id=child_instance_id("e1", 1),
                name="part",
                version="orchestrator part v1",
                input="[1]",
                tags={"a": "b"},
            )
        ]

    def test_a_sub_orchestration_with_an_id_of_its_own(self) -> None:
        assert drawn(lambda ctx: ctx.call_sub_orchestrator("part", instance_id="mine")) == [
            SubOrchestrationInstanceCreated(
                timestamp=NOW,
                task_id=1,
                instance_id="mine",
                name="part",
                version="orchestrator part v1",
                explicit_id=True,
            )
        ]

    def test_a_timer(self) -> None:
        assert drawn(lambda ctx: ctx.create_timer(timedelta(seconds=2))) == [
            TimerCreated(timestamp=NOW, task_id=1, fire_at=at(7))
        ]

    @pytest.mark.parametrize(("data", "payload"), [(None, None), ({"a": 1}, '{"a":1}')])
    def test_an_event_for_another_instance(self, data: Any, payload: str | None) -> None:
        assert drawn(lambda ctx: ctx.send_event("other", "news", data)) == [
            EventSent(timestamp=NOW, task_id=1, instance_id="other", name="news", input=payload)
        ]

    def test_a_call_of_an_entity(self) -> None:
        assert drawn(lambda ctx: ctx.call_entity(ALICE, "deposit", 5)) == [
            EntityOperationCalled(
                timestamp=NOW, task_id=1, entity_id="@account@alice", operation="deposit", input="5"
            )
        ]

    def test_a_signal_to_an_entity(self) -> None:
        assert drawn(lambda ctx: ctx.signal_entity(ALICE, "deposit", 5)) == [
            EntityOperationSignaled(
                timestamp=NOW, task_id=1, entity_id="@account@alice", operation="deposit", input="5"
            )
        ]

    def test_a_request_for_locks(self) -> None:
        assert drawn(lambda ctx: ctx.lock_entities(ALICE)) == [
            EntityLockRequested(timestamp=NOW, task_id=1, entity_ids=("@account@alice",))
        ]

    def test_the_end_of_a_critical_section(self) -> None:
        async def program(ctx: OrchestrationContext) -> None:
            with await ctx.lock_entities(ALICE):
                await ctx.wait_for_external_event("go")

        granted = EntityLockGranted(timestamp=at(1), task_id=1)
        _, history = run(program, started(), granted, raised("go", at_s=5))
        assert history[-2] == EntityUnlockSent(
            timestamp=NOW, task_id=2, entity_id="@account@alice", lock_id=1
        )


class TestRetries:
    def test_an_activity_is_scheduled_again_as_it_was_and_says_whose_retry_it_is(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("fetch", 7, retry_policy=ONCE_MORE, tags={"a": "b"})

        _, history = run(program, started(), failed(1, OSError(), 2), fired(2, 3))
        again = history[-1]
        assert again == TaskScheduled(
            timestamp=at(3),
            task_id=3,
            name="fetch",
            version="v1",
            input="7",
            origin=1,
            tags={"a": "b"},
        )

    def test_a_policy_of_one_attempt_has_none(self) -> None:
        once = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=1)

        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("fetch", retry_policy=once)

        executor, history = run(program, started(), failed(1, OSError("no network"), 2))
        assert kinds(history)[-2:] == ["TaskFailed", "ExecutionCompleted"]
        assert "no network" in failure(executor).message

    def test_a_retry_takes_the_version_that_the_name_means_by_then(self) -> None:
        """The first attempt does not: what was resolved once is not resolved again."""
        meant = iter(["v1", "v2", "v3"])

        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.call_activity("fetch", retry_policy=ONCE_MORE)

        code = OrchestratorCode(program, PlainConverter(), {})
        executor = OrchestrationExecutor(code, lambda _kind, _name: Resolved(next(meant)))
        for event in (started(), failed(1, OSError(), 2), fired(2, 3)):
            executor.process(event)
        scheduled = [one for one in executor.take_decisions() if isinstance(one, TaskScheduled)]
        assert [one.version for one in scheduled] == ["v1", "v2"]

    def test_what_the_name_means_is_asked_by_kind_and_name(self) -> None:
        asked = []

        def resolve(kind: str, name: str) -> Resolved:
            asked.append((kind, name))
            return Resolved("v1")

        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("fetch", retry_policy=ONCE_MORE)

        executor = OrchestrationExecutor(OrchestratorCode(program, PlainConverter(), {}), resolve)
        for event in (started(), failed(1, OSError(), 2), fired(2, 3)):
            executor.process(event)
        assert asked == [("activity", "fetch")] * 2

    def test_a_sub_orchestration_is_started_again_after_a_delay_that_belongs_to_it(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_sub_orchestrator_with_retry("part", ONCE_MORE, 7, "mine")

        child_failed = SubOrchestrationInstanceFailed(
            timestamp=at(2),
            task_id=1,
            failure=FailureDetails(error_type="builtins.OSError", message=""),
        )
        _, history = run(program, started(), child_failed, fired(2, 3))
        first, delay, again = history[1], history[3], history[5]
        assert isinstance(first, SubOrchestrationInstanceCreated)
        assert (first.instance_id, first.input) == ("mine", "7")
        assert delay == TimerCreated(timestamp=at(2), task_id=2, fire_at=at(3), origin=1)
        assert isinstance(again, SubOrchestrationInstanceCreated)
        assert (again.instance_id, again.origin) == ("mine", 1)


class TestNames:
    @pytest.mark.parametrize(
        ("ask", "says"),
        [
            (lambda ctx: ctx.call_activity("fetch"), "activity fetch (task 1)"),
            (lambda ctx: ctx.call_sub_orchestrator("part"), "sub-orchestration part (task 1)"),
            (lambda ctx: ctx.create_timer(timedelta(seconds=1)), "timer (task 1)"),
            (lambda ctx: ctx.wait_for_external_event("go"), "wait for event 'go'"),
            (
                lambda ctx: ctx.call_entity(ALICE, "deposit"),
                "call of deposit on @account@alice (task 1)",
            ),
            (lambda ctx: ctx.lock_entities(ALICE), "locks (task 1)"),
            (lambda ctx: ctx.when_all([ctx.call_activity("a")] * 2), "when_all of 2 tasks"),
            (lambda ctx: ctx.when_any([ctx.call_activity("a")]), "when_any of 1 tasks"),
        ],
    )
    def test_a_task_says_what_it_is(self, ask: Callable[..., Any], says: str) -> None:
        async def program(ctx: OrchestrationContext) -> str:
            return repr(ask(ctx))

        executor, _ = run(program, started())
        assert f" {says}: open>" in result(executor)

    def test_a_coroutine_beside_the_main_one_is_called_as_its_function(self) -> None:
        async def helper(ctx: OrchestrationContext) -> None:
            await ctx.create_timer(timedelta(seconds=1))

        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.when_any([helper(ctx), ctx.wait_for_external_event("go")])
            return None

        executor, _ = run(program, started())
        assert [repr(driver) for driver in executor._drivers] == [
            "<Driver orchestrator: open>",
            f"<Driver coroutine {helper.__qualname__}: open>",
        ]

    def test_a_timer_says_when_it_fires(self) -> None:
        async def program(ctx: OrchestrationContext) -> bool:
            timer = ctx.create_timer(timedelta(seconds=3))
            return timer.fire_at == ctx.current_utc_datetime + timedelta(seconds=3)

        executor, _ = run(program, started())
        assert result(executor) is True

    def test_a_failed_call_of_an_activity_names_it(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("fetch")
            except TaskFailedError as error:
                return [error.task_name, error.task_id]

        executor, _ = run(program, started(), failed(1, OSError()))
        assert result(executor) == ["fetch", 1]

    def test_a_failed_call_of_an_entity_names_operation_and_entity(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_entity(ALICE, "deposit", 5)
            except TaskFailedError as error:
                return error.task_name

        why = FailureDetails(error_type="builtins.OSError", message="")
        event = EntityOperationFailed(timestamp=at(1), task_id=1, failure=why)
        executor, _ = run(program, started(), event)
        assert result(executor) == "deposit on @account@alice"

    @pytest.mark.parametrize(
        ("ask", "what"),
        [
            (lambda ctx: ctx.call_sub_orchestrator(None), "orchestrator"),
            (lambda ctx: ctx.entity(None, "alice"), "entity"),
        ],
    )
    def test_what_has_no_name_is_refused_as_what_it_should_be(
        self, ask: Callable[..., Any], what: str
    ) -> None:
        executor, _ = run(ask, started())
        assert failure(executor).message.startswith(f"{what} is a name, or what ")

    @pytest.mark.parametrize("combinator", ["when_all", "when_any"])
    def test_a_combinator_says_its_name_where_it_is_given_no_tasks(self, combinator: str) -> None:
        executor, _ = run(lambda ctx: getattr(ctx, combinator)(7), started())
        assert failure(executor).message.startswith(f"{combinator} takes an iterable of tasks")

    def test_a_custom_status_of_none_is_none_at_all(self) -> None:
        def program(ctx: OrchestrationContext) -> None:
            ctx.set_custom_status("half way")
            ctx.set_custom_status(None)

        _, history = run(program, started())
        said = [one.status for one in history if isinstance(one, CustomStatusSet)]
        assert said == ['"half way"', None]


class TestSteps:
    def test_it_counts_how_often_the_code_was_sent_on(self) -> None:
        """A count that stands still is code that runs."""

        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("fetch")
            await ctx.call_activity("fetch")

        events = (started(), completed(1), completed(2))
        assert [run(program, *events[:n])[0].steps for n in range(4)] == [0, 1, 2, 3]


class TestIgnored:
    def test_results_that_nobody_waits_for_are_counted(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.wait_for_external_event("go")

        events = (completed(7), completed(8), failed(9, OSError()), failed(9, OSError()))
        executor, _ = run(program, started(), *events, fired(5, 1), fired(6, 1))
        assert executor.ignored == 6
        assert executor.carried_over == []


class TestTermination:
    def test_it_ends_the_execution_with_its_output_and_abandons_what_is_open(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("fetch")

        terminated = ExecutionTerminated(timestamp=at(1), output='"enough"')
        executor, history = run(program, started(), terminated)
        assert (
            history[-1]
            == executor.completion
            == ExecutionCompleted(
                timestamp=at(1), status=RuntimeStatus.TERMINATED, result='"enough"', abandoned=(1,)
            )
        )


class TestSections:
    def test_leaving_a_section_a_second_time_does_not_end_the_next_one(self) -> None:
        async def program(ctx: OrchestrationContext) -> None:
            first = await ctx.lock_entities(ALICE)
            with first:
                pass
            await ctx.lock_entities(BOB)
            with first:
                pass
            await ctx.wait_for_external_event("go")

        grants = [EntityLockGranted(timestamp=at(n), task_id=n) for n in (1, 3)]
        _, history = run(program, started(), *grants)
        unlocked = [one.entity_id for one in history if isinstance(one, EntityUnlockSent)]
        assert unlocked == ["@account@alice"]


class TestInputs:
    @pytest.mark.parametrize(
        ("ask", "where"),
        [
            (lambda ctx: ctx.call_activity("fetch", object()), "input of fetch"),
            (lambda ctx: ctx.call_sub_orchestrator("part", object()), "input of part"),
            (lambda ctx: ctx.send_event("other", "news", object()), "data of event 'news'"),
            (
                lambda ctx: ctx.call_entity(ALICE, "deposit", object()),
                "input of deposit on @account@alice",
            ),
            (
                lambda ctx: ctx.signal_entity(ALICE, "deposit", object()),
                "input of deposit on @account@alice",
            ),
            (lambda ctx: ctx.continue_as_new(object()), "input of continue_as_new"),
            (lambda ctx: ctx.set_custom_status(object()), "custom status"),
        ],
    )
    def test_what_cannot_be_stored_is_refused_with_its_place(
        self, ask: Callable[..., Any], where: str
    ) -> None:
        async def program(ctx: OrchestrationContext) -> None:
            ask(ctx)

        code = OrchestratorCode(program, _NamingConverter(), {})
        executor = OrchestrationExecutor(code, lambda _kind, _name: Resolved("v1"))
        executor.process(started())
        assert failure(executor).message == f"cannot store the {where}"

    @pytest.mark.parametrize("fails", [False, True])
    def test_it_is_known_while_a_value_is_converted_and_no_longer(self, fails: bool) -> None:
        """Large values take long, which is no endless loop."""
        seen = []

        class Watching(PlainConverter):
            def encode(self, value: Any, where: str) -> Any:
                seen.append(executor.is_converting)
                if fails:
                    raise ValueError(where)
                return super().encode(value, where)

            def decode(self, payload: Any) -> Any:
                seen.append(executor.is_converting)
                if fails:
                    raise ValueError(payload)
                return super().decode(payload)

        async def program(ctx: OrchestrationContext) -> None:
            seen.append(executor.is_converting)
            with contextlib.suppress(ValueError):
                ctx.set_custom_status("half way")
            seen.append(executor.is_converting)
            with contextlib.suppress(ValueError):
                await ctx.call_activity("fetch")
            seen.append(executor.is_converting)

        code = OrchestratorCode(program, Watching(), {})
        executor = OrchestrationExecutor(code, lambda _kind, _name: Resolved("v1"))
        assert not executor.is_converting
        executor.process(started())
        executor.process(completed(1, "news"))
        assert seen == [False, True, False, True, False]


class TestEvents:
    def test_a_wait_that_took_too_long_says_for_what_and_how_long(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.wait_for_external_event("go")
            try:
                await ctx.wait_for_external_event("reply", timeout=timedelta(seconds=3))
            except WaitTimeoutError as error:
                return [error.what, error.timeout_s]

        executor, _ = run(program, started(), raised("go", at_s=5), fired(1, 8))
        assert result(executor) == ["event 'reply'", 3]

    def test_what_came_in_time_stays_taken_when_the_timer_fires_all_the_same(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            reply = await ctx.wait_for_external_event("reply", timeout=timedelta(seconds=3))
            return [reply, await ctx.call_activity("fetch")]

        executor, _ = run(
            program, started(), raised("reply", "yes"), fired(1, 3), completed(2, "done", 4)
        )
        assert result(executor) == ["yes", "done"]

    def test_a_form_is_made_of_classes_that_the_code_names(self) -> None:
        """Annotations are text there, which means something only among the code's names."""

        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.wait_for_external_event("approval", form=Wanted)

        _, history = run(program, started(), Level=int)
        opened = history[-1]
        assert isinstance(opened, EventFormOpened)
        assert [one.kind for one in opened.form.fields] == ["integer"]

    def test_an_answer_goes_to_its_form_and_takes_its_place_in_the_queue(self) -> None:
        """The other wait of that name gets the next event, and no event is kept for nobody."""

        async def program(ctx: OrchestrationContext) -> Any:
            first = ctx.wait_for_external_event("approval")
            second = ctx.wait_for_external_event("approval", form=["approve", "reject"])
            return [await second, await first]

        payload = PlainConverter().encode("approve", "data")
        answer = EventRaised(timestamp=at(1), name="approval", input=payload, form_id="e1:1")
        executor, _ = run(program, started(), answer, raised("approval", "anything", 2))
        assert result(executor) == ["approve", "anything"]

    def test_a_wait_that_was_answered_through_its_form_takes_no_other_event(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            first = ctx.wait_for_external_event("approval", form=["approve", "reject"])
            second = ctx.wait_for_external_event("approval")
            return [await first, await second]

        payload = PlainConverter().encode("approve", "data")
        answer = EventRaised(timestamp=at(1), name="approval", input=payload, form_id="e1:1")
        executor, _ = run(program, started(), answer, raised("approval", "anything", 2))
        assert result(executor) == ["approve", "anything"]

    def test_an_answer_to_a_form_that_nobody_waits_with_goes_to_whoever_waits(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            return await ctx.wait_for_external_event("approval")

        payload = PlainConverter().encode("approve", "data")
        answer = EventRaised(timestamp=at(1), name="approval", input=payload, form_id="e0:1")
        executor, _ = run(program, started(), answer)
        assert result(executor) == "approve"


@dataclass
class Wanted:
    """What `test_a_form_is_made_of_classes_that_the_code_names` asks for."""

    level: Level  # type: ignore[name-defined]  # noqa: F821
