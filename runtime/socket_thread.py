"""A thread that owns a ZeroMQ socket, so that any thread may send through it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

import zmq

__all__ = ["SocketThread"]

_log = logging.getLogger(__name__)


class SocketThread:
    """Does what is asked to be done to the socket, and passes on what arrives.

    Args:
        sock: The socket; from now on only this thread touches it.
        on_message: Called in this thread with the frames of each message.
        name: Of the thread.
        on_tick: Called in this thread about every `tick_s` seconds.
        tick_s: Seconds between ticks.
    """

    def __init__(
        self,
        sock: zmq.Socket[bytes],
        on_message: Callable[[list[bytes]], None],
        name: str,
        on_tick: Callable[[], None] = lambda: None,
        tick_s: float = 1.0,
    ) -> None:
        self._socket = sock
        self._on_message = on_message
        self._on_tick = on_tick
        self._tick_ms = int(tick_s * 1000)
        self._asked: SimpleQueue[Callable[[zmq.Socket[bytes]], None]] = SimpleQueue()
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._is_woken = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def call(self, work: Callable[[zmq.Socket[bytes]], None]) -> None:
        """Have `work` done to the socket in its thread, soon and in order; from any thread."""
        self._asked.put(work)
        self._wake_up()

    def close(self) -> None:
        """Do what is queued, close the socket and end the thread."""
        self._closing = True
        self._wake_up()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _wake_up(self) -> None:
        if self._is_woken:
            return
        self._is_woken = True
        # A full pipe means that the thread is about to wake anyway; a closed one that it ended.
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._woken, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll(self._tick_ms))
            try:
                if self._woken.fileno() in ready:
                    self._drain_wakes()
                # After the drain and before the queue: whatever is queued later wakes it again.
                self._is_woken = False
                self._do_asked()
                if self._socket in ready:
                    self._receive()
                self._on_tick()
            except Exception:  # noqa: BLE001  (one bad message must not end the link)
                _log.exception("the link's thread goes on after an error")
        self._do_asked()
        self._socket.close(linger=500)
        self._woken.close()
        self._wake.close()

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def _do_asked(self) -> None:
        try:
            while True:
                self._asked.get_nowait()(self._socket)
        except Empty:
            pass
        except zmq.Again:
            _log.warning("a peer is too slow: a message to it was dropped")

    def _receive(self) -> None:
        for _ in range(1000):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._on_message(frames)
