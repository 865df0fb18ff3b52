"""Entities in plain Python: decorators, handles, calls, and entities in orchestrators."""

import asyncio
import inspect
import linecache
import pickle
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType

import pandas as pd
import pytest

import ipydurable
from ipydurable import EntityInstanceId, entity, orchestrator
from ipydurable.arguments import ArgumentError
from ipydurable.entity_functions import EntityFunction
from ipydurable.entity_handles import EntityCall, EntityHandle
from ipydurable.entity_report import entity_line
from ipydurable.frames import definitions_frame
from ipydurable.runtime.client import DurableClient, InProcess
from ipydurable.runtime.codecs import NamespaceConverter
from ipydurable.runtime.core.context import current_context
from ipydurable.runtime.core.errors import (
    DefinitionError,
    DurableError,
    EncodingError,
    EntityCallError,
    UnknownDefinitionError,
    WaitTimeoutError,
)
from ipydurable.runtime.embedded import EmbeddedEngine
from ipydurable.runtime.executors import ThreadExecutor
from ipydurable.runtime.stubs import EntityReference, Stub
from ipydurable.runtime.testing import MemoryStore
from ipydurable.session import DurableSession

_HERE = vars(sys.modules[__name__])
_released: dict[str, threading.Event] = {}


@entity
class Account:
    """Keeps a balance."""

    balance: int = 0
    owner: str = "nobody"

    def deposit(self, amount, times=1):
        """Add money."""
        self.balance += amount * times
        return self.balance

    async def slowly(self):
        """Return the balance, as an `async def`."""
        return self.balance

    def fail(self):
        """Fail after a change."""
        self.balance = -1
        raise ValueError("no luck")

    def pass_on(self, ctx, amount):
        """Send money to another account."""
        self.balance -= amount
        ctx.signal_entity(Account("other"), "deposit", amount)

    def ask(self):
        """Do what entities may not do."""
        return Account("other").deposit(1)


@entity(name="Summed")
def summed(ctx, number):
    """Add up numbers."""
    if ctx.operation == "add":
        ctx.set_state(ctx.get_state(0) + number)
    elif ctx.operation == "signature":
        return [ctx.entity_name, ctx.entity_key, number]
    return ctx.get_state()


@orchestrator
async def transfer(ctx, order):
    """Move money between accounts, with nobody in between."""
    source, target = Account(order["from"]), Account(order["to"])
    async with ctx.lock_entities(source, target):
        await source.deposit(-order["amount"])
        return await target.deposit(order["amount"])


@orchestrator
async def with_handle(ctx, account):
    """Use an entity that was given as the input."""
    ctx.signal_entity(account, "deposit", 1)
    await account.deposit(10)
    return [await ctx.call_entity(account, "deposit", 100), account]


@orchestrator
async def hold(ctx, key):
    """Hold an account until somebody says go."""
    async with ctx.lock_entities(Account(key)):
        await ctx.wait_for_external_event("go")


@pytest.fixture
def session() -> Iterator[DurableSession]:
    """Return a session on an engine in this process, which is current."""
    engine = EmbeddedEngine(MemoryStore(), {"threads": ThreadExecutor()})
    client = DurableClient(InProcess(engine.service), NamespaceConverter(_HERE))
    with DurableSession(lambda: client, ":memory:") as session:
        yield session
    engine.close()


def _execute(source: str, **namespace: object) -> ModuleType:
    """Execute source as a module of its own, whose source can be found."""
    name = f"cell_{abs(hash(source))}"
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = f"/{name}.py"
    module.__dict__.update(entity=entity, orchestrator=orchestrator, **namespace)
    lines = source.splitlines(keepends=True)
    linecache.cache[module.__file__] = (len(source), None, lines, module.__file__)
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    return module


