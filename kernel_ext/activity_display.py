"""IPython's `display()` inside activities: what it shows is kept with the attempt.

Workers have no IPython shell, and most never import IPython. So `display` is a builtin that imports
it when it is called, and IPython's own functions are wrapped when somebody imports them.
"""

# as IPython's functions are:
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import base64
import builtins
import functools
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

import msgspec

from ipydurable.runtime.recording import current_recorder

__all__ = ["end_attempt", "install", "install_in_worker"]

_FUNCTIONS: Final = "IPython.core.display_functions"
_REEXPORTS: Final = ("IPython.display", "IPython.core.display")
_BACKEND: Final = "module://matplotlib_inline.backend_inline"


def install_in_worker() -> None:
    """Have `display()` and `plt.show()` recorded in this worker process."""
    install()
    if importlib.util.find_spec("matplotlib_inline") is not None:
        os.environ.setdefault("MPLBACKEND", _BACKEND)
    # Else a figure that shows itself would open a browser.
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype+notebook_connected")


def install() -> None:
    """Have `display()` recorded wherever an activity runs in this process; else nothing changes."""
    if not hasattr(builtins, "display"):
        builtins.display = _lazy_display  # type: ignore[attr-defined]
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    functions = sys.modules.get(_FUNCTIONS)
    if functions is not None:
        _wrap(functions)
        for name in _REEXPORTS:
            module = sys.modules.get(name)
            if module is not None:
                module.__dict__.update(
                    display=functions.display, publish_display_data=functions.publish_display_data
                )


def end_attempt() -> None:
    """Display the figures that an activity left open, and close them, as the end of a cell does."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    for number in pyplot.get_fignums():
        _record(pyplot.figure(number))
    pyplot.close("all")


def _lazy_display(*objects: Any, **options: Any) -> Any:
    """Display objects; see `IPython.display.display`."""
    from IPython.display import display

    return display(*objects, **options)


class _Finder(MetaPathFinder):
    """Wraps IPython's display functions as soon as they are imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _FUNCTIONS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _wrap(module)


def _wrap(functions: ModuleType) -> None:
    display, publish = functions.display, functions.publish_display_data

    def recorded_display(*objects: Any, **options: Any) -> Any:
        if current_recorder() is None:
            return display(*objects, **options)
        for one in objects:
            if options.get("raw"):
                _record_bundle(one, options.get("metadata"))
            else:
                _record(one, options.get("include"), options.get("exclude"))
        display_id = options.get("display_id")
        if not display_id:
            return None
        return functions.DisplayHandle(None if display_id is True else display_id)

    def recorded_publish(
        data: dict[str, Any], metadata: dict[str, Any] | None = None, **options: Any
    ) -> None:
        if current_recorder() is None:
            publish(data, metadata, **options)
        else:
            _record_bundle(data, metadata)

    recorded_display.__doc__, recorded_publish.__doc__ = display.__doc__, publish.__doc__
    functions.display = recorded_display  # type: ignore[attr-defined]
    functions.publish_display_data = recorded_publish  # type: ignore[attr-defined]


def _record(value: Any, include: Any = None, exclude: Any = None) -> None:
    data, metadata = _the_formatter().format(value, include=include, exclude=exclude)
    if data:  # else it has displayed itself
        _record_bundle(data, metadata)


def _record_bundle(data: dict[str, Any], metadata: dict[str, Any] | None) -> None:
    recorder = current_recorder()
    if recorder is not None:
        recorder.display(_plain(data), _plain(metadata or {}))


def _plain(bundle: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle without what cannot be stored; bytes become base64."""
    plain = {}
    for kind, value in bundle.items():
        content = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        try:
            msgspec.msgpack.encode(content)
        except (TypeError, ValueError, OverflowError, RecursionError):
            continue
        plain[str(kind)] = content
    return plain


@functools.cache
def _own_formatter() -> Any:
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.pylabtools import print_figure

    formatter = DisplayFormatter()
    formatter.formatters["image/png"].for_type_by_name(
        "matplotlib.figure", "Figure", functools.partial(print_figure, fmt="png", base64=True)
    )
    return formatter


def _the_formatter() -> Any:
    """Return what makes MIME bundles of objects: the shell's own, where there is a shell."""
    from IPython.core.interactiveshell import InteractiveShell

    if InteractiveShell.initialized():
        return InteractiveShell.instance().display_formatter
    return _own_formatter()
