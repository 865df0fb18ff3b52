"""What activities say, in a real kernel with a real host: kept, found by name, and shown."""

from tests.kernel.shells import Kernel

TALK = """%%activity
def talk(n):
    print("talking of", n)
    display(pd.DataFrame({"n": [n]}))
    if n == 2:
        raise ValueError("enough")
    return n"""
MUTTER = """%%activity
async def mutter(n):
    print("muttering of", n)
    return n"""
CHATTER = """%%orchestrator
async def chatter(ctx, n):
    return await ctx.when_all([*map(talk, range(n)), *map(mutter, range(n))])"""


def text_of(outputs: list[dict[str, object]]) -> str:
    """All that streams and results say."""
    parts = []
    for one in outputs:
        data = one.get("data", {})
        parts.append(str(one.get("text", "")) + str(data.get("text/plain", "")))  # type: ignore[attr-defined]
    return "\n".join(parts)


def test_what_an_activity_prints_and_displays_is_found_by_name_and_shown(kernel: Kernel) -> None:
    for cell in ("import pandas as pd", TALK, MUTTER, CHATTER):
        assert "error" not in [one["kind"] for one in kernel.run(cell)], cell
    kernel.run("spoken = chatter.start(2); spoken.wait(60)")
    assert "2 calls of talk: 2 completed" in text_of(kernel.run("spoken['talk']"))
    assert "talking of 1" in text_of(kernel.run("print(spoken['talk'][1].output.text)"))
    assert "muttering of 0" in text_of(kernel.run("spoken['mutter'][0].show()"))
    stream, table = kernel.run("spoken['talk'][0].show()")
    assert (stream["name"], stream["text"]) == ("stdout", "talking of 0\n")
    assert table["kind"] == "display_data"
    assert "<table" in table["data"]["text/html"]
    (told,) = kernel.run(
        "%durable sql SELECT name, text FROM attempt_outputs WHERE displays > 0 ORDER BY text"
    )
    assert "talking of 1" in told["data"]["text/html"]


def test_the_traceback_of_a_run_names_the_notebooks_own_line(kernel: Kernel) -> None:
    kernel.run("failed = chatter.start(3); failed.wait(60)")
    shown = text_of(kernel.run("print(failed.traceback)"))
    assert 'raise ValueError("enough")' in shown
    assert "Cell In[" in shown
    assert "ValueError: enough" in text_of(kernel.run("failed['talk'][2]"))


def test_a_display_that_somebody_else_has_stored_is_shown_as_text(kernel: Kernel) -> None:
    """The page would run its script: only what this user's hosts have signed is published."""
    kernel.run(
        "import msgspec\n"
        "from ipydurable.output_display import show_output\n"
        "def with_data(output, data):\n"
        "    items = [msgspec.structs.replace(one, data=data) if one.data else one\n"
        "             for one in output.items]\n"
        "    return msgspec.structs.replace(output, items=tuple(items))"
    )
    kernel.run("signed = chatter.start(1); signed.wait(60)")
    forged = "with_data(signed['talk'][0].output, {'text/html': '<script>steal()</script>'})"
    shown = kernel.run(f"show_output({forged})")
    assert {one["kind"] for one in shown} == {"stream"}
    assert "script" not in text_of(shown)
    assert "display_data" in [one["kind"] for one in kernel.run("signed['talk'][0].show()")]


PLOT = """%%activity
def plot(kind):
    if kind == "matplotlib":
        import matplotlib.pyplot as plt
        plt.plot([1, 4, 9])
        plt.title("squares")
        plt.show()
    elif kind == "figure":
        from matplotlib.figure import Figure
        figure = Figure()
        figure.subplots().plot([1, 2])
        display(figure)
    else:
        import plotly.graph_objects as go
        go.Figure(go.Bar(y=[1, 4, 9])).show()
    return kind"""
PLOTS = """%%orchestrator
async def plots(ctx):
    return await ctx.when_all([plot("matplotlib"), plot("figure"), plot("plotly")])"""


def test_figures_of_matplotlib_and_plotly_come_back_from_the_workers(kernel: Kernel) -> None:
    for cell in (PLOT, PLOTS, "drawn = plots.start(); drawn.wait(90)"):
        assert "error" not in [one["kind"] for one in kernel.run(cell)], cell
    for position in (0, 1):
        (picture,) = kernel.run(f"drawn['plot'][{position}].show()")
        assert picture["data"]["image/png"].startswith("iVBOR")
    # plotly shows a script of its own before the first figure of a process.
    *_, figure = kernel.run("drawn['plot'][2].show()")
    assert figure["data"]["application/vnd.plotly.v1+json"]["data"][0]["type"] == "bar"
