"""Definitions: the versioned code of orchestrators, activities and entities, as data.

A definition travels source first: the sources it reaches, the imports they need, and the values
they capture. `ipydurable.runtime.namespace` makes a callable of it in any process.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from .core.payload import Payload

__all__ = ["ActivityOptions", "Chunk", "CodePackage", "Definition", "DefinitionAdded", "Kind"]


class Kind(enum.StrEnum):
    """What a definition defines."""

    ORCHESTRATOR = "orchestrator"
    ACTIVITY = "activity"
    ENTITY = "entity"


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One function, class or assignment, with the place it was written at.

    Attributes:
        name: The global name it binds.
        source: Its text, dedented.
        filename: What tracebacks call the file, e.g. `"Cell In[3]"` or a path.
        first_line: The line of `filename` at which `source` begins, from 1.
    """

    name: str
    source: str
    filename: str = "<definition>"
    first_line: int = 1


class CodePackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything needed to run a function elsewhere.

    Attributes:
        entry: The global name of the function or class.
        chunks: Sources in an order in which they can be executed.
        imports: Import statements to execute first, e.g. `"import numpy as np"`.
        values: Captured global values by name.
        stubs: Names bound to other durable definitions: name -> (kind, definition name).
        future: Names of `__future__` features the chunks are compiled with.
        paths: Folders to put on `sys.path`, for local modules.
        module_hashes: Content hash of each local module that is imported, by module name.
        content: Content hash of what each global name is bound to, to tell what has changed.
        strict: Whether an orchestrator that calls what replay would not repeat gets an error,
            rather than a warning in the host's log.
    """

    entry: str
    chunks: tuple[Chunk, ...] = ()
    imports: tuple[str, ...] = ()
    values: dict[str, Payload] = {}
    stubs: dict[str, tuple[str, str]] = {}
    future: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    module_hashes: dict[str, str] = {}
    content: dict[str, str] = {}
    strict: bool = False


class ActivityOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an activity is run.

    Attributes:
        executor: `"processes"`, `"threads"`, `"asyncio"`; empty for the default of its form.
        max_attempts: Attempts including the first; 1 never retries.
        retry_delay_s: Seconds before the first retry.
        retry_backoff: Factor from one delay to the next.
        retry_max_delay_s: Longest delay in seconds.
        timeout_s: Seconds from an attempt's start to its end; None for no limit.
        heartbeat_s: Seconds from one sign of life of an attempt to the next; None for no limit.
        start_within_s: Seconds from when it is scheduled to its start; None for no limit.
        max_parallel: How many run at once in the host; 0 for no limit.
        rate_count: How many begin within `rate_per_s` seconds at most; 0 for no limit.
        rate_per_s: See `rate_count`.
    """

    executor: str = ""
    max_attempts: int = 1
    retry_delay_s: float = 1.0
    retry_backoff: float = 2.0
    retry_max_delay_s: float = 60.0
    timeout_s: float | None = None
    heartbeat_s: float | None = None
    start_within_s: float | None = None
    max_parallel: int = 0
    rate_count: int = 0
    rate_per_s: float = 1.0


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of an orchestrator, activity or entity.

    Attributes:
        kind: What it defines.
        name: Its name; unique per kind.
        version: Content hash: the same content is the same version, everywhere.
        package: The code.
        source: The text as the user wrote it, to show.
        options: How an activity is run.
        is_async: Whether it is an `async def`.
        number: 1 for the first version of this name, 2 for the next; given by the host.
        epoch: Order among all definitions of the store; given by the host.
        notebook: Where it was defined, if known.
        cell: The cell's execution count, if known.
        created_at: When the host first saw it (naive UTC).
        signature: By the key of the user whose host added it; see `ipydurable.runtime.trust`.
    """

    kind: Kind
    name: str
    version: str
    package: CodePackage
    source: str = ""
    options: ActivityOptions = ActivityOptions()
    is_async: bool = False
    number: int = 0
    epoch: int = 0
    notebook: str = ""
    cell: int = 0
    created_at: datetime | None = None
    signature: str = ""


class DefinitionAdded(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="kind"
):
    """Journal row: a version was defined, or made the newest again."""

    timestamp: datetime
    definition: Definition
