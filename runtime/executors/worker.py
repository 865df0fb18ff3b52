"""A worker process: runs the attempts its host sends, one after the other, until the host ends."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from typing import Final

import msgspec

from ..attempt import Activity, run_attempt
from .frames import HEADER, Frame, pack

__all__ = ["die_with_host", "main", "watch_host"]

_PR_SET_PDEATHSIG: Final = 1
_WATCH_INTERVAL_S: Final = 1.0


def main(descriptor: int, host_pid: int) -> None:
    """Serve the host until it hangs up.

    Args:
        descriptor: File descriptor of the socket to the host.
        host_pid: The host; this process must not outlive it.
    """
    die_with_host(host_pid)
    del sys.argv[1:]
    os.set_inheritable(descriptor, False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # What was printed survives a kill.
    with socket.socket(fileno=descriptor) as link, link.makefile("rb") as reader:
        _Worker(link, reader).serve()


def die_with_host(host_pid: int) -> None:
    """Arrange that this process is killed when its host ends in whatever way.

    Linux does it itself, even while the activity is stuck in a C call. Elsewhere a thread looks
    once a second.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=watch_host, args=(host_pid,), daemon=True).start()
    if os.getppid() != host_pid:
        os._exit(1)


def watch_host(host_pid: int, interval_s: float = _WATCH_INTERVAL_S) -> None:
    """End this process at once when its parent is no longer `host_pid`."""
    while os.getppid() == host_pid:
        time.sleep(interval_s)
    os._exit(1)


class _Worker:
    """The worker's side of the link."""

    def __init__(self, link: socket.socket, reader: io.BufferedReader) -> None:
        self._link = link
        self._reader = reader
        self._encode = msgspec.msgpack.Encoder().encode
        self._sending = threading.Lock()
        self._attempts_run = 0
        self._pid = os.getpid()

    def serve(self) -> None:
        """Run attempts until the host hangs up."""
        try:
            self._send(Frame.READY)
            while len(header := self._reader.read(HEADER.size)) == HEADER.size:
                length, _ = HEADER.unpack(header)
                payload = self._reader.read(length)
                if len(payload) < length:
                    break
                self._run(payload)
        except OSError:
            pass  # The host hung up while it was told something.

    def _run(self, payload: bytes) -> None:
        number = self._attempts_run
        outcome = run_attempt(payload, begin=self._begin, progress=partial(self._tell, number))
        if os.getpid() != self._pid:
            os._exit(0)  # The activity forked, and its child came back: it must not answer too.
        with self._sending:
            self._attempts_run += 1
            self._link.sendall(pack(Frame.OUTCOME, outcome))

    def _begin(self, activity: Activity, is_new: bool) -> None:
        # What the cells define says that it is of `__main__`: there its own pickling, and the
        # processes it forks, must find it.
        sys.modules["__main__"] = activity.main
        if is_new:
            self._send(Frame.LOADED)

    def _tell(self, number: int, done: float, total: float | None, note: str) -> None:
        """Send progress, unless its attempt is over: a thread that was left behind may go on."""
        frame = pack(Frame.PROGRESS, self._encode((done, total, note)))
        with self._sending:
            if number == self._attempts_run:
                self._link.sendall(frame)

    def _send(self, kind: Frame) -> None:
        with self._sending:
            self._link.sendall(pack(kind))
