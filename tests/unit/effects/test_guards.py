"""Guards: what replay would not repeat is noticed when orchestrator code calls it."""

from __future__ import annotations

import itertools
import re
import threading
import time
from datetime import datetime
from typing import Any

import pytest

from ipydurable.runtime.codeloader import CodeLoader
from ipydurable.runtime.core.code import OrchestratorCode, Resolved
from ipydurable.runtime.core.events import ExecutionCompleted, ExecutionStarted
from ipydurable.runtime.core.executor import OrchestrationExecutor
from ipydurable.runtime.core.status import RuntimeStatus
from ipydurable.runtime.definitions import Chunk, CodePackage, Definition, Kind
from ipydurable.runtime.namespace import build_namespace
from ipydurable.runtime.stubs import Stub

CALLS = [
    ("import time", "time.time()", "ctx.current_utc_datetime"),
    ("from time import time as t", "t()", "ctx.current_utc_datetime"),
    ("import time as clock", "clock.perf_counter()", "ctx.current_utc_datetime"),
    ("import time", "time.sleep(0)", "ctx.create_timer"),
    ("from datetime import datetime", "str(datetime.now())", "ctx.current_utc_datetime"),
    ("import datetime as dt", "str(dt.datetime.utcnow())", "ctx.current_utc_datetime"),
    ("from datetime import date", "str(date.today())", "ctx.current_utc_datetime.date()"),
    ("import random", "random.random()", "ctx.random()"),
    ("from random import choice as pick", "pick([1])", "ctx.random()"),
    ("import uuid", "str(uuid.uuid4())", "ctx.new_uuid()"),
    ("import secrets", "secrets.token_hex(2)", "an activity"),
    ("import os", "os.getenv('HOME')", "pass it as input"),
    ("", "open('/dev/null').close()", "an activity"),
    ("import socket", "socket.socket().close()", "an activity"),
]
FINE = [
    ("import time", "time.gmtime(0).tm_year"),
    ("from datetime import datetime", "str(datetime(2030, 1, 1))"),
    ("import random", "random.Random(42).random()"),
    ("import uuid", "str(uuid.uuid5(uuid.NAMESPACE_URL, 'x'))"),
    ("", "ctx.random().random()"),
    ("", "str(ctx.current_utc_datetime.time())"),
    ("import time", "time.time()  # durable: ok"),
]


_cells = itertools.count(100)


def definition(imports: str, expression: str, *, strict: bool = False) -> Definition:
    """Return an orchestrator whose fourth line is an expression."""
    source = f"async def run(ctx):\n    return [\n        {expression}\n    ]"
    package = CodePackage(
        entry="run",
        imports=(imports,) if imports else (),
        chunks=(
            Chunk(name="run", source=source, filename=f"Cell In[{next(_cells)}]", first_line=2),
        ),
        strict=strict,
    )
    return Definition(kind=Kind.ORCHESTRATOR, name="run", version="1234567890", package=package)


def run(code: OrchestratorCode) -> ExecutionCompleted:
    """Run code to its end."""
    executor = OrchestrationExecutor(code, lambda kind, name: Resolved(""))
    now = datetime(2030, 1, 1)
    started = ExecutionStarted(timestamp=now, instance_id="one", execution_id="e", name="run")
    executor.process(started)
    assert executor.completion is not None
    return executor.completion


@pytest.mark.parametrize(("imports", "call", "remedy"), CALLS)
def test_a_strict_orchestrator_gets_an_error(imports: str, call: str, remedy: str) -> None:
    done = run(CodeLoader().load(definition(imports, call, strict=True)))
    assert done.status is RuntimeStatus.FAILED
    assert done.failure is not None
    assert done.failure.error_type.endswith("ForbiddenCallError")
    assert re.search(r"at Cell In\[\d+\], line 4: ", done.failure.message)
    assert remedy in done.failure.message
    assert "guards.py" not in done.failure.stack_trace


@pytest.mark.parametrize(("imports", "call", "remedy"), CALLS)
def test_any_other_goes_on_and_is_told_of_once(imports: str, call: str, remedy: str) -> None:
    told: list[str] = []
    code = CodeLoader(told.append).load(definition(imports, call))
    for _ in range(3):
        assert run(code).status is RuntimeStatus.COMPLETED
    assert len(told) == 1
    assert told[0].startswith("run (12345678) calls ")
    assert re.search(r"at Cell In\[\d+\], line 4: ", told[0])
    assert remedy in told[0]


@pytest.mark.parametrize(("imports", "call"), FINE)
def test_what_is_fine_is_let_pass(imports: str, call: str) -> None:
    code = CodeLoader().load(definition(imports, call, strict=True))
    assert run(code).status is RuntimeStatus.COMPLETED


def test_a_call_under_a_local_name_is_seen() -> None:
    call = "(lambda clock: clock.time())(time)"
    done = run(CodeLoader().load(definition("import time", call, strict=True)))
    assert done.status is RuntimeStatus.FAILED


def test_an_import_in_the_function_is_seen() -> None:
    source = "async def run(ctx):\n    from uuid import uuid4 as fresh\n    return fresh().hex"
    package = CodePackage(entry="run", chunks=(Chunk(name="run", source=source),), strict=True)
    one = Definition(kind=Kind.ORCHESTRATOR, name="run", version="v", package=package)
    assert run(CodeLoader().load(one)).status is RuntimeStatus.FAILED


def test_only_orchestrator_code_meets_a_guard() -> None:
    """The engine's own clock, and another thread's, are called while orchestrator code runs."""
    seen: list[Any] = []

    class Executor(OrchestrationExecutor):
        def input_value(self) -> Any:
            thread = threading.Thread(target=lambda: seen.append(time.time()))
            thread.start()
            thread.join()
            seen.append(datetime.now())

    code = CodeLoader().load(definition("", "ctx.get_input()", strict=True))
    executor = Executor(code, lambda kind, name: Resolved(""))
    now = datetime(2030, 1, 1)
    executor.process(
        ExecutionStarted(timestamp=now, instance_id="one", execution_id="e", name="run")
    )
    assert executor.completion is not None
    assert executor.completion.status is RuntimeStatus.COMPLETED
    assert len(seen) == 2


def test_activities_and_entities_are_built_without_guards() -> None:
    package = definition("import time", "time.time()", strict=True).package
    namespace = build_namespace(package, Stub)
    assert "__durable_guard__" not in namespace


def test_definitions_may_look_at_the_clock() -> None:
    source = "STARTED = time.time()\nasync def run(ctx):\n    return STARTED > 0"
    package = CodePackage(
        entry="run",
        imports=("import time",),
        chunks=(Chunk(name="run", source=source),),
        strict=True,
    )
    one = Definition(kind=Kind.ORCHESTRATOR, name="run", version="v", package=package)
    assert run(CodeLoader().load(one)).status is RuntimeStatus.COMPLETED


def test_tracebacks_show_the_line_and_its_place_under_a_guard() -> None:
    done = run(CodeLoader().load(definition("import random", "random.choice([])")))
    assert done.failure is not None
    shown = r'File "Cell In\[\d+\]", line 4, in run\n    random.choice\(\[\]\)'
    assert re.search(shown, done.failure.stack_trace)