def _wait_until_held(session: DurableSession, entity_id: str) -> None:
    """Wait until somebody holds a lock, without guessing a time."""
    session.client.wait_for_start("holder", 30)
    session.client.call_entity("Summed@t", "add", 1)  # answered after what was sent before
    while session.client.get_entity(entity_id) is None or not session.client.locks():
        session.client.call_entity("Summed@t", "add", 1)


class TestDefinition:
    def test_a_class_keeps_its_metadata(self):
        """Help and name are those of the class; the signature is that of the call."""
        assert isinstance(Account, EntityFunction)
        assert (Account.__name__, Account.__doc__) == ("Account", "Keeps a balance.")
        assert str(inspect.signature(Account)) == "(key: str)"
        assert (Account.__durable_kind__, Account.name) == ("entity", "Account")
        assert not hasattr(Account, "balance")
        assert Account.operations == ("ask", "delete", "deposit", "fail", "pass_on", "slowly")

    def test_a_function_takes_any_operation(self):
        """What a function does with an operation it decides itself."""
        assert (summed.name, summed.operations) == ("Summed", ())

    def test_the_class_itself_can_be_tested(self):
        """Tests of the class need no runtime."""
        account = Account.__wrapped__()

        assert account.deposit(5) == 5

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("class A:\n    def __init__(self, owner): ...", "made without arguments"),
            (
                "class A:\n    def each(self):\n        yield 1",
                "operation each of A is a generator",
            ),
            ("def a(ctx):\n    yield 1", "a is a generator"),
            ("def a(): ...", "takes 0 parameters"),
            ("def a(ctx, operation, input): ...", "takes 3 parameters"),
        ],
    )
    def test_what_cannot_be_an_entity(self, source: str, said: str):
        """A class or function of the wrong form is refused where it is defined."""
        with pytest.raises(DefinitionError, match=said):
            _execute(f"@entity\n{source}\n")

    def test_a_class_is_not_derived_from_an_entity(self):
        """The error says how code is shared."""
        with pytest.raises(DefinitionError, match="into a plain class"):
            _execute("class Savings(Account): ...\n", Account=Account)

    def test_a_name_with_an_at_sign(self):
        """Ids could not be told apart then."""
        with pytest.raises(ValueError, match="'@'"):
            entity(name="a@b")(Account.__wrapped__)

    def test_a_key_is_text(self, session: DurableSession):
        """Anything else is refused at once."""
        for key in ("", 5, None):
            with pytest.raises(ValueError, match="key"):
                Account(key)


