"""One attempt of an activity, from bytes to bytes: `run_attempt`, importable in any process.

What travels is everything the attempt needs, so that a pool of any kind can run it: a worker
process here, a thread, or a machine elsewhere. An activity's own failure is data, never an
exception.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import traceback
from asyncio import base_events, events, runners, tasks, timeouts
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from os import getpid
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from . import codecs, namespace
from .activity_context import CURRENT, ActivityContext, takes_context
from .core.errors import EncodingError
from .core.failure import FailureDetails, qualified_type_name
from .core.payload import Converter, Payload
from .core.serialization import CallArguments
from .definitions import CodePackage
from .files import ValueFiles
from .ports import AttemptKey, AttemptOutcome, AttemptRequest, Progress
from .progress_bars import report_progress_bars
from .recording import Recorder, recording
from .stubs import Stub

__all__ = [
    "LOADED",
    "Activity",
    "ActivityCache",
    "decode_outcome",
    "describe",
    "encode_attempt",
    "encode_package",
    "gave_no_sign",
    "make_context",
    "never_started",
    "run_activity",
    "run_attempt",
    "timed_out",
    "utc_now",
]

_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_HIDDEN_FILES: Final = (
    __file__,
    *(str(m.__file__) for m in (base_events, events, runners, tasks, timeouts)),
    *(str(m.__file__) for m in (codecs, namespace)),
    str(Path(__file__).with_name("executors") / "event_loop.py"),
)


class _Work(msgspec.Struct, frozen=True, array_like=True):
    """An `AttemptRequest` as it travels; the code is embedded or lies in a file."""

    key: AttemptKey
    instance_id: str
    name: str
    version: str
    input: Payload | None
    package: bytes
    package_path: str
    files: str


_encode = msgspec.msgpack.Encoder().encode
_decode_work = msgspec.msgpack.Decoder(_Work).decode
_decode_package = msgspec.msgpack.Decoder(CodePackage).decode
_decode_outcome = msgspec.msgpack.Decoder(AttemptOutcome).decode


def encode_package(package: CodePackage) -> bytes:
    """Return the code as bytes, for `encode_attempt`."""
    return _encode(package)


def encode_attempt(request: AttemptRequest, package: bytes = b"", package_path: str = "") -> bytes:
    """Return the payload for `run_attempt`.

    Args:
        request: What to run. Its `package` is not looked at.
        package: The encoded code; it is decoded only by a worker that does not know the version.
        package_path: Instead, the file that holds it, for code too big to send each time. The
            file must be writable by this user only: its content is executed.
    """
    return _encode(
        _Work(
            request.key,
            request.instance_id,
            request.name,
            request.version,
            request.input,
            package,
            package_path,
            request.files,
        )
    )


def decode_outcome(data: bytes | bytearray) -> AttemptOutcome:
    """Return what `run_attempt` answered."""
    return _decode_outcome(data)


def utc_now() -> datetime:
    """Return the present time, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


