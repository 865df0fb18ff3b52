"""DataFrames that are shown as something better than their rows, and are DataFrames otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from .display import current_shell, is_notebook

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["entities_lines", "instances_lines", "shown_frame"]


def shown_frame(
    frame: pd.DataFrame,
    text: Callable[[pd.DataFrame, int], str],
    view: Callable[[], Any] | None = None,
) -> pd.DataFrame:
    """Return a DataFrame that is shown in another way as the value of a cell or a line.

    What is made of it (a part, a sorted one) is an ordinary DataFrame.

    Args:
        frame: The data.
        text: Gives what a terminal shows, for so many columns.
        view: Gives what a notebook shows; a DataFrame's table by default.
    """
    shown: pd.DataFrame = _class()(frame)
    object.__setattr__(shown, "_shown", (text, view))
    return shown


def entities_lines(frame: pd.DataFrame, width: int) -> str:
    """Return a DataFrame of entities as lines of text."""
    from ipydurable.widgets.text_table import text_table

    columns = ["kind", "key", "state", ">waiting", "locked by", "modified (UTC)"]
    rows = [
        (
            name,
            key,
            repr(state),
            f"{pending:,}" if pending else "",
            owner,
            f"{at:%Y-%m-%d %H:%M:%S}",
        )
        for name, key, state, pending, owner, at in _columns(
            frame, "name", "key", "state", "pending", "locked_by", "modified_at"
        )
    ]
    return "\n".join(text_table(columns, rows, width)) if rows else "no entities"


def instances_lines(frame: pd.DataFrame, width: int) -> str:
    """Return a DataFrame of instances as lines of text."""
    from ipydurable.runtime.core.status import RuntimeStatus
    from ipydurable.widgets.text import STATUS_SIGNS
    from ipydurable.widgets.text_table import text_table

    columns = ["instance", "orchestrator", "status", "created (UTC)", ">took", "note"]
    rows = [
        (
            instance_id,
            name,
            f"{STATUS_SIGNS[RuntimeStatus(status)]} {status}",
            f"{created:%Y-%m-%d %H:%M:%S}",
            _took(duration),
            error or (f"waits for {waiting}" if waiting else ""),
        )
        for instance_id, name, status, created, duration, error, waiting in _columns(
            frame,
            *("instance_id", "name", "status", "created_at", "duration", "error", "waiting_for"),
        )
    ]
    return "\n".join(text_table(columns, rows, width)) if rows else "no instances"


def _took(seconds: float) -> str:
    from ipydurable.widgets.layout import duration_words

    return duration_words(max(0.0, seconds) * 1000)


def _columns(frame: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(frame[name] for name in names), strict=True)


@cache
def _class() -> Any:
    import pandas as pd

    class ShownFrame(pd.DataFrame):  # type: ignore[misc,unused-ignore]
        """See `shown_frame`."""

        _shown: Any = None

        @property
        def _constructor(self) -> Any:
            return pd.DataFrame

        def _ipython_display_(self) -> None:
            view = self._shown[1] if self._shown is not None else None
            if view is None or not is_notebook(current_shell()):
                raise NotImplementedError  # IPython then asks for the other forms.
            view()._ipython_display_()

        def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
            if self._shown is None or cycle:
                printer.text(repr(self))
            else:
                printer.text(self._shown[0](self, shutil.get_terminal_size((120, 24)).columns))

    return ShownFrame
