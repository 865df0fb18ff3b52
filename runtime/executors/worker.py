"""A worker process: runs the attempts its host sends, one after the other, until the host ends."""

from __future__ import annotations

import array
import ctypes
import fcntl
import importlib
import io
import os
import select
import signal
import socket
import sys
import termios
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from ..attempt import Activity, run_attempt
from ..ports import Progress
from ..recording import set_sole_recorder
from .frames import AHEAD_HEADER, AHEAD_LIMIT, HEADER, Frame, pack
from .sending import SendingRecorder

__all__ = ["die_with_host", "main", "watch_host"]

_PR_SET_PDEATHSIG: Final = 1
_WATCH_INTERVAL_S: Final = 1.0
_AHEAD_SIZE: Final = AHEAD_HEADER.size + AHEAD_LIMIT


def main(descriptor: int, ahead: int, host_pid: int, plugins: Sequence[str] = ()) -> None:
    """Serve the host until it hangs up.

    Args:
        descriptor: File descriptor of the socket to the host.
        ahead: That of the socket on which attempts come ahead, one message each.
        host_pid: The host; this process must not outlive it.
        plugins: Modules whose `install_in_worker()` is called first, and whose `end_attempt()`
            at the end of each attempt.
    """
    die_with_host(host_pid)
    del sys.argv[1:]
    for one in (descriptor, ahead):
        os.set_inheritable(one, False)
    modules = [importlib.import_module(plugin) for plugin in plugins]
    for module in modules:
        module.install_in_worker()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # What was printed survives a kill.
    with (
        socket.socket(fileno=descriptor) as link,
        link.makefile("rb") as reader,
        socket.socket(fileno=ahead) as sent_ahead,
    ):
        _Worker(link, reader, sent_ahead, [module.end_attempt for module in modules]).serve()


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

    def __init__(
        self,
        link: socket.socket,
        reader: io.BufferedReader,
        sent_ahead: socket.socket,
        end_attempt: Sequence[Callable[[], None]],
    ) -> None:
        self._end_attempt = end_attempt
        self._link = link
        self._reader = reader
        self._sent_ahead = sent_ahead
        self._any = select.poll()
        for end in (link, sent_ahead):
            self._any.register(end, select.POLLIN)
        self._encode = msgspec.msgpack.Encoder().encode
        self._sending = threading.Lock()
        self._attempts_run = 0
        self._pid = os.getpid()

    def serve(self) -> None:
        """Run attempts until the host hangs up."""
        try:
            self._send(Frame.READY)
            while payload := self._next_attempt():
                self._run(payload)
        except OSError:
            pass  # The host hung up while it was told something.

    def _next_attempt(self) -> bytes:
        """Wait for an attempt; returns no bytes when the host has hung up."""
        while True:
            try:
                ahead = self._sent_ahead.recv(_AHEAD_SIZE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass  # None has come, or the host has just taken it back.
            else:
                return ahead[AHEAD_HEADER.size :]
            if any(end == self._link.fileno() for end, _ in self._any.poll()):
                return self._read_frame()

    def _read_frame(self) -> bytes:
        header = self._reader.read(HEADER.size)
        if len(header) < HEADER.size:
            return b""
        length, _ = HEADER.unpack(header)
        payload = self._reader.read(length)
        return payload if len(payload) == length else b""

    def _run(self, payload: bytes) -> None:
        number = self._attempts_run
        recorder = SendingRecorder(partial(self._tell, number, Frame.OUTPUT))
        set_sole_recorder(recorder)
        with warnings.catch_warnings():  # So that each attempt warns anew.
            outcome = run_attempt(
                payload,
                begin=self._begin,
                progress=partial(self._tell_progress, number),
                recorder=recorder,
            )
            for end in self._end_attempt:
                try:
                    end()
                except Exception:  # noqa: BLE001 - what is shown must not cost the result
                    recorder.write("stderr", traceback.format_exc())
        set_sole_recorder(None)
        if os.getpid() != self._pid:
            os._exit(0)  # The activity forked, and its child came back: it must not answer too.
        recorder.flush()
        kind = Frame.SPOKEN_OUTCOME if _has_unread_output() else Frame.OUTCOME
        with self._sending:
            self._attempts_run += 1
            self._link.sendall(pack(kind, outcome))

    def _begin(self, activity: Activity, is_new: bool) -> None:
        # What the cells define says that it is of `__main__`: there its own pickling, and the
        # processes it forks, must find it.
        sys.modules["__main__"] = activity.main
        if is_new:
            self._send(Frame.LOADED)

    def _tell_progress(self, number: int, progress: Progress) -> None:
        self._tell(number, Frame.PROGRESS, self._encode(progress))

    def _tell(self, number: int, kind: Frame, body: bytes) -> None:
        """Send a frame, unless its attempt is over: a thread that was left behind may go on."""
        frame = pack(kind, body)
        with self._sending:
            if number == self._attempts_run:
                self._link.sendall(frame)

    def _send(self, kind: Frame) -> None:
        with self._sending:
            self._link.sendall(pack(kind))


def _has_unread_output() -> bool:
    """Whether the host has not read all that was written to this process's descriptors."""
    unread = array.array("i", [0])
    for descriptor in (1, 2):
        try:
            fcntl.ioctl(descriptor, termios.FIONREAD, unread)
        except OSError:
            return True  # The activity has put something else there.
        if unread[0]:
            return True
    return False
