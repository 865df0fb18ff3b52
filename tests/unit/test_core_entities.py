"""The core of entities: ids, class state, batches of operations, the rules of critical sections."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipydurable.runtime.core.context import NO_INPUT
from ipydurable.runtime.core.entities import (
    EntityBatchResult,
    EntityCode,
    EntityContext,
    Operation,
    SentSignal,
    StartedOrchestration,
    execute_batch,
)
from ipydurable.runtime.core.entity_ids import EntityInstanceId, check_operation_name, entity_id_of
from ipydurable.runtime.core.entity_state import KEPT_ASIDE, ClassState
from ipydurable.runtime.core.errors import EntityStateError, InvalidInstanceIdError, LockRuleError
from ipydurable.runtime.core.locks import CriticalSection, EntityLock, LockTask
from ipydurable.runtime.core.special_values import CallArguments

NOW = datetime(2026, 1, 1, 12)
DEFINED = "what %%activity, %%orchestrator or %%entity defined"
A, B, C = (EntityInstanceId("Account", key) for key in "abc")

names = st.text(min_size=1).filter(lambda text: "@" not in text)
keys = st.text(min_size=1)


class TestIds:
    @given(names, keys)
    def test_text_and_id_are_the_same(self, name: str, key: str) -> None:
        """An id comes back from its text, with or without the first `@`."""
        entity_id = EntityInstanceId(name, key)
        assert EntityInstanceId.parse(str(entity_id)) == entity_id
        assert EntityInstanceId.parse(str(entity_id)[1:]) == entity_id

    @given(names, keys)
    def test_names_know_no_case_and_keys_do(self, name: str, key: str) -> None:
        """Upper and lower case names are one entity; keys are taken as they are."""
        entity_id = EntityInstanceId(name.lower(), key)
        assert entity_id == EntityInstanceId(name, key)
        assert entity_id.key == key

    @pytest.mark.parametrize(
        ("name", "key", "message"),
        [
            ("", "a", "name must not be empty"),
            ("a@b", "a", "contain '@'"),
            ("a", "", "key is a string that is not empty"),
            ("a", 7, "not 7"),
        ],
    )
    def test_illegal_parts_are_refused(self, name: str, key: Any, message: str) -> None:
        """The error names the part and what was given."""
        with pytest.raises(ValueError, match=message):
            EntityInstanceId(name, key)

    def test_text_without_a_key_is_no_id(self) -> None:
        """`@name` alone is refused with the form to write."""
        with pytest.raises(ValueError, match="write name@key"):
            EntityInstanceId.parse("@account")

    def test_ids_are_meant_by_ids_texts_and_handles(self) -> None:
        """Anything with an `entity_id` is a handle; other things are refused by type."""

        class Handle:
            entity_id = A

        class Other:
            entity_id = "Account@a"

        assert [entity_id_of(one) for one in (A, "ACCOUNT@a", Handle())] == [A, A, A]
        for wrong in (Other(), 5):
            with pytest.raises(TypeError, match=f"got a {type(wrong).__name__}"):
                entity_id_of(wrong)

    def test_ids_are_ordered_by_name_and_key(self) -> None:
        """The order in which locks are taken is the same whoever asks."""
        assert sorted([EntityInstanceId("b", "a"), C, A]) == [A, C, EntityInstanceId("b", "a")]

    @pytest.mark.parametrize("wrong", ["", 5, None])
    def test_an_operation_has_a_name(self, wrong: Any) -> None:
        """Operations are named by text."""
        assert check_operation_name("get") == "get"
        with pytest.raises(ValueError, match="at least one character"):
            check_operation_name(wrong)


def over(cls: type, state: Any, namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what is kept of a state by an object that nothing changes."""
    found = ClassState(cls, namespace or {})
    return found.attributes(found.load(state))


class Order:
    """A user's class."""


class Refund:
    """Another one."""


class Address(TypedDict):
    """A dict with known keys."""

    city: str


