"""A worker process as its host sees it: start, send, receive, kill. Never blocks on the worker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import IO

from .frames import AHEAD_HEADER, AHEAD_LIMIT, HEADER, Frame, FrameReader

__all__ = ["WorkerProcess"]

# The worker gets the host's import path, and never imports the user's main module.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ipydurable.runtime.executors.worker import main; "
    "main(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])"
)
_SMALL_BODY = 1 << 16
_DEATH_TIMEOUT_S = 2.0
_HANG_UP_TIMEOUT_S = 1.0
_MAX_RAW_BYTES = 1 << 20
# Both keep messages whole and in order; the first, which not all systems have, holds more of them.
_AHEAD_KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM


class WorkerProcess:
    """One worker process and the link to it.

    It leads a process group of its own: a signal for the host (Ctrl-C) does not reach it, and
    what the activity has started ends with it when it is killed.

    Attributes:
        pid: The process.
        raw: By name, `"stdout"` and `"stderr"`: what is written to these descriptors, by C code
            and by what the activity starts, arrives there.
    """

    __slots__ = ("_ahead", "_frames", "_link", "_outgoing", "_process", "_sent_ahead", "pid", "raw")

    def __init__(self, plugins: Sequence[str] = ()) -> None:
        """Start the process; it says READY when it can take work.

        Args:
            plugins: Modules of hooks; see `worker.main`.

        Raises:
            OSError: It cannot be started.
        """
        self._link, theirs = socket.socketpair()
        # The worker's end stays open here: whoever reads a message first has it, so what the
        # worker has not begun can be taken back.
        self._ahead, self._sent_ahead = socket.socketpair(socket.AF_UNIX, _AHEAD_KIND)
        for end in (self._link, self._ahead):
            end.setblocking(False)
        try:
            with theirs:
                descriptors = [theirs.fileno(), self._sent_ahead.fileno()]
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        *(
                            "-c",
                            _BOOT,
                            json.dumps([str(folder) for folder in sys.path]),
                            *map(str, descriptors),
                            str(os.getpid()),
                            *plugins,
                        ),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    pass_fds=descriptors,
                    start_new_session=True,
                )
        except BaseException:
            self._close_links()
            raise
        self.pid = self._process.pid
        self.raw: dict[str, IO[bytes]] = {}
        for kind, pipe in (("stdout", self._process.stdout), ("stderr", self._process.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self.raw[kind] = pipe
        self._frames = FrameReader()
        self._outgoing: deque[memoryview] = deque()

    def fileno(self) -> int:
        """Return the link's descriptor, for a selector."""
        return self._link.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` must be called once the link can be written."""
        return bool(self._outgoing)

    def send(self, kind: Frame, body: bytes) -> None:
        """Send a frame, or as much of it as the link takes now.

        Raises:
            OSError: The worker is gone.
        """
        header = HEADER.pack(len(body), kind)
        if len(body) <= _SMALL_BODY:
            self._outgoing.append(memoryview(header + body))
        else:
            self._outgoing += (memoryview(header), memoryview(body))
        self.flush()

    def send_ahead(self, number: int, payload: bytes) -> bool:
        """Send an attempt that begins when those sent before have ended.

        Args:
            number: What `take_back` calls it.
            payload: The attempt; the worker must have its code.

        Returns:
            Whether it was sent: not where it is too large, too many wait, or the worker is gone.
        """
        if len(payload) > AHEAD_LIMIT:
            return False
        try:
            self._ahead.send(AHEAD_HEADER.pack(number) + payload)
        except OSError:
            return False
        return True

    def take_back(self) -> list[int]:
        """Take back what was sent ahead and has not begun; the worker will never see it.

        Returns:
            The numbers, in the order in which they were sent.
        """
        numbers = []
        with contextlib.suppress(OSError):
            while message := self._sent_ahead.recv(AHEAD_HEADER.size, socket.MSG_DONTWAIT):
                numbers.append(AHEAD_HEADER.unpack(message)[0])
        return numbers

    def flush(self) -> None:
        """Send what is unsent, or as much of it as the link takes now; raises as `send`."""
        while self._outgoing:
            part = self._outgoing[0]
            try:
                sent = self._link.send(part)
            except BlockingIOError:
                return
            if sent < len(part):
                self._outgoing[0] = part[sent:]
            else:
                self._outgoing.popleft()

    def receive(self) -> tuple[list[tuple[int, bytes]], bool]:
        """Return frames that have arrived, and whether the worker still holds its end."""
        data = self._read()
        if not data:
            return [], data is None
        return self._frames.feed(data), True

    def receive_rest(self) -> list[tuple[int, bytes]]:
        """Return all frames that have arrived, e.g. before the process was killed."""
        frames: list[tuple[int, bytes]] = []
        while data := self._read():
            frames += self._frames.feed(data)
        return frames

    def read_raw(self, kind: str) -> bytes | None:
        """Return what was written to a descriptor; no bytes for nothing new, None for its end.

        What more than 1 MiB arrived at once is read by the next call.
        """
        pipe = self.raw.get(kind)
        if pipe is None:
            return None
        parts = bytearray()
        while len(parts) < _MAX_RAW_BYTES:
            data = pipe.read(1 << 16)
            if data is None:
                break
            if not data:
                return bytes(parts) or None
            parts += data
        return bytes(parts)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> bool:
        """Kill the process, and what it has started in its process group.

        Returns:
            Whether it is dead; a process that is stuck in the kernel dies later.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        try:
            self._process.wait(_DEATH_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def hang_up(self) -> None:
        """Close the link; an idle worker then ends by itself."""
        self._outgoing.clear()
        self._close_links()
        for pipe in self.raw.values():
            pipe.close()

    def _close_links(self) -> None:
        for link in (self._link, self._ahead, self._sent_ahead):
            link.close()

    def end(self) -> None:
        """Wait for the process to end by itself after `hang_up`; kill it if it does not."""
        try:
            self._process.wait(_HANG_UP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def obituary(self) -> str:
        """How the process ended, e.g. `"worker process 4711 died (killed by signal 9)"`."""
        code = self._process.returncode
        if code is None:
            how = "it hangs in the operating system"
        elif code < 0:
            how = f"killed by signal {-code}"
        else:
            how = f"exit code {code}"
        return f"worker process {self.pid} died ({how})"

    def _read(self) -> bytes | None:
        """Return what has arrived: None for nothing, no bytes where the worker hung up."""
        try:
            return self._link.recv(self._frames.chunk_size)
        except BlockingIOError:
            return None
        except OSError:
            return b""