class TestUse:
    def test_call_state_and_record(self, session: DurableSession):
        """The first call creates the entity; state is a dict of the public attributes."""
        alice = Account("alice")

        assert isinstance(alice, EntityHandle)
        assert (alice.state, alice.record, alice.locked_by) == (None, None, None)
        assert alice.call("deposit", 5).result(timeout=30) == 5
        assert alice.deposit(2, times=3).result("30s") == 11
        assert alice.state == {"balance": 11, "owner": "nobody"}
        assert alice.entity_id == EntityInstanceId("account", "alice")
        assert alice.record.version == Account.version

    def test_await(self, session: DurableSession):
        """A call is awaited in an event loop, and again after it was answered."""

        async def main():
            call = Account("alice").deposit(5)
            return await call, await call, await Account("alice").slowly()

        assert asyncio.run(main()) == (5, 5, 5)

    def test_signals(self, session: DurableSession):
        """A signal gives nothing back; one for later waits."""
        alice = Account("alice")
        assert alice.signal("deposit", 5) is None
        alice.signal("deposit", 1_000, signal_time=timedelta(hours=1))
        alice.signal("deposit", 1_000, signal_time="2h")

        assert alice.slowly().result(30) == 5
        assert alice.record.pending == 2

    def test_operations_by_name_take_any_arguments(self, session: DurableSession):
        """As those that are called like methods do."""
        alice = Account("alice")
        alice.signal("deposit", 5, times=2)

        assert alice.call("deposit", 1, 3).result(30) == 13

    def test_many_signals_in_one_call(self, session: DurableSession):
        """Keys may come several times; a mapping does where they do not."""
        Account.signal_many("deposit", [("anna", 5), ("ben", 7), ("anna", 1)])
        Account.signal_many("deposit", {"ben": 3})

        assert Account("anna").slowly().result(30) == 6
        assert Account("ben").slowly().result(30) == 10

    def test_a_function_entity(self, session: DurableSession):
        """The context tells operation, key and state."""
        total = summed("t")
        total.signal("add", 4)

        assert total.add(5).result(30) == 9
        assert total.state == 9
        assert total.signature(1).result(30) == ["summed", "t", 1]
        assert total.call("anything").result(30) == 9

    def test_names_of_operations_in_any_case(self, session: DurableSession):
        """Upper and lower case are alike in the runtime, and so in a handle."""
        assert Account("alice").Deposit(3).result(30) == 3

    def test_a_failure_reaches_the_caller(self, session: DurableSession):
        """The failed operation leaves no trace."""
        alice = Account("alice")
        alice.deposit(5).result(30)

        with pytest.raises(EntityCallError, match="ValueError: no luck"):
            alice.fail().result(30)
        assert alice.state["balance"] == 5

    def test_an_operation_that_is_not_there(self, session: DurableSession):
        """A known class refuses it at once and lists what there is; `call` asks the host."""
        alice = Account("alice")

        with pytest.raises(AttributeError, match=r"did you mean 'deposit'.*it has ask, delete"):
            alice.depsoit(5)
        with pytest.raises(AttributeError, match=r"belongs to the state of Account: see \.state"):
            _ = alice.balance
        assert not hasattr(alice, "_repr_png_")
        with pytest.raises(EntityCallError, match="no operation 'depsoit'"):
            alice.call("depsoit", 5).result(30)

    def test_what_can_be_completed(self, session: DurableSession):
        """Operations are offered beside what every handle has."""
        assert {"deposit", "delete", "state", "signal"} <= set(dir(Account("alice")))

    def test_delete(self, session: DurableSession):
        """The built-in operation of a class takes the state away."""
        alice = Account("alice")
        alice.deposit(5).result(30)
        alice.delete().result(30)

        assert alice.state is None
        assert "none" in alice._repr_mimebundle_()["text/plain"]

    def test_an_input_that_cannot_be_stored(self, session: DurableSession):
        """The error comes at the call, not with the answer."""
        with pytest.raises(EncodingError, match="input of deposit"):
            Account("alice").deposit(threading.Lock())

    def test_a_handle_by_its_id(self, session: DurableSession):
        """A notebook that does not define the entity reaches it all the same."""
        Account("alice").deposit(5).result(30)

        for text in ("Account@alice", "@account@alice", EntityInstanceId("ACCOUNT", "alice")):
            assert ipydurable.entity(text).state["balance"] == 5
        assert ipydurable.entity("Account@alice") == Account("alice")
        assert len({Account("alice"), Account("alice"), Account("Alice")}) == 2
        with pytest.raises(ValueError, match="no entity id"):
            ipydurable.entity("alice")

    def test_an_entity_that_nobody_defined(self, session: DurableSession):
        """The error names it."""
        unknown = ipydurable.entity("Nobody@x")

        with pytest.raises(UnknownDefinitionError, match="nobody"):
            unknown.signal("anything")
        with pytest.raises(UnknownDefinitionError, match="nobody"):
            unknown.anything().result(30)

    def test_without_a_session(self):
        """A handle needs somebody to ask."""
        with pytest.raises(DurableError, match="load_ext ipydurable"):
            Account("alice")


