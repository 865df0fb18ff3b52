"""The magics, in an IPython shell of this process and in a real kernel, with a real host."""

import queue
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from IPython.core.oinspect import getdoc

import ipydurable
from ipydurable.functions import ActivityFunction, OrchestratorFunction
from ipydurable.runtime.core.errors import (
    DefinitionError,
    DurableError,
    NotAStoreError,
    StoreUnwritableError,
    UnknownInstanceError,
)
from ipydurable.session import SESSIONS, current_session
from ipydurable.subcommands import SUBCOMMANDS
from tests.kernel.shells import FETCH, REPORT, WAITS, Kernel, Shell, without_colors

pytestmark = pytest.mark.processes


def test_a_cell_binds_a_durable_function(shell: Shell):
    """The variable is the durable function, which runs when it is called in a plain cell."""
    shell.must("%%activity --retries 3 --timeout 2m --on threads\ndef _h(): ...\ndef f(): return 1")

    function = shell.ip.user_ns["f"]
    assert isinstance(function, ActivityFunction)
    assert (function.options.max_attempts, function.options.timeout_s) == (4, 120)
    assert shell.text.strip() == "activity f v1"
    assert shell.must("f()") == 1


def test_a_new_version_is_told(shell: Shell):
    """The line says whether anything changed, and who gets the new version."""
    shell.must("%%activity\ndef g(): return 1")
    shell.must("%%activity\ndef g():\n    # a comment\n    return 1")
    assert shell.text.strip() == "activity g v1 · same content, same version"
    shell.must("%%activity\ndef g(): return 2")
    assert shell.text.strip() == "activity g v2 · new runs take it"
    shell.must("%%activity\ndef g(): return 1")
    assert shell.text.strip() == "activity g v1 again · new runs take it"


def test_instances_in_flight_keep_their_version(shell: Shell):
    """The line counts who stays on which version."""
    shell.must(WAITS)
    shell.must("run = waits.start(instance_id='stays')")
    shell.must(WAITS + " or 0")
    said, offered = shell.text.strip().splitlines()
    assert said == "orchestrator waits v2 · 1 instance in flight stays on v1"
    assert offered == "%durable migrate waits  moves those to v2 whose history fits it"
    shell.must("%durable terminate stays")


def test_name(shell: Shell):
    """--name names the definition; the variable stays the function's."""
    shell.must("%%orchestrator --name nightly\nasync def run_nightly(ctx): return 1")

    function = shell.ip.user_ns["run_nightly"]
    assert isinstance(function, OrchestratorFunction)
    assert function.name == "nightly"
    assert re.fullmatch(r"orchestrator nightly v1 \(\w{8}\), cell \[\d+\]", repr(function))


def test_magics_inside_the_cell_work(shell: Shell):
    """The body is a cell like any other."""
    shell.must("%%activity\n%env IPYD_X=1\ndef e(): return 3")

    assert shell.must("e()") == 3


def test_a_traceback_shows_the_line_in_the_cell(shell: Shell):
    """Line numbers count from the line of the magic, and none of our frames is shown."""
    shell.run("%%activity\n  \nimport os\nboom = 1 / 0\ndef f(): ...")

    assert isinstance(shell.error, ZeroDivisionError)
    assert "----> 4 boom = 1 / 0" in shell.text
    assert "kernel_ext" not in shell.text
    assert "execution.py" not in shell.text


def test_a_traceback_of_the_function_shows_the_line_in_the_cell(shell: Shell):
    """An error in a local call names the line as the cell has it."""
    shell.must("%%activity\n\ndef fails():\n    raise KeyError('k')")
    shell.run("fails()")

    assert "----> 4     raise KeyError('k')" in shell.text
    assert "functions.py" not in shell.text