class TestClassState:
    def test_public_attributes_are_state(self) -> None:
        """Those of the body, of `__init__` and of bases; no methods, properties or private ones."""

        class Base:
            color = "red"

            def method(self) -> None: ...

            @property
            def shown(self) -> str:
                return self.color

        class Shelf(Base):
            books: int = 3
            height: int
            _private = 1

            def __init__(self) -> None:
                self.label = "new"
                self._hidden = True

        assert ClassState(Shelf, {}).defaults() == {"books": 3, "color": "red", "label": "new"}
        assert over(Shelf, {"height": 7, "books": 4})["height"] == 7

    def test_a_subclass_has_defaults_of_its_own(self) -> None:
        """What the class says counts, not what its base says."""

        class Base:
            limit = 1
            name = "base"

        class Derived(Base):
            limit = 2

        assert ClassState(Derived, {}).defaults() == {"limit": 2, "name": "base"}

    def test_a_default_is_an_objects_own(self) -> None:
        """A list in the body is not shared: not between objects, nor with the class."""

        class Crate:
            items: list[int] = []  # noqa: RUF012  (what is tested)

        state = ClassState(Crate, {})
        first, second = state.load(None), state.load(None)
        first.items.append(1)
        assert [second.items, Crate.items, state.defaults()] == [[], [], {"items": []}]
        assert state.attributes(first) == {"items": [1]}

    def test_init_beats_the_body(self) -> None:
        """What `__init__` sets is where a fresh object begins."""

        class Crate:
            items = ("body",)

            def __init__(self) -> None:
                self.items = ("init",)

        assert ClassState(Crate, {}).defaults() == {"items": ("init",)}

    def test_dataclasses_are_classes_like_others(self) -> None:
        """Their fields are state, and their factories make defaults."""

        @dataclass
        class Box:
            n: int = 0
            items: list[int] = field(default_factory=list)

        assert over(Box, {"n": 3}) == {"n": 3, "items": []}

    def test_classes_with_slots_keep_their_state_too(self) -> None:
        """A dataclass with slots has no `__dict__`, and attributes all the same."""

        @dataclass(slots=True)
        class Box:
            n: int = 0

        assert over(Box, {"n": 3}) == {"n": 3}

    def test_removed_attributes_are_kept_aside_and_come_back(self) -> None:
        """State outlives edits of the class that forget a part of it."""

        class Old:
            books: int = 0
            color: str = "red"

        class New:
            books: int = 0

        edited = over(New, {"books": 2, "color": "blue"})
        assert edited == {"books": 2, KEPT_ASIDE: {"color": "blue"}}
        assert over(New, edited) == edited
        assert over(Old, edited) == {"books": 2, "color": "blue"}

    def test_new_attributes_take_their_defaults(self) -> None:
        """State written before an attribute was there gets it."""

        class New:
            books: int = 0
            height: int = 200

        assert over(New, {"books": 2}) == {"books": 2, "height": 200}

    @pytest.mark.parametrize(
        ("hint", "value", "kept"),
        [
            (int, "80", 80),
            (float, 5, 5),
            (float, 5.5, 5.5),
            (list[int], (1, 2), [1, 2]),
            (int | None, None, None),
            (int | None, 4, 4),
            (int | str, "x", "x"),
            (list | tuple, [1], [1]),
            (dict[str, int] | list[int], {"a": 1}, {"a": 1}),
            (Any, {1, 2}, {1, 2}),
            (Literal["a"], "a", "a"),
            (Address, {"city": "Basel"}, {"city": "Basel"}),
            (datetime, NOW, NOW),
        ],
    )
    def test_values_that_fit_stay_and_others_are_converted(
        self, hint: Any, value: Any, kept: Any
    ) -> None:
        """A changed type is no matter where the value can be had in the new one."""
        cls = type("Holder", (), {"__annotations__": {"v": hint}})
        found = over(cls, {"v": value})["v"]
        assert (found, type(found)) == (kept, type(kept))

    @pytest.mark.parametrize("hint", [Order, Order | None, Order | Refund, Order | Refund | None])
    def test_objects_of_the_users_classes_fit_their_hints(self, hint: Any) -> None:
        """Also where a hint names several classes."""
        order = Order()
        cls = type("Holder", (), {"__annotations__": {"v": hint}})
        assert over(cls, {"v": order})["v"] is order

    @pytest.mark.parametrize(
        ("hint", "value", "message"),
        [
            (
                list[int],
                5,
                "of type int, and the class now wants list",
            ),
            (
                int,
                "many",
                "of type str, and the class now wants int",
            ),
            (
                Order,
                5,
                "of type int, and the class now wants Order",
            ),
            (int | None, "many", "wants int | None"),
        ],
    )
    def test_what_does_not_convert_is_refused(self, hint: Any, value: Any, message: str) -> None:
        """The error names the attribute, what it holds, and what is wanted."""
        cls = type("Holder", (), {"__annotations__": {"v": hint}})
        with pytest.raises(EntityStateError) as caught:
            ClassState(cls, {}).load({"v": value})
        assert message.replace("\\", "") in str(caught.value)

    def test_state_that_is_no_object_is_refused(self) -> None:
        """A function entity that became a class finds a state of another kind."""
        with pytest.raises(EntityStateError, match="state of this Order holds a value of type int"):
            ClassState(Order, {}).load(5)

    def test_hints_that_cannot_be_read_check_nothing(self) -> None:
        """A name that is not there is not the entity's failure."""

        class Odd:
            v: "NotThere" = 1  # type: ignore[name-defined]  # noqa: F821, UP037

        assert over(Odd, {"v": "anything"}) == {"v": "anything"}

    def test_hints_are_read_in_the_namespace_of_the_code(self) -> None:
        """Classes of the notebook are found by name."""

        class Holder:
            v: "Elsewhere"  # type: ignore[name-defined]  # noqa: F821, UP037

        with pytest.raises(EntityStateError, match="wants Order"):
            over(Holder, {"v": 5}, {"Elsewhere": Order})

    def test_constants_of_the_class_are_no_state(self) -> None:
        """An edited `ClassVar` or `Final` reaches the entities there are."""

        class Till:
            LIMIT: ClassVar[int] = 5
            RATE: Final = 0.2
            coins: int = 0

        assert ClassState(Till, {}).defaults() == {"coins": 0}

    def test_what_is_computed_is_no_state(self) -> None:
        """A cached property is not stored, and so never stale."""

        class Till:
            coins: int = 0

            @functools.cached_property
            def doubled(self) -> int:
                return 2 * self.coins

        state = ClassState(Till, {})
        till = state.load({"coins": 2})
        assert till.doubled == 4
        assert state.attributes(till) == {"coins": 2}


