"""What a cell shows while something goes on: a live view, and its static form at the end.

A notebook that is saved, reopened or exported shows its outputs without a kernel. So an output that
was live is replaced in place, once nothing will change any more, by what needs no kernel.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from html import escape
from typing import TYPE_CHECKING, Any

from ipydurable.runtime.client import DurableClient
from ipydurable.runtime.ports import InstanceUpdate

from .display import FONT, MUTED, current_shell, is_notebook, show, show_replaceable, take_away

if TYPE_CHECKING:
    from ipydurable.widgets.live import LiveView

__all__ = ["Alone", "Code", "Kept", "LiveOutput", "current_update"]

_log = logging.getLogger(__name__)

_FIRST_NEWS_S = 5.0
# An output that holds no live view steps back behind the static form that follows it.
_STYLE = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .ipd-kept):not(:has(.ipd-view))"
    "{display:none}</style>"
)


class Code:
    """A line below a view with the code that shows it again."""

    def __init__(self, label: str, code: str) -> None:
        self._label = label
        self._code = code

    def __repr__(self) -> str:
        return f"{self._label}: {self._code}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="ipd-again" style="{FONT};{MUTED}">{self._label}: '
            f"<code>{escape(self._code)}</code></div>"
        )


class Kept:
    """The static form of a view that is still live, and a line below it.

    It is an output of its own, below the live one, which hides it.

    Args:
        static: The form, with text and HTML.
        note: The line.
    """

    def __init__(self, static: Any, note: Code) -> None:
        self._text = repr(static)
        self._html = static._repr_html_()
        self._note = note

    def __repr__(self) -> str:
        return f"{self._text}\n{self._note!r}"

    def _repr_html_(self) -> str:
        note = self._note._repr_html_()
        return f'{_STYLE}<div class="ipd-kept ipd-again">{self._html}{note}</div>'


class Alone:
    """A widget alone: what stands in for it without a kernel is an output of its own."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle = self.widget._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {
            **{name: data[name] for name in data if name != "text/html"},
            "text/plain": "",
        }, metadata


class LiveOutput(ABC):
    """The outputs of one view: live in a notebook, static elsewhere and once it has ended.

    A subclass makes the view, has it told news (calling `has_news` after each), and says what
    stands in for it.

    Args:
        client: Reaches the host.
        again: The code that shows the view again, e.g. in the kernel after this one.

    Attributes:
        settled: Done once no output of it will change any more.
        rested: Done once none will change unless somebody acts; `settled` is done then or later.
    """

    def __init__(self, client: DurableClient, again: str) -> None:
        self.settled: Future[None] = Future()
        self.rested: Future[None] = self.settled
        self.client = client
        self._again = again
        self._lock = threading.RLock()
        self._widget: LiveView | None = None
        self._is_shared = False
        self._outlives_end = False
        self._has_first = threading.Event()
        self._outputs: list[Any] = []
        self._notes: list[Any] = []
        self._ends: list[Callable[[], None]] = []

    @abstractmethod
    def _make(self) -> LiveView:
        """Return a new live view, which knows nothing yet."""

    @abstractmethod
    def _follow(self, widget: LiveView) -> Callable[[], None]:
        """Have the view told everything, then what is new; returns how to end that."""

    @abstractmethod
    def _static(self, widget: LiveView) -> Any:
        """Return what the view shows now, as an object with a text and an HTML form."""

    @abstractmethod
    def _snapshot(self) -> Any:
        """Return the same without a live view."""

    @property
    def is_live(self) -> bool:
        """Whether somebody looks at it and it may still change."""
        return self._widget is not None and not self.settled.done()

    def keep_widget(self) -> LiveView:
        """Return the live view, for layouts of widgets; it stays after the end."""
        self._is_shared = True
        return self._start()

    def has_news(self, *, is_last: bool = False) -> None:
        """Take note that the view was told something; from any thread.

        Args:
            is_last: Nothing more will come, so that the static form takes over.
        """
        self._has_first.set()
        if is_last:
            self._settle()

    def freeze(self) -> None:
        """Have the outputs show the static form whether or not anything may still come.

        A widget that was put into a layout stays as it is, and is told nothing any more.
        """
        self._settle()
        self._end()

    def _settle(self) -> None:
        with self._lock:
            if self._widget is None or self.settled.done():
                return
            if self._has_first.is_set() and self._outputs:
                static = self._static(self._widget)
                for output in self._outputs:
                    output.update(static)
                last = self._last_note(self._widget)
                for note in self._notes:
                    if last is None:
                        take_away(note)
                    else:
                        note.update(last)
            if not (self._is_shared or self._outlives_end):
                self._widget.close()
            self.settled.set_result(None)
        if not self._is_shared:
            self._end()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        del kwargs
        static = self._snapshot()
        return {"text/plain": repr(static), "text/html": static._repr_html_()}

    def _ipython_display_(self) -> None:
        if not is_notebook(current_shell()):
            raise NotImplementedError  # IPython then asks for the mime bundle.
        widget = self._start()
        with self._lock:
            if self.settled.done():
                show(self._static(widget))
                if (last := self._last_note(widget)) is not None:
                    show(last)
            else:
                self._outputs.append(show_replaceable(self._shown(widget)))
                # Lab shows an error where a live widget was once its kernel is gone; this stays.
                self._notes.append(show_replaceable(self._note(widget)))

    def _shown(self, widget: LiveView) -> Any:
        """Return what an output displays: the view, or a layout that holds it."""
        return widget

    def _note(self, widget: LiveView) -> Any:
        """Return what stands below the view, for when there is no kernel."""
        del widget
        return Code("after a restart", self._again)

    def _last_note(self, widget: LiveView) -> Code | None:
        """Return what stands below the static form; None for nothing."""
        del widget
        return None

    def _start(self) -> LiveView:
        if self._widget is None:
            self._widget = self._make()
            self._widget.again = self._again
            self._ends.append(self._follow(self._widget))
            self._ends.append(self.client.watch_connection(self._on_connection))
            # Shown before it knows anything, it would be blank in a notebook saved meanwhile.
            self._has_first.wait(_FIRST_NEWS_S)
            if self.settled.done() and not self._is_shared:
                self._end()
        return self._widget

    def _end(self) -> None:
        """Be told nothing any more."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            end()

    def _on_connection(self, trouble: str) -> None:
        """Say in the view that the host is gone, or take that back; in a thread of the link."""
        try:
            if self._widget is not None and (self._is_shared or not self.settled.done()):
                self._widget.disconnect(trouble)
        except Exception:  # noqa: BLE001  (the link must go on whatever happens here)
            _log.exception("a view could not say that the host is gone")


def current_update(client: DurableClient, instance_id: str) -> InstanceUpdate:
    """Return all there is to know of an instance now, as a follower is told at first.

    Raises:
        UnknownInstanceError: There is no such instance.
    """
    first: Future[InstanceUpdate] = Future()

    def tell(update: InstanceUpdate) -> None:
        if not first.done():
            first.set_result(update)

    unsubscribe = client.subscribe(instance_id, tell)
    try:
        return first.result(_FIRST_NEWS_S)
    finally:
        unsubscribe()
