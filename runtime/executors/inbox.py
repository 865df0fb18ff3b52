"""What other threads want of an executor's own thread, which waits for sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Inbox"]


class Inbox:
    """Actions for a thread that sleeps in a selector.

    Attributes:
        alarm: Becomes readable when the thread is to wake up.
        is_closed: Whether nothing more is taken.
    """

    def __init__(self) -> None:
        """Start open, with nothing to do."""
        self.is_closed = False
        self.alarm, self._bell = socket.socketpair()
        self.alarm.setblocking(False)
        self._lock = threading.Lock()
        self._actions: deque[Callable[[], None]] = deque()
        self._is_asleep = False

    def __bool__(self) -> bool:
        """Whether there is something to do."""
        return bool(self._actions)

    def post(self, action: Callable[[], None]) -> bool:
        """Have the thread do something; False where the inbox is closed."""
        with self._lock:
            if self.is_closed:
                return False
            self._actions.append(action)
            must_ring = self._is_asleep
            self._is_asleep = False
        if must_ring:
            self.ring()
        return True

    def ring(self) -> None:
        """Wake the thread up."""
        with contextlib.suppress(OSError):
            self._bell.send(b".")

    def close(self) -> None:
        """Take nothing more; what was posted is still done."""
        with self._lock:
            self.is_closed = True

    def may_sleep(self) -> bool:
        """Say that the thread is about to sleep; False where there is something to do."""
        with self._lock:
            self._is_asleep = not self._actions and not self.is_closed
            return self._is_asleep

    def awake(self) -> None:
        """Say that the thread is up again, for whatever reason."""
        self._is_asleep = False

    def take_alarm(self) -> None:
        """Take note of the alarm, so that it can ring again."""
        with contextlib.suppress(BlockingIOError):
            self.alarm.recv(4096)

    def do_all(self) -> None:
        """Do what was posted, in order."""
        while self._actions:
            self._actions.popleft()()

    def free(self) -> None:
        """Release the sockets."""
        self.alarm.close()
        self._bell.close()
