"""What all live views have in common on the kernel's side: pace, threads, commands, the end.

A view is told news by a thread of the client and questions by one of the kernel's; here both meet
under one lock. State lives in traits, so that a view mounted later, or saved, is complete.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, ClassVar

import anywidget
import traitlets

from ipydurable.runtime.core.errors import DurableError

from .bundle import module, style_sheet

__all__ = ["MIN_INTERVAL_S", "Command", "LiveView"]

MIN_INTERVAL_S = 0.1
"""Seconds between two messages to the browser; more where sending takes long."""
_MAX_LOAD = 0.1

_log = logging.getLogger(__name__)

Command = Callable[..., Any]
"""What a button does: called with the browser's arguments; may return something JSON-able."""


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, "ipydurable-view")


class LiveView(anywidget.AnyWidget):
    """Base of the live views: sends what changed, at most every `MIN_INTERVAL_S`.

    A subclass names its folder under `static/` and says what is to be sent:

        class Card(LiveView, view="card"):
            state = traitlets.Dict().tag(sync=True)

            def update(self, record):            # called by any thread
                with self.lock:
                    self._record = record
                    self.send_soon()

            def send_changes(self):              # under the lock, all traits in one message
                self.state = ...

    Args:
        commands: What the view's buttons do, by name. They run in a thread of their own, so they
            may wait for the host; a `DurableError` is shown to the person who asked.

    Attributes:
        lock: Held while anything of the view changes.
        connection: Why nothing new arrives any more, in words; empty while all is well.
        again: The code that shows the view again, for a page whose kernel is gone.
    """

    connection = traitlets.Unicode().tag(sync=True)
    again = traitlets.Unicode().tag(sync=True)
    commands: traitlets.List[str] = traitlets.List().tag(sync=True)
    # By this a page finds out whether the kernel's side of the view is still there.
    key = traitlets.Unicode().tag(sync=True)

    _view: ClassVar[str] = ""

    def __init_subclass__(cls, view: str = "", **kwargs: Any) -> None:
        if view:
            cls._view = view
            cls._esm = module(view)
            cls._css = style_sheet(view)
        super().__init_subclass__(**kwargs)

    def __init__(self, commands: Mapping[str, Command] | None = None, **kwargs: Any) -> None:
        # Updates come on a subscriber's thread, questions of the browser on one of the kernel's.
        self.lock = threading.RLock()
        self._commands = dict(commands or {})
        self._next_s = 0.0
        self._timer: threading.Timer | None = None
        self.commands = sorted(self._commands)
        self.key = secrets.token_hex(16)
        super().__init__(model_id=self.key, **kwargs)
        self.on_msg(self._on_message)

    @abstractmethod
    def send_changes(self) -> None:
        """Set the traits that changed. Called under the lock; they travel in one message."""

    def on_question(self, content: Mapping[str, Any]) -> None:
        """Take a message of the browser that is no command. Called under the lock."""

    def send_soon(self, *, at_once: bool = False, apart: bool = False) -> None:
        """Have `send_changes` called: now, or once the interval is over. From any thread.

        Args:
            at_once: Do not wait for the interval: nothing more will come.
            apart: Always in a thread of its own, so that the caller's is not held up.
        """
        with self.lock:
            wait_s = self._next_s - time.monotonic()
            if (wait_s <= 0 or at_once) and not apart:
                self._send_now()
            elif self._timer is None:
                self._timer = threading.Timer(max(0.0, wait_s), self._send_now)
                self._timer.daemon = True
                self._timer.start()

    def disconnect(self, reason: str) -> None:
        """Say in the view that it is told nothing any more, and why; `""` takes that back."""
        with self.lock:
            self.connection = reason

    def close(self) -> None:
        """Stop sending and free the widget."""
        with self.lock:
            self._stop_timer()
        super().close()

    def _send_now(self) -> None:
        with self.lock:
            self._stop_timer()
            begun_s = time.monotonic()
            with self.hold_sync():
                self.send_changes()
            ended_s = time.monotonic()
            self._next_s = ended_s + max(MIN_INTERVAL_S, (ended_s - begun_s) / _MAX_LOAD)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _on_message(self, _: object, content: Any, __: object) -> None:
        if not isinstance(content, dict):
            return
        if "do" in content:
            # Jupyter's thread must not wait for the host.
            _workers().submit(self._carry_out, content)
            return
        with self.lock:
            self.on_question(content)

    def _carry_out(self, content: Mapping[str, Any]) -> None:
        answer = {"answer": content.get("id")}
        command, args = self._commands.get(str(content["do"])), content.get("args")
        try:
            if command is None or not isinstance(args, dict):
                answer["error"] = f"This view knows no command {content['do']!r}."
            else:
                answer["value"] = command(**args)
        except DurableError as error:
            answer["error"] = str(error)
        except Exception as error:  # noqa: BLE001  (whoever clicked is told)
            _log.exception("the command %s of a view failed", content["do"])
            answer["error"] = f"{type(error).__name__}: {error}"
        self.send(answer)
