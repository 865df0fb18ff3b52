"""What is to be sent over a link: all there is for one receiver goes in one signed message.

A commit may answer thousands of requests at once. To sign, send, receive and check a message takes
several times as long as what an answer itself takes.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import zmq

from .core.errors import DurableInternalError
from .socket_thread import SocketThread
from .updates import Update
from .wire import Answer, Bye, Call, Calls, Hello, Signer, Told, encode_error

__all__ = ["ClientOutbox", "HostOutbox", "Receiver"]

_log = logging.getLogger(__name__)

_ENOUGH_BYTES = 1 << 20
"""A message that is as large takes no more calls."""

_Item = TypeVar("_Item")


class _Outbox(ABC, Generic[_Item]):
    """Takes items in any thread and sends them in the link's, in order."""

    def __init__(self, thread: SocketThread, signer: Signer) -> None:
        self._thread = thread
        self._signer = signer
        self._items: deque[_Item] = deque()
        self._is_expected = False

    def _put(self, item: _Item) -> None:
        self._items.append(item)
        if not self._is_expected:
            self._is_expected = True
            self._thread.call(self._send)

    def _send(self, sock: zmq.Socket[bytes]) -> None:
        # First, so that whatever comes from now on is not left lying.
        self._is_expected = False
        self._send_all(sock, [self._items.popleft() for _ in range(len(self._items))])

    @abstractmethod
    def _send_all(self, sock: zmq.Socket[bytes], items: list[_Item]) -> None: ...


class Receiver(Protocol):
    """A client, as the host's outbox knows it.

    Attributes:
        identity: Where its messages are sent to.
    """

    identity: bytes


class _News(msgspec.Struct, frozen=True):
    subscription_id: int
    update: Update


class ClientOutbox(_Outbox[tuple[Receiver, Answer | _News]]):
    """What a host has to say to its clients.

    Args:
        thread: The link's.
        signer: Signs what is sent to clients.
    """

    def answer(self, receiver: Receiver, answer: Answer) -> None:
        """Send an answer to a client."""
        self._put((receiver, answer))

    def tell(self, receiver: Receiver, subscription_id: int, update: Update) -> None:
        """Send news to a follower; those of a client that get the same object get it together."""
        self._put((receiver, _News(subscription_id, update)))

    def _send_all(
        self, sock: zmq.Socket[bytes], items: list[tuple[Receiver, Answer | _News]]
    ) -> None:
        messages: dict[Receiver, list[Answer | Told]] = {}
        encoded: dict[int, msgspec.Raw] = {}
        for receiver, item in items:
            its = messages.setdefault(receiver, [])
            if isinstance(item, Answer):
                its.append(item)
                continue
            raw: Any = encoded.get(id(item.update))
            if raw is None:
                raw = encoded[id(item.update)] = _encoded_news(item.update)
            if not raw:
                continue
            last = its[-1] if its else None
            if isinstance(last, Told) and last.update is raw:
                last.subscription_ids.append(item.subscription_id)
            else:
                its.append(Told(subscription_ids=[item.subscription_id], update=raw))
        for receiver, its in messages.items():
            frames = self._signer.sign(_encoded(its))
            sock.send_multipart([receiver.identity, *frames], zmq.NOBLOCK, copy=False)


def _encoded_news(update: Update) -> msgspec.Raw:
    """Return an update as it travels; empty where it cannot."""
    try:
        return msgspec.Raw(msgspec.msgpack.encode(update))
    except Exception:  # noqa: BLE001  (what others are told must not be lost with it)
        _log.exception("followers are not told of something: it cannot be sent")
        return msgspec.Raw(b"")


def _encoded(messages: list[Answer | Told]) -> bytes:
    """Return messages as they travel; in place of an answer that cannot, the reason."""
    try:
        return msgspec.msgpack.encode(messages)
    except Exception:  # noqa: BLE001  (the other answers must not be lost with it)
        return msgspec.msgpack.encode([_sendable(one) for one in messages])


def _sendable(message: Answer | Told) -> Answer | Told:
    if isinstance(message, Told):
        return message
    try:
        msgspec.msgpack.encode(message)
    except Exception as error:  # noqa: BLE001  (whatever it is, its caller must hear of it)
        _log.exception("an answer cannot be sent")
        reason = DurableInternalError(f"the answer cannot be sent: {type(error).__name__}")
        return Answer(number=message.number, error=encode_error(reason))
    return message


class HostOutbox(_Outbox[bytes]):
    """What a client has to say to its host.

    Messages are numbered as they are sent, since the host takes none that is older than another.

    Args:
        thread: The link's.
        signer: Signs what is sent to the host.
        client: Names this client.
    """

    def __init__(self, thread: SocketThread, signer: Signer, client: bytes) -> None:
        super().__init__(thread, signer)
        self._client = client
        self._numbers = count()

    def call(self, call: bytes) -> None:
        """Send a call.

        Args:
            call: An encoded `Call`.
        """
        self._put(call)

    def say_hello(self) -> None:
        """Say that the client is there."""
        self._thread.call(
            lambda sock: self._send_one(sock, Hello(client=self._client, number=self._next))
        )

    def say_bye(self) -> None:
        """Say that the client leaves."""
        self._thread.call(
            lambda sock: self._send_one(sock, Bye(client=self._client, number=self._next))
        )

    @property
    def _next(self) -> int:
        return next(self._numbers)

    def _send_one(self, sock: zmq.Socket[bytes], message: Calls | Hello | Bye) -> None:
        frames = self._signer.sign(msgspec.msgpack.encode(message))
        sock.send_multipart(frames, zmq.NOBLOCK, copy=False)

    def _send_all(self, sock: zmq.Socket[bytes], items: list[bytes]) -> None:
        together: list[Any] = []
        size = 0
        for item in items:
            if together and size + len(item) > _ENOUGH_BYTES:
                self._send_one(sock, self._calls(together))
                together, size = [], 0
            together.append(msgspec.Raw(item))
            size += len(item)
        if together:
            self._send_one(sock, self._calls(together))

    def _calls(self, calls: list[Call]) -> Calls:
        return Calls(client=self._client, number=self._next, calls=calls)
