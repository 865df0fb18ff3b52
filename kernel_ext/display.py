"""How things look in a notebook and in a terminal: lines, small tables, timelines."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.ports import InstanceUpdate

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ipydurable.runtime.requests import Defined
    from ipydurable.widgets import Timeline, TimelineModel

    from .functions import DurableFunction

__all__ = [
    "FONT",
    "MUTED",
    "TONES",
    "Facts",
    "Line",
    "Nothing",
    "Static",
    "TimelineView",
    "current_shell",
    "defined_line",
    "is_notebook",
    "show",
    "show_replaceable",
    "take_snapshot",
]

_log = logging.getLogger(__name__)

_FIRST_UPDATE_S = 5.0
FONT = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-ui-font-size1,13px);line-height:1.6"
)
MUTED = "opacity:.65"
TONES = {
    "": "",
    "warning": "color:var(--jp-warn-color0,#b07a00)",
    "error": "color:var(--jp-error-color0,#d64545)",
}


def current_shell() -> InteractiveShell | None:
    """Return the IPython shell this code runs in; None in a plain Python process."""
    # A shell that runs has imported IPython; where nobody has, importing it would only cost time.
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


def is_notebook(shell: InteractiveShell | None) -> bool:
    """Whether the shell belongs to a Jupyter kernel, so that its outputs can be live."""
    return getattr(shell, "kernel", None) is not None


def show(what: Any) -> None:
    """Show something below the cell that runs now."""
    from IPython.display import display

    display(what)  # type: ignore[no-untyped-call]


def show_replaceable(what: Any) -> Any:
    """Show something, and return the handle by whose `update` it is replaced in place."""
    from IPython.display import display

    return display(what, display_id=True)  # type: ignore[no-untyped-call]


class Line:
    """One line for people, with notes below it.

    Args:
        label: What it is about, e.g. `"activity"`.
        name: The name that stands out.
        detail: The rest of the line.
        notes: One line each, shown as warnings.
        tone: What the line itself is.
        is_muted: Whether it stands back.
    """

    def __init__(
        self,
        label: str = "",
        name: str = "",
        detail: str = "",
        notes: Sequence[str] = (),
        tone: Literal["", "warning", "error"] = "",
        *,
        is_muted: bool = False,
    ) -> None:
        self.label = label
        self.name = name
        self.detail = detail
        self.notes = tuple(notes)
        self.tone = tone
        self.is_muted = is_muted

    def __repr__(self) -> str:
        head = " ".join(part for part in (self.label, self.name, self.detail) if part)
        return "\n".join([head, *(f"  ⚠ {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        parts = [
            f'<span style="{MUTED}">{escape(self.label)}</span>' if self.label else "",
            f"<b>{escape(self.name)}</b>" if self.name else "",
            escape(self.detail),
        ]
        mark = f'<span style="{TONES["warning"]}">⚠</span>'
        notes = "".join(
            f'<div style="padding-left:1.2em;white-space:pre-wrap">{mark} {escape(note)}</div>'
            for note in self.notes
        )
        head = " ".join(part for part in parts if part)
        style = f"{FONT};white-space:pre-wrap;{MUTED if self.is_muted else TONES[self.tone]}"
        return f'<div style="{style}">{head}</div>' + (
            f'<div style="{FONT}">{notes}</div>' if notes else ""
        )


class Facts:
    """A heading with a small table of two columns.

    Args:
        heading: Stands above it.
        rows: What, and its value.
    """

    def __init__(self, heading: str, rows: Iterable[tuple[str, str]]) -> None:
        self.heading = heading
        self.rows = [(label, value) for label, value in rows if value]

    def __repr__(self) -> str:
        width = max((len(label) for label, _ in self.rows), default=0)
        return "\n".join([self.heading, *(f"  {one:<{width}}  {two}" for one, two in self.rows)])

    def _repr_html_(self) -> str:
        cell = "text-align:left;padding:1px 16px 1px 0;border:0;vertical-align:top"
        rows = "".join(
            f'<tr style="background:none"><td style="{cell};{MUTED}">{escape(label)}</td>'
            f'<td style="{cell};white-space:pre-wrap">{escape(value)}</td></tr>'
            for label, value in self.rows
        )
        return (
            f'<div style="{FONT}"><b>{escape(self.heading)}</b>'
            f'<table style="border-collapse:collapse;margin:2px 0 0;{FONT}">{rows}</table></div>'
        )


def defined_line(
    function: DurableFunction, defined: Defined, before: DurableFunction | None = None
) -> Line:
    """Return what a cell that defines something says.

    Args:
        function: What it defined.
        defined: What became of it.
        before: What this notebook had sent under that name before; None for nothing.
    """
    previous = 0 if before is None else before.number
    notes = [*function.warnings, *_changed_modules(function, before)]
    detail = f"v{defined.number}"
    stay = [
        f"{count} instance{'s' if count != 1 else ''} in flight "
        f"stay{'s' if count == 1 else ''} on v{number}"
        for number, count in sorted(defined.in_flight.items())
    ]
    if not defined.is_new:
        detail += " · same content, same version"
    elif stay:
        detail += f" · {', '.join(stay)}"
    elif defined.number == previous:
        detail += " · other options, new runs take them"
    elif defined.number < previous:
        detail += " again · new runs take it"
    elif defined.number > 1:
        detail += " · new runs take it"
    is_quiet = not defined.is_new and not notes
    return Line(function.kind.value, function.name, detail, notes, is_muted=is_quiet)


def _changed_modules(function: DurableFunction, before: DurableFunction | None) -> Iterator[str]:
    """Yield which modules beside the notebook make the difference to the version before."""
    if before is not None and before is not function:
        old = before.definition.package.module_hashes
        for name, content in function.definition.package.module_hashes.items():
            if old.get(name, content) != content:
                yield f"the module {name} has changed since v{before.number}"


class Static:
    """The timeline of an instance as it was: needs no kernel to be shown again."""

    def __init__(self, model: TimelineModel) -> None:
        from ipydurable.widgets import static_html, text

        self._html = static_html(model)
        self._text = text(model)

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


class Reattach:
    """A line below a live timeline that says how to find the instance again."""

    def __init__(self, instance_id: str) -> None:
        self._code = f"ipydurable.instance({instance_id!r})"

    def __repr__(self) -> str:
        return f"after a restart: {self._code}"

    def _repr_html_(self) -> str:
        return (
            f'<div style="{FONT};{MUTED}">after a restart: <code>{escape(self._code)}</code></div>'
        )


class Nothing:
    """What an output is replaced by that is not needed any more."""

    def __repr__(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        return ""


class TimelineView:
    """The timeline of one instance: live in a notebook, and its static form once it has ended.

    Each output that shows it is replaced in place at the end, so a saved notebook is never blank.
    Elsewhere it shows how the instance is at that moment.

    Args:
        client: Reaches the host.
        instance_id: Which instance.

    Attributes:
        settled: Done once no output of it will change any more.
    """

    def __init__(self, client: DurableClient, instance_id: str) -> None:
        self.settled: Future[None] = Future()
        self._client = client
        self._instance_id = instance_id
        self._lock = threading.RLock()
        self._widget: Timeline | None = None
        self._is_shared = False
        self._has_first = threading.Event()
        self._outputs: list[Any] = []
        self._notes: list[Any] = []
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether somebody looks at it and it may still change."""
        return self._widget is not None and not self.settled.done()

    @property
    def widget(self) -> Timeline:
        """The live widget, to be put into layouts of widgets; it stays after the end.

        Raises:
            UnknownInstanceError: There is no such instance.
        """
        self._is_shared = True
        return self._follow()

    def freeze(self) -> None:
        """Replace the live form by the static one, whether or not the instance has ended."""
        with self._lock:
            if self._widget is None or self.settled.done():
                return
            if self._has_first.is_set():
                static = Static(self._widget.model)
                for output in self._outputs:
                    output.update(static)
                for note in self._notes:
                    note.update(Nothing())
            if not self._is_shared:
                self._widget.close()
            self.settled.set_result(None)
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def __repr__(self) -> str:
        return f"<timeline of {self._instance_id!r}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        static = Static(take_snapshot(self._client, self._instance_id))
        return {"text/plain": repr(static), "text/html": static._repr_html_()}

    def _ipython_display_(self) -> None:
        if not is_notebook(current_shell()):
            raise NotImplementedError  # IPython then asks for the mime bundle.
        widget = self._follow()
        with self._lock:
            if self.settled.done():
                show(Static(widget.model))
            else:
                self._outputs.append(show_replaceable(widget))
                # Lab shows an error where a live widget was once its kernel is gone; this stays.
                self._notes.append(show_replaceable(Reattach(self._instance_id)))

    def _follow(self) -> Timeline:
        if self._widget is None:
            from ipydurable.widgets import Timeline

            self._widget = Timeline()
            unsubscribe = self._client.subscribe(self._instance_id, self._on_update)
            # Shown before it knows anything, it would be blank in a notebook saved meanwhile.
            self._has_first.wait(_FIRST_UPDATE_S)
            with self._lock:
                if not self.settled.done():
                    self._unsubscribe = unsubscribe
                    return self._widget
            unsubscribe()
        return self._widget

    def _on_update(self, update: InstanceUpdate) -> None:
        """Show news; in the thread of the link, which must go on whatever happens here."""
        try:
            assert self._widget is not None
            self._widget.update(update)
            self._has_first.set()
            if self._widget.finished:
                self.freeze()
        except Exception:  # noqa: BLE001
            _log.exception("the timeline of %s could not be shown", self._instance_id)


def take_snapshot(client: DurableClient, instance_id: str) -> TimelineModel:
    """Return the timeline of an instance as it is now.

    Raises:
        UnknownInstanceError: There is no such instance.
    """
    from ipydurable.widgets import TimelineModel

    first: Future[InstanceUpdate] = Future()

    def tell(update: InstanceUpdate) -> None:
        if not first.done():
            first.set_result(update)

    unsubscribe = client.subscribe(instance_id, tell)
    try:
        model = TimelineModel()
        model.apply(first.result(_FIRST_UPDATE_S))
    finally:
        unsubscribe()
    return model