class TestLooks:
    def test_a_call_shows_what_came_of_it(self, session: DurableSession):
        """As the last expression of a cell a call shows its result or its failure."""
        alice = Account("alice")

        assert repr(alice.deposit(5)) == "<deposit on @account@alice: 5>"
        assert repr(alice.fail()) == "<fail on @account@alice: failed, ValueError: no luck>"

    def test_a_call_that_waits_says_so(self, session: DurableSession, monkeypatch):
        """A call that is not answered soon shows that it is on its way."""
        monkeypatch.setattr("ipydurable.entity_handles._SHOWN_AFTER_S", 0.05)
        hold.start("alice", instance_id="holder")
        _wait_until_held(session, "Account@alice")
        call = Account("alice").deposit(5)

        assert repr(call) == "<deposit on @account@alice: pending>"
        assert not call.done
        with pytest.raises(WaitTimeoutError, match="deposit on @account@alice"):
            call.result("10ms")
        session.instance("holder").raise_event("go")
        assert call.result(30) == 5
        assert call.done

    def test_a_handle_shows_the_entity(self, session: DurableSession):
        """The card has a row per attribute, and who holds it."""
        alice = Account("alice")
        assert repr(alice) == "<entity Account@alice>"
        assert "nothing has reached it yet" in alice._repr_mimebundle_()["text/plain"]
        alice.deposit(5).result(30)
        hold.start("alice", instance_id="holder")
        _wait_until_held(session, "Account@alice")
        shown = alice._repr_mimebundle_()

        assert "balance    5" in shown["text/plain"]
        assert "locked by  holder, since 20" in shown["text/plain"]
        assert "<b>Account@alice</b>" in shown["text/html"]
        assert alice.locked_by == "holder"
        session.instance("holder").raise_event("go")

    def test_a_handle_shows_who_waits_for_the_lock(self, session: DurableSession):
        """In order, those that get it next; many are cut."""
        hold.start("alice", instance_id="holder")
        _wait_until_held(session, "Account@alice")
        for number in range(7):
            hold.start("alice", instance_id=f"next-{number}")
            while len(session.list_locks()["queue"][0]) <= number:
                session.client.call_entity("Summed@t", "add", 1)
        shown = Account("alice")._repr_mimebundle_()

        assert "next-0, next-1, next-2, next-3, next-4 and 2 more" in shown["text/plain"]
        assert "next-4 and 2 more" in shown["text/html"]
        assert "next-5" not in shown["text/html"]

    def test_an_interrupt_says_that_the_operation_is_done_all_the_same(self, session):
        """KeyboardInterrupt leaves `result` with a line for people."""

        class Interrupted:
            def result(self, timeout):
                raise KeyboardInterrupt

        call = EntityCall(session.client, EntityInstanceId("a", "b"), "deposit", Interrupted())
        with pytest.raises(KeyboardInterrupt) as caught:
            call.result()

        assert "deposit on @a@b is done all the same" in caught.value._render_traceback_()[0]

    def test_a_cancelled_wait_leaves_the_call_alone(self, session: DurableSession):
        """Cancelling `await call` ends the waiting only."""
        hold.start("alice", instance_id="holder")
        _wait_until_held(session, "Account@alice")

        async def main():
            call = Account("alice").deposit(5)
            task = asyncio.ensure_future(_await(call))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            session.instance("holder").raise_event("go")
            return await call

        assert asyncio.run(main()) == 5


async def _await(call: EntityCall) -> object:
    return await call


