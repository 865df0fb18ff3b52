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
from types import ModuleType
from typing import Any, Final

import msgspec

from ipydurable.runtime.import_hooks import when_imported
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
    when_imported(_FUNCTIONS, _wrap)


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
    for name in _REEXPORTS:
        module = sys.modules.get(name)
        if module is not None:
            module.__dict__.update(display=recorded_display, publish_display_data=recorded_publish)


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