def test_a_syntax_error_is_shown_once(shell: Shell):
    """It looks as in a plain cell, and is an error for whoever runs the notebook."""
    shell.run("%%activity\ndef fetch(city:\n    return 1")

    assert isinstance(shell.error, DefinitionError)
    assert shell.text.count("SyntaxError") == 1
    assert "line 2" in shell.text
    assert "Traceback" not in shell.text
    assert isinstance(shell.ip.user_ns["fetch"], ActivityFunction)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%activity\nx = 1", "nothing with def"),
        ("%%orchestrator\nasync def f(): ...", "takes no context"),
        ("%%activity\ndef f():\n    yield 1", "collect what it yields"),
        ("%%activity\ndef f(): ...\nf = 3", "makes 'f' something else"),
        ("%%activity\nimport ipydurable\n@ipydurable.activity\ndef f(): ...", "made durable twice"),
    ],
)
def test_a_cell_that_defines_nothing_durable(shell: Shell, cell: str, said: str):
    """The error is short, and says what to do."""
    shell.run(cell)

    assert isinstance(shell.error, DefinitionError)
    assert said in shell.text
    assert "Traceback" not in shell.text


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%durable shwo", "did you mean 'show'"),
        ("%durable show", "Usage: %durable show ID"),
        ("%durable start report ['Basel']", '%durable start report ["Basel", "Zürich"]'),
        ("%durable start --id x", "Usage: %durable start NAME"),
        ("%durable raise x", "Usage: %durable raise ID EVENT"),
        ("%durable list --status faild", "did you mean 'failed'"),
    ],
)
def test_wrong_usage(shell: Shell, cell: str, said: str):
    """Wrong usage is told in a line, without a traceback."""
    shell.run(cell)

    assert "UsageError" in shell.text
    assert said in shell.text


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("%%activity --timeout soon", "'soon' is no length of time"),
        ("%%activity --retries -1", "retries"),
        ("%%activity --retries x", "--retries: invalid int value: 'x'"),
        ("%%activity --on gpu", "processes, threads, asyncio"),
        ("%%activity --nope", "unrecognized arguments: --nope"),
        ("%%orchestrator --name", "%%orchestrator? lists the options"),
        ("%%entity --key x", "unrecognized arguments: --key x"),
    ],
)
def test_wrong_options_of_a_cell_are_an_error_at_its_first_line(
    shell: Shell, header: str, said: str
):
    """What runs all cells must not go on with what was defined before."""
    shell.run(f"{header}\ndef f(ctx, x): ...")

    assert isinstance(shell.error, DefinitionError)
    assert f"-----> 1 {header}" in shell.text
    assert said in shell.text
    assert "Traceback" not in shell.text


def test_start_and_steer(shell: Shell):
    """An instance is started, listed, shown, told and ended by the line magic."""
    shell.must(WAITS)
    run = shell.must("%durable start waits --id steered")
    assert run.instance_id == "steered"
    assert "Running" in shell.must("%durable list --status running")["status"].tolist()
    assert repr(shell.must("%durable suspend steered lunch")) == "instance steered is Suspended"
    assert repr(shell.must("%durable resume steered")) == "instance steered is Running"
    shell.must('%durable raise steered GO {"n": 1, "who": "you"}')
    assert run.result(30) == {"n": 1, "who": "you"}
    assert "EventRaised" in shell.must("%durable history steered")["event_type"].tolist()
    shell.must("%durable show steered")
    assert "Completed" in shell.text


def test_json_reaches_the_orchestrator_as_it_is(shell: Shell):
    """Braces and dollars are JSON's, not IPython's."""
    shell.must("n = 5")
    shell.must("%%orchestrator\nasync def echo(ctx, value): return value")

    assert shell.must('%durable start echo {"n":5, "c": "$n"}').result(30) == {"n": 5, "c": "$n"}
    assert shell.must("%%durable start echo\n[1,\n 2]").result(30) == [1, 2]


def test_sql(shell: Shell):
    """A query may stand on the line or below it, and is a DataFrame."""
    shell.must("report.start(['Basel']).result(60)")

    assert shell.must("%durable sql SELECT 1 AS one")["one"].tolist() == [1]
    frame = shell.must("%%durable sql\nSELECT name\nFROM activities\nWHERE name = 'fetch'")
    assert set(frame["name"]) == {"fetch"}


def test_definitions_and_versions(shell: Shell):
    """What is defined is listed with all its versions."""
    shell.must("%%activity\ndef twice(): return 1")
    shell.must("%%activity\ndef twice(): return 2")

    assert shell.must("%durable versions twice")["number"].tolist() == [1, 2]
    assert "twice" in shell.must("%durable definitions")["name"].tolist()
    shell.run("%durable versions twise")
    assert isinstance(shell.error, DurableError)
    assert "did you mean 'twice'" in shell.text


def test_status_and_help(shell: Shell):
    """Without a subcommand the host is described; help lists all there is."""
    assert "process" in repr(shell.must("%durable"))
    shown = repr(shell.must("%durable help"))
    assert all(f"%durable {one.usage}" in shown for one in SUBCOMMANDS.values())


def test_the_docstring_lists_every_subcommand(shell: Shell):
    """`%durable?` and `%durable help` say the same."""
    documented = " ".join(getdoc(shell.ip.find_line_magic("durable")).split())

    for name, one in SUBCOMMANDS.items():
        usage = "[status]" if name == "status" else one.usage
        assert " ".join(f"%durable {usage}".split()) in documented
        assert one.summary.removesuffix("; also without a subcommand") in documented


