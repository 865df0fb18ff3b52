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
        context = getattr(self, "_ipydurable", None)
        if context is None:
            return display(self, *args, **options)
        if abs(self.pos) == 0:  # of bars within bars, the outermost
            context.progress(self.n, self.total, (self.desc or "").removesuffix(": "))
        return True

    std.tqdm.__init__ = make_quiet
    std.tqdm.display = display_
