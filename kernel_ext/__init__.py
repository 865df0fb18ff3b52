"""Durable Functions inside the Jupyter notebook.

In a notebook: `%load_ext ipydurable`, then `%%activity`, `%%orchestrator`, `%%entity` and
`%durable?`. In a script: `@activity`, `@orchestrator`, `@entity` and `Runtime`.

Everything is imported when it is first asked for: worker processes import this package too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ipydurable.runtime.activity_context import ActivityContext, activity_context
    from ipydurable.runtime.core import errors
    from ipydurable.runtime.core.context import (
        DurableOrchestrationContext,
        OrchestrationContext,
    )
    from ipydurable.runtime.core.entities import EntityContext
    from ipydurable.runtime.core.entity_ids import EntityInstanceId
    from ipydurable.runtime.core.errors import *  # noqa: F403
    from ipydurable.runtime.core.forms import Field, Form
    from ipydurable.runtime.core.retry import RetryOptions, RetryPolicy
    from ipydurable.runtime.core.status import RuntimeStatus
    from ipydurable.runtime.engine import EngineOptions

    from .archives import open_archive
    from .decorators import activity, entity, orchestrator
    from .embedded import Runtime
    from .session import connect
    from .shortcuts import (
        activities,
        attempts,
        dashboard,
        definitions,
        entities,
        export,
        forms,
        history,
        import_,
        instance,
        instances,
        locks,
        operations,
        payload,
        purge,
        sql,
        timers,
    )

_ERRORS = "ipydurable.runtime.core.errors"
_HOMES = {
    "ActivityContext": "ipydurable.runtime.activity_context",
    "DurableOrchestrationContext": "ipydurable.runtime.core.context",
    "EngineOptions": "ipydurable.runtime.engine",
    "EntityContext": "ipydurable.runtime.core.entities",
    "EntityInstanceId": "ipydurable.runtime.core.entity_ids",
    "Field": "ipydurable.runtime.core.forms",
    "Form": "ipydurable.runtime.core.forms",
    "OrchestrationContext": "ipydurable.runtime.core.context",
    "RetryOptions": "ipydurable.runtime.core.retry",
    "RetryPolicy": "ipydurable.runtime.core.retry",
    "Runtime": "ipydurable.embedded",
    "RuntimeStatus": "ipydurable.runtime.core.status",
    "activities": "ipydurable.shortcuts",
    "activity": "ipydurable.decorators",
    "activity_context": "ipydurable.runtime.activity_context",
    "attempts": "ipydurable.shortcuts",
    "connect": "ipydurable.session",
    "dashboard": "ipydurable.shortcuts",
    "definitions": "ipydurable.shortcuts",
    "entities": "ipydurable.shortcuts",
    "entity": "ipydurable.decorators",
    "export": "ipydurable.shortcuts",
    "forms": "ipydurable.shortcuts",
    "history": "ipydurable.shortcuts",
    "import_": "ipydurable.shortcuts",
    "instance": "ipydurable.shortcuts",
    "instances": "ipydurable.shortcuts",
    "locks": "ipydurable.shortcuts",
    "open_archive": "ipydurable.archives",
    "operations": "ipydurable.shortcuts",
    "orchestrator": "ipydurable.decorators",
    "payload": "ipydurable.shortcuts",
    "purge": "ipydurable.shortcuts",
    "sql": "ipydurable.shortcuts",
    "timers": "ipydurable.shortcuts",
}

__all__ = [
    "ActivityContext",
    "DurableOrchestrationContext",
    "EngineOptions",
    "EntityContext",
    "EntityInstanceId",
    "Field",
    "Form",
    "OrchestrationContext",
    "RetryOptions",
    "RetryPolicy",
    "Runtime",
    "RuntimeStatus",
    "__version__",
    "activities",
    "activity",
    "activity_context",
    "attempts",
    "connect",
    "dashboard",
    "definitions",
    "entities",
    "entity",
    "errors",
    "export",
    "forms",
    "history",
    "import_",
    "instance",
    "instances",
    "load_ipython_extension",
    "locks",
    "open_archive",
    "operations",
    "orchestrator",
    "payload",
    "purge",
    "sql",
    "timers",
    "unload_ipython_extension",
]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics and connect to the store in the background; `%load_ext ipydurable`."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo `load_ipython_extension`; what runs goes on. `%unload_ext ipydurable`."""
    from .magics import unload

    unload(shell)


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module(_ERRORS)
    home = _HOMES.get(name, _ERRORS if name.endswith("Error") else None)
    if home is not None:
        module = importlib.import_module(home)
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    errors_module = importlib.import_module(_ERRORS)
    return sorted({*__all__, *errors_module.__all__})
