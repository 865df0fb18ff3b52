"""Failures as data: what is kept of an exception, and how its class is found again."""

from __future__ import annotations

import json
import traceback
import urllib.error
from types import ModuleType
from typing import Any, Self

import pytest

from ipydurable.runtime.core.context import OrchestrationContext
from ipydurable.runtime.core.errors import TaskCancelledError, TaskFailedError
from ipydurable.runtime.core.events import TaskFailed
from ipydurable.runtime.core.failure import FailureDetails, resolve_exception_class
from tests.support.core import at, failed, failure, json_round_trip, result, run, started

BAD_JSON = json.JSONDecodeError("Expecting value", "", 0)
TOO_SHORT = urllib.error.ContentTooShortError("only half of it", b"")


class AppError(Exception):
    """An error of the user's own."""

    class NotFoundError(Exception):
        """A class inside a class."""


class TooBusyError(AppError):
    """One that no retry policy may try."""

    non_retriable = True


class UnprintableError(Exception):
    """One whose text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def caught(raise_it: Any) -> BaseException:
    try:
        raise_it()
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("it did not raise")


def raise_inner() -> None:
    raise KeyError("inner")


def raising_from_another() -> None:
    try:
        raise_inner()
    except KeyError as error:
        raise AppError("outer") from error


class TestDescribing:
    def test_class_message_and_the_users_lines_are_kept(self) -> None:
        found = FailureDetails.from_exception(caught(raising_from_another))
        assert found.error_type.endswith("test_core_failure.AppError")
        assert (found.type_name, found.message, str(found)) == (
            "AppError",
            "outer",
            "AppError: outer",
        )
        assert 'raise AppError("outer") from error' in found.stack_trace
        assert found.stack_trace.endswith("AppError: outer\n")
        assert not found.non_retriable

    def test_the_stack_reads_as_python_prints_it(self) -> None:
        error = caught(raise_inner)
        printed = traceback.format_exception(error)
        assert f"{printed[0]}{FailureDetails.from_exception(error).stack_trace}" == "".join(printed)

    def test_frames_of_hidden_files_are_left_out(self) -> None:
        found = FailureDetails.from_exception(
            caught(raising_from_another), hide=("unit/test_core_failure.py",)
        )
        assert "raise AppError" not in found.stack_trace
        assert found.cause is not None
        assert "raise KeyError" not in found.cause.stack_trace
        assert "AppError: outer" in found.stack_trace

    def test_an_exception_without_a_message_is_its_class(self) -> None:
        assert str(FailureDetails.from_exception(ValueError())) == "ValueError"

    def test_an_exception_that_cannot_be_shown_is_described_all_the_same(self) -> None:
        found = FailureDetails.from_exception(UnprintableError())
        assert found.message == "<its text cannot be shown>"
        assert "UnprintableError" in found.stack_trace

    def test_a_class_can_say_that_retrying_is_pointless(self) -> None:
        assert FailureDetails.from_exception(TooBusyError()).non_retriable

    def test_causes_and_contexts_are_kept_and_suppressed_ones_are_not(self) -> None:
        def in_handler(suppress: bool) -> None:
            try:
                raise_inner()
            except KeyError:
                if suppress:
                    raise AppError("outer") from None
                raise AppError("outer")  # noqa: B904

        by_cause = FailureDetails.from_exception(caught(raising_from_another))
        by_context = FailureDetails.from_exception(caught(lambda: in_handler(False)))
        for one in (by_cause, by_context):
            assert one.cause is not None
            assert one.cause.error_type == "builtins.KeyError"
        assert FailureDetails.from_exception(caught(lambda: in_handler(True))).cause is None

    def test_the_failure_of_a_task_is_the_cause_with_its_own_stack(self) -> None:
        remote = FailureDetails(error_type="x.Remote", message="there", stack_trace="line 7")
        found = FailureDetails.from_exception(TaskFailedError("fetch", 3, remote))
        assert found.cause == remote

    def test_chains_without_an_end_are_cut(self) -> None:
        one, other = ValueError("one"), KeyError("other")
        one.__cause__, other.__cause__ = other, one
        found: FailureDetails | None = FailureDetails.from_exception(one)
        depth = 0
        while found is not None:
            found, depth = found.cause, depth + 1
        assert depth == 9

    def test_it_travels_as_json(self) -> None:
        found = FailureDetails.from_exception(caught(raising_from_another))
        assert json_round_trip(found, FailureDetails) == found


class TestAskingForAClass:
    found = FailureDetails.from_exception(caught(raising_from_another))

    @pytest.mark.parametrize(
        "asked",
        [
            AppError,
            "AppError",
            KeyError,
            "KeyError",
            "builtins.KeyError",
            LookupError,
            Exception,
            BaseException,
        ],
    )
    def test_it_is_caused_by_its_class_its_bases_and_those_of_its_causes(self, asked: Any) -> None:
        assert self.found.is_caused_by(asked)

    @pytest.mark.parametrize(
        "asked", [ValueError, TooBusyError, "LookupError", "App", "mymodule.AppError", ""]
    )
    def test_it_is_not_caused_by_anything_else(self, asked: Any) -> None:
        """A name means just that class: nothing is known of its bases in another process."""
        assert not self.found.is_caused_by(asked)


class TestFindingTheClass:
    @pytest.mark.parametrize(
        ("error_type", "namespace", "found"),
        [
            ("builtins.ValueError", {}, ValueError),
            ("builtins.OSError", {}, OSError),
            ("__main__.AppError", {"AppError": AppError}, AppError),
            ("tests.AppError.NotFoundError", {"AppError": AppError}, AppError.NotFoundError),
            ("json.JSONDecodeError", {"json": json}, json.JSONDecodeError),
            ("json.decoder.JSONDecodeError", {"decoder": json.decoder}, json.JSONDecodeError),
            ("builtins.KeyboardInterrupt", {}, None),
            ("builtins.nothing", {}, None),
            ("builtins.print", {}, None),
            ("__main__.AppError", {}, None),
            ("__main__.AppError", {"AppError": "no class"}, None),
            ("AppError", {"AppError": AppError}, AppError),
            ("Unknown", {}, None),
        ],
    )
    def test_by_name_in_the_builtins_and_in_what_the_code_knows(
        self, error_type: str, namespace: dict[str, Any], found: type | None
    ) -> None:
        failure = FailureDetails(error_type=error_type, message="")
        assert resolve_exception_class(failure, namespace) is found

    @pytest.mark.parametrize(
        ("error", "namespace", "found"),
        [
            (BAD_JSON, {"json": json}, json.JSONDecodeError),
            (TOO_SHORT, {"urllib": urllib}, urllib.error.ContentTooShortError),
            (TOO_SHORT, {"u": urllib, "json": json}, urllib.error.ContentTooShortError),
            (TOO_SHORT, {"URLError": urllib.error.URLError}, urllib.error.URLError),
            (BAD_JSON, {"urllib": urllib}, ValueError),
            (BAD_JSON, {}, ValueError),
            (TooBusyError(), {}, None),
            (TooBusyError(), {"AppError": AppError}, AppError),
        ],
    )
    def test_through_a_module_or_as_the_nearest_base_that_is_known(
        self, error: Exception, namespace: dict[str, Any], found: type | None
    ) -> None:
        """`import json` and `except json.JSONDecodeError`: it lives in json.decoder."""
        failure = FailureDetails.from_exception(error)
        assert resolve_exception_class(failure, namespace) is found

    def test_a_class_of_that_name_from_elsewhere_is_not_taken_for_it(self) -> None:
        other = ModuleType("other")
        other.JSONDecodeError = type("JSONDecodeError", (Exception,), {})  # type: ignore[attr-defined]
        failure = FailureDetails.from_exception(BAD_JSON)
        assert resolve_exception_class(failure, {"other": other}) is ValueError

    def test_a_base_is_a_cause_also_where_the_class_itself_is_not_loaded(self) -> None:
        elsewhere = FailureDetails(
            error_type="worker.SlowError", message="", bases=("builtins.TimeoutError",)
        )
        assert elsewhere.is_caused_by(TimeoutError)
        assert elsewhere.is_caused_by(OSError)
        assert not elsewhere.is_caused_by(ValueError)


class ReadOnlyDetailsError(Exception):
    """An error whose attributes are properties, as those of clients for web services often are."""

    @property
    def details(self) -> str:
        return "what the service said"


class ChoosyError(Exception):
    """An error that wants to be made in one way only."""

    def __new__(cls, code: int) -> Self:
        return super().__new__(cls, code)


class NoSubclassError(Exception):
    """An error that does not want to be subclassed."""

    def __init_subclass__(cls) -> None:
        raise RuntimeError("this class is final")


class TestCatching:
    """What the user's `except` sees of an activity's failure."""

    @staticmethod
    def catch(error_class: type[Exception], error: Exception) -> Any:
        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            except error_class as found:
                return [isinstance(found, TaskFailedError), str(found)]

        events = (started(), failed(1, error))
        executor, _ = run(program, *events, **{type(error).__name__: type(error)})
        return result(executor)

    @pytest.mark.parametrize("by", [TooBusyError, AppError, TaskFailedError, Exception])
    def test_by_its_class_by_a_base_and_as_what_it_is(self, by: type[Exception]) -> None:
        assert self.catch(by, TooBusyError("full")) == [
            True,
            "a (task 1) failed: TooBusyError: full",
        ]

    def test_a_class_that_cannot_be_mixed_is_caught_as_the_failure_of_a_task(self) -> None:
        assert self.catch(TaskFailedError, ChoosyError(5)) == [
            True,
            "a (task 1) failed: ChoosyError: 5",
        ]

    @pytest.mark.parametrize("error", [ReadOnlyDetailsError("x"), NoSubclassError("x")], ids=repr)
    def test_a_class_that_refuses_in_its_own_way_does_not_stop_the_instance(
        self, error: Exception
    ) -> None:
        is_ours, _ = self.catch(TaskFailedError, error)
        assert is_ours

    @pytest.mark.parametrize("error_type", ["StopIteration", "StopAsyncIteration"])
    def test_the_end_of_an_iteration_is_no_end_of_the_code(self, error_type: str) -> None:
        """A coroutine that raises StopIteration ends in a RuntimeError, whatever was caught."""

        async def program(ctx: OrchestrationContext) -> Any:
            try:
                await ctx.call_activity("a")
            except TaskFailedError as error:
                return error.details.type_name

        details = FailureDetails(error_type=f"builtins.{error_type}", message="")
        event = TaskFailed(timestamp=at(1), task_id=1, failure=details)
        assert result(run(program, started(), event)[0]) == error_type

    def test_an_uncaught_one_fails_the_instance_with_the_whole_chain(self) -> None:
        async def program(ctx: OrchestrationContext) -> Any:
            await ctx.call_activity("a")

        executor, _ = run(program, started(), failed(1, caught(raising_from_another)))
        found = failure(executor)
        chain = []
        one: FailureDetails | None = found
        while one is not None:
            chain.append(one.type_name)
            one = one.cause
        assert chain == ["TaskFailedError", "AppError", "KeyError"]
        assert 'await ctx.call_activity("a")' in found.stack_trace


class TestTold:
    def test_causes_come_below_what_they_led_to_each_with_its_lines(self) -> None:
        first = FailureDetails(error_type="builtins.KeyError", message="'k'")
        middle = FailureDetails(
            error_type="app.AppError", message="no", stack_trace="line 1\nline 2\n", cause=first
        )
        last = FailureDetails(error_type="builtins.ValueError", message="", cause=middle)
        assert last.explain() == [
            "ValueError",
            *("", "caused by:", "", "line 1", "line 2"),
            *("", "caused by:", "", "KeyError: 'k'"),
        ]

    @pytest.mark.parametrize("error", [KeyError("k"), TaskCancelledError("timer")])
    def test_bases_that_everybody_knows_are_not_kept(self, error: BaseException) -> None:
        assert FailureDetails.from_exception(error).bases == ()


class TestClassesOfPackages:
    def test_a_class_of_a_module_in_a_package_is_found_beside_its_namesake(self) -> None:
        """The package has a class of that name too, which is another one."""
        package, module = ModuleType("shop"), ModuleType("shop.orders")
        package.orders = module
        for where in (package, module):
            where.MissingError = type("MissingError", (Exception,), {"__module__": where.__name__})
        failure = FailureDetails(error_type="shop.orders.MissingError", message="")
        assert resolve_exception_class(failure, {"shop": package}) is module.MissingError
        failure = FailureDetails(error_type="shop.MissingError", message="")
        assert resolve_exception_class(failure, {"shop": package}) is package.MissingError

    def test_a_module_that_is_not_there_finds_nothing(self) -> None:
        failure = FailureDetails(error_type="shop.returns.late.MissingError", message="")
        assert resolve_exception_class(failure, {"shop": ModuleType("shop")}) is None


def test_a_failure_shows_in_a_line_what_it_is_and_what_caused_it() -> None:
    cause = FailureDetails(error_type="builtins.OSError", message="no route")
    found = FailureDetails(error_type="jobs.FetchError", message="gave up", cause=cause)
    assert repr(found) == "<failure FetchError: gave up, caused by OSError>"
    assert repr(cause) == "<failure OSError: no route>"