class TestInOrchestrators:
    def test_locks_and_calls(self, session: DurableSession):
        """`Account(key)` is the entity in an orchestrator, too; its definition is sent along."""
        order = {"from": "alice", "to": "bob", "amount": 7}

        assert transfer.start(order).result(30) == 7
        assert Account("alice").state["balance"] == -7

    def test_a_handle_as_input(self, session: DurableSession):
        """A handle that travels is the same entity on the other side, and on the way back."""
        total, found = with_handle.start(Account("alice")).result(30)

        assert total == 111
        assert found == Account("alice")
        assert isinstance(found, EntityReference)

    def test_a_handle_that_is_captured(self, session: DurableSession):
        """A variable that holds a handle is the same entity in the orchestrator's code."""
        module = _execute(
            "@orchestrator\nasync def use(ctx):\n    return await alice.deposit(3)\n",
            alice=Account("alice"),
        )

        assert module.use.start().result(30) == 3
        assert (
            module.use.version
            == _execute(
                "@orchestrator\nasync def use(ctx):\n    return await alice.deposit(3)  #\n",
                alice=Account("alice"),
            ).use.version
        )

    def test_entities_signal_each_other(self, session: DurableSession):
        """In an operation the entity's own name means the definition, as in the notebook."""
        Account("alice").pass_on(4).result(30)

        assert Account("other").slowly().result(30) == 4

    def test_entities_do_not_call_each_other(self, session: DurableSession):
        """The error says what to do instead."""
        with pytest.raises(EntityCallError, match=r"tells another one by ctx\.signal_entity"):
            Account("alice").ask().result(30)

    def test_a_reference_outside(self):
        """A reference can be asked which entity it means, and nothing else."""
        reference = Stub("entity", "Account")("bob")

        assert current_context() is None
        assert reference.entity_id == EntityInstanceId("Account", "bob")
        assert pickle.loads(pickle.dumps(reference)) == reference
        assert (repr(reference), hash(reference)) == (
            "<entity @account@bob>",
            hash(reference.entity_id),
        )
        with pytest.raises(DefinitionError, match="only an orchestrator calls"):
            reference.deposit(5)
        with pytest.raises(AttributeError):
            _ = reference._private


class TestRedefinition:
    FIRST = "@entity\nclass Box:\n    size: int = 1\n    label: str = ''\n    def put(self): ...\n"

    def _line(self, session: DurableSession, source: str) -> str:
        function = _execute(source).Box
        return repr(entity_line(function, session.define(function), session.client))

    def test_entities_that_hold_state_are_counted(self, session: DurableSession):
        """The line says how many entities take the new code."""
        assert self._line(session, self.FIRST) == "entity Box v1"
        assert (
            self._line(session, self.FIRST + "#\n") == "entity Box v1 · same content, same version"
        )
        changed = self.FIRST + "    def take(self): ...\n"
        for key in ("a", "b"):
            session.client.call_entity(f"Box@{key}", "put")
            session.client.call_entity(f"Box@{key}", "delete")
        assert self._line(session, changed) == "entity Box v2"
        second = self.FIRST.replace("def put(self): ...", "def put(self): self.size = 2")
        assert self._line(session, second) == "entity Box v3"
        session.client.call_entity("Box@a", "put")
        assert self._line(session, changed) == "entity Box v2 · 1 entity holds state"
        session.define(_execute(second).Box)
        session.client.call_entity("Box@b", "put")
        assert self._line(session, changed) == "entity Box v2 · 2 entities hold state"

    def test_attributes_that_came_and_went(self, session: DurableSession):
        """What becomes of attributes is told, by name."""
        first = self.FIRST.replace("def put(self): ...", "def put(self): self.size = 2")
        self._line(session, first)
        session.client.call_entity("Box@a", "put")
        shown = self._line(
            session, "@entity\nclass Box:\n    size: int = 1\n    color: str = 'red'\n"
        )

        assert "label is no longer in the class: kept aside" in shown
        assert "color is new: entities that hold state take the default" in shown

    def test_a_type_that_does_not_fit(self, session: DurableSession):
        """What would fail at the next operation is told at the definition."""
        first = self.FIRST.replace("def put(self): ...", "def put(self): self.label = 'x'")
        self._line(session, first)
        session.client.call_entity("Box@a", "put")
        shown = self._line(session, first.replace("label: str = ''", "label: int = 0"))

        assert "'label' of this Box holds a value of type str, and the class now wants int" in shown

    def test_what_is_kept_aside_is_shown_apart(self, session: DurableSession):
        """Attributes that went are no part of the state, but the card tells of them."""
        first = self.FIRST.replace("def put(self): ...", "def put(self): self.size += 1")
        self._line(session, first)
        session.client.call_entity("Box@a", "put")
        self._line(session, first.replace("    label: str = ''\n", ""))
        session.client.call_entity("Box@a", "put")
        box = session.entity("Box@a")

        assert box.state == {"size": 3}
        assert "kept aside  label=''" in box._repr_mimebundle_()["text/plain"]


