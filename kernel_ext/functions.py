"""Durable functions as their user holds them: what the magics and the decorators bind."""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ipydurable.runtime.core.context import OrchestrationContext, current_context
from ipydurable.runtime.core.errors import DefinitionError, EffectsError
from ipydurable.runtime.definitions import ActivityOptions, Definition, Kind

from .live_objects import globals_of

if TYPE_CHECKING:
    import pandas as pd

    from ipydurable.runtime.activity_context import ActivityContext
    from ipydurable.runtime.handles import InstanceHandle
    from ipydurable.runtime.requests import Adopted

    from .arguments import Duration, Statuses, Time
    from .effects_check import Finding
    from .handles import NotebookInstance
    from .in_flight import Moves
    from .versioning import VersionDiff

__all__ = [
    "DECLARED",
    "ActivityFunction",
    "DurableFunction",
    "OrchestratorFunction",
    "notebook_path",
]

_serials = itertools.count(1)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class DurableFunction:
    """One version of an activity, orchestrator or entity, and what it was made of.

    In an orchestrator a call schedules it: `await fetch("Basel")`.

    Args:
        function: The user's function, or the class of an entity.
        name: The definition's name.
        options: How an activity is run.
        cell: Execution count of the cell that defined it; 0 outside a notebook.

    Attributes:
        name: The definition's name.
        options: How an activity is run.
        cell: Execution count of the cell that defined it; 0 outside a notebook.
        number: 1 for the first version of this name in the store, 2 for the next; 0 while no
            store has it.
        serial: Grows with each durable function made in this process.
    """

    kind: Kind

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        options: ActivityOptions | None = None,
        cell: int = 0,
    ) -> None:
        self.__wrapped__: Callable[..., Any]
        self.__name__: str
        # What a class has is not for the definition of it.
        updated = () if isinstance(function, type) else functools.WRAPPER_UPDATES
        functools.update_wrapper(self, function, updated=updated)
        self.__durable_kind__ = self.kind.value
        self.name = self.__durable_name__ = name or function.__name__
        self.options = options or ActivityOptions()
        self.cell = cell
        self.number = 0
        self.serial = next(_serials)
        self._captured: tuple[Definition, tuple[str, ...]] | None = None
        self._check()

    @property
    def definition(self) -> Definition:
        """The code as data; captured when it is first asked for.

        Raises:
            DefinitionError: The code cannot be made durable; says why and what to do.
        """
        return self._capture()[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed while the code was captured, one sentence each."""
        return self._capture()[1]

    @property
    def version(self) -> str:
        """Content hash of the code and all it reaches: the same content is the same version."""
        return self.definition.version

    @property
    def source(self) -> str:
        """The function or class as the user wrote it."""
        return self.definition.source

    @property
    def uses(self) -> tuple[DurableFunction, ...]:
        """The durable functions that its code schedules by their variables."""
        variables = globals_of(self.__wrapped__, self.__wrapped__.__module__)
        found = (variables.get(name) for name in self.definition.package.stubs)
        return tuple(one for one in found if isinstance(one, DurableFunction))

    @property
    def versions(self) -> pd.DataFrame:
        """All versions of it in the store, oldest first, and how many instances are on each.

        The columns are `kind, name, number, version` (content hash)`, in_flight, finished,
        notebook, cell, created_at` (UTC) and `source`.
        """
        from .session import current_session
        from .versioning import versions

        return versions(current_session().client, self.kind, self.name)

    def diff(self, old: int | str | None = None, new: int | str | None = None) -> VersionDiff:
        """Return what changed between two versions, in the code and in all it reaches.

        Args:
            old: Number or beginning of the content hash; by default the one before `new`.
            new: The same; by default the newest.

        Raises:
            UnknownVersionError: There is no such version; lists those there are.
        """
        from .session import current_session
        from .versioning import diff

        return diff(current_session().client, self.kind, self.name, old, new)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function here or, in an orchestrator, schedule it and return its task."""
        __tracebackhide__ = True  # IPython shows the user's frames only
        context = current_context()
        if context is not None:
            return context.call(self.__durable_kind__, self.name, args, kwargs)
        return self._call_here(args, kwargs)

    def __repr__(self) -> str:
        number = f" v{self.number}" if self.number else ""
        version = f" ({self._captured[0].version[:8]})" if self._captured else ""
        place = f", cell [{self.cell}]" if self.cell else ""
        return f"{self.kind} {self.name}{number}{version}{place}"

    def _call_here(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _check(self) -> None:
        """Refuse a function that cannot be one of this kind."""

    def _capture(self) -> tuple[Definition, tuple[str, ...]]:
        if self._captured is None:
            from .capture import capture

            home = self.__wrapped__.__module__
            found = capture(self.__wrapped__, name=self.name, kind=self.kind, home=home)
            definition = Definition(
                kind=self.kind,
                name=self.name,
                version=found.version,
                package=found.package,
                source=found.source,
                options=self.options,
                is_async=inspect.iscoroutinefunction(self.__wrapped__),
                notebook=notebook_path() if self.cell else "",
                cell=self.cell,
            )
            self._captured = definition, found.warnings
        return self._captured


class ActivityFunction(DurableFunction):
    """An activity. Called in a plain cell it just runs, here and now."""

    kind = Kind.ACTIVITY

    def _check(self) -> None:
        function = self.__wrapped__
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise DefinitionError(
                f"{self.name} is a generator, and an activity returns one result: "
                "collect what it yields in a list and return that."
            )
        if self.options.executor == "asyncio" and not inspect.iscoroutinefunction(function):
            raise DefinitionError(
                f"{self.name} is to run on asyncio, where it would block all others: "
                "make it an `async def`, or run it on threads or processes."
            )

    def adopt(self, *runs: InstanceHandle | str) -> Adopted:
        """Have instances in flight take this version from their next attempt on.

        An attempt that runs now ends as it began; retries and later calls take this code. How often
        and when is retried stays as it was when the instance started.

        Args:
            *runs: Instances, or their ids, with their sub-orchestrations; by default all in
                flight that would run another version.

        Returns:
            Who took it.

        Raises:
            InstanceStateError: One of them is not in flight; nothing is changed.
        """
        from .session import current_session

        return current_session().adopt(self, runs)

    def _call_here(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True  # IPython shows the user's frames only
        from ipydurable.runtime.activity_context import CURRENT, ActivityContext, takes_context

        function = self.__wrapped__
        context = CURRENT.get(None) or ActivityContext(self.name)
        if takes_context(function) and not (args and isinstance(args[0], ActivityContext)):
            args = (context, *args)
        if inspect.iscoroutinefunction(function):
            return _run_async(function, args, kwargs, context)
        token = CURRENT.set(context)
        try:
            return function(*args, **kwargs)
        finally:
            CURRENT.reset(token)

    def __getattr__(self, name: str) -> Any:
        if name == "start":
            raise AttributeError(
                f"an activity has no start: call {self.__dict__.get('name')} from an "
                "orchestrator and start that. In a plain cell a call just runs it."
            )
        raise AttributeError(f"an activity has no attribute {name!r}")


class OrchestratorFunction(DurableFunction):
    """An orchestrator: `start` starts an instance of it.

    Args:
        function: The user's function.
        name: The definition's name.
        cell: Execution count of the cell that defined it; 0 outside a notebook.
        strict: Whether it is refused where its source does what replay would not repeat, and gets
            an error where it does so all the same. As it runs differently then, it is a version of
            its own.
    """

    kind = Kind.ORCHESTRATOR

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        *,
        cell: int = 0,
        strict: bool = False,
    ) -> None:
        self.strict = strict
        self._effects: tuple[Finding, ...] | None = None
        super().__init__(function, name, cell=cell)

    @property
    def effects(self) -> tuple[Finding, ...]:
        """What its source, and the helpers it reaches, should not do; hints among it.

        Raises:
            DefinitionError: The code cannot be made durable; says why and what to do.
        """
        return self._check_effects(super()._capture()[0])

    def _capture(self) -> tuple[Definition, tuple[str, ...]]:
        is_new = self._captured is None
        definition, warnings = super()._capture()
        if self.strict and is_new:
            self._refuse_effects(definition)
            definition = _strictly(definition)
            self._captured = definition, warnings
        return definition, warnings

    def _refuse_effects(self, definition: Definition) -> None:
        home = [one.filename for one in definition.package.chunks if one.name == self.__name__]
        offences = [one for one in self._check_effects(definition) if not one.is_hint]
        offences.sort(key=lambda one: one.filename not in home)  # its own cell's come first
        if offences:
            from .effects_report import listing

            self._captured = None
            raise EffectsError(self.name, str(offences[0]), len(offences), listing(offences))

    def _check_effects(self, definition: Definition) -> tuple[Finding, ...]:
        if self._effects is None:
            from .effects_check import check_effects

            variables = globals_of(self.__wrapped__, self.__wrapped__.__module__)
            self._effects = tuple(check_effects(definition.package, variables))
        return self._effects

    def start(
        self,
        *args: Any,
        instance_id: str | None = None,
        start_at: Time | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        replace: Statuses = (),
        **kwargs: Any,
    ) -> NotebookInstance:
        """Start an instance; returns at once, while it runs in the background.

        Args:
            *args: The input. Several, or keywords, become the parameters after the context; one
                that has the name of an option here is given by its position.
            instance_id: Its id; by default the name and a random suffix.
            start_at: When to start: a datetime (naive means UTC), or a timedelta or `"2h"` from
                now; by default now.
            tags: Labels to find it by.
            timeout: How long after its start it fails unless it has ended; by default never.
            replace: What an existing instance of that id may be to be ended and deleted to make
                room: a status or several, `"finished"` or `"any"`; by default it is an error.
            **kwargs: See `args`.

        Returns:
            Its handle: `await` it, or ask it for `.result()`, `.status`, `.history()`.

        Raises:
            TypeError: The orchestrator does not take these arguments.
            InstanceExistsError: The id is taken.
            InvalidInstanceIdError: The id breaks a rule.
            EncodingError: The input cannot be stored.
            DefinitionError: Its code, or that of an activity, cannot be made durable.
        """
        from .session import current_session

        self.check_arguments(args, kwargs)
        return current_session().start(
            self,
            args,
            kwargs,
            instance_id=instance_id,
            start_at=start_at,
            tags=tags,
            timeout=timeout,
            replace=replace,
        )

    def start_many(
        self, inputs: Iterable[Any], *, tags: Mapping[str, str] | None = None
    ) -> list[NotebookInstance]:
        """Start an instance for each input, all or none, in one commit.

        Args:
            inputs: One input for each instance.
            tags: Labels of all of them.

        Returns:
            The handles, in the order of the inputs.

        Raises:
            EncodingError: An input cannot be stored.
            DefinitionError: Its code, or that of an activity, cannot be made durable.
        """
        from .session import current_session

        return current_session().start_many(self, inputs, tags=tags)

    def migrate(self, *runs: InstanceHandle | str, to: int | str | None = None) -> Moves:
        """Move instances in flight to another version, as far as their histories fit it.

        Args:
            *runs: Instances, or their ids; by default all in flight.
            to: The version, by number or beginning of its content hash; by default the newest.

        Returns:
            Who was moved, and why others stay.
        """
        from .in_flight import ids_of, migrate_all
        from .session import current_session

        return migrate_all(current_session().client, self.name, to, ids_of(runs))

    def check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError where the orchestrator does not take these arguments."""
        if not args and not kwargs:
            return  # Without an input an orchestrator that wants one gets None.
        signature = inspect.signature(self.__wrapped__)
        try:
            signature.bind(None, *args, **kwargs)
        except TypeError as error:
            parameters = list(signature.parameters.values())[1:]
            takes = signature.replace(parameters=parameters, return_annotation=signature.empty)
            raise TypeError(f"{self.name}.start{takes}: {error}") from None

    def _check(self) -> None:
        function = self.__wrapped__
        if inspect.isasyncgenfunction(function):
            raise DefinitionError(
                f"{self.name} is an `async def` that yields: an orchestrator does one or the "
                "other. Await the tasks, and return the result."
            )
        parameters = list(inspect.signature(function).parameters.values())
        first = parameters[0] if parameters else None
        if first is None or first.kind not in (*_POSITIONAL, first.VAR_POSITIONAL):
            raise DefinitionError(
                f"{self.name} takes no context. The first parameter of an orchestrator is its "
                f"context, by which it calls activities: async def {self.name}(ctx): ..."
            )

    def _call_here(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del kwargs
        if args and isinstance(args[0], OrchestrationContext):
            raise DefinitionError(
                f"{self.name} is an orchestrator: another one calls it by "
                f"ctx.call_sub_orchestrator({self.name}, ...)."
            )
        raise DefinitionError(
            f"{self.name} is an orchestrator, which the runtime runs: start an instance with "
            f"{self.name}.start(...), or call it from another orchestrator with "
            f"ctx.call_sub_orchestrator({self.name}, ...)."
        )


DECLARED: weakref.WeakValueDictionary[tuple[Kind, str], DurableFunction] = (
    weakref.WeakValueDictionary()
)
"""What decorators have defined in this process: a session sends it to its host at its first use,
as there need not be a session yet when a module is imported."""


async def _run_async(
    function: Callable[..., Coroutine[Any, Any, Any]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: ActivityContext,
) -> Any:
    __tracebackhide__ = True  # IPython shows the user's frames only
    from ipydurable.runtime.activity_context import CURRENT

    token = CURRENT.set(context)
    try:
        return await function(*args, **kwargs)
    finally:
        CURRENT.reset(token)


def _strictly(definition: Definition) -> Definition:
    """Return the strict version of an orchestrator."""
    from .content_hash import hash_of

    return msgspec.structs.replace(
        definition,
        version=hash_of([definition.version, "strict"]),
        package=msgspec.structs.replace(definition.package, strict=True),
    )


def notebook_path() -> str:
    """Return the path of the notebook this kernel serves; empty if nobody told us."""
    path = os.environ.get("JPY_SESSION_NAME", "")
    if not path:  # Visual Studio Code
        main = sys.modules.get("__main__")
        path = str(getattr(main, "__vsc_ipynb_file__", ""))
    return path
