"""The host's end of the link: how news reach the clients."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime
from typing import Any, cast

import msgspec
import pytest
import zmq

from ipydurable.runtime.core.errors import DurableError
from ipydurable.runtime.ports import LaneLoad, StoreUpdate
from ipydurable.runtime.requests import HostStatusRequest, Request, Subscribe
from ipydurable.runtime.server import Server
from ipydurable.runtime.service import Service
from ipydurable.runtime.updates import Update
from ipydurable.runtime.wire import Answer, Call, Calls, Signer, ToClient, Told

KEY = bytes(range(32))
DEADLINE_MS = 30_000


class News:
    """Stands for the service: keeps how its followers are told."""

    def __init__(self) -> None:
        self.clients = 0
        self.tell: list[Callable[[Update], None]] = []
        self.requests: list[Request] = []
        self.futures: list[Future[Any]] = []

    def handle(self, request: Request) -> Future[Any]:
        self.requests.append(request)
        future: Future[Any] = Future()
        self.futures.append(future)
        return future

    def subscribe(self, followed: str, tell: Callable[[Update], None]) -> Future[Any]:
        self.tell.append(tell)
        future: Future[Any] = Future()
        future.set_result(lambda: None)
        return future


class Peer:
    """A client of a server."""

    def __init__(self, server: Server, name: bytes) -> None:
        self.name = name
        self.number = 0
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.connect(f"tcp://127.0.0.1:{server.port}")

    def follow(self, subscription_id: int) -> None:
        """Follow a store, and wait until that is so."""
        self.number += 1
        self.send(
            [
                Call(
                    number=self.number,
                    request=Subscribe(followed="", subscription_id=subscription_id),
                )
            ]
        )
        (answer,) = self.take()
        assert isinstance(answer, Answer)

    def send(self, calls: list[Call]) -> None:
        """Send requests together."""
        message = Calls(client=self.name, number=self.number, calls=calls)
        self.socket.send_multipart(Signer(KEY, b"to host").sign(msgspec.msgpack.encode(message)))

    def take(self) -> ToClient:
        """Return what the next message says."""
        assert self.socket.poll(DEADLINE_MS), "no message"
        body = Signer(KEY, b"to client").check(self.socket.recv_multipart())
        return msgspec.msgpack.decode(body, type=ToClient)

    def told(self) -> list[tuple[list[int], int]]:
        """Return whom the next message tells what."""
        found = []
        for one in self.take():
            assert isinstance(one, Told)
            assert isinstance(one.update, StoreUpdate)
            found.append((one.subscription_ids, one.update.gseq))
        return found

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()


@pytest.fixture
def service() -> News:
    return News()


@pytest.fixture
def server(service: News) -> Iterator[Server]:
    server = Server(cast("Service", service), KEY)
    server.start()
    yield server
    server.close()


@pytest.fixture
def peers(server: Server) -> Iterator[list[Peer]]:
    peers = [Peer(server, b"one"), Peer(server, b"two")]
    yield peers
    for peer in peers:
        peer.close()


def update(gseq: int) -> StoreUpdate:
    return StoreUpdate(now=datetime(2026, 1, 1), gseq=gseq, live=0, lanes=[], work=[])


def tell_at_once(server: Server, news: list[tuple[Callable[[Update], None], Update]]) -> None:
    """Tell news before the link's thread can send the first of them."""

    def tell_all(sock: zmq.Socket[bytes]) -> None:
        del sock
        for tell, one in news:
            tell(one)

    server._thread.call(tell_all)


def test_what_many_views_of_a_notebook_are_told_travels_once(
    server: Server, service: News, peers: list[Peer]
) -> None:
    one, two = peers
    one.follow(1)
    one.follow(2)
    two.follow(7)
    one.follow(3)
    news = update(1)
    tell_at_once(server, [(tell, news) for tell in service.tell])
    assert one.told() == [([1, 2, 3], 1)]
    assert two.told() == [([7], 1)]


def test_each_follower_is_told_in_the_order_of_what_happened(
    server: Server, service: News, peers: list[Peer]
) -> None:
    one, _ = peers
    one.follow(1)
    one.follow(2)
    first, second = service.tell
    newer, newest, snapshot = update(2), update(3), update(1)
    tell_at_once(
        server,
        [(first, newer), (first, newest), (second, snapshot), (second, newer), (second, newest)],
    )
    told = one.told()
    assert [gseq for ids, gseq in told if ids == [1]] == [2, 3]
    assert [gseq for ids, gseq in told if ids == [2]] == [1, 2, 3]


def test_news_that_come_later_are_sent_too(
    server: Server, service: News, peers: list[Peer]
) -> None:
    one, _ = peers
    one.follow(1)
    for gseq in range(1, 4):
        service.tell[0](update(gseq))
        assert one.told() == [([1], gseq)]


def test_what_cannot_be_sent_takes_nothing_else_along(
    server: Server, service: News, peers: list[Peer]
) -> None:
    """A lone surrogate is no text that could travel; whoever waits for the answer hears so."""
    one, _ = peers
    one.follow(1)
    one.number += 1
    one.send([Call(number=number, request=HostStatusRequest()) for number in (5, 6)])
    deadline = threading.Event()
    while len(service.futures) < 2:
        deadline.wait(0.01)
    bad = update(1)
    bad.lanes = [LaneLoad(name="\ud800", capacity=1, in_flight=0, ready=0)]
    first, second = service.futures

    def answer(_: Update) -> None:
        first.set_exception(DurableError("\ud800"))
        second.set_result(7)

    tell = service.tell[0]
    tell_at_once(server, [(tell, bad), (answer, bad), (tell, update(2))])
    refused, answered, told = one.take()
    assert isinstance(refused, Answer)
    assert refused.number == 5
    assert refused.error is not None
    assert "cannot be sent: UnicodeEncodeError" in refused.error.args[0]
    assert isinstance(answered, Answer)
    assert (answered.number, bytes(answered.value)) == (6, b"\x07")
    assert isinstance(told, Told)
    assert isinstance(told.update, StoreUpdate)
    assert told.update.gseq == 2
