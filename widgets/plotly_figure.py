"""A plotly figure that can be read where plotly is not: in saved, exported and printed notebooks.

Imports plotly; imported when a figure is asked for.
"""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
import plotly.io as pio  # type: ignore[import-untyped]

from .figure_static import FigureTable, figure_html, figure_text

__all__ = ["InstanceFigure"]

_PLOTLY_MIME = "application/vnd.plotly.v1+json"
# Those that show a mime type, and the one of a terminal, which has the text.
_OURS = frozenset(["plotly_mimetype", "jupyterlab", "nteract", "vscode", "browser"])


class InstanceFigure(go.Figure):  # type: ignore[misc]
    """A plotly figure as any other; beside plotly's own form it has one as SVG, and one as text.

    A terminal shows the text; `show()` opens it in a browser. Where plotly shows figures in a way
    of its own, as in Colab, it does.
    """

    _table: FigureTable | None = None

    def keep_table(self, table: FigureTable) -> None:
        """Keep what it shows as a table."""
        self._table = table

    # Jupyter would ask for plotly's own display first.
    _ipython_display_ = None

    def as_saved(self) -> dict[str, Any]:
        """Return its forms by mime type, as a notebook keeps them: plotly's, HTML and text."""
        plain = json.loads(self.to_json())
        return {
            _PLOTLY_MIME: {**plain, "config": {"responsive": True}},
            "text/html": figure_html(plain, self._table),
            "text/plain": figure_text(plain, self._table),
        }

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        del args, kwargs
        chosen = set(str(pio.renderers.default or "browser").split("+"))
        if chosen & _OURS:
            return self.as_saved()
        pio.show(self)
        return {"text/plain": ""}
