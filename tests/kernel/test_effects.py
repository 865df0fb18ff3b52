"""The check of orchestrators as a notebook shows it, strict mode, and errors in cells."""

import time
from collections.abc import Iterator

import pytest

from ipydurable.functions import OrchestratorFunction
from ipydurable.runtime.core.errors import DefinitionError, EffectsError
from ipydurable.runtime.core.status import RuntimeStatus
from tests.kernel.shells import Kernel, Shell, without_colors

pytestmark = pytest.mark.processes

HELPER = "import random\n\ndef pick(items):\n    return random.choice(items)"
HASTY = """%%orchestrator
async def hasty(ctx, cities):
    import time
    began = time.time()
    for city in set(cities):
        await fetch(city)
    return pick([began])"""


@pytest.fixture
def strict(shell: Shell) -> Iterator[None]:
    """Strict mode for one test."""
    shell.must("%config DurableMagics.strict = True")
    yield
    shell.must("%config DurableMagics.strict = False")


def test_a_cell_says_what_does_not_belong_in_an_orchestrator(shell: Shell):
    """Each with its line, those of helpers with their cell too; the definition is made."""
    shell.must(HELPER)
    cell = shell.ip.execution_count - 1
    shell.must(HASTY)

    assert "orchestrator hasty v1" in shell.text
    assert "3 things do not belong in an orchestrator" in shell.text
    lines = [line.strip() for line in shell.text.splitlines()]
    assert any(
        line.startswith("⚠ line 4") and line.endswith("→ ctx.current_utc_datetime")
        for line in lines
    )
    assert any(
        line.startswith("⚠ line 5") and line.endswith("→ sorted(set(cities))") for line in lines
    )
    assert any(
        line.startswith(f"⚠ Cell In[{cell}], line 4") and line.endswith("→ ctx.random()")
        for line in lines
    )


def test_a_fine_orchestrator_says_nothing(shell: Shell):
    shell.must("%%orchestrator\nasync def fine(ctx):\n    return await fetch(ctx.new_uuid())")
    assert shell.text.strip() == "orchestrator fine v1"


def test_a_comment_silences_a_line(shell: Shell):
    shell.must(
        "%%orchestrator\nasync def meant(ctx):\n    import time\n"
        "    return time.time()  # durable: ok"
    )
    assert shell.text.strip() == "orchestrator meant v1"


def test_check_shows_it_again(shell: Shell):
    shell.must(HELPER)
    shell.must(HASTY)
    assert "3 things" in repr(shell.must("%durable check hasty"))
    assert "replay repeats all it does" in repr(shell.must("%durable check report"))
    assert "may do anything" in repr(shell.must("%durable check fetch"))
    shell.run("%durable check hsty")
    assert "did you mean 'hasty'" in shell.text


@pytest.mark.usefixtures("strict")
def test_strict_mode_refuses_the_cell_and_defines_nothing(shell: Shell):
    """All offences are listed with their lines; what was defined before stays."""
    shell.must("%%orchestrator\nasync def careful(ctx):\n    return 1")
    before = shell.ip.user_ns["careful"]
    versions = len(shell.must("%durable versions careful"))
    shell.run(
        "%%orchestrator\nasync def careful(ctx):\n    import time, uuid\n"
        "    print(1)\n    began = time.time()\n    return uuid.uuid4(), began"
    )

    assert isinstance(shell.error, EffectsError)
    assert shell.error.count == 2
    assert "-----> 5     began = time.time()" in shell.text
    assert "-----> 6     return uuid.uuid4(), began" in shell.text
    assert "ctx.new_uuid()" in shell.text
    assert "Traceback" not in shell.text
    assert shell.ip.user_ns["careful"] is before
    assert len(shell.must("%durable versions careful")) == versions
    assert shell.must("careful.start().result(timeout=60)") == 1


@pytest.mark.usefixtures("strict")
def test_strict_mode_points_at_the_cells_own_line_first(shell: Shell):
    shell.must(HELPER)
    cell = shell.ip.execution_count
    shell.run(HASTY)
    assert isinstance(shell.error, EffectsError)
    assert shell.error.first.startswith(f"Cell In[{cell}], line 4: time.time()")
    assert shell.error.count == 3


@pytest.mark.usefixtures("strict")
def test_strict_mode_leaves_no_variable_of_a_cell_it_refuses(shell: Shell):
    shell.run("%%orchestrator\nasync def refused(ctx):\n    return open('x')")
    assert isinstance(shell.error, EffectsError)
    assert "refused" not in shell.ip.user_ns


@pytest.mark.usefixtures("strict")
def test_strict_mode_stops_what_the_check_cannot_see(shell: Shell):
    """Strict is part of the version, since the code runs differently."""
    shell.must(
        "%%orchestrator\nasync def sly(ctx):\n    import time\n"
        "    return (lambda clock: clock.time())(time)"
    )
    function = shell.ip.user_ns["sly"]
    assert isinstance(function, OrchestratorFunction)
    assert function.definition.package.strict
    shell.run("sly.start().result(timeout=60)")
    assert "ForbiddenCallError: The orchestrator calls time.time() at Cell In[" in shell.text
    assert "line 4: the clock has moved on at replay. Instead: ctx.curr" in shell.text