class Activity:
    """An activity's code, loaded into this process.

    Args:
        name: The activity.
        function: What to call.
        converter: Decodes its input and encodes its result, in its own namespace.
        globals_: That namespace.

    Attributes:
        name: The activity.
        main: A module named `__main__` with the namespace's present content.
        is_async: Whether it is an `async def`, so that `call` returns at once.
        takes_context: Whether its first parameter gets the `ActivityContext`.
    """

    __slots__ = (
        "_converter",
        "_function",
        "_has_lone_value",
        "is_async",
        "main",
        "name",
        "takes_context",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        converter: Converter,
        globals_: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.main = ModuleType("__main__")
        self.main.__dict__.update(globals_)
        self._function = function
        self._converter = converter
        self.is_async = inspect.iscoroutinefunction(function)
        parameters = _parameters_of(function)
        self.takes_context = takes_context(function)
        self._has_lone_value = self.takes_context and _is_lone(parameters[1:])

    def call(self, payload: Payload | None, context: ActivityContext) -> Any:
        """Decode the input and call the function with it.

        Without an input the function is called without arguments, except that one of the form
        `(ctx, value)` gets None as its value, as in Durable Functions. `CallArguments` become
        positional and keyword arguments; any other value is the only argument.

        Returns:
            What the function returned: for an `async def`, the coroutine.

        Raises:
            TypeError: The function does not take these arguments.
            DecodingError: The input cannot be rebuilt here.
            BaseException: Whatever the function raises.
        """
        args: tuple[Any, ...]
        kwargs: dict[str, Any] = {}
        if payload is None:
            args = (None,) if self._has_lone_value else ()
        else:
            value = self._converter.decode(payload)
            if type(value) is CallArguments:
                args, kwargs = tuple(value.args), dict(value.kwargs)
            else:
                args = (value,)
        if self.takes_context:
            args = (context, *args)
        try:
            return self._function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                self._explain_mismatch(args, kwargs)
            raise

    def encode(self, value: Any) -> Payload:
        """Return the payload of what the function returned.

        Raises:
            EncodingError: It cannot be stored; names the activity and the path inside the value.
                Marked as non-retriable: the activity has run.
        """
        try:
            return self._converter.encode(value, f"result of {self.name}")
        except EncodingError as error:
            error.non_retriable = True  # type: ignore[attr-defined]
            raise

    def _explain_mismatch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise a clearer error where the arguments do not fit the parameters."""
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):
            return
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            mismatch = TypeError(
                f"{self.name}() takes {_show_parameters(signature, self.takes_context)}, "
                f"got {_show_arguments(len(args) - self.takes_context, kwargs)}"
            )
            mismatch.non_retriable = True  # type: ignore[attr-defined]
            raise mismatch from None


class ActivityCache:
    """The activities loaded into a process, by version.

    Args:
        capacity: How many are kept; the least recently used go first.
    """

    def __init__(self, capacity: int = 64) -> None:
        self._capacity = capacity
        self._activities: OrderedDict[tuple[str, str], Activity] = OrderedDict()
        self._loading: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def find(self, name: str, version: str) -> Activity | None:
        """Return the activity if it is loaded."""
        key = name, version
        with self._lock:
            activity = self._activities.get(key)
            if activity is not None:
                self._activities.move_to_end(key)
        return activity

    def load(self, name: str, version: str, package: Callable[[], CodePackage]) -> Activity:
        """Return the activity, loading its code if need be; one thread loads, the others wait.

        Args:
            name: The activity.
            version: Content hash of its code; code without one is loaded each time.
            package: Gives the code; called only when it is needed.

        Raises:
            BaseException: Whatever executing the code raises.
        """
        if not version:
            return _load_activity(name, package())
        key = name, version
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        try:
            with loading:
                activity = self.find(name, version)
                if activity is None:
                    activity = _load_activity(name, package())
                    self._keep(key, activity)
                return activity
        finally:
            with self._lock:
                self._loading.pop(key, None)

    def _keep(self, key: tuple[str, str], activity: Activity) -> None:
        with self._lock:
            self._activities[key] = activity
            if len(self._activities) > self._capacity:
                self._activities.popitem(last=False)


LOADED: Final = ActivityCache()
"""The activities loaded into this process: a worker keeps the code it has seen."""


def run_attempt(
    payload: bytes | bytearray,
    *,
    begin: Callable[[Activity, bool], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    recorder: Recorder | None = None,
) -> bytes:
    """Run one attempt of an activity in this process.

    Args:
        payload: From `encode_attempt`.
        begin: Called just before the body begins, with the activity and whether its code had to
            be loaded first.
        progress: Receives what the activity tells by `ctx.progress`.
        recorder: Receives what it prints, logs and displays; else that is in the outcome.

    Returns:
        The encoded `AttemptOutcome`, for `decode_outcome`. Whatever the activity does short of
        ending the process, including `sys.exit()`, is in there.
    """
    work = _decode_work(payload)
    report_progress_bars()
    with recording(recorder or Recorder()) as kept:
        outcome = _run_work(work, begin, progress)
    if recorder is None:
        outcome = msgspec.structs.replace(outcome, output=kept.take())
    return _encode(outcome)


def _run_work(
    work: _Work,
    begin: Callable[[Activity, bool], None] | None,
    progress: Callable[[Progress], None] | None,
) -> AttemptOutcome:
    worker = f"process {getpid()}"
    try:
        known = LOADED.find(work.name, work.version)
        activity = known or LOADED.load(work.name, work.version, lambda: _read_package(work))
    except BaseException as error:  # noqa: BLE001 - loading runs the user's code
        now = utc_now()
        return AttemptOutcome(failure=describe(error), started_at=now, ended_at=now, worker=worker)
    if begin is not None:
        begin(activity, known is None)
    context = make_context(
        work.name, work.instance_id, work.key, progress=progress, files=work.files
    )
    return run_activity(activity, work.input, context, worker)


def make_context(
    name: str,
    instance_id: str,
    key: AttemptKey,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    files: str = "",
) -> ActivityContext:
    """Return the context of the attempt `key`; see `ActivityContext`."""
    return ActivityContext(
        name,
        instance_id,
        key.execution_id,
        key.task_id,
        key.number,
        progress=progress,
        cancelled=cancelled,
        files=_files_in(files) if files else None,
    )


@functools.lru_cache(maxsize=16)
def _files_in(folder: str) -> ValueFiles:
    """Return the files of a folder; what is known of them serves all attempts."""
    return ValueFiles(folder)


def run_activity(
    activity: Activity, payload: Payload | None, context: ActivityContext, worker: str
) -> AttemptOutcome:
    """Call the activity in this thread; an `async def` on an event loop of its own.

    Args:
        activity: What to call.
        payload: Its input.
        context: What `activity_context()` returns meanwhile.
        worker: Who runs it, for the outcome.

    Returns:
        The outcome. Whatever the activity raises is in there as `failure`.
    """
    started_at = utc_now()
    token = CURRENT.set(context)
    try:
        value = activity.call(payload, context)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        result = activity.encode(value)
    except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
        return AttemptOutcome(
            failure=describe(error), started_at=started_at, ended_at=utc_now(), worker=worker
        )
    finally:
        CURRENT.reset(token)
    return AttemptOutcome(result=result, started_at=started_at, ended_at=utc_now(), worker=worker)


def describe(error: BaseException) -> FailureDetails:
    """Return an activity's exception as data: the user's own lines, without ours.

    Never raises, and what it returns can always be stored: an exception that cannot say what it
    is, or says it in characters that are no Unicode, is described as well as it can be.
    """
    try:
        failure = FailureDetails.from_exception(error, hide=_HIDDEN_FILES)
    except Exception:  # noqa: BLE001 - a broken __str__ or __getattr__ of the user's class
        failure = FailureDetails(
            error_type=qualified_type_name(type(error)),
            message="(the exception's own text could not be read)",
            stack_trace="".join(traceback.format_tb(error.__traceback__)),
        )
    return _clean(failure)


def timed_out(name: str, timeout_s: float, what_then: str) -> FailureDetails:
    """Return the failure of an attempt that took too long.

    Args:
        name: The activity.
        timeout_s: What it was allowed, in seconds.
        what_then: What became of the code, e.g. `"its worker process was stopped"`.
    """
    return FailureDetails(
        error_type="builtins.TimeoutError",
        message=f"{name} did not finish within its timeout of {timeout_s:g} s; {what_then}",
    )


def gave_no_sign(name: str, heartbeat_s: float, what_then: str) -> FailureDetails:
    """Return the failure of an attempt whose heartbeat stopped; arguments as of `timed_out`."""
    return FailureDetails(
        error_type="builtins.TimeoutError",
        message=f"{name} gave no sign of life for {heartbeat_s:g} s, its heartbeat timeout; "
        f"{what_then}. ctx.progress(...), ctx.heartbeat() and tqdm are signs of life",
    )


def never_started(name: str, start_within_s: float, where: str) -> FailureDetails:
    """Return the failure of an activity that nobody was free to start in time.

    Args:
        name: The activity.
        start_within_s: How long it was to wait, in seconds.
        where: What it has waited for.
    """
    return FailureDetails(
        error_type="builtins.TimeoutError",
        message=f"{name} did not start within {start_within_s:g} s, its schedule-to-start "
        f"timeout: it waited for {where}",
    )


def _load_activity(name: str, package: CodePackage) -> Activity:
    globals_ = namespace.build_namespace(package, Stub)
    function = globals_[package.entry]
    return Activity(name, function, codecs.NamespaceConverter(globals_), globals_)


def _read_package(work: _Work) -> CodePackage:
    data = Path(work.package_path).read_bytes() if work.package_path else work.package
    return _decode_package(data)


def _parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def _is_lone(parameters: list[inspect.Parameter]) -> bool:
    return (
        len(parameters) == 1
        and parameters[0].kind in _POSITIONAL
        and parameters[0].default is inspect.Parameter.empty
    )


def _show_parameters(signature: inspect.Signature, takes_context: bool) -> str:
    parameters = list(signature.parameters.values())[takes_context:]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(bare)) if bare else "no arguments"


def _show_arguments(count: int, kwargs: dict[str, Any]) -> str:
    parts = []
    if count or not kwargs:
        parts.append(f"{count or 'no'} argument{'' if count == 1 else 's'}")
    if kwargs:
        parts.append(f"the keyword{'' if len(kwargs) == 1 else 's'} {', '.join(kwargs)}")
    return " and ".join(parts)


def _clean(failure: FailureDetails) -> FailureDetails:
    """Replace what UTF-8 cannot hold, such as the lone surrogates of undecodable file names."""
    try:
        _encode(failure)
    except UnicodeEncodeError:
        return msgspec.structs.replace(
            failure,
            error_type=_clean_text(failure.error_type),
            message=_clean_text(failure.message),
            stack_trace=_clean_text(failure.stack_trace),
            cause=_clean(failure.cause) if failure.cause else None,
        )
    return failure


def _clean_text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