class JsonConverter:
    """The plainest converter: JSON and nothing else."""

    def encode(self, value: Any, where: str) -> str:
        if isinstance(value, CallArguments):
            return msgspec.json.encode({"$call": [value.args, value.kwargs]}).decode()
        try:
            return msgspec.json.encode(value).decode()
        except TypeError as error:
            raise TypeError(f"{where}: {error}") from None

    def decode(self, payload: Any) -> Any:
        value = msgspec.json.decode(payload)
        if isinstance(value, dict) and "$call" in value:
            args, kwargs = value["$call"]
            return CallArguments(tuple(args), kwargs)
        return value


class Account:
    """A class entity with all kinds of operations."""

    balance: int = 0

    def deposit(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    def get(self) -> int:
        return self.balance

    def move(self, amount: int, *, twice: bool = False) -> int:
        return self.deposit(amount * (2 if twice else 1))

    def note(self, text: Any) -> str:
        return f"noted {text}"

    def many(self, *amounts: int) -> int:
        return len(amounts)

    def keyword(self, *, amount: int = 1) -> int:
        return amount

    def who(self, ctx: EntityContext) -> Any:
        return [ctx.entity_name, ctx.entity_key, ctx.operation, ctx.get_input()]

    def who_for(self, context: EntityContext, amount: int) -> Any:
        return [context.get_input(), amount]

    def set_directly(self, ctx: EntityContext) -> None:
        self.balance = 5
        ctx.set_state({"balance": 6})

    def fail(self) -> None:
        self.balance = 99
        raise ValueError("no")

    def exit(self) -> None:
        raise KeyboardInterrupt

    async def slowly(self, amount: int) -> int:
        await asyncio.sleep(0)
        return self.deposit(amount)

    def Shout(self) -> str:  # noqa: N802  (found in any case)
        return "hey"

    def alike(self) -> int:
        return 1

    def ALIKE(self) -> int:  # noqa: N802  (differs in case only)
        return 2

    @property
    def number(self) -> int:
        return 7


def counter(ctx: EntityContext, value: Any) -> Any:
    match ctx.operation:
        case "add":
            ctx.set_state(ctx.get_state(0) + value)
        case "input":
            return [value, ctx.get_input()]
        case "lose":
            ctx.set_state(None)
        case "misfit":
            ctx.set_state(object())
        case "answer_misfit":
            ctx.set_state(1)
            return object()
    return ctx.get_state()


def tells(ctx: EntityContext) -> Any:
    """A function of the context only, which talks to others."""
    match ctx.operation:
        case "signal":
            ctx.signal_entity(A, "get")
            ctx.signal_entity("B@b", "add", 1, signal_time=NOW)
            ctx.signal_entity("B@b", "add", None, signal_time=timedelta(hours=1))
            ctx.signal_entity("B@b", "add", signal_time=datetime(2026, 1, 1, tzinfo=UTC))
        case "start":
            return [
                ctx.start_orchestration("report", 5),
                ctx.start_orchestration(test_starts_are_collected, instance_id="mine"),
            ]
        case "start_wrongly":
            ctx.start_orchestration("report", instance_id="@b@b")
        case "start_nothing":
            ctx.start_orchestration(None)  # type: ignore[arg-type]
        case "start_unstorable":
            ctx.start_orchestration("report", object())
        case "signal_unstorable":
            ctx.signal_entity(A, "get", object())
        case "signal_nameless":
            ctx.signal_entity(A, "")
        case "signal_and_fail":
            ctx.signal_entity(A, "get")
            ctx.start_orchestration("report")
            raise ValueError("no")


def run(
    definition: Any, *operations: tuple[Any, ...], state: Any = None, now: datetime = NOW
) -> EntityBatchResult:
    """Run a batch, as the runner does."""
    converter = JsonConverter()
    code = EntityCode(definition, converter, {})
    batch = execute_batch(
        code,
        A,
        None if state is None else converter.encode(state, ""),
        [
            Operation(name=name, input=converter.encode(value[0], "") if value else None)
            for name, *value in operations
        ],
        lambda: now,
        lambda: "0001",
    )
    if code.is_async:
        return asyncio.run(batch)
    try:
        batch.send(None)
    except StopIteration as stop:
        found: EntityBatchResult = stop.value
        return found
    raise AssertionError("it waits, and says that it does not")


def results(batch: EntityBatchResult) -> list[Any]:
    """Return results, and the types of failures."""
    return [
        one.failure.type_name
        if one.failure
        else None
        if one.result is None
        else JsonConverter().decode(one.result)
        for one in batch.results
    ]


class TestBatches:
    def test_operations_see_what_those_before_them_left(self) -> None:
        """One after the other, on one state."""
        batch = run(Account, ("deposit", 5), ("deposit", 2), ("get",))
        assert results(batch) == [5, 7, 7]
        assert batch.state == '{"balance":7}'

    @pytest.mark.parametrize("failing", ["fail", "exit", "nothing_like_it", "_method", "number"])
    def test_a_failing_operation_leaves_no_trace(self, failing: str) -> None:
        """Whatever it raises, and where it does not exist; those around it stand."""
        batch = run(Account, ("deposit", 5), (failing,), ("deposit", 1))
        assert results(batch)[0::2] == [5, 6]
        assert batch.results[1].failure is not None
        assert batch.state == '{"balance":6}'

    def test_an_unknown_operation_lists_the_known(self) -> None:
        """Neither attributes nor private methods are among them."""
        failure = run(Account, ("number",)).results[0].failure
        assert failure is not None
        assert "it has ALIKE, Shout, alike, deposit" in failure.message
        assert "number" not in failure.message.partition("it has")[2]

    def test_the_lines_of_the_users_code_are_kept(self) -> None:
        """The stack of a failure begins in the entity's code, not in ours."""
        failure = run(Account, ("fail",)).results[0].failure
        assert failure is not None
        assert "in fail" in failure.stack_trace
        assert "runtime/core" not in failure.stack_trace

    def test_an_unknown_operation_is_refused_with_those_there_are(self) -> None:
        class Door:
            def open(self) -> None: ...

            def close(self) -> None: ...

            @property
            def key(self) -> Any:
                raise AttributeError("no key")

        for wrong in ("opne", "key"):
            failure = run(Door, (wrong,)).results[0].failure
            assert failure is not None
            assert failure.message == f"@account@a has no operation {wrong!r}; it has close, open"

    def test_a_runtime_error_of_the_code_is_itself(self) -> None:
        """Only what Python makes of a StopIteration is taken for that."""

        class Door:
            def open(self) -> None:
                raise RuntimeError("stuck") from KeyError("key")

        failure = run(Door, ("open",)).results[0].failure
        assert failure is not None
        assert str(failure) == "RuntimeError: stuck"

    def test_operations_are_found_in_any_case_unless_that_is_ambiguous(self) -> None:
        """The exact name wins."""
        asked = [("shout",), ("alike",), ("ALIKE",), ("Alike",)]
        assert results(run(Account, *asked)) == ["hey", 1, 2, "EntityOperationError"]

    @pytest.mark.parametrize(
        ("operation", "given", "expected"),
        [
            ("move", CallArguments((3,), {"twice": True}), 6),
            ("get", None, 0),
            ("get", 1, "TypeError"),
            ("note", None, "noted None"),
            ("many", 1, 1),
            ("many", None, 1),
            ("keyword", CallArguments((), {"amount": 3}), 3),
            ("who", None, ["account", "a", "who", None]),
            ("who_for", 3, [3, 3]),
            ("deposit", "five", "TypeError"),
        ],
    )
    def test_arguments_reach_the_method(self, operation: str, given: Any, expected: Any) -> None:
        """One value, several with keywords, or None; the context where the method asks for it."""
        assert results(run(Account, (operation, given))) == [expected]

    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            ("note", "noted None"),
            ("many", 0),
            ("keyword", 1),
            ("who_for", [None, None]),
            ("move", "TypeError"),
            ("deposit", "TypeError"),
        ],
    )
    def test_without_an_input(self, operation: str, expected: Any) -> None:
        """None stands in where exactly one argument is needed."""
        assert results(run(Account, (operation,))) == [expected]

    def test_async_operations_are_awaited(self) -> None:
        """They need a loop, and the others of the class run there too."""
        assert EntityCode(Account, JsonConverter(), {}).is_async
        assert not EntityCode(counter, JsonConverter(), {}).is_async
        assert results(run(Account, ("slowly", 3), ("deposit", 1))) == [3, 4]

    def test_reading_creates_no_state(self) -> None:
        """State equal to the defaults is written only where there is state already."""
        assert run(Account, ("get",), ("deposit", 0)).state is None
        assert run(Account, ("deposit", -5), state={"balance": 5}).state == '{"balance":0}'

    def test_what_the_context_is_given_beats_the_attributes(self) -> None:
        """A class may use `ctx.set_state` as well."""
        assert run(Account, ("set_directly",)).state == '{"balance":6}'

    @pytest.mark.parametrize("operation", ["delete", "Delete"])
    def test_delete_is_built_in(self, operation: str) -> None:
        """Also where the state no longer fits."""
        batch = run(Account, (operation,), ("get",), state={"balance": "much"})
        assert (results(batch), batch.state) == ([None, 0], None)

    def test_delete_may_be_ones_own(self) -> None:
        """A class that has such an operation, in any case, decides what it does."""

        class Lease:
            def Delete(self, ctx: EntityContext) -> str:  # noqa: N802  (in any case)
                ctx.set_state(None)
                return "gone"

        assert results(run(Lease, ("delete",), state={})) == ["gone"]

    def test_functions_keep_their_state_themselves(self) -> None:
        """Falsy state is state; None deletes; the input is a parameter and in the context."""
        batch = run(counter, ("add", 0), ("input", 3), ("input",))
        assert (results(batch), batch.state) == ([0, [3, 3], [None, None]], "0")
        assert run(counter, ("lose",), state=3).state is None

    @pytest.mark.parametrize("operation", ["misfit", "answer_misfit"])
    def test_what_cannot_be_stored_fails_the_operation(self, operation: str) -> None:
        """A state or result that cannot be encoded leaves no trace."""
        batch = run(counter, ("add", 1), (operation,))
        assert (results(batch), batch.state) == ([1, "TypeError"], "1")

    def test_an_input_that_cannot_be_decoded_fails_the_operation(self) -> None:
        """The others are done."""
        code = EntityCode(counter, JsonConverter(), {})
        operations = [Operation(name="add", input="{"), Operation(name="add", input="2")]
        batch = asyncio.run(execute_batch(code, A, None, operations, lambda: NOW, str))
        assert results(batch) == ["DecodeError", 2]

    def test_stop_iteration_is_a_failure_like_any_other(self) -> None:
        """Python's own use of it in coroutines plays no part."""

        def runs_out(ctx: EntityContext) -> Any:
            return next(iter([]))

        assert results(run(runs_out, ("go",))) == ["StopIteration"]

    def test_signals_are_collected(self) -> None:
        """With naive UTC times, also where a zone was given, or with a delay."""
        (one,) = run(tells, ("signal",)).results
        assert one.signals == (
            SentSignal(entity_id="@account@a", operation="get"),
            SentSignal(entity_id="@b@b", operation="add", input="1", scheduled_at=NOW),
            SentSignal(
                entity_id="@b@b",
                operation="add",
                input="null",
                delay=timedelta(hours=1),
            ),
            SentSignal(entity_id="@b@b", operation="add", scheduled_at=datetime(2026, 1, 1)),
        )
        assert one.started_at == NOW

    def test_illegal_ids_and_names_fail_the_operation(self) -> None:
        """Nothing that the engine could not pass on leaves the operation."""
        batch = run(tells, ("start_wrongly",), ("signal_nameless",))
        assert results(batch) == [InvalidInstanceIdError.__name__, "ValueError"]

    def test_what_cannot_be_passed_on_is_named(self) -> None:
        batch = run(tells, ("start_nothing",), ("start_unstorable",), ("signal_unstorable",))
        misfits = run(counter, ("misfit",), ("answer_misfit",)).results
        assert [str(one.failure) for one in misfits] == [
            f"TypeError: {where}: Encoding objects of type object is unsupported"
            for where in ("state of @account@a", "result of answer_misfit")
        ]
        said = [one.failure.message for one in batch.results if one.failure is not None]
        assert said == [
            f"orchestrator is a name, or {DEFINED}; got a NoneType",
            "input of report: Encoding objects of type object is unsupported",
            "input of get: Encoding objects of type object is unsupported",
        ]

    def test_a_failing_operation_tells_nobody(self) -> None:
        """Its signals and starts are dropped."""
        (one,) = run(tells, ("signal_and_fail",)).results
        assert one.started_at == NOW
        assert (one.signals, one.starts) == ((), ())
        assert one.failure is not None

    @given(st.lists(st.sampled_from([("deposit", 1), ("deposit", -2), ("fail",), ("get",)])))
    def test_any_batch_is_its_operations_one_by_one(self, operations: list[Any]) -> None:
        """However operations are cut into batches, results and state are the same."""
        whole = run(Account, *operations)
        state, found = None, []
        for operation in operations:
            one = run(Account, operation, state=state)
            found += results(one)
            state = None if one.state is None else msgspec.json.decode(str(one.state))
        assert found == results(whole)
        assert state == (None if whole.state is None else msgspec.json.decode(str(whole.state)))