def test_what_a_guard_sees_is_told_by_the_status(shell: Shell):
    shell.must(
        "%%orchestrator\nasync def unseen(ctx):\n    import time\n"
        "    return (lambda clock: clock.time())(time)"
    )
    assert shell.must("unseen.start().result(timeout=60)") > 0
    assert "calls time.time() at Cell In[" in repr(shell.must("%durable status"))


def test_a_version_that_does_not_repeat_itself_is_parked_at_once(shell: Shell):
    """Its first turn is replayed before anything of it is carried out."""
    shell.must(
        "%%orchestrator\nasync def unsteady(ctx):\n"
        "    return await ctx.call_activity('fetch' if ctx.is_replaying else 'other', 'x')"
    )
    shell.must("%%activity\ndef other(x): ...")
    run = shell.must("unsteady.start()")
    deadline = time.monotonic() + 60
    while run.status in (RuntimeStatus.PENDING, RuntimeStatus.RUNNING):
        assert time.monotonic() < deadline, run.record
    record = run.record

    assert record.status is RuntimeStatus.SUSPENDED
    assert "History: activity 'other'. Code at Cell In[" in record.suspend_reason
    shell.must(f"%durable terminate {run.instance_id}")


def test_what_a_decorator_defines_is_told_of_at_its_first_use(shell: Shell):
    """Helpers may be defined after it, so not before."""
    shell.must(
        "import ipydurable, time\n@ipydurable.orchestrator\nasync def decorated(ctx):\n"
        "    return time.time() > 0"
    )
    assert "belong" not in shell.text
    shell.must("decorated.start(instance_id='decorated').result(timeout=60)")
    assert "One thing does not belong in an orchestrator" in shell.text
    assert "line 4" in shell.text
    shell.must("decorated.start(instance_id='again').result(timeout=60)")
    assert "belong" not in shell.text


def test_a_decorator_can_be_strict(shell: Shell):
    shell.must(
        "import ipydurable, time\n@ipydurable.orchestrator(strict=True)\n"
        "async def decorated(ctx):\n"
        "    return time.time() > 0"
    )
    shell.run("decorated.start()")
    assert isinstance(shell.error, EffectsError)
    assert "-----> 4     return time.time() > 0" in shell.text
    shell.must("del decorated")


def test_the_kernel_shows_a_table(kernel: Kernel):
    """With the line, the code as it was written, and what to write instead."""
    kernel.run(HELPER)
    line, report = kernel.run(HASTY)
    assert line["data"]["text/plain"] == "orchestrator hasty v1"
    html = report["data"]["text/html"]
    assert "<table" in html
    assert "time.time()" in html
    assert "sorted(set(cities))" in html
    assert "# durable: ok" in html


@pytest.mark.parametrize(
    ("cell", "name", "shown", "hidden"),
    [
        (
            "%%orchestrator\n\nasync def f(ctx):\n    return 1 +",
            "CellSyntaxError",
            "line 4",
            "exec",
        ),
        ("%%activity\ndef f(x=NOPE): ...", "NameError", "----> 2 def f(x=NOPE)", "execution.py"),
        ("%%activity\nimport nope\ndef f(): ...", "ModuleNotFoundError", "----> 2", "execution.py"),
        ("%%activity --retries x\ndef f(): ...", "CellOptionError", "-----> 1 %%", "Traceback"),
        ("%%activity\nx = 1", "DefinitionError", "nothing with def", "Traceback"),
        ("%%orchestrator\nclass A: ...", "DefinitionError", "classes only", "Traceback"),
    ],
)
def test_an_error_in_a_cell_points_at_its_line(
    kernel: Kernel, cell: str, name: str, shown: str, hidden: str
):
    """And is an error for whoever runs the notebook, with none of our frames."""
    (error,) = kernel.run(cell)
    text = without_colors("\n".join(error["traceback"]))
    assert error["kind"] == "error"
    assert error["ename"] == name
    assert shown in text
    assert hidden not in text
    assert "kernel_ext" not in text


def test_an_error_of_an_activity_run_here_shows_only_the_users_lines(kernel: Kernel):
    kernel.run("%%activity\ndef fails(x):\n    return {}[x]")
    (error,) = kernel.run("fails(3)")
    text = without_colors("\n".join(error["traceback"]))
    assert "----> 3     return {}[x]" in text
    assert "functions.py" not in text


def test_wrong_content_is_told_with_its_cell(shell: Shell):
    shell.run("%%activity\ndef f(): ...\nf = 3")
    assert isinstance(shell.error, DefinitionError)
    assert f"Cell In[{shell.ip.execution_count - 1}] defines f" in shell.text
