"""Static figures of an instance, drawn by plotly, which is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from . import figure_data as data
from .figure_tables import TABLES
from .graph_model import GraphModel
from .layout import duration_words, total_ms
from .static_render import STATE_COLOURS
from .views import RowState, shorten

if TYPE_CHECKING:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    Figure: TypeAlias = go.Figure

__all__ = ["FIGURES", "figure"]

_LABEL_CHARS = 34
_ROW_PX, _FRAME_PX = 26, 130
_FEW = 4
_QUEUED = "rgba(133,138,147,.45)"
_RULE = "rgba(133,138,147,.35)"
_INK = "#7d828b"
_PATTERNS = {
    RowState.FAILED: "x",
    RowState.RUNNING: "/",
    RowState.WAITING: ".",
    RowState.ABANDONED: "-",
}
_THEMES = {
    "neutral": ("rgba(0,0,0,0)", _INK),
    "light": ("#ffffff", "#2b2f36"),
    "dark": ("#111111", "#d8dbe0"),
}


def figure(model: GraphModel, name: str, theme: str = "neutral") -> go.Figure:
    """Return a figure of an instance; its axes are in seconds from the start.

    Args:
        model: What to draw.
        name: One of `FIGURES`.
        theme: `"neutral"` reads on light and dark pages alike; `"light"` and `"dark"` bring a
            background of their own, for export.

    Raises:
        ValueError: There is no such figure or theme; lists those there are.
    """
    draw = FIGURES.get(name)
    if draw is None:
        raise ValueError(f"there is no figure {name!r}; there are {_names(FIGURES)}")
    if theme not in _THEMES:
        raise ValueError(f"there is no theme {theme!r}; there are {_names(_THEMES)}")
    from .plotly_figure import InstanceFigure

    drawn = InstanceFigure()
    drawn.keep_table(TABLES[name](model))
    draw(drawn, model)
    header = model.timeline.header()
    paper, ink = _THEMES[theme]
    drawn.update_layout(
        template="none",
        title={
            "text": f"{drawn.layout.title.text}<br><sup>{_escaped(header.name)} · "
            f"{header.status} · {duration_words(total_ms(header))} · "
            f"{_escaped(header.instance_id)}</sup>",
            "x": 0.01,
            "xanchor": "left",
            "font": {"size": 16},
        },
        paper_bgcolor=paper,
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink, "size": 12, "family": "system-ui, sans-serif"},
        margin={"l": 10, "r": 24, "t": 70, "b": 50},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"font": {"size": 12}, "align": "left"},
        bargap=0.35,
    )
    for axis in (drawn.update_xaxes, drawn.update_yaxes):
        axis(gridcolor=_RULE, zerolinecolor=_RULE, linecolor=_RULE, automargin=True)
    if not drawn.data:
        drawn.add_annotation(text="nothing to show yet", showarrow=False, font={"size": 14})
    return drawn


def _names(found: dict[str, Any]) -> str:
    return ", ".join(repr(name) for name in found)


def _escaped(text: str) -> str:
    # Plotly reads a little HTML in its texts.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _label(title: str, hint: str = "") -> str:
    return _escaped(shorten(f"{title} {hint}".strip(), _LABEL_CHARS))


def _seconds(drawn: go.Figure, title: str) -> None:
    drawn.update_xaxes(
        title=title, type="linear", ticksuffix=" s", rangemode="tozero", showgrid=True
    )


def _lines(drawn: go.Figure, labels: list[str]) -> None:
    """Have one line for each label, the first on top; labels need not differ."""
    drawn.update_yaxes(
        type="linear",
        tickmode="array",
        tickvals=list(range(len(labels))),
        ticktext=labels,
        range=[len(labels) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    drawn.update_layout(height=_FRAME_PX + _ROW_PX * max(3, len(labels)), barmode="overlay")


def _durations(drawn: go.Figure, model: GraphModel) -> None:
    found = data.durations(model)
    drawn.update_layout(title={"text": "Durations by operation"}, showlegend=False)
    _seconds(drawn, "time from first start to end, retries included")
    _lines(drawn, [f"{_label(one.name)}  ({one.finished:,})" for one in found])
    for place, one in enumerate(found):
        colour = STATE_COLOURS[
            RowState.FAILED if one.failed == one.finished else RowState.COMPLETED
        ]
        drawn.add_box(
            y=[place],
            q1=[one.q1],
            median=[one.median],
            q3=[one.q3],
            lowerfence=[one.low],
            upperfence=[one.high],
            mean=[one.mean],
            orientation="h",
            width=0.5,
            name=_label(one.name),
            marker={"color": colour},
            line={"width": 1.5},
            hoverinfo="skip",
        )
        drawn.add_scatter(
            x=[one.median],
            y=[place],
            mode="markers",
            marker={"color": colour, "size": 7, "symbol": "diamond"},
            hovertemplate=f"<b>{_label(one.name)}</b><br>{one.finished:,} finished, "
            f"{one.failed:,} failed<br>median {_words(one.median)}, mean {_words(one.mean)}<br>"
            f"half between {_words(one.q1)} and {_words(one.q3)}<extra></extra>",
        )
        if one.outliers:
            drawn.add_scatter(
                x=list(one.outliers),
                y=[place] * len(one.outliers),
                mode="markers",
                marker={"color": colour, "size": 5, "symbol": "circle-open"},
                hovertemplate="%{x:.3f} s<extra></extra>",
            )


def _concurrency(drawn: go.Figure, model: GraphModel) -> None:
    found = data.concurrency(model)
    drawn.update_layout(title={"text": "Activities over time"}, height=400, hovermode="x unified")
    _seconds(drawn, "time from the start")
    # Far more may be queued than run: each has a scale of its own.
    for values, name, axis, domain, colour, fill in (
        (found.running, "running", "y", (0.4, 1.0), RowState.RUNNING, "rgba(58,127,213,.25)"),
        (found.queued, "queued", "y2", (0.0, 0.28), RowState.QUEUED, "rgba(133,138,147,.25)"),
    ):
        drawn.add_scatter(
            x=list(found.times),
            y=list(values),
            yaxis=axis,
            mode="lines",
            name=name,
            line={"color": STATE_COLOURS[colour], "width": 1.6, "shape": "hv"},
            fill="tozeroy",
            fillcolor=fill,
            hovertemplate="%{y:,}",
        )
        few = max(values) <= _FEW
        drawn.update_layout(
            {
                axis.replace("y", "yaxis"): {
                    "title": name,
                    "domain": domain,
                    "rangemode": "tozero",
                    "tickformat": ",d",
                    "dtick": 1 if few else None,
                    "nticks": 5,
                }
            }
        )
    drawn.update_layout(showlegend=False)
    drawn.update_xaxes(anchor="y2")


def _critical_path(drawn: go.Figure, model: GraphModel) -> None:
    steps = data.critical_path(model)
    drawn.update_layout(title={"text": "Critical path: what decided how long it took"})
    _seconds(drawn, "time from the start")
    _lines(drawn, [_label(one.name, one.hint) for one in steps])
    _waits(
        drawn,
        [one.scheduled for one in steps],
        [one.started - one.scheduled for one in steps],
    )
    for state in dict.fromkeys(one.state for one in steps):
        places = [place for place, one in enumerate(steps) if one.state is state]
        chosen = [steps[place] for place in places]
        _bars(
            drawn,
            state,
            places=places,
            starts=[one.started for one in chosen],
            ends=[one.ended for one in chosen],
            said=[_step_words(one) for one in chosen],
            shares=[f"{one.share:.0%}" for one in chosen],
        )


def _step_words(step: data.Step) -> str:
    return (
        f"<b>{_label(step.name, step.hint)}</b><br>queued {_words(step.started - step.scheduled)}, "
        f"then took {_words(step.ended - step.started)}<br>{step.share:.0%} of the whole time"
    )


def _waterfall(drawn: go.Figure, model: GraphModel) -> None:
    found = data.waterfall(model)
    drawn.update_layout(title={"text": "Operations over time"})
    _seconds(drawn, "time from the start")
    _lines(drawn, [_label(one.title) for one in found])
    begun = [one.ended if one.started is None else one.started for one in found]
    waits = [start - one.scheduled for start, one in zip(begun, found, strict=True)]
    _waits(drawn, [one.scheduled for one in found], waits)
    for state in dict.fromkeys(one.state for one in found):
        places = [place for place, one in enumerate(found) if one.state is state]
        _bars(
            drawn,
            state,
            places=places,
            starts=[begun[place] for place in places],
            ends=[found[place].ended for place in places],
            said=[
                f"<b>{_label(found[place].title)}</b><br>{_escaped(found[place].detail)}<br>"
                f"{_words(found[place].ended - begun[place])}"
                for place in places
            ],
        )


def _waits(drawn: go.Figure, starts: list[float], lengths: list[float]) -> None:
    if not any(lengths):
        return
    drawn.add_bar(
        base=starts,
        x=lengths,
        y=list(range(len(starts))),
        orientation="h",
        width=0.3,
        name="queued",
        marker={"color": _QUEUED, "line": {"width": 0}},
        hoverinfo="skip",
    )


def _bars(
    drawn: go.Figure,
    state: RowState,
    *,
    places: list[int],
    starts: list[float],
    ends: list[float],
    said: list[str],
    shares: list[str] | None = None,
) -> None:
    colour = STATE_COLOURS[state]
    drawn.add_bar(
        base=starts,
        x=[end - start for start, end in zip(starts, ends, strict=True)],
        y=places,
        orientation="h",
        width=0.62,
        name=state.name.lower(),
        # What happens at one moment is a line at least. Colour is never alone.
        marker={
            "color": colour,
            "line": {"color": colour, "width": 1},
            "pattern": {"shape": _PATTERNS.get(state, "")},
        },
        text=shares,
        textposition="outside" if shares else None,
        cliponaxis=False,
        hovertext=said,
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _words(seconds: float) -> str:
    return duration_words(seconds * 1000)


FIGURES: dict[str, Callable[[go.Figure, GraphModel], None]] = {
    "durations": _durations,
    "concurrency": _concurrency,
    "critical_path": _critical_path,
    "waterfall": _waterfall,
}
"""The figures by name."""
