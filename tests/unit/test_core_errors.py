"""Every error: survives pickling and the link, and says what is wrong and what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable

import msgspec
import pytest

from ipydurable.runtime.core import errors
from ipydurable.runtime.core.errors import DurableError, TaskFailedError
from ipydurable.runtime.core.failure import FailureDetails
from ipydurable.runtime.wire import WireError, decode_error, encode_error

REMOTE = FailureDetails(
    error_type="builtins.ValueError",
    message="bad",
    stack_trace='Traceback:\n  File "cell", line 3\nValueError: bad\n',
    cause=FailureDetails(error_type="builtins.KeyError", message="'k'"),
)

# One of each: the error, and what its text must say. Bases that are never raised are not here.
SAMPLES: dict[str, tuple[DurableError, tuple[str, ...]]] = {
    type(error).__name__: (error, says)
    for error, says in [
        (errors.DurableInternalError("row 7 is twice"), ("row 7 is twice", "bug", "report it")),
        (
            errors.EncodingError("input of fetch", "value['db']", "socket", "cannot be pickled."),
            ("input of fetch", "value['db']", "socket", "cannot be pickled"),
        ),
        (
            errors.DecodingError("a stored Point", "the class has gone"),
            ("a stored Point", "cannot be rebuilt", "the class has gone"),
        ),
        (
            errors.DefinitionError("report has no context. Write async def report(ctx)."),
            ("no context", "Write async def"),
        ),
        (
            errors.NotDurableError("fetch", "conn", "Connection", "Open it inside fetch."),
            ("fetch", "'conn'", "Connection", "Open it inside fetch."),
        ),
        (
            errors.EffectsError(
                "report", "Cell In[3], line 4: time() · moves on", 2, "4 t = time()"
            ),
            ("report is strict and was not defined", "2 things", "Cell In[3], line 4: time()"),
        ),
        (
            errors.ForbiddenCallError("time.time()", "Cell In[3], line 4", "it moves on", "ctx.x"),
            ("calls time.time() at Cell In[3], line 4: it moves on", "Instead: ctx.x"),
        ),
        (
            errors.UnknownDefinitionError("activity", "fetsh", ("fetch", "fetch_all", "patch")),
            (
                "no activity named 'fetsh'",
                "Did you mean 'fetch', 'fetch_all' or 'patch'?",
                "Run the cell that defines it with %%activity, or an activity decorator",
            ),
        ),
        (TaskFailedError("fetch", 3, REMOTE), ("fetch (task 3) failed", "ValueError: bad")),
        (errors.TaskCancelledError("timer (task 2)"), ("timer (task 2) was cancelled",)),
        (
            errors.ForeignAwaitableError("Future", "Cell In[3], line 4", "Use ctx.create_timer."),
            ("awaited a Future", "(Cell In[3], line 4)", "Use ctx.create_timer."),
        ),
        (errors.LockRuleError("locks cannot be nested: leave first"), ("nested", "leave first")),
        (
            errors.TurnBlockedError("Cell In[3], line 4", 1.0),
            ("more than 1 s", "at Cell In[3], line 4", "into an activity", "resume"),
        ),
        (
            errors.NonDeterminismError(
                "one", 2, "activity 'a'", "timer", "cell, line 3", "Mend it."
            ),
            (
                "'one'",
                "action 2",
                "History: activity 'a'",
                "Code at cell, line 3: timer",
                "Mend it.",
            ),
        ),
        (
            errors.EntityCallError("@account@a", "withdraw", REMOTE),
            ("withdraw on @account@a failed", "ValueError: bad"),
        ),
        (
            errors.EntityOperationError("@account@a", "depositt", ("deposit", "get")),
            ("@account@a", "'depositt'", "it has deposit, get"),
        ),
        (
            errors.EntityStateError("Account", "balance", "str", "int"),
            (
                "attribute 'balance'",
                "Account",
                "holds a value of type str",
                "wants int",
                "another name",
            ),
        ),
        (
            errors.UnknownInstanceError("repot-1", "orders.duckdb", ("report-1",)),
            ("'repot-1'", "orders.duckdb", "Did you mean 'report-1'?", "%durable list"),
        ),
        (
            errors.FormError("amount", "complex is no type of a field"),
            ("The field 'amount' of the form", "complex is no type of a field"),
        ),
        (
            errors.FormAnswerError("gpu", "approval", {"amount": "this is needed"}),
            ("'approval' of 'gpu'", "amount: this is needed", "ipydurable.instance('gpu').forms"),
        ),
        (
            errors.FormClosedError("gpu", "approval", "it was answered by people.ipynb"),
            ("'approval' of 'gpu' is not open", "answered by people.ipynb", ".forms shows"),
        ),
        (
            errors.InstanceExistsError("report-1", "Running"),
            ("'report-1'", "Running", "ipydurable.instance('report-1')", "another id"),
        ),
        (errors.InvalidInstanceIdError("a/b", "no '/'"), ("'a/b'", "no '/'")),
        (
            errors.InstanceStateError("one", "Completed", "only a failed one can be rewound"),
            ("'one' is Completed", "only a failed one"),
        ),
        (
            errors.MigrationError("one", "report v3", 2, "activity 'a'", "timer", "cell, line 3"),
            ("'one' stays", "report v3", "action 2", "activity 'a'", "at cell, line 3: timer"),
        ),
        (
            errors.UnknownVersionError("report", "7", (1, 2)),
            ("no version '7'", "v1, v2", "%durable versions report"),
        ),
        (
            errors.UntrustedStoreError("a.duckdb", 2),
            (
                "a.duckdb",
                "2 definitions",
                "were not signed",
                "nothing in it runs",
                "%durable trust",
            ),
        ),
        (
            errors.OrchestrationFailedError("one", REMOTE),
            ("'one' failed", "ValueError: bad"),
        ),
        (
            errors.OrchestrationParkedError("one", REMOTE),
            ("'one' is parked", "bad", "%durable resume one", "await it again"),
        ),
        (errors.OrchestrationTerminatedError("one", "enough"), ("'one' was terminated", "enough")),
        (
            errors.WaitTimeoutError("the end of 'one'", 2.5),
            ("the end of 'one'", "2.5 s", "it goes on meanwhile"),
        ),
        (
            errors.NotAStoreError("a.txt", "it holds text"),
            ("a.txt", "it holds text", "Nothing was changed", "%durable open PATH"),
        ),
        (
            errors.StoreLockedError("a.duckdb", 4711, "python job.py"),
            ("a.duckdb", "process 4711 (python job.py)", "%durable open PATH"),
        ),
        (
            errors.StoreUnwritableError("/root/a.duckdb", "permission denied"),
            ("/root/a.duckdb", "permission denied", "%durable open PATH"),
        ),
        (
            errors.StoreVersionError("a.duckdb", 9, 3),
            ("newer ipydurable", "schema 9", "knows 3", "Upgrade", "nothing was changed"),
        ),
        (
            errors.StoreDamagedError("a.duckdb", "row 7 is missing", "Restore a backup."),
            ("a.duckdb is damaged", "row 7 is missing", "Restore a backup."),
        ),
        (
            errors.ReadOnlyStoreError("a.duckdb", "start an instance"),
            ("a.duckdb", "reading only", "asked to start an instance", "%durable open PATH"),
        ),
        (errors.QueryError("SELEC 1", "syntax error at SELEC"), ("syntax error at SELEC",)),
        (
            errors.HostStartError("a.duckdb", "it ended at once", "host.log"),
            ("a.duckdb", "did not start", "it ended at once", "host.log"),
        ),
        (errors.HostGoneError("a.duckdb", "killed"), ("a.duckdb is gone", "killed")),
        (errors.AuthenticationError("wrong key"), ("refused", "wrong key")),
    ]
}
BASES = {
    "DurableError",
    "EntityError",
    "HostError",
    "InstanceError",
    "OrchestrationError",
    "StoreError",
}
every_error = pytest.mark.parametrize(
    "error", [one for one, _ in SAMPLES.values()], ids=list(SAMPLES)
)


def over_the_link(error: DurableError) -> DurableError:
    wire = msgspec.msgpack.encode(encode_error(error))
    return decode_error(msgspec.msgpack.decode(wire, type=WireError))


def test_every_public_error_has_a_sample() -> None:
    assert set(errors.__all__) == SAMPLES.keys() | BASES


def test_a_full_disk_is_told_from_a_path_that_may_not_be_written() -> None:
    full = str(errors.StoreUnwritableError("a.duckdb", "No space left on device"))
    assert full == (
        "a.duckdb cannot be written: No space left on device. "
        "Make room there, and work goes on by itself; nothing was lost."
    )


@every_error
def test_it_comes_back_from_pickle_and_copy(error: DurableError) -> None:
    for back in (*(pickle.loads(pickle.dumps(error, n)) for n in range(6)), copy.copy(error)):
        assert type(back) is type(error)
        assert back.args == error.args
        assert str(back) == str(error)
        assert vars(back) == vars(error)


@every_error
def test_it_comes_back_from_the_link(error: DurableError) -> None:
    back = over_the_link(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_its_text_says_what_is_wrong_and_what_to_do(name: str) -> None:
    error, says = SAMPLES[name]
    text = str(error)
    assert [part for part in says if part not in text] == []
    assert "\n" not in text


@every_error
def test_ipython_shows_the_sentence_first_and_no_frames_of_ours(error: DurableError) -> None:
    first, *rest = error._render_traceback_()
    assert first == f"{type(error).__name__}: {error}"
    assert [line for line in rest if "runtime/core" in line] == []


@pytest.mark.parametrize(
    "error",
    # Those without an `__init__` of their own have one argument, which is their text.
    [error for error, _ in SAMPLES.values() if "__init__" in vars(type(error))],
    ids=lambda error: type(error).__name__,
)
def test_its_attributes_are_its_arguments(error: DurableError) -> None:
    """So whoever handles it need not read its text."""
    names = list(inspect.signature(type(error)).parameters)
    assert [getattr(error, name) for name in names] == list(error.args)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn[found[2]] = path[depth - 1] if depth else "Exception"
    real = {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}
    assert drawn == real


@pytest.mark.parametrize("name", sorted(SAMPLES.keys() | BASES))
def test_the_package_itself_gives_every_error(name: str) -> None:
    import ipydurable

    assert getattr(ipydurable, name) is getattr(errors, name)
    assert (getattr(errors, name).__doc__ or "").strip().endswith((".", ")", "out."))


class TestOtherWordings:
    """What a text says where a part is not known."""

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (
                errors.UnknownDefinitionError("orchestrator", "x"),
                (
                    "There is no orchestrator named 'x'. Run the cell that defines it with "
                    "%%orchestrator, or an orchestrator decorator, first."
                ),
            ),
            (
                errors.UnknownDefinitionError("query", "x", ("y",)),
                (
                    "There is no query named 'x'. Did you mean 'y'? Run the cell that defines it "
                    "with %%query, or a query decorator, first."
                ),
            ),
            (
                errors.UnknownInstanceError("x", "a.duckdb"),
                "There is no instance 'x' in a.duckdb. %durable list shows those there are.",
            ),
            (
                errors.EncodingError("input", "", "int", "cannot be stored."),
                "The input cannot be stored: the int cannot be stored.",
            ),
            (
                errors.EffectsError("report", "calls time.time(), line 3", 1, ""),
                (
                    "report is strict and was not defined: replay would not repeat this: calls "
                    "time.time(), line 3"
                ),
            ),
            (
                errors.ForbiddenCallError("time.time()", "", "it moves on", "ctx.x"),
                "The orchestrator calls time.time(): it moves on. Instead: ctx.x.",
            ),
            (
                errors.ForeignAwaitableError("int", "", "Do not."),
                "The orchestrator awaited an int. Do not.",
            ),
            (
                errors.ForeignAwaitableError("awaitable", "line 4", "Do not."),
                "The orchestrator awaited an awaitable (line 4). Do not.",
            ),
            (
                errors.TurnBlockedError("", 0.5),
                (
                    "The orchestrator's code ran for more than 0.5 s without waiting. It holds up "
                    "every other instance: put work, I/O and sleeping into an activity "
                    "(ctx.create_timer waits), then resume the instance or start a new one."
                ),
            ),
            (
                errors.NonDeterminismError("one", 0, "a", "ended", "", "It has changed."),
                (
                    "The code of 'one' no longer does what its history says. History: a. Code: "
                    "ended. It has changed."
                ),
            ),
            (
                errors.EntityOperationError("@a@b", "get"),
                "@a@b has no operation 'get'; it has none",
            ),
            (
                errors.EntityStateError("Account", "", "int", "str"),
                (
                    "The state of this Account holds a value of type int, and the class now wants "
                    "str; it cannot be converted. The state was left alone: give the attribute "
                    "another name, or a type that takes both."
                ),
            ),
            (
                errors.MigrationError("one", "report v3", 0, "a", "ended", ""),
                (
                    "'one' stays as it is: its history does not replay under report v3. They part. "
                    "History: a. Code: ended. Let it finish on its own version, or have the new "
                    "code do first what was done already."
                ),
            ),
            (
                errors.OrchestrationTerminatedError("one"),
                "'one' was terminated",
            ),
            (
                errors.StoreLockedError("a.duckdb", 0),
                (
                    "a.duckdb is open in another process, and DuckDB lets only one process in. "
                    "Close it there, or choose another path with %durable open PATH."
                ),
            ),
            (
                errors.StoreUnwritableError("a.duckdb", "Out of Memory Error: failed to allocate"),
                (
                    "a.duckdb cannot be written: Out of Memory Error: failed to allocate. "
                    "Work goes on by itself once there is memory; nothing was lost."
                ),
            ),
            (
                errors.StoreVersionError("a.duckdb", 1, 3),
                (
                    "a.duckdb has schema 1, which this ipydurable (schema 3) cannot migrate. "
                    "Nothing was changed."
                ),
            ),
            (
                errors.UntrustedStoreError("a.duckdb", 1),
                (
                    "a.duckdb comes from elsewhere: 1 definition in it was not signed with your "
                    "key. It can be read, but nothing in it runs. %durable trust shows the code it "
                    "would run, and lets you trust it."
                ),
            ),
            (
                errors.FormError("", "it has no fields"),
                "The form cannot be shown: it has no fields.",
            ),
            (
                errors.FormAnswerError("one", "approval", {"": "it is no choice"}),
                (
                    "This does not answer the form 'approval' of 'one': it is no choice. "
                    "ipydurable.instance('one').forms shows what is asked for."
                ),
            ),
        ],
        ids=lambda one: type(one).__name__ if isinstance(one, DurableError) else "",
    )
    def test_what_is_not_known_is_left_out_and_words_fit_what_is(
        self, error: DurableError, says: str
    ) -> None:
        assert str(error) == says

    @pytest.mark.parametrize(
        "make",
        [
            lambda why: errors.EntityCallError("@account@a", "get", why),
            lambda why: errors.OrchestrationFailedError("one", why),
        ],
        ids=["EntityCallError", "OrchestrationFailedError"],
    )
    def test_a_failure_elsewhere_is_shown_with_its_stack_where_that_is_known(
        self, make: Callable[[FailureDetails], DurableError]
    ) -> None:
        bare = FailureDetails(error_type="builtins.ValueError", message="bad")
        shown, without = make(REMOTE)._render_traceback_(), make(bare)._render_traceback_()
        head = f"{type(make(REMOTE)).__name__}: {make(REMOTE)}"
        assert shown == [head, "", *REMOTE.explain()]
        assert [line for line in without if "File" in line] == []

    def test_all_that_a_strict_orchestrator_may_not_do_is_listed_below(self) -> None:
        error = errors.EffectsError("report", "calls time.time()", 2, "3  time()\n4  random()")
        assert error._render_traceback_() == [f"EffectsError: {error}", "3  time()", "4  random()"]

    def test_waiting_too_long_is_a_timeout_of_python_too(self) -> None:
        assert issubclass(errors.WaitTimeoutError, TimeoutError)


class TestTheLink:
    def test_an_error_that_is_not_ours_arrives_as_a_bug_of_ours(self) -> None:
        back = over_the_link(ZeroDivisionError("division by zero"))  # type: ignore[arg-type]
        assert isinstance(back, errors.DurableInternalError)
        assert "ZeroDivisionError: division by zero" in str(back)

    @pytest.mark.parametrize("name", ["Payload", "os", "FailureDetails", "NoSuchError"])
    def test_a_name_that_is_no_error_of_ours_calls_nothing(self, name: str) -> None:
        """Whoever signs messages can still not have the other side call what it likes."""
        back = decode_error(WireError(type=name, args=["x"]))
        assert isinstance(back, errors.DurableInternalError)

    def test_a_failure_in_an_orchestrator_is_also_its_class_and_still_travels(self) -> None:
        """The class is made on the spot, so only the part that is ours can be pickled."""

        class MixedError(TaskFailedError, ValueError):
            pass

        both = MixedError("fetch", 3, REMOTE)
        back = pickle.loads(pickle.dumps(both))
        assert type(back) is TaskFailedError
        assert (back.task_name, back.task_id, back.details) == ("fetch", 3, REMOTE)
