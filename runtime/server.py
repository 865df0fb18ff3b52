"""The host's end of the link: checks every message, and lets the service answer it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
import zmq

from .core.errors import AuthenticationError, DurableError
from .outbox import ClientOutbox
from .requests import Request, Subscribe, Unsubscribe
from .service import Service
from .socket_thread import SocketThread
from .updates import Update
from .wire import MAX_MESSAGE_BYTES, Answer, Bye, Call, Calls, Signer, ToHost, encode_error

__all__ = ["Server"]

_log = logging.getLogger(__name__)

_SILENT_AFTER_S = 20.0


class _Peer:
    """A client, as the server knows it."""

    __slots__ = ("identity", "seen_at", "unsubscribe")

    def __init__(self, identity: bytes) -> None:
        self.identity = identity
        self.seen_at = time.monotonic()
        self.unsubscribe: dict[int, Future[Callable[[], None]]] = {}


class Server:
    """Serves clients over TCP on the loopback interface.

    Args:
        service: Answers the requests.
        key: Signs the messages.
    """

    def __init__(self, service: Service, key: bytes) -> None:
        self._service = service
        self._incoming = Signer(key, b"to host")
        self._decoder = msgspec.msgpack.Decoder(ToHost)
        self._peers: dict[bytes, _Peer] = {}
        # Also of clients that have left: what they sent could be played back otherwise.
        self._last_numbers: dict[bytes, int] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        sock = self._context.socket(zmq.ROUTER)
        sock.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        sock.setsockopt(zmq.SNDHWM, 0)
        # A socket with a domain hears version 3 of the protocol only. Nonsense passes for an older
        # one, for which libzmq 4.3.5 ends the process if the socket is closed just then.
        sock.setsockopt(zmq.ZAP_DOMAIN, b"ipydurable")
        self.port = sock.bind_to_random_port("tcp://127.0.0.1")
        self._thread = SocketThread(sock, self._on_message, "ipydurable-server", self._on_tick)
        self._outbox = ClientOutbox(self._thread, Signer(key, b"to client"))
        self.refused = 0

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._thread.close()
        self._context.term()

    def _on_message(self, frames: list[bytes]) -> None:
        identity, *signed = frames
        try:
            body = self._incoming.check(signed)
            message = self._decoder.decode(body)
            peer = self._peer(identity, message)
        except (AuthenticationError, msgspec.MsgspecError) as error:
            self.refused += 1
            _log.warning("a message was refused: %s", error)
            return
        if isinstance(message, Calls):
            for call in message.calls:
                self._on_call(peer, call)
        elif isinstance(message, Bye):
            self._forget(message.client)

    def _peer(self, identity: bytes, message: ToHost) -> _Peer:
        if message.number <= self._last_numbers.get(message.client, -1):
            raise AuthenticationError("it was seen before")
        self._last_numbers[message.client] = message.number
        peer = self._peers.get(message.client)
        if peer is None:
            peer = self._peers[message.client] = _Peer(identity)
            self._service.clients = len(self._peers)
        peer.seen_at = time.monotonic()
        peer.identity = identity
        return peer

    def _on_call(self, peer: _Peer, call: Call) -> None:
        request = call.request
        if isinstance(request, Subscribe):
            self._subscribe(peer, call.number, request)
            return
        if isinstance(request, Unsubscribe):
            self._unsubscribe(peer, request.subscription_id)
            self._reply(peer, call.number, None)
            return
        future = self._service.handle(request)
        future.add_done_callback(lambda done: self._on_done(peer, call.number, request, done))

    def _on_done(self, peer: _Peer, number: int, request: Request, done: Future[Any]) -> None:
        del request
        error = None if done.cancelled() else done.exception()
        if error is not None:
            if not isinstance(error, DurableError):
                _log.error("a request failed", exc_info=error)
            self._outbox.answer(peer, Answer(number=number, error=encode_error(error)))
        elif not done.cancelled():
            self._reply(peer, number, done.result())

    def _reply(self, peer: _Peer, number: int, value: Any) -> None:
        raw = msgspec.Raw(msgspec.msgpack.encode(value))
        self._outbox.answer(peer, Answer(number=number, value=raw))

    def _subscribe(self, peer: _Peer, number: int, request: Subscribe) -> None:
        def tell(update: Update) -> None:
            self._outbox.tell(peer, request.subscription_id, update)

        future = self._service.subscribe(request.followed, tell)
        peer.unsubscribe[request.subscription_id] = future

        def on_done(done: Future[Callable[[], None]]) -> None:
            error = done.exception()
            if error is not None:
                peer.unsubscribe.pop(request.subscription_id, None)
                self._outbox.answer(peer, Answer(number=number, error=encode_error(error)))
            else:
                self._reply(peer, number, None)

        future.add_done_callback(on_done)

    def _unsubscribe(self, peer: _Peer, subscription_id: int) -> None:
        future = peer.unsubscribe.pop(subscription_id, None)
        if future is not None:
            future.add_done_callback(lambda done: done.exception() or done.result()())

    def _on_tick(self) -> None:
        now = time.monotonic()
        for client, peer in list(self._peers.items()):
            if now - peer.seen_at > _SILENT_AFTER_S:
                self._forget(client)

    def _forget(self, client: bytes) -> None:
        peer = self._peers.pop(client, None)
        if peer is not None:
            for subscription_id in list(peer.unsubscribe):
                self._unsubscribe(peer, subscription_id)
        self._service.clients = len(self._peers)