class TestLists:
    def test_entities_as_a_frame(self, session: DurableSession):
        """The newest comes first; every filter narrows the list."""
        for key in ("alice", "bob", "carl"):
            Account(key).deposit(5).result(30)
        summed("t").add(1).result(30)
        frame = session.list_entities()

        assert list(frame["entity_id"]) == [
            *("@summed@t", "@account@carl", "@account@bob", "@account@alice")
        ]
        assert list(frame["key"]) == ["t", "carl", "bob", "alice"]
        assert frame["state"][3] == {"balance": 5, "owner": "nobody"}
        assert frame["created_at"].dtype == frame["locked_at"].dtype == "datetime64[us, UTC]"
        assert frame["pending"].dtype == "int64"
        assert list(session.list_entities(name="ACCOUNT", limit=1)["key"]) == ["carl"]
        assert list(session.list_entities(prefix="Account@b")["key"]) == ["bob"]
        assert list(session.list_entities(prefix="Acc", after="Account@bob")["key"]) == ["alice"]
        assert session.list_entities(since="1h").shape[0] == 4
        assert session.list_entities(until=timedelta(hours=1)).empty
        with pytest.raises(ArgumentError, match="no entity Account@zoe"):
            session.list_entities(after="Account@zoe")

    def test_an_empty_frame_has_its_types(self, session: DurableSession):
        """Code that works on a list works on an empty one."""
        frame = session.list_entities()
        empty = pd.concat([frame, session.list_entities()])

        assert frame["modified_at"].dtype == "datetime64[us, UTC]"
        assert empty.empty
        assert session.list_locks()["age"].dtype == "float64"
        assert session.list_instances()["duration"].dtype == "float64"

    def test_all_times_in_frames_are_aware(self, session: DurableSession):
        """So they compare with those of the tables; also where there is no row."""
        Account("alice").deposit(5).result(30)
        frames = [
            *(session.list_entities(), session.list_instances(), session.list_locks()),
            *(Account.versions, definitions_frame(session.client.definitions())),
        ]
        kinds = [[str(one) for one in frame.dtypes if "datetime" in str(one)] for frame in frames]
        assert [set(one) for one in kinds] == [{"datetime64[us, UTC]"}] * len(frames)

    def test_empty_entities_are_cleaned(self, session: DurableSession):
        """What has no state is not listed unless asked for, and can be deleted."""
        alice = Account("alice")
        alice.deposit(5).result(30)
        alice.delete().result(30)

        assert session.list_entities().empty
        assert list(session.list_entities(include_empty=True)["state"]) == [None]
        assert session.client.clean_entities() == 1
        assert session.list_entities(include_empty=True).empty

    def test_locks(self, session: DurableSession):
        """A lock has an owner, an age and a queue."""
        hold.start("alice", instance_id="holder")
        _wait_until_held(session, "Account@alice")
        hold.start("alice", instance_id="second")
        while not session.list_locks()["queue"][0]:
            session.client.call_entity("Summed@t", "add", 1)
        lock = session.list_locks().iloc[0]

        assert (lock["entity_id"], lock["owner"]) == ("@account@alice", "holder")
        assert (lock["queue"], lock["pending"]) == (["second"], 1)
        assert lock["age"] >= 0
        assert list(session.list_entities(locked=True)["locked_by"]) == ["holder"]
        for holder in ("holder", "second"):
            session.instance(holder).raise_event("go")
            session.instance(holder).wait(30)
        assert session.list_locks().empty