def test_starts_are_collected() -> None:
    """Under the id given, or one made of the name."""
    (one,) = run(tells, ("start",)).results
    assert one.result == '["report-0001","mine"]'
    assert one.starts == (
        StartedOrchestration(name="report", instance_id="report-0001", input="5"),
        StartedOrchestration(name="test_starts_are_collected", instance_id="mine"),
    )


class TestCriticalSection:
    @pytest.fixture
    def section(self) -> CriticalSection:
        return CriticalSection()

    @pytest.fixture
    def inside(self, section: CriticalSection) -> CriticalSection:
        section.request(1, (A, B))
        section.granted(1)
        return section

    def test_outside_everything_is_allowed(self, section: CriticalSection) -> None:
        """Calls need not take turns there."""
        for _ in range(2):
            section.check_call(A, 1)
        section.check_signal(A)
        section.check_sub_orchestration()
        assert (section.is_inside, section.unreleased, section.lock_id) == (False, (), 0)

    def test_a_request_needs_entities(self, section: CriticalSection) -> None:
        """Locking nothing is a mistake."""
        with pytest.raises(LockRuleError, match=r"^lock_entities needs at least one entity$"):
            section.request(1, ())
        assert section.unreleased == ()

    def test_a_request_is_awaited_before_anything_else(self, section: CriticalSection) -> None:
        """Calls, children and other requests wait; it counts as something to give back."""
        section.request(4, (A,))
        for work, before in (
            (lambda: section.check_call(A, 1), "calling @account@a"),
            (lambda: section.check_call(C, 1), "calling @account@c"),
            (section.check_sub_orchestration, "starting a sub-orchestration"),
            (lambda: section.request(5, (B,)), "asking for others"),
        ):
            with pytest.raises(LockRuleError) as refused:
                work()
            assert str(refused.value) == f"await the locks that were asked for before {before}"
        assert (section.lock_id, section.unreleased, section.is_inside) == (4, (A,), False)

    def test_inside_the_rules_hold(self, inside: CriticalSection) -> None:
        """No nesting, no children, only locked entities called, and those not signalled."""
        for work, rule in (
            (
                lambda: inside.request(2, (C,)),
                "critical sections cannot be nested: leave this one first",
            ),
            (
                inside.check_sub_orchestration,
                "inside a critical section no sub-orchestration may be started",
            ),
            (
                lambda: inside.check_call(C, 1),
                (
                    "inside a critical section only locked entities may be called; @account@c is "
                    "not locked: add it to lock_entities, or call it outside"
                ),
            ),
            (
                lambda: inside.check_signal(B),
                "inside a critical section a locked entity is called, not signalled: @account@b",
            ),
        ):
            with pytest.raises(LockRuleError) as refused:
                work()
            assert str(refused.value) == rule
        inside.check_signal(C)
        assert (inside.is_inside, inside.unreleased, inside.lock_id) == (True, (A, B), 1)

    def test_a_locked_entity_has_one_call_at_a_time(self, inside: CriticalSection) -> None:
        """Others may be called meanwhile; while a call is open its entity stays locked."""
        inside.check_call(A, 1)
        inside.check_call(B, 1)
        with pytest.raises(LockRuleError) as refused:
            inside.check_call(A, 1)
        assert str(refused.value) == (
            "inside a critical section a locked entity has one call at a time: await the call of "
            "@account@a before the next"
        )
        with pytest.raises(LockRuleError, match="not signalled"):
            inside.check_signal(A)
        assert inside.unreleased == (A, B)
        inside.call_ended(A, 1)
        inside.check_call(A, 1)

    def test_after_it_all_is_allowed_again(self, inside: CriticalSection) -> None:
        """An open call does not reach into the next section."""
        inside.check_call(A, 1)
        inside.release()
        assert inside.unreleased == ()
        inside.check_signal(A)
        inside.check_sub_orchestration()
        inside.request(2, (A,))
        inside.granted(2)
        inside.check_call(A, 3)
        inside.call_ended(A, 1)
        with pytest.raises(LockRuleError, match="one call at a time"):
            inside.check_call(A, 4)

    def test_locks_of_a_request_given_up_are_not_those_of_the_next(
        self, section: CriticalSection
    ) -> None:
        """Their grant may have been on its way."""
        section.request(1, (A,))
        section.release()
        section.granted(1)
        assert not section.is_inside
        section.request(2, (B,))
        section.granted(1)
        assert not section.is_inside
        section.granted(2)
        assert section.unreleased == (B,)

    def test_an_answer_nobody_counts_changes_nothing(self, section: CriticalSection) -> None:
        """Calls from before a section may be answered in it."""
        section.call_ended(A, 1)
        assert section.unreleased == ()


