"""The client's end of the link: requests as futures, news by callback, a dead host replaced."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any, NamedTuple

import msgspec
import zmq

from .connection import ConnectionInfo, HostPaths
from .core.errors import AuthenticationError, DurableError, EncodingError, HostGoneError
from .launch import ensure_host, find_host
from .outbox import HostOutbox
from .remedies import TOO_LARGE
from .requests import (
    Request,
    StopHost,
    Subscribe,
    Unsubscribe,
    WaitForCompletion,
    WaitForStart,
    as_repeated,
)
from .socket_thread import SocketThread
from .wire import (
    MAX_MESSAGE_BYTES,
    MESSAGE_OVERHEAD_BYTES,
    Answer,
    Call,
    Signer,
    ToClient,
    Told,
    decode_error,
)

__all__ = ["Link"]

_log = logging.getLogger(__name__)

_TICK_S = 0.25
_HELLO_EVERY_S = 5.0
_MAX_HOSTS = 5
# These wait for what other things bring about, and may see any number of hosts.
_WAITS = (WaitForCompletion, WaitForStart)


class _Pending(NamedTuple):
    request: Request
    future: Future[Any]
    hosts: int = 1


class _Followed(NamedTuple):
    followed: str
    tell: Callable[[Any], None]


class Link:
    """Talks to the host of a store, which is started when there is none.

    Requests that were open when a host died are sent again to its successor; all of them are
    safe to repeat. Subscriptions are renewed, and begin again with everything.

    Args:
        paths: The host's files.
    """

    def __init__(self, paths: HostPaths) -> None:
        self.paths = paths
        self._lock = threading.RLock()
        self._numbers = count()
        self._subscription_ids = count(1)
        self._pending: dict[int, _Pending] = {}
        self._followed: dict[int, _Followed] = {}
        self._watchers: list[Callable[[str], None]] = []
        self._trouble = ""
        self._is_closed = False
        self._is_stopped = False
        self._decoder = msgspec.msgpack.Decoder(ToClient)
        self._next_hello = 0.0
        self._replacing = False
        self.info = ensure_host(paths)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._connect(self.info)

    def request(self, request: Request) -> Future[Any]:
        """Send a request; returns the future of its answer."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if self._is_closed:
                raise HostGoneError(str(self.paths.store), "this client was closed")
            error = self._replace_host() if self._is_stopped else None
            if error is None:
                self._send_call(_Pending(request, future))
            else:
                future.set_exception(error)
        return future

    def subscribe(self, followed: str, tell: Callable[[Any], None]) -> Callable[[], None]:
        """Follow as `Service.subscribe`; `tell` is called in the link's thread. Returns an end."""
        subscription_id = next(self._subscription_ids)
        self._followed[subscription_id] = _Followed(followed, tell)
        request = Subscribe(followed=followed, subscription_id=subscription_id)
        try:
            self.request(request).result(timeout=30)
        except BaseException:
            self._followed.pop(subscription_id, None)
            raise

        def unsubscribe() -> None:
            if self._followed.pop(subscription_id, None) is not None and not self._is_closed:
                self.request(Unsubscribe(subscription_id=subscription_id))

        return unsubscribe

    def watch(self, tell: Callable[[str], None]) -> Callable[[], None]:
        """Have `tell` called whenever there is no host any more, or one again.

        Args:
            tell: Called in one of the link's threads with the reason in words, `""` once all is
                well; at once if there is no host now.

        Returns:
            How to end it.
        """
        with self._lock:
            self._watchers.append(tell)
            trouble = self._trouble
        if trouble:
            tell(trouble)

        def unwatch() -> None:
            with self._lock:
                if tell in self._watchers:
                    self._watchers.remove(tell)

        return unwatch

    def _tell_watchers(self, trouble: str) -> None:
        with self._lock:
            if trouble == self._trouble:
                return
            self._trouble = trouble
            watchers = list(self._watchers)
        for tell in watchers:
            tell(trouble)

    def close(self) -> None:
        """Leave; the host goes on."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._outbox.say_bye()
        self._thread.close()
        self._context.term()
        self._fail_pending("this client was closed")

    def _connect(self, info: ConnectionInfo) -> None:
        self.info = info
        self._is_stopped = False
        key = bytes.fromhex(info.key)
        self._checker = Signer(key, b"to client")
        sock = self._context.socket(zmq.DEALER)
        sock.setsockopt(zmq.LINGER, 500)
        # A full queue would drop requests; what is pending is kept here anyway.
        sock.setsockopt(zmq.SNDHWM, 0)
        sock.connect(info.address)
        self._thread = SocketThread(
            sock, self._on_message, "ipydurable-client", self._on_tick, _TICK_S
        )
        self._outbox = HostOutbox(self._thread, Signer(key, b"to host"), os.urandom(16))
        self._thread.start()
        self._say_hello()

    def _send_call(self, pending: _Pending) -> None:
        number = next(self._numbers)
        self._pending[number] = pending
        call = msgspec.msgpack.encode(Call(number=number, request=pending.request))
        if len(call) + MESSAGE_OVERHEAD_BYTES > MAX_MESSAGE_BYTES:
            del self._pending[number]
            pending.future.set_exception(_too_large(pending.request, len(call)))
        else:
            self._outbox.call(call)

    def _say_hello(self) -> None:
        self._next_hello = time.monotonic() + _HELLO_EVERY_S
        self._outbox.say_hello()

    def _on_message(self, frames: list[bytes]) -> None:
        try:
            messages = self._decoder.decode(self._checker.check(frames))
        except (AuthenticationError, msgspec.MsgspecError) as error:
            _log.warning("a message of the host was refused: %s", error)
            return
        for message in messages:
            if isinstance(message, Told):
                self._on_told(message)
            else:
                self._on_answer(message)

    def _on_told(self, told: Told) -> None:
        for subscription_id in told.subscription_ids:
            followed = self._followed.get(subscription_id)
            if followed is not None:
                followed.tell(told.update)

    def _on_answer(self, answer: Answer) -> None:
        with self._lock:
            pending = self._pending.pop(answer.number, None)
        if pending is None:
            return
        if answer.error is not None:
            pending.future.set_exception(decode_error(answer.error))
            return
        answer_type = type(pending.request).answer_type
        value = None
        if answer_type is not None:
            value = msgspec.msgpack.decode(answer.value, type=answer_type)
        if isinstance(pending.request, StopHost):
            self._is_stopped = True
            self._tell_watchers("The background host was stopped. What ran goes on with the next.")
        pending.future.set_result(value)

    def _on_tick(self) -> None:
        if self._is_closed or self._is_stopped:
            return
        if time.monotonic() >= self._next_hello:
            self._say_hello()
        if (self._pending or self._followed) and not self._replacing:
            current = find_host(self.paths)
            if current is None or current.port != self.info.port or current.key != self.info.key:
                self._replacing = True
                self._tell_watchers("The background host ended; another one is being started.")
                threading.Thread(
                    target=self._replace_host, name="ipydurable-replace", daemon=True
                ).start()

    def _replace_host(self) -> DurableError | None:
        """Connect to the successor of a host that ended, and ask it what was left open.

        Returns:
            Why there is none, which whoever waits was told; else None.
        """
        self._replacing = True
        try:
            info = ensure_host(self.paths)
        except DurableError as error:
            self._fail_pending(str(error), error)
            self._tell_watchers(f"The background host ended, and no other started: {error}")
            self._replacing = False
            return error
        with self._lock:
            if self._is_closed:
                return None
            old = self._thread
            pending, self._pending = self._pending, {}
            self._connect(info)
            for one in pending.values():
                self._send_again(one)
            for subscription_id, followed in self._followed.items():
                again = Subscribe(followed=followed.followed, subscription_id=subscription_id)
                self._send_call(_Pending(again, Future()))
            self._replacing = False
        self._tell_watchers("")
        old.close()
        return None

    def _send_again(self, pending: _Pending) -> None:
        """Ask the next host what the one before did not answer."""
        if isinstance(pending.request, StopHost | Subscribe | Unsubscribe):
            pending.future.set_result(None)
        elif pending.hosts >= _MAX_HOSTS and not isinstance(pending.request, _WAITS):
            reason = f"{pending.hosts} hosts in a row ended over this request; see {self.paths.log}"
            pending.future.set_exception(HostGoneError(str(self.paths.store), reason))
        else:
            request = as_repeated(pending.request)
            self._send_call(pending._replace(request=request, hosts=pending.hosts + 1))

    def _fail_pending(self, reason: str, error: DurableError | None = None) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        for one in pending.values():
            one.future.set_exception(error or HostGoneError(str(self.paths.store), reason))


def _too_large(request: Request, size: int) -> EncodingError:
    reason = (
        f"takes {size / 1e6:,.0f} MB, and a message to the host may take "
        f"{MAX_MESSAGE_BYTES / 1e6:,.0f} MB. {TOO_LARGE}"
    )
    return EncodingError("request", "", type(request).__name__, reason)