def test_help_of_the_cell_magics(shell: Shell):
    """`%%activity?` documents its options."""
    documented = getdoc(shell.ip.find_cell_magic("activity"))

    assert "--max-parallel" in documented
    assert "%%activity --retries 3 --timeout 60" in documented


def test_unknown_ids(shell: Shell):
    """An unknown id is a real error, with a near one."""
    shell.must("report.start(['Basel'], instance_id='known').wait(60)")
    shell.run("%durable show knwon")

    assert isinstance(shell.error, UnknownInstanceError)
    assert "Did you mean 'known'" in shell.text
    assert "Traceback" not in shell.text


def test_a_run_shows_itself_as_text_in_a_terminal(shell: Shell):
    """As the last expression an instance shows its timeline; start shows nothing by itself."""
    shell.must("run = report.start(['Basel'], instance_id='in-text')")
    assert shell.text == ""
    shell.must("run.wait(60);")
    shell.must("run")
    assert "in-text" in shell.text
    assert "fetch" in shell.text


@pytest.mark.parametrize(
    ("path", "error"),
    [("junk.duckdb", NotAStoreError), ("no/such/folder/x.duckdb", StoreUnwritableError)],
)
def test_a_store_that_does_not_open_changes_nothing(
    shell: Shell, path: str, error: type[DurableError]
):
    """The session stays with its store where another one does not open."""
    Path("junk.duckdb").write_text("no database")
    before = current_session()
    shell.run(f"%durable open {path}")

    assert isinstance(shell.error, error)
    assert current_session() is before
    assert shell.must("report.start(['Basel']).result(60)") == 5


def test_another_store_gets_the_definitions(shell: Shell):
    """After %durable open what was defined before is sent when it is needed."""
    shell.must('%durable open "other store.duckdb"')
    try:
        assert current_session().store == "other store.duckdb"
        assert shell.must("report.start(['Basel', 'Bern']).result(60)") == 9
        shell.must("%durable stop")
    finally:
        shell.must("%config DurableMagics.store = 'durable.duckdb'")
    assert current_session().store == "durable.duckdb"


def test_a_fresh_store_begins_empty_and_keeps_what_was_there(shell: Shell):
    """%durable open --fresh renames the store that is there, though its host lives."""
    try:
        shell.must("%durable open --fresh fresh.duckdb")
        assert not Path("fresh.duckdb.before").exists()
        shell.must("run = report.start(['Basel'], instance_id='one'); run.result(60)")
        shell.must("%durable open --fresh fresh.duckdb")

        assert len(current_session().instances()) == 0
        assert shell.must("report.start(['Bern'], instance_id='one').result(60)") == 4
        shell.must("%durable open fresh.duckdb.before")
        assert current_session().instance("one").output == 5
        shell.must("%durable stop")
        shell.must("%durable open fresh.duckdb")
        shell.must("%durable stop")
    finally:
        shell.must("%config DurableMagics.store = 'durable.duckdb'")


def test_a_stopped_host_is_started_again(shell: Shell):
    """What is used after %durable stop starts the next host; definitions are still there."""
    before = current_session().client.host_status().pid
    shell.must("%durable stop")

    assert shell.must("report.start(['Basel']).result(60)") == 5
    assert current_session().client.host_status().pid != before


def test_unload_takes_everything_back(shell: Shell):
    """After %unload_ext there is nothing of us in the shell; loading again works."""
    shell.must("%unload_ext ipydurable")
    try:
        assert shell.ip.find_line_magic("durable") is None
        assert shell.ip.find_cell_magic("activity") is None
        assert "DurableMagics" not in [type(one).__name__ for one in shell.ip.configurables]
        assert not any("ipydurable" in one.__module__ for one in shell.ip.Completer.custom_matchers)
        assert shell.ip not in SESSIONS
        with pytest.raises(DurableError):
            ipydurable.instance("known")
    finally:
        shell.must("%load_ext ipydurable")
    assert shell.must("import ipydurable; ipydurable.instances(limit=1)").shape[0] == 1


VIEW = "application/vnd.jupyter.widget-view+json"


def test_start_shows_a_live_timeline_that_ends_static(kernel: Kernel):
    """One live view per start, replaced in place by what a notebook without a kernel can show."""
    live, note = kernel.run("run = waits.start(instance_id='live')")
    assert VIEW in live["data"]
    assert "Running" in live["data"]["text/html"]
    assert "ipydurable.instance('live')" in note["data"]["text/plain"]

    kernel.run("run.raise_event('go', 1)")
    kernel.until(live, "Completed")

    assert VIEW not in live["data"]
    assert "Completed" in live["data"]["text/html"]
    kernel.run("run.timeline().settled")
    assert note["data"]["text/plain"] == ""
    assert "ipd-gone" in note["data"]["text/html"]