class TestLocks:
    def make(self) -> tuple[LockTask, list[str]]:
        released: list[str] = []
        return LockTask("locks", EntityLock((A, B), lambda: released.append("released"))), released

    def test_a_with_block_gives_back(self) -> None:
        """On every way out; errors go on."""
        task, released = self.make()
        task.complete(None)
        with task.get_result() as lock:
            assert (lock.entities, released) == ((A, B), [])
        assert released == ["released"]
        with pytest.raises(ValueError, match="mine"), task.get_result():
            raise ValueError("mine")
        assert released == ["released"] * 2

    def test_an_async_with_block_waits_and_gives_back(self) -> None:
        """The task itself is what is waited for."""
        task, released = self.make()

        async def program() -> Any:
            async with task as lock:
                return [lock.entities, list(released)]

        code = program()
        assert code.send(None) is task
        task.complete(None)
        with pytest.raises(StopIteration) as stop:
            code.send(None)
        assert (stop.value.value, released) == ([(A, B), []], ["released"])

    def test_locks_that_are_there_are_not_waited_for(self) -> None:
        """A task that is complete gives its locks at once."""
        task, _ = self.make()
        task.complete(None)

        async def program() -> Any:
            return await task

        with pytest.raises(StopIteration) as stop:
            program().send(None)
        assert isinstance(stop.value.value, EntityLock)

    def test_a_request_that_was_not_granted_has_no_result(self) -> None:
        """Asking for it is an error, as with any task."""
        task, _ = self.make()
        with pytest.raises(ValueError, match="locks"):
            task.get_result()


def test_no_input_says_what_it_is() -> None:
    """It is seen in signatures."""
    assert repr(NO_INPUT) == "NO_INPUT"
