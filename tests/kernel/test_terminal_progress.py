"""What a terminal shows while somebody waits: one line, rewritten, gone at the end."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from typing import Any

from ipydurable.runtime.ports import InstanceUpdate
from ipydurable.terminal_progress import TerminalProgress, progress_line
from ipydurable.widgets import TimelineModel
from tests.widgets.scenarios import fan_out, small, waiting


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and tells when something was written."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self.written = threading.Event()

    def isatty(self) -> bool:
        """Whether it is one."""
        return self._is_terminal

    def write(self, text: str) -> int:
        """Write, and tell."""
        count = super().write(text)
        self.written.set()
        return count


class Client:
    """Tells a story to whoever subscribes."""

    def __init__(self, update: InstanceUpdate) -> None:
        self.update = update
        self.followers = 0

    def subscribe(
        self, instance_id: str, tell: Callable[[InstanceUpdate], None]
    ) -> Callable[[], None]:
        """Tell it all at once."""
        assert instance_id == self.update.record.instance_id
        self.followers += 1
        tell(self.update)
        return self._leave

    def _leave(self) -> None:
        self.followers -= 1


def _shown(text: str) -> str:
    return re.sub(r"\r\x1b\[2K", "\n", text)


def _line(story: Any, moment: float, width: int = 120) -> str:
    model = TimelineModel()
    for update in story.updates(moment):
        model.apply(update)
    return progress_line(model, width)


def test_the_line_says_how_far_it_is():
    """Name, time, a bar, counts, what runs."""
    assert _line(small(), 3.0) == ("▶ report  3.0 s  █████░░░░░░░ 3/7  ▶ 3 running · ‖ 1 waiting")


def test_the_line_says_what_is_waited_for():
    """Where nothing runs, it is not far but waiting."""
    assert 'waits for the event "approve"' in _line(waiting(), 3700)


def test_the_line_fits_the_terminal():
    """It is never wrapped, which would leave pieces behind."""
    assert len(_line(fan_out(1000), 5.0, 40)) <= 40


def test_it_is_shown_while_waiting_and_erased_at_the_end():
    """The last thing written takes the line away; the subscription ends."""
    (update,) = small().updates(3.0)
    client, stream = Client(update), Terminal()
    with TerminalProgress(client, "report-7f3a", stream):  # type: ignore[arg-type]
        assert stream.written.wait(10)
    assert "report  3.0 s" in _shown(stream.getvalue())
    assert stream.getvalue().endswith("\r\x1b[2K")
    assert client.followers == 0


def test_other_text_may_come_between():
    """What is erased on the way comes back below."""
    (update,) = small().updates(3.0)
    stream = Terminal()
    with TerminalProgress(Client(update), "report-7f3a", stream) as progress:  # type: ignore[arg-type]
        assert stream.written.wait(10)
        progress.erase()
        stream.write("a warning\n")
        stream.written.clear()
        assert stream.written.wait(10)
    assert re.search(r"\x1b\[2Ka warning\n\r\x1b\[2K▶ report", stream.getvalue())


def test_nothing_is_written_where_no_terminal_is():
    """A log stays clean, and the host is not asked."""
    (update,) = small().updates(3.0)
    client, stream = Client(update), Terminal(is_terminal=False)
    with TerminalProgress(client, "report-7f3a", stream) as progress:  # type: ignore[arg-type]
        assert not progress.is_wanted
    assert stream.getvalue() == ""
    assert client.followers == 0


def test_a_dumb_terminal_gets_nothing(monkeypatch):
    """It could not rewrite the line."""
    monkeypatch.setenv("TERM", "dumb")
    (update,) = small().updates(3.0)
    assert not TerminalProgress(Client(update), "report-7f3a", Terminal()).is_wanted  # type: ignore[arg-type]


def test_a_short_wait_shows_nothing():
    """What is done at once leaves no flicker."""
    (update,) = small().updates(3.0)
    stream = Terminal()
    with TerminalProgress(Client(update), "report-7f3a", stream):  # type: ignore[arg-type]
        pass
    assert stream.getvalue() == ""
