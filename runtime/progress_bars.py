"""Shows tqdm loops of activities as their progress, instead of printing bars."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

from .activity_context import CURRENT
from .import_hooks import when_imported

__all__ = ["report_progress_bars"]


def report_progress_bars() -> None:
    """Have tqdm tell `ctx.progress` wherever an activity runs; elsewhere nothing changes."""
    when_imported("tqdm.std", _wrap)
    when_imported("tqdm.notebook", _wrap_notebook)


class _Nowhere(io.StringIO):
    def write(self, text: str) -> int:
        return len(text)


def _wrap(std: ModuleType) -> None:
    make, display = std.tqdm.__init__, std.tqdm.display

    def make_quiet(self: Any, *args: Any, **options: Any) -> None:
        # A monitor thread may refresh the bar: it does not inherit the activity's context.
        self._ipydurable = CURRENT.get(None)
        if self._ipydurable is not None:
            options.setdefault("file", _Nowhere())
        make(self, *args, **options)

    def display_(self: Any, *args: Any, **options: Any) -> Any:
        return _told(self) or display(self, *args, **options)

    std.tqdm.__init__ = make_quiet
    std.tqdm.display = display_


def _wrap_notebook(notebook: ModuleType) -> None:
    """Have bars of widgets be plain ones in activities, where no notebook could show a widget."""
    bar = notebook.tqdm_notebook
    make, display, reset = bar.__init__, bar.display, bar.reset

    def make_plain(self: Any, *args: Any, **options: Any) -> None:
        if CURRENT.get(None) is None:
            self._ipydurable = None
            make(self, *args, **options)
            return
        # What only widgets have.
        for name in ("display", "ncols"):
            options.pop(name, None)
        self.disp, self.displayed = self.display, True
        options["gui"] = True  # Else it would make a widget.
        super(bar, self).__init__(*args, **options)

    def display_(self: Any, *args: Any, **options: Any) -> Any:
        return _told(self) or display(self, *args, **options)

    def reset_(self: Any, total: float | None = None) -> None:
        if self._ipydurable is None:
            reset(self, total)
        else:
            super(bar, self).reset(total)

    bar.__init__ = make_plain
    bar.display = display_
    bar.reset = reset_


def _told(bar: Any) -> bool:
    """Tell the activity that made a bar how far it is; False where none did."""
    context = getattr(bar, "_ipydurable", None)
    if context is None:
        return False
    if abs(bar.pos) == 0:  # of bars within bars, the outermost
        context.progress(bar.n, bar.total, (bar.desc or "").removesuffix(": "))
    return True