def test_a_waiting_cell_returns_after_the_last_update(kernel: Kernel):
    """What a headless run saves is the end: `await run` waits for the static form."""
    outputs = kernel.run("run = report.start(['Basel'])\nawait run")

    kinds = [one["kind"] for one in outputs]
    assert kinds == ["display_data", "display_data", "execute_result"]
    assert VIEW not in outputs[0]["data"]
    assert "Completed" in outputs[0]["data"]["text/plain"]
    assert outputs[2]["data"]["text/plain"] == "5"


def test_the_last_expression_is_not_shown_twice(kernel: Kernel):
    """`report.start(...)` alone in a cell shows one timeline; `run` in the next cell another."""

    def timelines(code: str) -> int:
        # Below one that still runs stands how to see it again after a restart.
        texts = [one["data"]["text/plain"] for one in kernel.run(code)]
        return sum(text.startswith("report ") for text in texts)

    assert timelines("report.start(['Basel'], instance_id='once')") == 1
    assert timelines("import ipydurable\nipydurable.instance('once')") == 1
    assert timelines("ipydurable.instance('once').timeline()") == 1


def test_many_starts_do_not_flood_the_notebook(kernel: Kernel):
    """A loop of starts shows the first few, and how to see the rest."""
    outputs = kernel.run(
        "runs = [report.start(['x']) for _ in range(6)]\n_ = [await r for r in runs]"
    )

    shown = [text for one in outputs if (text := one["data"]["text/plain"])]
    assert len(shown) == 4
    assert "%durable list" in shown[3]


def test_timelines_can_be_turned_off(kernel: Kernel):
    """`%config DurableMagics.timeline = False` keeps start quiet."""
    kernel.run("%config DurableMagics.timeline = False")
    assert kernel.run("run = report.start(['x'])") == []
    kernel.run("%config DurableMagics.timeline = True")


def test_a_syntax_error_stops_whoever_runs_the_notebook(kernel: Kernel):
    """The cell's reply is an error, and the error is shown once."""
    (output,) = kernel.run("%%activity\ndef broken(:\n    pass")

    assert output["kind"] == "error"
    assert "".join(output["traceback"]).count("SyntaxError") == 1


def test_an_interrupt_leaves_the_instance_running(kernel: Kernel):
    """Interrupting `run.result()` or `await run` ends the waiting, and says so."""
    kernel.run("%config DurableMagics.timeline = False\nrun = waits.start(instance_id='held')")
    for cell in ("run.result()", "await run"):
        outputs = kernel.run(cell, meanwhile=lambda: _interrupt_soon(kernel))
        assert [one["kind"] for one in outputs] == ["error"]
        assert "'held' goes on in the background" in _plain(outputs[0])
        assert len(_plain(outputs[0]).splitlines()) == 1
    (status,) = kernel.run("run.status.value")
    assert status["data"]["text/plain"] == "'Running'"
    kernel.run("run.terminate()\n%config DurableMagics.timeline = True")


def test_after_a_restart_the_instance_is_found_again(kernel: Kernel):
    """A new kernel finds the instance by its id, with nothing defined."""
    kernel.run("run = waits.start(instance_id='survivor')")
    kernel.restart()
    (greeting,) = kernel.run("%load_ext ipydurable")
    assert "1 instance in flight" in kernel.until(greeting, "in flight")
    kernel.run("import ipydurable\nrun = ipydurable.instance('survivor')\nrun.raise_event('go', 3)")
    (result,) = kernel.run("await run")
    assert result["data"]["text/plain"] == "3"
    for cell in (FETCH, REPORT, WAITS):
        assert "same content, same version" in kernel.run(cell)[0]["data"]["text/plain"]


def test_a_locked_store_is_told_at_load(kernel: Kernel, tmp_path: Path):
    """The line below %load_ext names who has the file open; the first use raises that."""
    path = tmp_path / "locked.duckdb"
    connection = duckdb.connect(str(path))
    try:
        kernel.run(
            "%unload_ext ipydurable\nget_ipython().config.DurableMagics.store = " + repr(str(path))
        )
        (greeting,) = kernel.run("%load_ext ipydurable")
        assert "is open in process" in kernel.until(greeting, "did not open")
        (error,) = kernel.run("%durable list")
        assert error["ename"] == "StoreLockedError"
    finally:
        connection.close()
        kernel.run("%durable open durable.duckdb")


def _interrupt_soon(kernel: Kernel) -> None:
    # Nothing tells that the cell has come to its wait; an interrupt before that is one as well.
    try:
        kernel.client.get_iopub_msg(timeout=0.5)
    except queue.Empty:
        kernel.manager.interrupt_kernel()


def _plain(error: dict[str, Any]) -> str:
    return without_colors("\n".join(error["traceback"]))
